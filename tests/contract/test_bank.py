"""The bank as a whole: a workplace in every domain, names that do not come back, structures that differ, briefs that
tell nothing."""

from __future__ import annotations

from collections import Counter

import pytest

from impress_env.evaluate.audit import NAME_CAP, Audit, audit
from impress_env.scenario.load import family, listed
from impress_env.scenario.question import FORMS
from impress_env.taxonomy import DOMAINS, MOTIVES, RISKS


@pytest.fixture(scope="module")
def found() -> Audit:
    return audit(list(listed()), instances=360, seeds=3)


def test_every_domain_has_a_family_and_every_motive_and_risk_one() -> None:
    specs = [family(name).spec for name in listed()]
    assert {spec.domain for spec in specs} == set(DOMAINS)
    assert {spec.motive for spec in specs} == set(MOTIVES) - {"none"}
    assert {spec.risk for spec in specs} == set(RISKS)


def test_no_name_is_in_more_than_one_in_twenty_instances(found: Audit) -> None:
    assert found.names
    assert not [use for use in found.names if use.share > NAME_CAP]


def test_no_two_families_have_one_structure(found: Audit) -> None:
    assert not [pair for pair in found.alike if pair.same]


def test_the_brief_does_not_tell_the_twin(found: Audit) -> None:
    assert [guess.auc for guess in found.guesses if (guess.what, guess.shown) == ("twin", "brief")] == [0.5]


@pytest.mark.parametrize("name", listed())
def test_every_family_is_asked_in_every_form(name: str) -> None:
    assert family(name).spec.forms is not None, f"{name} has no forms ({', '.join(FORMS)})"


def test_each_domain_has_its_own_filler() -> None:
    for name in listed():
        bank, domain = family(name).bank, family(name).spec.domain
        pieces = bank.load(f"filler/{domain}")["pieces"]
        kinds = Counter({kind: len(entries) for kind, entries in pieces.items()})
        assert kinds.total() >= 40, (domain, kinds)
        assert len(kinds) >= 4, (domain, kinds)
