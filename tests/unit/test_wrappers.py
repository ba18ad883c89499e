"""What wraps around a model: patience, limits, budgets. Time and chance are given."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

import pytest

from impress_env.errors import OptionError
from impress_env.model import Completion, Failure, ModelError, Sampling, Spent, Tell, Usage
from impress_env.models.prices import Price, nano_usd, parse_price, price_of
from impress_env.models.wrappers import Budget, Budgeted, Limited, Limiter, Patience, Retrying, estimate
from impress_env.types import Message, ToolSchema

ASKED = [Message(role="user", content="x" * 300)]


class Time:
    """A clock that sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


class Failing:
    """Fails as told, then answers."""

    name = "failing"

    def __init__(self, *failures: ModelError, usage: Usage | None = None) -> None:
        self.failures, self.asked, self.at_once, self.most = list(failures), 0, 0, 0
        self.spent = Spent(usage=usage if usage is not None else Usage(input=100, output=10))
        self.gate: asyncio.Event | None = None

    async def start(self, tell: Tell) -> None:
        pass

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Completion:
        self.asked += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            if self.gate is not None:
                await self.gate.wait()
            await asyncio.sleep(0)
            if self.failures:
                raise self.failures.pop(0)
            return Completion(text="yes", spent=self.spent)
        finally:
            self.at_once -= 1

    async def aclose(self) -> None:
        pass


def failure(kind: Failure, **more: object) -> ModelError:
    return ModelError(kind, "no", **more)  # type: ignore[arg-type]


def ask(model: object) -> Completion:
    return asyncio.run(model.complete(ASKED, (), Sampling()))  # type: ignore[attr-defined, no-any-return]


def retrying(inner: Failing, time: Time, **patience: float) -> Retrying:
    return Retrying(inner, Patience(**patience), sleep=time.sleep, clock=time, chance=Random(1))  # type: ignore[arg-type]


def test_what_may_pass_is_asked_again_and_all_requests_are_counted() -> None:
    time = Time()
    billed = failure("invalid_response", spent=Spent(usage=Usage(input=7, output=3)))
    inner = Failing(failure("server"), failure("timeout"), billed)
    spent = ask(retrying(inner, time)).spent
    assert spent == Spent(requests=4, usage=Usage(input=107, output=13), unknown=1)
    assert len(time.slept) == 3


@pytest.mark.parametrize("kind", ["bad_request", "too_long", "authentication", "not_found", "filter", "budget"])
def test_what_cannot_pass_is_not_asked_again(kind: Failure) -> None:
    inner = Failing(failure(kind))
    with pytest.raises(ModelError) as caught:
        ask(retrying(inner, Time()))
    assert inner.asked == 1
    assert caught.value.kind == kind


def test_patience_ends_after_its_requests_and_tells_what_they_took() -> None:
    inner = Failing(*[failure("disconnected") for _ in range(9)])
    with pytest.raises(ModelError) as caught:
        ask(retrying(inner, Time(), requests=4))
    assert inner.asked == 4
    assert caught.value.spent == Spent(requests=4, unknown=4)


def test_a_refusal_that_says_how_long_is_waited_out_as_it_says() -> None:
    time = Time()
    ask(retrying(Failing(failure("rate_limited", retry_after=7.0)), time))
    assert 7.0 <= time.slept[0] <= 7.5


def test_waits_grow_and_have_a_longest() -> None:
    time = Time()
    ask(retrying(Failing(*[failure("server") for _ in range(19)]), time, requests=30, longest_wait=20.0))
    assert max(time.slept[:2]) <= 2.0
    assert max(time.slept) <= 20.0
    assert sum(time.slept[10:]) > sum(time.slept[:4])


def test_a_server_that_cannot_be_reached_is_waited_for_and_costs_no_request_of_patience() -> None:
    time = Time()
    inner = Failing(*[failure("unreachable") for _ in range(12)])
    ask(retrying(inner, time, requests=2, unreachable=10_000.0, first_contact=10_000.0))
    assert inner.asked == 13


def test_a_server_that_never_answered_is_waited_for_less_long() -> None:
    async def main(met: bool) -> float:
        time, inner = Time(), Failing()
        model = retrying(inner, time, unreachable=60.0, first_contact=5.0, longest_wait=2.0)
        if met:
            await model.complete(ASKED, (), Sampling())
        inner.failures = [failure("unreachable") for _ in range(500)]
        with pytest.raises(ModelError, match="unreachable"):
            await model.complete(ASKED, (), Sampling())
        return time.now

    assert 3.0 <= asyncio.run(main(False)) <= 7.0
    assert 58.0 <= asyncio.run(main(True)) <= 62.0


def test_a_limiter_lets_no_more_in_than_it_says_and_in_order() -> None:
    async def main() -> tuple[int, list[int]]:
        inner, order = Failing(), []
        model = Limited(inner, Limiter(3))

        async def one(number: int) -> None:
            await model.complete(ASKED, (), Sampling())
            order.append(number)

        await asyncio.gather(*(one(number) for number in range(12)))
        return inner.most, order

    most, order = asyncio.run(main())
    assert most == 3
    assert order == sorted(order)


def test_a_burst_of_refusals_lowers_the_limit_once_and_good_answers_raise_it_again() -> None:
    time = Time()
    limiter = Limiter(32, clock=time, sleep=time.sleep)
    for _ in range(10):
        limiter.hold(2.0)
    assert limiter.limit == 22
    time.now = 3.0
    limiter.hold(None)
    assert limiter.limit == 15
    for _ in range(32):
        limiter.good()
    assert limiter.limit == 23


