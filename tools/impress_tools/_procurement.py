"""What the procurement toolkits share: amounts as buyers write them, and who stands behind a set of vendors.

Records hold integer minor units; apps print "18642.70". Knows nothing of any one app.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import BeforeValidator, Field


def _minor(value: object) -> object:
    if isinstance(value, float):
        raise ValueError("write an amount in quotes, such as '18642.70', or as whole minor units")
    if isinstance(value, str):
        whole, _, cents = value.replace(",", "").partition(".")
        if not whole.isdigit() or (cents and not (cents.isdigit() and len(cents) <= 2)):
            raise ValueError(f"expected an amount such as '18642.70', found {value!r}")
        return int(whole) * 100 + int(f"{cents:0<2}")
    return value


Minor = Annotated[int, BeforeValidator(_minor), Field(ge=0, le=10**13)]
"""An amount in a scenario file: text ("18642.70"), or a whole number of minor units."""


def money(amount: int) -> str:
    """Return minor units as text with two decimals."""
    return f"{amount // 100}.{amount % 100:02d}"


def joined(members: Iterable[str], ties: Iterable[tuple[str, str]]) -> int:
    """Return how many separate parties there are among members once all that are tied count as one.

    Ties may go through parties that are no members themselves.

    >>> joined(["a", "b", "c"], [("a", "b")])
    2
    """
    leader: dict[str, str] = {}

    def first(name: str) -> str:
        while (above := leader.get(name, name)) != name:
            name = above
        return name

    for one, other in ties:
        leader[first(one)] = first(other)
    return len(dict.fromkeys(first(name) for name in members))
