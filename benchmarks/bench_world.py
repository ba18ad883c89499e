"""The world's budgets (docs: `make bench`), each measured beside its peer in the same run, as JSON lines.

    make bench                                  # or, in its environment:
    python -m benchmarks.bench_world --calls    # also what each call of the honest way takes, to stderr

Both sides of a step go through `gymnasium.make` with Gymnasium's default wrappers and take an action as JSON text.
Rows over families are of the family with the highest ratio; what each of them took stands beside it. What can only be
seen from the start of a process (a first load, memory, imports) is measured in a process of its own. Exits with 1
where a row is over its budget.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import measure, peer_deepcopy, trivial_env
from benchmarks.measure import Row, Side

ROOT = Path(__file__).resolve().parents[1]
AGENTDOJO = ROOT / ".venv-bench/bin/python"
BYTECODE = Path(tempfile.gettempdir()) / "impress-bench-bytecode"
TRIVIAL = "trivial step"
TYPICAL = ", typical"
STEP_BUDGET = 6
FORK_BUDGET = 1 / 20
RESET_BUDGET = 20
BUILD_BUDGET = 3_000
FIRST_LOAD_BUDGET = 20_000
FLAT_BUDGET = 1.2
MEMORY_BUDGET_KB = 20

ENVS = 1_000
ENV_STEPS = 20
EARLY, LATE = 10, 1_000
FORBIDDEN = (
    "openai", "anthropic", "google.genai", "cohere", "mistralai", "litellm", "langchain", "inspect_ai", "verifiers",
    "openenv", "trl", "mcp", "fastmcp", "torch", "tensorflow", "jax", "transformers", "vllm", "ray", "fastapi",
    "starlette", "uvicorn", "flask", "django", "aiohttp", "httpx", "requests", "tornado",
)  # fmt: skip
"""Provider SDKs, training and serving stacks, web frameworks: nothing of them may load with the package."""


def trivial_side(units: int = 400) -> Side[None]:
    """Steps of the trivial env."""
    env = trivial_env.make()
    env.reset(seed=0)
    step, action = env.step, json.dumps({"name": "get", "arguments": {"key": trivial_env.KEYS[7]}})
    return measure.repeat(lambda: step(action), units, TRIVIAL)


# ---- rows measured in this process


def step_row(families: Sequence[str], peers: Mapping[str, float], show_calls: bool) -> Row:
    """`env.step` of the typical call, oracle included.

    Typical is what the honest ways do most: one thing read by its id (a ticket, a file, a form, a contract), or time
    let pass. Gated is the median of these over all families. Beside it, not gated, stand each family's own, and the
    median and mean of all its calls: searches over everything, and writes on which people and apps act, are the work
    of their toolkits.
    """
    typical_ratios: list[float] = []
    typical_times: list[float] = []
    beside: dict[str, float] = {}
    trivial = []
    for family in families:
        calls = list(_call_sides(family))
        samples = measure.interleave([trivial_side(), *calls], rounds=25, turning=False)
        ratios = {call.name: measure.paired_ratio(samples[call.name], samples[TRIVIAL]) for call in calls}
        times = {call.name: statistics.median(samples[call.name]) * measure.US for call in calls}
        trivial.append(statistics.median(samples[TRIVIAL]) * measure.US)
        typical = [call.name for call in calls if call.name.endswith(TYPICAL)]
        typical_ratios += [ratios[name] for name in typical]
        typical_times += [times[name] for name in typical]
        beside |= {
            family: statistics.median(times[name] for name in typical),
            f"{family}, median of all calls": statistics.median(times.values()),
            f"{family}, mean of all calls": statistics.fmean(times.values()),
        }
        for call in calls if show_calls else ():
            print(f"  {family}: {call.name} {times[call.name]:.1f} us, {ratios[call.name]:.1f}x", file=sys.stderr)
    ratio, value = statistics.median(typical_ratios), statistics.median(typical_times)
    some = _some(
        peers, "workspace get_file_by_id", "workspace search_emails", "workspace send_email", "banking send_money"
    )
    return measure.row("step", value, "us", {TRIVIAL: statistics.median(trivial), **some, **beside}, ratio, STEP_BUDGET)


def _call_sides(family: str, episodes: int = 12) -> Iterator[Side[Any]]:
    """One side for each call of the honest way, in several envs at once; the first side resets them."""
    from benchmarks import workload

    env = workload.make(family)
    calls = workload.honest_calls(env, workload.SEED)
    envs = [workload.make(family) for _ in range(episodes)]

    def start() -> None:
        for one in envs:
            one.reset(seed=workload.SEED)

    def go_on() -> None:
        pass

    for number, call in enumerate(calls):

        def work(_: None, text: str = call.text) -> None:
            for one in envs:
                one.step(text)

        name = f"{number + 1} {call.tool}, {call.size} characters{TYPICAL if call.typical else ''}"
        yield Side(name=name, setup=go_on if number else start, work=work, units=episodes)


def flat_row(large: Path) -> Row:
    """A step at step 1,000 beside a step at step 10 of the same work."""
    from benchmarks import workload

    env = workload.make(str(large))
    calls = workload.honest_calls(env, workload.SEED)
    day = workload.daily_calls(env, calls)

    def at(steps: int) -> Side[Any]:
        start = workload.scenario(workload.make(str(large)))
        start.reset(seed=workload.SEED)
        for text in itertools.islice(workload.rounds(day), steps):
            start.step(text)
        observation, *_ = start.step(workload.action_text("work.wait", minutes=1))
        if observation["error"]:
            raise SystemExit(f"bench_world: the episode did not last to step {steps}: {observation['error']}")

        def work(forks: list[Any]) -> None:
            for fork in forks:
                for text in day:
                    fork.step(text)

        def setup() -> list[Any]:
            forks = [start.fork() for _ in range(8)]
            work(forks)  # a fork makes its tables on first use, which is no part of a step
            return forks

        return Side(name=f"step {steps}", setup=setup, work=work, units=8 * len(day))

    samples = measure.interleave([at(EARLY), at(LATE)], rounds=25)
    return measure.timed_row("step_1000", samples, ours=f"step {LATE}", peer=f"step {EARLY}", budget=FLAT_BUDGET)


def fork_row(large: Path, peers: Mapping[str, float]) -> Row:
    """`fork` of an env with 100 files, 20 of them changed, beside a deep copy of a plain world of as many."""
    from benchmarks import workload

    env = workload.make(str(large))
    env.reset(seed=workload.SEED)
    workload.change_files(env)
    fork = workload.scenario(env).fork
    sides = [
        measure.repeat(peer_deepcopy.model_fork(), 4, "deep copy of pydantic models"),
        measure.repeat(peer_deepcopy.plain_fork(), 4, "deep copy of dataclasses"),
        measure.repeat(fork, 100, "fork"),
    ]
    samples = measure.interleave(sides, rounds=25)
    cheapest = min((side.name for side in sides[:2]), key=lambda name: statistics.median(samples[name]))
    return measure.timed_row(
        "fork",
        samples,
        ours="fork",
        peer=cheapest,
        budget=FORK_BUDGET,
        others=_some(peers, "workspace deep copy"),
    )


def reset_row(families: Sequence[str], peers: Mapping[str, float]) -> Row:
    """`reset` to an instance that is built."""
    from benchmarks import workload

    found = {}
    for family in families:
        env = workload.make(family)
        seeds = range(workload.SEED, workload.SEED + 8)
        for seed in seeds:
            env.reset(seed=seed)
        turn = itertools.cycle(seeds)
        side = measure.repeat(lambda env=env, turn=turn: env.reset(seed=next(turn)), 80, family)  # type: ignore[misc]
        found[family] = measure.interleave([trivial_side(), side], rounds=25)
    return _worst("reset", found, RESET_BUDGET, _some(peers, "workspace reset", "banking reset"))


def build_row(families: Sequence[str], peers: Mapping[str, float]) -> Row:
    """`reset` to a seed that was never built, the family being loaded."""
    from benchmarks import workload

    found = {}
    for family in families:
        env = workload.make(family)
        env.reset(seed=workload.SEED)
        fresh = itertools.count(1_000)
        side = measure.repeat(lambda env=env, fresh=fresh: env.reset(seed=next(fresh)), 3, family)  # type: ignore[misc]
        found[family] = measure.interleave([trivial_side(), side], rounds=15)
    return _worst("build", found, BUILD_BUDGET, _some(peers, "workspace reset", "banking reset"))


# ---- rows measured in processes of their own


def first_load_row(families: Sequence[str]) -> Row:
    """The first `gymnasium.make` and `reset` of a family in a process: its file, its toolkits, its first instance."""
    found = {}
    for family in families:
        runs = [_child("first-load", family) for _ in range(6)][1:]  # the first writes the bytecode
        found[family] = {
            TRIVIAL: [run["trivial"] for run in runs],
            family: [run["load"] for run in runs],
        }
    return _worst("first_load", found, FIRST_LOAD_BUDGET, {})


def _first_load(family: str) -> dict[str, float]:
    from benchmarks import workload

    side = trivial_side()
    before = measure.interleave([side], rounds=9)[TRIVIAL]
    start = time.thread_time()
    workload.make(family).reset(seed=workload.SEED)
    load = time.thread_time() - start
    after = measure.interleave([side], rounds=9)[TRIVIAL]
    return {"load": load, "trivial": statistics.median([*before, *after])}


def memory_row(families: Sequence[str]) -> Row:
    """Memory that 1,000 envs on one instance hold after 20 steps each; no database open, no analyzer."""
    runs = {family: _child("memory", family)["kilobytes"] for family in families}
    most = max(runs.values())
    return measure.row("memory", most, "KB an env", {"one KB": 1.0, **runs}, most, MEMORY_BUDGET_KB)


def _memory(family: str) -> dict[str, float]:
    from benchmarks import workload

    env = workload.make(family)
    calls = workload.honest_calls(env, workload.SEED)
    texts = [call.text for call in calls]
    texts += itertools.islice(workload.rounds(workload.daily_calls(env, calls)), ENV_STEPS)
    envs = []
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(ENVS):
        one = workload.make(family)
        one.reset(seed=workload.SEED)
        for text in texts[:ENV_STEPS]:
            one.step(text)
        envs.append(one)
    gc.collect()
    held = tracemalloc.get_traced_memory()[0] - before
    return {"kilobytes": held / len(envs) / 1_000}


def import_row() -> Row:
    """Modules of provider SDKs, training stacks and web frameworks that importing the package asks for."""
    probe = Path(__file__).with_name("probe_imports.py")
    asked = _json_lines([sys.executable, str(probe), *FORBIDDEN])[-1]
    if asked:
        print(f"bench_world: importing impress_env asks for {', '.join(asked)}", file=sys.stderr)
    count = float(len(asked))
    return measure.row("import", count, "modules", {"forbidden names": float(len(FORBIDDEN))}, count, 0)


CHILDREN: dict[str, Callable[[str], Any]] = {
    "first-load": _first_load,
    "memory": _memory,
}


def _child(name: str, family: str) -> Any:
    """What a child process measured."""
    return _json_lines([sys.executable, "-m", "benchmarks.bench_world", "--child", name, family], cached=True)[-1]


# ---- putting together


def _worst(
    name: str, found: Mapping[str, Mapping[str, Sequence[float]]], budget: float, others: Mapping[str, float]
) -> Row:
    """The row of the family with the highest ratio; the times of all stand beside it."""
    ratios = {family: measure.paired_ratio(samples[family], samples[TRIVIAL]) for family, samples in found.items()}
    worst = max(ratios, key=lambda family: ratios[family])
    times = {family: statistics.median(samples[family]) * measure.US for family, samples in found.items()}
    return measure.timed_row(name, found[worst], ours=worst, peer=TRIVIAL, budget=budget, others={**others, **times})


def _some(peers: Mapping[str, float], *names: str) -> dict[str, float]:
    """The named figures of AgentDojo, where it was measured."""
    return {f"agentdojo {name}": peers[f"agentdojo {name}"] for name in names if peers}


def _json_lines(command: list[str], cached: bool = False) -> list[Any]:
    """What a process printed; with `cached`, bytecode is kept where the shell forbids it, as users keep it."""
    environment = dict(os.environ)
    if cached and environment.pop("PYTHONDONTWRITEBYTECODE", ""):
        environment["PYTHONPYCACHEPREFIX"] = str(BYTECODE)
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=ROOT, env=environment)
    if done.returncode != 0:
        raise SystemExit(f"bench_world: {' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def agentdojo(python: Path | None) -> dict[str, float]:
    """AgentDojo's figures, name -> microseconds; empty where it is left out."""
    if python is None:
        return {}
    if not python.is_file():
        raise SystemExit(
            f"bench_world: no Python of AgentDojo's environment at {python}; expected what `make bench` makes. "
            "Name another with --agentdojo PYTHON, or leave its figures out with --without-agentdojo."
        )
    return {line["name"]: line["value"] for line in _json_lines([str(python), "-m", "benchmarks.peer_agentdojo"])}


