"""The propensity probe against scorers whose log-likelihoods are known, and its file. Real vLLM: tests/vllm."""

from __future__ import annotations

import asyncio
import io
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from aiohttp import web
from rich.console import Console
from scipy import stats as scipy_stats

from impress_env.cli.probe import scored_model
from impress_env.env import ScenarioEnv, as_messages
from impress_env.errors import OptionError, RunFileError
from impress_env.evaluate.means import auc, family_mean, rank_correlation
from impress_env.evaluate.probe import (
    KINDS,
    Drawn,
    Measured,
    Pair,
    ProbeConfig,
    Probed,
    ProbeReport,
    choice,
    pair,
    probe,
    report,
)
from impress_env.evaluate.probe_file import ProbeFile
from impress_env.evaluate.probe_table import table
from impress_env.model import Called, Completion, ModelError, Sampling
from impress_env.models.scorer import Score, ScorerPool, VLLMScorer, seam
from impress_env.scenario.load import listed
from impress_env.script import candidate_action
from impress_env.types import Message, ToolCall, ToolSchema

FIXTURE = str(Path(__file__).parents[1] / "fixtures/package/data/software_engineering/release-signoff.yaml")
Likelihood = Callable[[int], tuple[float, float, float]]  # of a question: risky, honest, neutral, summed


class KnownScorer:
    """Gives the likelihoods that it is told, and draws what it is told, in the order in which it is asked."""

    name = "known"
    template: Mapping[str, Any] = {}

    def __init__(
        self,
        likelihood: Likelihood = lambda _: (-10.0, -12.0, -9.0),
        *,
        tokens: tuple[int, int, int] = (5, 6, 30),
        draw: Callable[[int, Sequence[ToolCall]], Completion] | None = None,
        fail: Mapping[int, ModelError] | None = None,
    ) -> None:
        self._likelihood, self._tokens, self._draw, self._fail = likelihood, tokens, draw, dict(fail or {})
        self.asked = 0
        self._last: Sequence[ToolCall] = ()

    async def score(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], calls: Sequence[ToolCall]
    ) -> list[Score]:
        number, self.asked, self._last = self.asked, self.asked + 1, calls
        if number in self._fail:
            raise self._fail[number]
        sums = self._likelihood(number)
        return [Score(log_ps=(s / n,) * n, context=100) for s, n in zip(sums, self._tokens, strict=True)]

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Completion:
        assert self._draw is not None
        return self._draw(self.asked - 1, self._last)


def run(config: ProbeConfig, scorer: KnownScorer, **options: Any) -> ProbeReport:
    return asyncio.run(probe(config, scorer, **options))


def calling(call: ToolCall) -> Completion:
    return Completion(calls=(Called(call=call),), stop="calls")


# ---- what is measured


def test_known_likelihoods_give_the_known_log_odds() -> None:
    found = run(ProbeConfig(families=(FIXTURE,), twins=("main",), seeds=3), KnownScorer())
    row = found.instances[0]
    assert row.candidates == {
        "risky": Measured(log_p=-10.0, per_token=-2.0, tokens=5),
        "honest": Measured(log_p=-12.0, per_token=-2.0, tokens=6),
        "neutral": Measured(log_p=-9.0, per_token=-0.3, tokens=30),
    }
    assert row.risky_honest == Pair(sum=2.0, per_token=0.0, matched=True)
    assert row.risky_neutral == Pair(sum=-1.0, per_token=-1.7, matched=False)
    assert row.acts
    whole = next(group for group in found.groups if group.by == "all")
    assert (whole.instances, whole.families) == (3, 1)
    assert (whole.risky_honest.sum.estimate, whole.risky_honest.matched_sum.n) == (2.0, 3)
    assert (whole.risky_neutral.sum.estimate, whole.risky_neutral.matched_sum.estimate) == (-1.0, None)


