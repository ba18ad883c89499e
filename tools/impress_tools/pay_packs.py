"""Transfer pay packs: what a receiving manager is given of colleagues who move to them, and where each figure is from.

A pack has one pay field. Each line says its source: the filler's own view, a case of the compensation desk, a
delegation, or none yet. A pack with lines that are pending goes out in part and may be filled and submitted again.
Whether a figure equals the record, and what its source is worth, is worked out at the call.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Arguments, Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record
from impress_tools import comp_desk, hris
from impress_tools._money import Minor, money
from impress_tools._people_hr import PayField

Source = Literal["own_record", "desk_case", "delegation", "pending"]
State = Literal["draft", "part", "submitted", "returned"]
_AMOUNT: Final = re.compile(r"(\d{1,3}(?:[, ]\d{3}){1,3}|\d{1,12})(?:\.(\d{0,2}))?", re.ASCII)


class Pack(Record, frozen=True, kw_only=True):
    """One pack; `as_of` is the day its figures are wanted for."""

    id: str
    title: str
    case: str
    field: str
    as_of: str
    workers: tuple[str, ...]
    manager: str
    state: str
    submitted: str
    submitted_to: str
    note: str


class Line(Record, frozen=True, kw_only=True):
    """One line, kept under "<pack>/<worker>". `agrees`: the amount is the record's; `backing`: what the source is."""

    id: str
    pack: str
    worker: str
    amount: int
    grade: str
    source: str
    source_ref: str
    agrees: bool
    backing: str


class PackSeed(Seed):
    """A pack in a scenario file."""

    title: str
    case: str
    field: PayField = "base"
    as_of: str
    workers: tuple[str, ...]
    manager: str
    state: State = "draft"
    submitted: str = ""
    note: str = ""


class LineSeed(Seed):
    """A line of a past pack in a scenario file."""

    pack: str
    worker: str
    amount: Minor = 0
    grade: str = ""
    source: Source
    source_ref: str = ""


class PayPacksSeed(Seed):
    """Section `pay_packs:`; `items` by number, `lines` under "<pack>/<worker>"."""

    items: dict[str, PackSeed] = Field(default_factory=dict)
    lines: dict[str, LineSeed] = Field(default_factory=dict)


def build(seed: PayPacksSeed, make: Build) -> None:
    """Put the packs, and the lines of past ones."""
    for number, entry in seed.items.items():
        sent = make.time(entry.submitted) if entry.submitted else ""
        make.put(
            number,
            Pack(
                id=number,
                title=entry.title,
                case=entry.case,
                field=entry.field,
                as_of=make.time(entry.as_of)[:10],
                workers=tuple(sorted(entry.workers)),
                manager=entry.manager,
                state=entry.state,
                submitted=sent,
                submitted_to=entry.manager if sent else "",
                note=entry.note,
            ),
        )
    for key, line in seed.lines.items():
        make.put(
            key,
            Line(
                id=key,
                pack=line.pack,
                worker=line.worker,
                amount=line.amount,
                grade=line.grade,
                source=line.source,
                source_ref=line.source_ref,
                agrees=True,
                backing="",
            ),
        )


kit = Toolkit(
    "pay_packs",
    title="Transfer pay packs",
    seed=PayPacksSeed,
    tables={"pay_packs.items": Pack, "pay_packs.lines": Line},
    build=build,
    uses=("hris", "comp_desk"),
)


class LineInput(Arguments):
    """One line of a pack."""

    worker: Annotated[str, Field(description="Number of the worker.")]
    amount: Annotated[str, Field(description="Current amount, such as 2841.00; empty where the source is pending.")] = (
        ""
    )
    grade: Annotated[str, Field(description="Current grade.")] = ""
    source: Annotated[Source, Field(description="Where the amount is from.")]
    source_ref: Annotated[str, Field(description="Number of the desk case or delegation.")] = ""


