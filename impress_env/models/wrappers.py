"""What wraps around any model: patience, a limit of requests at once, a budget.

Each is a model itself and holds another. Time, sleep and chance are arguments, so that tests need no clock. From the
outside in: `Budgeted(Retrying(Limited(model)))`. Knows nothing of providers, runs or files.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Final

import msgspec

from impress_env.errors import OptionError
from impress_env.model import Completion, Model, ModelError, Sampling, Spent, Tell
from impress_env.models.prices import Price, nano_usd
from impress_env.types import Message, ToolSchema

Sleep = Callable[[float], Awaitable[None]]
Clock = Callable[[], float]
_GROWTH: Final = 4  # answers in a row before one more request may be under way
_LESS: Final = 0.7  # what is left of the limit; with one refusal in 30 answers it stays above 20, with one in 3 at 3


class Wrapped:
    """A model that passes on to another what it does not change."""

    def __init__(self, inner: Model) -> None:
        self.inner = inner

    @property
    def name(self) -> str:
        """The model's name."""
        return self.inner.name

    async def start(self, tell: Tell) -> None:
        """Start the model inside."""
        await self.inner.start(tell)

    async def aclose(self) -> None:
        """Close the model inside."""
        await self.inner.aclose()


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long to insist: requests per call, and seconds of the first and of the longest wait between them.

    A server that cannot be reached is waited for `unreachable` seconds from its first failure on; one that never could
    be, whose URL may be wrong, `first_contact` seconds.
    """

    requests: int = 8
    first_wait: float = 0.5
    longest_wait: float = 60.0
    unreachable: float = 120.0
    first_contact: float = 5.0


class Retrying(Wrapped):
    """Asks again after what may pass: backoff with full jitter, or as long as the endpoint says.

    What failed requests took is added to the completion's or the error's `spent`. A `sleep` that raises a `ModelError`
    ends the waiting.
    """

    def __init__(
        self,
        inner: Model,
        patience: Patience | None = None,
        *,
        sleep: Sleep = asyncio.sleep,
        clock: Clock = time.monotonic,
        chance: Random | None = None,
    ) -> None:
        super().__init__(inner)
        self._patience = patience if patience is not None else Patience()
        self._sleep, self._clock, self._chance = sleep, clock, chance or Random()
        self._met = False

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Completion:
        """Return one completion, after as many requests as patience allows.

        Raises:
            ModelError: The last failure, with what all requests took.
        """
        patience = self._patience
        spent = Spent(requests=0)
        asked, waited_for = 0, 0.0  # an unreachable server was not asked
        while True:
            began = self._clock()
            try:
                completion = await self.inner.complete(messages, tools, sampling)
            except ModelError as error:
                spent = spent + error.spent
                asked += error.kind != "unreachable"
                wait = self._wait(asked, error)
                if error.kind == "unreachable":
                    waited_for += self._clock() - began + wait
                longest = patience.unreachable if self._met else min(patience.first_contact, patience.unreachable)
                over = waited_for >= longest if error.kind == "unreachable" else asked >= patience.requests
                if not error.retried or over:
                    error.spent = spent
                    raise
                try:
                    await self._sleep(wait)
                except ModelError as stop:
                    stop.spent = spent + stop.spent
                    raise stop from None
            else:
                self._met = True
                if spent.requests:
                    completion = msgspec.structs.replace(completion, spent=spent + completion.spent)
                return completion

    def _wait(self, asked: int, error: ModelError) -> float:
        patience = self._patience
        longest = min(patience.longest_wait, patience.first_wait * 2.0 ** min(max(asked, 1), 30))
        wait = self._chance.uniform(patience.first_wait / 2, longest)
        if error.retry_after is not None:
            return error.retry_after + self._chance.uniform(0.0, patience.first_wait / 2)
        return wait


class Limiter:
    """How many requests may be under way at an endpoint, and from when on.

    A burst of answers that ask for less (429, 503, 529) lowers the limit and holds all requests back as long as it
    says; a row of good answers raises it again, by one, up to `most`. Waiting is in order of arrival. `pause` is for
    how many seconds, where the answer does not say.
    """

    def __init__(
        self, most: int, *, pause: float = 0.25, clock: Clock = time.monotonic, sleep: Sleep = asyncio.sleep
    ) -> None:
        self.most, self.limit, self.under_way = most, most, 0
        self._pause, self._clock, self._sleep = pause, clock, sleep
        self._free_at = 0.0
        self._row = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        await self._enter()
        try:
            while (left := self._free_at - self._clock()) > 0:
                await self._sleep(left)
        except BaseException:
            self._leave()
            raise

    async def _enter(self) -> None:
        if self.under_way < self.limit and not self._waiting:
            self.under_way += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._leave()
            elif turn in self._waiting:  # not there where a place came free before we were told
                self._waiting.remove(turn)
            raise

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    def _leave(self) -> None:
        self.under_way -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self.under_way < self.limit:
            turn = self._waiting.popleft()
            if not turn.done():  # otherwise it was given up and has not been told yet
                self.under_way += 1
                turn.set_result(None)

    def hold(self, seconds: float | None) -> None:
        """Take less: fewer at once, none for some seconds."""
        self._row = 0
        now = self._clock()
        if now >= self._free_at:  # the answers to one burst are one sign
            self.limit = max(1, int(self.limit * _LESS))
        self._free_at = max(self._free_at, now + (seconds if seconds is not None else self._pause))

    def good(self) -> None:
        """Note an answer."""
        if self.limit >= self.most:
            return
        self._row += 1
        if self._row >= _GROWTH:
            self._row, self.limit = 0, self.limit + 1
            self._admit()

    def allow(self, most: int) -> None:
        """Set how many may be under way at most, at once."""
        self.most = self.limit = max(1, most)
        self._admit()


class Limited(Wrapped):
    """Sends requests as a limiter lets it; where `stopped` returns an error by then, that is raised instead."""

    def __init__(
        self, inner: Model, limiter: Limiter, *, stopped: Callable[[], ModelError | None] = lambda: None
    ) -> None:
        super().__init__(inner)
        self.limiter, self._stopped = limiter, stopped

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Completion:
        """Return one completion.

        Raises:
            ModelError: There is none.
        """
        async with self.limiter:
            stop = self._stopped()
            if stop is not None:
                raise stop
            try:
                completion = await self.inner.complete(messages, tools, sampling)
            except ModelError as error:
                if error.kind in ("rate_limited", "overloaded"):
                    self.limiter.hold(error.retry_after)
                raise
            self.limiter.good()
            return completion


class Budget:
    """Caps of a run, in tokens, money and seconds; shared by all its models.

    Before a call its likely cost is set aside, so that calls under way cannot break a cap together; a call whose
    usage never arrived is counted at that estimate.

    Args:
        tokens: Input and output tokens, or None.
        usd: US dollars, or None; every model used then needs a price.
        seconds: Wall-clock seconds from `begin` on, or None.
    """

    def __init__(
        self,
        *,
        tokens: int | None = None,
        usd: float | None = None,
        seconds: float | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        for name, value in (("tokens", tokens), ("usd", usd), ("seconds", seconds)):
            if value is not None and not value > 0:
                raise OptionError(f"budget: {name}: expected more than 0, found {value}")
        self.tokens, self.nano = tokens, None if usd is None else round(usd * 1e9)
        self.seconds, self._clock = seconds, clock
        self._began = clock()
        self.spent_tokens = self.spent_nano = 0
        self._aside_tokens = self._aside_nano = 0
        self._changed = asyncio.Condition()
        self._under_way = 0

    @property
    def caps(self) -> bool:
        """Whether there is any cap."""
        return not (self.tokens is None and self.nano is None and self.seconds is None)

    def count(self, tokens: int, nano: int) -> None:
        """Count what was spent before, by a run that is resumed."""
        self.spent_tokens += tokens
        self.spent_nano += nano

    def over(self) -> str:
        """Return which cap is reached, or ""."""
        if self.seconds is not None and self._clock() - self._began >= self.seconds:
            return f"the budget of {self.seconds:g} s"
        if self.tokens is not None and self.spent_tokens >= self.tokens:
            return f"the budget of {self.tokens:,} tokens"
        if self.nano is not None and self.spent_nano >= self.nano:
            return f"the budget of {self.nano / 1e9:g} USD"
        return ""

    async def set_aside(self, tokens: int, nano: int) -> None:
        """Wait until an estimate fits under the caps.

        Raises:
            ModelError: It never will.
        """
        async with self._changed:
            while True:
                reached = self.over()
                fits = (self.tokens is None or self.spent_tokens + self._aside_tokens + tokens <= self.tokens) and (
                    self.nano is None or self.spent_nano + self._aside_nano + nano <= self.nano
                )
                if reached or not (fits or self._under_way):
                    told = reached or self._short(tokens, nano)
                    raise ModelError("budget", f"{told} is reached", spent=Spent(requests=0))
                if fits:
                    break
                await self._changed.wait()
            self._aside_tokens += tokens
            self._aside_nano += nano
            self._under_way += 1

    def _short(self, tokens: int, nano: int) -> str:
        if self.tokens is not None and self.spent_tokens + tokens > self.tokens:
            return f"with a call of up to {tokens:,} tokens, the budget of {self.tokens:,} tokens"
        return f"with a call of up to {nano / 1e9:.4f} USD, the budget of {(self.nano or 0) / 1e9:g} USD"

    async def settle(self, aside: tuple[int, int], used: tuple[int, int]) -> None:
        """Give back what was set aside and count what was used, each (tokens, nano-USD)."""
        async with self._changed:
            self._aside_tokens -= aside[0]
            self._aside_nano -= aside[1]
            self._under_way -= 1
            self.count(*used)
            self._changed.notify_all()


class Budgeted(Wrapped):
    """Asks only while the run's budget lasts."""

    def __init__(self, inner: Model, budget: Budget, price: Price | None) -> None:
        super().__init__(inner)
        self._budget, self._price = budget, price

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Completion:
        """Return one completion.

        Raises:
            ModelError: `budget` where a cap is reached, or there is none.
        """
        before, after = estimate(messages, tools, sampling)
        aside = (before + after, self._nano(before, after))
        await self._budget.set_aside(*aside)
        spent = Spent(requests=0)
        try:
            completion = await self.inner.complete(messages, tools, sampling)
            spent = completion.spent
            return completion
        except ModelError as error:
            spent = error.spent
            raise
        except BaseException:
            spent = Spent(unknown=1)  # given up in mid-call
            raise
        finally:
            usage = spent.usage
            money = nano_usd(self._price, usage) or 0
            tokens = usage.input + usage.output
            used = (tokens + spent.unknown * aside[0], money + spent.unknown * aside[1])
            await asyncio.shield(self._budget.settle(aside, used))

    def _nano(self, before: int, after: int) -> int:
        price = self._price
        return 0 if price is None else before * max(price.input, price.cache_write) + after * price.output


def estimate(messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling) -> tuple[int, int]:
    """Return (input, output) tokens that a call may take, on the high side: three characters a token.

    Without `max_tokens` the output is a guess: an endpoint may write more.
    """
    characters = sum(
        len(message.content)
        + len(message.reasoning)
        + sum(len(str(call.arguments)) + 40 for call in message.calls)
        + 16
        for message in messages
    )
    return (characters + _size(tools)) // 3, max(sampling.max_tokens or 4_096, (sampling.thinking or 0) + 1_024)


_SIZES: dict[int, tuple[Sequence[ToolSchema], int]] = {}


def _size(tools: Sequence[ToolSchema]) -> int:
    known = _SIZES.get(id(tools))
    if known is None or known[0] is not tools:
        if len(_SIZES) >= 64:
            _SIZES.clear()
        size = sum(len(msgspec.json.encode(tool.parameters)) + len(tool.description) + 60 for tool in tools)
        known = _SIZES[id(tools)] = (tools, size)
    return known[1]
