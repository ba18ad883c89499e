"""The discrete twin: checkers, masks, what it shows and never shows; its episodes are the scenario's."""

from __future__ import annotations

import warnings
from itertools import pairwise
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AsyncVectorEnv

from impress_env.discrete import DESCRIPTOR, GLOBAL, OPEN, STATIC, DiscreteScenarioEnv
from impress_env.env import ScenarioEnv
from impress_env.errors import OptionError, WorldError
from impress_env.macro import macros
from impress_env.scenario.load import family, instance, listed
from impress_env.types import Action
from impress_env.vector import ScenarioVectorEnv

FAMILY = "healthcare_admin.vaccine-fridge-check"


def choose(env: DiscreteScenarioEnv, rng: np.random.Generator) -> int:
    return int(rng.choice(np.flatnonzero(env.action_masks())))


def walk(env: DiscreteScenarioEnv, seed: int, twin: str, rng_seed: int = 0) -> list[tuple[Any, ...]]:
    """Return (observation, mask, reward, info) of a random episode."""
    rng = np.random.default_rng(rng_seed)
    observation, info = env.reset(seed=seed, options={"twin": twin})
    seen: list[tuple[Any, ...]] = [(observation, env.action_masks(), 0.0, info)]
    ended = False
    while not ended:
        observation, reward, terminated, truncated, info = env.step(choose(env, rng))
        ended = terminated or truncated
        seen.append((observation, env.action_masks(), reward, info))
    return seen