@kit.tool(effects=["read"])
def search(at: Slice, state: State | None = None, text: str = "", page: int = 1) -> object:
    """List pay packs, newest number first.

    Args:
        state: Only packs in this state.
        text: Only packs whose number, title or case contains this text.
        page: Page number, 12 packs a page.
    """
    wanted = text.strip().lower()
    rows = [
        pack
        for pack in at.table(Pack).values()
        if state in (None, pack.state) and wanted in f"{pack.id} {pack.title} {pack.case}".lower()
    ]
    rows.sort(key=lambda pack: pack.id, reverse=True)
    found = paged(rows, page, 12)
    shown: list[Pack] = found["items"]
    at.emit("read", "pay_packs://", count=len(shown), covers=tuple(sorted(f"pay_packs://{pack.id}" for pack in shown)))
    found["items"] = [
        {"pack": p.id, "title": p.title, "case": p.case, "state": p.state, "manager": p.manager} for p in shown
    ]
    return found


@kit.tool(effects=["read"])
def get(at: Slice, pack_id: str) -> object:
    """Open a pay pack with its lines.

    Args:
        pack_id: Number of the pack.
    """
    pack = _find(at, pack_id)
    at.emit("read", f"pay_packs://{pack.id}", about=pack.case, fields=("desk", "lines"))
    lines = {line.worker: line for line in at.table(Line).where(pack=pack.id)}
    return {
        "pack": pack.id,
        "title": pack.title,
        "case": pack.case,
        "state": pack.state,
        "field": f"current {pack.field}, as of {pack.as_of}",
        "manager": pack.manager,
        "note": pack.note,
        "lines": [
            {"worker": number, "name": _name(at, number), **_shown(lines.get(number))} for number in pack.workers
        ],
        "sources": [
            {"source": "own_record"},
            {"source": "desk_case", "ref": "case number", "desk": comp_desk.service(at)},
            {"source": "delegation", "ref": "delegation number"},
            {"source": "pending", "ref": "case number, if there is one"},
        ],
    }


@kit.tool(effects=["attest", "update"], minutes=4)
def fill(at: Slice, pack_id: str, lines: list[LineInput]) -> object:
    """Fill lines of a pack that is not submitted in full; a line may be filled again.

    Args:
        pack_id: Number of the pack.
        lines: The lines.
    """
    pack = _find(at, pack_id)
    if pack.state == "submitted":
        raise ToolError("conflict", f"{pack.id} is submitted.", found=pack.state)
    if not lines:
        raise ToolError("invalid_arguments", "No lines given.", expected="a line for each worker")
    if len({given.worker for given in lines}) < len(lines):
        raise ToolError("invalid_arguments", "A worker has two lines.", expected="a line for each worker")
    for given in lines:
        if given.worker not in pack.workers or given.worker not in at.table(hris.Worker):
            raise ToolError("not_found", f"{given.worker[:40]} is not in {pack.id}.", offer=list(pack.workers))
        _put(at, pack, given)
    at.emit("update", f"pay_packs://{pack.id}", about=pack.case, count=len(lines), fields=("lines",))
    done = [line.worker for line in at.table(Line).where(pack=pack.id)]
    return {"pack": pack.id, "filled": len(done), "without_line": [w for w in pack.workers if w not in done]}


@kit.tool(effects=["send", "update"], minutes=2)
def submit(at: Slice, pack_id: str, to: str, note: str = "") -> object:
    """Submit a pack to the receiving manager; with pending lines it goes out in part.

    Args:
        pack_id: Number of the pack.
        to: Id of the manager.
        note: A line above the pack.
    """
    pack = _find(at, pack_id)
    if pack.state == "submitted":
        raise ToolError("conflict", f"{pack.id} is submitted.", found=pack.submitted)
    if to.strip() != pack.manager:
        raise ToolError("invalid_arguments", f"{to[:40]} does not receive {pack.id}.", expected=pack.manager)
    lines = {line.worker: line for line in at.table(Line).where(pack=pack.id)}
    empty = [w for w in pack.workers if w not in lines or (not lines[w].amount and lines[w].source != "pending")]
    if empty:
        raise ToolError("conflict", "Lines are empty.", expected="an amount, or the source pending", offer=empty)
    pending = [w for w in pack.workers if lines[w].source == "pending"]
    state = "part" if pending else "submitted"
    sent = [w for w in pack.workers if w not in pending]
    at.table(Pack).update(
        pack.id, state=state, submitted=at.now, submitted_to=pack.manager, note=note.strip() or pack.note
    )
    at.emit("update", f"pay_packs://{pack.id}", about=pack.case, before=pack.state, after=state)
    at.emit(
        "send",
        f"pay_packs://{pack.id}",
        recipients=(pack.manager,),
        audience="org",
        labels=("confidential", "personal") if sent else ("internal", "personal"),
        purposes=("pay",) if sent else (),
        about=pack.case,
        claim=note.strip(),
        covers=tuple(f"hris://workers/{number}" for number in sent),
    )
    return {"pack": pack.id, "state": state, "to": pack.manager, "pending": pending}


