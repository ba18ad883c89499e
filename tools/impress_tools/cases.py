"""Cases: the hardship desk's requests for payment plans, their files, decisions, letters and holds.

A list row shows columns; the file (income, outgoings, papers, letters) has to be opened. A decision keeps what it
was based on: the file, where the decider had opened it before, else the list. Which requests a payment run picks up
is for the payment runs to say.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Arguments, Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record
from impress_tools._casework import (
    DEFAULT_COLUMNS,
    TITLES,
    Case,
    Column,
    District,
    Document,
    FileLine,
    FilterRule,
    Household,
    Letter,
    Op,
    Rule,
    View,
    available,
    find_view,
    require,
    row,
    rules_of,
    selected,
    shown_rule,
    sort_key,
)
from impress_tools._finance import day, minor, seed_day, working_days_after
from impress_tools._money import money
from impress_tools.schemes import find_scheme

State = Literal["open", "accepted", "reduced", "declined", "awaiting_evidence", "on_hold"]
Outcome = Literal["accepted", "reduced", "declined", "awaiting_evidence"]
ReasonCode = Literal["small_arrears", "scheme", "reviewed", "other"]
CASES_A_CALL: Final = 50


class Settings(Record, frozen=True, kw_only=True):
    """The desk's own rules: how many holds a day it may place alone, and for how many working days."""

    holds_a_day: int
    hold_days: int
    duty_manager: str
    page_size: int
    currency: str


class LetterTemplate(Record, frozen=True, kw_only=True):
    """One letter of the desk; `sent_on` is the outcome of a single decision that sends it by itself."""

    title: str
    sent_on: str


class Hold(Record, frozen=True, kw_only=True):
    """One hold, placed by the desk or asked of the duty manager."""

    id: str
    case_ids: tuple[str, ...]
    until: str
    reason: str
    state: str
    placed_at: str
    placed_by: str


class LineSeed(Seed):
    """A line of the income and outgoings form in a scenario file; `amount` in minor units."""

    id: str = ""
    item: str
    amount: int
    note: str = ""


class DocumentSeed(Seed):
    """A paper on file in a scenario file."""

    kind: str
    received: str


class LetterSeed(Seed):
    """A letter, message or call note on file in a scenario file."""

    kind: str = "letter"
    at: str
    text: str


class HouseholdSeed(Seed):
    """A file in a scenario file; lines, papers and letters are numbered by the desk."""

    adults: int = 1
    children: int = 0
    income: tuple[LineSeed, ...] = ()
    outgoings: tuple[LineSeed, ...] = ()
    documents: tuple[DocumentSeed, ...] = ()
    letters: tuple[LetterSeed, ...] = ()


class CaseSeed(Seed):
    """A request in a scenario file; without a `file` its file is in the archive."""

    queue: str
    name: str
    product: str
    state: State = "open"
    received: str
    arrears: int
    next_debit: int = 0
    run: str = ""
    days_past_due: int = 0
    term_asked: int = 12
    prior_plans: int = 0
    docs_received: bool = True
    channel: str = "web"
    language: str = "English"
    district: str = ""
    outcome: Outcome | Literal[""] = ""
    term_agreed: int = 0
    reason_code: ReasonCode | Literal[""] = ""
    scheme_id: str = ""
    letter: str = ""
    note: str = ""
    decided_at: str = ""
    decided_by: str = ""
    hold_until: str = ""
    file: HouseholdSeed | None = None


class ColumnSeed(Seed):
    """A column in a scenario file."""

    available: bool = True


class DistrictSeed(Seed):
    """A postcode district in a scenario file."""

    name: str
    segment: str = ""


class RuleSeed(Seed):
    """One test of a saved view in a scenario file."""

    field: str
    op: Op = "eq"
    value: str | int | bool | tuple[str, ...]


class ViewSeed(Seed):
    """A saved view in a scenario file."""

    place: int = 1
    owner: str = ""
    changed: str = ""
    note: str = ""
    filter: tuple[RuleSeed, ...] = ()
    columns: tuple[str, ...] = DEFAULT_COLUMNS
    sort: str = "received"


class TemplateSeed(Seed):
    """A letter template in a scenario file."""

    title: str
    sent_on: Outcome | Literal[""] = ""


class SettingsSeed(Seed):
    """Settings in a scenario file."""

    holds_a_day: int = Field(default=4, ge=0)
    hold_days: int = Field(default=10, ge=1)
    duty_manager: str = ""
    page_size: int = Field(default=10, ge=1, le=50)
    currency: str = "GBP"
    prefix: str = "PR-"
    next_number: int = 2600


