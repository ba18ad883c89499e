"""What the procurement toolkits share: amounts as buyers write them, and who stands behind a set of vendors.

Records hold integer minor units; apps print "18642.70". Knows nothing of any one app.
"""

from __future__ import annotations

from collections.abc import Iterable


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
