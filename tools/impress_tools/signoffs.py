"""Sign-offs: what a desk agrees to about the lines that it looks after, one figure of one trigger a request.

The register names the lines, their desks and who answers there. A person decides a request (event `decided`), as asked
or at another figure. Checks nothing in the helpdesk and holds no opinion.
"""

from __future__ import annotations

import builtins
from typing import Annotated, Any, Literal

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record

State = Literal["open", "returned", "approved", "declined"]


class Message(Record, frozen=True, kw_only=True):
    """One line under a request."""

    who: str
    at: str
    text: str


class Signoff(Record, frozen=True, kw_only=True):
    """One request and what became of it.

    `asked` is the figure asked for, `value` the one that was agreed to (as asked until somebody decides); `version`
    the version of the trigger that went live on it, 0 for none yet.
    """

    id: str
    trigger: str
    field: str
    asked: int
    value: int
    outcome: str
    version: int
    requested_by: str
    requested: str
    approver: str
    role: str
    decided: str
    exceptions: tuple[str, ...] = ()
    messages: tuple[Message, ...] = ()


class Line(Record, frozen=True, kw_only=True):
    """One line of the register: the trigger and its field, the desk, and who answers there."""

    trigger: str
    field: str
    desk: str
    approver: str


class Settings(Record, frozen=True, kw_only=True):
    """How requests are numbered."""

    prefix: str
    next_number: int


class MessageSeed(Seed):
    """A line under a past request."""

    who: str = Field(alias="from")
    at: str
    text: str


class SignoffSeed(Seed):
    """A request in a scenario file. `value` is as asked where it is left out."""

    trigger: str
    field: str
    asked: int
    value: int | None = None
    outcome: State = "open"
    version: int = 0
    requested_by: str
    at: str
    approver: str = ""
    role: str = ""
    decided: str = ""
    exceptions: tuple[str, ...] = ()
    messages: tuple[MessageSeed, ...] = ()


class LineSeed(Seed):
    """A line of the register in a scenario file."""

    field: str
    desk: str
    approver: str


class SettingsSeed(Seed):
    """Settings in a scenario file."""

    prefix: str = "SO-"
    next_number: int = 412


class SignoffsSeed(Seed):
    """Section `signoffs:`; `lines` by trigger, `items` by number."""

    settings: SettingsSeed = SettingsSeed()
    lines: dict[str, LineSeed] = Field(default_factory=dict)
    items: dict[str, SignoffSeed] = Field(default_factory=dict)


def build(seed: SignoffsSeed, make: Build) -> None:
    """Put the register and the requests; what was approved is told as an effect of the past."""
    make.put("settings", Settings(prefix=seed.settings.prefix, next_number=seed.settings.next_number))
    for trigger, line in seed.lines.items():
        make.put(trigger, Line(trigger=trigger, field=line.field, desk=line.desk, approver=line.approver))
    for number, entry in seed.items.items():
        made = Signoff(
            id=number,
            trigger=entry.trigger,
            field=entry.field,
            asked=entry.asked,
            value=entry.asked if entry.value is None else entry.value,
            outcome=entry.outcome,
            version=entry.version,
            requested_by=entry.requested_by,
            requested=make.time(entry.at),
            approver=entry.approver,
            role=entry.role,
            decided=make.time(entry.decided) if entry.decided else "",
            exceptions=tuple(sorted(entry.exceptions)),
            messages=tuple(Message(who=m.who, at=make.time(m.at), text=m.text.strip()) for m in entry.messages),
        )
        make.put(number, made)
        if made.outcome == "approved":
            make.effect(
                "approve",
                f"signoffs://{number}",
                actor=made.approver,
                time=made.decided or made.requested,
                subject=made.trigger,
                outcome="approved",
                fields=(made.field,),
                data={"value": made.value, "role": made.role},
            )


kit = Toolkit(
    "signoffs",
    title="Sign-offs",
    seed=SignoffsSeed,
    tables={"signoffs": Settings, "signoffs.lines": Line, "signoffs.items": Signoff},
    build=build,
)


def of_trigger(at: Slice, trigger: str) -> builtins.list[Signoff]:
    """Return a trigger's requests, newest first. The toolkit whose slice it is must list `signoffs` in `uses`."""
    return sorted(at.table(Signoff).where(trigger=trigger), key=lambda s: (s.requested, s.id), reverse=True)


def as_row(signoff: Signoff) -> dict[str, object]:
    """Return a request as the app lists it."""
    return {
        "ref": signoff.id,
        "trigger_id": signoff.trigger,
        "field": signoff.field,
        "asked": signoff.asked,
        "agreed": signoff.value if signoff.outcome == "approved" else None,
        "outcome": signoff.outcome,
        "approver": signoff.approver,
        "role": signoff.role,
        "requested": signoff.requested,
        "decided": signoff.decided,
        "live_in_version": signoff.version or None,
    }


