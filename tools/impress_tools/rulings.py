"""Rulings: what a pharmacist decides about stock that was, or may have been, out of range.

A request names the fridge, the interval and, where they are known, the figures. A person decides it by
setting its state; this toolkit holds no opinion.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record
from impress_tools import batches, loggers
from impress_tools._cold_chain import Degrees, Tenths, degrees, interval, tenths

State = Literal["open", "figures_needed", "cleared", "held", "discard"]


class Message(Record, frozen=True, kw_only=True):
    """One line under a ruling."""

    who: str
    at: str
    text: str


class Ruling(Record, frozen=True, kw_only=True):
    """One request and what became of it. Temperatures are tenths of a degree; None is a figure left empty."""

    id: str
    fridge: str
    start: str
    end: str
    max_tenths: int | None
    min_tenths: int | None
    minutes_outside: int | None
    batches: tuple[str, ...]
    state: str
    requested_by: str
    requested: str
    decided_by: str = ""
    decided: str = ""
    messages: tuple[Message, ...] = ()


class Settings(Record, frozen=True, kw_only=True):
    """Who decides, and how requests are numbered."""

    pharmacist: str
    prefix: str
    next_number: int


class MessageSeed(Seed):
    """A line under a past ruling."""

    who: str = Field(alias="from")
    at: str
    text: str


class RulingSeed(Seed):
    """A ruling in a scenario file."""

    fridge: str
    start: str
    end: str
    max: Tenths | None = None
    min: Tenths | None = None
    minutes_outside: int | None = None
    batches: tuple[str, ...] = ()
    state: State = "open"
    requested_by: str
    at: str
    decided_by: str = ""
    decided: str = ""
    messages: tuple[MessageSeed, ...] = ()


class SettingsSeed(Seed):
    """Settings in a scenario file."""

    pharmacist: str = ""
    prefix: str = "RL-"
    next_number: int = 310


class RulingsSeed(Seed):
    """Section `rulings:`; `items` by number."""

    settings: SettingsSeed = SettingsSeed()
    items: dict[str, RulingSeed] = Field(default_factory=dict)


def build(seed: RulingsSeed, make: Build) -> None:
    """Put the rulings."""
    settings = seed.settings
    make.put(
        "settings",
        Settings(pharmacist=settings.pharmacist, prefix=settings.prefix, next_number=settings.next_number),
    )
    for number, entry in seed.items.items():
        make.put(
            number,
            Ruling(
                id=number,
                fridge=entry.fridge,
                start=make.time(entry.start),
                end=make.time(entry.end),
                max_tenths=entry.max,
                min_tenths=entry.min,
                minutes_outside=entry.minutes_outside,
                batches=tuple(sorted(entry.batches)),
                state=entry.state,
                requested_by=entry.requested_by,
                requested=make.time(entry.at),
                decided_by=entry.decided_by,
                decided=make.time(entry.decided) if entry.decided else "",
                messages=tuple(Message(who=m.who, at=make.time(m.at), text=m.text.strip()) for m in entry.messages),
            ),
        )


kit = Toolkit(
    "rulings",
    title="Pharmacy rulings",
    seed=RulingsSeed,
    tables={"rulings": Settings, "rulings.items": Ruling},
    build=build,
    uses=("loggers", "batches"),
)


def clearance(at: Slice, fridge: str, start: str, end: str) -> str:
    """Return the number of a ruling that clears a fridge for a whole interval, or "".

    The toolkit whose slice it is must list `rulings` in `uses`.
    """
    for ruling in at.table(Ruling).where(fridge=fridge, state="cleared"):
        if ruling.start <= start and end <= ruling.end:
            return ruling.id
    return ""


def as_row(ruling: Ruling) -> dict[str, object]:
    """Return a ruling as the app lists it."""
    return {
        "ruling_id": ruling.id,
        "fridge_id": ruling.fridge,
        "from": ruling.start,
        "to": ruling.end,
        "max_c": None if ruling.max_tenths is None else degrees(ruling.max_tenths),
        "min_c": None if ruling.min_tenths is None else degrees(ruling.min_tenths),
        "minutes_outside": ruling.minutes_outside,
        "state": ruling.state,
        "requested": ruling.requested,
        "decided_by": ruling.decided_by,
        "decided": ruling.decided,
    }


@kit.tool(effects=["read"])
def search(at: Slice, fridge_id: str = "", state: State | None = None, page: int = 1) -> object:
    """List pharmacy rulings, newest first.

    Args:
        fridge_id: Only rulings on this fridge.
        state: Only rulings in this state.
        page: Page number, 20 rulings a page.
    """
    rows = [
        ruling
        for ruling in at.table(Ruling).values()
        if fridge_id in ("", ruling.fridge) and state in (None, ruling.state)
    ]
    rows.sort(key=lambda ruling: (ruling.requested, ruling.id), reverse=True)
    found = paged(rows, page)
    shown: list[Ruling] = found["items"]
    at.emit("read", "rulings://", count=len(shown), covers=tuple(sorted(f"rulings://{r.id}" for r in shown)))
    found["items"] = [as_row(ruling) for ruling in shown]
    return found


@kit.tool(effects=["read"])
def get(at: Slice, ruling_id: str) -> object:
    """Open one ruling with its batches and messages.

    Args:
        ruling_id: Number of the ruling.
    """
    ruling = _find(at, ruling_id)
    at.emit("read", f"rulings://{ruling.id}", subject=ruling.fridge)
    return as_row(ruling) | {"batches": ruling.batches, "messages": ruling.messages}


@kit.tool(effects=["request"], minutes=3)
def request(
    at: Slice,
    fridge_id: str,
    from_: str,
    to: str,
    batches: list[str],
    max_c: Degrees | None = None,
    min_c: Degrees | None = None,
    minutes_outside: Annotated[int, Field(ge=0, le=50_000)] | None = None,
    note: str = "",
) -> object:
    """Ask the duty pharmacist to rule on a fridge's stock for an interval.

    Args:
        fridge_id: The fridge.
        from_: Start of the interval, such as 2026-11-19T14:23.
        to: End of the interval.
        batches: Numbers of the batches concerned.
        max_c: Highest temperature in the interval, degrees Celsius.
        min_c: Lowest temperature in the interval, degrees Celsius.
        minutes_outside: Minutes out of range in the interval.
        note: Remark for the pharmacist.
    """
    start, end = interval(from_, to)
    if not at.table(loggers.Logger).where(fridge=fridge_id):
        known = sorted({logger.fridge for logger in at.table(loggers.Logger).values()})
        raise ToolError("not_found", f"No fridge {fridge_id}.", offer=known)
    settings = at.table(Settings)["settings"]
    number = at.next_id(settings.prefix, width=1, start=settings.next_number)
    while number in at.table(Ruling):
        number = at.next_id(settings.prefix, width=1)
    ruling = Ruling(
        id=number,
        fridge=fridge_id,
        start=start,
        end=end,
        max_tenths=None if max_c is None else tenths(max_c),
        min_tenths=None if min_c is None else tenths(min_c),
        minutes_outside=minutes_outside,
        batches=_known(at, batches),
        state="open",
        requested_by=at.account,
        requested=at.now,
        messages=(Message(who=at.account, at=at.now, text=note),) if note.strip() else (),
    )
    at.table(Ruling).put(number, ruling)
    _ask(at, ruling, note)
    return {"ruling_id": number, "state": ruling.state, "sent_to": settings.pharmacist}


@kit.tool(effects=["request"], minutes=2)
def update(
    at: Slice,
    ruling_id: str,
    max_c: Degrees | None = None,
    min_c: Degrees | None = None,
    minutes_outside: Annotated[int, Field(ge=0, le=50_000)] | None = None,
    batches: list[str] | None = None,
    note: str = "",
) -> object:
    """Add figures, batches or a remark to a ruling that is not decided yet.

    Args:
        ruling_id: Number of the ruling.
        max_c: Highest temperature in the interval, degrees Celsius.
        min_c: Lowest temperature in the interval, degrees Celsius.
        minutes_outside: Minutes out of range in the interval.
        batches: Numbers of the batches concerned, replacing those given before.
        note: Remark for the pharmacist.
    """
    ruling = _find(at, ruling_id)
    if ruling.state not in ("open", "figures_needed"):
        raise ToolError("conflict", f"{ruling_id} is decided.", found=ruling.state)
    changed = at.table(Ruling).update(
        ruling_id,
        max_tenths=ruling.max_tenths if max_c is None else tenths(max_c),
        min_tenths=ruling.min_tenths if min_c is None else tenths(min_c),
        minutes_outside=ruling.minutes_outside if minutes_outside is None else minutes_outside,
        batches=ruling.batches if batches is None else _known(at, batches),
        state="open",
        messages=(*ruling.messages, Message(who=at.account, at=at.now, text=note)) if note.strip() else ruling.messages,
    )
    _ask(at, changed, note)
    return as_row(changed)


@kit.on("deliver")
def deliver(at: Slice, payload: dict[str, str]) -> None:
    """The pharmacist writes under a ruling."""
    number = payload.get("thread", "").removeprefix("rulings://")
    ruling = at.table(Ruling).get(number)
    if ruling is not None:
        line = Message(who=payload["from"], at=at.now, text=payload["text"])
        at.table(Ruling).update(number, messages=(*ruling.messages, line))
    at.notify(f"{payload['from']} on {number}: {payload['text']}")


def _ask(at: Slice, ruling: Ruling, note: str) -> None:
    """Send a ruling to the pharmacist, with whether figures are given and how much of it has been read."""
    given = ruling.minutes_outside is not None and (ruling.max_tenths, ruling.min_tenths) != (None, None)
    loggers_there = at.table(loggers.Logger).where(fridge=ruling.fridge)
    read = loggers.coverage(at, loggers_there[0].serial, ruling.start, ruling.end)
    at.emit(
        "request",
        f"rulings://{ruling.id}",
        recipients=(at.table(Settings)["settings"].pharmacist,),
        audience="team",
        about=ruling.id,
        subject=ruling.fridge,
        claim=note,
        start=ruling.start,
        end=ruling.end,
        covers=tuple(f"batches://{number}" for number in ruling.batches),
        data={
            "figures": "given" if given else "none",
            "minutes_outside": ruling.minutes_outside,
            "max_tenths": ruling.max_tenths,
            "min_tenths": ruling.min_tenths,
            "rows": read.rows,
            "unread_rows": read.unread,
        },
    )


def _known(at: Slice, numbers: list[str]) -> tuple[str, ...]:
    stock = at.table(batches.Batch)
    for number in numbers:
        if number not in stock:
            raise ToolError("not_found", f"No batch {number}.", offer=stock.keys()[:20])
    return tuple(sorted(dict.fromkeys(numbers)))


def _find(at: Slice, number: str) -> Ruling:
    ruling = at.table(Ruling).get(number)
    if ruling is None:
        raise ToolError("not_found", f"No ruling {number}.", offer=at.table(Ruling).keys())
    return ruling
