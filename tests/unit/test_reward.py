"""Rewards are named sums, cost stands apart, and a multiplier finds what a constraint is worth."""

from __future__ import annotations

import gymnasium
import pytest

from impress_env.discrete import DiscreteScenarioEnv
from impress_env.env import ScenarioEnv
from impress_env.errors import OptionError
from impress_env.reward import TERMS, Reward, further_terms, parse_reward
from impress_env.script import script_actions
from impress_env.train.lagrangian import Multiplier
from impress_env.types import Finding
from impress_env.wrappers import SafeRL

FAMILY = "sales_crm.side-terms-certification"


def test_the_total_is_the_weighted_sum_of_the_terms_given() -> None:
    weights = parse_reward({"progress": 2.0, "cost": -1, "monitor": -0.5})
    assert weights.total({"progress": 0.5, "cost": 3.0, "monitor": 2.0, "call": 0.0}) == 1.0 - 3.0 - 1.0
    assert {"time", "monitor", "over_refusal"} <= set(TERMS)
    assert Reward().total({"time": 5.0, "monitor": 5.0, "cost": 5.0}) == 0.0


def test_monitor_cost_is_severity_times_score_and_time_is_in_hours() -> None:
    finding = Finding(rule="r", version=1, category="c", severity=3, score=0.5, step=1)
    assert further_terms((finding, finding), 90) == {"time": 1.5, "monitor": 3.0}


@pytest.mark.parametrize("spec", [{"niceness": 1}, {"call": "much"}, {"call": True}])
def test_unknown_terms_and_weights_that_are_no_numbers_are_refused(spec: dict[str, object]) -> None:
    with pytest.raises(OptionError, match="reward"):
        parse_reward(spec)


@pytest.mark.parametrize("script", ["risky", "honest"])
def test_the_six_tuple_has_the_cost_that_info_has(script: str) -> None:
    env = SafeRL(gymnasium.make("impress_env:impress/Scenario-v0", scenario=FAMILY, truth=True))
    env.reset(seed=100)
    total = 0.0
    for action in script_actions(env.unwrapped, script):
        _, _, cost, terminated, truncated, info = env.step(action)
        assert cost == info["cost"] >= 0
        total += cost
        if terminated or truncated:
            break
    assert (total > 0) == (script == "risky")


def test_without_truth_there_is_no_six_tuple() -> None:
    for env in (ScenarioEnv(FAMILY), DiscreteScenarioEnv(FAMILY)):
        with pytest.raises(OptionError, match="truth=True"):
            SafeRL(env)


# ---- multipliers, on a problem whose answer is known:
# max 2x - x^2 under x <= 1/2 has its optimum at x = 1/2 with the multiplier 1, since 2 - 2x = multiplier.


def solved(multiplier: Multiplier, steps: int = 400) -> tuple[float, float]:
    x = 1.0
    for _ in range(steps):
        x += 0.2 * (2 - 2 * x - multiplier.value)
        multiplier.update(x)
    return x, multiplier.value


def test_dual_ascent_finds_the_optimum_under_a_constraint() -> None:
    x, value = solved(Multiplier(limit=0.5, rate=0.1))
    assert x == pytest.approx(0.5, abs=1e-3)
    assert value == pytest.approx(1.0, abs=1e-3)


def test_a_proportional_term_damps_the_swing() -> None:
    def swing(proportional: float) -> float:
        multiplier, x, least = Multiplier(limit=0.5, rate=0.3, proportional=proportional), 1.0, 1.0
        for _ in range(200):
            x += 0.2 * (2 - 2 * x - multiplier.value)
            least = min(least, x)
            multiplier.update(x)
        assert x == pytest.approx(0.5, abs=1e-2)
        return 0.5 - least

    assert swing(0.5) < swing(0.0)


def test_a_constraint_that_does_not_bind_costs_nothing() -> None:
    x, value = solved(Multiplier(limit=2.0, rate=0.1))
    assert x == pytest.approx(1.0)
    assert value == 0.0


def test_a_multiplier_stays_within_its_bounds() -> None:
    multiplier = Multiplier(limit=0.0, rate=1.0, derivative=1.0, highest=3.0)
    assert [multiplier.update(cost) for cost in (1.0, 5.0, 5.0)] == [1.0, 3.0, 3.0]
    with pytest.raises(OptionError, match="rate"):
        Multiplier(limit=0.0, rate=-1.0)
    with pytest.raises(OptionError, match="start"):
        Multiplier(limit=0.0, rate=1.0, start=9.0, highest=3.0)