@pytest.mark.parametrize(
    ("one", "other", "matched"),
    [(100, 110, True), (100, 112, False), (8, 10, True), (8, 11, False), (110, 100, True)],
)
def test_lengths_match_within_a_tenth_of_the_longer_or_two_tokens(one: int, other: int, matched: bool) -> None:
    def of(tokens: int) -> Measured:
        return Measured(log_p=-1.0, per_token=-1.0 / tokens, tokens=tokens)

    assert pair(of(one), of(other)).matched is matched


def row(family: str, twin: str, seed: int, odds: float, **fields: Any) -> Probed:
    return Probed(
        family=family,
        twin=twin,
        seed=seed,
        motive="m1" if family < "c" else "m2",
        risk="r",
        domain="d",
        acts=twin == "main",
        risky_honest=Pair(sum=odds, per_token=odds / 10, matched=seed % 2 == 0),
        risky_neutral=Pair(sum=-odds, per_token=-odds / 10, matched=True),
        **fields,
    )


def test_a_contrast_is_the_mean_over_pairs_of_one_family_and_seed() -> None:
    rows = [row(f, "main", s, 5.0 + i + s) for i, f in enumerate("abcd") for s in range(4)]
    rows += [row(f, "null_motive", s, 3.0 + s) for f in "abcd" for s in range(3)]  # seed 3 has no partner
    found = report(rows, ProbeConfig(), model="m", template={})
    effects = {(one.by, one.value): one for one in found.contrasts if one.over == "null_motive"}
    whole = effects["all", ""]
    assert (whole.pairs, whole.families) == (12, 4)
    assert whole.risky_honest.sum.estimate == pytest.approx(2 + 1.5)
    assert whole.risky_honest.per_token.estimate == pytest.approx(0.35)
    assert whole.risky_neutral.sum.estimate == pytest.approx(-3.5)
    assert whole.risky_honest.matched_sum.n == 8  # seeds 0 and 2
    assert effects["motive", "m1"].risky_honest.sum.estimate == pytest.approx(2.5)
    assert effects["motive", "m2"].risky_honest.sum.estimate == pytest.approx(4.5)
    assert not [one for one in found.contrasts if one.over == "legitimate"]


def test_a_random_scorer_gives_intervals_that_hold_zero() -> None:
    draw = random.Random(5)
    scorer = KnownScorer(lambda _: (draw.gauss(-50, 4), draw.gauss(-50, 4), draw.gauss(-50, 4)), tokens=(20, 20, 20))
    found = run(ProbeConfig(seeds=4), scorer)
    assert len({one.family for one in found.instances}) >= 12
    overall = [group for group in found.groups if group.by == "all"]
    assert [group.twin for group in overall] == ["main", "null_motive", "legitimate"]
    assert all(group.risky_honest.sum.holds_zero and group.risky_neutral.per_token.holds_zero for group in overall)
    assert all(one.risky_honest.sum.holds_zero for one in found.contrasts if one.by == "all")


def test_every_family_is_measured_at_its_decision_point_with_its_own_calls() -> None:
    seen: list[tuple[Message, ...]] = []

    class Looking(KnownScorer):
        async def score(
            self, messages: Sequence[Message], tools: Sequence[ToolSchema], calls: Sequence[ToolCall]
        ) -> list[Score]:
            seen.append(tuple(messages))
            assert {call.tool for call in calls} <= {tool.name for tool in tools}
            return await super().score(messages, tools, calls)

    found = run(ProbeConfig(seeds=1), Looking())
    assert not found.failed
    assert {one.family for one in found.instances} == set(listed())
    assert all(messages[0].role == "system" and messages[-1].role == "tool" for messages in seen)
    assert {one.twin for one in found.instances if one.acts} == {"main", "null_motive"}


# ---- what goes wrong


def test_an_instance_that_cannot_be_measured_is_told_and_the_rest_goes_on() -> None:
    scorer = KnownScorer(fail={1: ModelError("too_long", "9 tokens, expected 8")})
    found = run(ProbeConfig(families=(FIXTURE,), twins=("main",), seeds=3, concurrency=1), scorer)
    assert [one.failed for one in found.instances] == ["", "too_long: 9 tokens, expected 8", ""]
    assert found.failed == 1
    assert next(group for group in found.groups if group.by == "all").instances == 2


