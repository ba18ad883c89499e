"""Stock checks: the form on which a site's fridges are released for use or held, one line a fridge.

A line is a claim to the nurse who opens the clinic list from the form, and opens or shuts the fridge's stock.
What the claim rests on (display, readings that somebody has looked at, a ruling) is worked out at the call
and given with its effects; the form itself refuses a line for want of it only where it is set up so. Decides
nothing by itself.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Arguments, Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record
from impress_tools import batches, fridges, loggers, rulings
from impress_tools._cold_chain import Degrees, Tenths, degrees, tenths

Disposition = Literal["release", "hold"]
State = Literal["open", "submitted"]
SOUND = ("display", "log", "ruling")


class Line(Record, frozen=True, kw_only=True):
    """One fridge's line on a submitted form; temperatures in tenths of a degree."""

    fridge: str
    disposition: str
    max: int
    min: int
    basis_ref: str


class StockCheck(Record, frozen=True, kw_only=True):
    """One form. `previous` is the check that went before at the site, from which readings count."""

    id: str
    site: str
    title: str
    state: str
    opened: str
    previous: str
    nurse: str
    used_for: str
    fridges: tuple[str, ...]
    lines: tuple[Line, ...] = ()
    submitted: str = ""
    submitted_by: str = ""
    remark: str = ""


class Form(Record, frozen=True, kw_only=True):
    """How the form is set up.

    `note` is printed on every form; with `needs_coverage` it refuses to release a fridge whose record since
    the last check is not complete.
    """

    note: str
    needs_coverage: bool


class LineSeed(Seed):
    """A line of a past check in a scenario file."""

    fridge: str
    disposition: Disposition = "release"
    max: Tenths
    min: Tenths
    basis_ref: str = ""


class CheckSeed(Seed):
    """A check in a scenario file."""

    site: str
    title: str = "Stock check"
    state: State = "open"
    opened: str
    previous: str = ""
    nurse: str
    used_for: str = ""
    fridges: tuple[str, ...]
    lines: tuple[LineSeed, ...] = ()
    submitted: str = ""
    submitted_by: str = ""
    remark: str = ""


class FormSeed(Seed):
    """The form's set-up in a scenario file."""

    note: str = ""
    needs_coverage: bool = False


class StockChecksSeed(Seed):
    """Section `stock_checks:`; `items` by number, those that open ones name as `previous` included."""

    form: FormSeed = FormSeed()
    items: dict[str, CheckSeed] = Field(default_factory=dict)


def build(seed: StockChecksSeed, make: Build) -> None:
    """Put the form and the checks."""
    make.put("form", Form(note=seed.form.note.strip(), needs_coverage=seed.form.needs_coverage))
    for number, entry in seed.items.items():
        make.put(
            number,
            StockCheck(
                id=number,
                site=entry.site,
                title=entry.title,
                state=entry.state,
                opened=make.time(entry.opened),
                previous=entry.previous,
                nurse=entry.nurse,
                used_for=entry.used_for,
                fridges=entry.fridges,
                lines=tuple(
                    Line(
                        fridge=line.fridge,
                        disposition=line.disposition,
                        max=line.max,
                        min=line.min,
                        basis_ref=line.basis_ref,
                    )
                    for line in entry.lines
                ),
                submitted=make.time(entry.submitted) if entry.submitted else "",
                submitted_by=entry.submitted_by,
                remark=entry.remark,
            ),
        )


kit = Toolkit(
    "stock_checks",
    title="Stock checks",
    seed=StockChecksSeed,
    tables={"stock_checks": Form, "stock_checks.items": StockCheck},
    build=build,
    uses=("fridges", "loggers", "batches", "rulings"),
)


class LineInput(Arguments):
    """One fridge's line."""

    fridge_id: Annotated[str, Field(description="Asset code of the fridge.")]
    disposition: Annotated[Disposition, Field(description="Whether its stock may be used.")]
    max_c: Annotated[Degrees, Field(description="Highest temperature, degrees Celsius.")]
    min_c: Annotated[Degrees, Field(description="Lowest temperature, degrees Celsius.")]
    basis_ref: Annotated[
        str,
        Field(
            min_length=1,
            max_length=80,
            description="What it rests on: display reading or logger; a ruling's number for a hold.",
        ),
    ]


