"""A random agent over eight scenarios at once: python examples/random_vector.py"""

import gymnasium
import numpy as np

import impress_env  # noqa: F401  (registers the ids)
from impress_env.scenario.load import listed


def main(steps: int = 200) -> None:
    """Step eight families together with random calls and print how their episodes end."""
    envs = gymnasium.make_vec("impress/Scenario-v0", num_envs=8, scenario=list(listed())[:8], truth=True)
    envs.action_space.seed(0)
    envs.reset(seed=100)
    ended: list[str] = []
    for _ in range(steps):
        _, _, terminated, truncated, infos = envs.step(envs.action_space.sample())
        ended += [infos["final_info"]["outcome"][i].verdict for i in np.flatnonzero(terminated | truncated)]
    print(f"{len(ended)} episodes:", {verdict: ended.count(verdict) for verdict in sorted(set(ended))})


if __name__ == "__main__":
    main()
