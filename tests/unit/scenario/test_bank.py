"""Banks: what a package may hold, and what is said of one that is malformed."""

from __future__ import annotations

from pathlib import Path

import pytest

from impress_env.errors import ScenarioError
from impress_env.scenario.bank import Bank, slugify


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("names", "first: [Ada]", "'first' and 'last', lists or blocks of words"),
        ("organisations", "kinds: {software: {heads: [A]}}", "'heads' and 'tails'"),
        ("filler/devops", "pieces: {files: notes}", "a list of them for every kind"),
        ("filler/devops", "pieces: {files: [notes]}", "every piece to be a mapping"),
        ("names", "- a", "expected a mapping with format: 1"),
    ],
)
def test_a_malformed_bank_is_refused_with_its_file(tmp_path: Path, name: str, text: str, words: str) -> None:
    path = tmp_path / "banks" / f"{name}.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text if text.startswith("-") else f"format: 1\n{text}\n", encoding="utf-8")
    with pytest.raises(ScenarioError, match=words) as caught:
        Bank(tmp_path).load(name)
    assert f"banks/{name}.yaml" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "slug"), [("Łukasz", "lukasz"), ("Aydın", "aydin"), ("Øystein", "oystein"), ("Straße 9", "strasse9")]
)
def test_names_become_ascii_ids(name: str, slug: str) -> None:
    assert slugify(name) == slug
