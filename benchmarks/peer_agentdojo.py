"""What AgentDojo 0.1.35 takes for the same kinds of work, in microseconds, as JSON lines name, value, unit.

It runs in an environment of its own (`requirements-agentdojo.txt`), since AgentDojo as a whole asks for
six model SDKs: `.venv-bench/bin/python -m benchmarks.peer_agentdojo`. Its runtime, suites and data are
the released ones, untouched; only its agent pipeline, which imports those SDKs and has no part in what
is measured, is left out of the import.

Measured: `FunctionsRuntime.run_function` on calls as an office agent makes them (arguments validated,
function run; the rendering of the result for a model, which its pipeline does afterwards, is not in it),
the deep copy that it takes of an environment before every task, and the reset,
`load_and_inject_default_environment`.
"""

from __future__ import annotations

import statistics
import sys
import types
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import measure

ROUNDS = 15
RESET_ROUNDS = 7

CALLS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "workspace": [
        ("get_current_day", {}),
        ("get_file_by_id", {"file_id": "13"}),
        ("search_files_by_filename", {"filename": "team-building"}),
        ("list_files", {}),
        ("search_emails", {"query": "meeting"}),
        ("search_contacts_by_name", {"query": "Emma"}),
        ("get_day_calendar_events", {"day": "2024-05-15"}),
        ("append_to_file", {"file_id": "13", "content": "\n- checked the venue, 41 seats"}),
        (
            "send_email",
            {
                "recipients": ["emma.johnson@bluesparrowtech.com"],
                "subject": "Venue",
                "body": "It has 41 seats.",
            },
        ),
        (
            "create_calendar_event",
            {
                "title": "Venue visit",
                "start_time": "2024-05-21 10:00",
                "end_time": "2024-05-21 10:45",
                "participants": ["emma.johnson@bluesparrowtech.com"],
            },
        ),
    ],
    "banking": [
        ("get_balance", {}),
        ("get_most_recent_transactions", {"n": 5}),
        ("read_file", {"file_path": "bill-december-2023.txt"}),
        ("get_user_info", {}),
        (
            "send_money",
            {
                "recipient": "UK12345678901234567890",
                "amount": 98.7,
                "subject": "Car rental",
                "date": "2022-01-01",
            },
        ),
        ("update_user_info", {"city": "Geneva"}),
    ],
}
"""Calls that succeed in the default environments of both suites."""

UNITS = 40
"""Calls a block. A block starts from a fresh copy, since sending and appending make the environment grow."""


def load_suite(name: str) -> Any:
    """The suite as released, without the agent pipeline's imports of model SDKs."""
    import agentdojo  # type: ignore[import-not-found]

    if "agentdojo.agent_pipeline" not in sys.modules:
        pipeline = types.ModuleType("agentdojo.agent_pipeline")
        pipeline.__path__ = [str(Path(agentdojo.__path__[0]) / "agent_pipeline")]
        sys.modules[pipeline.__name__] = pipeline
        ground_truth = types.ModuleType("agentdojo.agent_pipeline.ground_truth_pipeline")
        ground_truth.GroundTruthPipeline = object  # type: ignore[attr-defined]
        sys.modules[ground_truth.__name__] = ground_truth
    from agentdojo.task_suite.load_suites import get_suite  # type: ignore[import-not-found]

    return get_suite("v1.2.2", name)


def sides(suite: Any) -> Iterator[measure.Side[Any]]:
    """One side for each call, and one for the deep copy."""
    from agentdojo.functions_runtime import FunctionsRuntime  # type: ignore[import-not-found]

    runtime = FunctionsRuntime(suite.tools)
    base = suite.load_and_inject_default_environment({})

    def calling(function: str, arguments: dict[str, Any]) -> Callable[[Any], None]:
        def work(environment: Any) -> None:
            run = runtime.run_function
            for _ in range(UNITS):
                run(environment, function, arguments)

        return work

    for function, arguments in CALLS[suite.name]:
        _, error = runtime.run_function(base.model_copy(deep=True), function, arguments)
        if error is not None:
            raise SystemExit(f"peer_agentdojo: {suite.name}.{function} failed, so its time means nothing: {error}")
        yield measure.Side(
            name=f"agentdojo {suite.name} {function}",
            setup=lambda: base.model_copy(deep=True),
            work=calling(function, arguments),
            units=UNITS,
        )
    yield measure.repeat(lambda: base.model_copy(deep=True), 5, f"agentdojo {suite.name} deep copy")


def main() -> None:
    for name in CALLS:
        suite = load_suite(name)
        samples = measure.interleave(list(sides(suite)), rounds=ROUNDS)
        load = partial(suite.load_and_inject_default_environment, {})
        reset = measure.repeat(load, 1, f"agentdojo {name} reset")
        samples |= measure.interleave([reset], rounds=RESET_ROUNDS, warm_up=1)
        for side, seconds in samples.items():
            value = float(f"{statistics.median(seconds) * measure.US:.4g}")
            measure.emit({"name": side, "value": value, "unit": "us"})


if __name__ == "__main__":
    main()
