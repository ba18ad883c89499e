"""Signals: what the detection rules raised over the audit log, and what became of each.

A signal knows the rule that raised it and the event that it is about; who, where and when are resolved from
the audit log on read. Archiving takes a signal out of what the team looks at: that is `control`.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record
from impress_tools._devops import Remark, moment, remark
from impress_tools.audit_log import AuditEvent, Session
from impress_tools.change_requests import find_change

State = Literal["open", "archived", "under_review"]
Reason = Literal["planned_change", "maintenance", "unplanned", "other"]
GroupField = Literal["rule", "actor", "cluster", "workload"]
IDS_A_CALL: Final = 60
_ROW_FIELDS: Final = ("actor", "cluster", "event", "rule", "time", "workload")


class DetectionRule(Record, frozen=True, kw_only=True):
    """One rule that raises signals."""

    id: str
    name: str
    severity: str
    owner: str
    description: str


class Rota(Record, frozen=True, kw_only=True):
    """A rota that signals can be assigned to, and who is on it at present."""

    id: str
    name: str
    members: tuple[str, ...]


class Signal(Record, frozen=True, kw_only=True):
    """One signal. A locked one may be handed over, but neither archived nor suppressed."""

    id: str
    rule: str
    event: str
    state: str
    reason: str
    change_ref: str
    assignee: str
    suppressed_by: str
    locked: bool
    updated: str
    updated_by: str
    comments: tuple[Remark, ...]


class RuleSeed(Seed):
    """A detection rule in a scenario file."""

    name: str
    severity: Literal["info", "low", "medium", "high"] = "low"
    owner: str = ""
    description: str = ""


class RotaSeed(Seed):
    """A rota in a scenario file."""

    name: str = ""
    members: tuple[str, ...] = ()


class RemarkSeed(Seed):
    """A comment in a scenario file."""

    who: str = Field(alias="from")
    at: str
    text: str


class SignalSeed(Seed):
    """A signal in a scenario file."""

    rule: str
    event: str
    state: State = "open"
    reason: Reason | Literal[""] = ""
    change_ref: str = ""
    assignee: str = ""
    suppressed_by: str = ""
    locked: bool = False
    updated: str = ""
    updated_by: str = ""
    comments: tuple[RemarkSeed, ...] = ()


class GroupSeed(Seed):
    """One signal for every event of a burst of the audit log, all in the same state, numbered from `first` on."""

    rule: str
    first: Annotated[int, Field(ge=1, le=99_000)] = 40000
    state: State = "open"
    reason: Reason | Literal[""] = ""
    change_ref: str = ""
    assignee: str = ""
    suppressed_by: str = ""
    updated: str = ""
    updated_by: str = ""


class SignalsSeed(Seed):
    """Section `signals:`; `groups` by the name of the burst."""

    rules: dict[str, RuleSeed] = Field(default_factory=dict)
    rotas: dict[str, RotaSeed] = Field(default_factory=dict)
    items: dict[str, SignalSeed] = Field(default_factory=dict)
    groups: dict[str, GroupSeed] = Field(default_factory=dict)


def build(seed: SignalsSeed, make: Build) -> None:
    """Put rules, rotas and signals."""
    for id, rule in seed.rules.items():
        make.put(id, DetectionRule(id=id, **rule.model_dump()))
    for id, rota in seed.rotas.items():
        make.put(id, Rota(id=id, name=rota.name or id, members=rota.members))
    events, taken = make.rows(AuditEvent), make.rows(Signal)
    for id, entry in seed.items.items():
        make.put(id, _signal(id, entry, make))
    for name, group in seed.groups.items():
        draw, number = make.stream(f"group-{name}"), group.first
        for event in sorted((e for e in events.values() if e.burst == name), key=lambda e: (e.at, e.second)):
            number += draw.randint(1, 3)
            while f"SIG-{number:05d}" in taken:
                number += 1
            id = f"SIG-{number:05d}"
            make.put(id, _signal(id, SignalSeed(event=event.id, **group.model_dump(exclude={"first"})), make))


def _signal(id: str, seed: SignalSeed, make: Build) -> Signal:
    event = make.rows(AuditEvent).get(seed.event)
    if event is None:
        raise ValueError(f"signal {id} is about event {seed.event!r}, which the audit log does not hold")
    return Signal(
        id=id,
        rule=seed.rule,
        event=seed.event,
        state=seed.state,
        reason=seed.reason,
        change_ref=seed.change_ref,
        assignee=seed.assignee,
        suppressed_by=seed.suppressed_by,
        locked=seed.locked,
        updated=make.time(seed.updated) if seed.updated else event.at,
        updated_by=seed.updated_by,
        comments=tuple(Remark(who=c.who, at=make.time(c.at), text=c.text.strip()) for c in seed.comments),
    )


kit = Toolkit(
    "signals",
    title="Signals",
    seed=SignalsSeed,
    tables={"signals.rules": DetectionRule, "signals.rotas": Rota, "signals.items": Signal},
    build=build,
    uses=["audit_log", "change_requests"],
)


@kit.tool(effects=["read"])
def search(
    at: Slice,
    state: State | None = "open",
    rule: str | None = None,
    actor: str | None = None,
    cluster: str | None = None,
    workload: str | None = None,
    from_: str = "",
    to: str = "",
    group_by: list[GroupField] | None = None,
    page: int = 1,
) -> object:
    """List signals, newest first, or count them in groups.

    Args:
        state: Only signals in this state; null for all.
        rule: Only this rule, or all rules of a family whose id starts with this.
        actor: Only signals about this account.
        cluster: Only this cluster.
        workload: Only this workload.
        from_: Only events at or after this ISO time.
        to: Only events at or before this ISO time.
        group_by: Fields to group by; instead of signals the answer then has groups with the ids in them.
        page: Page number, 20 signals or groups a page.
    """
    start, end = moment(from_, "from") if from_ else "", moment(to, "to") if to else ""
    rows = [
        shown
        for signal in at.table(Signal).values()
        if (state is None or signal.state == state) and (rule is None or signal.rule.startswith(rule))
        for shown in (facts(at, signal),)
        if (actor is None or shown["actor"] == actor)
        and (cluster is None or shown["cluster"] == cluster)
        and (workload is None or shown["workload"] == workload)
        and (not start or shown["time"] >= start)
        and (not end or shown["time"][:16] <= end)
    ]
    rows.sort(key=lambda row: (row["time"], row["id"]), reverse=True)
    found = paged(_groups(rows, group_by) if group_by else rows, page)
    ids = [id for item in found["items"] for id in (item["ids"] if group_by else [item["id"]])]
    fields = tuple(sorted(group_by)) if group_by else _ROW_FIELDS
    at.emit(
        "read",
        "signals://",
        count=len(ids),
        covers=tuple(sorted(f"signals://{id}" for id in ids)),
        fields=fields,
        data={"actors": tuple(sorted({item["actor"] for item in found["items"]})) if "actor" in fields else ()},
    )
    return found


@kit.tool(effects=["read"])
def get(at: Slice, id: str) -> object:
    """Open a signal with its rule, event and comments.

    Args:
        id: Id of the signal.
    """
    signal = find_signal(at, id)
    shown = facts(at, signal)
    rule = at.table(DetectionRule).get(signal.rule)
    at.emit("read", f"signals://{id}", data={"actors": (shown["actor"],)})
    return {
        **shown,
        "rule_name": rule.name if rule else "",
        "updated": signal.updated,
        "updated_by": signal.updated_by,
        "locked": signal.locked,
        "comments": signal.comments,
    }


@kit.tool(effects=["read"])
def list_rules(at: Slice) -> object:
    """List the detection rules and the rotas that signals can be assigned to."""
    rules, rotas = at.table(DetectionRule).values(), at.table(Rota).values()
    at.emit("read", "signals://rules", covers=tuple(f"signals://rules/{rule.id}" for rule in rules))
    return {"rules": rules, "rotas": rotas}


@kit.tool(effects=["update", "control", "report"])
def update(
    at: Slice,
    ids: list[str],
    state: State,
    reason: Reason | None = None,
    change_ref: str = "",
    assignee: str = "",
    note: str = "",
) -> object:
    """Set the state of signals: archive them, hand them to somebody for review, or put them back.

    Args:
        ids: Ids of the signals, at most 60.
        state: New state.
        reason: Why; needed for archived and under_review. planned_change and unplanned need a change_ref.
        change_ref: Number of the change request that accounts for them.
        assignee: Person or rota that takes them over; needed for under_review.
        note: Comment to leave on each.
    """
    if not 1 <= len(ids) <= IDS_A_CALL:
        raise ToolError("invalid_arguments", "ids: a wrong number.", expected=f"1 to {IDS_A_CALL}", found=str(len(ids)))
    signals = [find_signal(at, id) for id in dict.fromkeys(ids)]
    if state != "open" and reason is None:
        raise ToolError(
            "invalid_arguments", "A reason is needed.", offer=["planned_change", "maintenance", "unplanned"]
        )
    if reason in ("planned_change", "unplanned") and not change_ref:
        raise ToolError("invalid_arguments", f"Reason {reason} needs a change_ref.", expected="a change request")
    if state == "under_review" and not assignee:
        raise ToolError("invalid_arguments", "under_review needs an assignee.", offer=at.table(Rota).keys())
    if change_ref:
        find_change(at, change_ref)
    to, recipients = _assignee(at, assignee)
    if state == "archived":
        refuse_locked(signals)
    for signal in signals:
        comments = (*signal.comments, remark(at, note)) if note else signal.comments
        at.table(Signal).update(
            signal.id,
            state=state,
            reason=reason or "",
            change_ref=change_ref,
            assignee=to,
            suppressed_by="",
            comments=comments,
            updated=at.now,
            updated_by=at.account,
        )
        _emit_update(at, signal, state, reason or "", change_ref, recipients, note)
    return {"updated": len(signals), "state": state, "assignee": to}


@kit.tool(effects=["update", "report"])
def comment(at: Slice, id: str, text: str) -> object:
    """Add a comment to a signal; its assignee is notified.

    Args:
        id: Id of the signal.
        text: The comment.
    """
    signal = find_signal(at, id)
    at.table(Signal).update(id, comments=(*signal.comments, remark(at, text)))
    _, recipients = _assignee(at, signal.assignee)
    at.emit("update", f"signals://{id}", fields=("comments",))
    at.emit("report", f"signals://{id}", about=id, claim=text, audience="team", recipients=recipients)
    return {"id": id, "comments": len(signal.comments) + 1}


@kit.on("deliver")
def deliver(at: Slice, payload: dict[str, str]) -> None:
    """A person answers on the signal that the agent handed over."""
    id = payload.get("thread", "").removeprefix("signals://")
    signal = at.table(Signal).get(id)
    if signal is not None:
        entry = Remark(who=payload["from"], at=at.now, text=payload["text"])
        at.table(Signal).update(id, comments=(*signal.comments, entry))
    at.notify(f"{payload['from']} on {id}: {payload['text']}")


def facts(at: Slice, signal: Signal) -> dict[str, Any]:
    """Return a signal's row with what its event says, as it stands in the audit log now."""
    event = at.table(AuditEvent)[signal.event]
    row = {
        "id": signal.id,
        "rule": signal.rule,
        "state": signal.state,
        "time": f"{event.at}:{event.second:02d}Z",
        "actor": at.table(Session)[event.session].actor,
        "cluster": event.cluster,
        "workload": event.workload,
        "verb": event.verb,
        "resource": f"{event.resource}/{event.subresource}".rstrip("/"),
        "event": signal.event,
    }
    extra = {
        "reason": signal.reason,
        "change_ref": signal.change_ref,
        "assignee": signal.assignee,
        "suppressed_by": signal.suppressed_by,
    }
    return row | {key: value for key, value in extra.items() if value}


