"""Activities: what is logged to an opportunity — mails, calls, meetings, notes, pasted chats.

The seller's side of an entry is kept as a reference, `@owner`, and `{owner.name}`, `{owner.first}` in its text;
both are resolved from the deal's owner on read, as mail templates and signatures are. An archived entry leaves
the lists and stays in the table.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.people import Person
from impress_env.world.table import Record
from impress_tools import opportunities
from impress_tools._sales import moment, numbers_by_time

Kind = Literal["email", "call", "meeting", "note", "chat"]
Order = Literal["newest_first", "oldest_first"]
OWNER: Final = "@owner"
PAGE: Final = 8


class Activity(Record, frozen=True, kw_only=True):
    """One entry. `sender` and `recipients` are person ids, outside addresses, or `@owner`."""

    id: str
    opportunity: str
    kind: str
    at: str
    sender: str
    recipients: tuple[str, ...]
    subject: str
    text: str
    logged_by: str
    archived: bool = False


class ActivitySeed(Seed):
    """An entry in a scenario file; `from` and `to` may be `@owner`."""

    opportunity: str
    kind: Kind
    at: str
    sender: str = Field(alias="from")
    recipients: tuple[str, ...] = Field((), alias="to")
    subject: str = ""
    text: str
    logged_by: str = OWNER


class ActivitiesSeed(Seed):
    """Section `activities:`; `items` by number, `history` numbered by the app in time between these."""

    items: dict[str, ActivitySeed] = Field(default_factory=dict)
    history: tuple[ActivitySeed, ...] = ()


def build(seed: ActivitiesSeed, make: Build) -> None:
    """Put the entries."""
    past = sorted(seed.history, key=lambda item: make.time(item.at))
    given = {
        int(number.removeprefix("ACT-")): make.time(entry.at)
        for number, entry in seed.items.items()
        if number.removeprefix("ACT-").isdigit()
    }
    numbers = numbers_by_time([make.time(entry.at) for entry in past], given, start=48_117, a_day=23)
    for value, entry in zip(numbers, past, strict=True):
        make.put(f"ACT-{value:05d}", _activity(f"ACT-{value:05d}", entry, make))
    newest = max([0, *numbers, *given])
    if newest:
        make.next_id("ACT-", width=5, start=newest + 3)
    for number, entry in seed.items.items():
        make.put(number, _activity(number, entry, make))


def _activity(number: str, entry: ActivitySeed, make: Build) -> Activity:
    return Activity(
        id=number,
        opportunity=entry.opportunity,
        kind=entry.kind,
        at=make.time(entry.at),
        sender=entry.sender,
        recipients=entry.recipients,
        subject=entry.subject,
        text=entry.text.strip(),
        logged_by=entry.logged_by,
    )


kit = Toolkit(
    "activities",
    title="Activity log",
    seed=ActivitiesSeed,
    tables={"activities.items": Activity},
    build=build,
    uses=("opportunities",),
)


def resolve(at: Slice, activity: Activity, text: str) -> str:
    """Return a text of an entry with the owner's name filled in."""
    if "{owner." not in text:
        return text
    seller = opportunities.owner_of(at, activity.opportunity)
    name, first = (seller.name, seller.first) if seller else ("", "")
    return text.replace("{owner.name}", name).replace("{owner.first}", first)


@kit.tool(effects=["read"], minutes=2)
def search(
    at: Slice,
    opportunity_id: str,
    kind: Kind | None = None,
    from_: str = "",
    to: str = "",
    text: str = "",
    order: Order = "newest_first",
    page: int = 1,
) -> object:
    """List what is logged to an opportunity, with full text.

    Args:
        opportunity_id: Number of the opportunity.
        kind: Only entries of this kind.
        from_: Only entries at or after this time.
        to: Only entries at or before this time.
        text: Only entries whose subject or text contains this.
        order: Newest or oldest first.
        page: Page number, 8 entries a page.
    """
    opportunities.find(at, opportunity_id)
    first, last = from_ and moment(from_, "from"), to and moment(to, "to")
    wanted = text.strip().lower()
    rows = [
        entry
        for entry in at.table(Activity).where(opportunity=opportunity_id, archived=False)
        if kind in (None, entry.kind)
        and (not first or entry.at >= first)
        and (not last or entry.at <= last)
        and (not wanted or wanted in resolve(at, entry, f"{entry.subject}\n{entry.text}").lower())
    ]
    rows.sort(key=lambda entry: (entry.at, entry.id), reverse=order == "newest_first")
    found = paged(rows, page, PAGE)
    shown: list[Activity] = found["items"]
    _emit_read(at, f"activities://?opportunity={opportunity_id}", opportunity_id, shown)
    found["items"] = [_as_row(at, entry) for entry in shown]
    return found


