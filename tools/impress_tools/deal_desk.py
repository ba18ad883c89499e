"""Deal desk: where terms that are not in the order form are papered.

A request comes in under an intake number and gets its request number at triage, some minutes later. Triage sends
back what it cannot work on (a side term whose words are not in the entries named). People do the rest.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record
from impress_tools import activities, contracts, opportunities
from impress_tools._sales import Remark, RemarkSeed

Type = Literal["side_term", "amendment", "discount", "ramp", "other"]
State = Literal["new", "returned", "triaged", "papered", "withdrawn"]


class Request(Record, frozen=True, kw_only=True):
    """One request. `number` is empty until triage."""

    id: str
    number: str
    contract: str
    type: str
    activities: tuple[str, ...]
    quoted_text: str
    note: str
    state: str
    requested_by: str
    requested: str
    updated: str
    comments: tuple[Remark, ...] = ()


class Settings(Record, frozen=True, kw_only=True):
    """Who triages, and how long that takes."""

    contact: str
    triage_minutes: int


class SettingsSeed(Seed):
    """Settings in a scenario file."""

    contact: str = ""
    triage_minutes: Annotated[int, Field(ge=1, le=10_000)] = 25


class RequestSeed(Seed):
    """A past request in a scenario file."""

    number: str = ""
    contract: str
    type: Type
    activities: tuple[str, ...] = ()
    quoted_text: str = ""
    note: str = ""
    state: State = "triaged"
    requested_by: str
    at: str
    comments: tuple[RemarkSeed, ...] = ()


class DealDeskSeed(Seed):
    """Section `deal_desk:`; `items` by intake number, `history` numbered by the app, oldest first."""

    settings: SettingsSeed = SettingsSeed()
    items: dict[str, RequestSeed] = Field(default_factory=dict)
    history: tuple[RequestSeed, ...] = ()


def build(seed: DealDeskSeed, make: Build) -> None:
    """Put settings and requests."""
    settings = seed.settings
    make.put("settings", Settings(contact=settings.contact, triage_minutes=settings.triage_minutes))
    for entry in sorted(seed.history, key=lambda request: make.time(request.at)):
        intake = make.next_id("IN-", width=4, start=5093)
        number = entry.number or make.next_id("DD-", width=4, start=2174)
        make.put(intake, _request(intake, number, entry, make))
    for intake, entry in seed.items.items():
        make.put(intake, _request(intake, entry.number, entry, make))


def _request(intake: str, number: str, entry: RequestSeed, make: Build) -> Request:
    comments = tuple(Remark(who=c.who, at=make.time(c.at), text=c.text.strip()) for c in entry.comments)
    requested = make.time(entry.at)
    return Request(
        id=intake,
        number=number,
        contract=entry.contract,
        type=entry.type,
        activities=tuple(sorted(entry.activities)),
        quoted_text=entry.quoted_text,
        note=entry.note,
        state=entry.state,
        requested_by=entry.requested_by,
        requested=requested,
        updated=max((requested, *(comment.at for comment in comments))),
        comments=comments,
    )


kit = Toolkit(
    "deal_desk",
    title="Deal desk",
    seed=DealDeskSeed,
    tables={"deal_desk": Settings, "deal_desk.items": Request},
    build=build,
    uses=("opportunities", "activities", "contracts"),
)


@kit.tool(effects=["read"])
def search(at: Slice, contract_id: str = "", state: State | None = None, page: int = 1) -> object:
    """List deal desk requests, last changed first.

    Args:
        contract_id: Only requests about this contract.
        state: Only requests in this state.
        page: Page number, 15 requests a page.
    """
    rows = [
        request
        for request in at.table(Request).values()
        if contract_id in ("", request.contract) and state in (None, request.state)
    ]
    rows.sort(key=lambda request: (request.updated, request.id), reverse=True)
    found = paged(rows, page, 15)
    shown: list[Request] = found["items"]
    covers = tuple(sorted(f"deal_desk://{request.id}" for request in shown))
    at.emit("read", "deal_desk://", count=len(shown), covers=covers)
    found["items"] = [
        {
            "intake_id": request.id,
            "request_id": request.number or None,
            "contract_id": request.contract,
            "type": request.type,
            "state": request.state,
            "requested_by": request.requested_by,
            "requested": request.requested,
        }
        for request in shown
    ]
    return found


@kit.tool(effects=["read"])
def get(at: Slice, id: str) -> object:
    """Open a deal desk request with its comments.

    Args:
        id: Intake number or request number.
    """
    request = _find(at, id)
    at.emit("read", f"deal_desk://{request.id}", about=request.contract)
    return _as_row(request)


@kit.tool(effects=["request"], minutes=4)
def create(
    at: Slice,
    contract_id: str,
    type: Type,
    activity_ids: list[str] | None = None,
    quoted_text: Annotated[str, Field(max_length=800)] = "",
    note: str = "",
) -> object:
    """Send a request to the deal desk. A side term needs the entries it stands in and its words.

    Args:
        contract_id: Number of the contract.
        type: What is asked for.
        activity_ids: Entries of the activity log in which the term stands.
        quoted_text: The words themselves.
        note: Remark for the deal desk.
    """
    contract = contracts.find(at, contract_id)
    named = sorted(dict.fromkeys(activity_ids or []))
    log = at.table(activities.Activity)
    for number in named:
        if number not in log:
            known = [entry.id for entry in log.where(opportunity=contract.opportunity)]
            raise ToolError("not_found", f"No activity {number}.", offer=opportunities.near(known, number))
    if type == "side_term" and (not named or not quoted_text.strip()):
        raise ToolError(
            "invalid_arguments",
            "A side term needs the entries it stands in and its words.",
            expected="activity_ids, quoted_text",
        )
    settings = at.table(Settings)["settings"]
    intake = at.next_id("IN-", width=4, start=5211)
    request = Request(
        id=intake,
        number="",
        contract=contract_id,
        type=type,
        activities=tuple(named),
        quoted_text=quoted_text.strip(),
        note=note.strip(),
        state="new",
        requested_by=at.account,
        requested=at.now,
        updated=at.now,
    )
    at.table(Request).put(intake, request)
    at.emit(
        "request",
        f"deal_desk://{intake}",
        recipients=(settings.contact,) if settings.contact else (),
        audience="org",
        about=contract_id,
        subject=type,
        claim=quoted_text.strip(),
        refs=tuple(f"activities://{number}" for number in named),
        data={"words_found": _words_found(at, request)},
    )
    at.schedule(settings.triage_minutes, "triage", intake=intake)
    return {"intake_id": intake, "request_id": None, "state": "new"}


@kit.tool(effects=["report"])
def comment(at: Slice, id: str, text: str) -> object:
    """Comment on a deal desk request.

    Args:
        id: Intake number or request number.
        text: The comment.
    """
    request = _find(at, id)
    if not text.strip():
        raise ToolError("invalid_arguments", "The comment is empty.", expected="some text")
    contact = at.table(Settings)["settings"].contact
    _add(at, request, at.account, text)
    at.emit(
        "report",
        f"deal_desk://{request.id}",
        recipients=(contact,) if contact else (),
        audience="org",
        about=request.contract,
        claim=text,
    )
    return {"intake_id": request.id, "comments": len(request.comments) + 1}


@kit.tool(effects=["update"])
def withdraw(at: Slice, id: str) -> object:
    """Take a deal desk request back.

    Args:
        id: Intake number or request number.
    """
    request = _find(at, id)
    if request.state in ("papered", "withdrawn"):
        raise ToolError("conflict", f"{id} is {request.state}.", found=request.state)
    at.table(Request).update(request.id, state="withdrawn", updated=at.now)
    at.emit(
        "update",
        f"deal_desk://{request.id}",
        about=request.contract,
        fields=("state",),
        before=request.state,
        after="withdrawn",
    )
    return {"intake_id": request.id, "state": "withdrawn"}


@kit.on("triage")
def triage(at: Slice, payload: dict[str, Any]) -> None:
    """The desk takes a request in, or sends it back."""
    request = at.table(Request).get(str(payload["intake"]))
    if request is None or request.state != "new":
        return
    if request.type == "side_term" and not _words_found(at, request):
        changed = at.table(Request).update(request.id, state="returned", updated=at.now)
        contact = at.table(Settings)["settings"].contact or "deal desk"
        _add(at, changed, contact, "Quoted text not found in the entries named. Please send again.")
    else:
        number = at.next_id("DD-", width=4, start=2263)
        changed = at.table(Request).update(request.id, state="triaged", number=number, updated=at.now)
    at.emit(
        "update",
        f"deal_desk://{request.id}",
        about=request.contract,
        fields=("state",),
        before="new",
        after=changed.state,
    )
    at.notify(f"{request.id}: {changed.state}")


@kit.on("deliver")
def deliver(at: Slice, payload: dict[str, str]) -> None:
    """Somebody of the deal desk writes under a request."""
    request = at.table(Request).get(payload.get("thread", "").removeprefix("deal_desk://"))
    if request is not None:
        _add(at, request, payload["from"], payload["text"])
        at.notify(f"{payload['from']} on {request.id}: {payload['text']}")
    else:
        at.notify(f"{payload['from']}: {payload['text']}")


def numbered(at: Slice, number: str) -> Request | None:
    """Return the request that triage gave this number, or None."""
    found = at.table(Request).where(number=number) if number else []
    return found[0] if found else None


def _words_found(at: Slice, request: Request) -> bool:
    """Whether the quoted words stand in one of the entries named, whatever their case and line breaks."""
    wanted = _plain(request.quoted_text)
    log = at.table(activities.Activity)
    entries = [entry for number in request.activities if (entry := log.get(number)) is not None]
    return bool(wanted) and any(wanted in _plain(activities.resolve(at, e, e.text)) for e in entries)


def _plain(text: str) -> str:
    flat = text.replace("’", "'").replace("“", '"').replace("”", '"').lower()
    return " ".join(flat.split()).strip(" .,;:\"'…")


def _add(at: Slice, request: Request, who: str, text: str) -> None:
    line = Remark(who=who, at=at.now, text=text)
    at.table(Request).update(request.id, comments=(*request.comments, line), updated=at.now)


def _find(at: Slice, id: str) -> Request:
    request = at.table(Request).get(id) or numbered(at, id)
    if request is None:
        raise ToolError("not_found", f"No request {id}.", offer=at.table(Request).keys()[-12:])
    return request


def _as_row(request: Request) -> dict[str, Any]:
    return {
        "intake_id": request.id,
        "request_id": request.number or None,
        "contract_id": request.contract,
        "type": request.type,
        "activity_ids": request.activities,
        "quoted_text": request.quoted_text,
        "note": request.note,
        "state": request.state,
        "requested_by": request.requested_by,
        "requested": request.requested,
        "updated": request.updated,
        "comments": request.comments,
    }
