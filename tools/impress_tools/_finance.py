"""What the finance desk's apps share: money in minor units, days, working days."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal, InvalidOperation

from impress_env.errors import ToolError
from impress_env.tool import Build


def minor(value: str | int | float, argument: str) -> int:
    """Return an amount given in a call, in major units ("412.60", 412.6, 95), as minor units.

    Raises:
        ToolError: `invalid_arguments`; it is no amount, or has more than two decimals.
    """
    try:
        cents = Decimal(str(value).strip().lstrip("£").replace(",", "")) * 100
        whole = int(cents)
    except (InvalidOperation, ValueError, OverflowError):
        whole, cents = 0, Decimal("NaN")
    if cents != whole or abs(whole) > 10**12:
        raise ToolError(
            "invalid_arguments",
            f"{argument}: not an amount.",
            expected="an amount such as 412.60",
            found=str(value)[:80],
        )
    return whole


def day(text: str, argument: str) -> str:
    """Return a day given in a call as an ISO date.

    Raises:
        ToolError: `invalid_arguments`; it is no ISO date.
    """
    try:
        return date.fromisoformat(text.strip()[:10]).isoformat()
    except ValueError:
        raise ToolError(
            "invalid_arguments",
            f"{argument}: not a date.",
            expected="a date such as 2026-12-04",
            found=text[:80],
        ) from None


def seed_day(make: Build, text: str) -> str:
    """Return the ISO date of a moment of a scenario file; "" stays ""."""
    return make.time(text)[:10] if text else ""


def working_days_after(first: str, last: str) -> int:
    """Return how many Mondays to Fridays lie after `first` up to and including `last` (ISO dates)."""
    here, end = date.fromisoformat(first[:10]), date.fromisoformat(last[:10])
    count = 0
    while here < end and count < 400:
        here += timedelta(days=1)
        count += here.weekday() < 5
    return count
