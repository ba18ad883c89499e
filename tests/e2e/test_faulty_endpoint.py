"""Runs against an endpoint that fails at a fifth of its calls: nothing lost, nothing mistaken, every token counted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from impress_env.evaluate.run import EvalConfig, Means, open_run, run
from impress_env.evaluate.store import RunFile, Spending
from impress_env.model import Failure, Usage
from impress_env.models.wrappers import Patience
from impress_env.records import Trajectory
from impress_env.taxonomy import VERDICTS
from impress_env.testing.endpoint import Account, Faults, FaultyEndpoint, call_tools

POLICY = call_tools("mail__inbox", "files__list", "people__search", finish="work__finish", after=4)
FAMILIES = ("devops.signal-tuning", "people_hr.transfer-pay-pack")
IMPATIENT = Patience(requests=5, first_wait=0.01, longest_wait=0.05)


def run_against(
    out: Path,
    faults: Faults,
    agents: Sequence[str],
    *,
    seeds: int = 5,
    attempts: int = 1,
    means: Means | None = None,
    twins: tuple[str, ...] = ("main",),
) -> tuple[list[Trajectory], Spending, Account]:
    """Run agents (with URL in place of the endpoint) and return what is stored and what the endpoint counted."""

    async def main() -> Account:
        async with FaultyEndpoint(POLICY, faults=faults) as server:
            told = tuple(agent.replace("URL", server.url) for agent in agents)
            config = EvalConfig(agents=told, families=FAMILIES, twins=twins, seeds=seeds, attempts=attempts)
            with open_run(config, out, resume=False) as store:
                await run(store, means=means or Means(concurrency=32, patience=IMPATIENT))
            await asyncio.sleep(0.1)  # the endpoint's own side of connections that were given up
            return server.account

    account = asyncio.run(main())
    with RunFile.open(out) as store:
        found = [trajectory for _, trajectory in store.trajectories()]
        return found, store.spending(), account


def test_of_500_episodes_with_a_fifth_of_the_calls_faulty_none_is_lost_or_mistaken(tmp_path: Path) -> None:
    agents = ("openai:m@URL?timeout=4&price=1,2", "anthropic:m@URL?timeout=4&price=3,4")
    found, spent, account = run_against(
        tmp_path / "run.sqlite", Faults(rate=0.2, seed=1, hang=2.0), agents, seeds=25, attempts=5
    )
    assert len(found) == 500
    assert {trajectory.end.verdict for trajectory in found} <= set(VERDICTS)
    for trajectory in found:
        end = trajectory.end
        if end.failure:
            assert end.failure.startswith("ModelError: ")
            assert end.verdict in ("error", "risky")
            assert not end.safe_completion
        else:
            assert end.ended
    assert account.faults.total() > 300
    assert spent.requests == account.requests.total()
    usage = Usage(input=spent.input, output=spent.output, cached=spent.cached, cache_write=spent.cache_write)
    assert usage == account.usage
    assert spent.unknown == account.unseen
    assert spent.nano_usd == _money(tmp_path / "run.sqlite")
    assert spent.unpriced == 0


def _money(path: Path) -> int:
    with RunFile.open(path) as store:
        by_agent = store.spending_by_agent()
    prices = {"openai": (1_000, 2_000), "anthropic": (3_000, 4_000)}
    total = 0
    for agent, spent in by_agent.items():
        before, after = prices[agent.partition(":")[0]]
        total += spent.input * before + spent.output * after
    return total


@pytest.mark.parametrize(
    ("kind", "failure"),
    [
        ("server_error", "server"),
        ("rate_limit", "rate_limited"),
        ("rate_limit_ms", "rate_limited"),
        ("rate_limit_bare", "rate_limited"),
        ("overloaded", "overloaded"),
        ("reset", "disconnected"),
        ("reset_late", "disconnected"),
        ("cut_body", "disconnected"),
        ("cut_stream", "disconnected"),
        ("hang", "timeout"),
        ("invalid_json", "invalid_response"),
        ("html", "invalid_response"),
        ("empty_choices", "invalid_response"),
        ("echo", "server"),
    ],
)
@pytest.mark.parametrize("agent", ["openai:m@URL?timeout=0.2", "openai:m@URL?api=responses&timeout=0.2",
                                   "anthropic:m@URL?timeout=0.2"])  # fmt: skip
def test_an_endpoint_that_always_fails_gives_errors_by_name(
    tmp_path: Path, agent: str, kind: str, failure: Failure
) -> None:
    means = Means(concurrency=8, patience=Patience(requests=2, first_wait=0.001, longest_wait=0.002))
    faults = Faults(rate=1.0, kinds=(kind,), hang=1.0, retry_after=0.001)  # type: ignore[arg-type]
    found, spent, account = run_against(tmp_path / "run.sqlite", faults, (agent,), seeds=1, means=means)
    for trajectory in found:
        assert trajectory.end.verdict == "error"
        assert trajectory.end.failure.startswith(f"ModelError: {failure}: ")
        assert not trajectory.steps
    assert (spent.calls, spent.failed, spent.requests) == (0, 2, 4)
    assert spent.unknown == account.unseen
    assert spent.input == account.usage.input


@pytest.mark.parametrize(
    "kind",
    ["broken_arguments", "unknown_tool", "duplicate_ids", "no_usage", "huge", "length", "content_filter", "refusal"],
)
@pytest.mark.parametrize(
    "agent", ["openai:m@URL", "openai:m@URL?api=responses", "anthropic:m@URL", "react/openai:m@URL"]
)
def test_a_model_that_misbehaves_plays_its_episodes_to_an_end(tmp_path: Path, agent: str, kind: str) -> None:
    faults = Faults(rate=0.5, kinds=(kind,), seed=2)  # type: ignore[arg-type]
    found, spent, account = run_against(tmp_path / "run.sqlite", faults, (agent,), seeds=3)
    assert len(found) == 6
    assert all(trajectory.end.ended or trajectory.end.failure for trajectory in found)
    assert spent.input == account.usage.input
    assert spent.unknown == account.unseen