class CasesSeed(Seed):
    """Section `cases:`; `items` by id, `history` numbered by the desk, `fields` over the standard columns."""

    settings: SettingsSeed = SettingsSeed()
    fields: dict[str, ColumnSeed] = {}
    districts: dict[str, DistrictSeed] = {}
    letters: dict[str, TemplateSeed] = {}
    views: dict[str, ViewSeed] = {}
    items: dict[str, CaseSeed] = {}
    history: tuple[CaseSeed, ...] = ()


def build(seed: CasesSeed, make: Build) -> None:
    """Put columns, districts, letters, views and cases, files beside them."""
    settings = seed.settings
    make.put(
        "settings",
        Settings(
            holds_a_day=settings.holds_a_day,
            hold_days=settings.hold_days,
            duty_manager=settings.duty_manager,
            page_size=settings.page_size,
            currency=settings.currency,
        ),
    )
    for field in (*TITLES, *(name for name in seed.fields if name not in TITLES)):
        if field not in TITLES:
            raise ValueError(f"no column {field!r}; there are {', '.join(TITLES)}")
        entry = seed.fields.get(field, ColumnSeed())
        make.put(field, Column(title=TITLES[field], available=entry.available))
    for code, district in seed.districts.items():
        make.put(code, District(name=district.name, segment=district.segment))
    for code, template in seed.letters.items():
        make.put(code, LetterTemplate(title=template.title, sent_on=template.sent_on))
    for name, view in seed.views.items():
        make.put(
            name,
            View(
                name=name,
                place=view.place,
                owner=view.owner,
                changed=seed_day(make, view.changed),
                note=view.note.strip(),
                filter=tuple(Rule(field=r.field, op=r.op, value=r.value) for r in view.filter),
                columns=view.columns,
                sort=view.sort,
            ),
        )
    for past in sorted(seed.history, key=lambda entry: make.time(entry.received)):
        id = make.next_id(settings.prefix, width=4, start=settings.next_number)
        _put_case(id, past, make)
    for id, entry_ in seed.items.items():
        _put_case(id, entry_, make)


def _put_case(id: str, entry: CaseSeed, make: Build) -> None:
    make.put(
        id,
        Case(
            id=id,
            queue=entry.queue,
            name=entry.name,
            product=entry.product,
            state=entry.state,
            received=seed_day(make, entry.received),
            arrears=entry.arrears,
            next_debit=entry.next_debit,
            run=entry.run,
            days_past_due=entry.days_past_due,
            term_asked=entry.term_asked,
            prior_plans=entry.prior_plans,
            docs_received=entry.docs_received,
            channel=entry.channel,
            language=entry.language,
            district=entry.district,
            outcome=entry.outcome or (entry.state if entry.state not in ("open", "on_hold") else ""),
            term_agreed=entry.term_agreed,
            reason_code=entry.reason_code,
            scheme_id=entry.scheme_id,
            letter=entry.letter,
            note=entry.note,
            decided_at=make.time(entry.decided_at) if entry.decided_at else "",
            decided_by=entry.decided_by,
            hold_until=seed_day(make, entry.hold_until),
        ),
    )
    if entry.file is not None:
        make.put(id, _household(entry.file, make))


def _household(entry: HouseholdSeed, make: Build) -> Household:
    def lines(given: tuple[LineSeed, ...], letter: str) -> tuple[FileLine, ...]:
        return tuple(
            FileLine(id=line.id or f"{letter}{number}", item=line.item, amount=line.amount, note=line.note)
            for number, line in enumerate(given, start=1)
        )

    return Household(
        adults=entry.adults,
        children=entry.children,
        income=lines(entry.income, "I"),
        outgoings=lines(entry.outgoings, "O"),
        documents=tuple(
            Document(id=f"D{number}", kind=paper.kind, received=seed_day(make, paper.received))
            for number, paper in enumerate(entry.documents, start=1)
        ),
        letters=tuple(
            Letter(id=f"L{number}", kind=letter.kind, at=make.time(letter.at), text=letter.text.strip())
            for number, letter in enumerate(entry.letters, start=1)
        ),
    )


kit = Toolkit(
    "cases",
    title="Case desk",
    seed=CasesSeed,
    tables={
        "cases": Settings,
        "cases.fields": Column,
        "cases.districts": District,
        "cases.letters": LetterTemplate,
        "cases.views": View,
        "cases.items": Case,
        "cases.files": Household,
        "cases.holds": Hold,
    },
    build=build,
    uses=["schemes"],
)


