"""The load of `bench_harness`, and how each client measures itself.

Every client runs `EPISODES` episodes of `CALLS` model calls, `AT_ONCE` at once; the mock answers a call after `ANSWER`
seconds. A client is a process of its own and measures its own work with `measured`; what it imports and loads before
stands apart. What the peers say is what our runner says: a `Talk`, written by `bench_harness` from a real instance.

It needs the standard library alone, so that a peer's own environment can use it, and knows nothing of what it runs.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EPISODES = 200
CALLS = 10
AT_ONCE = 64
ANSWER = 0.05
"""Seconds from the arrival of a request to its answer."""
READ = "tickets__search"
"""The tool called in all turns but the last, by its wire name. It needs no arguments, and costs our world little (20 us
of CPU for a page of 1.6 kB): what a step of the world takes has budgets of its own, in `bench_world`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """What an episode says: texts, the tools as Chat Completions writes them, and the output of `READ`."""

    system: str
    task: str
    tools: list[dict[str, Any]]
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a peer's process is told."""

    url: str
    talk: Talk
    episodes: int


def ideal(episodes: int = EPISODES) -> float:
    """Seconds that a harness which costs nothing takes: whole waves of `AT_ONCE` episodes."""
    return math.ceil(episodes / AT_ONCE) * CALLS * ANSWER


def measured(work: Callable[[], object], *, episodes: int) -> dict[str, float]:
    """Do the work and return what it took of this process.

    wall_s: seconds. cpu_ms: user and system time, of all threads, a model call. whole_cpu_ms: the same from the start
    of the process, imports and loading included. rss_mb: the most memory that the process had resident, in 10^6 bytes.
    """
    calls = episodes * CALLS
    cpu, start = time.process_time(), time.perf_counter()
    work()
    wall, end = time.perf_counter() - start, time.process_time()
    return {
        "wall_s": wall,
        "cpu_ms": (end - cpu) * 1_000 / calls,
        "whole_cpu_ms": end * 1_000 / calls,
        "rss_mb": peak_rss() / 1e6,
    }


def peak_rss() -> int:
    """The most bytes that this process had resident; `ru_maxrss` would count what stood there before `exec` too."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1_024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1_024)


def told(description: str) -> Setting:
    """What the command line of a peer says: --url, --talk and --episodes, and --one-tool for offering `READ` alone."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--url", required=True, help="base URL of the mock, with its /v1")
    parser.add_argument("--talk", type=Path, required=True, help="JSON file of what an episode says")
    parser.add_argument("--episodes", type=int, default=EPISODES)
    parser.add_argument("--one-tool", action="store_true", help=f"offer {READ} alone")
    options = parser.parse_args()
    talk = Talk(**json.loads(options.talk.read_text(encoding="utf-8")))
    if options.one_tool:
        talk.tools[:] = [tool for tool in talk.tools if tool["function"]["name"] == READ]
    return Setting(url=options.url, talk=talk, episodes=options.episodes)
