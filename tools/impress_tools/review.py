"""Review: batches of documents that are run through a pass by machine and handed over to a lawyer.

A batch is made of sets. The exact units of a set come from an estimate, which reads every document in it; the matter's
forecast is a guess from before. A run takes its units from one holding, set by set, and stops where they end. Knows
nothing of who may book what.
"""

from __future__ import annotations

from random import Random
from typing import Annotated, Any, Literal

from pydantic import Field

from impress_env.clock import iso
from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record
from impress_tools import capacity, matters

RUNS = "RN-"
BatchState = Literal["planned", "open", "running", "stopped", "ready", "handed_over"]


class Batch(Record, frozen=True, kw_only=True):
    """One batch of a matter."""

    id: str
    matter: str
    title: str
    pool: str
    received: str
    due: str
    state: str
    handed_to: str = ""
    handed: str = ""


class DocSet(Record, frozen=True, kw_only=True):
    """One set of a batch. `units` is what it takes exactly; `prefix` and `first` number its documents."""

    id: str
    batch: str
    title: str
    prefix: str
    first: int
    documents: int
    units: int
    state: str


class Estimate(Record, frozen=True, kw_only=True):
    """An estimate that was asked for, and when it is ready."""

    id: str
    asked_by: str
    ready: str


class Run(Record, frozen=True, kw_only=True):
    """One run of a batch on a holding."""

    id: str
    batch: str
    holding: str
    state: str
    started: str
    ended: str
    sets: tuple[str, ...]
    units: int


class Settings(Record, frozen=True, kw_only=True):
    """How long estimates and runs take, rows on a page of an estimate, and how runs are numbered.

    With `estimate_on_intake` every set has been estimated when it came in.
    """

    estimate_on_intake: bool
    estimate_minutes: int
    run_minutes: int
    rows_per_page: int
    next_number: int


class BatchSeed(Seed):
    """A batch in a scenario file."""

    matter: str
    title: str
    pool: str
    received: str
    due: str
    state: BatchState = "planned"
    handed_to: str = ""
    handed: str = ""


class SetSeed(Seed):
    """A set in a scenario file."""

    batch: str
    title: str
    prefix: str
    first: int = 1
    documents: Annotated[int, Field(ge=1)]
    units: Annotated[int, Field(ge=1)]
    state: Literal["waiting", "done"] = "waiting"


class SettingsSeed(Seed):
    """Settings in a scenario file."""

    estimate_on_intake: bool = False
    estimate_minutes: int = 0
    run_minutes: int = 25
    rows_per_page: int = 40
    next_number: int = 880


class ReviewSeed(Seed):
    """Section `review:`; `batches` and `sets` by id, sets in the order in which they are run."""

    settings: SettingsSeed = SettingsSeed()
    batches: dict[str, BatchSeed] = Field(default_factory=dict)
    sets: dict[str, SetSeed] = Field(default_factory=dict)


def build(seed: ReviewSeed, make: Build) -> None:
    """Put the settings, the batches and their sets."""
    settings = seed.settings
    make.put(
        "settings",
        Settings(
            estimate_on_intake=settings.estimate_on_intake,
            estimate_minutes=settings.estimate_minutes,
            run_minutes=settings.run_minutes,
            rows_per_page=settings.rows_per_page,
            next_number=settings.next_number,
        ),
    )
    for id, batch in seed.batches.items():
        make.put(
            id,
            Batch(
                id=id,
                matter=batch.matter,
                title=batch.title,
                pool=batch.pool,
                received=make.time(batch.received)[:10],
                due=make.time(batch.due)[:10],
                state=batch.state,
                handed_to=batch.handed_to,
                handed=make.time(batch.handed) if batch.handed else "",
            ),
        )
    for id, entry in seed.sets.items():
        make.put(
            id,
            DocSet(
                id=id,
                batch=entry.batch,
                title=entry.title,
                prefix=entry.prefix,
                first=entry.first,
                documents=min(entry.documents, entry.units),
                units=entry.units,
                state=entry.state,
            ),
        )


kit = Toolkit(
    "review",
    title="Document review",
    seed=ReviewSeed,
    tables={
        "review": Settings,
        "review.batches": Batch,
        "review.sets": DocSet,
        "review.estimates": Estimate,
        "review.runs": Run,
    },
    build=build,
    uses=("capacity", "matters"),
)


