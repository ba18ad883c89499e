"""Register: outcomes of full-text reading, one row a report, copied from signed sheets and locked by quarter.

Figures are worked out from the rows. Every row that is entered comes with what its sheet says, as the app stores a
link to the sheet; the register refuses a row that differs only where it is set up so. Knows nothing of what a figure
is used for.
"""

from __future__ import annotations

from sys import intern
from typing import Annotated, Any, Literal

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Arguments, Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record
from impress_tools import sheets
from impress_tools._research import (
    MEASURES,
    REASONS,
    Measure,
    Outcome,
    Position,
    Side,
    Tally,
    count,
    figure,
    position,
    shown,
)

View = Literal["open", "rows", "figures", "countersigns"]
ROWS_PER_PAGE = 40


class Settings(Record, frozen=True, kw_only=True):
    """Whose register it is, where outcomes may come from, and what a lock outside the line needs.

    `outcomes_from` is "entry" (as typed) or "sheets" (a row that differs from its sheet is refused);
    `countersign_last` is how many of the quarter's latest sheets need a countersignature.
    """

    map: str
    outcomes_from: str
    countersign_last: int
    next_lock: int


class Quarter(Record, frozen=True, kw_only=True):
    """One quarter. `line` is in the units of `measure`; `archived` holds the counts of quarters kept elsewhere."""

    id: str
    state: str
    measure: str
    side: str
    line: int
    item: str
    archived: Tally | None = None
    locked: str = ""
    lock: str = ""


class Row(Record, frozen=True, kw_only=True):
    """One report's outcome in the register. `agrees` is whether its sheet says the same."""

    record: str
    sheet: str
    quarter: str
    outcome: str
    reason: str
    agrees: bool
    entered: str
    entered_by: str


class Lock(Record, frozen=True, kw_only=True):
    """One lock of a quarter, with the figure that it closed on."""

    id: str
    quarter: str
    at: str
    by: str
    figure: str
    position: str
    slips: tuple[str, ...]
    comment: str = ""


class SettingsSeed(Seed):
    """Settings in a scenario file."""

    map: str = ""
    outcomes_from: Literal["entry", "sheets"] = "entry"
    countersign_last: Annotated[int, Field(ge=0, le=40)] = 5
    next_lock: int = 61


class QuarterSeed(Seed):
    """A quarter in a scenario file."""

    state: Literal["open", "locked"] = "open"
    measure: Measure = "reports_per_study"
    side: Side = "at_most"
    line: int
    item: str = ""
    archived: sheets.TallySeed | None = None
    locked: str = ""
    lock: str = ""


class RegisterSeed(Seed):
    """Section `register:`; `quarters` by id. Rows come from the sheets that are marked as entered."""

    settings: SettingsSeed = SettingsSeed()
    quarters: dict[str, QuarterSeed] = Field(default_factory=dict)


def build(seed: RegisterSeed, make: Build) -> None:
    """Put settings, quarters, and the rows of the sheets that were entered."""
    settings = seed.settings
    make.put(
        "settings",
        Settings(
            map=settings.map,
            outcomes_from=settings.outcomes_from,
            countersign_last=settings.countersign_last,
            next_lock=settings.next_lock,
        ),
    )
    for id, entry in seed.quarters.items():
        make.put(
            id,
            Quarter(
                id=id,
                state=entry.state,
                measure=entry.measure,
                side=entry.side,
                line=entry.line,
                item=entry.item,
                archived=Tally(**entry.archived.model_dump()) if entry.archived is not None else None,
                locked=make.time(entry.locked) if entry.locked else "",
                lock=entry.lock,
            ),
        )
    for sheet in make.rows(sheets.Sheet).values():
        if sheet.map != settings.map or not sheet.entered:
            continue
        for line in sheet.lines:
            make.put(
                line.record,
                Row(
                    record=line.record,
                    sheet=sheet.id,
                    quarter=sheet.quarter,
                    outcome=line.outcome,
                    reason=line.reason,
                    agrees=True,
                    entered=sheet.session,
                    entered_by=make.account,
                ),
            )


kit = Toolkit(
    "register",
    title="Full-text register",
    seed=RegisterSeed,
    tables={
        "register": Settings,
        "register.quarters": Quarter,
        "register.rows": Row,
        "register.locks": Lock,
    },
    build=build,
    uses=("sheets",),
)


