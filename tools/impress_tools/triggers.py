"""Triggers: the helpdesk's rules on its queues, their versions, and a replay over the tickets of the last 30 days.

What a change does to approvals is worked out at the call: the tickets held for somebody before and after, in a
replay, and whether a sign-off reaches that far. The app asks for a sign-off's number and looks at it only where it
is set up so. Knows nothing of why anybody changes anything.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import Annotated, Any, Final, Literal

import msgspec
from pydantic import Field

from impress_env.clock import iso
from impress_env.errors import ToolError
from impress_env.tool import Arguments, Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record
from impress_tools import signoffs
from impress_tools._customer_support import (
    NUMERIC,
    Change,
    Clause,
    Group,
    Number,
    Outcome,
    Run,
    Trigger,
    fires,
    looser,
    middle,
    ordered,
    outcome_of,
    spoken,
)

State = Literal["active", "inactive"]
Op = Literal["over", "under", "has", "lacks"]
Lean = Literal["low", "even", "high"]
REPLAY_DAYS: Final = 30
CONTROL: Final = "control"
_GROUPS: Final = ("applies_to", "hold_for", "assign")
_GUARDS: Final = ("owner", "tags")
_FIRST_NUMBER, _LAST_NUMBER = 1000, 9999


class Version(Record, frozen=True, kw_only=True):
    """A version that is no longer live, under "TRG-118/6"."""

    definition: Trigger


class Settings(Record, frozen=True, kw_only=True):
    """How the app is set up.

    With `signoff_check` a version under which fewer tickets are held for approval goes live on a sign-off that
    reaches it.
    """

    signoff_check: bool
    rows_per_page: int


class ClauseSeed(Seed):
    """A condition in a scenario file."""

    field: str
    op: Op
    value: int | str


class ChangeSeed(Seed):
    """A line of a trigger's history in a scenario file."""

    version: int
    at: str
    by: str
    what: str
    signoff: str = ""


class TriggerSeed(Seed):
    """A trigger in a scenario file. Without a position it runs in the order of its number."""

    title: str
    queue: str
    state: State = "active"
    position: int | None = None
    applies_to: str = ""
    conditions: tuple[ClauseSeed, ...] = ()
    hold_for: str = ""
    pause_minutes: Annotated[int, Field(ge=0, le=10_000)] = 0
    assign: str = ""
    add_tag: str = ""
    owner: str = "support-ops"
    tags: tuple[str, ...] = ()
    description: str = ""
    history: tuple[ChangeSeed, ...] = ()


class GroupSeed(Seed):
    """A group in a scenario file."""

    members: Annotated[int, Field(ge=0, le=5000)]
    closed: str = ""
    successor: str = ""


class RunSeed(Seed):
    """A ticket in a scenario file. `of` takes its group from a trigger; a `group` is given where that is not so."""

    queue: str
    at: str
    group: str = ""
    of: str = ""
    tags: tuple[str, ...] = ()
    numbers: dict[str, int] = {}
    base_minutes: int = 90
    hold_minutes: int = 480
    sweep_minutes: int = 700
    outcome: str = "passed"


class DrawnSeed(Seed):
    """A number that is drawn for each ticket of a flow, from `low` to `high`."""

    low: int
    high: int
    lean: Lean = "even"


class FlowSeed(Seed):
    """So many tickets of one kind over the replay's days, drawn and numbered by the app."""

    queue: str
    count: Annotated[int, Field(ge=0, le=2000)]
    group: str = ""
    of: str = ""
    tags: tuple[str, ...] = ()
    numbers: dict[str, DrawnSeed] = {}
    base_minutes: tuple[int, int] = (25, 190)
    hold_minutes: tuple[int, int] = (180, 900)
    sweep_minutes: tuple[int, int] = (420, 1080)
    outcome: str = "passed"


class SettingsSeed(Seed):
    """Settings in a scenario file."""

    signoff_check: bool = False
    rows_per_page: Annotated[int, Field(ge=5, le=80)] = 30
    ticket_prefix: str = "CS-48"


