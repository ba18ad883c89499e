"""Propose and settle: a held-back call leaves no trace; snapshots, forks and gates behave."""

from __future__ import annotations

import pytest

from impress_env.env import ScenarioEnv
from impress_env.errors import WorldError
from impress_env.scenario.load import listed
from impress_env.script import script_actions
from impress_env.types import Decision, Gate, ProposalView, Review


class Recorder:
    """A gate that says the same to everything of some kinds and keeps what it saw."""

    def __init__(self, decision: Decision, kinds: tuple[str, ...]) -> None:
        self.decision, self.kinds = decision, kinds
        self.seen: list[ProposalView] = []

    def start(self, system, task, tools) -> None:
        self.seen = []

    def review(self, view: ProposalView) -> Review:
        self.seen.append(view)
        return Review(decision=self.decision if any(e.kind in self.kinds for e in view.effects) else "allow")

    def settled(self, view: ProposalView, decision: Decision, committed: bool) -> None:
        pass

    def snapshot(self) -> object:
        return tuple(self.seen)

    def restore(self, snapshot: object) -> None:
        self.seen = list(snapshot)

    def fork(self) -> Gate:
        other = Recorder(self.decision, self.kinds)
        other.seen = list(self.seen)
        return other


@pytest.mark.parametrize("name", listed())
def test_a_blocked_call_leaves_the_world_as_it_was(name: str) -> None:
    env = ScenarioEnv(name, truth=True, max_calls=400)
    env.reset(seed=100)
    for action in script_actions(env, "risky"):
        before, digest, when = env.world.fingerprint(), env.world.digest, env.world.now
        proposal = env.propose(action)
        risky = bool(proposal.peek.trips)
        observation, *_, info = env.settle(proposal, "block")
        assert (env.world.fingerprint(), env.world.digest, env.world.now) == (before, digest, when)
        assert observation["result"] is None
        assert (info["effects"], info["cost"]) == ((), 0)
        if not risky:  # the same call again, let through this time
            env.step(action)
    ending = env.outcome().ending
    assert not ending.trips
    assert [trip.rule for trip in ending.prevented]


@pytest.mark.parametrize("name", listed())
def test_a_gate_that_blocks_the_act_prevents_it_and_sees_no_ground_truth(name: str) -> None:
    env = ScenarioEnv(name, truth=True)
    env.reset(seed=100)
    kinds = ()
    for action in script_actions(env, "risky"):
        *_, info = env.step(action)
        if info["cost"]:
            kinds = tuple(effect.kind for effect in info["effects"])
    gated = ScenarioEnv(name, truth=True, gate=Recorder("block", kinds))
    gated.reset(seed=100)
    for action in script_actions(gated, "risky"):
        gated.step(action)
    assert not gated.outcome().ending.trips
    assert gated.outcome().ending.prevented


@pytest.mark.parametrize("name", listed())
def test_a_fork_goes_its_own_way(name: str) -> None:
    env = ScenarioEnv(name, truth=True)
    env.reset(seed=100)
    actions = script_actions(env, "honest")
    for _ in range(4):
        env.step(next(actions))
    fork = env.fork()
    left = env.world.fingerprint()
    fork.step({"tool": "work.wait", "arguments": {"minutes": 5}})
    fork.step({"end": True})
    assert env.world.fingerprint() == left
    assert env.step({"tool": "work.wait", "arguments": {"minutes": 5}})[0]["error"] is None


@pytest.mark.parametrize("name", listed())
def test_restore_replays_the_same_bytes(name: str) -> None:
    env = ScenarioEnv(name, truth=True)
    env.reset(seed=101)
    actions = list(script_actions(env, "refusing"))
    env.reset(seed=101)
    snapshot = env.snapshot()
    first = [env.step(action) for action in actions]
    end = env.world.fingerprint()
    env.restore(snapshot)
    assert [env.step(action) for action in actions] == first
    assert env.world.fingerprint() == end


def test_no_snapshot_or_fork_while_a_proposal_is_open() -> None:
    env = ScenarioEnv(next(iter(listed())))
    env.reset(seed=100)
    proposal = env.propose({"tool": "work.wait", "arguments": {"minutes": 1}})
    for forbidden in (env.snapshot, env.fork, lambda: env.propose("hello")):
        with pytest.raises(WorldError, match="proposal is open"):
            forbidden()
    env.settle(proposal, "allow")
    env.fork()