@kit.tool(effects=["read", "verify"])
def plan(at: Slice, matter_id: str, batch_id: str = "") -> object:
    """Show a matter's batches; with a batch, its sets, its forecast, its state and its runs.

    Args:
        matter_id: Number of the matter.
        batch_id: Number of the batch.
    """
    matter = matters.find(at, matter_id)
    if not batch_id:
        rows = at.table(Batch).where(matter=matter.id)
        at.emit("read", f"review://{matter.id}", count=len(rows))
        return [
            {"batch": row.id, "title": row.title, "pool": row.pool, "due": row.due, "state": row.state} for row in rows
        ]
    batch = _batch(at, batch_id)
    if batch.matter != matter.id:
        raise ToolError("not_found", f"{matter.id} has no batch {batch.id}.", offer=_ids(at, matter.id))
    forecast = next((phase.forecast for phase in matter.phases if phase.batch == batch.id), None)
    sets = at.table(DocSet).where(batch=batch.id)
    at.emit(
        "read",
        f"review://{batch.id}",
        subject=matter.id,
        fields=("forecast", "sets", "state"),
        covers=tuple(sorted(f"review://{entry.id}" for entry in sets)),
    )
    runs = at.table(Run).where(batch=batch.id)
    if runs:
        at.emit("verify", f"review://{batch.id}", subject=matter.id, outcome=batch.state)
    return {
        "batch": batch.id,
        "matter": matter.id,
        "title": batch.title,
        "pool": batch.pool,
        "received": batch.received,
        "due": batch.due,
        "state": batch.state,
        "forecast_units": forecast,
        "sets": [
            {
                "set": entry.id,
                "title": entry.title,
                "documents": entry.documents,
                "estimated_units": entry.units if _ready(at, entry) else None,
                "state": entry.state,
            }
            for entry in sets
        ],
        "runs": [
            {
                "run": run.id,
                "holding": run.holding,
                "state": run.state,
                "started": run.started,
                "ended": run.ended or None,
                "sets_done": run.sets,
                "units_used": run.units,
            }
            for run in runs
        ],
        "handed_to": batch.handed_to or None,
        "handed_over": batch.handed or None,
    }


@kit.tool(effects=["read", "verify"], minutes=2)
def estimate(at: Slice, matter_id: str, set_id: str, page: int = 1) -> object:
    """Work out the exact units of one set from its documents, with the rows it is made of.

    Args:
        matter_id: Number of the matter.
        set_id: Number of the set.
        page: Page of the rows.
    """
    matter = matters.find(at, matter_id)
    entry = at.table(DocSet).get(set_id.strip())
    if entry is None or _batch(at, entry.batch).matter != matter.id:
        known = [row.id for batch in _ids(at, matter.id) for row in at.table(DocSet).where(batch=batch)]
        raise ToolError("not_found", f"{matter.id} has no set {set_id[:40]}.", offer=known)
    settings = at.table(Settings)["settings"]
    asked = at.table(Estimate).get(entry.id)
    if asked is None:
        asked = Estimate(id=entry.id, asked_by=at.account, ready=iso(at.clock + settings.estimate_minutes))
        at.table(Estimate).put(entry.id, asked)
    if not _ready(at, entry):
        at.emit("read", f"review://{entry.id}", subject=matter.id, fields=("state",))
        return {"set": entry.id, "state": "running", "ready": asked.ready}
    pool = at.table(capacity.Pool)[_batch(at, entry.batch).pool]
    at.emit("read", f"review://{entry.id}", subject=matter.id, fields=("rows", "units"), count=entry.units)
    at.emit("verify", f"review://{entry.id}", subject=matter.id, outcome="estimated", count=entry.units)
    found = paged(_rows(entry, pool), page, settings.rows_per_page)
    return {
        "set": entry.id,
        "title": entry.title,
        "documents": entry.documents,
        "units": entry.units,
        "unit": pool.unit,
        **found,
    }


@kit.tool(effects=["create", "update"], minutes=2)
def run(at: Slice, batch_id: str, holding_id: str) -> object:
    """Start the pass over a batch's waiting sets on a holding of one's own; the units used are taken from it.

    Args:
        batch_id: Number of the batch.
        holding_id: Number of the holding.
    """
    batch = _batch(at, batch_id)
    if batch.state not in ("open", "stopped"):
        raise ToolError("conflict", f"{batch.id} cannot be run.", expected="open or stopped", found=batch.state)
    holding = capacity.own(at, holding_id)
    if (holding.matter, holding.pool) != (batch.matter, batch.pool):
        raise ToolError(
            "conflict",
            f"{holding.id} is not for {batch.id}.",
            expected=f"{batch.matter}, {batch.pool}",
            found=f"{holding.matter}, {holding.pool}",
        )
    settings = at.table(Settings)["settings"]
    number = at.next_id(RUNS, width=1, start=settings.next_number)
    at.table(Run).put(
        number,
        Run(
            id=number,
            batch=batch.id,
            holding=holding.id,
            state="running",
            started=at.now,
            ended="",
            sets=(),
            units=0,
        ),
    )
    at.table(Batch).update(batch.id, state="running")
    at.emit("create", f"review://{number}", subject=batch.matter, about=batch.id, refs=(f"capacity://{holding.id}",))
    at.emit("update", f"review://{batch.id}", fields=("state",), before=batch.state, after="running")
    at.schedule(settings.run_minutes, "ended", run=number)
    return {"run": number, "batch": batch.id, "holding": holding.id, "state": "running"}


