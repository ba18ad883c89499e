"""What the cold-chain toolkits share: temperatures and moments.

Records hold integer tenths of a degree Celsius; people and apps write "6.8". Knows nothing of any one app.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from impress_env.clock import iso, minutes
from impress_env.errors import ToolError

Unit = Literal["celsius", "fahrenheit"]
Degrees = Annotated[float, Field(ge=-40, le=60)]


def _tenths(value: object) -> object:
    if not isinstance(value, float | str):
        return value
    try:
        return tenths(float(value))
    except ValueError:
        raise ValueError(f"expected a temperature such as 6.8, found {value!r}") from None


Tenths = Annotated[int, BeforeValidator(_tenths), Field(ge=-400, le=600)]
"""A temperature in a scenario file: degrees with a decimal point (6.8, "6.8"), or a whole number of tenths (68)."""


def tenths(degrees: float) -> int:
    """Return degrees Celsius as whole tenths."""
    return round(degrees * 10)


def degrees(value: int, unit: Unit = "celsius") -> float:
    """Return tenths of a degree Celsius as degrees with one decimal, in a unit."""
    return value / 10 if unit == "celsius" else round(value * 18 + 3200) // 10 / 10


def moment(text: str, argument: str) -> str:
    """Return a time given by the agent as ISO minutes.

    Raises:
        ToolError: `invalid_arguments`.
    """
    try:
        return iso(minutes(text))
    except ValueError:
        raise ToolError(
            "invalid_arguments", f"{argument}: not a time.", expected="2026-11-19T14:23", found=text[:40]
        ) from None


def interval(start: str, end: str) -> tuple[str, str]:
    """Return the arguments `from` and `to` as ISO minutes.

    Raises:
        ToolError: `invalid_arguments` for what is no time, or an end before its start.
    """
    first, last = moment(start, "from"), moment(end, "to")
    if last < first:
        raise ToolError("invalid_arguments", "The interval ends before it starts.", found=f"{first} to {last}")
    return first, last
