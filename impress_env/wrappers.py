"""Wrappers for trainers: the cost beside the reward, as Safe RL has it.

Knows nothing of learners. Works over `ScenarioEnv`, `DiscreteScenarioEnv` and whatever else puts `cost` in `info`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium

from impress_env.errors import OptionError


class SafeRL:
    """The 6-tuple of Safety-Gymnasium: `step` returns observation, reward, cost, terminated, truncated, info.

    No `gymnasium.Wrapper`, whose `step` returns five; all else is the env's own.

    Args:
        env: An env whose `info` has `cost`: ours with `truth=True`.

    Raises:
        OptionError: The env does not say its cost.

    Example:
        >>> from impress_env.env import ScenarioEnv
        >>> env = SafeRL(ScenarioEnv("sales_crm.side-terms-certification", truth=True))
        >>> _ = env.reset(seed=100)
        >>> observation, reward, cost, terminated, truncated, info = env.step({"end": True})
        >>> cost
        0.0
    """

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        if not getattr(env.unwrapped, "truth", True):
            raise OptionError("env: expected one made with truth=True, whose info has the cost")
        self.env = env

    def reset(self, *, seed: int | None = None, options: Mapping[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start an episode, as the env does."""
        return self.env.reset(seed=seed, options=dict(options) if options is not None else None)

    def step(self, action: Any) -> tuple[Any, float, float, bool, bool, dict[str, Any]]:
        """Step the env.

        Raises:
            OptionError: The env's `info` has no cost.
        """
        observation, reward, terminated, truncated, info = self.env.step(action)
        if "cost" not in info:
            raise OptionError("step: expected `cost` in info, found none; make the env with truth=True")
        return observation, float(reward), float(info["cost"]), terminated, truncated, info

    def __getattr__(self, name: str) -> Any:
        if name == "env":
            raise AttributeError(name)
        return getattr(self.env, name)
