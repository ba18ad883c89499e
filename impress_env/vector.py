"""Many episodes stepped together, in one process: Gymnasium's vector interface over scenarios.

Families, twins and seeds may differ from env to env; instances are shared, so an env more costs about 20 kB. Texts and
calls are no arrays: observations and actions are tuples, one entry an env, and `messages` has every episode as a chat
model is shown it, ready for a batched model. Knows nothing of agents, models or runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Tuple
from gymnasium.vector import AutoresetMode, VectorEnv

from impress_env.action import parse_action
from impress_env.env import ScenarioEnv, as_messages
from impress_env.errors import OptionError, WorldError
from impress_env.rng import stream
from impress_env.scenario.instance import SEED_RANGES
from impress_env.types import Action, Message, Observation

MODES: Final = (AutoresetMode.SAME_STEP, AutoresetMode.DISABLED)
_PER_ENV: Final = ("twin", "framing", "start")


class ScenarioVectorEnv(VectorEnv[Any, Any, Any]):
    """`num_envs` scenarios, stepped one after the other in this process.

    Args:
        num_envs: How many.
        scenario: Family id or path for all, or one for each env; fewer than `num_envs` are gone through in turn.
        twin: Likewise.
        group: Members of a group of this many envs in a row start in the same world: `reset(seed=s)` gives env i the
            seed s + i // group, and without a seed a group draws one together. Equal calls have equal results in it.
        autoreset_mode: "SameStep": an env that ends is reset in the same step, and its last observation and info stand
            in `infos["final_obs"]` and `infos["final_info"]`. "Disabled": it waits for `reset` with a mask. Gymnasium's
            next-step mode is not offered, since it throws an action away, and an action here may be a model's answer.
        max_episode_steps: Another limit of steps than the families' own.
        kwargs: As `ScenarioEnv`.

    Raises:
        OptionError: Any of these is unknown or out of range.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi", "rich"]}

    def __init__(
        self,
        num_envs: int = 1,
        scenario: str | Sequence[str] = (),
        *,
        twin: str | Sequence[str] = "main",
        group: int = 1,
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        max_episode_steps: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if isinstance(num_envs, bool) or not isinstance(num_envs, int) or num_envs < 1:
            raise OptionError(f"num_envs: expected a whole number from 1, found {num_envs!r}")
        if isinstance(group, bool) or not isinstance(group, int) or group < 1 or num_envs % group:
            raise OptionError(f"group: expected a whole number that divides num_envs={num_envs}, found {group!r}")
        mode = next((mode for mode in MODES if autoreset_mode in (mode, mode.value)), None)
        if mode is None:
            told = " or ".join(repr(mode.value) for mode in MODES)
            raise OptionError(f"autoreset_mode: expected {told}, found {autoreset_mode!r}")
        names = [scenario] if isinstance(scenario, str) else list(scenario)
        twins = [twin] if isinstance(twin, str) else list(twin)
        if not names or not twins:
            raise OptionError("scenario, twin: expected at least one of each")
        if max_episode_steps is not None:
            kwargs["max_calls"] = max_episode_steps
        blocks = [i // group for i in range(num_envs)]
        self.envs = [
            ScenarioEnv(names[block % len(names)], twin=twins[block % len(twins)], **kwargs) for block in blocks
        ]
        self.num_envs, self.group = num_envs, group
        self.metadata = {**self.metadata, "autoreset_mode": mode}
        self.render_mode = self.envs[0].render_mode
        self.single_observation_space = self.envs[0].observation_space
        self.single_action_space = self.envs[0].action_space
        self.observation_space = Tuple([env.observation_space for env in self.envs])
        self.action_space = Tuple([env.action_space for env in self.envs])
        self._mode = mode
        self._first: list[Observation | None] = [None] * num_envs
        self._history: list[list[tuple[Action, Observation]]] = [[] for _ in range(num_envs)]
        self._done: npt.NDArray[np.bool_] = np.zeros(num_envs, dtype=np.bool_)
        self._range = SEED_RANGES[kwargs.get("seeds", "evaluation")]
        self._base, self._episodes = 0, [0] * num_envs  # of groups: where their seeds come from

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[tuple[Observation, ...], dict[str, Any]]:
        """Start episodes, of all envs or of those in `reset_mask`.

        Args:
            seed: The first env's (or group's) seed, the next has the next; or one for each env; None draws them.
            options: `reset_mask` (a bool array, one entry an env), and as `ScenarioEnv.reset`, each a value for all or
                a list with one for each env.

        Returns:
            Observations (of envs that were not reset, their last), infos.

        Raises:
            OptionError: An option or value that is unknown, of another length, or out of range.
        """
        options = dict(options or {})
        whole = "reset_mask" not in options
        mask = self._mask(options.pop("reset_mask", None))
        if whole:
            self._base = int(self.np_random.integers(2**31)) if seed is None else _first_of(seed)
            self._episodes = [0] * self.num_envs
        seeds = self._seeds(seed, mask)
        told = {name: self._each(name, options.pop(name)) for name in _PER_ENV if name in options}
        if options:
            raise OptionError(f"reset: unknown options {sorted(options)}; known: reset_mask, {', '.join(_PER_ENV)}")
        infos: dict[str, Any] = {}
        for i in np.flatnonzero(mask):
            info = self._begin(int(i), seeds[i], {name: values[i] for name, values in told.items()})
            infos = self._add_info(infos, info, int(i))
        self._done[mask] = False
        return self._observations(), infos

    def step(
        self, actions: Sequence[Any]
    ) -> tuple[
        tuple[Observation, ...], npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.bool_], dict[str, Any]
    ]:
        """Step all envs, each with its action.

        In mode "Disabled" an env that has ended takes None; it is left as it is, with reward 0 and no info.

        Returns:
            observations, rewards, terminations, truncations (arrays of one entry an env), infos.

        Raises:
            OptionError: There are more or fewer actions than envs.
            ToolkitError: A toolkit's own code failed.
            WorldError: `reset` was not called, or an env that has ended is given an action.
        """
        if len(actions) != self.num_envs:
            raise OptionError(f"step: expected {self.num_envs} actions, one an env, found {len(actions)}")
        rewards = np.zeros(self.num_envs, dtype=np.float64)
        terminations, truncations = np.zeros_like(self._done), np.zeros_like(self._done)
        infos: dict[str, Any] = {}
        for i, (env, action) in enumerate(zip(self.envs, actions, strict=True)):
            if self._done[i]:
                if action is not None:
                    raise WorldError(f"step: env {i} has ended; reset it with reset_mask, or give it None")
                continue
            parsed = parse_action(action)
            observation, rewards[i], terminations[i], truncations[i], info = env.step(parsed)
            self._history[i].append((parsed, observation))
            if terminations[i] or truncations[i]:
                if self._mode is AutoresetMode.SAME_STEP:
                    infos = self._add_info(infos, {"final_obs": observation, "final_info": info}, i)
                    info = self._begin(i, self._next_seed(i), {})
                else:
                    self._done[i] = True
            infos = self._add_info(infos, info, i)
        return self._observations(), rewards, terminations, truncations, infos

    def messages(self) -> list[list[Message]]:
        """Return every episode so far as a chat model is shown it, one list an env."""
        return [
            as_messages(first, history)
            for first, history in zip(self._first, self._history, strict=True)
            if first is not None
        ]

    def render(self) -> tuple[Any, ...] | None:
        """Return every env's last observation as text, or None without a render mode."""
        return None if self.render_mode is None else tuple(env.render() for env in self.envs)

    # ---- inside

    def _begin(self, i: int, seed: int | None, options: Mapping[str, Any]) -> dict[str, Any]:
        first, info = self.envs[i].reset(seed=seed, options=options)
        self._first[i], self._history[i] = first, []
        return info

    def _observations(self) -> tuple[Observation, ...]:
        found = []
        for first, history in zip(self._first, self._history, strict=True):
            last = history[-1][1] if history else first
            if last is None:
                raise WorldError("no episode yet in some env; call reset() without a mask first")
            found.append(last)
        return tuple(found)

    def _mask(self, mask: Any) -> npt.NDArray[np.bool_]:
        if mask is None:
            return np.ones(self.num_envs, dtype=np.bool_)
        found = np.asarray(mask)
        if found.dtype != np.bool_ or found.shape != (self.num_envs,) or not found.any():
            raise OptionError(
                f"reset_mask: expected {self.num_envs} booleans, one of them true, found {found.dtype} {found.shape}"
            )
        return found

    def _seeds(self, seed: int | Sequence[int | None] | None, mask: npt.NDArray[np.bool_]) -> list[int | None]:
        if seed is None:
            return [self._next_seed(i) if mask[i] else None for i in range(self.num_envs)]
        if isinstance(seed, int):
            return [seed + i // self.group for i in range(self.num_envs)]
        if len(seed) != self.num_envs:
            raise OptionError(f"seed: expected {self.num_envs} of them, one an env, found {len(seed)}")
        return list(seed)

    def _next_seed(self, i: int) -> int | None:
        """The seed of an env's next episode: drawn by the env itself, or, in a group, the same for all its members."""
        if self.group == 1:
            return None
        self._episodes[i] += 1
        return stream(self._base, "group", str(i // self.group), str(self._episodes[i])).randrange(
            self._range[0], self._range[1] + 1
        )

    def _each(self, name: str, value: Any) -> list[Any]:
        if not isinstance(value, list | tuple):
            return [value] * self.num_envs
        if len(value) != self.num_envs:
            raise OptionError(f"{name}: expected {self.num_envs} values, one an env, found {len(value)}")
        return list(value)


def _first_of(seed: int | Sequence[int | None]) -> int:
    if isinstance(seed, int):
        return seed
    return next((one for one in seed if one is not None), 0)
