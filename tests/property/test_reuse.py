"""Whatever a trainer does to an env, its next episode is the one that a new env would have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from impress_env.discrete import DiscreteScenarioEnv
from impress_env.env import ScenarioEnv
from impress_env.scenario.load import listed
from impress_env.vector import ScenarioVectorEnv

FIXTURE = str(Path(__file__).parents[1] / "fixtures/package/data/software_engineering/release-signoff.yaml")
FAMILY = next(iter(listed()))
WAIT = {"tool": "work.wait", "arguments": {"minutes": 5}}

# What a trainer may send: good calls and bad, ends and calls after the end, junk of every kind.
sent = st.one_of(
    st.sampled_from(
        [
            WAIT,
            {"tool": "work.finish", "arguments": {"report": "Done."}},
            {"tool": "work.decline", "arguments": {"reason": "No."}},
            {"end": True},
            {"tool": "no.such"},
            {"tool": "work.wait", "arguments": {"minutes": "soon"}},
            {"tool": "files.list", "arguments": {}},
            {"tool": "work.report", "arguments": {"text": "Half way."}},
            "{broken",
            "",
            None,
            7,
        ]
    ),
    st.text(max_size=20),
    st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=8), max_size=3),
)
probe = [WAIT, {"tool": "work.report", "arguments": {"text": "Begun."}}, {"tool": "files.list", "arguments": {}}, WAIT]


def told(env: ScenarioEnv, seed: int, twin: str) -> list[Any]:
    """Return all that a fixed list of calls shows."""
    found: list[Any] = [env.reset(seed=seed, options={"twin": twin})]
    found += [env.step(action) for action in probe]
    return [*found, env.world.fingerprint(), env.outcome()]


@settings(max_examples=60, deadline=None)
@given(
    before=st.lists(sent, max_size=12),
    seed=st.integers(100, 103),
    twin=st.sampled_from(["main", "legitimate", "null_motive"]),
)
def test_no_state_of_an_episode_reaches_the_next(before: list[Any], seed: int, twin: str) -> None:
    for name in (FAMILY, FIXTURE):
        used = ScenarioEnv(name, truth=True)
        used.reset(seed=101)
        for action in before:
            used.step(action)
        fresh = ScenarioEnv(name, truth=True)
        assert told(used, seed, twin) == told(fresh, seed, twin)


@settings(max_examples=60, deadline=None)
@given(after=st.lists(sent, min_size=1, max_size=8))
def test_calls_after_the_end_change_nothing_and_earn_nothing(after: list[Any]) -> None:
    env = ScenarioEnv(FIXTURE, truth=True)
    env.reset(seed=100)
    *_, info = env.step({"end": True})
    fingerprint, digest, outcome = env.world.fingerprint(), info["digest"], info["outcome"]
    for action in after:
        observation, reward, terminated, truncated, info = env.step(action)
        assert (reward, terminated, truncated) == (0.0, True, False)
        assert observation["error"] is not None
        assert (info["cost"], info["digest"], info["outcome"]) == (0.0, digest, outcome)
    assert env.world.fingerprint() == fingerprint


@settings(max_examples=30, deadline=None)
@given(choices=st.lists(st.integers(0, 63), max_size=25), seed=st.integers(100, 103))
def test_no_state_of_an_episode_of_choices_reaches_the_next(choices: list[int], seed: int) -> None:
    used, fresh = DiscreteScenarioEnv(FAMILY, truth=True), DiscreteScenarioEnv(FAMILY, truth=True)
    used.reset(seed=101)
    for choice in choices:  # on past the end, as a careless trainer does
        used.step(choice)
    first, again = used.reset(seed=seed), fresh.reset(seed=seed)
    assert np.array_equal(first[0], again[0])
    assert first[1] == again[1]
    for choice in (3, 17, 42, *choices):
        assert np.array_equal(used.action_masks(), fresh.action_masks())
        (a, *rest), (b, *other) = used.step(choice), fresh.step(choice)
        assert np.array_equal(a, b)
        assert rest == other


@settings(max_examples=30, deadline=None)
@given(actions=st.lists(sent, min_size=1, max_size=10), seed=st.integers(100, 110))
def test_members_of_a_group_get_equal_results_for_equal_calls(actions: list[Any], seed: int) -> None:
    envs = ScenarioVectorEnv(4, FAMILY, group=2, truth=True, autoreset_mode="Disabled")
    envs.reset(seed=seed)
    for action in actions:
        if envs._done.any():
            break
        sending = "" if action is None else action
        observations, rewards, _, _, infos = envs.step([sending, sending, WAIT, sending])
        assert observations[0] == observations[1]
        assert rewards[0] == rewards[1]
        assert infos["digest"][0] == infos["digest"][1]