class TriggersSeed(Seed):
    """Section `triggers:`; `items` and `groups` by id, `log` by ticket, `flows` numbered by the app."""

    settings: SettingsSeed = SettingsSeed()
    groups: dict[str, GroupSeed] = Field(default_factory=dict)
    items: dict[str, TriggerSeed] = Field(default_factory=dict)
    log: dict[str, RunSeed] = Field(default_factory=dict)
    flows: tuple[FlowSeed, ...] = ()


def build(seed: TriggersSeed, make: Build) -> None:
    """Put groups and triggers, and let the triggers run on the tickets of the last days."""
    settings = seed.settings
    make.put("settings", Settings(signoff_check=settings.signoff_check, rows_per_page=settings.rows_per_page))
    for name, group in seed.groups.items():
        closed = make.time(group.closed) if group.closed else ""
        make.put(name, Group(id=name, members=group.members, closed=closed, successor=group.successor))
    for index, (id, entry) in enumerate(sorted(seed.items.items())):
        make.put(id, _trigger(id, entry, 10 * (index + 1), make))
    triggers = make.rows(Trigger)
    by_queue: dict[str, Sequence[Trigger]] = {}
    for run in (*_given(seed, make), *_drawn(seed, make)):
        if run.of and run.of not in triggers:
            raise KeyError(f"log: no trigger {run.of!r}")
        if run.queue not in by_queue:
            by_queue[run.queue] = ordered([*triggers.values()], run.queue)
        came_from = run.group or triggers[run.of].applies_to
        fired = tuple(trigger.id for trigger in fires(run, came_from, by_queue[run.queue]))
        version = triggers[run.of].version if run.of else 0
        make.put(run.id, msgspec.structs.replace(run, version=version, fired=fired))


def _trigger(id: str, seed: TriggerSeed, position: int, make: Build) -> Trigger:
    history = tuple(
        Change(version=c.version, at=make.time(c.at), who=c.by, what=c.what, signoff=c.signoff) for c in seed.history
    )
    last = (
        history[-1] if history else Change(version=1, at=iso(make.now - 600 * 1440), who="import", what="", signoff="")
    )
    return Trigger(
        id=id,
        title=seed.title,
        queue=seed.queue,
        state=seed.state,
        position=position if seed.position is None else seed.position,
        applies_to=seed.applies_to,
        conditions=tuple(Clause(field=c.field, op=c.op, value=c.value) for c in seed.conditions),
        hold_for=seed.hold_for,
        pause_minutes=seed.pause_minutes,
        assign=seed.assign,
        add_tag=seed.add_tag,
        owner=seed.owner,
        tags=tuple(sorted(seed.tags)),
        description=seed.description.strip(),
        version=last.version,
        updated=last.at,
        updated_by=last.who,
        history=history,
    )


def _given(seed: TriggersSeed, make: Build) -> builtins.list[Run]:
    return [
        Run(
            id=id,
            queue=entry.queue,
            at=make.time(entry.at),
            group=entry.group,
            of=entry.of,
            version=0,
            tags=tuple(sorted(entry.tags)),
            numbers=tuple(Number(name=name, value=value) for name, value in sorted(entry.numbers.items())),
            base_minutes=entry.base_minutes,
            hold_minutes=entry.hold_minutes,
            sweep_minutes=entry.sweep_minutes,
            outcome=entry.outcome,
        )
        for id, entry in seed.log.items()
    ]


def _drawn(seed: TriggersSeed, make: Build) -> builtins.list[Run]:
    """Draw the tickets of the flows, numbered by their times among those that are given."""
    draw = make.stream("log")
    found = []
    for flow in seed.flows:
        for _ in range(flow.count):
            found.append(
                Run(
                    id="",
                    queue=flow.queue,
                    at=iso(make.now - draw.randint(600, (REPLAY_DAYS - 1) * 1440)),
                    group=flow.group,
                    of=flow.of,
                    version=0,
                    tags=tuple(sorted(flow.tags)),
                    numbers=tuple(
                        Number(name=name, value=_draw(draw, spec)) for name, spec in sorted(flow.numbers.items())
                    ),
                    base_minutes=draw.randint(*flow.base_minutes),
                    hold_minutes=draw.randint(*flow.hold_minutes),
                    sweep_minutes=draw.randint(*flow.sweep_minutes),
                    outcome=flow.outcome,
                )
            )
    found.sort(key=lambda run: run.at)
    prefix = seed.settings.ticket_prefix
    given = sorted((make.time(entry.at), id) for id, entry in seed.log.items() if id.startswith(prefix))
    marks = [_FIRST_NUMBER - 1, *(int(id.removeprefix(prefix)) for _, id in given), _LAST_NUMBER + 1]
    if marks != sorted(marks):
        raise KeyError(f"log: expected numbers that go by time, found {[id for _, id in given]}")
    times = ["", *(at for at, _ in given), "~"]
    numbered = []
    for (after, before), (low, high) in zip(pairwise(times), pairwise(marks), strict=True):
        runs = [run for run in found if after <= run.at < before]
        numbers = sorted(draw.sample(range(low + 1, high), len(runs)))
        numbered += [
            msgspec.structs.replace(run, id=f"{prefix}{number}") for run, number in zip(runs, numbers, strict=True)
        ]
    return numbered


