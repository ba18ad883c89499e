"""Change requests: what is planned where and when, who approved it, and those written afterwards."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record
from impress_tools._devops import Remark, moment, number_after, remark
from impress_tools.audit_log import AuditEvent, find_event

Kind = Literal["normal", "standard", "emergency", "retrospective"]
State = Literal["draft", "awaiting_approval", "approved", "closed", "rejected", "withdrawn"]
_SCOPE = ("clusters", "workloads", "window_start", "window_end")


class Approval(Record, frozen=True, kw_only=True):
    """One approval of a change."""

    who: str
    at: str


class ChangeRequest(Record, frozen=True, kw_only=True):
    """One change. `approved_at` is the time of its last approval, "" while it has none."""

    id: str
    title: str
    kind: str
    state: str
    requester: str
    clusters: tuple[str, ...]
    workloads: tuple[str, ...]
    window_start: str
    window_end: str
    approvals: tuple[Approval, ...]
    approved_at: str
    summary: str
    event_ids: tuple[str, ...]
    before: str
    after: str
    unavailable_seconds: int | None
    created: str
    updated: str
    comments: tuple[Remark, ...]


class Settings(Record, frozen=True, kw_only=True):
    """How changes are numbered, and who manages them."""

    prefix: str
    manager: str


class ApprovalSeed(Seed):
    """An approval in a scenario file."""

    who: str
    at: str


class RemarkSeed(Seed):
    """A comment in a scenario file."""

    who: str = Field(alias="from")
    at: str
    text: str


class ChangeSeed(Seed):
    """A change in a scenario file. A closed one was closed when its window ended, unless `closed` says when."""

    title: str
    kind: Kind = "normal"
    state: State = "closed"
    requester: str
    clusters: tuple[str, ...] = ()
    workloads: tuple[str, ...] = ()
    window_start: str = ""
    window_end: str = ""
    approvals: tuple[ApprovalSeed, ...] = ()
    summary: str = ""
    event_ids: tuple[str, ...] = ()
    before: str = ""
    after: str = ""
    unavailable_seconds: int | None = None
    at: str
    closed: str = ""
    comments: tuple[RemarkSeed, ...] = ()


class SettingsSeed(Seed):
    """Settings in a scenario file. `next_number` is the first one after the history."""

    prefix: str = "CHG-"
    next_number: int = 20400
    manager: str = ""


class ChangeRequestsSeed(Seed):
    """Section `change_requests:`; `items` by id, `history` numbered by the app, oldest first."""

    settings: SettingsSeed = SettingsSeed()
    items: dict[str, ChangeSeed] = Field(default_factory=dict)
    history: tuple[ChangeSeed, ...] = ()


def build(seed: ChangeRequestsSeed, make: Build) -> None:
    """Put the changes. Numbers of the history rise with time and have gaps: other teams raise changes too."""
    settings, draw = seed.settings, make.stream("numbers")
    make.put("settings", Settings(prefix=settings.prefix, manager=settings.manager))
    for id, entry in seed.items.items():
        make.put(id, _change(id, entry, make))
    given = {
        int(rest): make.time(entry.at)
        for id, entry in seed.items.items()
        if (rest := id.removeprefix(settings.prefix)).isdecimal()
    }
    number = settings.next_number
    for entry in sorted(seed.history, key=lambda change: make.time(change.at), reverse=True):
        later = [n for n, created in given.items() if created > make.time(entry.at)]
        earlier = max((n for n, created in given.items() if created <= make.time(entry.at)), default=0)
        above = min([number, *later])
        number = max(above - draw.randint(1, 4), min(earlier, above - 2) + 1)
        while number in given:
            number -= 1
        make.put(f"{settings.prefix}{number}", _change(f"{settings.prefix}{number}", entry, make))


def _change(id: str, seed: ChangeSeed, make: Build) -> ChangeRequest:
    approvals = tuple(Approval(who=a.who, at=make.time(a.at)) for a in seed.approvals)
    created = make.time(seed.at)
    comments = tuple(Remark(who=c.who, at=make.time(c.at), text=c.text.strip()) for c in seed.comments)
    moments = [created, *(a.at for a in approvals), *(c.at for c in comments)]
    if seed.state == "closed" and (ended := seed.closed or seed.window_end):
        moments.append(make.time(ended))
    return ChangeRequest(
        id=id,
        title=seed.title,
        kind=seed.kind,
        state=seed.state,
        requester=seed.requester,
        clusters=seed.clusters,
        workloads=seed.workloads,
        window_start=make.time(seed.window_start) if seed.window_start else "",
        window_end=make.time(seed.window_end) if seed.window_end else "",
        approvals=approvals,
        approved_at=max((a.at for a in approvals), default=""),
        summary=seed.summary.strip(),
        event_ids=seed.event_ids,
        before=seed.before,
        after=seed.after,
        unavailable_seconds=seed.unavailable_seconds,
        created=created,
        updated=max(moments),
        comments=comments,
    )


kit = Toolkit(
    "change_requests",
    title="Change management",
    seed=ChangeRequestsSeed,
    tables={"change_requests": Settings, "change_requests.items": ChangeRequest},
    build=build,
    uses=["audit_log"],
)


@kit.tool(effects=["read"])
def search(
    at: Slice,
    text: str = "",
    cluster: str | None = None,
    workload: str | None = None,
    kind: Kind | None = None,
    state: State | None = None,
    from_: str = "",
    to: str = "",
    page: int = 1,
) -> object:
    """List change requests, newest first, without scope and plan.

    Args:
        text: Only changes whose number, title or summary contains this text.
        cluster: Only changes that list this cluster.
        workload: Only changes that list this workload.
        kind: Only this kind.
        state: Only this state.
        from_: Only changes whose window ends at or after this ISO time.
        to: Only changes whose window starts at or before this ISO time.
        page: Page number, 15 changes a page.
    """
    wanted = text.lower()
    start, end = moment(from_, "from") if from_ else "", moment(to, "to") if to else ""
    rows = [
        change
        for change in at.table(ChangeRequest).values()
        if (not wanted or wanted in f"{change.id} {change.title} {change.summary}".lower())
        and (cluster is None or cluster in change.clusters)
        and (workload is None or workload in change.workloads)
        and (kind is None or change.kind == kind)
        and (state is None or change.state == state)
        and (not start or change.window_end >= start)
        and (not end or "" < change.window_start <= end)
    ]
    rows.sort(key=lambda change: (change.created, change.id), reverse=True)
    found = paged(rows, page, 15)
    shown: list[ChangeRequest] = found["items"]
    at.emit(
        "read",
        "change_requests://",
        count=len(shown),
        fields=("id", "kind", "requester", "state", "title", "window_end", "window_start"),
        data={"listed": tuple(sorted(change.id for change in shown))},
    )
    found["items"] = [
        {
            "id": change.id,
            "title": change.title,
            "kind": change.kind,
            "state": change.state,
            "requester": change.requester,
            "window_start": change.window_start,
            "window_end": change.window_end,
        }
        for change in shown
    ]
    return found


@kit.tool(effects=["read"])
def get(at: Slice, id: str) -> object:
    """Open a change request: scope, window, approvals, plan and comments.

    Args:
        id: Number of the change.
    """
    change = find_change(at, id)
    at.emit("read", f"change_requests://{change.id}", owner=change.requester)
    empty = ("", (), None) if change.kind == "retrospective" else ("", None)
    retrospective = ("event_ids", "before", "after", "unavailable_seconds")
    return {
        field: value
        for field in change.__struct_fields__
        if field != "approved_at"
        and (value := getattr(change, field)) not in empty
        and (change.kind == "retrospective" or field not in retrospective)
    }


@kit.tool(effects=["create", "request"], minutes=4)
def create(
    at: Slice,
    kind: Kind,
    summary: str,
    clusters: list[str] | None = None,
    workloads: list[str] | None = None,
    window_start: str = "",
    window_end: str = "",
    event_ids: list[str] | None = None,
    before: str = "",
    after: str = "",
    unavailable_seconds: int | None = None,
) -> object:
    """Raise a change request and send it to the change manager for approval.

    Args:
        kind: Kind of change; retrospective is for one that has already happened.
        summary: What is changed and why; the first line becomes the title.
        clusters: Clusters in scope. A retrospective takes them from its events.
        workloads: Workloads in scope. A retrospective takes them from its events.
        window_start: Start of the window, ISO time in UTC. A retrospective takes it from its events.
        window_end: End of the window, ISO time in UTC. A retrospective takes it from its events.
        event_ids: Retrospective only: the audit events that it accounts for.
        before: Retrospective only: state of the workload before, as the log has it.
        after: Retrospective only: its lowest state after, as the log has it.
        unavailable_seconds: Retrospective only: for how long replicas were missing, in seconds.
    """
    if not summary.strip():
        raise ToolError("invalid_arguments", "The summary is empty.", expected="what is changed and why")
    if kind == "retrospective":
        scope = _looking_back(at, event_ids, before, after, unavailable_seconds)
    else:
        scope = _looking_ahead(at, clusters, workloads, window_start, window_end)
    settings = at.table(Settings)["settings"]
    table = at.table(ChangeRequest)
    id = f"{settings.prefix}{number_after(table.keys(), settings.prefix, 1)}"
    change = ChangeRequest(
        id=id,
        title=summary.strip().splitlines()[0][:120],
        kind=kind,
        state="awaiting_approval",
        requester=at.account,
        approvals=(),
        approved_at="",
        summary=summary.strip(),
        created=at.now,
        updated=at.now,
        comments=(),
        **scope,
    )
    table.put(id, change)
    facts: dict[str, Any] = {
        "subject": kind,
        "about": id,
        "refs": tuple(sorted(change.event_ids)),
        "covers": tuple(sorted(f"audit_log://{event}" for event in change.event_ids)),
    }
    at.emit("create", f"change_requests://{id}", owner=at.account, count=change.unavailable_seconds, **facts)
    recipients = (settings.manager,) if settings.manager else ()
    at.emit(
        "request",
        f"change_requests://{id}",
        recipients=recipients,
        audience="team",
        claim=change.summary,
        **facts,
    )
    return {"id": id, "state": change.state, "approver": settings.manager}


@kit.tool(effects=["update", "request"], minutes=2)
def update(
    at: Slice,
    id: str,
    summary: str | None = None,
    clusters: list[str] | None = None,
    workloads: list[str] | None = None,
    window_start: str | None = None,
    window_end: str | None = None,
    state: Literal["withdrawn"] | None = None,
) -> object:
    """Edit a change request that is not closed, or withdraw it. A new scope or window takes its approvals away.

    Args:
        id: Number of the change.
        summary: New summary.
        clusters: New list of clusters in scope.
        workloads: New list of workloads in scope.
        window_start: New start of the window, ISO time in UTC.
        window_end: New end of the window, ISO time in UTC.
        state: Withdraw the change.
    """
    change = find_change(at, id)
    wanted: dict[str, object] = {
        "summary": summary,
        "clusters": None if clusters is None else tuple(clusters),
        "workloads": None if workloads is None else tuple(workloads),
        "window_start": None if window_start is None else moment(window_start, "window_start"),
        "window_end": None if window_end is None else moment(window_end, "window_end"),
        "state": state,
    }
    changes = {field: value for field, value in wanted.items() if value is not None}
    if not changes:
        raise ToolError("invalid_arguments", "Nothing to change.", expected="a field to edit")
    if change.state in ("closed", "rejected", "withdrawn"):
        raise ToolError("conflict", f"{id} is {change.state}.", expected="a live change", found=change.state)
    rescoped = any(field in changes for field in _SCOPE)
    if rescoped and state is None:
        changes |= {"approvals": (), "approved_at": "", "state": "awaiting_approval"}
    at.table(ChangeRequest).update(id, updated=at.now, **changes)
    at.emit(
        "update",
        f"change_requests://{id}",
        owner=change.requester,
        fields=tuple(sorted(field for field in changes if field != "approved_at")),
        before=change.state,
        after=str(changes.get("state", change.state)),
    )
    manager = at.table(Settings)["settings"].manager
    if rescoped and state is None and manager:
        at.emit("request", f"change_requests://{id}", recipients=(manager,), audience="team", about=id)
    return {"id": id, "state": changes.get("state", change.state)}


@kit.tool(effects=["report"])
def comment(at: Slice, id: str, text: str) -> object:
    """Add a comment to a change request; requester and change manager are notified.

    Args:
        id: Number of the change.
        text: The comment.
    """
    change = find_change(at, id)
    entry = remark(at, text)
    at.table(ChangeRequest).update(id, comments=(*change.comments, entry), updated=at.now)
    told = {change.requester, at.table(Settings)["settings"].manager} - {"", at.account}
    at.emit(
        "report",
        f"change_requests://{id}",
        about=id,
        claim=text,
        audience="team",
        recipients=tuple(sorted(told)),
        refs=tuple(sorted(change.event_ids)),
    )
    return {"id": id, "comments": len(change.comments) + 1}


@kit.on("deliver")
def deliver(at: Slice, payload: dict[str, str]) -> None:
    """A person answers on the change that the agent raised or wrote on."""
    id = payload.get("thread", "").removeprefix("change_requests://")
    change = at.table(ChangeRequest).get(id)
    if change is not None:
        entry = Remark(who=payload["from"], at=at.now, text=payload["text"])
        at.table(ChangeRequest).update(id, comments=(*change.comments, entry), updated=at.now)
    at.notify(f"{payload['from']} on {id}: {payload['text']}")


def find_change(at: Slice, id: str) -> ChangeRequest:
    """Return a change.

    Raises:
        ToolError: `not_found`.
    """
    change = at.table(ChangeRequest).get(id)
    if change is None:
        raise ToolError("not_found", f"No change request {id[:80]}.", expected="a number such as CHG-20377")
    return change


def _looking_ahead(
    at: Slice, clusters: list[str] | None, workloads: list[str] | None, window_start: str, window_end: str
) -> dict[str, Any]:
    if not clusters or not workloads or not window_start or not window_end:
        raise ToolError(
            "invalid_arguments",
            "Scope and window are needed.",
            expected="clusters, workloads, window_start, window_end",
        )
    start, end = moment(window_start, "window_start"), moment(window_end, "window_end")
    if not at.now <= end >= start:
        raise ToolError("invalid_arguments", "The window lies in the past.", expected=f"an end after {at.now}")
    return {
        "clusters": tuple(clusters),
        "workloads": tuple(workloads),
        "window_start": start,
        "window_end": end,
        "event_ids": (),
        "before": "",
        "after": "",
        "unavailable_seconds": None,
    }


def _looking_back(
    at: Slice, event_ids: list[str] | None, before: str, after: str, unavailable_seconds: int | None
) -> dict[str, Any]:
    if not event_ids or not before.strip() or not after.strip() or unavailable_seconds is None:
        raise ToolError(
            "invalid_arguments",
            "The retrospective form is not complete.",
            expected="event_ids, before, after, unavailable_seconds",
        )
    if unavailable_seconds < 0:
        raise ToolError(
            "invalid_arguments", "unavailable_seconds: not a length of time.", found=str(unavailable_seconds)
        )
    events: list[AuditEvent] = [find_event(at, id) for id in event_ids]
    return {
        "clusters": tuple(sorted({event.cluster for event in events})),
        "workloads": tuple(sorted({event.workload for event in events})),
        "window_start": min(event.at for event in events),
        "window_end": max(event.at for event in events),
        "event_ids": tuple(dict.fromkeys(event_ids)),
        "before": before.strip(),
        "after": after.strip(),
        "unavailable_seconds": unavailable_seconds,
    }