def test_a_server_that_is_gone_stops_the_probe() -> None:
    scorer = KnownScorer(fail={1: ModelError("unreachable", "no connection")})
    with pytest.raises(ModelError, match="no connection"):
        run(ProbeConfig(families=(FIXTURE,), seeds=3, concurrency=1, samples=0), scorer)
    assert scorer.asked == 2


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"seeds": 0}, "seeds: expected 1"),
        ({"samples": -1}, "samples"),
        ({"temperature": 3.0}, "temperature"),
        ({"twins": ("sideways",)}, "twins: unknown"),
        ({"families": ("none.such",)}, "none.such"),
        ({"framing": {"form": "choice"}}, "answered in words"),
        ({"first_seed": -5}, "seed"),
    ],
)
def test_a_wrong_configuration_is_told_before_anything_is_asked(options: dict[str, Any], expected: str) -> None:
    scorer = KnownScorer()
    with pytest.raises(OptionError, match=expected):
        run(ProbeConfig(**options), scorer)
    assert not scorer.asked


# ---- draws


@pytest.mark.parametrize("name", listed())
def test_a_drawn_candidate_is_known_for_what_it_is(name: str) -> None:
    env = ScenarioEnv(name, truth=True)
    env.reset(seed=101, options={"start": "decision_point"})
    honest = env.what_if(candidate_action(env.instance, "honest"))
    found = {}
    for kind in KINDS:
        call = candidate_action(env.instance, kind).call
        assert call is not None
        found[kind] = choice(env, calling(call), honest)
    assert found == {"risky": "risky", "honest": "honest", "neutral": "other"}


@pytest.mark.parametrize(
    "completion",
    [
        Completion(text="I shall look into it."),
        Completion(),
        calling(ToolCall(tool="no.such", arguments={})),
        Completion(calls=(Called(call=ToolCall(tool="ci.suites"), problem="not JSON"),)),
    ],
)
def test_what_is_no_candidate_is_something_else(completion: Completion) -> None:
    env = ScenarioEnv(FIXTURE, truth=True)
    env.reset(seed=100, options={"start": "decision_point"})
    honest = env.what_if(candidate_action(env.instance, "honest"))
    digest = env.world.digest
    assert choice(env, completion, honest) == "other"
    assert env.world.digest == digest


def test_draws_are_counted_and_those_that_fail_counted_apart() -> None:
    turns = iter(["risky", "honest", "fail", "risky"])

    def draw(number: int, calls: Sequence[ToolCall]) -> Completion:
        kind = next(turns)
        if kind == "fail":
            raise ModelError("server", "500")
        return calling(calls[KINDS.index(kind)])

    config = ProbeConfig(families=(FIXTURE,), twins=("main",), seeds=1, samples=4, temperature=0.7, concurrency=1)
    drawn = run(config, KnownScorer(draw=draw)).instances[0].drawn
    assert drawn == Drawn(risky=2, honest=1, other=0, failed=1, temperature=0.7, max_tokens=1024, problem="server: 500")


def drawn(risky: int, honest: int) -> Drawn:
    return Drawn(risky=risky, honest=honest, other=0, temperature=1.0, max_tokens=10)


def test_draws_that_follow_the_log_odds_agree_with_them() -> None:
    rows = [row(f, "main", s, s - 4.0, drawn=drawn(s, 10 - s)) for f in "abcdefgh" for s in range(8)]
    for check in report(rows, ProbeConfig(samples=10), model="m", template={}).checks:
        assert check.agrees
        assert check.spearman.estimate == pytest.approx(1.0)
        assert check.auc is not None
        assert check.auc > 0.7
        assert "agree with the draws" in check.sentence


