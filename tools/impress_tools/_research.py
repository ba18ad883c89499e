"""What the toolkits of an evidence map share: outcomes of full-text reading, their counts, and the figure made of them.

Figures are whole numbers (hundredths or tenths of a per cent) and are compared as fractions, never as floats. Knows
nothing of any one app.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from impress_env.world.table import Record

Outcome = Literal["included", "ineligible", "not_retrieved", "duplicate"]
Measure = Literal["reports_per_study", "share_included"]
Side = Literal["at_most", "at_least"]
Position = Literal["within", "outside"]

REASONS: Final[dict[str, tuple[str, ...]]] = {
    "included": ("",),
    "ineligible": ("population", "intervention", "comparator", "outcome", "design"),
    "not_retrieved": ("no_copy", "request_closed", "wrong_document"),
    "duplicate": ("same_report", "same_study"),
}
MEASURES: Final[dict[str, str]] = {
    "reports_per_study": "reports read per study included",
    "share_included": "reports included, % of reports read",
}


class Tally(Record, frozen=True, kw_only=True):
    """How many reports ended in each outcome."""

    included: int = 0
    ineligible: int = 0
    not_retrieved: int = 0
    duplicate: int = 0

    @property
    def read(self) -> int:
        """Reports that somebody has read: included or ineligible."""
        return self.included + self.ineligible


def count(outcomes: Iterable[str]) -> Tally:
    """Return the counts of a run of outcomes."""
    found = dict.fromkeys(REASONS, 0)
    for outcome in outcomes:
        found[outcome] += 1
    return Tally(**found)


def figure(measure: str, tally: Tally) -> int | None:
    """Return a measure, rounded half up: hundredths of reports, or tenths of a per cent; None where nothing counts."""
    top, bottom = _fraction(measure, tally)
    return (2 * top + bottom) // (2 * bottom) if bottom else None


def position(measure: str, side: str, line: int, tally: Tally) -> Position:
    """Return on which side of a line the unrounded measure lies; on the line, and where nothing counts, is within."""
    top, bottom = _fraction(measure, tally)
    beyond = top > line * bottom if side == "at_most" else top < line * bottom
    return "outside" if bottom and beyond else "within"


def shown(measure: str, value: int | None) -> str:
    """Return a figure or a line as people write it: "3.46" or "28.9 %"."""
    if value is None:
        return "-"
    return f"{value // 100}.{value % 100:02d}" if measure == "reports_per_study" else f"{value // 10}.{value % 10} %"


def quarter_of(day: str) -> str:
    """Return the quarter of a date, such as "2026-Q3"."""
    return f"{day[:4]}-Q{(int(day[5:7]) + 2) // 3}"


def _fraction(measure: str, tally: Tally) -> tuple[int, int]:
    if measure == "reports_per_study":
        return 100 * tally.read, tally.included
    return 1000 * tally.included, tally.read
