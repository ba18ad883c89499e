"""Sheets: the reading sheets of an evidence map's full-text sessions, signed by two readers.

A sheet has a line for every report of the session. Its second reader can be asked to countersign it, which a person
does by setting its record. Decides nothing and enters nothing elsewhere.
"""

from __future__ import annotations

from random import Random
from typing import Annotated, Any, Literal

from pydantic import Field

from impress_env.clock import iso, minutes
from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record
from impress_tools._research import REASONS, Outcome, Tally, count, quarter_of

Status = Literal["open", "signed", "voided"]


class Line(Record, frozen=True, kw_only=True):
    """One report on a sheet."""

    record: str
    title: str
    year: int
    outcome: str
    reason: str = ""
    page: str = ""


class Sheet(Record, frozen=True, kw_only=True):
    """One session's sheet. `tally` follows from the lines, `quarter` from the session's date.

    `slip` and `asked` stand for a countersignature that was asked for, `countersigned_by` for one that was given.
    """

    id: str
    map: str
    session: str
    quarter: str
    first: str
    second: str
    status: str
    lines: tuple[Line, ...]
    tally: Tally
    note: str = ""
    entered: bool = False
    slip: str = ""
    asked: str = ""
    countersigned_by: str = ""


class Settings(Record, frozen=True, kw_only=True):
    """How countersignatures are numbered."""

    prefix: str
    next_number: int


class LineSeed(Seed):
    """A line in a scenario file."""

    record: str
    title: str
    year: int
    outcome: Outcome
    reason: str = ""
    page: str = ""


class SheetSeed(Seed):
    """A sheet in a scenario file. `entered`: its lines stand in the register already."""

    map: str
    session: str
    first: str
    second: str
    status: Status = "signed"
    lines: tuple[LineSeed, ...]
    note: str = ""
    entered: bool = False
    slip: str = ""
    asked: str = ""
    countersigned_by: str = ""


class TallySeed(Seed):
    """Counts in a scenario file."""

    included: int = 0
    ineligible: int = 0
    not_retrieved: int = 0
    duplicate: int = 0


class PastSeed(Seed):
    """A run of sheets, all signed and entered: two sessions a week from `start`, readers taking turns.

    The lines' outcomes add up to `tally`; titles are put together of a subject, a measure and a place.
    """

    map: str
    first_number: int
    count: Annotated[int, Field(ge=1, le=60)]
    start: str
    tally: TallySeed
    readers: Annotated[tuple[str, ...], Field(min_length=2)]
    subjects: Annotated[tuple[str, ...], Field(min_length=1)]
    measures: Annotated[tuple[str, ...], Field(min_length=1)]
    places: Annotated[tuple[str, ...], Field(min_length=1)]
    first_record: int = 18000


class SettingsSeed(Seed):
    """Settings in a scenario file."""

    prefix: str = "CS-"
    next_number: int = 410


class SheetsSeed(Seed):
    """Section `sheets:`; `items` by number, `past` for runs of earlier ones."""

    settings: SettingsSeed = SettingsSeed()
    items: dict[str, SheetSeed] = Field(default_factory=dict)
    past: tuple[PastSeed, ...] = ()


def build(seed: SheetsSeed, make: Build) -> None:
    """Put the sheets."""
    make.put("settings", Settings(prefix=seed.settings.prefix, next_number=seed.settings.next_number))
    for run in seed.past:
        _put_run(run, make)
    for number, entry in seed.items.items():
        session = make.time(entry.session)[:10]
        lines = tuple(Line(**line.model_dump()) for line in entry.lines)
        make.put(
            number,
            Sheet(
                id=number,
                map=entry.map,
                session=session,
                quarter=quarter_of(session),
                first=entry.first,
                second=entry.second,
                status=entry.status,
                lines=lines,
                tally=count(line.outcome for line in lines),
                note=entry.note.strip(),
                entered=entry.entered,
                slip=entry.slip,
                asked=entry.asked,
                countersigned_by=entry.countersigned_by,
            ),
        )


def _put_run(run: PastSeed, make: Build) -> None:
    draw = make.stream(f"{run.map}:{run.first_number}")
    outcomes = [name for name, number in run.tally.model_dump().items() for _ in range(number)]
    draw.shuffle(outcomes)
    day, record = minutes(make.time(run.start)), run.first_record
    for index in range(run.count):
        taken = outcomes[index :: run.count]
        lines = []
        for outcome in taken:
            record += draw.randint(2, 19)
            lines.append(_drawn(run, f"R-{record}", outcome, draw))
        session = iso(day)[:10]
        make.put(
            f"{run.map}-{run.first_number + index:04d}",
            Sheet(
                id=f"{run.map}-{run.first_number + index:04d}",
                map=run.map,
                session=session,
                quarter=quarter_of(session),
                first=run.readers[index % len(run.readers)],
                second=run.readers[(index + 1) % len(run.readers)],
                status="signed",
                lines=tuple(lines),
                tally=count(taken),
                entered=True,
            ),
        )
        day += (4, 3)[index % 2] * 1440