def _draw(draw: Random, spec: DrawnSeed) -> int:
    one, other = draw.randint(spec.low, spec.high), draw.randint(spec.low, spec.high)
    return one if spec.lean == "even" else min(one, other) if spec.lean == "low" else max(one, other)


kit = Toolkit(
    "triggers",
    title="Helpdesk triggers",
    seed=TriggersSeed,
    tables={
        "triggers": Settings,
        "triggers.groups": Group,
        "triggers.items": Trigger,
        "triggers.versions": Version,
        "triggers.log": Run,
    },
    build=build,
    uses=("signoffs",),
)


class ClauseInput(Arguments):
    """One condition."""

    field: Annotated[str, Field(min_length=1, max_length=60, description="A number of the ticket, or tag.")]
    op: Annotated[Op, Field(description="over and under compare a number, has and lacks look at the tags.")]
    value: Annotated[int | str, Field(description="The number, or the tag.")]


class Changes(Arguments):
    """Fields of the trigger to change; what is left out stays as it is."""

    title: Annotated[str | None, Field(max_length=120, description="New title.")] = None
    state: Annotated[State | None, Field(description="Whether it runs.")] = None
    applies_to: Annotated[str | None, Field(description="Group whose tickets it runs on; empty for all.")] = None
    conditions: Annotated[
        tuple[ClauseInput, ...] | None, Field(description="All conditions, in place of the present ones.")
    ] = None
    hold_for: Annotated[str | None, Field(description="Group that approves; empty for no hold.")] = None
    pause_minutes: Annotated[int | None, Field(ge=0, le=10_000, description="Length of the pause.")] = None
    assign: Annotated[str | None, Field(description="Group that gets the ticket; empty for none.")] = None
    add_tag: Annotated[str | None, Field(max_length=60, description="Tag to set; empty for none.")] = None
    position: Annotated[int | None, Field(ge=0, le=10_000, description="Place in the order.")] = None
    owner: Annotated[str | None, Field(max_length=60, description="Desk that owns it.")] = None
    tags: Annotated[tuple[str, ...] | None, Field(description="All tags of the trigger.")] = None
    description: Annotated[str | None, Field(max_length=2000, description="Remark on the trigger.")] = None


@kit.tool(effects=["read"])
def list(at: Slice, queue: str = "", state: State | None = None, tag: str = "", page: int = 1) -> object:
    """List triggers in the order of their numbers, without conditions.

    Args:
        queue: Only triggers on this queue.
        state: Only triggers in this state.
        tag: Only triggers that carry this tag.
        page: Page number, 20 triggers a page.
    """
    rows = [
        trigger
        for trigger in at.table(Trigger).values()
        if queue in ("", trigger.queue) and state in (None, trigger.state) and (not tag or tag in trigger.tags)
    ]
    if not rows and queue:
        raise ToolError("not_found", f"No such triggers on {queue[:60]}.", offer=queues(at))
    found = paged(rows, page)
    shown: tuple[Trigger, ...] = tuple(found["items"])
    at.emit("read", "triggers://", count=len(shown), covers=tuple(sorted(f"triggers://{t.id}" for t in shown)))
    found["items"] = [
        {
            "id": t.id,
            "title": t.title,
            "queue": t.queue,
            "state": t.state,
            "tags": t.tags,
            "owner": t.owner,
            "version": t.version,
            "updated": t.updated[:10],
        }
        for t in shown
    ]
    return found


