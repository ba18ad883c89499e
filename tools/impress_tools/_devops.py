"""What the platform team's apps share: remarks, moments in arguments, running numbers."""

from __future__ import annotations

from collections.abc import Iterable

from impress_env.clock import iso, minutes
from impress_env.errors import ToolError
from impress_env.tool import Slice
from impress_env.world.table import Record


class Remark(Record, frozen=True, kw_only=True):
    """One remark that somebody left on a record."""

    who: str
    at: str
    text: str


def moment(text: str, argument: str) -> str:
    """Return a moment given in a call as ISO minutes.

    Raises:
        ToolError: `invalid_arguments`; it is no ISO time.
    """
    try:
        return iso(minutes(text))
    except (ValueError, OverflowError):
        raise ToolError(
            "invalid_arguments",
            f"{argument}: not a time.",
            expected="a time such as 2026-11-19T03:12",
            found=text[:80],
        ) from None


def remark(at: Slice, text: str) -> Remark:
    """Return the actor's remark, stamped with the present.

    Raises:
        ToolError: `invalid_arguments`; it is empty.
    """
    if not text.strip():
        raise ToolError("invalid_arguments", "The comment is empty.", expected="some text")
    return Remark(who=at.account, at=at.now, text=text)


def number_after(ids: Iterable[str], prefix: str, first: int) -> int:
    """Return the number that follows the highest one given out under a prefix, or `first`."""
    given = [int(rest) for id in ids if id.startswith(prefix) and (rest := id.removeprefix(prefix)).isdecimal()]
    return max(given) + 1 if given else first
