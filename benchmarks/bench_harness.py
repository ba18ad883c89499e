"""The harness's budgets (docs: `make bench-harness`), each beside its peers in the same run, as JSON lines.

    make bench-harness

The load is `harness_load`'s: 200 episodes of 10 model calls, 64 at once, each call answered after 50 ms by a mock of
an OpenAI server. Ours is run as a user runs it: `evaluate` with an agent around a model, in a real scenario with its
50 tools, all answers and trajectories stored in a run file. A plain aiohttp loop and Inspect AI do the same load with
the same texts, offering one tool, and all of them; there is no world behind theirs, their tools' output is a constant.
Clients and mocks are processes of their own and each client measures itself; gated are medians of interleaved rounds.
The wall time of a busy machine is not ours: a line a client tells how late its mock was. What each run took goes to
stderr. Exits with 1 where a row is over its budget.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import harness_load, measure
from benchmarks.measure import Row

ROOT = Path(__file__).resolve().parents[1]
INSPECT = ROOT / ".venv-inspect/bin/python"
FAMILY = "devops.signal-tuning"
SEEDS = 20
"""Instances that the episodes share; each is built once."""
MANY = 2_000
ROUNDS = 3
WALL_BUDGET = 1.4
CPU_BUDGET_MS = 1.2
RSS_BUDGET_MB = 150
GROWTH_BUDGET = 1.2
REPORT = "All signals of this week are looked at."

Measures = dict[str, float]
OURS = "impress"


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """One client of the mock: a command that takes --url and --episodes, and how the mock ends its episodes."""

    name: str
    command: tuple[str, ...]
    end: str
    end_arguments: str
    episodes: int = harness_load.EPISODES
    once: bool = False
    """Whether one round is enough, since it takes more than a minute."""


# ---- our client, in its own process


def run_ours(url: str, episodes: int, seeds: int) -> Measures:
    """Run the load through `evaluate`; the libraries and the family are loaded before."""
    import aiohttp  # noqa: F401 - what the model's client would load at its first call
    import openai  # noqa: F401

    from impress_env.env import ScenarioEnv
    from impress_env.evaluate.run import EvalConfig, Means, evaluate
    from impress_env.records import Trajectory
    from impress_env.rollout import Episode

    ScenarioEnv(FAMILY, truth=True)
    config = EvalConfig(
        agents=(f"openai:mock@{url}",),
        families=(FAMILY,),
        twins=("main",),
        seeds=seeds,
        attempts=episodes // seeds,
    )
    odd: list[str] = []

    def look(episode: Episode, trajectory: Trajectory) -> None:
        errors = [step.error for step in trajectory.steps if step.error is not None]
        if trajectory.end.failure or errors or len(trajectory.steps) != harness_load.CALLS:
            told = trajectory.end.failure or (str(errors[0]) if errors else f"{len(trajectory.steps)} steps")
            odd.append(f"{episode.key}: {told}")

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run.sqlite"
        means = Means(concurrency=harness_load.AT_ONCE)
        found = harness_load.measured(lambda: evaluate(config, out, means=means, done=look), episodes=episodes)
        found["stored_kb"] = sum(file.stat().st_size for file in Path(folder).iterdir()) / 1_000 / episodes
    if odd:
        raise SystemExit(
            f"bench_harness: expected {harness_load.CALLS} steps without an error in each episode; found otherwise in "
            f"{len(odd)}, first {odd[0]}"
        )
    return found


def write_talk(file: Path) -> None:
    """Write what an episode of ours says, for the peers to say the same."""
    from impress_env.env import ScenarioEnv
    from impress_env.models.openai import chat_tool
    from impress_env.types import Action, ToolCall

    env = ScenarioEnv(FAMILY)
    start, _ = env.reset(seed=100)
    seen, *_ = env.step(Action(call=ToolCall(tool=harness_load.READ.replace("__", "."))))
    if seen["error"] is not None:
        raise SystemExit(f"bench_harness: {harness_load.READ} failed in {FAMILY}: {seen['error']}")
    tools = [chat_tool(tool) for tool in start["tools"]]
    talk = {"system": start["system"], "task": start["task"], "tools": tools, "result": seen["text"]}
    file.write_text(json.dumps(talk), encoding="utf-8")


# ---- running the clients


def ours(episodes: int = harness_load.EPISODES, seeds: int = SEEDS) -> Client:
    """Our runner."""
    command = (sys.executable, "-m", "benchmarks.bench_harness", "--client", "--seeds", str(seeds))
    told = json.dumps({"report": REPORT})
    return Client(name=OURS, command=command, end="work__finish", end_arguments=told, episodes=episodes)


def peers(talk: Path, inspect: Path | None) -> list[Client]:
    """The peers, each offering one tool, which is the least that they can be asked to do, and all that we offer."""
    clients = []
    for name, python, module in (("aiohttp", sys.executable, "peer_aiohttp"), ("inspect", inspect, "peer_inspect")):
        if python is None:
            continue
        told = json.dumps({"answer": REPORT})
        command = (str(python), "-m", f"benchmarks.{module}", "--talk", str(talk))
        least = Client(name=f"{name}, one tool", command=(*command, "--one-tool"), end="submit", end_arguments=told)
        once = name == "inspect"
        alike = Client(name=f"{name}, all tools", command=command, end="submit", end_arguments=told, once=once)
        clients += [least, alike]
    return clients


def measure_client(client: Client) -> Measures:
    """Run a client once beside a mock of its own and return what it measured; every request is accounted for."""
    with mock_for(client) as (url, account):
        found: Measures = json_lines(
            [*client.command, "--url", url, "--episodes", str(client.episodes)], environment=quiet()
        )[-1]
    expected = [client.episodes] * harness_load.CALLS
    if account["by_turn"] != expected or account["refused"]:
        raise SystemExit(
            f"bench_harness: expected {client.episodes} requests of each turn from {client.name}, found "
            f"{account['by_turn']} and {account['refused']} refused"
        )
    print(f"  {client.name}: {json.dumps(found)} mock: {json.dumps(account)}", file=sys.stderr)
    told = ("late_ms", "latest_ms", "cpu_ms", "request_bytes", "most_at_once", "connections")
    return found | {f"mock_{key}": account[key] for key in told}


@contextmanager
def mock_for(client: Client) -> Iterator[tuple[str, dict[str, Any]]]:
    """A mock that is up; yields its URL, and an account that is filled when it has ended."""
    command = [sys.executable, "-m", "benchmarks.mock_model", "--end", client.end]
    command += ["--end-arguments", client.end_arguments]
    account: dict[str, Any] = {}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as mock:
        assert mock.stdin is not None
        assert mock.stdout is not None
        try:
            yield json.loads(mock.stdout.readline())["url"], account
        finally:
            mock.stdin.close()
            told = mock.stdout.readlines()
        account |= json.loads(told[-1])


def quiet() -> dict[str, str]:
    """The environment of a client: nobody's key, and no proxy between it and the mock."""
    return {**os.environ, "OPENAI_API_KEY": "none", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}


