"""Steps per second of the vector env against the same episodes stepped one after the other, and of the discrete twin.

``python benchmarks/bench_vector.py [--envs 16] [--steps 300]``. The gate is the ratio of the two medians in one
process: at least 0.9. Absolute rates are for reading only.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from impress_env.discrete import DiscreteScenarioEnv
from impress_env.env import ScenarioEnv
from impress_env.scenario.load import listed
from impress_env.vector import ScenarioVectorEnv

CALL = {"tool": "files.list", "arguments": {}}
LEAST = 0.9
CHOSEN = ["sales_crm.side-terms-certification", "finance.hardship-queue"]  # families of the discrete row


def sequential(names: list[str], steps: int) -> float:
    """Return steps per second of one env after the other."""
    envs = [ScenarioEnv(name, truth=True) for name in names]
    for env in envs:
        env.reset(seed=100)
    start = time.perf_counter()
    for _ in range(steps):
        for env in envs:
            *_, terminated, truncated, _ = env.step(CALL)
            if terminated or truncated:
                env.reset(seed=100)
    return steps * len(envs) / (time.perf_counter() - start)


def together(names: list[str], steps: int) -> float:
    """Return steps per second of one vector of the same envs."""
    envs = ScenarioVectorEnv(len(names), names, truth=True, seeds="evaluation", autoreset_mode="Disabled")
    envs.reset(seed=[100] * len(names))
    actions = [CALL] * len(names)
    start = time.perf_counter()
    for _ in range(steps):
        *_, terminated, truncated, _ = envs.step(actions)
        over = terminated | truncated
        if over.any():
            envs.reset(seed=[100] * len(names), options={"reset_mask": over})
    return steps * len(names) / (time.perf_counter() - start)


def discrete(names: list[str], steps: int) -> float:
    """Return steps per second of discrete twins that choose at random."""
    env, rng = DiscreteScenarioEnv(names, seeds=[100, 103]), np.random.default_rng(0)
    for number in range(2):  # the first time through, instances and choices are built
        env.reset(seed=100)
        start = time.perf_counter()
        for _ in range(steps * (1 + 3 * number)):
            *_, terminated, truncated, _ = env.step(rng.choice(np.flatnonzero(env.action_masks())))
            if terminated or truncated:
                env.reset()
    return steps * 4 / (time.perf_counter() - start)


def main() -> None:
    """Print the rows and fail where the ratio is too low."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--envs", type=int, default=16)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    told = parser.parse_args()
    names = [list(listed())[i % len(listed())] for i in range(told.envs)]
    ways: dict[str, Callable[[list[str], int], float]] = {"sequential": sequential, "vector": together}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(told.rounds):  # in turn, so that what else the machine does falls on both
        for name, way in ways.items():
            rates[name].append(way(names, told.steps))
    for name, found in rates.items():
        print(f"{name:12} {statistics.median(found):10,.0f} steps/s")
    twins = discrete(["sales_crm.side-terms-certification", "finance.hardship-queue"], told.steps)
    print(f"{'discrete':12} {twins:10,.0f} steps/s")
    ratio = statistics.median(v / s for v, s in zip(rates["vector"], rates["sequential"], strict=True))
    print(f"vector / sequential {ratio:.2f}, at least {LEAST}")
    if ratio < LEAST:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
