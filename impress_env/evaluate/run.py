"""Runs: many rollouts of one plan, stored as they finish, resumed exactly.

Bounded concurrency over one event loop; the world is synchronous and model calls are awaited. A failed episode is
stored as data; a wrong configuration stops before anything runs; what no episode could go on with (a key, a server, a
budget) stops the run, which can be resumed. Knows nothing of reports or terminals.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import msgspec

from impress_env.agent import (
    AgentSpec,
    MakeAgent,
    ModelOptions,
    make_agent,
    model_options,
    parse_agent,
    provider_of,
)
from impress_env.env import ScenarioEnv
from impress_env.errors import OptionError, RunFileError, RunStopped
from impress_env.evaluate.completions import Recorded
from impress_env.evaluate.store import RunFile, Spending
from impress_env.model import Gauges, Model, ModelError, Spent, Tell
from impress_env.models.prices import Price, parse_price, price_of
from impress_env.models.wrappers import Budget, Budgeted, Limited, Limiter, Patience, Retrying
from impress_env.monitor import make_analyzer
from impress_env.records import Trajectory
from impress_env.rollout import Episode, rollout
from impress_env.scenario.framing import parse_framing
from impress_env.scenario.instance import SEED_RANGES, seed_range
from impress_env.scenario.load import family, listed, path_of
from impress_env.scenario.question import offered
from impress_env.taxonomy import TWINS
from impress_env.types import Gate

Done = Callable[[Episode, Trajectory], None]
MOST: Final = 1_024  # episodes under way at once
AT_ONCE: Final = 16  # where nothing is said
FOLLOWED: Final = 512  # the most where a server's own metrics are followed
_LOOK: Final = 2.0  # seconds between two looks at a server's metrics
_FIRST_FAILURES: Final = 3  # episodes whose first request is refused, before a run stops


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """What to run.

    `families` and `twins` empty mean all (of the twins, those in which the framing's form is asked). Seeds are the
    first `seeds` of the evaluation range, or those from `first_seed` on. `system_extra` is text that agents around a
    model add to the system text. `analyzer` is the gate: an installed analyzer, or name/mode, "" for none; `protocol`
    has further fields of its policy.
    """

    agents: tuple[str, ...]
    families: tuple[str, ...] = ()
    twins: tuple[str, ...] = ()
    framing: dict[str, str] = field(default_factory=dict)
    seeds: int = 20
    first_seed: int = SEED_RANGES["evaluation"][0]
    attempts: int = 1
    start: str = "task"
    system_extra: str = ""
    analyzer: str = ""
    protocol: dict[str, Any] = field(default_factory=dict)

    def gate(self) -> Gate | None:
        """Return a fresh gate, or None.

        Raises:
            OptionError, PluginError: As `impress_env.monitor.make_analyzer`.
        """
        return make_analyzer(self.analyzer, self.protocol) if self.analyzer else None

    def plan(self) -> list[Episode]:
        """Return the episodes, in order; every name is checked.

        Raises:
            OptionError: An unknown agent, family, twin or framing, or a number out of range.
        """
        self.gate()
        if not self.agents:
            raise OptionError("agent: expected at least one, e.g. --agent scripted/honest")
        for name, value, high in (("seeds", self.seeds, 9_900), ("attempts", self.attempts, 1_000)):
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


@dataclass(frozen=True, kw_only=True)
class Means:
    """How to run it: nothing here changes what is measured.

    `concurrency` is the number of episodes under way at once; None means 16, or, with a model whose server tells its
    load, as many as keep it busy. The caps are of the whole run, resumed parts included for tokens and money, and of
    this sitting for `max_seconds`. `model_options` are given to the providers beside what the agents' names say.
    """

    concurrency: int | None = None
    max_tokens: int | None = None
    max_usd: float | None = None
    max_seconds: float | None = None
    patience: Patience = field(default_factory=Patience)
    model_options: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.concurrency is not None and not 1 <= self.concurrency <= MOST:
            raise OptionError(f"concurrency: expected 1 to {MOST}, found {self.concurrency}")


@dataclass
class Progress:
    """What a run tells while it runs; read it, do not write it.

    under_way: episodes now. at_once: how many may be. spent: what model calls took, earlier sittings included.
    gauges: model -> the last metrics of its server.
    """

    under_way: int = 0
    at_once: int = 0
    spent: Spending | None = None
    gauges: dict[str, Gauges] = field(default_factory=dict)


class Ready(msgspec.Struct, kw_only=True):
    """A model ready to be used in a run."""

    base: Model
    model: Model
    limiter: Limiter
    price: Price | None
    refused: int = 0  # episodes whose first request was a bad one
    worked: int = 0


class Stopping:
    """Why a run stops, once it does. `starting` is true while models start and no call is under way."""

    def __init__(self) -> None:
        self.why: ModelError | None = None
        self.interrupted = self.starting = False
        self._stopped = asyncio.Event()

    def stop(self, why: ModelError | None = None) -> None:
        """Stop, for a reason or, without one, by an interruption; the first holds."""
        if not self:
            self.why, self.interrupted = why, why is None
        self._stopped.set()

    def now(self) -> ModelError | None:
        """Return the error with which further calls are refused, or None."""
        return ModelError("budget", "the run is stopping", spent=Spent(requests=0)) if self else None

    async def sleep(self, seconds: float) -> None:
        """Sleep; to wait for an endpoint is no call under way, and ends where the run stops.

        Raises:
            ModelError: The run stops.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopped.wait()
        stop = self.now()
        if stop is not None:
            raise stop

    def __bool__(self) -> bool:
        return self.interrupted or self.why is not None


def open_run(config: EvalConfig, out: Path, *, resume: bool) -> RunFile:
    """Return a run file for a configuration: a new one, or with `resume` the one that is there.

    Raises:
        RunFileError: The file is taken, or was planned with another configuration.
    """
    text = msgspec.json.encode(config, order="deterministic").decode()
    if resume and out.exists() and out.stat().st_size > 0:
        store = RunFile.open(out)
        planned, told = store.plan(), store.config
        before = msgspec.json.decode(told, type=EvalConfig)
        same = all(getattr(before, name) == getattr(config, name) for name in ("system_extra", "analyzer", "protocol"))
        if planned != config.plan() or not same:
            store.close()
            raise RunFileError(f"{out} was planned with another configuration ({told}); resume it with that one")
        return store
    return RunFile.create(out, config.plan(), text)


async def run(
    store: RunFile,
    *,
    means: Means | None = None,
    done: Done | None = None,
    tell: Tell | None = None,
    progress: Progress | None = None,
    stopping: Stopping | None = None,
) -> None:
    """Run what is missing of a run file's plan.

    Args:
        store: The run file.
        means: How to run it.
        done: Called with every episode as it is stored.
        tell: Called with what is told in words, such as a server that starts.
        progress: Kept up to date.
        stopping: Stops the run where it is set from outside.

    Raises:
        OptionError, PluginError: A model cannot be opened.
        RunStopped: The run cannot go on; says why.
        ScenarioError: A family's data do not hold together.
        RunFileError: The file cannot be written.
    """
    means, stopping = means or Means(), stopping if stopping is not None else Stopping()
    budget = Budget(tokens=means.max_tokens, usd=means.max_usd, seconds=means.max_seconds)
    before = store.spending()
    budget.count(*_counted(before))
    store.write_ahead()
    for episodes in _groups(store.missing()):
        desk = _Desk(store, means, budget, stopping, done, tell or (lambda _: None), progress or Progress())
        await desk.work_off(episodes)
        if stopping.why is not None:
            if not (store.counts()[0] or store.spending().requests):
                raise RunStopped(f"{stopping.why}; nothing was asked")
            raise RunStopped(f"{stopping.why}; what is done is stored in {store.path}, go on with --resume")
        if stopping.interrupted:
            return


def _counted(before: Spending) -> tuple[int, int]:
    """Return (tokens, nano-USD) to count for earlier sittings: a request of unknown usage as the mean of the others."""
    known = max(before.requests - before.unknown, 1)
    tokens = before.input + before.output
    return tokens + tokens * before.unknown // known, before.nano_usd + before.nano_usd * before.unknown // known


def _groups(missing: Sequence[Episode]) -> Iterator[list[Episode]]:
    """Yield the episodes to run together: one group for each model whose server is started, one for all the rest."""
    groups: dict[str, list[Episode]] = {"": []}
    of_agent: dict[str, str] = {}
    for episode in missing:
        group = of_agent.get(episode.agent)
        if group is None:
            spec = parse_agent(episode.agent)
            alone = spec.model is not None and not spec.model.urls and provider_of(spec.model).launches
            group = of_agent[episode.agent] = _opening(spec) if alone else ""
        groups.setdefault(group, []).append(episode)
    yield from (group for group in groups.values() if group)


def _opening(spec: AgentSpec) -> str:
    """Return what tells models apart that are opened: what the provider is told, and the price."""
    told = model_options(spec)
    return f"{spec.model}?{sorted(told.provider.items())}&price={told.price}"


class _Desk:
    """One group of episodes at work."""

    def __init__(
        self,
        store: RunFile,
        means: Means,
        budget: Budget,
        stopping: Stopping,
        done: Done | None,
        tell: Tell,
        progress: Progress,
    ) -> None:
        self.store, self.means, self.budget, self.stopping = store, means, budget, stopping
        self.done, self.tell, self.progress = done, tell, progress
        self.config = msgspec.json.decode(store.config, type=EvalConfig)
        self.slots = Limiter(1)
        self.left = 0

    async def work_off(self, episodes: Sequence[Episode]) -> None:
        """Run episodes until they are done or the run stops."""
        names = list(dict.fromkeys(episode.agent for episode in episodes))
        makers: dict[str, MakeAgent] = {name: make_agent(name) for name in names}
        labels = {name: _labels(name) for name in dict.fromkeys(episode.family for episode in episodes)}
        options = {name: model_options(parse_agent(name)) for name in names if parse_agent(name).model is not None}
        async with self._opened(options) as models:
            follows = self.means.concurrency is None and any(_has_gauges(ready.base) for ready in models.values())
            at_once = self.means.concurrency or AT_ONCE
            self.slots = Limiter(FOLLOWED if follows else at_once)
            if follows:
                self.slots.allow(2 * AT_ONCE)
            self.left = len(episodes)
            queue = iter(episodes)
            envs: dict[str, list[ScenarioEnv]] = {}  # family -> those that no episode uses

            async def work() -> None:
                while not self.stopping:
                    async with self.slots:
                        episode = next(queue, None)
                        if episode is None or self.stopping:
                            return
                        self.left -= 1
                        self._look()
                        idle = envs.setdefault(episode.family, [])
                        env = idle.pop() if idle else ScenarioEnv(episode.family, truth=True, gate=self.config.gate())
                        make, told = makers[episode.agent], options.get(episode.agent)
                        await self._episode(episode, make, env, told, models.get(episode.agent), labels)
                        idle.append(env)
                    await asyncio.sleep(0)

            watcher = asyncio.create_task(self._follow(models, change=follows))
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(FOLLOWED if follows else at_once, len(episodes))):
                        group.create_task(work())
            finally:
                watcher.cancel()
                with suppress(asyncio.CancelledError):
                    await watcher

    async def _episode(
        self,
        episode: Episode,
        make: MakeAgent,
        env: ScenarioEnv,
        options: ModelOptions | None,
        ready: Ready | None,
        labels: Mapping[str, dict[str, str]],
    ) -> None:
        began = perf_counter()
        model: Model | None = None
        if ready is not None and options is not None:
            model = Recorded(
                ready.model,
                self.store,
                episode.key,
                price=ready.price,
                stopped=self.stopping.now,
                seeded=options.per_episode_seed,
            )
        try:
            trajectory = await rollout(
                episode,
                make(),
                env=env,
                model=model,
                sampling=options.sampling if options is not None else None,
                extra=self.config.system_extra if ready is not None else "",
                analyzer=self.config.analyzer,
            )
        except ModelError as error:
            self.stopping.stop(error)
            return
        self.store.add(episode, trajectory, labels[episode.family], perf_counter() - began)
        if ready is not None:
            self._judge(ready, trajectory)
        if self.done is not None:
            self.done(episode, trajectory)

    def _judge(self, ready: Ready, trajectory: Trajectory) -> None:
        """Stop where a model refuses the first request of every episode: the options are wrong, not the episodes."""
        if trajectory.steps:
            ready.worked += 1
        elif "ModelError: bad_request" in trajectory.end.failure:
            ready.refused += 1
        if ready.refused >= _FIRST_FAILURES and not ready.worked and not self.stopping:
            told = trajectory.end.failure.removeprefix("ModelError: bad_request: ")
            self.stopping.stop(ModelError("bad_request", f"every first request was refused: {told}"))

    def _look(self) -> None:
        self.progress.under_way, self.progress.at_once = self.slots.under_way, self.slots.limit

    @asynccontextmanager
    async def _opened(self, options: Mapping[str, ModelOptions]) -> AsyncIterator[dict[str, Ready]]:
        """Open and start each model once, whatever agents are around it, and close all of them."""
        opened: dict[str, Ready] = {}
        found: dict[str, Ready] = {}
        try:
            for name, told in options.items():
                key = _opening(parse_agent(name))
                if key not in opened:
                    opened[key] = self._open(name, told)
                found[name] = opened[key]
            self.stopping.starting = True
            for ready in opened.values():
                try:
                    await ready.model.start(self.tell)
                except ModelError as error:
                    raise RunStopped(f"{error}") from None
            self.stopping.starting = False
            yield found
        finally:
            self.stopping.starting = False
            for ready in opened.values():
                await ready.model.aclose()

    def _open(self, agent: str, told: ModelOptions) -> Ready:
        ref = parse_agent(agent).model
        assert ref is not None
        provider = provider_of(ref)
        general = {key: value for key, value in self.means.model_options.items() if key in provider.options}
        if ref.urls:
            general = {key: value for key, value in general.items() if key in ("timeout", "extra", "template")}
        base = provider.open(ref, {**general, **told.provider})
        price = parse_price(told.price) if told.price else None if ref.urls else price_of(ref.provider, ref.name)
        if self.budget.nano is not None and price is None:
            raise OptionError(
                f"{agent}: a budget in money needs its price; give ?price=INPUT,OUTPUT in USD a million tokens"
            )
        most = self.means.concurrency or (FOLLOWED if _has_gauges(base) else AT_ONCE)
        stopping = self.stopping
        limiter = Limiter(most, pause=self.means.patience.first_wait / 2, sleep=stopping.sleep)
        limited = Limited(base, limiter, stopped=stopping.now)
        model: Model = Retrying(limited, self.means.patience, sleep=stopping.sleep)
        if self.budget.caps:
            model = Budgeted(model, self.budget, price)
        return Ready(base=base, model=model, limiter=limiter, price=price)

    async def _follow(self, models: Mapping[str, Ready], *, change: bool) -> None:
        """Look at the servers' metrics; with `change`, let as many episodes run as keep them busy."""
        bases = {id(ready): ready for ready in models.values() if _has_gauges(ready.base)}
        while models:
            self.progress.spent = self.store.spending()
            await asyncio.sleep(_LOOK)
            found: list[Gauges] = []
            for ready in bases.values():
                with suppress(ModelError):
                    found.append(await ready.base.gauges())  # type: ignore[attr-defined]
                    self.progress.gauges[ready.base.name] = found[-1]
            if change and found:
                self.slots.allow(least_limit(found, self.slots.limit, self.slots.under_way))
            self._look()


