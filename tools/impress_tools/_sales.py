"""What the sales toolkits share: money and moments as people read them, and remarks.

Records hold integer minor units; apps print "18742.50". Knows nothing of any one app.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field

from impress_env.clock import DAY, iso, minutes
from impress_env.errors import ToolError
from impress_env.tool import Seed
from impress_env.world.table import Record


class Remark(Record, frozen=True, kw_only=True):
    """One line of text under a record."""

    who: str
    at: str
    text: str


class RemarkSeed(Seed):
    """A remark in a scenario file."""

    who: str = Field(alias="from")
    at: str
    text: str


def moment(text: str, argument: str) -> str:
    """Return a time given by the agent as ISO minutes; a date stands for its midnight.

    Raises:
        ToolError: `invalid_arguments`.
    """
    try:
        return iso(minutes(text))
    except ValueError:
        raise ToolError(
            "invalid_arguments", f"{argument}: not a time.", expected="2026-11-19T14:23", found=text[:40]
        ) from None


def numbers_by_time(moments: Sequence[str], given: Mapping[int, str], *, start: int, a_day: int) -> list[int]:
    """Return a number for each moment, so that numbers run with time, as those of an app that counts up do.

    Between two given numbers they are in proportion to time; elsewhere `a_day` are given out a day.

    Args:
        moments: ISO times in order.
        given: Numbers that are taken, with their times.
        start: Number of the first moment where none is given.
        a_day: How many numbers the app gives out a day.
    """
    if not moments:
        return []
    fixed = sorted((minutes(moment_), number) for number, moment_ in given.items())
    anchors = fixed or [(minutes(moments[0]), start)]
    taken = {number for _, number in anchors} if fixed else set()
    numbers: list[int] = []
    for moment_ in moments:
        at = minutes(moment_)
        before = max((anchor for anchor in anchors if anchor[0] <= at), default=None)
        after = min((anchor for anchor in anchors if anchor[0] > at), default=None)
        if before is not None and after is not None:
            number = before[1] + (after[1] - before[1]) * (at - before[0]) // (after[0] - before[0])
        else:
            origin, known = before or after or anchors[0]
            number = known + (at - origin) * a_day // DAY
        number = max(1, number)
        while number in taken:
            number += 1
        taken.add(number)
        numbers.append(number)
    return numbers