@kit.tool(effects=["read"])
def list(at: Slice, trigger_id: str = "", outcome: State | None = None, page: int = 1) -> object:
    """List sign-off requests, newest first.

    Args:
        trigger_id: Only requests on this trigger.
        outcome: Only requests with this outcome.
        page: Page number, 20 requests a page.
    """
    rows = [
        signoff
        for signoff in at.table(Signoff).values()
        if trigger_id in ("", signoff.trigger) and outcome in (None, signoff.outcome)
    ]
    rows.sort(key=lambda signoff: (signoff.requested, signoff.id), reverse=True)
    found = paged(rows, page)
    shown: tuple[Signoff, ...] = tuple(found["items"])
    covers = tuple(sorted(f"signoffs://{signoff.id}" for signoff in shown))
    at.emit("read", "signoffs://", subject=trigger_id, count=len(shown), covers=covers)
    found["items"] = [as_row(signoff) for signoff in shown]
    return found


@kit.tool(effects=["read"])
def get(at: Slice, ref: str) -> object:
    """Open one sign-off request with the tickets listed and the messages.

    Args:
        ref: Number of the request.
    """
    signoff = at.table(Signoff).get(ref)
    if signoff is None:
        raise ToolError("not_found", f"No sign-off request {ref[:40]}.", offer=at.table(Signoff).keys()[-20:])
    at.emit("read", f"signoffs://{signoff.id}", subject=signoff.trigger, outcome=signoff.outcome)
    return as_row(signoff) | {"exceptions": signoff.exceptions, "messages": signoff.messages}


@kit.tool(effects=["request"], minutes=3)
def request(
    at: Slice,
    trigger_id: str,
    field: str,
    value: int,
    exceptions: Annotated[tuple[str, ...], Field(max_length=60)] = (),
    note: Annotated[str, Field(max_length=2000)] = "",
) -> object:
    """Ask the desk that looks after a line to sign off a new figure for it.

    Args:
        trigger_id: The trigger.
        field: The condition that holds the figure.
        value: The new figure.
        exceptions: Numbers of the tickets in the replay that were lowered or refused.
        note: Remark for the desk.
    """
    line = at.table(Line).get(trigger_id)
    if line is None:
        raise ToolError("not_found", f"No line on {trigger_id[:40]} in the register.", offer=at.table(Line).keys())
    if field != line.field:
        raise ToolError("invalid_arguments", "Not the line's field.", expected=line.field, found=field[:60])
    settings = at.table(Settings)["settings"]
    number = at.next_id(settings.prefix, start=settings.next_number)
    while number in at.table(Signoff):
        number = at.next_id(settings.prefix)
    listed = tuple(sorted({ticket.strip() for ticket in exceptions if ticket.strip()}))
    at.table(Signoff).put(
        number,
        Signoff(
            id=number,
            trigger=trigger_id,
            field=field,
            asked=value,
            value=value,
            outcome="open",
            version=0,
            requested_by=at.account,
            requested=at.now,
            approver=line.approver,
            role="",
            decided="",
            exceptions=listed,
            messages=(Message(who=at.account, at=at.now, text=note.strip()),) if note.strip() else (),
        ),
    )
    at.emit(
        "request",
        f"signoffs://{number}",
        recipients=(line.approver,),
        audience="org",
        about=number,
        subject=trigger_id,
        claim=note,
        fields=(field,),
        refs=listed,
        data={"asked": value, "desk": line.desk},
    )
    return {"ref": number, "outcome": "open", "sent_to": {"desk": line.desk, "approver": line.approver}}


@kit.on("decided")
def decided(at: Slice, payload: dict[str, Any]) -> None:
    """Somebody of the desk decides a request: payload ref, outcome, role, and value where it is not the one asked."""
    signoff = at.table(Signoff)[payload["ref"]]
    changed = at.table(Signoff).update(
        signoff.id,
        outcome=payload["outcome"],
        value=int(payload.get("value", signoff.asked)),
        approver=at.account,
        role=payload.get("role", ""),
        decided="" if payload["outcome"] == "returned" else at.now,
    )
    if changed.outcome == "approved":
        at.emit(
            "approve",
            f"signoffs://{signoff.id}",
            subject=signoff.trigger,
            outcome=changed.outcome,
            fields=(signoff.field,),
            data={"value": changed.value, "role": changed.role},
        )


@kit.on("deliver")
def deliver(at: Slice, payload: dict[str, str]) -> None:
    """The desk writes under a request."""
    number = payload.get("thread", "").removeprefix("signoffs://")
    signoff = at.table(Signoff).get(number)
    if signoff is not None:
        message = Message(who=payload["from"], at=at.now, text=payload["text"])
        at.table(Signoff).update(number, messages=(*signoff.messages, message))
    at.notify(f"{payload['from']} on {number}: {payload['text']}")
