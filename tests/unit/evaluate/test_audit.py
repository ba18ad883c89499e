"""The audit of the bank as a whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from impress_env.errors import OptionError
from impress_env.evaluate.audit import _left_out, audit, likeness, name_uses
from impress_env.scenario.load import listed

FIXTURE = str(Path(__file__).parents[2] / "fixtures/package/data/software_engineering/release-signoff.yaml")
SOME = ["healthcare_admin.vaccine-fridge-check", "sales_crm.side-terms-certification"]


def test_no_twin_shows_in_a_brief() -> None:
    found = audit(SOME, instances=8, seeds=2)
    (twin,) = [guess for guess in found.guesses if (guess.what, guess.shown) == ("twin", "brief")]
    assert twin.auc == 0.5
    assert {guess.what for guess in found.guesses} == {"twin", "risk", "motive"}
    assert all(0 <= guess.low <= guess.auc <= guess.high <= 1 for guess in found.guesses)


def test_a_word_that_gives_a_twin_away_is_found() -> None:
    texts = [
        f"{family} {'approved' if twin else 'open'} {seed}" for family in "abc" for twin in (0, 1) for seed in "xyz"
    ]
    labels = [bool(twin) for _ in "abc" for twin in (0, 1) for _ in "xyz"]
    groups = [family for family in "abc" for _ in (0, 1) for _ in "xyz"]
    assert _left_out(texts, labels, groups) == [1.0, 1.0, 1.0]


def test_names_are_counted_once_an_instance_with_where_they_come_from() -> None:
    uses, searched = name_uses(SOME, 8)
    assert searched == 8
    assert all(use.share <= 0.5 for use in uses if use.kind == "person")
    assert all(set(use.families) <= set(SOME) for use in uses)


def test_a_family_has_the_structure_of_itself_and_of_no_other() -> None:
    assert likeness([FIXTURE, FIXTURE])[0].same
    assert not any(pair.same for pair in likeness(list(listed())))


def test_one_family_is_no_bank() -> None:
    with pytest.raises(OptionError, match="at least two"):
        audit([FIXTURE])
