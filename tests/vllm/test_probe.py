"""The propensity probe on a real vLLM server: its log-likelihoods are those of the checkpoint, by transformers."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from impress_env.evaluate.probe import KINDS, ProbeConfig, Probed, ProbeReport, probe
from impress_env.model import Completion, ModelError, Sampling
from impress_env.models.openai import chat_messages, chat_tool
from impress_env.models.scorer import Score, VLLMScorer
from impress_env.types import Message, ToolCall, ToolSchema

FAMILIES = ("devops.signal-tuning", "procurement.three-quotes", "software_engineering.ci-scratch-cleanup")
HERE = Path(__file__).parent
NATS = 1e-3


class TransformersScorer:
    """A checkpoint asked directly, in a process of vLLM's environment."""

    name = "transformers"
    template: Mapping[str, Any] = {}

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process, self._turn = process, asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def of(cls, directory: Path) -> AsyncIterator[TransformersScorer]:
        python = Path(os.environ.get("IMPRESS_VLLM") or HERE.parents[1] / ".venv-vllm") / "bin/python"
        process = await asyncio.create_subprocess_exec(
            str(python),
            str(HERE / "transformers_scorer.py"),
            str(directory),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"},
            limit=2**24,
        )
        try:
            yield cls(process)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def score(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], calls: Sequence[ToolCall]
    ) -> list[Score]:
        turns = [Message(role="assistant", calls=(call,)) for call in calls]
        asked = {
            "messages": chat_messages(messages),
            "tools": [chat_tool(tool) for tool in tools],
            "turns": chat_messages(turns),
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._turn:
            self._process.stdin.write(json.dumps(asked).encode() + b"\n")
            await self._process.stdin.drain()
            line = await self._process.stdout.readline()
        assert line, "the process of transformers ended; see its standard error"
        return [Score(log_ps=tuple(one["log_ps"]), context=one["context"]) for one in json.loads(line)]

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Completion:
        raise ModelError("bad_request", "scores only")


@asynccontextmanager
async def scorer_of(server: Any, **options: Any) -> AsyncIterator[VLLMScorer]:
    scorer = VLLMScorer(server.model, url=server.url, **options)
    try:
        await scorer.start(lambda line: None)
        yield scorer
    finally:
        await scorer.aclose()


def probed(server: Any, config: ProbeConfig, **options: Any) -> ProbeReport:
    async def main() -> ProbeReport:
        async with scorer_of(server, **options) as scorer:
            return await probe(config, scorer)

    return asyncio.run(main())


@pytest.fixture(scope="module")
def both(server: Any) -> tuple[ProbeReport, ProbeReport]:
    """Six instances of three families, as vLLM and as transformers score them."""
    config = ProbeConfig(families=FAMILIES, twins=("main",), seeds=2, concurrency=2)

    async def checkpoint() -> ProbeReport:
        async with TransformersScorer.of(Path(server.directory)) as scorer:
            return await probe(config, scorer)

    return probed(server, config), asyncio.run(checkpoint())


def pairs(both: tuple[ProbeReport, ProbeReport]) -> list[tuple[Probed, Probed]]:
    return list(zip(both[0].instances, both[1].instances, strict=True))


def test_log_odds_equal_those_of_the_same_checkpoint_by_transformers(both: tuple[ProbeReport, ProbeReport]) -> None:
    assert [one.failed for report in both for one in report.instances] == [""] * 12
    worst = 0.0
    for served, local in pairs(both):
        assert served.point == local.point
        assert served.context_tokens == local.context_tokens
        for kind in KINDS:
            assert served.candidates[kind].tokens == local.candidates[kind].tokens
        for ours, theirs in (
            (served.risky_honest, local.risky_honest),
            (served.risky_neutral, local.risky_neutral),
        ):
            assert ours is not None
            assert theirs is not None
            worst = max(worst, abs(ours.sum - theirs.sum))
            assert ours.sum == pytest.approx(theirs.sum, abs=NATS)
            assert ours.per_token == pytest.approx(theirs.per_token, abs=NATS / 50)
    print(f"log-odds of {len(both[0].instances)} instances differ by at most {worst:.1e} nats")


def test_the_log_odds_that_are_equal_are_not_equal_for_being_nothing(both: tuple[ProbeReport, ProbeReport]) -> None:
    odds = [one.risky_honest.sum for one in both[0].instances if one.risky_honest is not None]
    assert len(set(odds)) == len(odds)
    assert max(map(abs, odds)) > 100 * NATS


def test_pairs_of_equal_length_are_reported_beside_the_rest(both: tuple[ProbeReport, ProbeReport]) -> None:
    report = both[0]
    matched = [one.risky_honest.sum for one in report.instances if one.risky_honest and one.risky_honest.matched]
    whole = next(group for group in report.groups if group.by == "all")
    assert (whole.instances, whole.families) == (6, 3)
    assert whole.risky_honest.sum.n == 6
    assert whole.risky_honest.matched_sum.n == len(matched) > 0
    assert whole.risky_honest.matched_sum.estimate == pytest.approx(sum(matched) / len(matched))


def test_draws_of_a_real_server_are_counted_beside_the_log_odds(server: Any) -> None:
    config = ProbeConfig(families=FAMILIES[2:], twins=("main",), seeds=1, samples=3, max_tokens=16)
    report = probed(server, config)
    drawn = report.instances[0].drawn
    assert drawn is not None
    assert (drawn.made, drawn.problem) == (3, "")
    assert len(report.checks) == 2


def test_a_context_too_long_for_the_server_is_told_for_its_instance(server: Any) -> None:
    class Endless(VLLMScorer):
        async def score(
            self, messages: Sequence[Message], tools: Sequence[ToolSchema], calls: Sequence[ToolCall]
        ) -> list[Score]:
            long = Message(role="user", content="All of it again, please. " * 20_000)
            return await super().score([*messages, long], tools, calls)

    async def main() -> ProbeReport:
        scorer = Endless(server.model, url=server.url)
        try:
            return await probe(ProbeConfig(families=FAMILIES[2:], twins=("main",), seeds=1), scorer)
        finally:
            await scorer.aclose()

    assert asyncio.run(main()).instances[0].failed.startswith("too_long: ")


def test_a_server_without_that_model_stops_the_probe(server: Any) -> None:
    async def main() -> None:
        async with scorer_of(server) as scorer:
            other = VLLMScorer("no-such-model", url=server.url)
            try:
                await probe(ProbeConfig(families=FAMILIES[2:], seeds=1), other)
            finally:
                await other.aclose()
            assert scorer.name == server.model

    with pytest.raises(ModelError, match="not_found"):
        asyncio.run(main())
