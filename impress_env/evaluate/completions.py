"""A model as one episode uses it: every answer is stored before it is used, and a stored one is not asked for again.

The key of an answer is what was asked (messages, tools, sampling) and where (the episode, whose name holds the model's,
and how often the same was asked in it before), so that a resumed episode walks the same way through what is stored.
Knows nothing of how an answer is obtained.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from hashlib import blake2b

import msgspec

from impress_env.evaluate.store import RunFile
from impress_env.model import Completion, Model, ModelError, Sampling, Spent
from impress_env.models.content import Growing
from impress_env.models.prices import Price, nano_usd
from impress_env.models.wrappers import Wrapped
from impress_env.types import Message, ToolSchema


class Recorded(Wrapped):
    """A model within one episode.

    Args:
        inner: The model.
        store: Where answers are kept.
        episode: The episode's key.
        price: What the model costs, None if that is unknown.
        stopped: Says that no further call may begin by returning the error that stops the run.
        seeded: Whether each call is given a seed of its own, from the episode.
    """

    def __init__(
        self,
        inner: Model,
        store: RunFile,
        episode: str,
        *,
        price: Price | None,
        stopped: Callable[[], ModelError | None],
        seeded: bool = False,
    ) -> None:
        super().__init__(inner)
        self._store, self._episode, self._price = store, episode, price
        self._stopped, self._seeded = stopped, seeded
        self._where = blake2b(episode.encode(), digest_size=8).digest()
        self._content = Growing()
        self._asked: dict[bytes, int] = {}
        self._answered = store.answered(episode)

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Completion:
        """Return one completion, the stored one if there is one.

        Raises:
            ModelError: There is none; it is stored that it failed, and what that took.
        """
        key = self._key(messages, tools, sampling)
        stored = self._store.completion(key) if key in self._answered else None
        if stored is not None:
            return msgspec.structs.replace(stored, spent=msgspec.structs.replace(stored.spent, requests=0))
        stop = self._stopped()
        if stop is not None:
            raise stop
        if self._seeded:
            sampling = msgspec.structs.replace(
                sampling, seed=int.from_bytes(blake2b(key, digest_size=4).digest(), "big") >> 1
            )
        began = time.perf_counter()
        try:
            completion = await self.inner.complete(messages, tools, sampling)
        except ModelError as error:
            if error.spent.requests:
                self._add(key, error.spent, time.perf_counter() - began, error=str(error)[:1_000])
            raise
        except asyncio.CancelledError:  # it may have been answered, and counted
            self._add(key, Spent(unknown=1), time.perf_counter() - began, error="dropped: the run was interrupted")
            raise
        self._add(key, completion.spent, time.perf_counter() - began, completion=completion)
        return completion

    def _add(
        self, key: bytes, spent: Spent, seconds: float, *, completion: Completion | None = None, error: str = ""
    ) -> None:
        cost = nano_usd(self._price, spent.usage)
        served = completion.model if completion is not None else ""
        self._store.add_call(
            key,
            self._episode,
            model=served or self.name,
            spent=spent,
            nano_usd=cost,
            seconds=seconds,
            completion=completion,
            error=error,
        )

    def _key(self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling) -> bytes:
        content = self._content.key(messages, tools, sampling)
        number = self._asked[content] = self._asked.get(content, -1) + 1
        return content + self._where + number.to_bytes(2, "big")