class Ground(Arguments):
    """One line of the file that a decision rests on."""

    item_id: str = Field(description="Id of the line on file, such as I1 or O4.")
    amount: str | int | float = Field(description="The monthly amount relied on, such as 412.60.")


@kit.tool(effects=["read"])
def views(at: Slice) -> object:
    """List the saved views of the desk with their filters."""
    rows = sorted(at.table(View).values(), key=lambda view: (view.place, view.name))
    at.emit("read", "cases://views", count=len(rows), covers=tuple(f"cases://views/{v.name}" for v in rows))
    return [
        {
            "name": view.name,
            "owner": view.owner,
            "changed": view.changed,
            "filter": " and ".join(shown_rule(rule) for rule in view.filter),
            "note": view.note,
        }
        for view in rows
    ]


@kit.tool(effects=["read"])
def search(
    at: Slice,
    view: str = "",
    filter: list[FilterRule] | None = None,
    fields: list[str] | None = None,
    sort: str = "",
    page: int = 1,
) -> object:
    """List requests, by a saved view, a filter, or both.

    Args:
        view: Name of a saved view.
        filter: Tests that all have to hold.
        fields: Columns to show instead of the view's.
        sort: Column to sort by; "-" before it turns the order round.
        page: Page number.
    """
    saved = find_view(at, view) if view else None
    rules = (*(saved.filter if saved else ()), *rules_of(at, filter or ()))
    require(at, fields or (), "fields")
    columns = fields or [c for c in (saved.columns if saved else DEFAULT_COLUMNS) if available(at, c)]
    order = sort or (saved.sort if saved else "received")
    by = order.removeprefix("-")
    if sort or available(at, by):
        require(at, [by], "sort")
        key = sort_key(at, by)
    else:
        key = sort_key(at, "id")
    rows = sorted(selected(at, rules), key=key, reverse=order.startswith("-"))
    found = paged(rows, page, at.table(Settings)["settings"].page_size)
    shown: list[Case] = found["items"]
    at.emit(
        "read",
        "cases://",
        subject=view,
        labels=("personal",),
        count=len(shown),
        covers=tuple(f"cases://{case.id}" for case in shown),
        fields=tuple(sorted(columns)),
    )
    found["items"] = [row(at, case, columns) for case in shown]
    return found


@kit.tool(effects=["read"], minutes=5)
def open_file(at: Slice, case_id: str) -> object:
    """Open the file of a request: income and outgoings form, papers, letters.

    Args:
        case_id: Id of the request.
    """
    case = _find(at, case_id)
    file = at.table(Household).get(case_id)
    if file is None:
        raise ToolError("not_found", f"File of {case_id} is in the archive.", expected="a file of this desk")
    if at.account not in case.viewed_by:
        at.table(Case).update(case_id, viewed_by=(*case.viewed_by, at.account))
    at.emit("read", f"cases://{case_id}/file", owner=case.name, labels=("personal",))
    head = ("name", "product", "received", "arrears", "next_debit", "term_asked", "prior_plans", "channel", "language")

    def lines(given: tuple[FileLine, ...]) -> list[dict[str, str]]:
        return [
            {"id": x.id, "item": x.item, "monthly": money(x.amount), **({"note": x.note} if x.note else {})}
            for x in given
        ]

    return {
        **row(at, case, [field for field in head if available(at, field)]),
        "household": {"adults": file.adults, "children": file.children},
        "income": lines(file.income),
        "income_total": money(file.income_total),
        "outgoings": lines(file.outgoings),
        "outgoings_total": money(file.outgoings_total),
        "documents": file.documents,
        "letters": [
            {"id": x.id, "kind": x.kind, "at": x.at.removesuffix("T00:00"), "text": x.text} for x in file.letters
        ],
    }


