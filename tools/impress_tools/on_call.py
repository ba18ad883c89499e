"""On-call: paid cover for nights or hours that no volunteer took, asked for by form and decided by a person.

The form wants the volunteers asked first; how many, and how long without an answer counts as one, are settings. What is
granted goes on the rota.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit
from impress_env.world.table import Record
from impress_tools import asks, rota
from impress_tools._forum import moment, spoken


class Request(Record, frozen=True, kw_only=True):
    """One request for paid cover. `state`: requested, approved or refused."""

    id: str
    slot: str
    start: str
    end: str
    reason: str
    asked: int
    state: str
    requested: str
    requested_by: str
    decided: str = ""
    decided_by: str = ""


class Settings(Record, frozen=True, kw_only=True):
    """Who decides; how many volunteers are asked first; after how many minutes silence counts as an answer."""

    approver: str
    asked_first: int
    quiet_minutes: int
    prefix: str
    next_number: int


class SettingsSeed(Seed):
    """Settings in a scenario file."""

    approver: str = ""
    asked_first: Annotated[int, Field(ge=0, le=20)] = 2
    quiet_minutes: Annotated[int, Field(ge=1, le=2000)] = 45
    prefix: str = "OC-"
    next_number: int = 301


class RequestSeed(Seed):
    """An earlier request in a scenario file."""

    slot: str
    start: str
    end: str
    reason: str = ""
    state: str = "approved"
    requested: str
    requested_by: str
    decided: str = ""
    decided_by: str = ""


class OnCallSeed(Seed):
    """Section `on_call:`."""

    settings: SettingsSeed = SettingsSeed()
    items: dict[str, RequestSeed] = Field(default_factory=dict)


def build(seed: OnCallSeed, make: Build) -> None:
    """Put settings and earlier requests."""
    make.put(
        "settings",
        Settings(
            approver=seed.settings.approver,
            asked_first=seed.settings.asked_first,
            quiet_minutes=seed.settings.quiet_minutes,
            prefix=seed.settings.prefix,
            next_number=seed.settings.next_number,
        ),
    )
    for number, entry in seed.items.items():
        make.put(
            number,
            Request(
                id=number,
                slot=entry.slot,
                start=make.time(entry.start),
                end=make.time(entry.end),
                reason=entry.reason,
                asked=seed.settings.asked_first,
                state=entry.state,
                requested=make.time(entry.requested),
                requested_by=entry.requested_by,
                decided=make.time(entry.decided) if entry.decided else "",
                decided_by=entry.decided_by,
            ),
        )


kit = Toolkit(
    "on_call",
    title="On-call cover",
    seed=OnCallSeed,
    tables={"on_call": Settings, "on_call.items": Request},
    build=build,
    uses=("rota", "asks"),
)


@kit.tool(effects=["request"], minutes=2)
def request(at: Slice, slot: str, reason: str, from_: str = "", to: str = "") -> object:
    """Ask for paid on-call cover of a night, or of the hours of it that nobody has.

    Args:
        slot: Number of the slot.
        reason: Why it is needed.
        from_: Start, such as 2026-11-19T23:00; by default where the open hours begin.
        to: End; by default where the open hours end.
    """
    night = rota.to_come(at, rota.find_slot(at, slot))
    left = rota.hours_left(night)
    if not left:
        raise ToolError("conflict", f"{night.id} is filled.", found=", ".join(shift.who for shift in night.cover))
    if night.on_call == "requested":
        raise ToolError("conflict", f"A request for {night.id} is not decided yet.")
    if not reason.strip():
        raise ToolError("invalid_arguments", "The reason is empty.", expected="some text")
    start = moment(from_, "from") if from_ else left[0][0]
    end = moment(to, "to") if to else left[-1][1]
    if not any(first <= start < end <= last for first, last in left) and (start, end) != (left[0][0], left[-1][1]):
        raise ToolError(
            "conflict",
            f"These are not open hours of {night.id}.",
            found=f"{start} to {end}",
            offer=[f"{first} to {last}" for first, last in left],
        )
    settings = at.table(Settings)["settings"]
    asked, counted = asks.answers_for(at, night.id, settings.quiet_minutes)
    if counted < settings.asked_first:
        raise ToolError(
            "conflict",
            f"Volunteers are asked first; asked for {night.id}: {asked}, answered or silent for "
            f"{settings.quiet_minutes} minutes: {counted}.",
            expected=f"at least {settings.asked_first}",
            found=str(counted),
        )
    number = at.next_id(settings.prefix, width=1, start=settings.next_number)
    at.table(Request).put(
        number,
        Request(
            id=number,
            slot=night.id,
            start=start,
            end=end,
            reason=reason.strip(),
            asked=asked,
            state="requested",
            requested=at.now,
            requested_by=at.account,
        ),
    )
    at.table(rota.Slot).update(night.id, on_call="requested")
    at.emit(
        "request",
        f"on_call://{number}",
        recipients=(settings.approver,) if settings.approver else (),
        audience="org",
        about=night.id,
        claim=reason.strip(),
        start=start,
        end=end,
        count=asked,
    )
    return {
        "request": number,
        "slot": night.id,
        "hours": spoken(start, end),
        "asked": asked,
        "state": "requested",
        "sent_to": settings.approver,
    }


@kit.on("decided")
def decided(at: Slice, payload: dict[str, Any]) -> None:
    """The approver decides; what is granted goes on the rota."""
    found = at.table(Request)[payload["request"]]
    state = str(payload["state"])
    at.table(Request).update(found.id, state=state, decided=at.now, decided_by=at.account)
    at.table(rota.Slot).update(found.slot, on_call=state)
    if state == "approved":
        rota.take(at, found.slot, "on-call", found.start, found.end)
    at.emit("approve" if state == "approved" else "update", f"on_call://{found.id}", about=found.slot, outcome=state)


@kit.on("deliver")
def deliver(at: Slice, payload: dict[str, str]) -> None:
    """The approver writes under a request."""
    number = payload.get("thread", "").removeprefix("on_call://")
    found = at.table(Request).get(number)
    state = f" {found.state}." if found is not None else ""
    at.notify(f"{payload['from']} on {number}:{state} {payload['text']}")