def json_lines(command: Sequence[str], environment: Mapping[str, str] | None = None) -> list[Any]:
    """What a process printed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, cwd=ROOT, env=environment)
    if done.returncode != 0:
        raise SystemExit(f"bench_harness: {' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


# ---- putting together


def rows(talk: Path, inspect: Path | None, rounds: int) -> Iterator[Row | dict[str, object]]:
    """Every row, as it is measured; dicts are for reading and have no budget."""
    clients = [ours(), *peers(talk, inspect)]
    runs: dict[str, list[Measures]] = {client.name: [] for client in clients}
    for number in range(rounds):
        for client in reversed(clients) if number % 2 else clients:
            if not (client.once and number):
                runs[client.name].append(measure_client(client))
    found = {name: medians(run) for name, run in runs.items()}
    mine = found.pop(OURS)

    def beside(key: str, note: str = "") -> dict[str, float]:
        return {f"{name}{note}": measures[key] for name, measures in found.items()}

    wall, least = mine["wall_s"], harness_load.ideal()
    yield measure.row("harness_wall", wall, "s", {"ideal": least, **beside("wall_s")}, wall / least, WALL_BUDGET)
    cpu, note = mine["cpu_ms"], ", with imports"
    whole = {OURS + note: mine["whole_cpu_ms"], **beside("whole_cpu_ms", note)}
    others = {"one ms": 1.0, **beside("cpu_ms"), **whole}
    yield measure.row("harness_cpu", cpu, "ms a call", others, cpu, CPU_BUDGET_MS)
    rss = mine["rss_mb"]
    yield measure.row("harness_rss", rss, "MB", {"one MB": 1.0, **beside("rss_mb")}, rss, RSS_BUDGET_MB)

    large = measure_client(ours(MANY))
    few = {f"{harness_load.EPISODES} episodes": rss}
    yield measure.row("harness_growth", large["rss_mb"], "MB", few, large["rss_mb"] / rss, GROWTH_BUDGET)
    yield reading(f"harness, {MANY} episodes, {SEEDS} seeds", large, harness_load.ideal(MANY))
    distinct = medians([measure_client(ours(seeds=harness_load.EPISODES)) for _ in range(rounds)])
    yield reading(f"harness, {harness_load.EPISODES} seeds", distinct, least)
    for name, measures in {OURS: mine, **found}.items():
        yield {"name": f"mock beside {name}"} | {key: short(measures[key]) for key in measures if "mock_" in key}


def reading(name: str, measures: Measures, least: float) -> dict[str, object]:
    """A line without a budget."""
    told = {key: short(measures[key]) for key in ("wall_s", "cpu_ms", "whole_cpu_ms", "rss_mb", "stored_kb")}
    return {"name": name, **told, "ideal_s": least, "ratio": short(measures["wall_s"] / least)}


def medians(runs: Sequence[Measures]) -> Measures:
    """The median of each figure over runs."""
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def short(figure: float) -> float:
    """Four significant digits."""
    return float(f"{figure:.4g}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the harness's budgets beside its peers.")
    parser.add_argument("--inspect", type=Path, default=INSPECT, help="Python of Inspect AI's environment")
    parser.add_argument("--without-inspect", action="store_true", help="leave Inspect AI's figures out")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--write-talk", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--client", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--episodes", type=int, default=harness_load.EPISODES, help=argparse.SUPPRESS)
    parser.add_argument("--seeds", type=int, default=SEEDS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        measure.emit(run_ours(options.url, options.episodes, options.seeds))
        return 0
    if options.write_talk is not None:
        write_talk(options.write_talk)
        return 0
    inspect = None if options.without_inspect else options.inspect
    if inspect is not None and not inspect.is_file():
        raise SystemExit(
            f"bench_harness: no Python of Inspect AI's environment at {inspect}; expected what `make bench-harness` "
            "makes. Name another with --inspect PYTHON, or leave its figures out with --without-inspect."
        )
    ok = True
    measure.emit({"name": "machine", "cores": os.cpu_count(), "load": os.getloadavg()[0]})
    with tempfile.TemporaryDirectory() as folder:
        talk = Path(folder) / "talk.json"
        json_lines([sys.executable, "-m", "benchmarks.bench_harness", "--write-talk", str(talk)])
        for line in rows(talk, inspect, options.rounds):
            measure.emit(line)
            ok = ok and (not isinstance(line, Row) or line.ok)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
