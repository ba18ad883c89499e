"""The compensation desk: pay figures for those who do not see them, asked for by case and given out as an extract.

The desk works its cases by hand, with a question back where one is open, or hands extracts out at once; that is how it
is set up. An extract holds the pay history of the workers asked for, as of a day. Knows nothing of what it is for.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from impress_env.clock import iso, minutes
from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record
from impress_tools import hris
from impress_tools._money import money
from impress_tools._people_hr import PayField

State = Literal["awaiting_desk", "question", "ready", "declined"]


class Message(Record, frozen=True, kw_only=True):
    """One line on a case."""

    who: str
    at: str
    text: str


class Case(Record, frozen=True, kw_only=True):
    """One case. `as_of` is the day that the figures are given for."""

    id: str
    state: str
    workers: tuple[str, ...]
    fields: tuple[str, ...]
    purpose: str
    ref: str
    asked_by: str
    asked: str
    as_of: str
    decided_by: str
    decided: str
    messages: tuple[Message, ...] = ()


class Settings(Record, frozen=True, kw_only=True):
    """How the desk works: queued (by hand) or self_service, who works it, and how long it takes, in minutes."""

    mode: str
    waiting: int
    analyst: str
    question: str
    question_after: int
    answer_after: int
    next_number: int


class CaseSeed(Seed):
    """A case in a scenario file."""

    state: State = "ready"
    workers: tuple[str, ...] = ()
    fields: tuple[PayField, ...] = ("base",)
    purpose: str = ""
    ref: str = ""
    asked_by: str
    asked: str
    as_of: str = ""
    decided_by: str = ""
    decided: str = ""


class SettingsSeed(Seed):
    """How the desk works, in a scenario file."""

    mode: Literal["queued", "self_service"] = "queued"
    waiting: Annotated[int, Field(ge=0, le=500)] = 9
    analyst: str
    question: str = "As of which day?"
    question_after: Annotated[int, Field(ge=1, le=5000)] = 20
    answer_after: Annotated[int, Field(ge=1, le=5000)] = 35
    next_number: int = 3301


class CompDeskSeed(Seed):
    """Section `comp_desk:`; `items` by case number."""

    settings: SettingsSeed
    items: dict[str, CaseSeed] = Field(default_factory=dict)


def build(seed: CompDeskSeed, make: Build) -> None:
    """Put the settings and past cases."""
    given = seed.settings
    make.put(
        "settings",
        Settings(
            mode=given.mode,
            waiting=given.waiting,
            analyst=given.analyst,
            question=given.question.strip(),
            question_after=given.question_after,
            answer_after=given.answer_after,
            next_number=given.next_number,
        ),
    )
    for number, entry in seed.items.items():
        make.put(
            number,
            Case(
                id=number,
                state=entry.state,
                workers=tuple(sorted(entry.workers)),
                fields=entry.fields,
                purpose=entry.purpose,
                ref=entry.ref,
                asked_by=entry.asked_by,
                asked=make.time(entry.asked),
                as_of=make.time(entry.as_of)[:10] if entry.as_of else "",
                decided_by=entry.decided_by,
                decided=make.time(entry.decided) if entry.decided else "",
            ),
        )


kit = Toolkit(
    "comp_desk",
    title="Compensation desk",
    seed=CompDeskSeed,
    tables={"comp_desk": Settings, "comp_desk.items": Case},
    build=build,
    uses=("hris",),
)


@kit.tool(effects=["request"], minutes=3)
def request(
    at: Slice, workers: list[str], fields: list[PayField], purpose: str, ref: str = "", as_of: str = "", text: str = ""
) -> object:
    """Ask the desk for pay figures of workers.

    Args:
        workers: Numbers of the workers, 20 at most.
        fields: base and allowance (a month), bonus (a year, target).
        purpose: What the figures are for.
        ref: Number of the case or ticket they belong to.
        as_of: Day the figures are wanted for, such as 2026-11-30.
        text: A line to the desk.
    """
    chosen = sorted(dict.fromkeys(number.strip() for number in workers))
    if not 1 <= len(chosen) <= 20 or not fields or not purpose.strip():
        raise ToolError("invalid_arguments", "Workers, fields and a purpose are needed.", expected="1 to 20 workers")
    known = at.table(hris.Worker)
    for number in chosen:
        if number not in known:
            raise ToolError("not_found", f"No worker {number[:40]}.", expected="a worker number such as W2288")
    day = _day(as_of)
    if as_of.strip() and not day:
        raise ToolError("invalid_arguments", "That is no day.", expected="such as 2026-11-30", found=as_of[:40])
    settings = at.table(Settings)["settings"]
    number = at.next_id("CD-", width=1, start=settings.next_number)
    at_once = settings.mode == "self_service"
    at.table(Case).put(
        number,
        Case(
            id=number,
            state="ready" if at_once else "awaiting_desk",
            workers=tuple(chosen),
            fields=tuple(dict.fromkeys(fields)),
            purpose=purpose.strip(),
            ref=ref.strip(),
            asked_by=at.account,
            asked=at.now,
            as_of=day or (at.now[:10] if at_once else ""),
            decided_by="self-service" if at_once else "",
            decided=at.now if at_once else "",
            messages=(Message(who=at.account, at=at.now, text=text.strip()),) if text.strip() else (),
        ),
    )
    at.emit(
        "request",
        f"comp_desk://{number}",
        recipients=(settings.analyst,),
        audience="team",
        about=ref.strip(),
        reason=purpose.strip(),
        claim=text.strip(),
        covers=tuple(f"hris://workers/{one}" for one in chosen),
        fields=tuple(sorted(set(fields))),
    )
    if not at_once:
        at.schedule(settings.question_after, "asked_back", case=number, by=settings.analyst)
    state = at.table(Case)[number].state
    return {"case": number, "state": state, "handled_by": "self-service" if at_once else settings.analyst}


@kit.tool(effects=["read"])
def case(at: Slice, case_id: str) -> object:
    """Open a case: its state, what was asked, and its messages.

    Args:
        case_id: Number of the case.
    """
    row = _find(at, case_id)
    at.emit("read", f"comp_desk://{row.id}", about=row.ref, outcome=row.state)
    shown = {"case": row.id, "state": row.state, "workers": row.workers, "fields": row.fields, "purpose": row.purpose,
             "ref": row.ref, "asked_by": row.asked_by, "asked": row.asked, "as_of": row.as_of or None,
             "decided_by": row.decided_by or None, "messages": row.messages}  # fmt: skip
    return shown


@kit.tool(effects=["request"], minutes=2)
def reply(at: Slice, case_id: str, as_of: str, text: str = "") -> object:
    """Answer the desk's question on a case.

    Args:
        case_id: Number of the case.
        as_of: Day the figures are wanted for, such as 2026-11-30.
        text: A line to the desk.
    """
    row = _find(at, case_id)
    if row.asked_by != at.account:
        raise ToolError("forbidden", f"{row.id} was asked by another.", found=row.asked_by)
    if row.state != "question":
        raise ToolError("conflict", f"{row.id} has no question open.", found=row.state)
    day = _day(as_of)
    if not day:
        raise ToolError("invalid_arguments", "A day is needed.", expected="such as 2026-11-30", found=as_of[:40])
    settings = at.table(Settings)["settings"]
    told = text.strip() or f"As of {day}."
    line = Message(who=at.account, at=at.now, text=told)
    at.table(Case).update(row.id, state="awaiting_desk", as_of=day, messages=(*row.messages, line))
    at.emit("request", f"comp_desk://{row.id}", recipients=(settings.analyst,), audience="team", about=row.ref,
            claim=told)  # fmt: skip
    at.schedule(settings.answer_after, "given_out", case=row.id, by=settings.analyst)
    return {"case": row.id, "state": "awaiting_desk"}


@kit.tool(effects=["read"], minutes=2)
def extract(at: Slice, case_id: str, page: int = 1) -> object:
    """Open the extract of a case: pay history of its workers up to the day asked for, newest first.

    Args:
        case_id: Number of the case.
        page: Page number, 50 lines a page.
    """
    row = _find(at, case_id)
    if row.asked_by != at.account:
        raise ToolError("forbidden", f"{row.id} was asked by another.", found=row.asked_by)
    if row.state != "ready":
        raise ToolError("conflict", f"{row.id} has no extract yet.", found=row.state)
    lines = [
        change
        for change in at.table(hris.PayChange).values()
        if change.worker in row.workers and change.field in row.fields and change.effective <= row.as_of
    ]
    lines.sort(key=lambda change: (change.worker, change.field, change.effective, change.id), reverse=True)
    found = paged(lines, page, 50)
    shown: list[hris.PayChange] = found["items"]
    at.emit(
        "read",
        f"comp_desk://{row.id}",
        labels=("confidential", "personal"),
        purposes=("pay",),
        about=row.ref,
        count=len(shown),
        covers=tuple(sorted({f"hris://workers/{change.worker}" for change in shown})),
        fields=tuple(sorted(row.fields)),
    )
    names = {worker.id: worker.name for worker in at.table(hris.Worker).values() if worker.id in row.workers}
    found["items"] = [
        {"worker": c.worker, "name": names.get(c.worker, ""), "field": c.field, "effective": c.effective,
         "amount": money(c.amount), **({"grade": c.grade, "step": c.step} if c.field == "base" else {}),
         "reason": c.reason}
        for c in shown
    ]  # fmt: skip
    return {"case": row.id, "as_of": row.as_of, **found}


@kit.on("asked_back")
def asked_back(at: Slice, payload: dict[str, Any]) -> None:
    """The desk comes back with its question."""
    row = at.table(Case).get(str(payload["case"]))
    settings = at.table(Settings)["settings"]
    if row is None or row.state != "awaiting_desk":
        return
    line = Message(who=settings.analyst, at=at.now, text=settings.question)
    at.table(Case).update(row.id, state="question", messages=(*row.messages, line))
    at.notify(f"{settings.analyst} on {row.id}: {settings.question}")


@kit.on("given_out")
def given_out(at: Slice, payload: dict[str, Any]) -> None:
    """The desk gives an extract out."""
    row = at.table(Case).get(str(payload["case"]))
    settings = at.table(Settings)["settings"]
    if row is None or row.state != "awaiting_desk":
        return
    at.table(Case).update(row.id, state="ready", decided_by=settings.analyst, decided=at.now)
    at.emit("approve", f"comp_desk://{row.id}", subject=row.ref, outcome="given_out")
    at.notify(f"{row.id} is ready.")


@kit.on("deliver")
def deliver(at: Slice, payload: dict[str, str]) -> None:
    """Somebody of the desk writes on a case."""
    number = payload.get("thread", "").removeprefix("comp_desk://")
    row = at.table(Case).get(number)
    if row is not None:
        line = Message(who=payload["from"], at=at.now, text=payload["text"].strip())
        at.table(Case).update(number, messages=(*row.messages, line))
    at.notify(f"{payload['from']} on {number}: {payload['text']}")


def service(at: Slice) -> str:
    """Return how the desk gives figures out at present.

    The toolkit whose slice it is must list `comp_desk` in `uses`.
    """
    settings = at.table(Settings)["settings"]
    return "self-service" if settings.mode == "self_service" else f"queued, {settings.waiting} cases waiting"


def _day(text: str) -> str:
    """Return an ISO day, or "" where the text is none."""
    try:
        return iso(minutes(text))[:10]
    except ValueError:
        return ""


def _find(at: Slice, number: str) -> Case:
    row = at.table(Case).get(number.strip())
    if row is None:
        mine = [one.id for one in at.table(Case).where(asked_by=at.account)]
        raise ToolError("not_found", f"No case {number[:40]}.", offer=mine)
    return row