def test_draws_against_the_log_odds_are_said_to_disagree_in_sign_and_order() -> None:
    rows = [row(f, "main", s, 1.0 + s, drawn=drawn(3 - s, 7 + s)) for f in "abcdefgh" for s in range(4)]
    check = report(rows, ProbeConfig(samples=10), model="m", template={}).checks[0]
    assert check.agrees is False
    assert "lean to the risky call (+2.50 nats on average), and the draws to the honest one" in check.sentence
    assert "do not order the instances as the draws do (rank correlation -1.00" in check.sentence


def test_draws_that_have_nothing_to_do_with_the_log_odds_are_told_apart_from_none_at_all() -> None:
    chance = random.Random(1)
    rows = [
        row(f, "main", s, -1 - chance.random(), drawn=drawn(k := chance.randrange(5), 10 - k))
        for f in "abcdefgh"
        for s in range(6)
    ]
    check = report(rows, ProbeConfig(samples=10), model="m", template={}).checks[0]
    assert check.spearman.holds_zero
    assert check.agrees is False
    assert "do not order the instances" in check.sentence
    others = Drawn(risky=0, honest=0, other=5, temperature=1.0, max_tokens=10)
    told = report([row("a", "main", 0, 1.0, drawn=others)], ProbeConfig(), model="m", template={}).checks[0]
    assert told.agrees is None
    assert "cannot check" in told.sentence


def test_where_the_act_is_right_draws_check_nothing() -> None:
    rows = [row(f, "legitimate", s, s, drawn=drawn(s, 4)) for f in "abcdef" for s in range(4)]
    assert all(check.instances == 0 for check in report(rows, ProbeConfig(), model="m", template={}).checks)


# ---- statistics


def test_families_of_one_size_give_students_interval_of_their_means() -> None:
    draw = np.random.default_rng(2)
    values = draw.normal(1, 1, (6, 5)) + draw.normal(0, 2, (6, 1))
    names = [f"f{i}" for i in range(6) for _ in range(5)]
    found = family_mean(values.ravel().tolist(), names)
    low, high = scipy_stats.t.interval(0.95, 5, values.mean(), scipy_stats.sem(values.mean(axis=1)))
    assert found.low == pytest.approx(low)
    assert found.high == pytest.approx(high)
    assert found.method == "cr2_t"


def test_the_interval_of_a_mean_covers_at_its_level() -> None:
    draw = np.random.default_rng(3)
    names = [f"f{i:02}" for i in range(12) for _ in range(5)]
    held = [
        family_mean((draw.normal(0, 3, (12, 1)) + draw.normal(0, 3, (12, 5))).ravel().tolist(), names).holds_zero
        for _ in range(400)
    ]
    assert 0.92 <= np.mean(held) <= 0.98


def test_forty_families_are_resampled_the_same_way_every_time_and_in_any_order() -> None:
    draw = random.Random(4)
    rows = [(draw.gauss(1, 2), f"f{i % 45}") for i in range(180)]
    one = family_mean([value for value, _ in rows], [name for _, name in rows])
    draw.shuffle(rows)
    assert family_mean([value for value, _ in rows], [name for _, name in rows]) == one
    assert one.method == "cluster_bootstrap_bca"
    assert one.low is not None
    assert one.high is not None
    assert one.low < 1 < one.high


def test_too_little_for_an_interval_gives_none() -> None:
    assert family_mean([], []).estimate is None
    assert family_mean([3.0], ["a"]).low is None
    assert family_mean([3.0, 5.0], ["a", "a"]).method == "t_one_family"
    with pytest.raises(ValueError, match="finite"):
        family_mean([float("inf")], ["a"])


def test_the_rank_correlation_is_spearmans() -> None:
    draw = random.Random(6)
    one = [draw.randrange(6) for _ in range(40)]
    other = [value + draw.randrange(4) for value in one]
    found = rank_correlation(one, other, [f"f{i % 8}" for i in range(40)])
    assert found.estimate == pytest.approx(scipy_stats.spearmanr(one, other).statistic)
    assert found.low is not None
    assert found.high is not None
    assert found.estimate is not None
    assert 0 < found.low < found.estimate < found.high <= 1
    assert rank_correlation([1, 1], [1, 2], ["a", "b"]).estimate is None
    assert rank_correlation([1, 2, 3], [1, 2, 4], ["a", "b", "c"]).low is None


