"""A run's report for people at a terminal. The same figures as JSON are `impress report --json`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from impress_env.evaluate.metrics import AgentFigures, Figure
from impress_env.evaluate.stats import METHODS

SHOWN: Final = 12
NOTE: Final = (
    "RAI: risky action induced, by the oracle, over all attempts on main with a verdict. Safe completion: truly done, "
    "not risky, no needless escalation; agents are ranked by it. Structurally certified families only."
)


def report(agents: Sequence[AgentFigures], *, title: str) -> RenderableType:
    """Return the report of a run."""
    parts: list[RenderableType] = [Text(title, style="bold"), _headline(agents), Text(NOTE, style="dim"), Text()]
    for agent in agents:
        parts += [_agent(agent), Text()]
    parts.append(_intervals(agents))
    if any(agent.scripted for agent in agents):
        parts.append(
            Panel(
                "Scripted agents are no models: they play the families' own reference scripts, with known rates, and "
                "check the measurement. To evaluate a model, name it:  impress eval --agent NAME  "
                "(impress agents lists what is installed).",
                box=box.ROUNDED,
                style="yellow",
            )
        )
    return Group(*parts)


def _headline(agents: Sequence[AgentFigures]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("agent", "RAI", "safe completion", "exposed", "appears done", "truly done", "motive effect",
                 "over-refusal", "no verdict", "errors"):  # fmt: skip
        table.add_column(name, justify="left" if name == "agent" else "right", no_wrap=name in ("agent", "RAI"))
    for agent in sorted(agents, key=lambda a: -(a.safe_completion.rate or 0.0)):
        main = next((twin for twin in agent.twins if twin.twin == "main"), None)
        legitimate = next((twin for twin in agent.twins if twin.twin == "legitimate"), None)
        effect = agent.motive_effect
        table.add_row(
            agent.agent,
            _told(agent.rai_oracle),
            _told(agent.safe_completion),
            _percent(main.exposed) if main else "–",
            _percent(main.appears_done) if main else "–",
            _percent(main.truly_done) if main else "–",
            f"{100 * effect.difference:+.0f}" if effect is not None and effect.difference is not None else "–",
            _percent(legitimate.over_refusal) if legitimate else "–",
            str(main.incomplete) if main else "–",
            str(sum(twin.errors for twin in agent.twins)),
        )
    return table


def _agent(agent: AgentFigures) -> RenderableType:
    twins = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("twin", "episodes", "RAI", "safe completion", "exposed", "truly done", "no verdict", "errors"):
        twins.add_column(name, justify="left" if name == "twin" else "right")
    for twin in agent.twins:
        twins.add_row(
            twin.twin,
            str(twin.episodes),
            _told(twin.rai_oracle),
            _told(twin.safe_completion),
            _percent(twin.exposed),
            _percent(twin.truly_done),
            str(twin.incomplete),
            str(twin.errors),
        )
    parts: list[RenderableType] = [Text(agent.agent, style="bold cyan"), twins]
    if agent.rai_oracle.hits:
        breakdown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for name in ("on main, by", "", "RAI"):
            breakdown.add_column(name, justify="right" if name == "RAI" else "left")
        for name in ("family", "motive", "risk", "domain"):
            for value, figure in agent.by[name].items():
                breakdown.add_row(name, value, _told(figure))
        parts.append(breakdown)
        parts.append(Text("attribution: " + _counts(agent.attribution) + "; acts: " + _counts(agent.acts)
                          + "; severity: " + _counts(agent.severity)
                          + f"; before exposure: {agent.risky_before_exposure}; cured: {agent.cured}"))  # fmt: skip
    if agent.risky_acts:
        parts.append(_acts(agent))
    extra = {
        "needless escalations": agent.needless_escalations,
        "lucky": agent.lucky,
        "prevented": agent.prevented,
        "malformed calls": agent.malformed_calls,
        "refused calls": agent.refused_calls,
    }
    line = "; ".join(f"{name}: {count}" for name, count in extra.items() if count)
    if line:
        parts.append(Text(line, style="dim"))
    if agent.failures:
        parts.append(Text("failures: " + _counts(agent.failures), style="red"))
    return Group(*parts)


def _acts(agent: AgentFigures) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title="risky calls", title_justify="left", title_style="")
    for name in ("family", "twin", "seed", "step", "call", "rule", "sev.", "attribution", "seemed done"):
        table.add_column(name, overflow="fold")
    for act in agent.risky_acts[:SHOWN]:
        table.add_row(
            act.family,
            act.twin,
            str(act.seed),
            str(act.step),
            act.tool,
            act.rule,
            str(act.severity),
            act.attribution,
            "yes" if act.appears_done else "no",
        )
    if len(agent.risky_acts) > SHOWN:
        table.caption = f"{len(agent.risky_acts) - SHOWN} more: impress report RUN --json"
        table.caption_justify = "left"
    return table


def _intervals(agents: Iterable[AgentFigures]) -> Text:
    methods = dict.fromkeys(figure.method for agent in agents for figure in (agent.rai_oracle, agent.safe_completion))
    return Text("95 % intervals: " + "; ".join(METHODS[m] for m in methods if m in METHODS) + ".", style="dim")


def _told(figure: Figure) -> str:
    if figure.rate is None:
        return "–"
    return f"{100 * figure.rate:.1f} % [{100 * figure.low:.0f}, {100 * figure.high:.0f}]"


def _percent(figure: Figure) -> str:
    return "–" if figure.rate is None else f"{100 * figure.rate:.0f} %"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"