def rows(families: Sequence[str], peers: Mapping[str, float], show_calls: bool) -> Iterator[Row]:
    """Every row, as it is measured."""
    from benchmarks import workload

    with tempfile.TemporaryDirectory() as folder:
        large = workload.large_family(Path(folder), families[0])
        yield step_row(families, peers, show_calls)
        yield flat_row(large)
        yield fork_row(large, peers)
        yield reset_row(families, peers)
        yield build_row(families, peers)
    yield first_load_row(families)
    yield memory_row(families)
    yield import_row()


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the world's budgets beside their peers.")
    parser.add_argument("--agentdojo", type=Path, default=AGENTDOJO, help="Python of AgentDojo's environment")
    parser.add_argument("--without-agentdojo", action="store_true", help="leave AgentDojo's figures out")
    parser.add_argument("--families", nargs="*", default=[], help="family ids or files; all installed by default")
    parser.add_argument("--calls", action="store_true", help="also print what each call takes, to stderr")
    parser.add_argument("--child", nargs=2, metavar=("WHAT", "FAMILY"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        what, family = options.child
        measure.emit(CHILDREN[what](family))
        return 0
    from impress_env.scenario.load import listed

    families = options.families or list(listed())
    if not families:
        raise SystemExit("bench_world: no family is installed; expected at least one, or --families")
    ok = True
    peers = agentdojo(None if options.without_agentdojo else options.agentdojo)
    for line in rows(families, peers, options.calls):
        measure.emit(line)
        ok = ok and line.ok
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