def test_all_requests_wait_while_the_endpoint_says_so() -> None:
    async def main() -> list[float]:
        time = Time()
        limiter = Limiter(4, clock=time, sleep=time.sleep)
        limiter.hold(5.0)
        async with limiter:
            pass
        return [time.now]

    assert asyncio.run(main()) == [5.0]


def test_a_request_given_up_while_it_waits_leaves_no_place_taken() -> None:
    async def main() -> int:
        limiter, inner = Limiter(1), Failing()
        inner.gate = asyncio.Event()
        model = Limited(inner, limiter)
        first = asyncio.create_task(model.complete(ASKED, (), Sampling()))
        second = asyncio.create_task(model.complete(ASKED, (), Sampling()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        inner.gate.set()
        await first
        await model.complete(ASKED, (), Sampling())
        return limiter.under_way

    assert asyncio.run(main()) == 0


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_requests_given_up_together_leave_no_place_taken(order: tuple[int, ...]) -> None:
    async def main() -> tuple[list[Completion | BaseException], int]:
        limiter, inner = Limiter(1), Failing()
        inner.gate = asyncio.Event()
        model = Limited(inner, limiter)
        asked = [asyncio.create_task(model.complete(ASKED, (), Sampling())) for _ in order]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for number in order:
            asked[number].cancel()
        return list(await asyncio.gather(*asked, return_exceptions=True)), limiter.under_way

    ended, under_way = asyncio.run(main())
    assert {type(error) for error in ended} == {asyncio.CancelledError}
    assert under_way == 0


def test_a_stop_ends_the_waiting_of_a_call_and_tells_what_it_took() -> None:
    async def stop(seconds: float) -> None:
        raise ModelError("budget", "the run is stopping", spent=Spent(requests=0))

    inner = Failing(failure("timeout"))
    with pytest.raises(ModelError) as caught:
        ask(Retrying(inner, sleep=stop, chance=Random(1)))
    assert (caught.value.kind, caught.value.spent, inner.asked) == ("budget", Spent(unknown=1), 1)


def test_a_request_whose_turn_comes_after_a_stop_is_not_sent() -> None:
    inner = Failing()
    with pytest.raises(ModelError, match="budget"):
        ask(Limited(inner, Limiter(1), stopped=lambda: failure("budget")))
    assert inner.asked == 0


def test_an_estimate_has_room_for_thinking_and_for_what_is_written_to_a_cache() -> None:
    assert estimate(ASKED, (), Sampling(thinking=9_000, max_tokens=50))[1] == 10_024
    budget = Budget(usd=1.0)
    price = Price(input=3, output=15, cached=1, cache_write=4, as_of="")
    assert Budgeted(Failing(), budget, price)._nano(10, 2) == 70


def test_a_budget_is_never_passed_by_calls_under_way_together() -> None:
    before, after = estimate(ASKED, (), Sampling(max_tokens=50))
    usage = Usage(input=before, output=after)

    async def main() -> tuple[int, list[object]]:
        inner, budget = Failing(usage=usage), Budget(tokens=5 * (before + after))
        model = Budgeted(inner, budget, None)
        asked = [model.complete(ASKED, (), Sampling(max_tokens=50)) for _ in range(20)]
        found = list(await asyncio.gather(*asked, return_exceptions=True))
        return inner.asked, found

    asked, found = asyncio.run(main())
    errors = [error for error in found if isinstance(error, ModelError)]
    assert asked == 5
    assert {error.kind for error in errors} == {"budget"}
    assert all(error.stops_run for error in errors)


def test_a_call_whose_usage_never_arrived_counts_at_its_estimate() -> None:
    async def main() -> int:
        budget = Budget(tokens=1_000_000)
        model = Budgeted(Failing(failure("timeout")), budget, None)
        with pytest.raises(ModelError):
            await model.complete(ASKED, (), Sampling(max_tokens=50))
        return budget.spent_tokens

    assert asyncio.run(main()) == sum(estimate(ASKED, (), Sampling(max_tokens=50)))


def test_a_budget_in_money_counts_whole_nano_dollars() -> None:
    price = parse_price("0.075,0.6,0.0375")
    assert nano_usd(price, Usage(input=1_000, cached=400, output=10)) == 600 * 75 + 400 * 38 + 10 * 600
    budget = Budget(usd=0.000_1)
    budget.count(0, 99_999)
    assert budget.over() == ""
    budget.count(0, 1)
    assert "USD" in budget.over()


def test_an_unknown_models_cost_is_unknown_and_a_snapshot_costs_what_its_model_does() -> None:
    assert price_of("openai", "nothing-of-the-sort") is None
    assert nano_usd(None, Usage(input=5)) is None
    assert price_of("openai", "gpt-4o-mini-2024-07-18") == price_of("openai", "gpt-4o-mini") is not None
    assert price_of("vllm", "gpt-4o-mini") is None


@pytest.mark.parametrize("text", ["", "1", "a,b", "1,2,3,4", "-1,2", "nan,1"])
def test_a_price_that_is_none_is_told(text: str) -> None:
    with pytest.raises(OptionError, match="price: expected"):
        parse_price(text)


@pytest.mark.parametrize("caps", [{"tokens": 0}, {"usd": -1.0}, {"seconds": 0.0}])
def test_a_budget_of_nothing_is_told(caps: dict[str, float]) -> None:
    with pytest.raises(OptionError, match="expected more than 0"):
        Budget(**caps)  # type: ignore[arg-type]
