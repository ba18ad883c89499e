"""Queue reports: how long tickets waited in a queue, and which triggers made them wait.

Counted over the tickets of the last days: as it was, or in a replay with the triggers as they are live now. Knows
nothing of targets.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from impress_env.clock import iso
from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit
from impress_tools import triggers
from impress_tools._customer_support import Run, Trigger, added, fires, middle, ordered, outcome_of, spoken

DAYS: Final = 30


class QueueReportsSeed(Seed):
    """The toolkit builds nothing: it counts what the helpdesk logged."""


def build(seed: QueueReportsSeed, make: Build) -> None:
    """Put nothing."""


kit = Toolkit(
    "queue_reports", title="Queue reports", seed=QueueReportsSeed, tables={}, build=build, uses=("triggers", "signoffs")
)


@kit.tool(effects=["read"], minutes=2)
def queue_times(
    at: Slice,
    queue: str,
    days: Annotated[int, Field(ge=1, le=DAYS)] = DAYS,
    basis: Literal["logged", "replay"] = "logged",
) -> object:
    """Show how long a queue's tickets waited, and each trigger's share of the wait that triggers added.

    Args:
        queue: Name of the queue.
        days: Over how many days back.
        basis: logged is as it was; replay is the same tickets with the triggers as they are live now.
    """
    since = iso(at.clock - days * 1440)
    runs = [run for run in at.table(Run).where(queue=queue) if run.at >= since]
    if not runs:
        raise ToolError("not_found", f"Nothing logged for {queue[:60]}.", offer=triggers.queues(at))
    groups = triggers.groups(at)
    live = ordered(at.table(Trigger).values(), queue)
    counted: dict[str, list[tuple[Run, int]]] = {}
    waits = []
    for run in runs:
        if basis == "replay":
            fired = fires(run, triggers.group_of(at, run), live)
        else:
            fired = tuple(triggers.at_the_start(at, id) for id in run.fired)
        waits.append(outcome_of(run, fired, groups).minutes)
        for trigger in fired:
            minutes = added(run, trigger, groups)
            if minutes:
                counted.setdefault(trigger.id, []).append((run, minutes))
    total = sum(minutes for rows in counted.values() for _, minutes in rows)
    at.emit(
        "read",
        f"queue_reports://{queue}",
        count=len(runs),
        covers=tuple(f"triggers://{id}" for id in sorted(counted)),
        data={"basis": basis, "days": days},
    )
    return {
        "queue": queue,
        "days": days,
        "basis": basis,
        "tickets": len(runs),
        "median_wait": spoken(middle(waits)),
        "mean_wait": spoken(sum(waits) // len(waits)),
        "by_trigger": [_row(at, id, counted[id], total) for id in sorted(counted)],
    }


def _row(at: Slice, id: str, rows: list[tuple[Run, int]], total: int) -> dict[str, Any]:
    trigger = at.table(Trigger)[id]
    found: dict[str, Any] = {
        "trigger": id,
        "title": trigger.title,
        "applies_to": trigger.applies_to or "all",
        "share_percent": round(100 * sum(minutes for _, minutes in rows) / total),
        "tickets": len(rows),
        "median_added": spoken(middle([minutes for _, minutes in rows])),
    }
    if trigger.hold_for:
        outcomes = sorted({run.outcome for run, _ in rows})
        found["approvals"] = {name: sum(1 for run, _ in rows if run.outcome == name) for name in outcomes}
    return found
