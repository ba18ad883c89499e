"""Monitors and protocols: who notices, and who decides.

A monitor watches an episode as it grows and reports on each proposed step: `Scored` (with findings, or none),
`Abstained` or `Failed`, never a silent zero. It never acts. A `Protocol` turns the reports into a decision: allow <
flag < ask < modify < block < terminate. The split is inspect-sentinel's. Knows nothing of worlds, oracles, families or
twins: the same monitors must serve a real agent on real tools.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, Protocol, Self

import msgspec

from impress_env import plugins
from impress_env.errors import OptionError, PluginError
from impress_env.types import DECISIONS, Decision, Finding, Gate, ProposalView, ToolSchema

Basis = Literal["effect", "text", "model"]


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """What an episode starts from, as the agent is told it."""

    system: str
    task: str
    tools: tuple[ToolSchema, ...]


class Scored(msgspec.Struct, frozen=True):
    """The monitor looked; what it noticed, and which of its rules could not say, each with why."""

    findings: tuple[Finding, ...] = ()
    abstained: tuple[tuple[str, str], ...] = ()


class Abstained(msgspec.Struct, frozen=True):
    """The monitor cannot say, and why: a fact is missing that it would need."""

    why: str


class Failed(msgspec.Struct, frozen=True):
    """The monitor did not do its work, and why."""

    why: str


Report = Scored | Abstained | Failed
QUIET: Final = Scored()


class Monitor(Protocol):
    """Watches one episode. What it keeps is its own; `fork` is how that is copied."""

    @property
    def name(self) -> str:
        """A stable name, for records."""

    def start(self, contract: Contract) -> None:
        """Begin an episode; nothing of the one before is left."""

    def review(self, view: ProposalView) -> Report:
        """Report on a proposal. Changes nothing that outlasts it: the proposal may yet be dropped."""

    def settled(self, view: ProposalView, committed: bool) -> None:
        """Learn that a proposal took effect, or did not."""

    def fork(self) -> Self:
        """Return an independent monitor in the same state."""


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The protocol that ships: what the findings ask for, within what their basis can carry.

    Args:
        mode: "watch" decides nothing beyond `flag`; "gate" holds back.
        text: The strongest decision on words alone.
        model: The strongest decision on a model's reading alone.
        together: Whether words and a model that both ask for more than these may have it.
        failed_irreversible: Where a monitor failed and the proposal cannot be undone.
        failed: Where a monitor failed otherwise.
    """

    mode: Literal["watch", "gate"] = "gate"
    text: Decision = "ask"
    model: Decision = "ask"
    together: bool = True
    failed_irreversible: Decision = "ask"
    failed: Decision = "flag"

    def decide(self, view: ProposalView, reports: Sequence[Report]) -> tuple[Decision, tuple[Finding, ...]]:
        """Return the decision on a proposal, and the findings it rests on, the weightiest first."""
        findings: list[Finding] = []
        decision: Decision = "allow"
        for report in reports:
            if isinstance(report, Scored):
                findings.extend(report.findings)
            elif isinstance(report, Failed):
                final = any(effect.reversible is False for effect in view.effects)
                decision = stronger(decision, self.failed_irreversible if final else self.failed)
        bases = {finding.basis for finding in findings if DECISIONS.index(finding.asks) > DECISIONS.index("ask")}
        free = self.together and {"text", "model"} <= bases
        for finding in findings:
            decision = stronger(decision, finding.asks if free else self._capped(finding))
        if self.mode == "watch":
            decision = weaker(decision, "flag")
        ordered = sorted(findings, key=lambda found: (-found.severity, -found.score, found.rule))
        return decision, tuple(ordered)

    def _capped(self, finding: Finding) -> Decision:
        if finding.basis == "effect":
            return finding.asks
        return weaker(finding.asks, self.text if finding.basis == "text" else self.model)


def make_analyzer(text: str, policy: Mapping[str, Any] | None = None) -> Gate:
    """Return an installed analyzer as a gate.

    Args:
        text: Its name, or name/mode with the mode "watch" or "gate".
        policy: Further fields of its policy.

    Raises:
        OptionError: No such analyzer or mode.
        PluginError: It failed to load.
    """
    name, _, mode = text.partition("/")
    factory = plugins.load("analyzers", name)
    if not callable(factory):
        raise PluginError(distribution="", entry_point=name, cause="expected a factory (policy) -> gate")
    told = {**(policy or {}), "mode": mode or "gate"}
    try:
        chosen = msgspec.convert(told, Policy)
    except msgspec.ValidationError as error:
        raise OptionError(f"analyzer {text!r}: {error}; known: {', '.join(Policy.__struct_fields__)}") from None
    gate: Gate = factory(chosen)
    return gate


def stronger(one: Decision, other: Decision) -> Decision:
    """Return the stronger of two decisions."""
    return max(one, other, key=DECISIONS.index)


def weaker(one: Decision, other: Decision) -> Decision:
    """Return the weaker of two decisions."""
    return min(one, other, key=DECISIONS.index)


def read_policy(path: Path) -> Policy:
    """Return the policy of a YAML or JSON file.

    Raises:
        OptionError: It cannot be read, or a field or value is unknown; says which.
    """
    import yaml

    try:
        data: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise OptionError(f"protocol {path}: cannot be read: {' '.join(str(error).split())}") from None
    try:
        return msgspec.convert(data if data is not None else {}, Policy)
    except msgspec.ValidationError as error:
        known = ", ".join(Policy.__struct_fields__)
        told = f"{error}; known fields: {known}; decisions: {', '.join(DECISIONS)}"
        raise OptionError(f"protocol {path}: {told}") from None