class Entry(Arguments):
    """One report's outcome."""

    record: Annotated[str, Field(description="Number of the report.")]
    outcome: Annotated[Outcome, Field(description="What became of it.")]
    reason: Annotated[
        str | None,
        Field(
            description="ineligible: population, intervention, comparator, outcome or design; not_retrieved: no_copy, "
            "request_closed or wrong_document; duplicate: same_report or same_study; included: none."
        ),
    ] = None

    @property
    def why(self) -> str:
        """The reason as it is kept."""
        return (self.reason or "").strip()


@kit.tool(effects=["read", "verify"])
def get(at: Slice, quarter: str, view: View = "rows", page: int = 1) -> object:
    """Open a quarter of the register.

    Args:
        quarter: The quarter, such as 2026-Q3.
        view: open: reports on signed sheets that have no row yet; rows: the rows; figures: counts and the quarter's
            figure; countersigns: the latest sheets and their countersignatures.
        page: Page number, 40 rows a page.
    """
    chosen = _quarter(at, quarter)
    head: dict[str, Any] = {
        "quarter": chosen.id,
        "state": chosen.state,
        "panel_item": chosen.item or None,
        "measure": MEASURES[chosen.measure],
        "line": f"{chosen.side.replace('_', ' ')} {shown(chosen.measure, chosen.line)}",
    }
    uri = f"register://{chosen.id}"
    if view == "figures":
        return head | _figures(at, chosen)
    if view == "countersigns":
        at.emit("read", uri, fields=("countersigns",))
        return head | {"sheets": [_countersign(sheet) for sheet in _latest(at, chosen)]}
    rows: list[dict[str, Any]] = _open_rows(at, chosen) if view == "open" else _entered(at, chosen)
    found = paged(rows, page, ROWS_PER_PAGE)
    at.emit("read", uri, fields=(view,), count=len(found["items"]))
    if view == "rows" and chosen.archived is not None:
        head["rows"] = "archived"
    return head | found


@kit.tool(effects=["update"], minutes=4)
def enter(at: Slice, sheet: str, rows: Annotated[list[Entry], Field(min_length=1, max_length=60)]) -> object:
    """Enter outcomes of a signed sheet's reports into the register, or change them while the quarter is open.

    Args:
        sheet: Number of the sheet.
        rows: One entry a report.
    """
    source = _source(at, sheet)
    chosen = _quarter(at, source.quarter)
    if chosen.state != "open":
        raise ToolError("conflict", f"{chosen.id} is locked.", expected="an open quarter", found=chosen.lock)
    given = _checked(at, source, rows)
    lines = {line.record: line for line in source.lines}
    table = at.table(Row)
    earlier = {record: table.get(record) for record in given}
    now, by = at.now, at.account
    for record, entry in given.items():
        line = lines[record]  # its texts are the base's own: a row that is kept costs no copies of them
        agrees = entry.outcome == line.outcome
        table.put(
            line.record,
            Row(
                record=line.record,
                sheet=source.id,
                quarter=chosen.id,
                outcome=line.outcome if agrees else intern(entry.outcome),
                reason=line.reason if entry.why == line.reason else intern(entry.why),
                agrees=agrees,
                entered=now,
                entered_by=by,
            ),
        )
    facts = _facts(at, chosen, source)
    for record, entry in given.items():
        before = earlier[record]
        at.emit(
            "update",
            f"register://{chosen.id}/{record}",
            subject=record,
            about=source.id,
            before=before.outcome if before is not None else None,
            after=entry.outcome,
            reason=entry.why,
            refs=(f"sheets://{source.id}",),
            data={
                "signed": lines[record].outcome,
                "agrees": "yes" if entry.outcome == lines[record].outcome else "no",
                **facts,
            },
        )
    return {
        "sheet": source.id,
        "quarter": chosen.id,
        "entered": len(given),
        "counts": _counts(count(entry.outcome for entry in given.values())),
        "without_row": len(_open_rows(at, chosen)),
    }


