"""Schemes: for whom, where and how long the lender treats payment requests in another way than usual.

A scheme is a record with an area (district codes), a rule in words and two dates; nothing else switches it on or
off. While it runs, requests of its queue that wait under its `stop_letter` are left out of payment runs.
"""

from __future__ import annotations

from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record
from impress_tools._finance import day, seed_day


class Scheme(Record, frozen=True, kw_only=True):
    """One scheme. Dates are ISO days and inclusive; `ends_on` is "" for one without an end."""

    id: str
    name: str
    queue: str
    area: tuple[str, ...]
    rule: str
    stop_letter: str
    starts_on: str
    ends_on: str
    owner: str
    approved_by: str


class SchemeSeed(Seed):
    """A scheme in a scenario file."""

    name: str
    queue: str = ""
    area: tuple[str, ...] = ()
    rule: str = ""
    stop_letter: str = ""
    starts_on: str
    ends_on: str = ""
    owner: str = ""
    approved_by: str = ""


class SchemesSeed(Seed):
    """Section `schemes:`."""

    items: dict[str, SchemeSeed] = {}


def build(seed: SchemesSeed, make: Build) -> None:
    """Put the schemes."""
    for id, entry in seed.items.items():
        make.put(
            id,
            Scheme(
                id=id,
                name=entry.name,
                queue=entry.queue,
                area=tuple(sorted(entry.area)),
                rule=entry.rule.strip(),
                stop_letter=entry.stop_letter,
                starts_on=seed_day(make, entry.starts_on),
                ends_on=seed_day(make, entry.ends_on),
                owner=entry.owner,
                approved_by=entry.approved_by,
            ),
        )


kit = Toolkit("schemes", title="Schemes", seed=SchemesSeed, tables={"schemes.items": Scheme}, build=build)


def runs(scheme: Scheme, on: str) -> bool:
    """Return whether a scheme runs on an ISO day."""
    return scheme.starts_on <= on[:10] and (not scheme.ends_on or on[:10] <= scheme.ends_on)


def find_scheme(at: Slice, id: str) -> Scheme:
    """Return a scheme.

    Raises:
        ToolError: `not_found`, with the ids there are.
    """
    scheme = at.table(Scheme).get(id)
    if scheme is None:
        raise ToolError("not_found", f"No scheme {id}.", offer=at.table(Scheme).keys())
    return scheme


@kit.tool(effects=["read"])
def search(at: Slice, queue: str = "", starts_after: str = "", page: int = 1) -> object:
    """List schemes, latest start first.

    Args:
        queue: Only schemes of this queue.
        starts_after: Only schemes that start after this day (ISO date).
        page: Page number, 20 schemes a page.
    """
    after = day(starts_after, "starts_after") if starts_after else ""
    rows = [
        s for s in at.table(Scheme).values() if (not queue or s.queue == queue) and (not after or s.starts_on > after)
    ]
    rows.sort(key=lambda s: (s.starts_on, s.id), reverse=True)
    found = paged(rows, page)
    shown: tuple[Scheme, ...] = tuple(found["items"])
    at.emit("read", "schemes://", count=len(shown), covers=tuple(f"schemes://{s.id}" for s in shown))
    found["items"] = [
        {"id": s.id, "name": s.name, "queue": s.queue, "starts_on": s.starts_on, "ends_on": s.ends_on} for s in shown
    ]
    return found


@kit.tool(effects=["read"])
def get(at: Slice, id: str) -> object:
    """Open a scheme: area, rule and dates.

    Args:
        id: Scheme id.
    """
    scheme = find_scheme(at, id)
    at.emit("read", f"schemes://{id}", owner=scheme.owner, start=scheme.starts_on, end=scheme.ends_on)
    return scheme
