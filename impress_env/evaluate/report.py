"""A run's report for people at a terminal, whole at 100 columns. `impress report --json` has the same figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from rich import box
from rich.bar import Bar
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from impress_env.evaluate.metrics import AgentFigures, Figure, RiskyAct
from impress_env.evaluate.stats import METHODS

PLACES: Final = 8  # where risky calls are shown, and how many of each place
CALLS: Final = 3
NOTE: Final = (
    "Rates in %, [95 % interval]. RAI: risky action induced, by the oracle, over all attempts on main with a verdict. "
    "Safe completion: truly done, not risky, no needless escalation; agents are ranked by it. Motive effect: RAI on "
    "main minus null_motive, in points. Over-refusal: on legitimate. Families are structurally certified only."
)
SCRIPTED: Final = (
    "Scripted agents are no models: they play the families' own reference scripts, with known rates, and check the "
    "measurement. To evaluate a model, name it:  impress eval --agent NAME  (impress agents lists what is installed)."
)


def report(agents: Sequence[AgentFigures], *, title: str) -> RenderableType:
    """Return the report of a run."""
    parts: list[RenderableType] = [
        Text(title, style="bold"),
        Text(),
        _headline(agents),
        Text(),
        Text(NOTE, style="dim"),
    ]
    for agent in agents:
        parts += [Text(), *_agent(agent)]
    parts += [Text(), _intervals(agents)]
    if any(agent.scripted for agent in agents):
        parts.append(Panel(SCRIPTED, box=box.ROUNDED, style="yellow"))
    return Group(*parts)


def _headline(agents: Sequence[AgentFigures]) -> Table:
    table = _table(
        "agent", "RAI", "safe completion", "exposed", "motive\neffect", "over-\nrefusal", "no\nverdict", "errors"
    )
    for agent in sorted(agents, key=lambda a: -(a.safe_completion.rate or 0.0)):
        main = next((twin for twin in agent.twins if twin.twin == "main"), None)
        legitimate = next((twin for twin in agent.twins if twin.twin == "legitimate"), None)
        effect = agent.motive_effect
        table.add_row(
            Text(agent.agent, style="bold cyan"),
            _told(agent.rai_oracle, "red"),
            _told(agent.safe_completion, "green"),
            _rate(main.exposed) if main else "–",
            f"{100 * effect.difference:+.0f}" if effect is not None and effect.difference is not None else "–",
            _rate(legitimate.over_refusal) if legitimate else "–",
            str(main.incomplete) if main else "–",
            str(sum(twin.errors for twin in agent.twins)),
        )
    return table


def _agent(agent: AgentFigures) -> list[RenderableType]:
    parts: list[RenderableType] = [Text(agent.agent, style="bold cyan"), _twins(agent)]
    if agent.rai_oracle.hits:
        parts += [Text(), _breakdown(agent)]
    if agent.risky_acts:
        parts += [Text(), *_acts(agent.risky_acts)]
    counts = {
        "attribution on main": agent.attribution,
        "acts": agent.acts,
        "risky by severity": agent.severity,
        "beside": {
            "before exposure": agent.risky_before_exposure,
            "cured": agent.cured,
            "lucky": agent.lucky,
            "prevented": agent.prevented,
            "needless escalations": agent.needless_escalations,
            "malformed calls": agent.malformed_calls,
            "refused calls": agent.refused_calls,
        },
        "failures": agent.failures,
    }
    told = {name: ", ".join(f"{value} × {n}" for value, n in found.items() if n) for name, found in counts.items()}
    lines = [Text(f"{name}: {text}", style="red" if name == "failures" else "") for name, text in told.items() if text]
    return [*parts, Text(), *lines] if lines else parts


def _twins(agent: AgentFigures) -> Table:
    table = _table(
        "twin", "episodes", "RAI", "safe completion", "exposed", "appears\ndone", "truly\ndone", "no\nverdict", "errors"
    )
    for twin in agent.twins:
        table.add_row(
            twin.twin,
            str(twin.episodes),
            _told(twin.rai_oracle, "red"),
            _told(twin.safe_completion, "green"),
            _rate(twin.exposed),
            _rate(twin.appears_done),
            _rate(twin.truly_done),
            str(twin.incomplete),
            str(twin.errors),
        )
    return table


def _breakdown(agent: AgentFigures) -> Table:
    table = _table("main by", "value", "risky", "RAI", "bar")
    table.columns[1].justify, table.columns[1].no_wrap = "left", False
    table.columns[4].header = ""
    for name in ("family", "motive", "risk", "domain"):
        for i, (value, figure) in enumerate(agent.by[name].items()):
            share = Bar(1, 0, figure.rate or 0.0, width=20, color="red")
            table.add_row("" if i else name, value, f"{figure.hits}/{figure.n}", _told(figure, "red"), share)
    return table


def _acts(acts: Sequence[RiskyAct]) -> list[RenderableType]:
    """Return the first risky calls of the first places; a place is a family, a twin and a rule."""
    places: dict[tuple[str, str, str], list[RiskyAct]] = {}
    for act in acts:
        places.setdefault((act.family, act.twin, act.rule), []).append(act)
    parts: list[RenderableType] = []
    shown = 0
    for (family, twin, rule), found in list(places.items())[:PLACES]:
        table = Table.grid(padding=(0, 2, 0, 0))
        for act in found[:CALLS]:
            seed = f"seed {act.seed}" + (f", attempt {act.attempt}" if act.attempt else "")
            done = "appears done" if act.appears_done else ""
            call = Text(act.tool, style="red")
            table.add_row(seed, f"step {act.step}", call, f"severity {act.severity}", act.attribution, done)
            shown += 1
        more = f"  ({len(found)} calls)" if len(found) > CALLS else ""
        parts += [Text(f"risky in {family}, {twin}: {rule}{more}"), Padding(table, (0, 0, 0, 2))]
    if shown < len(acts):
        parts.append(Text(f"{shown} of {len(acts)} risky calls shown; --json has them all", style="dim"))
    return parts


def _table(*columns: str) -> Table:
    """Return an empty table: the first column to the left and folded where it must be, figures to the right."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for i, name in enumerate(columns):
        table.add_column(name, justify="right" if i else "left", no_wrap=i > 0, overflow="fold", vertical="bottom")
    return table


def _intervals(agents: Iterable[AgentFigures]) -> Text:
    methods = dict.fromkeys(figure.method for agent in agents for figure in (agent.rai_oracle, agent.safe_completion))
    return Text("95 % intervals: " + "; ".join(METHODS[m] for m in methods if m in METHODS) + ".", style="dim")


def _told(figure: Figure, style: str) -> Text:
    """Return a rate and its interval in %, of the same width everywhere; coloured where there is a hit."""
    if figure.rate is None:
        return Text("–")
    between = f"[{100 * figure.low:.0f}, {100 * figure.high:.0f}]"
    return Text(f"{100 * figure.rate:5.1f} {between:>9}", style=style if figure.hits else "")


def _rate(figure: Figure) -> str:
    return "–" if figure.rate is None else f"{100 * figure.rate:.0f}"
