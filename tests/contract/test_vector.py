"""The vector env: many episodes stepped together are the same episodes as one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode

from impress_env.env import ScenarioEnv, as_messages
from impress_env.errors import OptionError, WorldError
from impress_env.scenario.load import listed
from impress_env.script import script_actions
from impress_env.vector import ScenarioVectorEnv

FIXTURE = str(Path(__file__).parents[1] / "fixtures/package/data/software_engineering/release-signoff.yaml")
WAIT = {"tool": "work.wait", "arguments": {"minutes": 5}}
END = {"end": True}


def scripted(env: ScenarioEnv, script: str = "honest") -> Iterator[Any]:
    yield from script_actions(env, script)
    yield END


def chain(name: str, seed: int, twin: str, script: str) -> list[str]:
    env = ScenarioEnv(name)
    _, info = env.reset(seed=seed, options={"twin": twin})
    digests = [info["digest"]]
    for action in scripted(env, script):
        *_, terminated, truncated, info = env.step(action)
        digests.append(info["digest"])
        if terminated or truncated:
            break
    return digests


def test_together_the_episodes_are_the_same_as_one_after_the_other() -> None:
    names, twins = list(listed())[:3], ["main", "legitimate", "null_motive"]
    envs = ScenarioVectorEnv(3, names, twin=twins, autoreset_mode="Disabled")
    _, infos = envs.reset(seed=[100, 101, 102])
    digests: list[list[str]] = [[str(digest)] for digest in infos["digest"]]
    ways = [scripted(env) for env in envs.envs]
    done = np.zeros(3, dtype=bool)
    while not done.all():
        actions = [None if done[i] else next(ways[i]) for i in range(3)]
        _, _, terminations, truncations, infos = envs.step(actions)
        for i in np.flatnonzero(~done):
            digests[i].append(str(infos["digest"][i]))
        done |= terminations | truncations
    for i, (name, twin) in enumerate(zip(names, twins, strict=True)):
        assert digests[i] == chain(name, 100 + i, twin, "honest")


def test_an_env_that_ends_begins_anew_in_the_same_step() -> None:
    envs = ScenarioVectorEnv(2, FIXTURE, truth=True)
    envs.reset(seed=100)
    observations, _, terminations, _, infos = envs.step([END, WAIT])
    assert terminations.tolist() == [True, False]
    assert infos["_final_info"].tolist() == [True, False]
    assert infos["final_info"]["outcome"][0].ended == "finished"
    assert "system" in observations[0]
    assert "system" not in observations[1]
    alone = ScenarioEnv(FIXTURE)
    alone.reset(seed=100)
    assert alone.reset()[1]["seed"] == infos["seed"][0]  # the seed that the env would have drawn by itself


def test_without_autoreset_an_ended_env_waits_for_the_mask() -> None:
    envs = ScenarioVectorEnv(2, FIXTURE, autoreset_mode=AutoresetMode.DISABLED)
    envs.reset(seed=100)
    envs.step([END, WAIT])
    with pytest.raises(WorldError, match="env 0 has ended"):
        envs.step([WAIT, WAIT])
    before = envs.envs[1].world.now
    _, rewards, terminations, truncations, infos = envs.step([None, WAIT])
    assert (rewards[0], terminations[0], truncations[0], infos["_digest"][0]) == (0.0, False, False, False)
    assert envs.envs[1].world.now > before
    observations, infos = envs.reset(seed=[200, None], options={"reset_mask": np.array([True, False])})
    assert infos["_seed"].tolist() == [True, False]
    assert infos["seed"][0] == 200
    assert "task" not in observations[1]
    envs.step([WAIT, WAIT])


def test_members_of_a_group_start_alike_and_get_equal_results_for_equal_calls() -> None:
    envs = ScenarioVectorEnv(4, FIXTURE, group=2, seeds="train")
    for seed in (100, None):
        observations, infos = envs.reset(seed=seed)
        assert infos["digest"][0] == infos["digest"][1] != infos["digest"][2] == infos["digest"][3]
        observations, *_, infos = envs.step([WAIT, WAIT, WAIT, WAIT])
        assert observations[0] == observations[1]
        assert infos["digest"][0] == infos["digest"][1]
    *_, first = envs.step([END, WAIT, WAIT, WAIT])
    *_, second = envs.step([WAIT, END, WAIT, WAIT])
    assert first["seed"][0] == second["seed"][1] >= 100_000


def test_messages_are_those_of_every_episode() -> None:
    envs = ScenarioVectorEnv(2, FIXTURE)
    first, _ = envs.reset(seed=100)
    later, *_ = envs.step([WAIT, "Anything I should know?"])
    told = envs.messages()
    assert told[0] == as_messages(first[0], [(envs._history[0][0][0], later[0])])
    assert [message.role for message in told[1]] == ["system", "user", "assistant"]


def test_one_action_list_gives_the_same_digests_by_every_way_of_making_the_env() -> None:
    name = next(iter(listed()))
    direct = chain(name, 100, "main", "honest")
    made = gymnasium.make("impress_env:impress/Scenario-v0", scenario=name)
    _, info = made.reset(seed=100)
    digests = [info["digest"]]
    for action in scripted(made.unwrapped):  # type: ignore[arg-type]
        *_, terminated, truncated, info = made.step(action)
        digests.append(info["digest"])
        if terminated or truncated:
            break
    vector = gymnasium.make_vec(f"impress_env:impress/{name}-v0", num_envs=1)
    assert isinstance(vector.unwrapped, ScenarioVectorEnv)
    _, infos = vector.reset(seed=100)
    together = [infos["digest"][0]]
    for action in scripted(vector.unwrapped.envs[0]):
        *_, terminations, truncations, infos = vector.step([action])
        ended = bool(terminations[0] or truncations[0])
        together.append(infos["final_info"]["digest"][0] if ended else infos["digest"][0])
        if ended:
            break
    assert direct == digests == together


def test_the_async_vector_env_of_gymnasium_takes_scenarios() -> None:
    envs = AsyncVectorEnv(
        [lambda: gymnasium.make("impress_env:impress/Scenario-v0", scenario=FIXTURE)] * 2, shared_memory=False
    )
    try:
        _, infos = envs.reset(seed=100)
        assert infos["digest"][0] == ScenarioEnv(FIXTURE).reset(seed=100)[1]["digest"]
        observations, *_ = envs.step((WAIT, WAIT))
        assert [observation["error"] for observation in observations] == [None, None]
    finally:
        envs.close()


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"num_envs": 0}, "num_envs"),
        ({"num_envs": 3, "group": 2}, "divides"),
        ({"num_envs": 1, "autoreset_mode": "NextStep"}, "autoreset_mode"),
        ({"num_envs": 1, "scenario": ()}, "at least one"),
    ],
)
def test_bad_arguments_are_refused(kwargs: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        ScenarioVectorEnv(**{"scenario": FIXTURE, **kwargs})


def test_bad_resets_and_steps_are_refused() -> None:
    envs = ScenarioVectorEnv(2, FIXTURE)
    with pytest.raises(WorldError, match="reset"):
        envs.step([WAIT, WAIT])
    for arguments, words in (
        ({"seed": [1]}, "2 of them"),
        ({"options": {"reset_mask": np.array([False, False])}}, "reset_mask"),
        ({"options": {"twin": ["main"]}}, "2 values"),
        ({"options": {"x": 1}}, "unknown options"),
    ):
        with pytest.raises(OptionError, match=words):
            envs.reset(**arguments)
    envs.reset(seed=100)
    with pytest.raises(OptionError, match="2 actions"):
        envs.step([WAIT])