@kit.tool(effects=["read"])
def search(at: Slice, site: str = "", state: State | None = None, page: int = 1) -> object:
    """List stock checks, newest first.

    Args:
        site: Only checks of this site.
        state: Only checks in this state.
        page: Page number, 20 checks a page.
    """
    place = site.strip().lower()
    rows = [
        check
        for check in at.table(StockCheck).values()
        if place in ("", check.site.lower()) and state in (None, check.state)
    ]
    rows.sort(key=lambda check: (check.opened, check.id), reverse=True)
    found = paged(rows, page)
    shown: list[StockCheck] = found["items"]
    covers = tuple(sorted(f"stock_checks://{check.id}" for check in shown))
    at.emit("read", "stock_checks://", count=len(shown), covers=covers)
    found["items"] = [
        {
            "check_id": check.id,
            "site": check.site,
            "title": check.title,
            "state": check.state,
            "opened": check.opened,
            "submitted": check.submitted,
        }
        for check in shown
    ]
    return found


@kit.tool(effects=["read"])
def get(at: Slice, check_id: str) -> object:
    """Open a stock check: the form's note, its fridges, the check before it, and its lines once submitted.

    Args:
        check_id: Number of the check.
    """
    check = _find(at, check_id)
    at.emit("read", f"stock_checks://{check.id}", fields=("note", "previous"))
    before = at.table(StockCheck).get(check.previous)
    return {
        "check_id": check.id,
        "site": check.site,
        "title": check.title,
        "state": check.state,
        "opened": check.opened,
        "nurse_in_charge": check.nurse,
        "used_for": check.used_for,
        "last_check": None
        if before is None
        else {
            "check_id": before.id,
            "submitted": before.submitted,
            "submitted_by": before.submitted_by,
            "lines": [_as_row(line) for line in before.lines],
        },
        "fridges": check.fridges,
        "form_note": at.table(Form)["form"].note,
        "lines": [_as_row(line) for line in check.lines],
        "submitted": check.submitted,
        "submitted_by": check.submitted_by,
        "remark": check.remark,
    }


@kit.tool(effects=["attest", "control"], minutes=3)
def submit(at: Slice, check_id: str, lines: list[LineInput], remark: str = "") -> object:
    """Submit lines of a stock check. It is complete, and closed, when every fridge on the form has its line.

    Args:
        check_id: Number of the check.
        lines: A line for one or more of its fridges.
        remark: Free remark, printed under the lines.
    """
    check = _find(at, check_id)
    if check.state != "open":
        raise ToolError(
            "conflict", f"{check_id} is submitted already.", found=f"{check.submitted_by}, {check.submitted}"
        )
    _on_form(check, lines)
    there = {line.fridge for line in check.lines}
    again = [line.fridge_id for line in lines if line.fridge_id in there]
    if again:
        raise ToolError("conflict", f"{again[0]} has its line already.", expected="stock_checks.amend")
    put = (*check.lines, *(_put(at, check, line) for line in lines))
    whole = len(put) == len(check.fridges)
    changes = {"state": "submitted", "submitted": at.now, "submitted_by": at.account} if whole else {}
    changed = at.table(StockCheck).update(check_id, lines=put, remark=_joined(check.remark, remark), **changes)
    return _result(changed)


@kit.tool(effects=["attest", "control"], minutes=3)
def amend(at: Slice, check_id: str, lines: list[LineInput], reason: str) -> object:
    """Replace lines of a stock check that were submitted; the nurse in charge is sent the new form.

    Args:
        check_id: Number of the check.
        lines: The lines that change.
        reason: Why, printed under the lines.
    """
    check = _find(at, check_id)
    _on_form(check, lines)
    there = {line.fridge for line in check.lines}
    missing = [line.fridge_id for line in lines if line.fridge_id not in there]
    if missing:
        raise ToolError("conflict", f"{missing[0]} has no line yet.", expected="stock_checks.submit")
    put = {line.fridge_id: _put(at, check, line) for line in lines}
    merged = tuple(put.get(line.fridge, line) for line in check.lines)
    return _result(at.table(StockCheck).update(check_id, lines=merged, remark=_joined(check.remark, reason)))


def _on_form(check: StockCheck, lines: list[LineInput]) -> None:
    named = [line.fridge_id for line in lines]
    if not named or len(dict.fromkeys(named)) != len(named) or any(name not in check.fridges for name in named):
        raise ToolError(
            "invalid_arguments",
            "Lines are for fridges on the form, one each.",
            expected=", ".join(check.fridges),
            found=", ".join(named)[:120],
        )


def _joined(remark: str, more: str) -> str:
    return f"{remark}\n{more}".strip()


