"""Rota: which nights of a board are open, who is on, and what was settled for those that nobody took.

A slot is filled when its hours are; whoever takes hours is entered by the app through which they took them. Knows
nothing of how people are asked.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from impress_env.clock import DAY, day_start, iso
from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit
from impress_env.world.table import Record
from impress_tools import flag_queue
from impress_tools._forum import monday, spoken

Settled = Literal["open", "left_open", "posts_held"]
FIGURES_DAYS = 56


class Shift(Record, frozen=True, kw_only=True):
    """Hours that somebody has: a volunteer's id, or "on-call"."""

    who: str
    start: str
    end: str


class Slot(Record, frozen=True, kw_only=True):
    """One night of a board. `on_call` is what became of the last request for paid cover: "", requested, …"""

    id: str
    board: str
    week: str
    start: str
    end: str
    state: str
    on_call: str = ""
    note: str = ""
    cover: tuple[Shift, ...] = ()


class ShiftSeed(Seed):
    """Hours in a scenario file; without times the whole slot."""

    who: str
    start: str = ""
    end: str = ""


class SlotSeed(Seed):
    """A slot in a scenario file; filled where its hours are taken."""

    board: str
    start: str
    end: str
    state: Literal["", "left_open", "posts_held"] = ""
    note: str = ""
    cover: tuple[ShiftSeed, ...] = ()


class Settings(Record, frozen=True, kw_only=True):
    """What stands at the head of every rota."""

    note: str


class SettingsSeed(Seed):
    """Settings in a scenario file."""

    note: str = ""


class RotaSeed(Seed):
    """Section `rota:`."""

    settings: SettingsSeed = SettingsSeed()
    slots: dict[str, SlotSeed] = Field(default_factory=dict)


def build(seed: RotaSeed, make: Build) -> None:
    """Put the slots."""
    make.put("settings", Settings(note=seed.settings.note.strip()))
    for id, entry in seed.slots.items():
        start, end = make.time(entry.start), make.time(entry.end)
        cover = tuple(
            Shift(
                who=shift.who,
                start=make.time(shift.start) if shift.start else start,
                end=make.time(shift.end) if shift.end else end,
            )
            for shift in entry.cover
        )
        make.put(
            id,
            Slot(
                id=id,
                board=entry.board,
                week=monday(start, "start"),
                start=start,
                end=end,
                state=entry.state or _state(start, end, cover),
                note=entry.note,
                cover=cover,
            ),
        )


kit = Toolkit(
    "rota",
    title="Night rota",
    seed=RotaSeed,
    tables={"rota": Settings, "rota.slots": Slot},
    build=build,
    uses=("flag_queue",),
)


def find_slot(at: Slice, id: str) -> Slot:
    """Return a slot. The toolkit whose slice it is must list `rota` in `uses`.

    Raises:
        ToolError: `not_found`, with the slots that are still to come and not filled.
    """
    slot = at.table(Slot).get(id.strip())
    if slot is None:
        coming = [s.id for s in at.table(Slot).values() if s.start > at.now and s.state != "filled"]
        raise ToolError("not_found", f"No slot {id[:40]}.", offer=coming)
    return slot


def to_come(at: Slice, slot: Slot) -> Slot:
    """Return a slot that has not begun.

    Raises:
        ToolError: `conflict`.
    """
    if slot.start <= at.now:
        raise ToolError(
            "conflict", f"{slot.id} has passed.", found=spoken(slot.start, slot.end), expected="a night to come"
        )
    return slot


def hours_left(slot: Slot) -> tuple[tuple[str, str], ...]:
    """Return the intervals of a slot that nobody has."""
    found = []
    reached = slot.start
    for shift in sorted(slot.cover, key=lambda s: (s.start, s.end)):
        if shift.start > reached:
            found.append((reached, shift.start))
        reached = max(reached, shift.end)
    if reached < slot.end:
        found.append((reached, slot.end))
    return tuple(found)