@pytest.mark.parametrize("name", listed())
def test_gymnasiums_checker_is_clean(name: str) -> None:
    env = gymnasium.make("impress_env:impress/Discrete-v0", scenario=name, twin=["main", "legitimate"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)


def test_the_checker_of_stable_baselines_is_clean() -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker", reason="needs the extra `train`")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checker.check_env(DiscreteScenarioEnv(FAMILY))


def test_the_spec_goes_to_json_and_back() -> None:
    env = gymnasium.make("impress_env:impress/Discrete-v0", scenario=FAMILY, seeds=[100, 200], reward={"call": -0.5})
    assert env.spec is not None
    again = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert again.unwrapped.weights.call == -0.5  # type: ignore[attr-defined]


def test_the_async_vector_env_of_gymnasium_takes_it() -> None:
    envs = AsyncVectorEnv([lambda: DiscreteScenarioEnv(FAMILY)] * 2)
    try:
        observations, _ = envs.reset(seed=[100, 101])
        assert observations.shape[0] == 2
        envs.step(np.array([0, 1]))
    finally:
        envs.close()


# ---- its episodes are the scenario's


@pytest.mark.parametrize("name", listed())
def test_the_calls_of_an_episode_made_directly_or_in_a_vector_give_the_same_digests(name: str) -> None:
    env = DiscreteScenarioEnv(name)
    direct, made = ScenarioEnv(name), gymnasium.make("impress_env:impress/Scenario-v0", scenario=name)
    vector = ScenarioVectorEnv(1, name, autoreset_mode="Disabled")
    for seed in range(100, 103):
        seen = walk(env, seed, "main")
        for other in (direct, made):
            _, info = other.reset(seed=seed)
            assert info["digest"] == seen[0][3]["digest"]
        vector.reset(seed=seed)
        for *_, told in seen[1:]:
            for action in told["calls"]:
                *_, first = direct.step(action)
                *_, second = made.step(action)
                *_, third = vector.step([action])
            assert first["digest"] == second["digest"] == third["digest"][0] == told["digest"]


@pytest.mark.parametrize("name", listed())
@pytest.mark.parametrize("twin", ["main", "legitimate"])
def test_equal_seeds_and_choices_give_equal_episodes_in_a_used_env_and_a_new_one(name: str, twin: str) -> None:
    used = DiscreteScenarioEnv(name)
    walk(used, 105, "main", 1)
    for (a, mask_a, reward_a, info_a), (b, mask_b, reward_b, info_b) in zip(
        walk(used, 100, twin), walk(DiscreteScenarioEnv(name), 100, twin), strict=True
    ):
        assert np.array_equal(a, b)
        assert np.array_equal(mask_a, mask_b)
        assert (reward_a, info_a) == (reward_b, info_b)


def test_a_masked_choice_costs_a_step_and_changes_nothing() -> None:
    env = DiscreteScenarioEnv(FAMILY, truth=True)
    _, info = env.reset(seed=100)
    digest = info["digest"]
    for slot in np.flatnonzero(~env.action_masks())[:5]:
        _, reward, terminated, _, info = env.step(slot)
        assert (info["digest"], terminated) == (digest, False)
        assert reward < 0
        assert info["reward_terms"]["call"] == 1.0


def test_choices_end_an_episode_at_the_familys_own_limit() -> None:
    env = DiscreteScenarioEnv(FAMILY, max_calls=3)
    env.reset(seed=100)
    masked = int(np.flatnonzero(~env.action_masks())[0])
    assert [env.step(masked)[3] for _ in range(3)] == [False, False, True]


def test_the_env_that_was_not_reset_says_so() -> None:
    with pytest.raises(WorldError, match="reset"):
        DiscreteScenarioEnv(FAMILY).step(0)


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"scenario": []}, "at least one"),
        ({"slots": 4}, "slots"),
        ({"slots": 12}, "needs at least"),
        ({"seeds": "holiday"}, "seeds"),
        ({"seeds": [9, 3]}, "seeds"),
        ({"reward": {"kindness": 1}}, "unknown term"),
    ],
)
def test_bad_arguments_are_refused(kwargs: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        DiscreteScenarioEnv(**{"scenario": FAMILY, **kwargs}).reset(seed=100)


# ---- the choices


@pytest.mark.parametrize("name", listed())
def test_the_set_of_choices_is_the_same_in_every_twin(name: str) -> None:
    for seed in (100, 101):
        main = instance(name, "main", seed)
        sets = [
            [macro.key for macro in macros(instance(name, twin, seed), main, limit=64)]
            for twin in ("main", *family(name).spec.twins)
        ]
        assert all(one == sets[0] for one in sets)


@pytest.mark.parametrize("name", listed())
def test_asking_waiting_declining_and_finishing_are_always_among_the_choices(name: str) -> None:
    env = DiscreteScenarioEnv(name)
    env.reset(seed=100)
    roles = {macro.role for macro in env.choices().values()}
    assert {"ask", "wait", "decline", "finish"} <= roles
    finishing = [slot for slot, macro in env.choices().items() if macro.role == "finish"]
    assert env.action_masks()[finishing].all()


def test_slots_are_dealt_anew_in_every_episode() -> None:
    env = DiscreteScenarioEnv(FAMILY, seeds=[100, 100])
    env.reset(seed=100)
    before = {macro.key: slot for slot, macro in env.choices().items()}
    env.reset()
    after = {macro.key: slot for slot, macro in env.choices().items()}
    assert before.keys() == after.keys()
    assert sum(before[key] != after[key] for key in before) > len(before) // 2


def test_a_choice_that_names_something_opens_when_the_name_was_read() -> None:
    env = DiscreteScenarioEnv(FAMILY)
    rng = np.random.default_rng(0)
    env.reset(seed=100)
    text = ""
    scenario = env.scenario
    for _ in range(40):
        closed = ~env.action_masks()
        for slot, macro in env.choices().items():
            if closed[slot] and not any(call.needs for call in macro.calls):
                assert any(name not in text for name in macro.names)
        *_, terminated, truncated, _ = env.step(choose(env, rng))
        text += scenario._last["text"] if scenario._last is not None else ""
        if terminated or truncated:
            break


# ---- what is seen


@pytest.mark.parametrize("name", listed())
def test_until_a_text_differs_twins_look_the_same(name: str) -> None:
    """Two instances that differ only in what the agent was not shown give equal observations, masks and rewards."""
    env, other = DiscreteScenarioEnv(name, truth=True), DiscreteScenarioEnv(name, truth=True)
    compared = 0
    for twin in family(name).spec.twins:
        for seed in range(100, 104):
            rng = np.random.default_rng(seed)
            a, _ = env.reset(seed=seed)
            b, _ = other.reset(seed=seed, options={"twin": twin})
            told = env.scenario.instance, other.scenario.instance
            if (told[0].system, told[0].task) != (told[1].system, told[1].task):
                continue
            assert np.array_equal(a, b)
            while True:
                assert np.array_equal(env.action_masks(), other.action_masks())
                choice = choose(env, rng)
                texts: list[list[str]] = [[], []]
                for one, heard in ((env, texts[0]), (other, texts[1])):
                    inner = one.scenario
                    step = inner.step

                    def listen(action: object, step: Any = step, heard: list[str] = heard) -> Any:
                        answer = step(action)
                        heard.append(answer[0]["text"])
                        return answer

                    inner.step = listen  # type: ignore[method-assign]
                a, _, ended, cut, _ = env.step(choice)
                b, _, *_ = other.step(choice)
                del env.scenario.step, other.scenario.step
                if texts[0] != texts[1] or ended or cut:
                    break
                assert np.array_equal(a, b)
                compared += 1
    assert compared > 20


def test_descriptors_hold_the_choice_and_the_reading_and_lie_within_bounds() -> None:
    env = DiscreteScenarioEnv(FAMILY)
    for observation, mask, *_ in walk(env, 100, "main"):
        assert env.observation_space.contains(observation)
        table = observation[GLOBAL:].reshape(-1, DESCRIPTOR)
        assert np.array_equal(table[:, OPEN] > 0, mask)


def test_static_descriptors_do_not_change_within_an_episode() -> None:
    env = DiscreteScenarioEnv(FAMILY)
    tables = [observation[GLOBAL:].reshape(-1, DESCRIPTOR)[:, :STATIC] for observation, *_ in walk(env, 100, "main")]
    assert all(np.array_equal(a, b) for a, b in pairwise(tables))


def test_without_truth_info_holds_no_ground_truth() -> None:
    for *_, info in walk(DiscreteScenarioEnv(FAMILY), 100, "main"):
        assert set(info) <= {"findings", "decision", "digest", "calls", "scenario_seed"}


def test_terms_of_a_choice_are_the_sums_over_its_calls() -> None:
    env = DiscreteScenarioEnv(FAMILY, truth=True, reward={"call": -1.0, "time": -0.5, "progress": 0.0})
    for number, (_, _, reward, info) in enumerate(walk(env, 100, "main")):
        if number:
            terms = info["reward_terms"]
            assert terms["call"] == len(info["calls"])
            assert reward == pytest.approx(-terms["call"] - 0.5 * terms["time"] + terms.get("completion", 0.0))
            assert all(isinstance(action, Action) for action in info["calls"])
