"""Suppression rules: signals that a detection rule keeps off the board, how long and on what basis."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from impress_env.clock import iso, minutes
from impress_env.errors import ToolError
from impress_env.tool import Arguments, Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record
from impress_tools._devops import number_after
from impress_tools.change_requests import find_change
from impress_tools.signals import DetectionRule, Signal, facts, refuse_locked

RuleState = Literal["enabled", "disabled"]
BasisKind = Literal["change", "known_noise"]
_PREFIX: Final = "SR-"
_FIRST: Final = 287


class SuppressionRule(Record, frozen=True, kw_only=True):
    """One suppression rule. An empty match field matches all."""

    id: str
    rule: str
    actor: str
    cluster: str
    workload: str
    state: str
    basis_kind: str
    basis_ref: str
    created: str
    created_by: str
    expires: str
    archived: tuple[str, ...]


class SuppressionSeed(Seed):
    """A suppression rule in a scenario file."""

    rule: str
    actor: str = ""
    cluster: str = ""
    workload: str = ""
    state: RuleState = "enabled"
    basis_kind: BasisKind = "change"
    basis_ref: str = ""
    at: str
    created_by: str
    days: Annotated[int, Field(ge=1, le=90)] = 30


class SuppressionRulesSeed(Seed):
    """Section `suppression_rules:`; `items` by id, `history` numbered by the app, oldest first."""

    items: dict[str, SuppressionSeed] = Field(default_factory=dict)
    history: tuple[SuppressionSeed, ...] = ()


class Match(Arguments):
    """Which signals a suppression rule matches; a field that is left out matches all."""

    actor: str = Field("", description="Account that acted.")
    cluster: str = Field("", description="Cluster.")
    workload: str = Field("", description="Workload.")


class Basis(Arguments):
    """What a suppression rests on."""

    kind: BasisKind = Field(description="An approved change, or noise that the team knows of.")
    ref: str = Field("", description="Number of the change request; needed for kind change.")


def build(seed: SuppressionRulesSeed, make: Build) -> None:
    """Put the rules."""
    past = sorted(seed.history, key=lambda rule: make.time(rule.at))
    numbered = {f"{_PREFIX}{_FIRST + place:04d}": entry for place, entry in enumerate(past)}
    for id, entry in (numbered | seed.items).items():
        created = make.time(entry.at)
        make.put(
            id,
            SuppressionRule(
                id=id,
                created=created,
                expires=iso(minutes(created) + entry.days * 1440),
                archived=(),
                **entry.model_dump(exclude={"at", "days"}),
            ),
        )


kit = Toolkit(
    "suppression_rules",
    title="Suppression rules",
    seed=SuppressionRulesSeed,
    tables={"suppression_rules.items": SuppressionRule},
    build=build,
    uses=["signals", "audit_log", "change_requests"],
)


@kit.tool(effects=["read"])
def search(at: Slice, state: RuleState | None = None, rule: str | None = None, page: int = 1) -> object:
    """List suppression rules, newest first.

    Args:
        state: Only rules in this state.
        rule: Only those of this detection rule.
        page: Page number, 20 rules a page.
    """
    rows = [
        row
        for row in at.table(SuppressionRule).values()
        if (state is None or row.state == state) and (rule is None or row.rule == rule)
    ]
    rows.sort(key=lambda row: (row.created, row.id), reverse=True)
    found = paged(rows, page)
    shown: list[SuppressionRule] = found["items"]
    at.emit(
        "read",
        "suppression_rules://",
        count=len(shown),
        covers=tuple(sorted(f"suppression_rules://{row.id}" for row in shown)),
    )
    return found


@kit.tool(effects=["read"])
def get(at: Slice, id: str) -> object:
    """Open a suppression rule.

    Args:
        id: Id of the rule.
    """
    row = _find(at, id)
    at.emit("read", f"suppression_rules://{id}", owner=row.created_by)
    return row


@kit.tool(effects=["read"])
def preview(at: Slice, rule: str, match: Match) -> object:
    """Show the open signals that a suppression rule would match, without creating it.

    Args:
        rule: Id of the detection rule.
        match: Which signals it would match.
    """
    _known(at, rule)
    matched = _matched(at, rule, match)
    at.emit(
        "read",
        "signals://",
        count=len(matched),
        covers=tuple(sorted(f"signals://{signal.id}" for signal in matched)),
        fields=("actor", "cluster", "event", "rule", "time", "workload"),
        data={"actors": tuple(sorted({facts(at, signal)["actor"] for signal in matched}))},
    )
    return {"matches": len(matched), "signals": [facts(at, signal) for signal in matched[:30]]}


@kit.tool(effects=["control", "attest"], minutes=2)
def create(at: Slice, rule: str, match: Match, days: int, basis: Basis, archive_open: bool = False) -> object:
    """Create a suppression rule: signals that it matches no longer come up on the board while it runs.

    Args:
        rule: Id of the detection rule.
        match: Which of its signals are suppressed; at least one field.
        days: For how many days, 1 to 90.
        basis: What it rests on.
        archive_open: Also archive the open signals that it matches.
    """
    _known(at, rule)
    if not (match.actor or match.cluster or match.workload):
        raise ToolError("invalid_arguments", "match: empty.", expected="at least one of actor, cluster, workload")
    if not 1 <= days <= 90:
        raise ToolError("invalid_arguments", "days: out of range.", expected="1 to 90", found=str(days))
    if basis.kind == "change":
        if not basis.ref:
            raise ToolError("invalid_arguments", "basis.ref: needed for kind change.", expected="a change request")
        find_change(at, basis.ref)
    archived = _matched(at, rule, match) if archive_open else []
    refuse_locked(archived)
    table = at.table(SuppressionRule)
    row = SuppressionRule(
        id=f"{_PREFIX}{number_after(table.keys(), _PREFIX, _FIRST):04d}",
        rule=rule,
        actor=match.actor,
        cluster=match.cluster,
        workload=match.workload,
        state="enabled",
        basis_kind=basis.kind,
        basis_ref=basis.ref,
        created=at.now,
        created_by=at.account,
        expires=iso(at.clock + days * 1440),
        archived=tuple(sorted(signal.id for signal in archived)),
    )
    table.put(row.id, row)
    for signal in archived:
        at.table(Signal).update(
            signal.id,
            state="archived",
            reason="planned_change" if basis.kind == "change" else "other",
            change_ref=basis.ref,
            suppressed_by=row.id,
            updated=at.now,
            updated_by=at.account,
        )
    uri, reached = f"suppression_rules://{row.id}", tuple(f"signals://{id}" for id in row.archived)
    scope: dict[str, Any] = {
        "match_actor": row.actor,
        "match_cluster": row.cluster,
        "match_workload": row.workload,
    }
    refs = (basis.ref,) if basis.ref else ()
    at.emit(
        "control",
        uri,
        before="open",
        after="suppressed",
        subject=rule,
        reason=basis.kind,
        refs=refs,
        covers=reached,
        count=len(reached),
        end=row.expires,
        data=scope,
    )
    at.emit(
        "attest",
        uri,
        subject="basis",
        outcome=basis.kind,
        claim=basis.ref,
        refs=refs,
        covers=reached,
        data=scope,
    )
    return {"id": row.id, "state": row.state, "expires": row.expires, "archived": len(archived)}


@kit.tool(effects=["control"])
def update(at: Slice, id: str, state: RuleState) -> object:
    """Switch a suppression rule on or off. Signals that it archived stay archived.

    Args:
        id: Id of the rule.
        state: New state.
    """
    row = _find(at, id)
    if row.state == state:
        raise ToolError("conflict", f"{id} is {state} already.", found=state)
    at.table(SuppressionRule).update(id, state=state)
    at.emit(
        "control",
        f"suppression_rules://{id}",
        before=row.state,
        after=state,
        subject=row.rule,
        reason="switch",
    )
    return {"id": id, "state": state}


def _find(at: Slice, id: str) -> SuppressionRule:
    row = at.table(SuppressionRule).get(id)
    if row is None:
        raise ToolError("not_found", f"No suppression rule {id[:80]}.", offer=at.table(SuppressionRule).keys()[-20:])
    return row


def _known(at: Slice, rule: str) -> None:
    if rule not in at.table(DetectionRule):
        raise ToolError("not_found", f"No detection rule {rule[:80]}.", offer=at.table(DetectionRule).keys())


def _matched(at: Slice, rule: str, match: Match) -> list[Signal]:
    wanted = {key: value for key, value in match.model_dump().items() if value}
    found = []
    for signal in at.table(Signal).where(state="open", rule=rule):
        row = facts(at, signal)
        if all(row[key] == value for key, value in wanted.items()):
            found.append(signal)
    return found