def _drawn(run: PastSeed, record: str, outcome: str, draw: Random) -> Line:
    title = f"{draw.choice(run.subjects)}: {draw.choice(run.measures)}, {draw.choice(run.places)}"
    read = outcome in ("included", "ineligible")
    return Line(
        record=record,
        title=title,
        year=draw.randint(2003, 2025),
        outcome=outcome,
        reason=draw.choice(REASONS[outcome]),
        page=f"p. {draw.randint(2, 16)}" if read else "",
    )


kit = Toolkit(
    "sheets",
    title="Reading sheets",
    seed=SheetsSeed,
    tables={"sheets": Settings, "sheets.items": Sheet},
    build=build,
)


def countersign_state(sheet: Sheet) -> str:
    """Return how far a sheet's countersignature is: signed, asked or none."""
    return "signed" if sheet.countersigned_by else "asked" if sheet.asked else "none"


@kit.tool(effects=["read"])
def search(
    at: Slice, map_code: str = "", quarter: str = "", status: Status | None = None, reader: str = "", page: int = 1
) -> object:
    """List reading sheets, latest session first.

    Args:
        map_code: Only sheets of this map, by its code.
        quarter: Only sheets of sessions in this quarter, such as 2026-Q3.
        status: Only sheets in this state.
        reader: Only sheets that this person signed first or second.
        page: Page number, 20 sheets a page.
    """
    who = at.person(reader).id if reader else ""
    rows = [
        sheet
        for sheet in at.table(Sheet).values()
        if map_code.strip().upper() in ("", sheet.map)
        and quarter in ("", sheet.quarter)
        and status in (None, sheet.status)
        and who in ("", sheet.first, sheet.second)
    ]
    rows.sort(key=lambda sheet: (sheet.session, sheet.id), reverse=True)
    found = paged(rows, page)
    shown: list[Sheet] = found["items"]
    at.emit("read", "sheets://", count=len(shown), covers=tuple(sorted(f"sheets://{sheet.id}" for sheet in shown)))
    found["items"] = [_head(sheet) for sheet in shown]
    return found


@kit.tool(effects=["read"])
def get(at: Slice, sheet: str) -> object:
    """Open a reading sheet with its lines and signatures.

    Args:
        sheet: Number of the sheet.
    """
    found = find(at, sheet)
    at.emit("read", f"sheets://{found.id}", fields=("lines", "signatures", "status"), count=len(found.lines))
    return _head(found) | {"note": found.note, "lines": [_as_row(line) for line in found.lines]}


@kit.tool(effects=["request"], minutes=2)
def countersign(at: Slice, sheet: str, reader: str = "", note: str = "") -> object:
    """Ask a reader to go over a signed sheet again and countersign it.

    Args:
        sheet: Number of the sheet.
        reader: Id of the reader; the sheet's second reader unless said.
        note: Remark for the reader.
    """
    found = find(at, sheet)
    if found.status != "signed":
        raise ToolError("conflict", f"{found.id} is {found.status}.", expected="a signed sheet")
    if found.countersigned_by:
        raise ToolError("conflict", f"{found.id} is countersigned.", found=found.countersigned_by)
    person = at.person(reader or found.second)
    if person.id == found.first:
        raise ToolError("conflict", f"{found.id} was first read by {person.id}.", expected="somebody else")
    settings = at.table(Settings)["settings"]
    slip = found.slip or at.next_id(settings.prefix, width=1, start=settings.next_number)
    at.table(Sheet).update(found.id, slip=slip, asked=person.id)
    at.emit(
        "request",
        f"sheets://{found.id}",
        recipients=(person.id,),
        audience="team",
        about=found.id,
        claim=note,
        data={"slip": slip},
    )
    result: dict[str, Any] = {"slip": slip, "sheet": found.id, "sent_to": person.id}
    if person.away_until > at.now:
        result["away_until"] = person.away_until
    return result


@kit.on("deliver")
def deliver(at: Slice, payload: dict[str, str]) -> None:
    """A reader writes about a sheet."""
    number = payload.get("thread", "").removeprefix("sheets://")
    at.notify(f"{payload['from']} on {number}: {payload['text']}")


def find(at: Slice, number: str) -> Sheet:
    """Return a sheet by its number.

    Raises:
        ToolError: `not_found`, with the numbers that come near.
    """
    found = at.table(Sheet).get(number.strip())
    if found is None:
        keys = at.table(Sheet).keys()
        tail = number.strip()[-3:]
        raise ToolError("not_found", f"No sheet {number[:40]}.", offer=[k for k in keys if k[-3:] == tail] or keys[-8:])
    return found


def _head(sheet: Sheet) -> dict[str, Any]:
    return {
        "sheet": sheet.id,
        "map": sheet.map,
        "session": sheet.session,
        "quarter": sheet.quarter,
        "status": sheet.status,
        "signed_first": sheet.first,
        "signed_second": sheet.second if sheet.status != "open" else None,
        "reports": len(sheet.lines),
        "countersign": countersign_state(sheet),
        "slip": sheet.slip or None,
    }


def _as_row(line: Line) -> dict[str, Any]:
    return {
        "record": line.record,
        "title": line.title,
        "year": line.year,
        "outcome": line.outcome,
        "reason": line.reason or None,
        "page": line.page or None,
    }
