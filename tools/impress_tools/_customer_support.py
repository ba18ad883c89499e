"""What the helpdesk's toolkits share: triggers, the tickets they ran on, and what would have happened under others.

A trigger runs on a ticket of its queue where it is active, the ticket comes from the group that it applies to, and
all its conditions hold; triggers run in the order of their positions and may tag what later ones look at. A ticket
waits where one holds it for somebody, pauses it, or hands it to a group in which nobody is left. Pure functions over
records; knows nothing of tools, or of who may change what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final, NamedTuple

from impress_env.world.table import Record

NUMERIC: Final = ("over", "under")


class Clause(Record, frozen=True, kw_only=True):
    """One condition of a trigger: a number of the ticket (`over`, `under`), or its tags (`has`, `lacks`)."""

    field: str
    op: str
    value: int | str


class Change(Record, frozen=True, kw_only=True):
    """One line of a trigger's history."""

    version: int
    at: str
    who: str
    what: str
    signoff: str


class Trigger(Record, frozen=True, kw_only=True):
    """One trigger as it is live. An empty `applies_to` stands for every group; times are ISO minutes."""

    id: str
    title: str
    queue: str
    state: str
    position: int
    applies_to: str
    conditions: tuple[Clause, ...]
    hold_for: str
    pause_minutes: int
    assign: str
    add_tag: str
    owner: str
    tags: tuple[str, ...]
    description: str
    version: int
    updated: str
    updated_by: str
    history: tuple[Change, ...] = ()


class Group(Record, frozen=True, kw_only=True):
    """One group of the helpdesk: how many are in it, and what became of it where it was closed."""

    id: str
    members: int
    closed: str
    successor: str


class Number(Record, frozen=True, kw_only=True):
    """One number of a ticket, such as the credit in whole pounds."""

    name: str
    value: int


class Run(Record, frozen=True, kw_only=True):
    """One ticket on which triggers ran.

    `base_minutes` is its wait without any, `hold_minutes` what an approval took or would take, `sweep_minutes` how
    long it lies in a group without members. Where `group` is empty, it came from the group that version `version`
    of the trigger `of` applies to. `outcome` is what became of it at its approval.
    """

    id: str
    queue: str
    at: str
    group: str
    of: str
    version: int
    tags: tuple[str, ...]
    numbers: tuple[Number, ...]
    base_minutes: int
    hold_minutes: int
    sweep_minutes: int
    outcome: str
    fired: tuple[str, ...] = ()


class Outcome(NamedTuple):
    """One ticket under one set of triggers: those that ran, and its wait in minutes."""

    fired: tuple[Trigger, ...]
    minutes: int


def holds(clause: Clause, tags: Sequence[str], numbers: Sequence[Number]) -> bool:
    """Return whether a condition holds of a ticket. A number that the ticket lacks is neither over nor under."""
    if clause.op in NUMERIC:
        for number in numbers:
            if number.name == clause.field:
                line = int(clause.value)
                return number.value > line if clause.op == "over" else number.value < line
        return False
    return (clause.value in tags) == (clause.op == "has")


def looser(one: Clause, other: Clause) -> bool:
    """Return whether a condition holds wherever another on the same field does."""
    if (one.field, one.op) != (other.field, other.op):
        return False
    if one.op == "over":
        return int(one.value) <= int(other.value)
    if one.op == "under":
        return int(one.value) >= int(other.value)
    return one.value == other.value


def ordered(triggers: Sequence[Trigger], queue: str) -> list[Trigger]:
    """Return a queue's active triggers in the order in which they run."""
    found = [trigger for trigger in triggers if trigger.queue == queue and trigger.state == "active"]
    return sorted(found, key=lambda trigger: (trigger.position, trigger.id))


def fires(run: Run, group: str, triggers: Sequence[Trigger]) -> tuple[Trigger, ...]:
    """Return those of the ordered triggers that run on a ticket from a group."""
    tags = run.tags
    found = []
    for trigger in triggers:
        if trigger.applies_to in ("", group) and all(holds(c, tags, run.numbers) for c in trigger.conditions):
            found.append(trigger)
            if trigger.add_tag:
                tags = (*tags, trigger.add_tag)
    return tuple(found)


def added(run: Run, trigger: Trigger, groups: Mapping[str, Group]) -> int:
    """Return the minutes by which a trigger that runs on a ticket lengthens its wait."""
    lost = bool(trigger.assign) and trigger.assign in groups and not groups[trigger.assign].members
    return (run.hold_minutes if trigger.hold_for else 0) + trigger.pause_minutes + (run.sweep_minutes if lost else 0)


def outcome_of(run: Run, fired: tuple[Trigger, ...], groups: Mapping[str, Group]) -> Outcome:
    """Return what becomes of a ticket on which these triggers run."""
    return Outcome(fired, run.base_minutes + sum(added(run, trigger, groups) for trigger in fired))


def middle(minutes: Sequence[int]) -> int:
    """Return the median in whole minutes, 0 for none."""
    return int(median(minutes)) if minutes else 0


def spoken(minutes: int) -> str:
    """Return minutes as reports write them: "9 h 41", or "38 min" below an hour."""
    return f"{minutes // 60} h {minutes % 60:02d}" if minutes >= 60 else f"{minutes} min"
