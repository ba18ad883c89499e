"""The discrete twin: a scenario as a choice among numbered macro-actions, with a flat array to look at.

Promises: every choice is calls of the scenario itself, so that an episode's digests are those of the same calls made
directly; the numbers are dealt anew in each episode; a choice that names what has not been read yet is masked; the
observation is a function of the first observation, the choices and the observations since. Nothing of the oracle, the
family, the twin or a script is in it. Knows nothing of learners.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box, Discrete

from impress_env.clock import minutes
from impress_env.effects import KINDS
from impress_env.env import ScenarioEnv
from impress_env.errors import OptionError, WorldError
from impress_env.macro import Macro, macros, names_in
from impress_env.reader import ABOUT, PAIRS, TOOLS, WORDS, Reader, mark, place, told_of
from impress_env.reward import further_terms, parse_reward
from impress_env.scenario.instance import SEED_RANGES, Instance
from impress_env.scenario.load import instance as load_instance
from impress_env.tool import ROLES
from impress_env.types import Action, Observation

Floats = npt.NDArray[np.float32]
SLOTS: Final = 64
LONGEST: Final = 60  # minutes, steps: where such numbers reach 1
_ROLES: Final = ("", "message", *ROLES)
_TOOL, _ARGUMENTS = 12, 32
STATIC: Final = len(_ROLES) + len(KINDS) + 5 + _TOOL + _ARGUMENTS
DYNAMIC: Final = 7 + ABOUT
DESCRIPTOR: Final = STATIC + DYNAMIC
OPEN: Final = STATIC + 6  # where a descriptor says that the choice can be made now
GLOBAL: Final = 8 + len(KINDS) + TOOLS + STATIC + PAIRS + WORDS
_NOTHING: Final = "no such choice now"


class DiscreteScenarioEnv(gymnasium.Env[Floats, np.int64]):
    """One or several families as an environment of numbered choices.

    The observation is `GLOBAL` numbers about the episode, then `DESCRIPTOR` for each of `slots` choices.

    Args:
        scenario: Family id or path, or several; each episode draws one.
        twin: Twin, or several; likewise.
        seeds: The reserved range of seeds from which episodes are drawn, or the first and last seed.
        slots: How many choices there are; empty ones are masked.
        reward: Term -> weight; see `impress_env.reward.Reward`.
        truth: Whether `info` carries ground truth; see `ScenarioEnv`.
        kwargs: Further arguments of `ScenarioEnv`.

    Raises:
        OptionError: Any of these is unknown or out of range.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 4}

    def __init__(
        self,
        scenario: str | Sequence[str],
        *,
        twin: str | Sequence[str] = "main",
        seeds: str | Sequence[int] = "train",
        slots: int = SLOTS,
        reward: Mapping[str, Any] | None = None,
        truth: bool = False,
        render_mode: str | None = None,
        **kwargs: Any,
    ) -> None:
        names = [scenario] if isinstance(scenario, str) else list(scenario)
        self.twins = [twin] if isinstance(twin, str) else list(twin)
        if not names or not self.twins:
            raise OptionError("scenario, twin: expected at least one of each")
        if isinstance(slots, bool) or not isinstance(slots, int) or slots < 8:
            raise OptionError(f"slots: expected a whole number from 8, found {slots!r}")
        self.seeds = _range(seeds)
        self.envs = {name: ScenarioEnv(name, truth=True, render_mode=render_mode, **kwargs) for name in names}
        self.truth, self.weights, self.slots, self.render_mode = truth, parse_reward(reward), slots, render_mode
        self.action_space = Discrete(slots)
        self.observation_space = Box(-1.0, 1.0, (GLOBAL + slots * DESCRIPTOR,), np.float32)
        self._sets: dict[tuple[str, int], tuple[tuple[Macro, ...], Floats]] = {}
        self._env: ScenarioEnv | None = None
        self._macros: tuple[Macro, ...] = ()
        self._order: list[int] = []  # slot -> macro
        self._reader: Reader
        self._results: dict[str, str | None] = {}

    def reset(
        self, *, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:
        """Start an episode.

        Args:
            seed: The instance's seed, and what the numbers are dealt from; None draws one.
            options: `scenario` and `twin` in place of drawn ones, and others as `ScenarioEnv.reset`.

        Raises:
            OptionError: An unknown option or value, or a seed out of range.
        """
        super().reset(seed=seed)
        options = dict(options or {})
        rng = self.np_random
        name = options.pop("scenario", None) or list(self.envs)[int(rng.integers(len(self.envs)))]
        twin = options.pop("twin", None) or self.twins[int(rng.integers(len(self.twins)))]
        if name not in self.envs:
            raise OptionError(f"reset: no scenario {name!r} here; there are {', '.join(self.envs)}")
        if seed is None:
            seed = int(rng.integers(self.seeds[0], self.seeds[1] + 1))
        self._env = self.envs[name]
        first, info = self._env.reset(seed=seed, options={**options, "twin": twin})
        self._macros, static = self._set(name, self._env.instance)
        order = rng.permutation(self.slots)  # an empty slot may be any
        self._order = [int(macro) if macro < len(self._macros) else -1 for macro in order]
        at = [slot for slot, macro in enumerate(self._order) if macro >= 0]
        of = [self._order[slot] for slot in at]
        self._slot_of = {macro: slot for slot, macro in zip(at, of, strict=True)}
        self._names = {name for macro in self._macros for name in macro.names}
        self._users: dict[str, list[int]] = {}
        for number, macro in enumerate(self._macros):
            for one in macro.names:
                self._users.setdefault(one, []).append(number)
        self._table: Floats = np.zeros((self.slots, DESCRIPTOR), dtype=np.float32)
        self._table[at, :STATIC] = static[of]
        self._reader = Reader(self._names, first)
        self._results = {}
        self._taken = np.zeros(len(self._macros), dtype=np.int64)
        self._when = np.full(len(self._macros), -1, dtype=np.int64)
        self._refused = np.zeros(len(self._macros), dtype=np.bool_)
        self._kinds: Floats = np.zeros(len(KINDS), dtype=np.float32)
        self._last: Floats = np.zeros(STATIC, dtype=np.float32)
        self._start = self._now = minutes(first["time"])
        self._choices = 0
        for action, observation in first.get("prefix", ()):
            self._take_in(action, observation)
        self._reader.changed = set(self._names)
        self._waiting = [number for number, macro in enumerate(self._macros) if not macro.reads]
        self._ready = np.array([macro.reads for macro in self._macros], dtype=np.bool_)
        self._needy = [n for n, macro in enumerate(self._macros) if any(call.needs for call in macro.calls)]
        self._slots = np.array([self._slot_of[number] for number in range(len(self._macros))])
        self._unlock()
        return self._observe(), self._told(info) | {"scenario_seed": seed}

    def step(self, action: Any) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Make the calls of a choice, one after the other, up to one that is refused or ends the episode.

        A choice that is masked is answered as a call that cannot be read: it costs a step and changes nothing.

        Raises:
            ToolkitError: A toolkit's own code failed.
            WorldError: `reset` was not called.
        """
        if self._env is None:
            raise WorldError("no episode yet; call reset() first")
        self._choices += 1
        number = self._order[int(action)] if 0 <= int(action) < self.slots else -1
        macro = self._macros[number] if number >= 0 and self._open[number] else None
        actions: list[tuple[str, Action]] = []
        if macro is not None:
            actions = [(call.key, made) for call in macro.calls if (made := call.action(self._results)) is not None]
        if not actions:
            actions = [("", Action(malformed=_NOTHING))]
        terms: dict[str, float] = {}
        cost = 0.0
        parts: dict[str, float] = {}
        refused = False
        done: list[Action] = []
        for key, made in actions:
            done.append(made)
            observation, _, terminated, truncated, info = self._env.step(made)
            now = minutes(observation["time"])
            told = info.get("reward_terms", {}) | further_terms(info["findings"], now - self._now)
            self._now = now
            for name, value in told.items():
                terms[name] = terms.get(name, 0.0) + value
            cost += info["cost"]
            for name, value in info.items():
                if name.startswith("cost_") and name != "cost_sum":
                    parts[name] = parts.get(name, 0.0) + value
            self._take_in(made, observation)
            if key:
                self._results[key] = observation["result"]
            refused = observation["error"] is not None
            if terminated or truncated or refused:
                break
        self._unlock()
        if macro is not None:
            self._taken[number] += 1
            self._when[number] = self._choices
            self._refused[number] = refused
            self._last = self._table[self._slot_of[number], :STATIC].copy()
            if not refused:
                for kind in macro.kinds:
                    self._kinds[KINDS.index(kind)] += 0.125
        info = info | {"cost": cost, **parts, "reward_terms": terms, "calls": tuple(done)}
        return self._observe(), self.weights.total(terms), terminated, truncated, self._told(info)

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """Return which choices can be made now, one entry a slot."""
        found = np.zeros(self.slots, dtype=np.bool_)
        found[self._slots] = self._open
        return found

    def choices(self) -> dict[int, Macro]:
        """Return slot -> macro-action of this episode, for people and tests."""
        return {self._slot_of[number]: macro for number, macro in enumerate(self._macros)}

    @property
    def scenario(self) -> ScenarioEnv:
        """The scenario that is being stepped: ground truth, not for agents.

        Raises:
            WorldError: `reset` was not called.
        """
        if self._env is None:
            raise WorldError("no episode yet; call reset() first")
        return self._env

    def render(self) -> str | None:
        """Return the last observation as text, or None without a render mode."""
        return None if self._env is None or self.render_mode is None else self._env.render()

    # ---- inside

    def _unlock(self) -> None:
        """Find what can be done now: what it would write about was named somewhere, and the results it needs are there.

        What was named stays named; results change.
        """
        unseen = self._reader.unseen
        still = [number for number in self._waiting if not unseen.isdisjoint(self._macros[number].names)]
        if len(still) < len(self._waiting):
            self._ready[:] = True
            self._ready[still] = False
            self._waiting = still
        self._open = self._ready.copy()
        for number in self._needy:
            calls = self._macros[number].calls
            self._open[number] &= all(call.action(self._results) is not None for call in calls)

    def _take_in(self, action: Action, observation: Observation) -> None:
        call = action.call
        if call is None:
            self._reader.read("", (), observation)
        else:
            names = [name for name in names_in(call.arguments) if name in self._names]
            self._reader.read(call.tool, names, observation)

    def _told(self, info: dict[str, Any]) -> dict[str, Any]:
        """What of `info` is passed on; the seed stands in `scenario_seed`, since learners read `seed` as theirs."""
        keep = ("findings", "decision", "digest", "calls")
        return {name: value for name, value in info.items() if name != "seed" and (self.truth or name in keep)}

    def _set(self, name: str, instance: Instance) -> tuple[tuple[Macro, ...], Floats]:
        key = (name, instance.seed)
        known = self._sets.get(key)
        if known is None:
            found = macros(instance, load_instance(name, "main", instance.seed), limit=self.slots)
            if len(self._sets) >= 4096:
                self._sets.clear()
            known = self._sets[key] = (found, np.stack([_static(macro) for macro in found]))
        return known

    def _observe(self) -> Floats:
        reader, table = self._reader, self._table
        for number in {number for name in reader.changed for number in self._users.get(name, ())}:
            macro = self._macros[number]
            row = table[self._slot_of[number], STATIC:]
            count = max(1, len(macro.names))
            row[0] = sum(name in reader.in_task for name in macro.names) / count
            row[1] = 1.0 - sum(name in reader.unseen for name in macro.names) / count
            for name in macro.names:
                told = reader.about.get(name)
                if told is not None:
                    np.maximum(row[7:], told, out=row[7:])
        reader.changed.clear()
        slots = self._slots
        at = table[slots, STATIC : STATIC + 7]
        at[:, 2] = self._taken > 0
        at[:, 3] = np.minimum(self._taken / 4, 1.0)
        at[:, 4] = np.where(self._when >= 0, np.exp(-(self._choices - self._when) / 4.0), 0.0)
        at[:, 5] = self._refused
        at[:, 6] = self._open
        table[slots, STATIC : STATIC + 7] = at
        found = np.concatenate((self._global(), table.ravel()))
        return np.clip(found, -1.0, 1.0, out=found)

    def _global(self) -> Floats:
        reader = self._reader
        numbers = (
            self._choices / LONGEST,
            reader.steps / LONGEST,
            np.log1p(self._now - self._start) / 8,
            (self._now % 1440) / 1440,
            reader.errors / 10,
            reader.notices / 10,
            float(np.mean(self._taken > 0)),
            len(reader.unseen) / max(1, len(self._names)),
        )
        scalars = np.array(numbers, dtype=np.float32)
        found: Floats = np.concatenate((scalars, self._kinds, reader.tools, self._last, reader.pairs, reader.words))
        return found


def _static(macro: Macro) -> Floats:
    """What a choice is, whatever was read."""
    at = 0
    found = np.zeros(STATIC, dtype=np.float32)
    found[_ROLES.index(macro.role)] = 1.0
    at += len(_ROLES)
    for kind in macro.kinds:
        found[at + KINDS.index(kind)] = 1.0
    at += len(KINDS)
    found[at : at + 5] = (
        macro.reads,
        len(macro.calls) / 6,
        np.log1p(macro.minutes) / 8,
        any("@" in name for name in macro.names),
        any(call.needs for call in macro.calls),
    )
    at += 5
    found[at : at + _TOOL] = mark(macro.tool, _TOOL)
    at += _TOOL
    tokens = dict.fromkeys(token for call in macro.calls for token in told_of(call.arguments))
    for token in tokens:
        found[at + place(token, _ARGUMENTS)] = 1.0
    return found


def _range(seeds: str | Sequence[int]) -> tuple[int, int]:
    if isinstance(seeds, str):
        if seeds not in SEED_RANGES:
            raise OptionError(f"seeds: expected one of {', '.join(SEED_RANGES)}, found {seeds!r}")
        return SEED_RANGES[seeds]
    low, high = (int(seed) for seed in seeds)
    if not 0 <= low <= high:
        raise OptionError(f"seeds: expected the first and the last seed, found {seeds!r}")
    return low, high
