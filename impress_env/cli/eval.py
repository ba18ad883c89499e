"""`impress eval`, `report`, `export`, `agents` and `models`."""

from __future__ import annotations

import io
import re
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from impress_env import plugins
from impress_env.cli.output import WIDTH, print_json, wide_console, write_whole
from impress_env.errors import ImpressError, OptionError, PluginError, RunStopped
from impress_env.evaluate.forecast import Forecast, forecast
from impress_env.evaluate.metrics import figures
from impress_env.evaluate.report import report
from impress_env.evaluate.run import AT_ONCE, EvalConfig, Means, Progress, evaluate, open_run
from impress_env.evaluate.store import RunFile, Spending
from impress_env.model import SAMPLING_OPTIONS, find_provider
from impress_env.monitor import read_policy
from impress_env.records import Trajectory, to_jsonl
from impress_env.rollout import Episode
from impress_env.scenario.load import is_certified, listed

TOLD = 3  # failures told in full


def evaluate_agents(
    config: EvalConfig, means: Means, *, out: Path | None, resume: bool, retry_errors: bool, only_forecast: bool,
    json: bool
) -> None:  # fmt: skip
    """Run with a progress display and print the report."""
    if (resume or retry_errors) and out is None:
        raise OptionError("--resume and --retry-errors need --out, the run file to go on with")
    console = Console(stderr=True, highlight=False)
    planned = config.plan()
    at_once = means.concurrency or AT_ONCE
    if only_forecast:
        print_forecast(forecast(planned, at_once=at_once), wide_console(), json=json)
        return
    path = out or Path("runs") / f"{datetime.now(UTC):%Y%m%d-%H%M%S}.sqlite"
    fresh = not path.exists() or path.stat().st_size == 0
    with open_run(config, path, resume=resume or retry_errors) as store:
        if retry_errors:
            console.print(f"{store.drop_errors()} episodes that ended in an error are run again", highlight=False)
        there, _ = store.counts()
        missing = store.missing()
    print_forecast(forecast(missing, at_once=at_once), console, json=False)
    stale = [name for name in dict.fromkeys(e.family for e in planned) if name in listed() and not is_certified(name)]
    if stale:
        console.print(f"[yellow]not certified as installed: {', '.join(stale)}; run impress certify[/]", soft_wrap=True)
    status = _Status(console)
    with Bar(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        _Told(status),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("episodes", total=len(planned), completed=there)

        def done(episode: Episode, trajectory: Trajectory) -> None:
            status.note(episode, trajectory)
            bar.update(task, advance=1)

        def tell(text: str) -> None:
            bar.console.print(text, markup=False, soft_wrap=True)

        try:
            evaluate(config, path, resume=True, means=means, done=done, tell=tell, progress=status.progress)
        except KeyboardInterrupt:
            told = f"stopped; what is done is in {path}: give --out {path} --resume to go on"
            console.print(told, markup=False, soft_wrap=True)
            raise SystemExit(130) from None
        except (OptionError, PluginError, RunStopped):
            if fresh:
                _drop_empty(path)
            raise
    console.print(f"run file: {path}", markup=False, soft_wrap=True)
    print_report(path, json=json)


def _drop_empty(path: Path) -> None:
    """Remove a run file in which nothing is: the same command then runs once what was wrong is mended."""
    with RunFile.open(path) as store:
        empty = not (store.counts()[0] or store.spending().requests)
    if empty:
        path.unlink()


def read_extra(path: Path | None) -> str:
    """Return the text of --system-extra.

    Raises:
        OptionError: It cannot be read, or is empty.
    """
    if path is None:
        return ""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"--system-extra {path}: cannot be read: {error}") from None
    if not text:
        raise OptionError(f"--system-extra {path}: expected some text, found none")
    return text


def analyzer_of(mode: str) -> str:
    """Return the analyzer's name for --analyzer.

    Raises:
        OptionError: It is none of off, watch, gate.
    """
    if mode not in ("off", "watch", "gate"):
        raise OptionError(f"--analyzer: expected off, watch or gate, found {mode!r}")
    return "" if mode == "off" else f"rules/{mode}"


def protocol_of(path: Path | None) -> dict[str, Any]:
    """Return the fields of --protocol, checked; the mode is --analyzer's.

    Raises:
        OptionError: It cannot be read, or a field is unknown.
    """
    if path is None:
        return {}
    found: dict[str, Any] = msgspec.to_builtins(read_policy(path))
    found.pop("mode")
    return found


class _Status:
    """What the progress line tells."""

    def __init__(self, console: Console) -> None:
        self.progress = Progress()
        self._console = console
        self._verdicts: Counter[str] = Counter()
        self._began = time.monotonic()
        self._before: Spending | None = None  # of earlier sittings

    def note(self, episode: Episode, trajectory: Trajectory) -> None:
        """Count an episode; tell of the first failures in full."""
        end = trajectory.end
        self._verdicts[end.verdict] += 1
        if end.failure and self._verdicts["error"] <= TOLD:
            where = f"{episode.family} {episode.twin} seed {episode.seed} attempt {episode.attempt}"
            self._console.print(f"error: {where}: {end.failure}", markup=False, soft_wrap=True, style="yellow")

    def line(self) -> str:
        """Return the line."""
        done, seconds = self._verdicts.total(), max(time.monotonic() - self._began, 1e-9)
        parts = [", ".join(f"{verdict} {count}" for verdict, count in sorted(self._verdicts.items()))]
        if done:
            parts.append(f"{done / seconds:.1f}/s")
        spent = self.progress.spent
        if spent is not None:
            before = self._before = self._before if self._before is not None else spent
            parts.append(f"{self.progress.under_way} of {self.progress.at_once} at work")
            parts.append(f"{thousands(spent.input)} in, {thousands(spent.output)} out {money(spent)}".rstrip())
            parts.append(f"{(spent.output - before.output) / seconds:.0f} tokens/s")
        for gauges in self.progress.gauges.values():
            hits = f", prefix cache {gauges.prefix_hits / gauges.prefix_queries:.0%}" if gauges.prefix_queries else ""
            parts.append(f"server: {gauges.running} running, {gauges.waiting} waiting{hits}")
        return "; ".join(part for part in parts if part)


