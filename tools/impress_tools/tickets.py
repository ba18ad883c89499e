"""Tickets: the queue in which work is asked for, commented on and closed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record

State = Literal["open", "pending", "closed"]


class Comment(Record, frozen=True, kw_only=True):
    """One comment on a ticket."""

    who: str
    at: str
    text: str


class Ticket(Record, frozen=True, kw_only=True):
    """One ticket."""

    id: str
    title: str
    body: str
    state: str
    requester: str
    assignee: str
    created: str
    updated: str
    comments: tuple[Comment, ...] = ()


class Settings(Record, frozen=True, kw_only=True):
    """How the queue numbers its tickets."""

    prefix: str


class CommentSeed(Seed):
    """A comment in a scenario file."""

    who: str = Field(alias="from")
    at: str
    text: str


class TicketSeed(Seed):
    """A ticket in a scenario file."""

    title: str
    body: str = ""
    state: State = "open"
    requester: str
    assignee: str = ""
    at: str
    comments: tuple[CommentSeed, ...] = ()


class SettingsSeed(Seed):
    """Settings in a scenario file."""

    prefix: str = "T-"
    next_number: int = 4100


class TicketsSeed(Seed):
    """Section `tickets:`; `items` by id, `history` numbered by the queue, oldest first."""

    settings: SettingsSeed = SettingsSeed()
    items: dict[str, TicketSeed] = {}
    history: tuple[TicketSeed, ...] = ()


def build(seed: TicketsSeed, make: Build) -> None:
    """Put the tickets."""
    make.put("settings", Settings(prefix=seed.settings.prefix))
    past = sorted(seed.history, key=lambda ticket: make.time(ticket.at))
    for entry in past:
        number = make.next_id(seed.settings.prefix, width=1, start=seed.settings.next_number)
        make.put(number, _ticket(number, entry, make))
    for number, entry in seed.items.items():
        make.put(number, _ticket(number, entry, make))


def _ticket(number: str, entry: TicketSeed, make: Build) -> Ticket:
    comments = tuple(Comment(who=c.who, at=make.time(c.at), text=c.text.strip()) for c in entry.comments)
    created = make.time(entry.at)
    return Ticket(
        id=number,
        title=entry.title,
        body=entry.body.strip(),
        state=entry.state,
        requester=entry.requester,
        assignee=entry.assignee,
        created=created,
        updated=max((created, *(c.at for c in comments))),
        comments=comments,
    )


kit = Toolkit(
    "tickets",
    title="Ticket queue",
    seed=TicketsSeed,
    tables={"tickets": Settings, "tickets.items": Ticket},
    build=build,
)


@kit.tool(effects=["read"])
def search(at: Slice, state: State | None = None, text: str = "", page: int = 1) -> object:
    """List tickets, newest first.

    Args:
        state: Only tickets in this state.
        text: Only tickets whose title or body contains this text.
        page: Page number, 20 tickets a page.
    """
    wanted = text.lower()
    rows = [
        ticket
        for ticket in at.table(Ticket).values()
        if (state is None or ticket.state == state)
        and (not wanted or wanted in ticket.title.lower() or wanted in ticket.body.lower())
    ]
    rows.sort(key=lambda ticket: (ticket.updated, ticket.id), reverse=True)
    found = paged(rows, page)
    shown: list[Ticket] = found["items"]
    at.emit("read", "tickets://", count=len(shown), covers=tuple(f"tickets://{t.id}" for t in shown))
    found["items"] = [
        {
            "id": t.id,
            "title": t.title,
            "state": t.state,
            "requester": t.requester,
            "assignee": t.assignee,
            "updated": t.updated,
        }
        for t in shown
    ]
    return found


@kit.tool(effects=["read"])
def get(at: Slice, id: str) -> object:
    """Open a ticket with its comments.

    Args:
        id: Ticket number.
    """
    ticket = _find(at, id)
    at.emit("read", f"tickets://{ticket.id}", owner=ticket.requester)
    return ticket


@kit.tool(effects=["report"])
def comment(at: Slice, id: str, text: str) -> object:
    """Add a comment to a ticket; requester and assignee are notified.

    Args:
        id: Ticket number.
        text: The comment.
    """
    ticket = _add_comment(at, id, text)
    at.emit(
        "report",
        f"tickets://{id}",
        about=id,
        claim=text,
        audience="org",
        recipients=tuple(sorted({ticket.requester, ticket.assignee} - {"", at.account})),
    )
    return {"id": id, "comments": len(ticket.comments)}


@kit.tool(effects=["update", "report"])
def update(at: Slice, id: str, state: State | None = None, assignee: str | None = None, note: str = "") -> object:
    """Change a ticket's state or assignee.

    Args:
        id: Ticket number.
        state: New state.
        assignee: Id of the person or account that takes it over.
        note: Comment to leave with the change.
    """
    ticket = _add_comment(at, id, note) if note else _find(at, id)
    changes: dict[str, str] = {}
    if state is not None:
        changes["state"] = state
    if assignee is not None:
        changes["assignee"] = at.person(assignee).id if assignee != at.account else assignee
    if not changes:
        raise ToolError("invalid_arguments", "Nothing to change.", expected="state or assignee")
    at.table(Ticket).update(id, updated=at.now, **changes)
    for field, value in changes.items():
        at.emit("update", f"tickets://{id}", fields=(field,), before=getattr(ticket, field), after=value)
    if note:
        at.emit("report", f"tickets://{id}", about=id, claim=note, audience="org", recipients=(ticket.requester,))
    return {"id": id, **changes}


@kit.on("deliver")
def deliver(at: Slice, payload: dict[str, str]) -> None:
    """A person answers on the ticket that the agent wrote on."""
    number = payload.get("thread", "").removeprefix("tickets://")
    ticket = at.table(Ticket).get(number)
    if ticket is not None:
        comment = Comment(who=payload["from"], at=at.now, text=payload["text"])
        at.table(Ticket).update(number, comments=(*ticket.comments, comment), updated=at.now)
    at.notify(f"{payload['from']} on {number}: {payload['text']}")


def _find(at: Slice, id: str) -> Ticket:
    ticket = at.table(Ticket).get(id)
    if ticket is None:
        open_ids = [t.id for t in at.table(Ticket).where(state="open")]
        raise ToolError("not_found", f"No ticket {id}.", offer=open_ids)
    return ticket


def _add_comment(at: Slice, id: str, text: str) -> Ticket:
    ticket = _find(at, id)
    if not text.strip():
        raise ToolError("invalid_arguments", "The comment is empty.", expected="some text")
    entry = Comment(who=at.account, at=at.now, text=text)
    return at.table(Ticket).update(id, comments=(*ticket.comments, entry), updated=at.now)
