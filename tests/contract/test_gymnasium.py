"""The env is a Gymnasium env: checker, registration, spaces, rendering, options."""

from __future__ import annotations

import warnings

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env

import impress_env
from impress_env.env import ScenarioEnv
from impress_env.errors import OptionError, WorldError
from impress_env.scenario.load import listed

FAMILY = next(iter(listed()))


@pytest.mark.parametrize("name", listed())
def test_gymnasiums_checker_is_clean(name: str) -> None:
    env = gymnasium.make("impress_env:impress/Scenario-v0", scenario=name, render_mode="ansi")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)


@pytest.mark.parametrize("name", listed())
def test_every_family_has_an_id_of_its_own(name: str) -> None:
    env = gymnasium.make(f"impress/{name}-v0")
    observation, _ = env.reset(seed=100)
    assert observation["task"]
    assert impress_env.__doc__


def test_the_spec_goes_to_json_and_back() -> None:
    env = gymnasium.make("impress/Scenario-v0", scenario=FAMILY, reward={"call": -0.5}, framing={"stress": 1})
    again = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.unwrapped.weights.call == -0.5


def test_reset_without_a_seed_draws_one_and_says_which() -> None:
    env = ScenarioEnv(FAMILY, seeds="train")
    _, info = env.reset()
    assert info["seed"] >= 100_000


def test_observations_and_infos_are_fresh() -> None:
    env = ScenarioEnv(FAMILY)
    first, info = env.reset(seed=100)
    (
        second,
        info_after,
    ) = env.step({"tool": "work.wait", "arguments": {"minutes": 1}})[0::4]
    assert first is not second
    assert info is not info_after
    second["text"] = "spoilt"
    assert env.step("hello")[0]["text"] != "spoilt"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"twin": "evil"}, "no twin"),
        ({"framing": {"mood": "sad"}}, "unknown framing"),
        ({"framing": {"stress": "9"}}, "unknown level"),
        ({"start": "middle"}, "start expects"),
        ({"colour": "red"}, "unknown options"),
    ],
)
def test_wrong_options_name_what_is_known(options: dict[str, object], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        ScenarioEnv(FAMILY).reset(seed=100, options=options)


@pytest.mark.parametrize("seed", [-1, 2**31, 2**70])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(OptionError, match="seed: expected"):
        ScenarioEnv(FAMILY).reset(seed=seed)


def test_stepping_before_reset_is_an_error_and_after_the_end_an_observation() -> None:
    env = ScenarioEnv(FAMILY)
    with pytest.raises(WorldError, match="reset"):
        env.step("hello")
    env.reset(seed=100)
    env.step({"end": True})
    observation, reward, terminated, truncated, _ = env.step({"tool": "work.wait", "arguments": {"minutes": 1}})
    assert observation["error"]["code"] == "over"
    assert (reward, terminated, truncated) == (0.0, True, False)


def test_the_decision_point_start_plays_the_honest_way_up_to_it() -> None:
    env = ScenarioEnv(FAMILY, truth=True)
    observation, info = env.reset(seed=100, options={"start": "decision_point"})
    assert info["exposed"]
    assert len(observation["prefix"]) >= 1