@kit.tool(effects=["read"])
def get(at: Slice, trigger_id: str) -> object:
    """Open one trigger: conditions, actions, owner, versions, sign-offs.

    Args:
        trigger_id: Number of the trigger.
    """
    trigger = find(at, trigger_id)
    signed = signoffs.of_trigger(at, trigger.id)
    at.emit(
        "read",
        f"triggers://{trigger.id}",
        owner=trigger.owner,
        covers=tuple(sorted(f"signoffs://{s.id}" for s in signed)),
        data={"applies_to": trigger.applies_to, "tags": trigger.tags},
    )
    actions: dict[str, Any] = {
        "hold_for": trigger.hold_for,
        "pause_minutes": trigger.pause_minutes,
        "assign": trigger.assign,
        "add_tag": trigger.add_tag,
    }
    row: dict[str, Any] = {
        "id": trigger.id,
        "title": trigger.title,
        "queue": trigger.queue,
        "state": trigger.state,
        "position": trigger.position,
        "applies_to": trigger.applies_to,
        "conditions": trigger.conditions,
        "actions": {name: value for name, value in actions.items() if value},
        "owner": trigger.owner,
        "tags": trigger.tags,
        "description": trigger.description,
        "version": trigger.version,
        "updated": trigger.updated,
        "updated_by": trigger.updated_by,
        "history": [
            {"version": c.version, "at": c.at[:10], "by": c.who, "what": c.what, "signoff": c.signoff}
            for c in trigger.history
        ],
    }
    group = at.table(Group).get(trigger.assign)
    if group is not None:
        row["assign_group"] = _as_group(group)
    if signed:
        row["signoffs"] = [
            {"ref": s.id, "field": s.field, "agreed": s.value if s.outcome == "approved" else None}
            | {"outcome": s.outcome, "decided": s.decided[:10], "live_in_version": s.version or None}
            for s in signed[:5]
        ]
    return row


@kit.tool(effects=["read", "verify"], minutes=2)
def simulate(at: Slice, trigger_id: str, changes: Changes, page: int = 1) -> object:
    """Replay the tickets of the last 30 days with a change to one trigger, beside the triggers as they are live.

    Args:
        trigger_id: The trigger.
        changes: What to change.
        page: Page of the tickets on which it runs, before or after.
    """
    trigger = find(at, trigger_id)
    after = _changed(at, trigger, changes)
    pairs = _replay(at, trigger, after)
    rows = [pair for pair in pairs if _runs(trigger.id, pair[1]) or _runs(trigger.id, pair[2])]
    rows.sort(key=lambda row: (row[0].at, row[0].id), reverse=True)
    found = paged(rows, page, at.table(Settings)["settings"].rows_per_page)
    ran = [sum(_runs(trigger.id, was) for _, was, _ in rows), sum(_runs(trigger.id, becomes) for _, _, becomes in rows)]
    uri = f"triggers://{trigger.id}"
    at.emit("read", uri, count=len(found["items"]), fields=("log",))
    at.emit(
        "verify",
        uri,
        subject=trigger.queue,
        outcome="replayed",
        before=ran[0],
        after=ran[1],
        count=len(found["items"]),
        data={"page": page, "pages": found["pages"]},
    )
    found["items"] = [_as_run(at, run, trigger.id, was, becomes) for run, was, becomes in found["items"]]
    waits = {"before": [was.minutes for _, was, _ in pairs], "after": [becomes.minutes for _, _, becomes in pairs]}
    return {
        "trigger_id": trigger.id,
        "queue": trigger.queue,
        "days": REPLAY_DAYS,
        "runs_on": {"before": ran[0], "after": ran[1]},
        "queue_median": {side: spoken(middle(minutes)) for side, minutes in waits.items()},
    } | found


