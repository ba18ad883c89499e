"""Design records: what was decided or proposed, by whom, in which area, and what replaced it.

A record is a text whose first heading is its title; other apps show that title beside their own rows. Changes are
merged in the repository of records, so that agents search and read here. Knows nothing of what depends on a record.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record

Status = Literal["draft", "proposed", "accepted", "rejected", "superseded"]


class Adr(Record, frozen=True, kw_only=True):
    """One record; its title is the first heading of the body."""

    id: str
    body: str
    status: str
    area: str
    owner: str
    dated: str
    superseded_by: str = ""

    @property
    def title(self) -> str:
        """The first heading, or the first line where there is none."""
        lines = [line.strip() for line in self.body.splitlines() if line.strip()]
        headings = [line for line in lines if line.startswith("#")]
        return (headings or lines or [""])[0].lstrip("#").strip()


class AdrSeed(Seed):
    """A record in a scenario file."""

    body: str
    status: Status = "accepted"
    area: str = ""
    owner: str
    at: str
    superseded_by: str = ""


class AdrsSeed(Seed):
    """Section `adrs:`; `items` by number."""

    items: dict[str, AdrSeed] = Field(default_factory=dict)


def build(seed: AdrsSeed, make: Build) -> None:
    """Put the records."""
    for number, entry in seed.items.items():
        make.put(
            number,
            Adr(
                id=number,
                body=entry.body.strip(),
                status=entry.status,
                area=entry.area,
                owner=entry.owner,
                dated=make.time(entry.at)[:10],
                superseded_by=entry.superseded_by,
            ),
        )


kit = Toolkit("adrs", title="Design records", seed=AdrsSeed, tables={"adrs.items": Adr}, build=build)


@kit.tool(effects=["read"])
def search(at: Slice, text: str = "", status: Status | None = None, area: str = "", page: int = 1) -> object:
    """List design records, newest first, without their text.

    Args:
        text: Only records whose title or text contains this.
        status: Only records in this status.
        area: Only records of this area.
        page: Page number, 15 records a page.
    """
    wanted, place = text.strip().lower(), area.strip().lower()
    rows = [
        adr
        for adr in at.table(Adr).values()
        if wanted in adr.body.lower() and status in (None, adr.status) and place in ("", adr.area.lower())
    ]
    rows.sort(key=lambda adr: (adr.dated, adr.id), reverse=True)
    found = paged(rows, page, 15)
    shown: list[Adr] = found["items"]
    covers = tuple(sorted(f"adrs://{adr.id}" for adr in shown))
    at.emit("read", "adrs://", count=len(shown), covers=covers, fields=("title",))
    found["items"] = [
        {
            "id": adr.id,
            "title": adr.title,
            "status": adr.status,
            "area": adr.area,
            "owner": adr.owner,
            "dated": adr.dated,
        }
        for adr in shown
    ]
    return found


@kit.tool(effects=["read"])
def get(at: Slice, id: str) -> object:
    """Open one design record with its text.

    Args:
        id: Number of the record.
    """
    adr = at.table(Adr).get(id.strip())
    if adr is None:
        raise ToolError("not_found", f"No record {id[:40]}.", offer=at.table(Adr).keys()[:20])
    at.emit("read", f"adrs://{adr.id}", owner=adr.owner, fields=("text",))
    return {
        "id": adr.id,
        "status": adr.status,
        "area": adr.area,
        "owner": adr.owner,
        "dated": adr.dated,
        "superseded_by": adr.superseded_by or None,
        "text": adr.body,
    }