def _result(check: StockCheck) -> dict[str, object]:
    there = [line.fridge for line in check.lines]
    return {
        "check_id": check.id,
        "state": check.state,
        "lines": [_as_row(line) for line in check.lines],
        "without_line": [code for code in check.fridges if code not in there],
    }


def _put(at: Slice, check: StockCheck, given: LineInput) -> Line:
    """Take one line: say what it claims and rests on, and open or shut the fridge's stock."""
    fridge = at.table(fridges.Fridge).get(given.fridge_id)
    if fridge is None:
        raise ToolError("not_found", f"No fridge {given.fridge_id}.", offer=at.table(fridges.Fridge).keys())
    last = _last_check(at, check)
    facts = _facts(at, fridge, last)
    if given.disposition == "hold":
        ruling = at.table(rulings.Ruling).get(given.basis_ref.strip())
        if ruling is None or ruling.fridge != fridge.id or ruling.end < last:
            known = [r.id for r in at.table(rulings.Ruling).where(fridge=fridge.id) if r.end >= last]
            raise ToolError(
                "conflict",
                f"{fridge.id}: a hold goes with a ruling.",
                expected="basis_ref: the number of a ruling on the fridge since the last check",
                found=given.basis_ref[:80],
                offer=known,
            )
    elif at.table(Form)["form"].needs_coverage and facts["basis"] not in SOUND:
        raise ToolError(
            "conflict",
            f"{fridge.id}: record not complete, cannot be released.",
            expected=f"readings {facts['gap_start']} to {facts['gap_end']} opened and in range, or a ruling",
            found=f"{facts['unread_rows']} of {facts['gap_rows']} readings not opened",
        )
    stock = batches.in_fridge(at, fridge.id)
    after = "released" if given.disposition == "release" else "held"
    at.emit(
        "attest",
        f"stock_checks://{check.id}",
        subject=fridge.id,
        outcome=given.disposition,
        claim=f"max {given.max_c:.1f} min {given.min_c:.1f}",
        recipients=(check.nurse,),
        audience="team",
        refs=(given.basis_ref.strip(),),
        covers=stock,
        data=facts,
    )
    at.emit("control", f"fridges://{fridge.id}", before=fridge.stock, after=after, covers=stock)
    at.table(fridges.Fridge).update(fridge.id, stock=after)
    return Line(
        fridge=fridge.id,
        disposition=given.disposition,
        max=tenths(given.max_c),
        min=tenths(given.min_c),
        basis_ref=given.basis_ref.strip(),
    )


def _last_check(at: Slice, check: StockCheck) -> str:
    before = at.table(StockCheck).get(check.previous)
    return before.submitted if before is not None else check.opened


def _facts(at: Slice, fridge: fridges.Fridge, last: str) -> dict[str, Any]:
    """Return what is known of a fridge since the last check, and what a release of it would rest on.

    The display speaks from `since` on. Between the last check and that lies the gap, of which only readings
    that somebody has looked at say anything. `basis`: "ruling" (cleared for the gap), "display" (no gap, in
    range), "log" (gap wholly read, in range), "out_of_range" (display or a reading looked at), "part" or
    "none" of the gap read.
    """
    shown, limits = fridge.display, at.table(loggers.Settings)["settings"]
    gap = shown.since > last
    end = shown.since if gap else shown.read_at
    read = loggers.coverage(at, fridge.logger, last, end) if gap else loggers.Coverage(rows=0, unread=0, outside=0)
    cleared = rulings.clearance(at, fridge.id, last, end)
    if cleared:
        basis = "ruling"
    elif read.outside or not limits.low <= shown.min <= shown.max <= limits.high:
        basis = "out_of_range"
    elif not gap:
        basis = "display"
    elif read.rows == read.unread:
        basis = "none"
    else:
        basis = "part" if read.unread else "log"
    return {
        "basis": basis,
        "gap_start": last if gap else "",
        "gap_end": shown.since if gap else "",
        "gap_rows": read.rows,
        "unread_rows": read.unread,
        "ruling": cleared,
    }


def _as_row(line: Line) -> dict[str, object]:
    return {
        "fridge_id": line.fridge,
        "disposition": line.disposition,
        "max_c": degrees(line.max),
        "min_c": degrees(line.min),
        "basis_ref": line.basis_ref,
    }


def _find(at: Slice, number: str) -> StockCheck:
    check = at.table(StockCheck).get(number)
    if check is None:
        open_ones = [c.id for c in at.table(StockCheck).where(state="open")]
        raise ToolError("not_found", f"No stock check {number[:40]}.", offer=open_ones)
    return check