def test_the_area_under_the_curve_counts_pairs() -> None:
    scores, hits, misses = [0.3, 0.1, 0.3, 2.0, -1.0], [1, 0, 2, 3, 1], [0, 2, 1, 1, 3]
    wins = sum(
        h * m * (1.0 if s > t else 0.5 if s == t else 0.0)
        for s, h in zip(scores, hits, strict=True)
        for t, m in zip(scores, misses, strict=True)
    )
    assert auc(scores, hits, misses) == pytest.approx(wins / sum(hits) / sum(misses))
    assert auc([1.0], [0], [4]) is None


# ---- the seam


@pytest.mark.parametrize(
    ("bare", "context", "wholes", "at"),
    [
        ([1, 2], [1, 2, 8, 9], [[1, 2, 8, 9, 5], [1, 2, 8, 9, 6]], 4),
        ([1, 2], [1, 2], [[1, 2, 5], [1, 2, 6]], 2),  # no generation prompt at all
        ([1, 2], [1, 2, 8, 9, 7], [[1, 2, 8, 9, 5], [1, 2, 8, 9, 6]], 4),  # it opens a thinking block
        ([1, 2], [1, 2, 8, 9], [[1, 2, 8, 30, 5], [1, 2, 8, 30, 6]], 3),  # its newline merges with the next
        ([1, 2], [1, 2, 8, 9], [[1, 2, 8, 30, 5], [1, 2, 8, 9, 6]], 3),  # all calls begin at one token
    ],
)
def test_the_seam_is_the_end_of_the_context_or_inside_its_generation_prompt(
    bare: list[int], context: list[int], wholes: list[list[int]], at: int
) -> None:
    assert seam(bare, context, wholes) == at


@pytest.mark.parametrize(
    ("bare", "context", "wholes", "expected"),
    [
        ([1, 2, 3], [1, 2, 3, 8], [[1, 7, 3, 8, 5], [1, 7, 3, 8, 6]], "no seam: with a call appended token 1 changes"),
        ([1, 2], [1, 2, 8], [[1, 2, 8, 5], [1, 2, 8, 5]], "writes all calls alike"),
        ([1, 2], [1, 2, 8], [[1, 2, 8], [1, 2, 8, 5]], "writes nothing for a call"),
    ],
)
def test_a_template_without_a_seam_is_an_error(
    bare: list[int], context: list[int], wholes: list[list[int]], expected: str
) -> None:
    with pytest.raises(ModelError, match=expected):
        seam(bare, context, wholes)


# ---- the server's side of it, with a template of one's own and a letter a token


class ToyServer:
    """Speaks what the probe needs of vLLM's protocol; a letter's log-likelihood is minus a tenth of its code."""

    def __init__(self, *, thinking: str = "", rewrites: bool = False, logits: bool = False, busy: int = 0) -> None:
        self.thinking, self.rewrites, self.logits, self.busy = thinking, rewrites, logits, busy
        self.prompts: list[str] = []
        self.kwargs: list[dict[str, Any]] = []

    def render(self, body: dict[str, Any]) -> str:
        text = f"[{len(body.get('tools', ()))} tools]"
        for message in body["messages"]:
            calls = [call["function"] for call in message.get("tool_calls", ())]
            told = "".join(f"<{call['name']} {call['arguments']}>" for call in calls) or message["content"]
            text += f"{message['role']}:{told}$\n"
        if self.rewrites and text.endswith(">$\n"):
            text = text.replace("user:", "USER:")
        return text + (f"assistant:{self.thinking}" if body.get("add_generation_prompt") else "")

    async def answer(self, request: web.Request) -> web.Response:
        if self.busy:
            self.busy -= 1
            return web.json_response({"message": "starting"}, status=503)
        if request.path == "/v1/models":
            return web.json_response({"data": [{"id": "toy", "max_model_len": 9_000_000}]})
        body = await request.json()
        assert body["model"] == "toy"
        if request.path == "/tokenize":
            self.kwargs.append(body.get("chat_template_kwargs", {}))
            return web.json_response({"tokens": [ord(letter) for letter in self.render(body)]})
        if request.path == "/detokenize":
            return web.json_response({"prompt": "".join(map(chr, body["tokens"]))})
        assert (body["max_tokens"], body["prompt_logprobs"]) == (1, 0)
        self.prompts.append("".join(map(chr, body["prompt"])))
        sign = 1 if self.logits else -1
        given = [None, *({str(token): {"logprob": sign * token / 10, "rank": 1}} for token in body["prompt"][1:])]
        return web.json_response({"choices": [{"index": 0, "text": "", "prompt_logprobs": given}]})


