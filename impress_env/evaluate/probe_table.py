"""A probe's report for people at a terminal, whole at 120 columns. The JSON has the same figures and more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from rich import box
from rich.console import Group as Stack
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from impress_env.evaluate.means import MEAN_METHODS, Mean
from impress_env.evaluate.probe import Contrast, Group, Odds, ProbeReport

ODDS: Final = ("risky − honest", "a token", "of equal length", "n", "risky −\nneutral")
DRAWN: Final = "risky\ndrawn"
SHOWN: Final = 5  # reasons of failure
NOTE: Final = (
    "Mean log-odds in nats, [95 % interval]: above 0 the model finds the risky call likelier. Sums grow with the "
    "length of the calls; log-odds a token, and sums over pairs of equal length (within a tenth, or two tokens), do "
    "not. n/fam.: instances and families. Main minus null_motive is the motive's effect. Families are structurally "
    "certified only."
)


def table(found: ProbeReport) -> RenderableType:
    """Return a report for a terminal."""
    parts: list[RenderableType] = [Text(_title(found), style="bold"), Text(NOTE, style="dim"), Text()]
    overall = [group for group in found.groups if group.by == "all"]
    parts += [_overall(overall), Text()]
    contrasts = [one for one in found.contrasts if one.by == "all"]
    if contrasts:
        parts += [_contrasts(contrasts), Text()]
    main = [group for group in found.groups if group.by != "all" and group.twin == "main"]
    if main:
        parts += [_breakdown(main), Text()]
    parts += [Text(check.sentence, style="" if check.agrees else "yellow") for check in found.checks]
    failures = Counter(row.failed for row in found.instances if row.failed)
    parts += [Text(f"not measured: {count} × {reason}", style="red") for reason, count in failures.most_common(SHOWN)]
    draws = Counter(row.drawn.problem for row in found.instances if row.drawn is not None and row.drawn.failed)
    parts += [Text(f"draws failed in {count} × {reason}", style="red") for reason, count in draws.most_common(SHOWN)]
    dropped = sum(1 for row in found.instances if row.dropped)
    if dropped:
        parts.append(Text(f"in {dropped} instances the end of the generation prompt (a thinking block that it opens) "
                          "is not in the calls' context", style="yellow"))  # fmt: skip
    methods = dict.fromkeys(group.risky_honest.sum.method for group in found.groups)
    parts.append(Text(f"95 % intervals: {'; '.join(MEAN_METHODS[method] for method in methods)}.", style="dim"))
    return Stack(*parts)


def _title(found: ProbeReport) -> str:
    framing = ", ".join(f"{factor}={level}" for factor, level in found.config.framing.items())
    there = len(found.instances) - found.failed
    return f"propensity probe of {found.model}: {there} instances" + (f", framing {framing}" if framing else "")


def _overall(groups: Sequence[Group]) -> Table:
    drawn = any(group.draws for group in groups)
    shown = _empty(("twin",), ("n/fam.", *ODDS, *((DRAWN,) if drawn else ())))
    for group in groups:
        cells = [group.twin, f"{group.instances}/{group.families}", *_cells(group.risky_honest, group.risky_neutral)]
        shown.add_row(*cells, *([_share(group)] if drawn else []))
    return shown


def _contrasts(contrasts: Sequence[Contrast]) -> Table:
    shown = _empty(("main minus",), ("n/fam.", *ODDS))
    for one in contrasts:
        shown.add_row(one.over, f"{one.pairs}/{one.families}", *_cells(one.risky_honest, one.risky_neutral))
    return shown


def _breakdown(groups: Sequence[Group]) -> Table:
    drawn = any(group.draws for group in groups)
    shown = _empty(
        ("main by", "value"), ("n/fam.", "risky − honest", "of equal length", "n", *((DRAWN,) if drawn else ()))
    )
    before = ""
    for group in groups:
        odds = group.risky_honest
        cells = ["" if group.by == before else group.by, group.value, f"{group.instances}/{group.families}"]
        cells += [_interval(odds.sum), _interval(odds.matched_sum), str(odds.matched_sum.n)]
        shown.add_row(*cells, *([_share(group)] if drawn else []))
        before = group.by
    return shown


def _empty(labels: Sequence[str], figures: Sequence[str]) -> Table:
    shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for label in labels:
        shown.add_column(label, vertical="bottom", no_wrap=True)
    for figure in figures:
        shown.add_column(figure, justify="right", vertical="bottom", no_wrap=True)
    return shown


def _cells(honest: Odds, neutral: Odds) -> list[str]:
    matched = honest.matched_sum
    mean = neutral.sum.estimate
    return [
        _interval(honest.sum),
        _interval(honest.per_token, digits=2),
        _interval(matched),
        str(matched.n),
        "–" if mean is None else f"{mean:+z.1f}",
    ]


def _share(group: Group) -> str:
    share = group.draws.risky_share.estimate if group.draws is not None else None
    return "–" if share is None else f"{100 * share:.0f} %"


def _interval(mean: Mean, digits: int = 1) -> str:
    if mean.estimate is None:
        return "–"
    if mean.low is None or mean.high is None:
        return f"{mean.estimate:+z.{digits}f}"
    return f"{mean.estimate:+z.{digits}f} [{mean.low:+z.{digits}f}, {mean.high:+z.{digits}f}]"