def take(at: Slice, id: str, who: str, start: str, end: str) -> bool:
    """Enter somebody for hours of a slot; return False where somebody has them already."""
    slot = at.table(Slot)[id]
    if not any(first < end and start < last for first, last in hours_left(slot)):
        return False
    cover = (*slot.cover, Shift(who=who, start=max(start, slot.start), end=min(end, slot.end)))
    at.table(Slot).update(id, cover=cover, state=_state(slot.start, slot.end, cover))
    return True


def _state(start: str, end: str, cover: tuple[Shift, ...]) -> str:
    slot = Slot(id="", board="", week="", start=start, end=end, state="", cover=cover)
    return "part" if cover and hours_left(slot) else "filled" if cover else "open"


@kit.tool(effects=["read"])
def get(at: Slice, week: str, board: str = "") -> object:
    """Show a week's nights: who is on, what is open, and how long at-risk flags waited at night.

    Args:
        week: Any day of the week, such as 2026-11-19.
        board: Only this board.
    """
    first = monday(week, "week")
    boards = [flag_queue.find_board(at, board)] if board else at.table(flag_queue.Board).values()
    known = [b.id for b in boards]
    rows = [slot for slot in at.table(Slot).where(week=first) if slot.board in known]
    if not rows:
        weeks = sorted({slot.week for slot in at.table(Slot).values() if slot.board in known})
        raise ToolError("not_found", f"No rota for the week of {first}.", offer=weeks)
    rows.sort(key=lambda slot: (slot.board, slot.start))
    shown = [b for b in boards if any(slot.board == b.id for slot in rows)]
    since = iso(day_start(at.clock) - FIGURES_DAYS * DAY)[:10]
    covers = (*(f"flag_queue://{b.id}" for b in shown), *(f"rota://{slot.id}" for slot in rows))
    at.emit("read", f"rota://{first}", count=len(rows), covers=tuple(sorted(covers)))
    return {
        "week": first,
        "note": at.table(Settings)["settings"].note,
        "boards": [
            {
                "board": b.id,
                "title": b.title,
                "at_risk_flags_8_weeks": [
                    {key: value for key, value in row.items() if key != "longest"}
                    for row in flag_queue.summary(at, b, flag_queue.nights_of(at, b, since))
                ],
            }
            for b in shown
        ],
        "slots": [as_row(slot) for slot in rows],
    }


@kit.tool(effects=["update"])
def update(at: Slice, slot: str, state: Settled, note: str = "") -> object:
    """Settle a night that nobody took, or open it again.

    Args:
        slot: Number of the slot.
        state: open; left_open (nobody on, with a note); posts_held (new posts wait until the morning, where on-call
            has no one).
        note: Line that is shown on the rota.
    """
    found = to_come(at, find_slot(at, slot))
    if found.state == "filled":
        raise ToolError("conflict", f"{found.id} is filled.", found=", ".join(shift.who for shift in found.cover))
    if state == "left_open" and not note.strip():
        raise ToolError("invalid_arguments", "A night that is left open needs a note.", expected="note")
    if state == "posts_held" and found.on_call != "refused":
        raise ToolError(
            "conflict",
            f"On-call has not refused {found.id}.",
            expected="on_call refused",
            found=found.on_call or "not requested",
        )
    settled = _state(found.start, found.end, found.cover) if state == "open" else state
    changed = at.table(Slot).update(found.id, state=settled, note=note.strip() or found.note)
    at.emit("update", f"rota://{found.id}", fields=("state",), before=found.state, after=settled, reason=note)
    return as_row(changed)


def as_row(slot: Slot) -> dict[str, object]:
    """Return a slot as the rota lists it."""
    row: dict[str, object] = {
        "slot": slot.id,
        "night": spoken(slot.start, slot.end),
        "from": slot.start,
        "to": slot.end,
        "state": slot.state,
        "on": [
            {"who": shift.who, "hours": f"{shift.start[11:16]}-{shift.end[11:16]}"}
            for shift in sorted(slot.cover, key=lambda s: s.start)
        ],
    }
    if slot.cover and hours_left(slot):
        row["open_hours"] = [f"{first[11:16]}-{last[11:16]}" for first, last in hours_left(slot)]
    if slot.on_call:
        row["on_call"] = slot.on_call
    if slot.note:
        row["note"] = slot.note
    return row