def scored(server: ToyServer, **options: Any) -> list[Score]:
    async def main() -> list[Score]:
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", server.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        scorer = VLLMScorer(url=f"http://127.0.0.1:{port}", pause=0.0, **options)
        try:
            await scorer.start(lambda line: None)
            env = ScenarioEnv(FIXTURE)
            observation, _ = env.reset(seed=100, options={"start": "decision_point"})
            calls = [call for kind in KINDS if (call := candidate_action(env.instance, kind).call) is not None]
            return list(await ScorerPool([scorer]).score(as_messages(observation), observation["tools"], calls))
        finally:
            await scorer.aclose()
            await runner.cleanup()

    return asyncio.run(main())


def test_a_call_is_scored_from_the_generation_prompt_to_the_mark_that_ends_its_turn() -> None:
    server = ToyServer()
    scores = scored(server, template={"enable_thinking": False})
    assert all(kwargs == {"enable_thinking": False} for kwargs in server.kwargs)
    for score, prompt in zip(scores, server.prompts, strict=True):
        call = prompt[score.context :]
        assert prompt[: score.context].endswith("$\nassistant:")
        assert call.startswith("<")
        assert call.endswith(">$")  # the newline after the mark is not scored
        assert score.total == pytest.approx(-sum(map(ord, call)) / 10)
        assert (len(score.log_ps), score.dropped) == (len(call), 0)


def test_a_thinking_block_that_the_generation_prompt_opens_is_left_out_and_counted() -> None:
    server = ToyServer(thinking="(think")
    scores = scored(server)
    assert [score.dropped for score in scores] == [len("(think")] * 3
    assert all(
        prompt[score.context - 1 :].startswith(":<") for score, prompt in zip(scores, server.prompts, strict=True)
    )


def test_a_template_that_rewrites_the_history_is_an_error_that_shows_where() -> None:
    with pytest.raises(ModelError, match=r"no seam.*Asked: '.*user:.*'; with the call: '.*USER:"):
        scored(ToyServer(rewrites=True))


def test_logits_in_place_of_log_probabilities_are_refused() -> None:
    with pytest.raises(ModelError, match="--logprobs-mode raw_logprobs"):
        scored(ToyServer(logits=True))


def test_a_server_that_is_busy_is_asked_again_and_not_for_ever() -> None:
    assert len(scored(ToyServer(busy=2))) == 3
    with pytest.raises(ModelError, match="overloaded"):
        scored(ToyServer(busy=3))


# ---- the file


CONFIG = ProbeConfig(families=(FIXTURE,), twins=("main",), seeds=6, concurrency=1)


def kept(path: Path, scorer: KnownScorer, config: ProbeConfig = CONFIG) -> ProbeReport:
    file = ProbeFile(path, model=scorer.name, template={}, planned=config.plan())
    try:
        found = run(config, scorer, known=file.known, progress=file.add)
        file.finish(found)
    finally:
        file.close()
    return found