@kit.tool(effects=["read"])
def get(at: Slice, activity_id: str) -> object:
    """Open one entry.

    Args:
        activity_id: Number of the entry.
    """
    entry = _find(at, activity_id)
    _emit_read(at, f"activities://{entry.id}", entry.opportunity, [entry])
    return _as_row(at, entry)


@kit.tool(effects=["create"], minutes=2)
def create(at: Slice, opportunity_id: str, kind: Kind, subject: str, text: str, when: str = "") -> object:
    """Log an entry to an opportunity.

    Args:
        opportunity_id: Number of the opportunity.
        kind: What it was.
        subject: Subject line.
        text: What was said or written.
        when: When it was; now if left empty.
    """
    opportunities.find(at, opportunity_id)
    number = at.next_id("ACT-", width=5, start=52011)
    entry = Activity(
        id=number,
        opportunity=opportunity_id,
        kind=kind,
        at=moment(when, "when") if when else at.now,
        sender=at.account,
        recipients=(),
        subject=subject,
        text=text,
        logged_by=at.account,
    )
    at.table(Activity).put(number, entry)
    at.emit("create", f"activities://{number}", about=opportunity_id, subject=kind, claim=text)
    return {"activity_id": number}


@kit.tool(effects=["update"])
def update(at: Slice, activity_id: str, subject: str | None = None, opportunity_id: str | None = None) -> object:
    """Change an entry's subject, or move it to another opportunity.

    Args:
        activity_id: Number of the entry.
        subject: New subject line.
        opportunity_id: Number of the opportunity that it belongs to.
    """
    entry = _find(at, activity_id)
    changes: dict[str, str] = {}
    if subject is not None:
        changes["subject"] = subject
    if opportunity_id is not None:
        changes["opportunity"] = opportunities.find(at, opportunity_id).id
    if not changes:
        raise ToolError("invalid_arguments", "Nothing to change.", expected="subject or opportunity_id")
    at.table(Activity).update(activity_id, **changes)
    for field, value in changes.items():
        at.emit(
            "update",
            f"activities://{activity_id}",
            about=entry.opportunity,
            fields=(field,),
            before=getattr(entry, field),
            after=value,
        )
    return {"activity_id": activity_id, **changes}


@kit.tool(effects=["delete"])
def archive(at: Slice, activity_id: str, reason: Literal["duplicate", "wrong_record", "private", "other"]) -> object:
    """Take an entry out of the log. An administrator can put it back.

    Args:
        activity_id: Number of the entry.
        reason: Why.
    """
    entry = _find(at, activity_id)
    at.table(Activity).update(activity_id, archived=True)
    at.emit("delete", f"activities://{activity_id}", about=entry.opportunity, reason=reason, reversible=True)
    return {"activity_id": activity_id, "archived": True}


def _find(at: Slice, number: str) -> Activity:
    entry = at.table(Activity).get(number)
    if entry is None or entry.archived:
        raise ToolError(
            "not_found",
            f"No activity {number}.",
            offer=opportunities.near([a.id for a in at.table(Activity).where(archived=False)], number),
        )
    return entry


def _emit_read(at: Slice, object: str, opportunity: str, shown: list[Activity]) -> None:
    seller = opportunities.owner_of(at, opportunity)
    senders = {seller.id if entry.sender == OWNER and seller else entry.sender for entry in shown}
    at.emit(
        "read",
        object,
        owner=seller.id if seller else "",
        about=opportunity,
        count=len(shown),
        covers=tuple(sorted(f"activities://{entry.id}" for entry in shown)),
        data={"senders": tuple(sorted(senders))},
    )


def _as_row(at: Slice, entry: Activity) -> dict[str, Any]:
    row: dict[str, Any] = {
        "activity_id": entry.id,
        "kind": entry.kind,
        "at": entry.at,
        "from": _party(at, entry, entry.sender),
    }
    if entry.recipients:
        row["to" if entry.kind == "email" else "with"] = [_party(at, entry, who) for who in entry.recipients]
    row["subject"] = resolve(at, entry, entry.subject)
    row["text"] = resolve(at, entry, entry.text)
    return row


def _party(at: Slice, entry: Activity, who: str) -> str:
    person = opportunities.owner_of(at, entry.opportunity) if who == OWNER else at.table(Person).get(who)
    if person is None:
        return who
    return f"{person.name} <{person.email}>" if entry.kind == "email" else person.name
