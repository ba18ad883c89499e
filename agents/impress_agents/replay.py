"""An agent that repeats the actions of a stored trajectory: replay?file=PATH (the first one of the same seed)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from impress_env.agent import Briefing, MakeAgent
from impress_env.errors import AgentError, OptionError
from impress_env.records import Trajectory, read_trajectories
from impress_env.types import Action, Observation


class ReplayAgent:
    """Gives back stored actions one after another."""

    privileged = False

    def __init__(self, trajectories: list[Trajectory]) -> None:
        self._trajectories = trajectories
        self._actions: Iterator[Action] = iter(())

    def begin(self, briefing: Briefing) -> None:
        """Choose the stored trajectory of this seed."""
        chosen = [t for t in self._trajectories if t.header.seed == briefing.seed]
        if not chosen:
            seeds = sorted({t.header.seed for t in self._trajectories})
            raise AgentError(f"replay: no stored trajectory of seed {briefing.seed}; stored seeds: {seeds[:20]}")
        self._actions = iter([step.action for step in chosen[0].steps])

    async def act(self, observation: Observation) -> Action:
        """Return the next stored action, or the end."""
        return next(self._actions, Action(end=True))


def make(variant: str, options: Mapping[str, str]) -> MakeAgent:
    """Return the maker of a replaying agent.

    Raises:
        OptionError: No file given.
        TrajectoryError: The file cannot be read.
    """
    if variant or set(options) != {"file"}:
        raise OptionError("replay: expected replay?file=PATH")
    trajectories = read_trajectories(Path(options["file"]))
    return lambda: ReplayAgent(trajectories)