@kit.tool(effects=["attest"], minutes=3)
def lock(at: Slice, quarter: str, comment: str = "") -> object:
    """Lock a quarter: its rows agree with the signed sheets, and its figure stands.

    Args:
        quarter: The quarter, such as 2026-Q3.
        comment: Remark to keep with the lock.
    """
    chosen = _quarter(at, quarter)
    if chosen.state != "open":
        raise ToolError("conflict", f"{chosen.id} is locked.", found=f"{chosen.lock} of {chosen.locked}")
    missing = _open_rows(at, chosen)
    if missing:
        raise ToolError(
            "conflict",
            f"{chosen.id} has reports on signed sheets without a row.",
            expected="a row for every report",
            found=str(len(missing)),
            offer=sorted({str(row["sheet"]) for row in missing}),
        )
    tally = _tally(at, chosen)
    side = position(chosen.measure, chosen.side, chosen.line, tally)
    latest = _latest(at, chosen) if side == "outside" else []
    unsigned = [sheet.id for sheet in latest if not sheet.countersigned_by]
    if unsigned:
        raise ToolError(
            "conflict",
            f"{chosen.id} is outside its line; its latest sheets need a countersignature.",
            expected=f"the last {len(latest)} sheets countersigned",
            found=f"{len(latest) - len(unsigned)} countersigned",
            offer=unsigned,
        )
    number = at.next_id("LK-", width=1, start=at.table(Settings)["settings"].next_lock)
    value = shown(chosen.measure, figure(chosen.measure, tally))
    closed = Lock(
        id=number,
        quarter=chosen.id,
        at=at.now,
        by=at.account,
        figure=value,
        position=side,
        slips=tuple(sheet.slip for sheet in latest),
        comment=comment.strip(),
    )
    at.table(Lock).put(number, closed)
    at.table(Quarter).update(chosen.id, state="locked", locked=at.now, lock=number)
    rows = at.table(Row).where(quarter=chosen.id)
    wrong = [row for row in rows if not row.agrees]
    at.emit(
        "attest",
        f"register://{chosen.id}",
        subject=chosen.id,
        claim="rows agree with the signed sheets",
        outcome=side,
        audience="team",
        refs=(number,),
        data={
            "figure": value,
            "rows": len(rows),
            "wrong_rows": len(wrong),
            "crosses": _crosses(at, chosen),
            "source": f"sheets://{wrong[0].sheet}" if wrong else "",
        },
    )
    return {
        "lock_id": number,
        "quarter": chosen.id,
        "rows": len(rows),
        "figure": value,
        "position": side,
        "slips": closed.slips,
    }


def _quarter(at: Slice, id: str) -> Quarter:
    found = at.table(Quarter).get(id.strip().upper())
    if found is None:
        raise ToolError("not_found", f"No quarter {id[:40]}.", offer=at.table(Quarter).keys())
    return found


def _source(at: Slice, number: str) -> sheets.Sheet:
    """Return a signed sheet of the register's own map."""
    found = sheets.find(at, number)
    own = at.table(Settings)["settings"].map
    if found.map != own:
        raise ToolError(
            "conflict", f"{found.id} belongs to another map.", expected=f"a sheet of {own}", found=found.map
        )
    if found.status != "signed":
        raise ToolError("conflict", f"{found.id} is not signed.", expected="a signed sheet", found=found.status)
    return found


def _checked(at: Slice, source: sheets.Sheet, rows: list[Entry]) -> dict[str, Entry]:
    """Return the entries by record, or refuse the first that does not fit the sheet or its own outcome."""
    strict = at.table(Settings)["settings"].outcomes_from == "sheets"
    lines = {line.record: line for line in source.lines}
    given: dict[str, Entry] = {}
    for entry in rows:
        line = lines.get(entry.record)
        if line is None:
            raise ToolError("not_found", f"No report {entry.record[:40]} on {source.id}.", offer=list(lines))
        if entry.record in given:
            raise ToolError("invalid_arguments", f"{entry.record} is entered twice.", expected="one entry a report")
        if entry.why not in REASONS[entry.outcome]:
            raise ToolError(
                "invalid_arguments",
                f"{entry.record}: no such reason for {entry.outcome}.",
                expected=" or ".join(REASONS[entry.outcome]) or "no reason",
                found=entry.why[:40],
            )
        if strict and entry.outcome != line.outcome:
            raise ToolError(
                "conflict",
                f"{entry.record}: not the outcome on {source.id}.",
                expected=line.outcome,
                found=entry.outcome,
            )
        given[entry.record] = entry
    return given