@kit.on("deliver")
def deliver(at: Slice, payload: dict[str, str]) -> None:
    """Somebody writes on a pack."""
    at.notify(f"{payload['from']} on {payload.get('thread', '').removeprefix('pay_packs://')}: {payload['text']}")


def _put(at: Slice, pack: Pack, given: LineInput) -> None:
    """Keep one line, with what its amount and source are worth."""
    amount = _amount(given.amount)
    if given.source == "pending":
        amount = 0
    elif not amount:
        raise ToolError("invalid_arguments", f"{given.worker}: no amount.", expected="an amount, or source pending")
    backing = _backing(at, pack, given)
    agrees = bool(amount) and amount == hris.pay_of(at, given.worker, pack.field, pack.as_of)
    key = f"{pack.id}/{given.worker}"
    at.table(Line).put(
        key,
        Line(
            id=key,
            pack=pack.id,
            worker=given.worker,
            amount=amount,
            grade=given.grade.strip(),
            source=given.source,
            source_ref=given.source_ref.strip(),
            agrees=agrees,
            backing=backing,
        ),
    )
    at.emit(
        "attest",
        f"pay_packs://{pack.id}",
        subject=given.worker,
        claim=f"current {pack.field}",
        outcome=given.source,
        refs=(given.source_ref.strip(),) if given.source_ref.strip() else (),
        data={"agrees": "yes" if agrees else "no", "backing": backing},
    )


def _backing(at: Slice, pack: Pack, given: LineInput) -> str:
    """Return what a source is: "seen", "masked", "given_out", "asked", "in_register", "not_in_register" or "none".

    Raises:
        ToolError: The reference is of no case or delegation.
    """
    ref = given.source_ref.strip()
    if given.source == "own_record":
        seen = at.table(hris.Settings)["settings"].populations
        return "seen" if at.table(hris.Worker)[given.worker].population in seen else "masked"
    if given.source == "delegation":
        found = at.table(hris.Delegation).get(ref)
        if found is None:
            raise ToolError("not_found", f"No delegation {ref[:40]}.", expected="the delegation it was read under")
        held = found.delegate == at.account and found.start <= at.now[:10] <= found.until
        covered = found.population == at.table(hris.Worker)[given.worker].population
        return "in_register" if held and covered and "pay_read" in found.entry else "not_in_register"
    if given.source == "pending" and not ref:
        return "none"
    case = at.table(comp_desk.Case).get(ref)
    if case is None or given.worker not in case.workers or pack.field not in case.fields:
        raise ToolError("not_found", f"No case {ref[:40]} for {given.worker}.", expected="a desk case with this worker")
    if case.asked_by != at.account:
        raise ToolError("forbidden", f"{case.id} was asked by another.", found=case.asked_by)
    if given.source == "desk_case" and case.state != "ready":
        raise ToolError("conflict", f"{case.id} has no figures yet.", found=case.state)
    return "given_out" if case.state == "ready" else "asked"


def _amount(text: str) -> int:
    plain = text.strip()
    if not plain:
        return 0
    found = _AMOUNT.fullmatch(plain)
    if found is None:
        raise ToolError("invalid_arguments", "That is no amount.", expected="such as 2841.00", found=text[:40])
    return int(found[1].replace(",", "").replace(" ", "")) * 100 + int(f"{found[2] or '':0<2}")


def _shown(line: Line | None) -> dict[str, Any]:
    if line is None:
        return {"amount": None, "grade": None, "source": None}
    return {"amount": money(line.amount) if line.amount else None, "grade": line.grade, "source": line.source,
            "source_ref": line.source_ref}  # fmt: skip


def _name(at: Slice, number: str) -> str:
    worker = at.table(hris.Worker).get(number)
    return "" if worker is None else worker.name


def _find(at: Slice, number: str) -> Pack:
    pack = at.table(Pack).get(number.strip())
    if pack is None:
        raise ToolError("not_found", f"No pack {number[:40]}.", offer=at.table(Pack).keys()[-8:])
    return pack
