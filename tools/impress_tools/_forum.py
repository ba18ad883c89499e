"""What the forum toolkits share: nights as people write them, days, medians.

Pure functions over text and numbers; no app, no state, no tools.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

from impress_env.clock import iso, minutes, weekday
from impress_env.errors import ToolError

MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def spoken(start: str, end: str) -> str:
    """Return an interval as people write it: "Thu 18 Feb 23:00-03:00"."""
    day = date.fromisoformat(start[:10])
    return f"{weekday(minutes(start)).capitalize()} {day.day} {MONTHS[day.month - 1]} {start[11:16]}-{end[11:16]}"


def monday(text: str, argument: str) -> str:
    """Return the Monday of the week of a day given by the agent, as an ISO day.

    Raises:
        ToolError: `invalid_arguments` for what is no day.
    """
    day = date.fromisoformat(moment(text, argument)[:10])
    return (day - timedelta(days=day.weekday())).isoformat()


def moment(text: str, argument: str) -> str:
    """Return a time given by the agent as ISO minutes.

    Raises:
        ToolError: `invalid_arguments`.
    """
    try:
        return iso(minutes(text))
    except (ValueError, OverflowError):
        raise ToolError(
            "invalid_arguments",
            f"{argument}: not a time.",
            expected="2026-11-19 or 2026-11-19T14:23",
            found=text[:40],
        ) from None


def median(numbers: Sequence[int]) -> int | None:
    """Return the median, rounded down to a whole number, or None of nothing."""
    rows = sorted(numbers)
    if not rows:
        return None
    half = len(rows) // 2
    return rows[half] if len(rows) % 2 else (rows[half - 1] + rows[half]) // 2