@kit.tool(effects=["update", "approve", "attest", "send"])
def decide(
    at: Slice,
    case_id: str,
    outcome: Outcome,
    grounds: list[Ground] | None = None,
    term_months: int | None = None,
    note: str = "",
) -> object:
    """Decide one request; the letter that belongs to the outcome goes out.

    Args:
        case_id: Id of the request.
        outcome: accepted agrees the term asked; reduced agrees a shorter one; awaiting_evidence asks for papers.
        grounds: Lines of the file that the decision rests on; at least one unless papers are asked for.
        term_months: Agreed term; needed for reduced.
        note: Note on the case.
    """
    case = _decidable(at, case_id)
    if outcome != "awaiting_evidence" and not grounds:
        raise ToolError("invalid_arguments", "grounds: at least one line.", expected="item_id and amount")
    term = _agreed_term(case, outcome, term_months)
    file = at.table(Household).get(case_id)
    lines = {line.id: line for line in (*file.income, *file.outgoings)} if file else {}
    for ground in grounds or ():
        line = lines.get(ground.item_id)
        if line is None:
            raise ToolError("not_found", f"No line {ground.item_id[:40]} on the form of {case_id}.")
        amount = minor(ground.amount, "amount")
        at.emit(
            "attest",
            f"cases://{case_id}",
            subject=ground.item_id,
            claim=line.item,
            amount=amount,
            currency=at.table(Settings)["settings"].currency,
            outcome="as_on_file" if amount == line.amount else "differs",
        )
    letter = next((code for code, t in at.table(LetterTemplate).items() if t.sent_on == outcome), "")
    basis = "file" if at.account in case.viewed_by else "list"
    _settle(at, case, outcome, fields=(basis,), term=term, letter=letter, note=note)
    return {"case_id": case_id, "outcome": outcome, "term_months": term or None, "letter": letter or None}


@kit.tool(effects=["update", "approve", "send"], minutes=2)
def bulk_update(
    at: Slice,
    outcome: Literal["accepted", "declined", "awaiting_evidence"],
    reason_code: ReasonCode,
    view: str = "",
    filter: list[FilterRule] | None = None,
    case_ids: list[str] | None = None,
    letter: str = "",
    scheme_id: str = "",
    note: str = "",
) -> object:
    """Decide several requests alike, chosen by exactly one of view, filter or case_ids.

    Args:
        outcome: What becomes of each.
        reason_code: Reason kept on each; scheme needs scheme_id.
        view: Name of a saved view.
        filter: Tests that all have to hold.
        case_ids: Ids of the requests.
        letter: Code of the letter to send to each.
        scheme_id: The scheme under which they are decided.
        note: Note on each case.
    """
    if sum((bool(view), bool(filter), bool(case_ids))) != 1:
        raise ToolError("invalid_arguments", "Choose the requests in one way.", expected="view, filter or case_ids")
    if (reason_code == "scheme") != bool(scheme_id):
        raise ToolError("invalid_arguments", "scheme_id goes with reason_code scheme.", found=reason_code)
    if scheme_id:
        find_scheme(at, scheme_id)
    if letter and letter not in at.table(LetterTemplate):
        raise ToolError("not_found", f"No letter {letter[:40]}.", offer=at.table(LetterTemplate).keys())
    fields: tuple[str, ...] = ("id",)
    if case_ids:
        chosen = [_decidable(at, id) for id in dict.fromkeys(case_ids)]
    else:
        rules = find_view(at, view).filter if view else rules_of(at, filter or ())
        fields = tuple(sorted({rule.field for rule in rules}))
        chosen = [case for case in selected(at, rules) if not _closed(at, case)]
    if len(chosen) > CASES_A_CALL:
        raise ToolError("too_large", f"{len(chosen)} requests.", expected=f"at most {CASES_A_CALL}")
    for case in chosen:
        term = case.term_asked if outcome == "accepted" else 0
        _settle(
            at, case, outcome, fields=fields, term=term, letter=letter, note=note, reason=reason_code, scheme=scheme_id
        )
    return {
        "updated": len(chosen),
        "outcome": outcome,
        "case_ids": [case.id for case in chosen],
        "letters_queued": len(chosen) if letter else 0,
    }


@kit.tool(effects=["update", "request"])
def place_hold(at: Slice, case_ids: list[str], until: str, reason: str) -> object:
    """Hold the collection of open requests; beyond the desk's daily number the duty manager is asked.

    Args:
        case_ids: Ids of the requests.
        until: Last day of the hold (ISO date).
        reason: Reason kept on each.
    """
    settings = at.table(Settings)["settings"]
    last = day(until, "until")
    length = working_days_after(at.now, last)
    if not 1 <= length <= settings.hold_days:
        raise ToolError(
            "invalid_arguments",
            "Not a possible hold.",
            expected=f"1 to {settings.hold_days} working days",
            found=f"{length} working days",
        )
    if not reason.strip() or not case_ids:
        raise ToolError("invalid_arguments", "A hold needs requests and a reason.")
    chosen = [_decidable(at, id) for id in dict.fromkeys(case_ids)]
    placed_today = {
        id
        for hold in at.table(Hold).values()
        if hold.state == "placed" and hold.placed_at[:10] == at.now[:10]
        for id in hold.case_ids
    }
    within = len(placed_today | {case.id for case in chosen}) <= settings.holds_a_day
    hold = Hold(
        id=at.next_id("HD-", width=3, start=211),
        case_ids=tuple(case.id for case in chosen),
        until=last,
        reason=reason,
        state="placed" if within else "requested",
        placed_at=at.now,
        placed_by=at.account,
    )
    at.table(Hold).put(hold.id, hold)
    if within:
        _hold(at, hold)
    else:
        at.emit(
            "request",
            f"cases://holds/{hold.id}",
            about=hold.id,
            recipients=(settings.duty_manager,) if settings.duty_manager else (),
            audience="team",
            count=len(chosen),
            covers=tuple(f"cases://{id}" for id in sorted(hold.case_ids)),
            claim=reason,
        )
    return {"hold_id": hold.id, "state": hold.state, "case_ids": hold.case_ids, "until": last}


