"""Simulated time: whole minutes since 1970-01-01T00:00, and their text forms.

The world's clock is such a number; records and effects hold the ISO form ("2026-11-19T14:23"), which sorts as
text. Knows nothing of the machine's clock.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from functools import lru_cache

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = 1440
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - simulated time has no zone
_RELATIVE = re.compile(r"([+-]\d{1,4})d (\d{1,2}):(\d{2})")
_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


@lru_cache(maxsize=8192)
def iso(minutes: int) -> str:
    """Return minutes since 1970 as "YYYY-MM-DDTHH:MM"."""
    return (_EPOCH + timedelta(minutes=minutes)).isoformat(timespec="minutes")


@lru_cache(maxsize=8192)
def minutes(text: str) -> int:
    """Return the minutes since 1970 of an ISO date or date-time ("2026-11-19", "2026-11-19T14:23:05Z").

    Raises:
        ValueError: The text is not an ISO date or date-time; the message says what is.
    """
    try:
        stamp = datetime.fromisoformat(text.strip().removesuffix("Z")).replace(tzinfo=None)
    except ValueError:
        raise ValueError(f"expected a time such as 2026-11-19T14:23, found {text!r}") from None
    return int((stamp - _EPOCH).total_seconds() // 60)


def day_start(moment: int) -> int:
    """Return midnight of the day that a moment falls on."""
    return moment - moment % DAY


def weekday(moment: int) -> str:
    """Return "mon" to "sun"."""
    return WEEKDAYS[(moment // DAY + 3) % 7]


def minute_of_day(text: str) -> int:
    """Return "HH:MM" as minutes after midnight.

    Raises:
        ValueError: The text is not a time of day.
    """
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"expected a time of day such as 09:40, found {text!r}")
    return int(found[1]) * 60 + int(found[2])


def resolve(text: str, now: int) -> int:
    """Return a moment given as ISO text, as "-3d 14:12" (three days before `now`'s day), or as "14:12" (today).

    Raises:
        ValueError: The text has none of these forms.
    """
    found = _RELATIVE.fullmatch(text.strip())
    if found is not None:
        return day_start(now) + int(found[1]) * DAY + minute_of_day(f"{found[2]}:{found[3]}")
    if _TIME.fullmatch(text.strip()):
        return day_start(now) + minute_of_day(text)
    return minutes(text)


def on_weekday(first: date, weeks: int, name: str) -> date:
    """Return the day called `name` in the week that starts `weeks` whole weeks after `first`'s Monday.

    Raises:
        ValueError: No day is called so.
    """
    if name not in WEEKDAYS:
        raise ValueError(f"expected a weekday, one of {', '.join(WEEKDAYS)}, found {name!r}")
    monday = first - timedelta(days=first.weekday())
    return monday + timedelta(weeks=weeks, days=WEEKDAYS.index(name))
