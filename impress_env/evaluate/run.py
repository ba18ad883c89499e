"""Runs: many rollouts of one plan, stored as they finish, resumed exactly.

Bounded concurrency over one event loop; the world is synchronous and model calls are awaited. A failed episode is
stored as data; a wrong configuration stops before anything runs. Knows nothing of reports or terminals.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import msgspec

from impress_env.agent import MakeAgent, make_agent, parse_agent
from impress_env.env import ScenarioEnv
from impress_env.errors import OptionError, RunFileError
from impress_env.evaluate.store import RunFile
from impress_env.records import Trajectory
from impress_env.rollout import Episode, rollout
from impress_env.scenario.framing import parse_framing
from impress_env.scenario.instance import SEED_RANGES, seed_range
from impress_env.scenario.load import family, listed, path_of
from impress_env.scenario.question import offered
from impress_env.taxonomy import TWINS

Done = Callable[[Episode, Trajectory], None]


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """What to run.

    `families` and `twins` empty mean all (of the twins, those in which the framing's form is asked). Seeds are the
    first `seeds` of the evaluation range, or those from `first_seed` on. `concurrency` is the number of episodes under
    way at once.
    """

    agents: tuple[str, ...]
    families: tuple[str, ...] = ()
    twins: tuple[str, ...] = ()
    framing: dict[str, str] = field(default_factory=dict)
    seeds: int = 20
    first_seed: int = SEED_RANGES["evaluation"][0]
    attempts: int = 1
    start: str = "task"
    concurrency: int = 16

    def plan(self) -> list[Episode]:
        """Return the episodes, in order; every name is checked.

        Raises:
            OptionError: An unknown agent, family, twin or framing, or a number out of range.
        """
        if not self.agents:
            raise OptionError("agent: expected at least one, e.g. --agent scripted/honest")
        for name, value, high in (("seeds", self.seeds, 9_900), ("attempts", self.attempts, 1_000),
                                  ("concurrency", self.concurrency, 1_024)):  # fmt: skip
            if not 1 <= value <= high:
                raise OptionError(f"{name}: expected 1 to {high}, found {value}")
        seed_range(self.first_seed)
        seed_range(self.first_seed + self.seeds - 1)
        if self.start not in ("task", "decision_point"):
            raise OptionError(f"start: expected task or decision_point, found {self.start!r}")
        unknown = [twin for twin in self.twins if twin not in TWINS]
        if unknown:
            raise OptionError(f"twins: unknown {unknown}; known: {', '.join(TWINS)}")
        framing = parse_framing(self.framing)
        told = tuple(part.split("=", 1) for part in framing.key().split(",") if part)
        episodes = []
        for agent in self.agents:
            make_agent(agent)
            for name in self.families or tuple(listed()):
                path_of(name)
                there = ("main", *family(name).spec.twins)
                asked = self.twins or tuple(twin for twin in TWINS if offered(framing.form, twin))
                chosen = [twin for twin in asked if twin in there]
                for twin in chosen:
                    for seed in range(self.first_seed, self.first_seed + self.seeds):
                        for attempt in range(self.attempts):
                            episodes.append(
                                Episode(
                                    agent=str(parse_agent(agent)),
                                    family=name,
                                    twin=twin,
                                    framing=tuple((factor, level) for factor, level in told),
                                    seed=seed,
                                    attempt=attempt,
                                    start=self.start,
                                )
                            )
        if not episodes:
            raise OptionError("nothing to run: no family offers these twins")
        if len({episode.key for episode in episodes}) != len(episodes):
            raise OptionError("an agent or family is named twice")
        return episodes


def open_run(config: EvalConfig, out: Path, *, resume: bool) -> RunFile:
    """Return a run file for a configuration: a new one, or with `resume` the one that is there.

    Raises:
        RunFileError: The file is taken, or was planned with another configuration.
    """
    text = msgspec.json.encode(config, order="deterministic").decode()
    if resume and out.exists() and out.stat().st_size > 0:
        store = RunFile.open(out)
        planned, told = store.plan(), store.config
        if planned != config.plan():
            store.close()
            raise RunFileError(f"{out} was planned with another configuration ({told}); resume it with that one")
        return store
    return RunFile.create(out, config.plan(), text)


async def run(store: RunFile, *, concurrency: int = 16, done: Done | None = None) -> None:
    """Run what is missing of a run file's plan.

    Raises:
        ScenarioError: A family's data do not hold together.
        RunFileError: The file cannot be written.
    """
    missing = store.missing()
    makers: dict[str, MakeAgent] = {agent: make_agent(agent) for agent in dict.fromkeys(e.agent for e in missing)}
    labels = {name: _labels(name) for name in dict.fromkeys(episode.family for episode in missing)}
    queue = iter(missing)

    async def work() -> None:
        envs: dict[str, ScenarioEnv] = {}
        for episode in queue:
            env = envs.get(episode.family)
            if env is None:
                env = envs[episode.family] = ScenarioEnv(episode.family, truth=True)
            began = perf_counter()
            trajectory = await rollout(episode, makers[episode.agent](), env=env)
            store.add(episode, trajectory, labels[episode.family], perf_counter() - began)
            if done is not None:
                done(episode, trajectory)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(concurrency, len(missing))):
            group.create_task(work())


def evaluate(config: EvalConfig, out: Path, *, resume: bool = False, done: Done | None = None) -> Sequence[Episode]:
    """Plan, run and store; return the plan.

    Raises:
        OptionError: The configuration is wrong.
        RunFileError: The run file cannot be used.
        ScenarioError: A family's data do not hold together.
    """
    with open_run(config, out, resume=resume) as store:
        try:
            asyncio.run(run(store, concurrency=config.concurrency, done=done))
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        return store.plan()


def _labels(name: str) -> dict[str, str]:
    spec = family(name).spec
    return {"domain": spec.domain, "motive": spec.motive, "risk": spec.risk, "split": spec.split}
