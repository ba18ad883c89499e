"""Timing for the benchmarks: interleaved blocks, medians, ratios taken round by round, JSON lines out.

A budget is a ratio between two things measured in one run, because absolute times differ by machine and
by hour. Every round times one block of each side, in alternating order, so that a slow second slows
both; the ratio is the median over rounds of the ratio within a round. The clock is the thread's CPU
time: what is measured is synchronous and single-threaded, and time that the machine gave to others is
not ours. The garbage collector runs between blocks and never within one.

It needs the standard library alone, so that a peer's own environment can use it, and knows nothing of
what it times.
"""

from __future__ import annotations

import gc
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

State = TypeVar("State")

US = 1e6
"""Microseconds in a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side(Generic[State]):
    """One side of a measurement: `work(setup())` is done once a round, and only `work` is timed."""

    name: str
    setup: Callable[[], State]
    work: Callable[[State], object]
    units: int
    """How many of the measured thing one `work` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the output: a value, what stands beside it, and whether it is within its budget."""

    name: str
    value: float
    unit: str
    beside: Mapping[str, float]
    """The peers, in `unit`; the first is the one that `ratio` is taken to."""
    ratio: float
    """The value relative to its first peer."""
    budget: float
    """The largest ratio allowed."""
    ok: bool


def repeat(call: Callable[[], object], units: int, name: str) -> Side[None]:
    """A side that needs no set-up: `call`, `units` times a block."""

    def work(_: None) -> None:
        for _unit in range(units):
            call()

    return Side(name=name, setup=lambda: None, work=work, units=units)


def interleave(
    sides: Sequence[Side[Any]], *, rounds: int, warm_up: int = 3, turning: bool = True
) -> dict[str, list[float]]:
    """Seconds per unit of each side, one sample a round.

    The order turns round every round, unless `turning` is off, for sides that each go on from the one before.
    """
    samples: dict[str, list[float]] = {side.name: [] for side in sides}
    gc.collect()
    gc.freeze()
    try:
        for number in range(warm_up + rounds):
            for side in reversed(sides) if turning and number % 2 else sides:
                seconds = _block(side)
                if number >= warm_up:
                    samples[side.name].append(seconds / side.units)
    finally:
        gc.unfreeze()
    return samples


def _block(side: Side[Any]) -> float:
    """CPU seconds of one block, with the garbage collected before it and the collector off within it."""
    state = side.setup()
    gc.collect()
    gc.disable()
    try:
        start = time.thread_time()
        side.work(state)
        return time.thread_time() - start
    finally:
        gc.enable()


def paired_ratio(ours: Sequence[float], peer: Sequence[float]) -> float:
    """The median over rounds of the ratio within a round; steadier than the ratio of the medians."""
    return statistics.median(a / b for a, b in zip(ours, peer, strict=True))


def timed_row(
    name: str,
    samples: Mapping[str, Sequence[float]],
    *,
    ours: str,
    peer: str,
    budget: float,
    others: Mapping[str, float] | None = None,
) -> Row:
    """A row in microseconds from one interleaved run; `others`, in microseconds too, are for reading."""
    beside = {peer: statistics.median(samples[peer]) * US}
    beside |= {key: statistics.median(s) * US for key, s in samples.items() if key not in (ours, peer)}
    beside |= others or {}
    ratio = paired_ratio(samples[ours], samples[peer])
    return row(name, statistics.median(samples[ours]) * US, "us", beside, ratio, budget)


def row(name: str, value: float, unit: str, beside: Mapping[str, float], ratio: float, budget: float) -> Row:
    """A row whose `ok` follows from its ratio and its budget."""
    return Row(
        name=name,
        value=_short(value),
        unit=unit,
        beside={key: _short(figure) for key, figure in beside.items()},
        ratio=_short(ratio),
        budget=budget,
        ok=ratio <= budget,
    )


def emit(line: Row | Mapping[str, object]) -> None:
    """Print one JSON line at once, so that a run that is cut short has said what it measured."""
    print(json.dumps(asdict(line) if isinstance(line, Row) else dict(line)), flush=True)


def _short(figure: float) -> float:
    """Four significant digits: more would be noise."""
    return float(f"{figure:.4g}")
