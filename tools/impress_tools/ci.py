"""CI: test suites run on builds by a few runners, first come first served.

A run waits for a free runner, takes its suite's minutes and then has an outcome; until then it has none. What a run
of the agent's will end in is the suite's `outcome`, unless the same build has been through the suite before: then it
ends as it did. Runs are numbered by day ("20261119.003"), so that one more run in a scenario's past renumbers nothing
but the finished runs of its day. A finished run that says no minutes took what its suite takes.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from zlib import crc32

from pydantic import Field, model_validator

from impress_env.clock import iso, minutes
from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record

Outcome = Literal["passed", "failed"]
State = Literal["queued", "running", "finished", "cancelled"]
NOT_RUN: Final = "not_run"
PENDING: Final = ("queued", "running")
UNKNOWN_MINUTES: Final = 6  # of an old run whose suite is no longer there
SHARD: Final = 180  # tests


class Settings(Record, frozen=True, kw_only=True):
    """How many runs go at once."""

    runners: int


class Suite(Record, frozen=True, kw_only=True):
    """One suite: how long it takes, how many tests it has, and how it will end on a build that it has not seen."""

    name: str
    description: str
    minutes: int
    covers: int
    outcome: str
    failing: tuple[str, ...] = ()


class Built(Record, frozen=True, kw_only=True):
    """One build that suites can be run on."""

    id: str
    branch: str = ""
    commit: str = ""


class Run(Record, frozen=True, kw_only=True):
    """One run of a suite on a build.

    `outcome` is "" until it is finished, "not_run" if it was cancelled. `minutes` is 0 where its suite's hold.
    `planned` and `failing` may be known before it ends, and are shown afterwards.
    """

    id: str
    build: str
    suite: str
    state: str
    outcome: str = ""
    by: str = "ci"
    minutes: int = 0
    queued: str = ""
    started: str = ""
    finished: str = ""
    failing: tuple[str, ...] = ()
    planned: str = ""
    watched: bool = False


class _Ending(Seed):
    """How something ends."""

    outcome: Outcome = "passed"
    failing: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> _Ending:
        if self.failing and self.outcome == "passed":
            raise ValueError(f"expected no failing tests where the outcome is passed, found {list(self.failing)}")
        return self


class SuiteSeed(_Ending):
    """A suite in a scenario file."""

    description: str = ""
    minutes: Annotated[int, Field(ge=1, le=1440)]
    covers: Annotated[int, Field(ge=1, le=100_000)]


class BuiltSeed(Seed):
    """A build in a scenario file."""

    branch: str = ""
    commit: str = ""


class RunSeed(_Ending):
    """A finished run in a scenario file; `at` is when it ended."""

    build: str
    suite: str
    at: str
    by: str = "ci"
    minutes: Annotated[int, Field(ge=0, le=1440)] = 0


class JobSeed(_Ending):
    """A run that is on or waiting when the episode starts; `at` is when it was asked for."""

    build: str
    suite: str
    at: str
    by: str = "ci"
    minutes: Annotated[int, Field(ge=1, le=1440)]


class SettingsSeed(Seed):
    """Settings in a scenario file."""

    runners: Annotated[int, Field(ge=1, le=8)] = 1


class CiSeed(Seed):
    """Section `ci:`; `runs` are the past, `queue` the present. Builds of the app `releases` are known as well."""

    settings: SettingsSeed = SettingsSeed()
    suites: dict[str, SuiteSeed] = Field(default_factory=dict)
    builds: dict[str, BuiltSeed] = Field(default_factory=dict)
    runs: tuple[RunSeed, ...] = ()
    queue: tuple[JobSeed, ...] = ()


def build(seed: CiSeed, make: Build) -> None:
    """Put suites, builds and runs, and start what the runners can take."""
    make.put("settings", Settings(runners=seed.settings.runners))
    for name, suite in seed.suites.items():
        make.put(
            name,
            Suite(
                name=name,
                description=suite.description,
                minutes=suite.minutes,
                covers=suite.covers,
                outcome=suite.outcome,
                failing=tuple(suite.failing),
            ),
        )
    for name, built in seed.builds.items():
        make.put(name, Built(id=name, branch=built.branch, commit=built.commit))
    _put_queue(seed, make)
    for past in sorted(seed.runs, key=lambda entry: make.time(entry.at)):
        _put_past(past, make)


def _put_past(past: RunSeed, make: Build) -> None:
    ended = make.time(past.at)
    if minutes(ended) > make.now:
        raise ValueError(f"runs: expected a time before the start, found {past.at!r}; runs to come stand in `queue`")
    id = _number(ended, make.rows(Run))
    run = Run(
        id=id,
        build=past.build,
        suite=past.suite,
        state="finished",
        outcome=past.outcome,
        by=past.by,
        minutes=past.minutes,
        finished=ended,
        failing=tuple(past.failing),
    )
    make.put(id, run)


def _put_queue(seed: CiSeed, make: Build) -> None:
    """Let the runners take the jobs in order, each when a runner is free; past the start they wait."""
    free = [0] * seed.settings.runners
    for job in sorted(seed.queue, key=lambda entry: make.time(entry.at)):
        asked = make.time(job.at)
        id = _number(asked, make.rows(Run))
        start = max(minutes(asked), min(free))
        end = start + job.minutes
        run = Run(
            id=id,
            build=job.build,
            suite=job.suite,
            state="queued",
            by=job.by,
            minutes=job.minutes,
            queued=asked,
            failing=tuple(job.failing),
            planned=job.outcome,
        )
        if minutes(asked) > make.now or end <= make.now:
            raise ValueError(f"queue: expected a run that is waiting or on at the start, found {job.build} {job.suite}")
        free[free.index(min(free))] = end
        if start <= make.now:
            run = _changed(run, state="running", started=iso(start))
            make.schedule(iso(end), "finish", run=id)
        make.put(id, run)


def _changed(run: Run, **changes: Any) -> Run:
    return Run(**{**{name: getattr(run, name) for name in run.__struct_fields__}, **changes})


def _number(moment: str, taken: Any) -> str:
    """Return the next number of a day."""
    day = moment[:10].replace("-", "")
    count = sum(1 for id in taken if id.startswith(day))
    return f"{day}.{count + 1:03d}"


kit = Toolkit(
    "ci",
    title="CI",
    seed=CiSeed,
    tables={"ci": Settings, "ci.suites": Suite, "ci.builds": Built, "ci.runs": Run},
    build=build,
)


@kit.tool(effects=["read"])
def suites(at: Slice) -> object:
    """List the test suites with their usual duration and number of tests."""
    rows = at.table(Suite).values()
    at.emit("read", "ci://suites", count=len(rows), covers=tuple(f"ci://suites/{suite.name}" for suite in rows))
    return [
        {
            "suite": suite.name,
            "description": suite.description,
            "tests": suite.covers,
            "usual_minutes": suite.minutes,
        }
        for suite in rows
    ]


@kit.tool(effects=["schedule"])
def run(at: Slice, build: str, suite: str) -> object:
    """Put a run of a suite on a build in the queue.

    Args:
        build: The build.
        suite: Name of the suite.
    """
    chosen = _suite(at, suite)
    _known_build(at, build)
    table = at.table(Run)
    pending = [other for other in table.where(build=build, suite=chosen.name) if other.state in PENDING]
    if pending:
        raise ToolError(
            "conflict",
            f"{chosen.name} on {build} is {pending[0].state} already.",
            expected="another suite or build, or cancel it first",
            found=pending[0].id,
        )
    id = _number(at.now, table.keys())
    table.put(
        id,
        Run(
            id=id, build=build, suite=chosen.name, state="queued", by=at.account, minutes=chosen.minutes,
            queued=at.now, watched=True,
        ),
    )  # fmt: skip
    _dispatch(at)
    queued = table[id]
    at.emit("schedule", f"ci://runs/{id}", subject=chosen.name, about=build, data={"build": build})
    return {"id": id, "build": build, "suite": chosen.name, "state": queued.state, "ahead": _ahead(at, queued)}


@kit.tool(effects=["read", "verify"])
def result(at: Slice, build: str, suite: str) -> object:
    """Show the latest run of a suite on a build: its state and, once finished, its outcome.

    Args:
        build: The build.
        suite: Name of the suite.
    """
    chosen = _suite(at, suite)
    _known_build(at, build)
    runs = [run for run in at.table(Run).where(build=build, suite=chosen.name) if run.state != "cancelled"]
    if not runs:
        fields: dict[str, Any] = {"subject": chosen.name, "outcome": NOT_RUN, "data": {"build": build}}
        at.emit("read", "ci://runs", count=0, **fields)
        at.emit("verify", "ci://runs", count=0, end=at.now, **fields)
        return {"build": build, "suite": chosen.name, "outcome": NOT_RUN}
    run = max(runs, key=_age)
    _emit_run(at, run)
    return _as_row(at, run) | {"failing": _failing(run)}


@kit.tool(effects=["read", "verify"])
def runs(at: Slice, build: str = "", suite: str = "", state: State | None = None, page: int = 1) -> object:
    """List runs, newest first.

    Args:
        build: Only runs on this build.
        suite: Only runs of this suite.
        state: Only runs in this state.
        page: Page number, 20 runs a page.
    """
    rows = [
        run
        for run in sorted(at.table(Run).values(), key=_age, reverse=True)
        if (not build or run.build == build)
        and (not suite or run.suite == suite)
        and (state is None or run.state == state)
    ]
    found = paged(rows, page)
    shown: list[Run] = found["items"]
    at.emit(
        "read",
        "ci://runs",
        subject=suite,
        count=len(shown),
        covers=tuple(f"ci://runs/{run.id}" for run in shown),
        data={"build": build} if build else {},
    )
    for run in shown:
        _emit_outcome(at, run)
    found["items"] = [_as_row(at, run) for run in shown]
    return found


@kit.tool(effects=["read"])
def queue(at: Slice) -> object:
    """List what is running and what waits, in the order in which it will be taken."""
    rows = _pending(at)
    at.emit("read", "ci://queue", count=len(rows), covers=tuple(f"ci://runs/{run.id}" for run in rows))
    return {
        "runners": at.table(Settings)["settings"].runners,
        "items": [
            {
                "id": run.id,
                "build": run.build,
                "suite": run.suite,
                "state": run.state,
                "by": run.by,
                "queued": run.queued,
                "started": run.started or None,
                "usual_minutes": _minutes(at, run),
            }
            for run in rows
        ],
    }


@kit.tool(effects=["update"])
def cancel(at: Slice, run_id: str) -> object:
    """Take a run out of the queue, or stop it.

    Args:
        run_id: Number of the run.
    """
    run = _find(at, run_id)
    if run.state not in PENDING:
        raise ToolError("conflict", f"{run.id} is {run.state}.", expected="a run that is queued or running")
    at.table(Run).update(run.id, state="cancelled", outcome=NOT_RUN, finished=at.now)
    at.emit(
        "update", f"ci://runs/{run.id}", owner=run.by, subject=run.suite, fields=("state",), before=run.state,
        after="cancelled", reversible=False, data={"build": run.build},
    )  # fmt: skip
    _dispatch(at)
    return {"id": run.id, "state": "cancelled"}


@kit.tool(effects=["read", "verify"])
def logs(at: Slice, run_id: str) -> object:
    """Show a run's log so far.

    Args:
        run_id: Number of the run.
    """
    run = _find(at, run_id)
    _emit_run(at, run, fields=("log",))
    return "\n".join(_log(at, run))


@kit.on("finish")
def finish(at: Slice, payload: dict[str, str]) -> None:
    """A run is through."""
    run = at.table(Run)[payload["run"]]
    if run.state != "running":
        return
    outcome, failing = _ending(at, run)
    at.table(Run).update(run.id, state="finished", outcome=outcome, failing=failing, finished=at.now)
    if run.watched:
        at.notify(f"{run.id}: {run.suite} on {run.build} has finished.")
    _dispatch(at)


def latest(at: Slice, build: str, suite: str) -> Run | None:
    """Return the last finished run of a suite on a build, or None (for apps that use this one)."""
    finished = at.table(Run).where(build=build, suite=suite, state="finished")
    return max(finished, key=lambda run: (run.finished, run.id), default=None)


def _dispatch(at: Slice) -> None:
    """Give free runners what waits longest."""
    table = at.table(Run)
    pending = _pending(at)
    busy = sum(1 for run in pending if run.state == "running")
    waiting = [run for run in pending if run.state == "queued"]
    for run in waiting[: max(0, at.table(Settings)["settings"].runners - busy)]:
        table.update(run.id, state="running", started=at.now)
        at.schedule(_minutes(at, run), "finish", run=run.id)


def _ending(at: Slice, run: Run) -> tuple[str, tuple[str, ...]]:
    if run.planned:
        return run.planned, run.failing
    before = latest(at, run.build, run.suite)
    if before is not None:
        return before.outcome, before.failing
    suite = at.table(Suite)[run.suite]
    return suite.outcome, suite.failing


def _pending(at: Slice) -> list[Run]:
    rows = [run for run in at.table(Run).values() if run.state in PENDING]
    return sorted(rows, key=lambda run: (run.state != "running", run.started, run.queued, run.id))


def _age(run: Run) -> tuple[str, str]:
    return run.queued or run.finished, run.id


def _ahead(at: Slice, run: Run) -> int:
    return 0 if run.state == "running" else [other.id for other in _pending(at)].index(run.id)


def _minutes(at: Slice, run: Run) -> int:
    suite = at.table(Suite).get(run.suite)
    return run.minutes or (suite.minutes if suite is not None else UNKNOWN_MINUTES)


def _suite(at: Slice, name: str) -> Suite:
    found = at.table(Suite).get(name)
    if found is None:
        raise ToolError("not_found", f"No suite {name[:80]}.", offer=at.table(Suite).keys())
    return found


def _known_build(at: Slice, build: str) -> None:
    known = dict.fromkeys((*at.table(Built).keys(), *(run.build for run in reversed(at.table(Run).values()))))
    if build not in known:
        raise ToolError("not_found", f"No build {build[:80]}.", offer=tuple(known))


def _find(at: Slice, id: str) -> Run:
    found = at.table(Run).get(id)
    if found is None:
        newest = [run.id for run in reversed(at.table(Run).values())]
        raise ToolError("not_found", f"No run {id[:80]}.", expected="a number such as 20261119.003", offer=newest)
    return found


def _emit_run(at: Slice, run: Run, fields: tuple[str, ...] = ()) -> None:
    at.emit(
        "read", f"ci://runs/{run.id}", subject=run.suite, outcome=run.outcome, fields=fields, data={"build": run.build}
    )
    _emit_outcome(at, run)


def _emit_outcome(at: Slice, run: Run) -> None:
    if run.state == "finished":
        at.emit(
            "verify",
            f"ci://runs/{run.id}",
            subject=run.suite,
            outcome=run.outcome,
            start=_started(at, run),
            end=run.finished,
            data={"build": run.build},
        )


def _started(at: Slice, run: Run) -> str:
    return run.started or (iso(minutes(run.finished) - _minutes(at, run)) if run.state == "finished" else "")


def _failing(run: Run) -> tuple[str, ...]:
    return run.failing if run.state == "finished" else ()


def _as_row(at: Slice, run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "build": run.build,
        "suite": run.suite,
        "state": run.state,
        "outcome": run.outcome or None,
        "by": run.by,
        "queued": run.queued or _started(at, run),
        "started": _started(at, run) or None,
        "finished": run.finished or None,
    }


def _log(at: Slice, run: Run) -> list[str]:
    """Return the lines that the runner has written by now."""
    if run.state == "queued" or not (start := _started(at, run)):
        return [f"{run.queued or at.now} {run.id} queued, waiting for a runner"]
    suite = at.table(Suite).get(run.suite)
    tests = suite.covers if suite is not None else 20 + crc32(run.suite.encode()) % 60
    begun, length = minutes(start), max(1, _minutes(at, run))
    until = minutes(run.finished) if run.finished else at.clock
    lines = [
        f"{start} runner-{1 + crc32(run.id.encode()) % 4} picked up {run.id}",
        f"{start} checkout {run.build}",
        f"{start} {run.suite}: collected {tests} tests",
    ]
    shards = max(1, -(-tests // SHARD))
    failed = 0
    for shard in range(shards):
        done = begun + -(-length * (shard + 1) // shards)
        if done > until:
            break
        names = [name for name in _failing(run) if crc32(name.encode()) % shards == shard]
        failed += len(names)
        size = tests // shards + (shard < tests % shards)
        lines.append(f"{iso(done)} shard {shard + 1}/{shards}: {size - len(names)} passed, {len(names)} failed")
        lines += [f"{iso(done)}   FAILED {name}" for name in names]
    if run.state == "cancelled":
        lines.append(f"{run.finished} cancelled")
    elif run.state == "finished":
        lines.append(f"{run.finished} {run.suite} {run.outcome}: {tests - failed} passed, {failed} failed")
    return lines
