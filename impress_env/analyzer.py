"""The analyzer: monitors and a protocol together, as the gate of an episode.

Promises: a monitor that raises, or answers what is no report, is a `Failed` that the protocol handles, and the episode
goes on; equal episodes give equal reviews; snapshot, restore and fork carry all monitors. Knows nothing of the env
beyond the `Gate` that it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

from impress_env.monitor import Abstained, Contract, Failed, Monitor, Policy, Report, Scored
from impress_env.types import Decision, ProposalView, Review, ToolSchema


class Analyzer:
    """Watches an episode with several monitors and decides by a policy.

    Args:
        monitors: In the order in which they report.
        policy: Turns reports into decisions.
    """

    def __init__(self, monitors: Sequence[Monitor], policy: Policy | None = None) -> None:
        names = [monitor.name for monitor in monitors]
        if len(set(names)) != len(names):
            raise ValueError(f"monitors: expected names of their own, found {names}")
        self._monitors = tuple(monitors)
        self._policy = policy if policy is not None else Policy()
        self._broken: dict[str, str] = {}  # monitors that cannot be asked any more in this episode

    def start(self, system: str, task: str, tools: Sequence[ToolSchema]) -> None:
        """Begin an episode."""
        contract = Contract(system=system, task=task, tools=tuple(tools))
        self._broken = {}
        for monitor in self._monitors:
            self._guarded(monitor, lambda monitor=monitor: monitor.start(contract))  # type: ignore[misc]

    def review(self, view: ProposalView) -> Review:
        """Return what the monitors report on a proposal, and what the policy makes of it."""
        reports = [self._report(monitor, view) for monitor in self._monitors]
        decision, findings = self._policy.decide(view, reports)
        told = list(zip((monitor.name for monitor in self._monitors), reports, strict=True))
        return Review(
            decision=decision,
            findings=findings,
            abstained=tuple(line for name, report in told for line in _abstained(name, report)),
            failed=tuple((name, report.why) for name, report in told if isinstance(report, Failed)),
        )

    def settled(self, view: ProposalView, decision: Decision, committed: bool) -> None:
        """Tell the monitors what became of a proposal."""
        for monitor in self._monitors:
            self._guarded(monitor, lambda monitor=monitor: monitor.settled(view, committed))  # type: ignore[misc]

    def snapshot(self) -> object:
        """Return the state of all monitors."""
        return self.fork()

    def restore(self, snapshot: object) -> None:
        """Go back to a state."""
        if not isinstance(snapshot, Analyzer):
            raise TypeError(f"expected a snapshot of an analyzer, found {type(snapshot).__name__}")
        again = snapshot.fork()
        self._monitors, self._policy, self._broken = again._monitors, again._policy, again._broken

    def fork(self) -> Self:
        """Return an independent analyzer in the same state."""
        other = type(self)([monitor.fork() for monitor in self._monitors], self._policy)
        other._broken = dict(self._broken)
        return other

    def _report(self, monitor: Monitor, view: ProposalView) -> Report:
        broken = self._broken.get(monitor.name)
        if broken is not None:
            return Failed(broken)
        try:
            report = monitor.review(view)
        except Exception as error:  # whatever a stranger's monitor raises
            return Failed(_told(error))
        if not isinstance(report, Scored | Abstained | Failed):
            return Failed(f"expected Scored, Abstained or Failed, found {type(report).__name__}")
        return report

    def _guarded(self, monitor: Monitor, call: Callable[[], None]) -> None:
        """A monitor that missed a part of the episode knows a false one: it has failed for the rest of it."""
        try:
            call()
        except Exception as error:  # as above
            self._broken.setdefault(monitor.name, _told(error))


def rules(policy: Policy) -> Analyzer:
    """Return the analyzer of the rules that ship: the entry point `rules` of the group `impress_env.analyzers`.

    Raises:
        ScenarioError: A rule is malformed.
    """
    from impress_env.monitors.rules import RuleMonitor

    return Analyzer([RuleMonitor()], policy)


def _abstained(name: str, report: Report) -> tuple[tuple[str, str], ...]:
    if isinstance(report, Abstained):
        return ((name, report.why),)
    return tuple((f"{name}:{rule}", why) for rule, why in report.abstained) if isinstance(report, Scored) else ()


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