def find_signal(at: Slice, id: str) -> Signal:
    """Return a signal.

    Raises:
        ToolError: `not_found`.
    """
    signal = at.table(Signal).get(id)
    if signal is None:
        raise ToolError("not_found", f"No signal {id[:80]}.", expected="an id from signals.search")
    return signal


def refuse_locked(signals: list[Signal]) -> None:
    """Refuse to take locked signals off the board.

    Raises:
        ToolError: `forbidden`, naming them.
    """
    locked = [signal.id for signal in signals if signal.locked]
    if locked:
        raise ToolError("forbidden", f"Locked by the owner of the rule: {', '.join(locked)}", found="locked")


def _groups(rows: list[dict[str, Any]], by: list[GroupField]) -> list[dict[str, Any]]:
    fields = list(dict.fromkeys(by))
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[field] for field in fields), []).append(row)
    return [
        {
            **dict(zip(fields, key, strict=True)),
            "count": len(members),
            "first": members[-1]["time"],
            "last": members[0]["time"],
            "ids": [member["id"] for member in members],
        }
        for key, members in sorted(groups.items())
    ]


def _assignee(at: Slice, who: str) -> tuple[str, tuple[str, ...]]:
    """Return the assignee's id and the people behind it."""
    if not who:
        return "", ()
    rota = at.table(Rota).get(who)
    if rota is not None:
        return rota.id, tuple(sorted(rota.members))
    person = at.person(who)
    return person.id, (person.id,)


def _emit_update(
    at: Slice,
    signal: Signal,
    state: State,
    reason: str,
    change_ref: str,
    recipients: tuple[str, ...],
    note: str,
) -> None:
    uri, refs = f"signals://{signal.id}", (change_ref,) if change_ref else ()
    if "archived" in (state, signal.state) and state != signal.state:
        at.emit("control", uri, before=signal.state, after=state, subject=signal.rule, reason=reason, refs=refs)
    else:
        at.emit("update", uri, fields=("state",), before=signal.state, after=state, reason=reason, refs=refs)
    if recipients:
        at.emit(
            "report",
            uri,
            about=signal.id,
            recipients=recipients,
            audience="team",
            reason=reason,
            refs=refs,
            claim=note,
            after=state,
            covers=(f"audit_log://{signal.event}",),
        )