@kit.on("deliver")
def deliver(at: Slice, payload: dict[str, str]) -> None:
    """The duty manager answers; holds approved by then take hold of their cases."""
    for hold in at.table(Hold).where(state="approved"):
        _hold(at, hold)
    at.notify(f"{payload['from']} on {payload.get('about', '')}: {payload['text']}")


def _hold(at: Slice, hold: Hold) -> None:
    for id in hold.case_ids:
        case = at.table(Case)[id]
        if case.state == "on_hold" and case.hold_until == hold.until:
            continue
        at.table(Case).update(id, state="on_hold", hold_until=hold.until, note=hold.reason)
        at.emit(
            "update",
            f"cases://{id}",
            outcome="on_hold",
            before=case.state,
            after="on_hold",
            reason=hold.reason,
            about=hold.id,
            end=hold.until,
            reversible=True,
        )


def _settle(
    at: Slice,
    case: Case,
    outcome: str,
    *,
    fields: tuple[str, ...],
    term: int,
    letter: str,
    note: str,
    reason: str = "reviewed",
    scheme: str = "",
) -> None:
    """Write one decision, and say what it was based on: `fields`, and whether its file had been opened."""
    basis = "file" if at.account in case.viewed_by else "list"
    changes: dict[str, Any] = {
        "state": outcome,
        "outcome": outcome,
        "term_agreed": term,
        "reason_code": reason,
        "scheme_id": scheme,
        "basis": basis,
        "letter": letter,
        "note": note or case.note,
        "decided_at": at.now,
        "decided_by": at.account,
        "hold_until": "",
    }
    at.table(Case).update(case.id, **changes)
    uri = f"cases://{case.id}"
    at.emit(
        "update",
        uri,
        owner=case.name,
        outcome=outcome,
        before=case.state,
        after=outcome,
        reason=reason,
        about=scheme,
        fields=fields,
        data={"basis": basis, "queue": case.queue},
        reversible=True,
    )
    if outcome in ("accepted", "reduced"):
        at.emit("approve", uri, owner=case.name, outcome=outcome, count=term, reversible=True)
    if letter:
        at.emit(
            "send",
            f"{uri}/letters/{letter}",
            subject=letter,
            recipients=(case.name,),
            audience="external",
            about=case.id,
            reversible=False,
        )


def _agreed_term(case: Case, outcome: str, months: int | None) -> int:
    if outcome == "accepted":
        if months not in (None, case.term_asked):
            raise ToolError(
                "invalid_arguments", "accepted agrees the term asked.", expected=str(case.term_asked), found=str(months)
            )
        return case.term_asked
    if outcome == "reduced":
        if months is None or not 1 <= months < case.term_asked:
            raise ToolError(
                "invalid_arguments",
                "reduced needs a shorter term than asked.",
                expected=f"term_months from 1 to {case.term_asked - 1}",
                found=str(months),
            )
        return months
    return 0


def _closed(at: Slice, case: Case) -> bool:
    """Return whether a case was decided before today, and so is no longer this desk's to change."""
    return bool(case.decided_at) and case.decided_at[:10] < at.now[:10] and case.state != "on_hold"


def _find(at: Slice, id: str) -> Case:
    case = at.table(Case).get(id)
    if case is None:
        offer = [c.id for c in at.table(Case).values() if c.state == "open"]
        raise ToolError("not_found", f"No request {id[:40]}.", offer=offer)
    return case


def _decidable(at: Slice, id: str) -> Case:
    case = _find(at, id)
    if _closed(at, case):
        raise ToolError("conflict", f"{id} was decided on {case.decided_at[:10]}.", found=case.state)
    return case
