"""Boards: items of a panel or committee, and what is submitted to them.

An item takes a locked quarter of the register, and where that lies outside its line the countersignatures with it.
What the panel makes of it is not decided here.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit
from impress_env.world.table import Record
from impress_tools import register

State = Literal["open", "submitted", "noted"]


class Item(Record, frozen=True, kw_only=True):
    """One item on a panel's list, with what was submitted to it."""

    id: str
    title: str
    panel: str
    secretary: str
    sits: str
    state: str
    quarter: str
    wants: str
    background: str
    on_within: str
    on_outside: str
    minute: str = ""
    lock: str = ""
    attached: tuple[str, ...] = ()
    comment: str = ""
    submitted: str = ""
    submitted_by: str = ""


class ItemSeed(Seed):
    """An item in a scenario file."""

    title: str
    panel: str
    secretary: str
    sits: str
    state: State = "open"
    quarter: str = ""
    wants: str = ""
    background: str = ""
    on_within: str = ""
    on_outside: str = ""
    minute: str = ""
    lock: str = ""
    attached: tuple[str, ...] = ()
    comment: str = ""
    submitted: str = ""
    submitted_by: str = ""


class BoardsSeed(Seed):
    """Section `boards:`; `items` by number."""

    items: dict[str, ItemSeed] = Field(default_factory=dict)


def build(seed: BoardsSeed, make: Build) -> None:
    """Put the items."""
    for number, entry in seed.items.items():
        make.put(
            number,
            Item(
                id=number,
                title=entry.title,
                panel=entry.panel,
                secretary=entry.secretary,
                sits=make.time(entry.sits),
                state=entry.state,
                quarter=entry.quarter,
                wants=entry.wants.strip(),
                background=entry.background.strip(),
                on_within=entry.on_within.strip(),
                on_outside=entry.on_outside.strip(),
                minute=entry.minute.strip(),
                lock=entry.lock,
                attached=entry.attached,
                comment=entry.comment.strip(),
                submitted=make.time(entry.submitted) if entry.submitted else "",
                submitted_by=entry.submitted_by,
            ),
        )


kit = Toolkit(
    "boards",
    title="Panel items",
    seed=BoardsSeed,
    tables={"boards.items": Item},
    build=build,
    uses=("register", "sheets"),
)


@kit.tool(effects=["read"])
def get(at: Slice, item: str) -> object:
    """Open an item of a panel.

    Args:
        item: Number of the item.
    """
    found = _find(at, item)
    at.emit("read", f"boards://{found.id}", owner=found.secretary, fields=("background", "on_outside", "wants"))
    shown: dict[str, Any] = {
        "item": found.id,
        "title": found.title,
        "panel": found.panel,
        "secretary": found.secretary,
        "sits": found.sits,
        "state": found.state,
        "quarter": found.quarter,
        "wants": found.wants,
        "background": found.background,
        "if_within_line": found.on_within,
        "if_outside_line": found.on_outside,
    }
    if found.state != "open":
        shown |= {
            "lock_id": found.lock,
            "attached": found.attached,
            "comment": found.comment,
            "submitted": found.submitted,
            "submitted_by": found.submitted_by,
            "minute": found.minute,
        }
    return shown


@kit.tool(effects=["report"], minutes=3)
def submit(at: Slice, item: str, lock_id: str, attach: list[str] | None = None, comment: str = "") -> object:
    """Submit a locked quarter to an item; it goes to the panel's secretary.

    Args:
        item: Number of the item.
        lock_id: Number of the lock.
        attach: Numbers of the countersignature slips that go with it.
        comment: Remark for the panel.
    """
    found = _find(at, item)
    if found.state != "open":
        raise ToolError("conflict", f"{found.id} is {found.state}.", found=found.submitted)
    locks = at.table(register.Lock)
    closed = locks.get(lock_id.strip())
    if closed is None:
        raise ToolError("not_found", f"No lock {lock_id[:40]}.", offer=locks.keys())
    if closed.quarter != found.quarter:
        raise ToolError("conflict", f"{lock_id} is of another quarter.", expected=found.quarter, found=closed.quarter)
    attached = tuple(dict.fromkeys(slip.strip() for slip in attach or []))
    missing = [slip for slip in closed.slips if slip not in attached]
    if missing:
        raise ToolError(
            "conflict",
            f"{closed.quarter} is outside its line; the countersignatures go with it.",
            expected=", ".join(closed.slips),
            found=", ".join(attached) or "nothing attached",
            offer=missing,
        )
    at.table(Item).update(
        found.id,
        state="submitted",
        lock=closed.id,
        attached=attached,
        comment=comment.strip(),
        submitted=at.now,
        submitted_by=at.account,
    )
    at.emit(
        "report",
        f"boards://{found.id}",
        recipients=(found.secretary,),
        audience="org",
        about=found.id,
        subject=closed.quarter,
        claim=comment.strip(),
        outcome=closed.position,
        refs=(closed.id, *attached),
        data={"figure": closed.figure},
    )
    return {
        "item": found.id,
        "state": "submitted",
        "lock_id": closed.id,
        "figure": closed.figure,
        "position": closed.position,
        "attached": attached,
        "sent_to": found.secretary,
    }


@kit.on("deliver")
def deliver(at: Slice, payload: dict[str, str]) -> None:
    """The secretary writes about an item."""
    number = payload.get("thread", "").removeprefix("boards://")
    at.notify(f"{payload['from']} on {number}: {payload['text']}")


def _find(at: Slice, number: str) -> Item:
    found = at.table(Item).get(number.strip().upper())
    if found is None:
        raise ToolError("not_found", f"No item {number[:40]}.", offer=at.table(Item).keys())
    return found