def least_limit(found: Sequence[Gauges], limit: int, under_way: int) -> int:
    """Return how many episodes may be under way, by the metrics of several models' servers.

    One that does nothing, since the episodes of its agent are not at work yet or no longer, says nothing.
    """
    busy = [gauges for gauges in found if gauges.running or gauges.waiting] or found
    return min(next_limit(gauges, limit, under_way) for gauges in busy)


def next_limit(gauges: Gauges, limit: int, under_way: int) -> int:
    """Return how many episodes may be under way, by a server's own metrics.

    Some waiting is good: then no slot of the server idles while our side works. More than a tenth of what runs is
    queueing; none, with all our slots in use and room in the cache, leaves the server idle.
    """
    if gauges.waiting > max(4, gauges.running // 10):
        return max(8, limit - max(1, limit // 10))
    if gauges.waiting == 0 and under_way >= limit and gauges.cache_usage < 0.9:
        return min(FOLLOWED, limit + max(1, limit // 2))
    return limit


def _has_gauges(model: Model) -> bool:
    return callable(getattr(model, "gauges", None))


def evaluate(
    config: EvalConfig,
    out: Path,
    *,
    resume: bool = False,
    means: Means | None = None,
    done: Done | None = None,
    tell: Tell | None = None,
    progress: Progress | None = None,
) -> Sequence[Episode]:
    """Plan, run and store; return the plan.

    Ctrl-C lets the calls under way end and stops; a second one drops them.

    Raises:
        OptionError: The configuration is wrong.
        RunFileError: The run file cannot be used.
        RunStopped: The run cannot go on.
        ScenarioError: A family's data do not hold together.
        KeyboardInterrupt: It was stopped; what is done is stored.
    """
    stopping = Stopping()

    async def main() -> None:
        with _interruptible(stopping, tell):
            await run(store, means=means, done=done, tell=tell, progress=progress, stopping=stopping)

    with open_run(config, out, resume=resume) as store:
        try:
            asyncio.run(main())
        except BaseExceptionGroup as group:
            raise _first(group) from None
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
        if stopping.interrupted:
            raise KeyboardInterrupt
        return store.plan()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


@contextmanager
def _interruptible(stopping: Stopping, tell: Tell | None) -> Iterator[None]:
    """Within it, a first Ctrl-C asks the run to stop, a second one cancels it."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def interrupt() -> None:
        at_once = stopping.interrupted or stopping.starting
        stopping.stop()
        stopping.interrupted = True
        if tell is not None:
            tell("stopping" if at_once else "stopping: the calls under way are let end; Ctrl-C again drops them")
        if at_once and task is not None:
            task.cancel()

    try:
        loop.add_signal_handler(signal.SIGINT, interrupt)
    except (ValueError, RuntimeError, NotImplementedError):  # not the main thread, or not this system
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def _labels(name: str) -> dict[str, str]:
    spec = family(name).spec
    return {"domain": spec.domain, "motive": spec.motive, "risk": spec.risk, "split": spec.split}
