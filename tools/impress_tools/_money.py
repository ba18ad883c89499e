"""Amounts as apps of several domains keep and show them: whole minor units inside, "18742.50" outside.

Knows nothing of any one app or currency.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field


def _minor(value: object) -> object:
    if isinstance(value, float):
        raise ValueError("write an amount in quotes, such as '18742.50', or as whole minor units")
    if isinstance(value, str):
        whole, _, cents = value.replace(",", "").partition(".")
        if not whole.removeprefix("-").isdigit() or (cents and not (cents.isdigit() and len(cents) <= 2)):
            raise ValueError(f"expected an amount such as '18742.50', found {value!r}")
        size = abs(int(whole)) * 100 + int(f"{cents:0<2}")
        return -size if whole.startswith("-") else size
    return value


Minor = Annotated[int, BeforeValidator(_minor), Field(ge=-(10**13), le=10**13)]
"""An amount in a scenario file: text ("18742.50"), or a whole number of minor units."""


def money(amount: int) -> str:
    """Return minor units as text with two decimals: -41260 -> "-412.60"."""
    sign = "-" if amount < 0 else ""
    return f"{sign}{abs(amount) // 100}.{abs(amount) % 100:02d}"
