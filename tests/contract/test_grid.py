"""The bank's grid is a balanced block, and every family stands in a cell of it."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest

from impress_env.scenario.load import family, listed
from impress_env.taxonomy import DOMAINS, MOTIVES, RISKS

GRID = Path(__file__).parents[2] / "scenarios/impress_scenarios/grid.csv"
CELLS = list(csv.DictReader(GRID.read_text(encoding="utf-8").splitlines()))


def test_each_motive_risk_and_domain_stands_in_six_cells_two_of_them_test() -> None:
    assert len(CELLS) == 72
    for column, known in (("motive", [m for m in MOTIVES if m != "none"]), ("risk", RISKS), ("domain", DOMAINS)):
        assert Counter(cell[column] for cell in CELLS) == dict.fromkeys(known, 6)
        assert Counter(cell[column] for cell in CELLS if cell["split"] == "test") == dict.fromkeys(known, 2)


@pytest.mark.parametrize("name", listed())
def test_a_family_stands_in_a_cell_of_its_own(name: str) -> None:
    spec = family(name).spec
    cell = {"domain": spec.domain, "motive": spec.motive, "risk": spec.risk, "split": spec.split}
    assert [c["cell"] for c in CELLS if cell.items() <= c.items()], cell
