"""A run's report for people at a terminal, whole at 100 columns. `impress report --json` has the same figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich import box
from rich.bar import Bar
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from impress_env.evaluate.metrics import AgentFigures, Figure, RiskyAct, TwinFigures
from impress_env.evaluate.stats import METHODS

NO_VERDICT: Final = "no\nverdict"
ERRORS: Final = "errors"
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
    ranked = sorted(agents, key=lambda agent: -(agent.safe_completion.rate or 0.0))
    main, legitimate = ([_twin(agent, name) for agent in ranked] for name in ("main", "legitimate"))
    effects = [agent.motive_effect for agent in ranked]
    return _table(
        {
            "agent": [Text(agent.agent, style="bold cyan") for agent in ranked],
            "RAI": [_told(agent.rai_oracle, "red") for agent in ranked],
            "safe completion": [_told(agent.safe_completion, "green") for agent in ranked],
            "exposed": [_rate(twin.exposed) if twin else "–" for twin in main],
            "motive\neffect": [
                "–" if e is None or e.difference is None else f"{100 * e.difference:+.0f}" for e in effects
            ],
            "over-\nrefusal": [_rate(twin.over_refusal) if twin else "–" for twin in legitimate],
            NO_VERDICT: [str(twin.incomplete) if twin else "–" for twin in main],
            ERRORS: [str(sum(twin.errors for twin in agent.twins)) for agent in ranked],
        }
    )


def _twin(agent: AgentFigures, name: str) -> TwinFigures | None:
    return next((twin for twin in agent.twins if twin.twin == name), None)


def _agent(agent: AgentFigures) -> list[RenderableType]:
    parts: list[RenderableType] = [Text(agent.agent, style="bold cyan"), _twins(agent.twins)]
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


def _twins(twins: Sequence[TwinFigures]) -> Table:
    return _table(
        {
            "twin": [twin.twin for twin in twins],
            "n": [str(twin.episodes) for twin in twins],
            "RAI": [_told(twin.rai_oracle, "red") for twin in twins],
            "safe completion": [_told(twin.safe_completion, "green") for twin in twins],
            "exposed": [_rate(twin.exposed) for twin in twins],
            "appears\ndone": [_rate(twin.appears_done) for twin in twins],
            "truly\ndone": [_rate(twin.truly_done) for twin in twins],
            NO_VERDICT: [str(twin.incomplete) for twin in twins],
            ERRORS: [str(twin.errors) for twin in twins],
        }
    )


def _breakdown(agent: AgentFigures) -> Table:
    rows = [
        ("" if i else name, value, figure)
        for name in ("family", "motive", "risk", "domain")
        for i, (value, figure) in enumerate(agent.by[name].items())
    ]
    table = _table(
        {
            "main by": [name for name, _, _ in rows],
            "value": [value for _, value, _ in rows],
            "risky": [f"{figure.hits}/{figure.n}" for _, _, figure in rows],
            "RAI": [_told(figure, "red") for _, _, figure in rows],
            "": [Bar(1, 0, figure.rate or 0.0, width=8, color="red") for _, _, figure in rows],
        }
    )
    table.columns[1].justify, table.columns[1].no_wrap = "left", False
    return table


def _acts(acts: Sequence[RiskyAct]) -> list[RenderableType]:
    """Return the first risky calls of the first places, those on main before others."""
    places: dict[str, list[RiskyAct]] = {}
    for act in sorted(acts, key=lambda act: act.twin != "main"):
        places.setdefault(f"{act.family}, {act.twin}: {act.rule}, severity {act.severity}", []).append(act)
    parts: list[RenderableType] = []
    shown = 0
    for place, found in list(places.items())[:PLACES]:
        table = Table.grid(padding=(0, 2, 0, 0))
        for act in found[:CALLS]:
            seed = f"seed {act.seed}" + (f", attempt {act.attempt}" if act.attempt else "")
            done = "appears done" if act.appears_done else ""
            call = Text(act.tool, style="red")
            table.add_row(seed, f"step {act.step}", call, act.attribution, done)
            shown += 1
        more = f"  ({len(found)} calls)" if len(found) > CALLS else ""
        parts += [Text(f"risky in {place}{more}"), Padding(table, (0, 0, 0, 2))]
    if shown < len(acts):
        parts.append(Text(f"{shown} of {len(acts)} risky calls shown; --json has them all", style="dim"))
    return parts


def _table(columns: dict[str, list[Any]]) -> Table:
    """Return a table: names to the left, figures to the right, counts of failures only where there are any."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    shown = {
        name: cells for name, cells in columns.items() if name not in (NO_VERDICT, ERRORS) or set(cells) - {"0", "–"}
    }
    for i, name in enumerate(shown):
        table.add_column(name, justify="right" if i else "left", no_wrap=i > 0, overflow="fold", vertical="bottom")
    for row in zip(*shown.values(), strict=True):
        table.add_row(*row)
    return table


def _intervals(agents: Iterable[AgentFigures]) -> Text:
    methods = dict.fromkeys(figure.method for agent in agents for figure in (agent.rai_oracle, agent.safe_completion))
    told = "; ".join(METHODS[method] for method in methods if method in METHODS)
    return Text(f"95 % intervals: {told}." if told else "nothing to tell yet", style="dim")


def _told(figure: Figure, style: str) -> Text:
    """Return a rate and its interval in %, of the same width everywhere; coloured where there is a hit."""
    if figure.rate is None:
        return Text("–")
    between = f"[{100 * figure.low:.0f}, {100 * figure.high:.0f}]"
    return Text(f"{100 * figure.rate:5.1f} {between:>9}", style=style if figure.hits else "")


def _rate(figure: Figure) -> str:
    return "–" if figure.rate is None else f"{100 * figure.rate:.0f}"
