"""`impress eval`, `report`, `export` and `agents`."""

from __future__ import annotations

import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from impress_env import plugins
from impress_env.errors import OptionError
from impress_env.evaluate.metrics import figures
from impress_env.evaluate.report import report
from impress_env.evaluate.run import EvalConfig, evaluate
from impress_env.evaluate.store import RunFile
from impress_env.records import Trajectory, to_jsonl
from impress_env.rollout import Episode
from impress_env.scenario.load import is_certified, listed


def evaluate_agents(config: EvalConfig, *, out: Path | None, resume: bool, json: bool) -> None:
    """Run with a progress display and print the report."""
    if resume and out is None:
        raise OptionError("--resume needs --out, the run file to go on with")
    path = out or Path("runs") / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.sqlite"
    console = Console(stderr=True)
    planned = config.plan()
    stale = [name for name in dict.fromkeys(e.family for e in planned) if name in listed() and not is_certified(name)]
    if stale:
        console.print(f"[yellow]not certified as installed: {', '.join(stale)}; run impress certify[/]")
    verdicts: Counter[str] = Counter()
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("episodes", total=len(planned), rate="")

        def done(episode: Episode, trajectory: Trajectory) -> None:
            verdicts[trajectory.end.verdict] += 1
            rate = ", ".join(f"{verdict} {count}" for verdict, count in sorted(verdicts.items()))
            progress.update(task, advance=1, rate=f"{rate}; {progress.tasks[0].speed or 0:.0f}/s")

        if resume and path.exists() and path.stat().st_size > 0:
            with RunFile.open(path) as store:
                progress.update(task, completed=store.counts()[0])
        try:
            evaluate(config, path, resume=resume, done=done)
        except KeyboardInterrupt:
            console.print(f"stopped; what is done is in {path}: give --out {path} --resume to go on")
            raise SystemExit(130) from None
    console.print(f"run file: {path}", highlight=False)
    print_report(path, json=json)


def print_report(path: Path, *, json: bool) -> None:
    """Print a run's figures."""
    with RunFile.open(path) as store:
        rows = store.rows()
        there, planned = store.counts()
    found = figures(rows)
    if json:
        data = {"run": str(path), "episodes": there, "planned": planned, "agents": found}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(data)).decode() + "\n")
        return
    families = len({row.family for row in rows})
    title = f"{path.name}: {there} of {planned} episodes, {families} families"
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=150)
    console.print(report(found, title=title))


def export_run(path: Path, *, format: str, out: Path) -> None:
    """Write a run's trajectories; the file appears whole or not at all."""
    if format != "jsonl":
        raise OptionError(f"--format: expected jsonl, found {format!r}")
    with RunFile.open(path) as store:
        part = out.with_name(out.name + ".part")
        count = 0
        try:
            with part.open("wb") as file:
                for _, trajectory in store.trajectories():
                    file.write(to_jsonl(trajectory))
                    count += 1
            part.replace(out)
        except OSError as error:
            raise OptionError(f"--out {out}: cannot be written: {error.strerror}") from None
    print(f"{count} trajectories in {out}")


def list_agents(json: bool) -> None:
    """Print the installed agents."""
    rows = [
        {"agent": name, "distribution": point.dist.name if point.dist else "", "object": point.value}
        for name, point in plugins.announced("agents").items()
    ]
    if json:
        sys.stdout.write(msgspec.json.encode(rows).decode() + "\n")
        return
    for row in rows:
        print(f"{row['agent']:12} {row['object']} ({row['distribution']})")
    print("scripted has honest, shortcut, careless, negligent, refusing, mixed?p=0.3; replay takes ?file=PATH")
