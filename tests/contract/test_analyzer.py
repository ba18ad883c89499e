"""The analyzer as a gate: what monitors may see, what a failing one does, and that its state goes with the env."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest

from impress_env.analyzer import Analyzer
from impress_env.effects import Effect
from impress_env.env import HELD_BACK, ScenarioEnv
from impress_env.errors import OptionError
from impress_env.monitor import Abstained, Contract, Failed, Policy, Report, Scored, read_policy
from impress_env.monitors.rules import RuleMonitor
from impress_env.scenario.check import forbidden_words, leaks
from impress_env.scenario.load import family, listed
from impress_env.script import script_actions
from impress_env.types import Action, Finding, ProposalView


class Watching:
    """Reports as it is told and keeps what it was shown."""

    def __init__(self, name: str = "watching", answer: Callable[[ProposalView], Any] | None = None) -> None:
        self.name, self._answer = name, answer
        self.seen: list[object] = []

    def start(self, contract: Contract) -> None:
        self.seen = [contract]

    def review(self, view: ProposalView) -> Report:
        report: Report = self._answer(view) if self._answer is not None else Scored()
        return report

    def settled(self, view: ProposalView, committed: bool) -> None:
        self.seen.append((view, committed))

    def fork(self) -> Self:
        other = type(self)(self.name, self._answer)
        other.seen = list(self.seen)
        return other


def finding(asks: Any = "block", basis: Any = "effect", severity: int = 2) -> Finding:
    return Finding(
        rule=f"{asks}-{basis}", version=1, category="c", severity=severity, score=1.0, step=1, asks=asks, basis=basis
    )


def view(**effect: Any) -> ProposalView:
    effects = (Effect(kind="delete", object="a://1", actor="agent", **effect),) if effect else ()
    return ProposalView(step=1, time="", action=Action(), effects=effects, result=None, error=None)


@pytest.mark.parametrize("name", listed())
def test_no_ground_truth_reaches_a_monitor(name: str) -> None:
    spec = family(name).spec
    words = forbidden_words(spec)
    for twin in ("main", *spec.twins):
        for seed, script in ((100, "risky"), (101, "honest")):
            watching = Watching()
            env = ScenarioEnv(name, gate=Analyzer([watching]))
            env.reset(seed=seed, options={"twin": twin})
            for action in script_actions(env, script):
                env.step(action)
            assert len(watching.seen) > 2
            shown = json.dumps(msgspec.to_builtins(watching.seen, enc_hook=str), ensure_ascii=False)
            assert not leaks(words, shown), f"{name} {twin} {seed}"


def test_findings_ask_and_their_basis_caps_what_they_get() -> None:
    policy = Policy()

    def decide(*findings: Finding) -> str:
        return policy.decide(view(), [Scored(findings)])[0]

    assert decide() == "allow"
    assert decide(finding("flag")) == "flag"
    assert decide(finding("block"), finding("flag")) == "block"
    assert decide(finding("block", "model")) == "ask"
    assert decide(finding("block", "text")) == "ask"
    assert decide(finding("block", "text"), finding("block", "model")) == "block"
    assert decide(finding("block", "text"), finding("flag", "model")) == "ask"
    assert Policy(mode="watch").decide(view(), [Scored((finding("terminate"),))])[0] == "flag"
    assert [
        found.severity for found in policy.decide(view(), [Scored((finding(severity=1), finding(severity=3)))])[1]
    ] == [3, 1]


def test_a_failed_monitor_asks_where_nothing_could_be_undone_and_flags_otherwise() -> None:
    assert Policy().decide(view(reversible=False), [Failed("x")])[0] == "ask"
    assert Policy().decide(view(reversible=True), [Failed("x")])[0] == "flag"
    assert Policy().decide(view(), [Abstained("x")])[0] == "allow"


def boom(_: ProposalView) -> Any:
    raise RuntimeError("no such\nthing")


@pytest.mark.parametrize(
    ("answer", "told"),
    [(boom, "RuntimeError: no such thing"), (lambda _: None, "expected Scored, Abstained or Failed, found NoneType"),
     (lambda _: 0.7, "found float")],
)  # fmt: skip
def test_a_monitor_that_fails_is_told_and_the_episode_goes_on(answer: Callable[[ProposalView], Any], told: str) -> None:
    env = ScenarioEnv(
        "devops.signal-tuning", gate=Analyzer([Watching("good"), Watching("bad", answer)]), on_ask="allow"
    )
    env.reset(seed=100)
    proposal = env.propose({"tool": "signals.list_rules", "arguments": {}})
    review = env.review(proposal)
    assert [(name, told in why) for name, why in review.failed] == [("bad", True)]
    env.settle(proposal, review.decision, review)
    for action in script_actions(env, "honest"):
        *_, terminated, _, _ = env.step(action)
    assert terminated


def test_a_monitor_that_missed_a_step_has_failed_for_the_rest_of_the_episode() -> None:
    class Missing(Watching):
        def settled(self, view: ProposalView, committed: bool) -> None:
            raise ValueError("full")

    analyzer = Analyzer([Missing()])
    env = ScenarioEnv("devops.signal-tuning", gate=analyzer)
    env.reset(seed=100)
    env.step({"tool": "work.wait", "arguments": {"minutes": 5}})
    assert analyzer.review(view()).failed == (("watching", "ValueError: full"),)
    assert analyzer.fork().review(view()).failed
    env.reset(seed=100)
    assert analyzer.review(view()).failed == ()


def test_what_is_held_back_leaves_the_world_as_it_was_and_its_monitors_know() -> None:
    watching = Watching(answer=lambda shown: Scored((finding(),)) if shown.effects else Scored())
    env = ScenarioEnv("devops.signal-tuning", gate=Analyzer([watching]))
    _, info = env.reset(seed=100)
    observation, *_, after = env.step({"tool": "signals.list_rules", "arguments": {}})
    assert observation["error"] == {"code": "forbidden", "message": HELD_BACK}
    assert after["digest"] == info["digest"]
    assert after["decision"] == "block"
    assert [committed for _, committed in watching.seen[1:]] == [False]  # type: ignore[misc, has-type]


def test_snapshot_and_fork_carry_the_monitors_state() -> None:
    watching = Watching()
    env = ScenarioEnv("devops.signal-tuning", gate=Analyzer([watching, RuleMonitor()]))
    env.reset(seed=100)
    snapshot = env.snapshot()
    other = env.fork()
    env.step({"tool": "work.wait", "arguments": {"minutes": 5}})
    assert len(watching.seen) == 2
    assert other.gate is not None
    assert len(other.gate._monitors[0].seen) == 1  # type: ignore[attr-defined]
    env.restore(snapshot)
    assert env.gate is not None
    assert len(env.gate._monitors[0].seen) == 1  # type: ignore[attr-defined]


def test_a_protocol_file_is_read_and_a_wrong_one_told(tmp_path: Path) -> None:
    path = tmp_path / "protocol.yaml"
    path.write_text("mode: watch\nmodel: flag\n")
    assert read_policy(path) == Policy(mode="watch", model="flag")
    for text, told in (("mood: watch", "unknown field `mood`"), ("model: shout", "shout"), ("a: [", "cannot be read")):
        path.write_text(text)
        with pytest.raises(OptionError, match=told):
            read_policy(path)


def test_equal_monitors_names_are_refused() -> None:
    with pytest.raises(ValueError, match="names of their own"):
        Analyzer([Watching(), Watching()])


def test_the_rules_are_named_where_an_env_is_made() -> None:
    import gymnasium

    made = gymnasium.make("impress_env:impress/Scenario-v0", scenario="devops.signal-tuning", analyzer="rules/watch")
    made.reset(seed=100)
    *_, info = made.step({"tool": "signals.list_rules", "arguments": {}})
    assert info["decision"] == "allow"
    assert isinstance(made.unwrapped.gate, Analyzer)  # type: ignore[attr-defined]
    for text, told in (("rulez", "no analyzers plugin"), ("rules/loud", "Invalid enum value 'loud'")):
        with pytest.raises(OptionError, match=told):
            ScenarioEnv("devops.signal-tuning", analyzer=text)
    with pytest.raises(OptionError, match="found both"):
        ScenarioEnv("devops.signal-tuning", analyzer="rules", gate=Analyzer([]))
