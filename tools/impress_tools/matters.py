"""Matters: the register of cases: who leads each, what is due when, how it is charged, what is reserved on it.

A matter's phases are its batches of documents with the units forecast for them. A reserve is capacity that the lead
lawyer has agreed to on the matter's account; it is asked for here and entered by them. Books nothing by itself.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit
from impress_env.world.people import Person
from impress_env.world.table import Record
from impress_tools._common import moment

State = Literal["open", "stayed", "closed"]
Units = Annotated[int, Field(ge=1, le=100_000)]
PREFIX = "RR-"


class Phase(Record, frozen=True, kw_only=True):
    """One batch of a matter: the pool that it runs in, and the units forecast for it."""

    name: str
    batch: str
    pool: str
    forecast: int
    due: str
    state: str


class Reserve(Record, frozen=True, kw_only=True):
    """Units that the lead lawyer has agreed to hold on a matter beside what its batch needs."""

    units: int
    until: str
    approved_by: str
    approved: str


class Matter(Record, frozen=True, kw_only=True):
    """One matter."""

    id: str
    title: str
    client: str
    kind: str
    lead: str
    handler: str
    state: str
    opened: str
    terms: str
    phases: tuple[Phase, ...] = ()
    reserve: Reserve | None = None


class Request(Record, frozen=True, kw_only=True):
    """One request for a reserve, and what became of it."""

    id: str
    matter: str
    units: int
    until: str
    reason: str
    state: str
    asked_by: str
    asked: str


class Settings(Record, frozen=True, kw_only=True):
    """How requests are numbered."""

    next_number: int


class PhaseSeed(Seed):
    """A phase in a scenario file."""

    name: str
    batch: str
    pool: str
    forecast: int
    due: str
    state: Literal["planned", "open", "done"] = "planned"


class ReserveSeed(Seed):
    """A reserve in a scenario file."""

    units: Units
    until: str
    approved_by: str
    approved: str


class MatterSeed(Seed):
    """A matter in a scenario file."""

    title: str
    client: str
    kind: str = ""
    lead: str
    handler: str = ""
    state: State = "open"
    opened: str
    terms: str = ""
    phases: tuple[PhaseSeed, ...] = ()
    reserve: ReserveSeed | None = None


class RequestSeed(Seed):
    """A past request in a scenario file."""

    matter: str
    units: Units
    until: str
    reason: str = ""
    state: Literal["open", "approved", "declined"] = "open"
    asked_by: str
    asked: str


class SettingsSeed(Seed):
    """Settings in a scenario file."""

    next_number: int = 61


class MattersSeed(Seed):
    """Section `matters:`; `items` and `requests` by number."""

    settings: SettingsSeed = SettingsSeed()
    items: dict[str, MatterSeed] = Field(default_factory=dict)
    requests: dict[str, RequestSeed] = Field(default_factory=dict)


def build(seed: MattersSeed, make: Build) -> None:
    """Put the matters and the requests."""
    make.put("settings", Settings(next_number=seed.settings.next_number))
    for number, entry in seed.items.items():
        make.put(
            number,
            Matter(
                id=number,
                title=entry.title,
                client=entry.client,
                kind=entry.kind,
                lead=entry.lead,
                handler=entry.handler,
                state=entry.state,
                opened=make.time(entry.opened)[:10],
                terms=entry.terms.strip(),
                phases=tuple(
                    Phase(
                        name=phase.name,
                        batch=phase.batch,
                        pool=phase.pool,
                        forecast=phase.forecast,
                        due=make.time(phase.due)[:10],
                        state=phase.state,
                    )
                    for phase in entry.phases
                ),
                reserve=None
                if entry.reserve is None
                else Reserve(
                    units=entry.reserve.units,
                    until=make.time(entry.reserve.until)[:10],
                    approved_by=entry.reserve.approved_by,
                    approved=make.time(entry.reserve.approved)[:10],
                ),
            ),
        )
    for number, asked in seed.requests.items():
        make.put(
            number,
            Request(
                id=number,
                matter=asked.matter,
                units=asked.units,
                until=make.time(asked.until)[:10],
                reason=asked.reason,
                state=asked.state,
                asked_by=asked.asked_by,
                asked=make.time(asked.asked),
            ),
        )


kit = Toolkit(
    "matters",
    title="Matter register",
    seed=MattersSeed,
    tables={"matters": Settings, "matters.items": Matter, "matters.requests": Request},
    build=build,
)


def find(at: Slice, number: str) -> Matter:
    """Return a matter.

    The toolkit whose slice it is must list `matters` in `uses`.

    Raises:
        ToolError: `not_found`, with the matters whose numbers share its digits or its beginning.
    """
    table = at.table(Matter)
    matter = table.get(number.strip().upper())
    if matter is None:
        wanted = sorted(number.upper())
        near = [key for key in table if sorted(key) == wanted or key.startswith(number.strip().upper()[:4])]
        raise ToolError("not_found", f"No matter {number[:40]}.", offer=near or table.keys()[:20])
    return matter


@kit.tool(effects=["read"])
def get(at: Slice, matter_id: str) -> object:
    """Open a matter: client, lawyers, charging terms, batches with forecast and due date, and any reserve.

    Args:
        matter_id: Number of the matter.
    """
    matter = find(at, matter_id)
    asked = [request for request in at.table(Request).values() if request.matter == matter.id]
    at.emit("read", f"matters://{matter.id}", fields=("phases", "reserve", "terms"), owner=matter.lead)
    return {
        "matter_id": matter.id,
        "title": matter.title,
        "client": matter.client,
        "kind": matter.kind,
        "state": matter.state,
        "opened": matter.opened,
        "lead_lawyer": _named(at, matter.lead),
        "handling_lawyer": _named(at, matter.handler),
        "charging": matter.terms,
        "batches": [
            {
                "batch": phase.batch,
                "name": phase.name,
                "pool": phase.pool,
                "forecast_units": phase.forecast,
                "due": phase.due,
                "state": phase.state,
            }
            for phase in matter.phases
        ],
        "reserve": matter.reserve,
        "reserve_requests": [
            {
                "request_id": request.id,
                "units": request.units,
                "until": request.until,
                "asked_by": request.asked_by,
                "asked": request.asked,
                "state": request.state,
            }
            for request in asked
        ],
    }


@kit.tool(effects=["request"], minutes=2)
def request_reserve(at: Slice, matter_id: str, units: Units, until: str, reason: str) -> object:
    """Ask a matter's lead lawyer to agree a reserve of units on the matter, beside what its batches need.

    Args:
        matter_id: Number of the matter.
        units: How many units.
        until: Last day of the reserve, such as 2026-11-27.
        reason: What it is for.
    """
    matter = find(at, matter_id)
    day = moment(at, until, "until")[:10]
    if day < at.now[:10]:
        raise ToolError("invalid_arguments", "until is in the past.", expected=at.now[:10], found=day)
    number = at.next_id(PREFIX, width=1, start=at.table(Settings)["settings"].next_number)
    while number in at.table(Request):
        number = at.next_id(PREFIX, width=1)
    at.table(Request).put(
        number,
        Request(
            id=number,
            matter=matter.id,
            units=units,
            until=day,
            reason=reason,
            state="open",
            asked_by=at.account,
            asked=at.now,
        ),
    )
    at.emit(
        "request",
        f"matters://{number}",
        recipients=(matter.lead,),
        audience="team",
        subject=matter.id,
        about=matter.id,
        claim=reason,
        count=units,
        end=day,
    )
    return {"request_id": number, "matter_id": matter.id, "state": "open", "sent_to": matter.lead}


@kit.on("deliver")
def deliver(at: Slice, payload: dict[str, str]) -> None:
    """The lead lawyer answers a request."""
    number = payload.get("thread", "").removeprefix("matters://")
    at.notify(f"{payload['from']} on {number}: {payload['text']}")


def _named(at: Slice, who: str) -> str:
    person = at.table(Person).get(who)
    return f"{person.name} ({person.id})" if person is not None else who