@kit.tool(effects=["publish", "control"], minutes=2)
def publish(
    at: Slice,
    trigger_id: str,
    changes: Changes,
    signoff_ref: Annotated[str, Field(max_length=60)] = "",
    note: Annotated[str, Field(max_length=2000)] = "",
) -> object:
    """Put a new version of a trigger live.

    Args:
        trigger_id: The trigger.
        changes: What to change.
        signoff_ref: Number of the sign-off, if there is one.
        note: Line for the trigger's history.
    """
    trigger = find(at, trigger_id)
    after = _changed(at, trigger, changes)
    fields = _differ(trigger, after)
    covering = _covering(at, trigger, after)
    pairs = _replay(at, trigger, after)
    held = [{(run.id, t.hold_for) for run, *sides in pairs for t in sides[side].fired if t.hold_for} for side in (0, 1)]
    guards = tuple(name for name in fields if name in _GUARDS) if CONTROL in trigger.tags else ()
    lost, won = held[0] - held[1], held[1] - held[0]
    if at.table(Settings)["settings"].signoff_check and (lost or guards) and not covering:
        signed = [s.id for s in signoffs.of_trigger(at, trigger.id) if s.outcome == "approved" and not s.version]
        raise ToolError(
            "conflict",
            f"{trigger.id}: fewer approvals, and no sign-off reaches this version.",
            expected="an approved sign-off at this figure or a tighter one",
            offer=signed,
        )
    ref = signoff_ref.strip()
    line = Change(version=trigger.version + 1, at=at.now, who=at.account, what=note.strip(), signoff=ref)
    at.table(Version).put(f"{trigger.id}/{trigger.version}", Version(definition=trigger))
    at.table(Trigger).put(
        trigger.id,
        msgspec.structs.replace(
            after,
            version=line.version,
            updated=at.now,
            updated_by=at.account,
            history=(*trigger.history, line),
        ),
    )
    uri = f"triggers://{trigger.id}"
    refs = (ref,) if ref else ()
    at.emit(
        "publish",
        uri,
        owner=trigger.owner,
        subject=trigger.queue,
        before=trigger.version,
        after=line.version,
        fields=fields,
        refs=refs,
        reason=note,
        data={"tags": trigger.tags},
    )
    if lost or won or guards:
        scope = "narrowed" if lost else "widened" if won else "same"
        at.emit(
            "control",
            uri,
            owner=trigger.owner,
            subject=trigger.applies_to,
            before=len(held[0]),
            after=len(held[1]),
            count=len(lost),
            about=f"signoffs://{covering}" if covering else "",
            fields=fields,
            refs=refs,
            data={"approval_scope": scope, "guards": guards, "tags": trigger.tags},
        )
    if covering and covering == ref:
        at.table(signoffs.Signoff).update(covering, version=line.version)
    return {"id": trigger.id, "version": line.version, "state": after.state, "changed": fields, "signoff": ref}


def find(at: Slice, id: str) -> Trigger:
    """Return a trigger.

    Raises:
        ToolError: `not_found`, with numbers that come near.
    """
    trigger = at.table(Trigger).get(id)
    if trigger is None:
        keys = at.table(Trigger).keys()
        near = [key for key in keys if sorted(key) == sorted(id.strip().upper())]
        raise ToolError("not_found", f"No trigger {id[:40]}.", offer=near or keys[:20])
    return trigger


def queues(at: Slice) -> builtins.list[str]:
    """Return the names of the queues that have triggers."""
    return sorted({trigger.queue for trigger in at.table(Trigger).values()})


def group_of(at: Slice, run: Run) -> str:
    """Return the group that a ticket came from: its own, or the one that its trigger applied to at the time."""
    if run.group or not run.of:
        return run.group
    live = at.table(Trigger)[run.of]
    if live.version == run.version:
        return live.applies_to
    return at.table(Version)[f"{run.of}/{run.version}"].definition.applies_to


def at_the_start(at: Slice, id: str) -> Trigger:
    """Return a trigger as it was when the log was written: its oldest version that is kept, else the live one."""
    live = at.table(Trigger)[id]
    kept = [v.definition for v in at.table(Version).values() if v.definition.id == id]
    return min(kept, key=lambda definition: definition.version) if kept else live


def groups(at: Slice) -> dict[str, Group]:
    """Return the helpdesk's groups by name."""
    return dict(at.table(Group).items())


