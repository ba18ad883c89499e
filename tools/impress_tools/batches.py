"""Batches: which vaccine batches lie where, how many doses, and whether they may be used.

Knows nothing of temperatures or of who decides; status and place are what it keeps.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record

Status = Literal["usable", "quarantined", "discarded"]


class Move(Record, frozen=True, kw_only=True):
    """One change of a batch: by whom, when, what it was and what it became ("usable AR-F1" …)."""

    at: str
    who: str
    before: str
    after: str
    note: str


class Batch(Record, frozen=True, kw_only=True):
    """One batch at one site."""

    id: str
    product: str
    doses: int
    expiry: str
    site: str
    fridge: str
    location: str
    status: str
    received: str
    moves: tuple[Move, ...] = ()


class MoveSeed(Seed):
    """A past change in a scenario file."""

    at: str
    who: str
    before: str = ""
    after: str
    note: str = ""


class BatchSeed(Seed):
    """A batch in a scenario file."""

    product: str
    doses: Annotated[int, Field(ge=0, le=5000)]
    expiry: str
    site: str
    fridge: str
    location: str = ""
    status: Status = "usable"
    received: str = "-20d 10:30"
    moves: tuple[MoveSeed, ...] = ()


class BatchesSeed(Seed):
    """Section `batches:`; `items` by batch number."""

    items: dict[str, BatchSeed] = Field(default_factory=dict)


def build(seed: BatchesSeed, make: Build) -> None:
    """Put the batches."""
    for number, entry in seed.items.items():
        moves = tuple(
            Move(at=make.time(m.at), who=m.who, before=m.before, after=m.after, note=m.note) for m in entry.moves
        )
        make.put(
            number,
            Batch(
                id=number,
                product=entry.product,
                doses=entry.doses,
                expiry=entry.expiry,
                site=entry.site,
                fridge=entry.fridge,
                location=entry.location,
                status=entry.status,
                received=make.time(entry.received),
                moves=moves,
            ),
        )


kit = Toolkit("batches", title="Vaccine stock", seed=BatchesSeed, tables={"batches.items": Batch}, build=build)


def in_fridge(at: Slice, fridge: str) -> tuple[str, ...]:
    """Return the uris of the batches that lie in a fridge and are not discarded, sorted.

    The toolkit whose slice it is must list `batches` in `uses`.
    """
    rows = at.table(Batch).where(fridge=fridge)
    return tuple(sorted(f"batches://{batch.id}" for batch in rows if batch.status != "discarded"))


@kit.tool(effects=["read"])
def search(
    at: Slice,
    fridge_id: str = "",
    site: str = "",
    product: str = "",
    status: Status | None = None,
    page: int = 1,
) -> object:
    """List vaccine batches in stock, soonest expiry first.

    Args:
        fridge_id: Only batches in this fridge.
        site: Only batches at this site.
        product: Only products whose name contains this text.
        status: Only batches in this status.
        page: Page number, 15 batches a page.
    """
    place, text = site.strip().lower(), product.strip().lower()
    rows = [
        batch
        for batch in at.table(Batch).values()
        if fridge_id in ("", batch.fridge)
        and place in ("", batch.site.lower())
        and text in batch.product.lower()
        and status in (None, batch.status)
    ]
    rows.sort(key=lambda batch: (batch.expiry, batch.id))
    found = paged(rows, page, 15)
    shown: list[Batch] = found["items"]
    at.emit("read", "batches://", count=len(shown), covers=tuple(sorted(f"batches://{b.id}" for b in shown)))
    found["items"] = [
        {
            "batch_id": b.id,
            "product": b.product,
            "doses": b.doses,
            "expiry": b.expiry,
            "site": b.site,
            "fridge_id": b.fridge,
            "location": b.location,
            "status": b.status,
        }
        for b in shown
    ]
    return found


@kit.tool(effects=["read"])
def get(at: Slice, batch_id: str) -> object:
    """Open one batch with its moves.

    Args:
        batch_id: Batch number.
    """
    batch = _find(at, batch_id)
    at.emit("read", f"batches://{batch.id}")
    return batch


@kit.tool(effects=["control", "update"])
def update(
    at: Slice,
    batch_ids: list[str],
    status: Status | None = None,
    location: str | None = None,
    note: str = "",
) -> object:
    """Change the status or the place of batches.

    Args:
        batch_ids: Batch numbers.
        status: New status.
        location: Where they lie now, such as a shelf.
        note: Remark kept with the change.
    """
    if status is None and location is None:
        raise ToolError("invalid_arguments", "Nothing to change.", expected="status or location")
    if not batch_ids:
        raise ToolError("invalid_arguments", "No batches given.", expected="at least one batch number")
    found = [_find(at, number) for number in dict.fromkeys(batch_ids)]
    for batch in found:
        new_status = batch.status if status is None else status
        new_location = batch.location if location is None else location
        move = Move(
            at=at.now,
            who=at.account,
            before=f"{batch.status} {batch.location}".strip(),
            after=f"{new_status} {new_location}".strip(),
            note=note,
        )
        at.table(Batch).update(batch.id, status=new_status, location=new_location, moves=(*batch.moves, move))
        uri = f"batches://{batch.id}"
        if status is not None:
            at.emit("control", uri, subject=batch.fridge, before=batch.status, after=new_status, reason=note)
        if location is not None:
            at.emit("update", uri, fields=("location",), before=batch.location, after=new_location)
    return {"changed": len(found), "status": status, "location": location}


def _find(at: Slice, number: str) -> Batch:
    batch = at.table(Batch).get(number)
    if batch is None:
        near = [b.id for b in at.table(Batch).values() if b.id[:2].lower() == number[:2].lower()]
        raise ToolError("not_found", f"No batch {number}.", offer=near or at.table(Batch).keys()[:20])
    return batch
