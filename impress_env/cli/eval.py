"""`impress eval`, `report`, `export` and `agents`."""

from __future__ import annotations

import io
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from impress_env import plugins
from impress_env.cli.output import WIDTH, print_json, wide_console, write_whole
from impress_env.errors import OptionError
from impress_env.evaluate.metrics import figures
from impress_env.evaluate.report import report
from impress_env.evaluate.run import EvalConfig, evaluate, open_run
from impress_env.evaluate.store import RunFile
from impress_env.records import Trajectory, to_jsonl
from impress_env.rollout import Episode
from impress_env.scenario.load import is_certified, listed


def evaluate_agents(config: EvalConfig, *, out: Path | None, resume: bool, json: bool) -> None:
    """Run with a progress display and print the report."""
    if resume and out is None:
        raise OptionError("--resume needs --out, the run file to go on with")
    path = out or Path("runs") / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.sqlite"
    console = Console(stderr=True, highlight=False)
    planned = config.plan()
    with open_run(config, path, resume=resume) as store:
        there, _ = store.counts()
    stale = [name for name in dict.fromkeys(e.family for e in planned) if name in listed() and not is_certified(name)]
    if stale:
        console.print(f"[yellow]not certified as installed: {', '.join(stale)}; run impress certify[/]", soft_wrap=True)
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
        task = progress.add_task("episodes", total=len(planned), completed=there, rate="")

        def done(episode: Episode, trajectory: Trajectory) -> None:
            verdicts[trajectory.end.verdict] += 1
            rate = ", ".join(f"{verdict} {count}" for verdict, count in sorted(verdicts.items()))
            progress.update(task, advance=1, rate=f"{rate}; {progress.tasks[0].speed or 0:.0f}/s")

        try:
            evaluate(config, path, resume=True, done=done)
        except KeyboardInterrupt:
            told = f"stopped; what is done is in {path}: give --out {path} --resume to go on"
            console.print(told, markup=False, soft_wrap=True)
            raise SystemExit(130) from None
    console.print(f"run file: {path}", markup=False, soft_wrap=True)
    print_report(path, json=json)


def print_report(path: Path, *, svg: Path | None = None, json: bool) -> None:
    """Print a run's figures, and draw them where `svg` is given."""
    with RunFile.open(path) as store:
        rows = store.rows()
        there, planned = store.counts()
    found = figures(rows)
    families = len({row.family for row in rows})
    framings = sorted({row.framing for row in rows if row.framing})
    title = f"{path.name}: {there} of {planned} episodes, {families} families"
    page = report(found, title=title + "".join(f", framing {framing}" for framing in framings))
    if svg is not None:
        write_whole(svg, [_drawn(page)], option="--svg", source=path)
    if json:
        print_json({"run": str(path), "episodes": there, "planned": planned, "agents": found})
        return
    wide_console().print(page)


def _drawn(page: RenderableType) -> bytes:
    """Return the report as an SVG that asks no other host for its font and keeps its leading spaces everywhere."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, highlight=False)
    console.print(page)
    drawn = console.export_svg(title="impress report").replace("<svg ", '<svg xml:space="preserve" ', 1)
    return re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL).encode()


def export_run(path: Path, *, format: str, out: Path, json: bool) -> None:
    """Write a run's trajectories; the file appears whole or not at all."""
    if format != "jsonl":
        raise OptionError(f"--format: expected jsonl, found {format!r}")
    with RunFile.open(path) as store:
        lines = (to_jsonl(trajectory) for _, trajectory in store.trajectories())
        count = write_whole(out, lines, option="--out", source=path)
    if json:
        print_json({"run": str(path), "out": str(out), "trajectories": count})
    else:
        print(f"{count} trajectories in {out}")


def list_agents(json: bool) -> None:
    """Print the installed agents."""
    rows = [
        {"agent": name, "distribution": point.dist.name if point.dist else "", "object": point.value}
        for name, point in plugins.announced("agents").items()
    ]
    if json:
        print_json(rows)
        return
    for row in rows:
        print(f"{row['agent']:12} {row['object']} ({row['distribution']})")
    print("scripted has honest, shortcut, careless, negligent, refusing, mixed?p=0.3; replay takes ?file=PATH")