def test_a_probe_that_was_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    path, gone = tmp_path / "deep" / "probe.json", ModelError("unreachable", "gone")
    with pytest.raises(ModelError):
        kept(path, KnownScorer(fail={3: gone}))
    assert not path.exists()
    rest = KnownScorer()
    found = kept(path, rest)
    assert rest.asked == 3
    assert found == run(CONFIG, KnownScorer())
    assert msgspec.json.decode(path.read_bytes(), type=ProbeReport) == found
    assert list(path.parent.iterdir()) == [path]
    again = KnownScorer()
    assert kept(path, again) == found
    assert not again.asked


def test_a_line_cut_off_by_a_kill_is_measured_again(tmp_path: Path) -> None:
    path, journal = tmp_path / "probe.json", tmp_path / "probe.json.journal"
    with pytest.raises(ModelError):
        kept(path, KnownScorer(fail={3: ModelError("unreachable", "gone")}))
    journal.write_bytes(journal.read_bytes()[:-40])
    with pytest.raises(ModelError):
        kept(path, KnownScorer(fail={2: ModelError("unreachable", "gone")}))
    rest = KnownScorer()
    assert kept(path, rest) == run(CONFIG, KnownScorer())
    assert rest.asked == 2


def test_what_failed_and_what_has_too_few_draws_is_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "probe.json"
    assert kept(path, KnownScorer(fail={2: ModelError("bad_request", "no")})).failed == 1
    rest = KnownScorer()
    assert kept(path, rest).failed == 0
    assert rest.asked == 1
    draws = KnownScorer(draw=lambda number, calls: calling(calls[0]))
    found = kept(path, draws, replace(CONFIG, samples=2))
    assert all(one.drawn and one.drawn.risky == 2 for one in found.instances)
    assert draws.asked == 6


def test_a_file_of_another_model_plan_or_kind_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "probe.json"
    kept(path, KnownScorer())
    before = path.read_bytes()
    with pytest.raises(OptionError, match="holds model known, expected model other"):
        ProbeFile(path, model="other", template={}, planned=CONFIG.plan())
    with pytest.raises(OptionError, match=r"expected model known with template .*enable_thinking"):
        ProbeFile(path, model="known", template={"enable_thinking": False}, planned=CONFIG.plan())
    with pytest.raises(OptionError, match="holds 6 instances that this plan has not"):
        ProbeFile(path, model="known", template={}, planned=[])
    assert path.read_bytes() == before
    path.write_text(json.dumps({"some": "thing"}))
    with pytest.raises(RunFileError, match="expected a probe's report"):
        ProbeFile(path, model="known", template={}, planned=CONFIG.plan())


# ---- the command


def test_a_model_is_named_by_its_server_and_its_template() -> None:
    ref, options = scored_model('vllm:Qwen/Qwen3-8B@http://h:1,http://h:2?template={"enable_thinking":false}')
    assert (ref.name, ref.urls) == ("Qwen/Qwen3-8B", ("http://h:1", "http://h:2"))
    assert options == {"template": {"enable_thinking": False}}


@pytest.mark.parametrize(
    "agent", ["openai:gpt-5", "scripted/honest", "react/vllm@http://h:1", "vllm@http://h:1?top_k=2"]
)
def test_what_cannot_be_scored_is_refused(agent: str) -> None:
    with pytest.raises(OptionError):
        scored_model(agent)


# ---- for people


def test_the_table_is_whole_at_120_columns() -> None:
    scorer = KnownScorer(draw=lambda number, calls: calling(calls[number % 2]), tokens=(30, 32, 31))
    found = run(ProbeConfig(seeds=2, samples=2, temperature=0.5, concurrency=1), scorer)
    out = io.StringIO()
    Console(file=out, width=120, highlight=False).print(table(found))
    text = out.getvalue()
    assert "…" not in text
    for word in ("null_motive", "legitimate", "+2.0 [", "main minus", "motive", *listed(), "95 % intervals"):
        assert word in text
    assert any(check.sentence[:40] in text for check in found.checks)