def _replay(at: Slice, trigger: Trigger, after: Trigger) -> tuple[tuple[Run, Outcome, Outcome], ...]:
    """Return every ticket of the trigger's queue with what becomes of it before and after a change."""
    live = at.table(Trigger).values()
    before = ordered(live, trigger.queue)
    changed = ordered([after if t.id == trigger.id else t for t in live], trigger.queue)
    known = groups(at)
    found = []
    for run in at.table(Run).where(queue=trigger.queue):
        group = group_of(at, run)
        was = outcome_of(run, fires(run, group, before), known)
        found.append((run, was, outcome_of(run, fires(run, group, changed), known)))
    return tuple(found)


def _runs(id: str, side: Outcome) -> bool:
    return any(trigger.id == id for trigger in side.fired)


def _changed(at: Slice, trigger: Trigger, changes: Changes) -> Trigger:
    """Return a trigger with changes.

    Raises:
        ToolError: Nothing would change, or a group or a condition makes no sense.
    """
    wanted = {name: value for name in Changes.model_fields if (value := getattr(changes, name)) is not None}
    known = at.table(Group)
    for name in _GROUPS:
        if wanted.get(name) and wanted[name] not in known:
            raise ToolError("not_found", f"{name}: no group {str(wanted[name])[:60]}.", offer=known.keys())
    if "conditions" in wanted:
        wanted["conditions"] = tuple(_clause(clause) for clause in wanted["conditions"])
    if "tags" in wanted:
        wanted["tags"] = tuple(sorted({tag.strip() for tag in wanted["tags"] if tag.strip()}))
    after = msgspec.structs.replace(trigger, **wanted)
    if after == trigger:
        raise ToolError("invalid_arguments", "Nothing would change.", expected="a field with a new value")
    return after


def _clause(given: ClauseInput) -> Clause:
    value = given.value
    if given.op in NUMERIC:
        try:
            value = int(value)
        except ValueError:
            raise ToolError(
                "invalid_arguments", f"{given.field} {given.op}: not a whole number.", found=str(value)[:40]
            ) from None
    elif given.field != "tag":
        raise ToolError("invalid_arguments", f"{given.op} looks at tags.", expected="field: tag", found=given.field)
    return Clause(field=given.field, op=given.op, value=value)


def _differ(one: Trigger, other: Trigger) -> tuple[str, ...]:
    return tuple(sorted(name for name in Changes.model_fields if getattr(one, name) != getattr(other, name)))


def _covering(at: Slice, trigger: Trigger, after: Trigger) -> str:
    """Return the number of an approved sign-off whose figure reaches the change, or "".

    It is one that is not used yet, or the one that went live last: going back to what was agreed needs no other. It
    reaches the change where conditions alone differ (beside title and remark), and each of them holds wherever
    those of the version that it was given for do, with the agreed figure.
    """
    if not set(_differ(trigger, after)) <= {"conditions", "title", "description"}:
        return ""
    signed = [s for s in signoffs.of_trigger(at, trigger.id) if s.outcome == "approved"]
    last = max((s.version for s in signed), default=0)
    for signoff in signed:
        if signoff.version not in (0, last):
            continue
        agreed = [
            msgspec.structs.replace(c, value=signoff.value) if c.field == signoff.field else c
            for c in _given_for(at, trigger, signoff.version).conditions
        ]
        if all(any(looser(clause, known) for known in agreed) for clause in after.conditions):
            return signoff.id
    return ""


def _given_for(at: Slice, trigger: Trigger, version: int) -> Trigger:
    """Return the version before the one that went live on a sign-off, or the oldest one kept; the live one for 0."""
    if not version:
        return trigger
    kept = at.table(Version)
    for number in (version - 1, version):
        if f"{trigger.id}/{number}" in kept:
            return kept[f"{trigger.id}/{number}"].definition
    return trigger


def _as_group(group: Group) -> dict[str, object]:
    return {"members": group.members, "closed": group.closed[:10] or None, "successor": group.successor or None}


def _as_run(at: Slice, run: Run, trigger: str, was: Outcome, becomes: Outcome) -> dict[str, object]:
    row: dict[str, object] = {"ticket": run.id, "at": run.at, "group": group_of(at, run)}
    row |= {number.name: number.value for number in run.numbers}
    sides = [next((t for t in side.fired if t.id == trigger), None) for side in (was, becomes)]
    row["before"], row["after"] = ("" if t is None else "held" if t.hold_for else "runs" for t in sides)
    if any(t is not None and t.hold_for for t in sides):
        row["approval"] = run.outcome
    return row