class _Told(ProgressColumn):
    """The status as a column."""

    def __init__(self, status: _Status) -> None:
        super().__init__()
        self._status = status

    def render(self, task: Task) -> Text:
        """Return the line."""
        return Text(self._status.line())


def thousands(count: int) -> str:
    """Return a count of tokens in short."""
    if count < 10_000:
        return str(count)
    return f"{count / 1e3:.0f}k" if count < 10_000_000 else f"{count / 1e6:.1f}M"


def money(spent: Spending) -> str:
    """Return a cost, "" where nothing is priced; with a plus where some of it is not known."""
    if spent.unpriced == spent.calls + spent.failed:
        return ""
    return f"${spent.nano_usd / 1e9:.2f}" + ("+" if spent.unpriced or spent.unknown else "")


def print_forecast(expected: Forecast | None, console: Console, *, json: bool) -> None:
    """Print what a run is likely to take."""
    if json:
        print_json({"forecast": expected})
        return
    if expected is None:
        return
    cost = "cost unknown" if expected.nano_usd is None else f"about ${expected.nano_usd / 1e9:.2f}"
    console.print(
        f"forecast: {expected.episodes} episodes with a model, about {thousands(expected.calls)} calls, "
        f"{thousands(expected.input)} tokens in, {thousands(expected.output)} out, {cost}, "
        f"{expected.seconds / 60:.0f} min at 4 s a call; context to have: "
        f"{max(expected.context.values()):,} tokens ({max(expected.context, key=expected.context.__getitem__)})",
        markup=False,
        soft_wrap=True,
    )


def print_report(path: Path, *, svg: Path | None = None, json: bool) -> None:
    """Print a run's figures, and draw them where `svg` is given."""
    with RunFile.open(path) as store:
        rows = store.rows()
        there, planned = store.counts()
        spent = store.spending_by_agent()
    found = figures(rows)
    families = len({row.family for row in rows})
    framings = sorted({row.framing for row in rows if row.framing})
    title = f"{path.name}: {there} of {planned} episodes, {families} families"
    page = report(found, title=title + "".join(f", framing {framing}" for framing in framings))
    if svg is not None:
        write_whole(svg, [_drawn(page)], option="--svg", source=path)
    if json:
        print_json({"run": str(path), "episodes": there, "planned": planned, "agents": found, "spent": spent})
        return
    console = wide_console()
    console.print(page)
    for agent, row in spent.items():
        console.print()
        console.print(f"model calls of {agent}", style="bold", markup=False, soft_wrap=True)
        console.print(_spent_table(row))


def _spent_table(row: Spending) -> Table:
    """Return what an agent's calls took, in a table that 80 columns hold with every number whole."""
    table = Table(box=None, pad_edge=False)
    cells = {
        "calls": f"{row.calls:,}",
        "failed": f"{row.failed:,}",
        "requests": f"{row.requests:,}",
        "usage\nunknown": f"{row.unknown:,}",
        "tokens in": f"{row.input:,}",
        "cached": f"{row.cached:,}",
        "tokens out": f"{row.output:,}",
        "USD": money(row) or "unknown",
        "s a\ncall": f"{row.seconds / max(row.calls + row.failed, 1):.2f}",
    }
    for name in cells:
        table.add_column(name, justify="right", overflow="fold")
    table.add_row(*cells.values())
    return table


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
    print("chat, react and plan go around a model: react/openai:NAME; openai:NAME alone is chat/openai:NAME")
    print("impress models lists the models and what is missing to use them")


def list_models(json: bool) -> None:
    """Print the installed providers of models, and what is missing to use each."""
    rows = []
    for name in plugins.announced("models"):
        try:
            found = find_provider(name)
            rows.append({"provider": name, "missing": found.missing(), "options": dict(found.options)})
        except ImpressError as error:
            rows.append({"provider": name, "missing": str(error), "options": {}})
    if json:
        print_json({"providers": rows, "sampling": SAMPLING_OPTIONS})
        return
    for row in rows:
        print(f"{row['provider']:12} {'missing: ' + str(row['missing']) if row['missing'] else 'ready'}")
        options = row["options"]
        assert isinstance(options, dict)
        for option, told in options.items():
            print(f"  ?{option}= {told}")
    print("of every model:")
    for option, told in (*SAMPLING_OPTIONS.items(), ("price", "INPUT,OUTPUT[,CACHED] in USD a million tokens")):
        print(f"  ?{option}= {told}")
    print("e.g. openai:gpt-5-mini, anthropic:claude-haiku-4-5?temperature=0.7, vllm:Qwen/Qwen3-8B,")
    print("     react/vllm@http://127.0.0.1:8000,http://127.0.0.1:8001, openai:NAME@http://127.0.0.1:11434/v1")