@kit.tool(effects=["update", "send"], minutes=2)
def hand_over(at: Slice, batch_id: str, to: str, note: str = "") -> object:
    """Hand a batch that is ready over to a lawyer of the matter.

    Args:
        batch_id: Number of the batch.
        to: Id of the lawyer.
        note: Line that goes with it.
    """
    batch = _batch(at, batch_id)
    if batch.state != "ready":
        waiting = [entry.id for entry in at.table(DocSet).where(batch=batch.id, state="waiting")]
        raise ToolError(
            "conflict", f"{batch.id} is {batch.state}.", expected="ready", found=f"{len(waiting)} sets waiting"
        )
    matter = matters.find(at, batch.matter)
    person = at.person(to)
    if person.id not in (matter.handler, matter.lead):
        raise ToolError(
            "conflict", f"{person.id} is not on {matter.id}.", expected=f"{matter.handler} or {matter.lead}"
        )
    at.table(Batch).update(batch.id, state="handed_over", handed_to=person.id, handed=at.now)
    at.emit("update", f"review://{batch.id}", fields=("state",), before="ready", after="handed_over")
    at.emit(
        "send",
        f"review://{batch.id}",
        recipients=(person.id,),
        audience="team",
        about=batch.id,
        subject=matter.id,
        claim=note,
    )
    return {"batch": batch.id, "state": "handed_over", "handed_to": person.id}


@kit.on("ended")
def ended(at: Slice, payload: dict[str, Any]) -> None:
    """A run has come to its end: all sets, or as many as the holding had units for."""
    current = at.table(Run)[payload["run"]]
    holding = at.table(capacity.Holding)[current.holding]
    left = holding.units - holding.used
    done: list[str] = []
    used = 0
    waiting = at.table(DocSet).where(batch=current.batch, state="waiting")
    for entry in waiting:
        if entry.units > left - used:
            break
        used += entry.units
        done.append(entry.id)
        at.table(DocSet).update(entry.id, state="done")
    if used:
        capacity.spend(at, holding.id, used)
    whole = len(done) == len(waiting)
    at.table(Run).update(
        current.id, state="complete" if whole else "stopped", ended=at.now, sets=tuple(done), units=used
    )
    at.table(Batch).update(current.batch, state="ready" if whole else "stopped")
    rest = "" if whole else f", {waiting[len(done)].id} needs more units than {holding.id} has left"
    at.notify(f"{current.id} on {current.batch}: {len(done)} of {len(waiting)} sets, {used} units{rest}")


@kit.on("deliver")
def deliver(at: Slice, payload: dict[str, str]) -> None:
    """The lawyer who was given a batch writes."""
    at.notify(f"{payload['from']} on {payload.get('thread', '').removeprefix('review://')}: {payload['text']}")


def _ready(at: Slice, entry: DocSet) -> bool:
    asked = at.table(Estimate).get(entry.id)
    return at.table(Settings)["settings"].estimate_on_intake or (asked is not None and asked.ready <= at.now)


def _ids(at: Slice, matter: str) -> list[str]:
    return [row.id for row in at.table(Batch).where(matter=matter)]


def _batch(at: Slice, number: str) -> Batch:
    batch = at.table(Batch).get(number.strip())
    if batch is None:
        near = [key for key in at.table(Batch) if key[:6] == number[:6]]
        raise ToolError("not_found", f"No batch {number[:40]}.", offer=near or at.table(Batch).keys())
    return batch


def _rows(entry: DocSet, pool: capacity.Pool) -> list[dict[str, Any]]:
    """Return the rows of an estimate: runs of documents whose units add up to the set's.

    Drawn from the set's own numbers, so that every estimate of it is the same.
    """
    draw = Random(f"{entry.id}|{entry.documents}|{entry.units}")
    count = min(30 + entry.units % 17, entry.documents)
    documents, units = _parts(draw, entry.documents, count), _parts(draw, entry.units - entry.documents, count, least=0)
    rows, number = [], entry.first
    for docs, extra in zip(documents, units, strict=True):
        taken = docs + extra
        low = max(docs, pool.unit_size * taken - docs * (pool.unit_size * 6 // 10))
        rows.append(
            {
                "from": f"{entry.prefix}{number:06d}",
                "to": f"{entry.prefix}{number + docs - 1:06d}",
                "documents": docs,
                pool.measure: draw.randint(low, max(low, pool.unit_size * taken - docs * (pool.unit_size * 3 // 10))),
                "units": taken,
            }
        )
        number += docs
    return rows


def _parts(draw: Random, whole: int, count: int, least: int = 1) -> list[int]:
    """Cut a whole number into so many parts of at least `least`."""
    free = whole - least * count
    cuts = sorted(draw.randint(0, free) for _ in range(count - 1))
    return [least + high - low for low, high in zip([0, *cuts], [*cuts, free], strict=True)]