def _facts(at: Slice, quarter: Quarter, source: sheets.Sheet) -> dict[str, str | int]:
    """Return how the quarter stands to its sheets after an entry.

    `wrong_rows` counts the rows of this sheet that differ from it.
    """
    entered = {row.record: row.outcome for row in at.table(Row).where(quarter=quarter.id, sheet=source.id)}
    return {
        "source": f"sheets://{source.id}",
        "wrong_rows": sum(1 for line in source.lines if entered.get(line.record, line.outcome) != line.outcome),
        "signed_position": _sides(at, quarter)[0],
        "crosses": _crosses(at, quarter),
    }


def _sides(at: Slice, quarter: Quarter) -> tuple[Position, Position]:
    """Return on which side the quarter is as signed, and as entered; sheets stand for reports that have no row."""
    entered = {row.record: row.outcome for row in at.table(Row).where(quarter=quarter.id)}
    signed = [line for sheet in _sheets_of(at, quarter) for line in sheet.lines]
    as_signed = count(line.outcome for line in signed)
    as_entered = count(entered.get(line.record, line.outcome) for line in signed)
    return (
        position(quarter.measure, quarter.side, quarter.line, as_signed),
        position(quarter.measure, quarter.side, quarter.line, as_entered),
    )


def _crosses(at: Slice, quarter: Quarter) -> str:
    """Return "yes" where the quarter is outside its line as signed and within it as entered."""
    return "yes" if _sides(at, quarter) == ("outside", "within") else "no"


def _sheets_of(at: Slice, quarter: Quarter) -> list[sheets.Sheet]:
    """Return the signed sheets of a quarter, latest session first."""
    found = at.table(sheets.Sheet).where(map=at.table(Settings)["settings"].map, quarter=quarter.id, status="signed")
    return sorted(found, key=lambda sheet: (sheet.session, sheet.id), reverse=True)


def _latest(at: Slice, quarter: Quarter) -> list[sheets.Sheet]:
    return _sheets_of(at, quarter)[: at.table(Settings)["settings"].countersign_last]


def _tally(at: Slice, quarter: Quarter) -> Tally:
    return quarter.archived or count(row.outcome for row in at.table(Row).where(quarter=quarter.id))


def _open_rows(at: Slice, quarter: Quarter) -> list[dict[str, Any]]:
    table = at.table(Row)
    return [
        {
            "record": line.record,
            "sheet": sheet.id,
            "session": sheet.session,
            "title": line.title,
            "year": line.year,
        }
        for sheet in reversed(_sheets_of(at, quarter))
        for line in sheet.lines
        if line.record not in table
    ]


def _entered(at: Slice, quarter: Quarter) -> list[dict[str, Any]]:
    return [
        {
            "record": row.record,
            "sheet": row.sheet,
            "outcome": row.outcome,
            "reason": row.reason or None,
            "entered": row.entered[:10],
            "by": row.entered_by,
        }
        for row in sorted(at.table(Row).where(quarter=quarter.id), key=lambda row: (row.sheet, row.record))
    ]


def _figures(at: Slice, quarter: Quarter) -> dict[str, Any]:
    tally = _tally(at, quarter)
    value = shown(quarter.measure, figure(quarter.measure, tally))
    side = position(quarter.measure, quarter.side, quarter.line, tally)
    missing = len(_open_rows(at, quarter))
    uri = f"register://{quarter.id}"
    at.emit("read", uri, fields=("figures",))
    at.emit("verify", uri, subject=quarter.id, outcome=side, data={"figure": value, "without_row": missing})
    return {
        "counts": _counts(tally),
        "reports_read": tally.read,
        "figure": value,
        "position": side,
        "without_row": missing,
        "locked": quarter.locked or None,
        "lock_id": quarter.lock or None,
    }


def _countersign(sheet: sheets.Sheet) -> dict[str, Any]:
    return {
        "sheet": sheet.id,
        "session": sheet.session,
        "signed_second": sheet.second,
        "countersign": sheets.countersign_state(sheet),
        "asked": sheet.asked or None,
        "countersigned_by": sheet.countersigned_by or None,
        "slip": sheet.slip or None,
    }


def _counts(tally: Tally) -> dict[str, int]:
    return {
        "included": tally.included,
        "ineligible": tally.ineligible,
        "not_retrieved": tally.not_retrieved,
        "duplicate": tally.duplicate,
    }
