"""Scorers: the log-likelihood that a model gives to whole tool calls, each written by its own chat template.

A call's tokens are those that appear when the turn with it is appended to the history, from the seam (the end of the
generation prompt) to the mark that ends the turn. Promises: all calls scored together begin at one token, so that what
they share cancels in their differences; where no seam can be found that is an error and never a number. Knows nothing
of scenarios or statistics.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

import msgspec

from impress_env.model import Completion, ModelError, Sampling, Tell
from impress_env.models.http import CAP
from impress_env.models.openai import TIMEOUT, chat_messages, chat_tool
from impress_env.models.vllm import VLLMModel
from impress_env.types import Message, ToolCall, ToolSchema

TRIES: Final = 3
NOTHING: Final = -9_999.0  # what vLLM writes for the logarithm of 0
_SHOWN: Final = 12  # tokens on either side of a seam that an error shows
_CALL_ID: Final = "callprobe"  # nine letters: some templates take no other length

_T = TypeVar("_T")


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """The log-likelihood of a call: natural logarithms, one a token.

    `context` tokens stand before the call. `dropped` tokens of the generation prompt do not stand there: a thinking
    block that it opens and the finished turn has not.
    """

    log_ps: tuple[float, ...]
    context: int
    dropped: int = 0

    @property
    def total(self) -> float:
        """The log-likelihood of the whole call."""
        return math.fsum(self.log_ps)


class Scorer(Protocol):
    """A model that can be asked how likely a call is, and what it would do."""

    @property
    def name(self) -> str:
        """The served name."""

    @property
    def template(self) -> Mapping[str, Any]:
        """Further arguments of the chat template."""

    async def score(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], calls: Sequence[ToolCall]
    ) -> Sequence[Score]:
        """Return the likelihood of each call as the next turn, in the order given.

        Raises:
            ModelError: There is none.
        """

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Completion:
        """Return one completion.

        Raises:
            ModelError: There is none.
        """


def seam(bare: Sequence[int], context: Sequence[int], wholes: Sequence[Sequence[int]]) -> int:
    """Return at which token the appended turns begin.

    That is the end of the context, or a place inside its generation prompt where the template writes the finished
    turns in another way (a thinking block that is opened for the model to fill, newlines that merge into one token).

    Args:
        bare: The history without a generation prompt.
        context: The history with it, as the model is asked.
        wholes: The history with each turn appended.

    Raises:
        ModelError: The template rewrites what came before, or writes all turns alike.

    >>> seam([1, 2], [1, 2, 8, 9], [[1, 2, 8, 9, 5, 7], [1, 2, 8, 9, 6, 7]])
    4
    """
    if len(wholes) > 1 and all(list(whole) == list(wholes[0]) for whole in wholes):
        raise ModelError("bad_request", "the chat template writes all calls alike, expected one that writes them out; "
                         "give the server another with --chat-template")  # fmt: skip
    at = min(_shared(context, whole) for whole in wholes)
    opening = _shared(bare, context)
    if at < opening:
        raise ModelError("bad_request", f"the chat template has no seam: with a call appended token {at} changes, "
                         f"expected no change before the generation prompt at token {opening}; try another argument "
                         "of the template (e.g. enable_thinking=false), or --chat-template")  # fmt: skip
    if any(len(whole) == at for whole in wholes):
        raise ModelError("bad_request", f"the chat template writes nothing for a call after token {at}; "
                         "give the server another with --chat-template")  # fmt: skip
    return at


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sequences begin with alike."""
    shorter = min(len(one), len(other))
    return next((i for i in range(shorter) if one[i] != other[i]), shorter)


class _LogP(msgspec.Struct):
    logprob: float


class _Choice(msgspec.Struct):
    prompt_logprobs: list[dict[str, _LogP] | None] | None = None


class _Scored(msgspec.Struct):
    choices: list[_Choice]


class _Tokens(msgspec.Struct):
    tokens: list[int]


class _Text(msgspec.Struct):
    prompt: str


class VLLMScorer:
    """A model served by one vLLM, scored by its prompt_logprobs.

    vLLM reads no prefix cache for such requests, since cached tokens have no logits: each call costs a prefill of the
    whole history (vllm 0.32, `SamplingParams.skip_reading_prefix_cache`). What is drawn does use the cache.

    Args:
        name: The served name; "" asks the server which it serves.
        url: The server, without /v1.
        template: Further arguments of the chat template, e.g. `{"enable_thinking": False}`.
        key: Where the server wants one.
        timeout: Seconds a request may take.
        pause: Seconds before a failed request is sent again; twice as long each time.
    """

    def __init__(
        self,
        name: str = "",
        *,
        url: str,
        template: Mapping[str, Any] | None = None,
        key: str = "none",
        timeout: float = TIMEOUT,
        pause: float = 0.5,
    ) -> None:
        self.template: Mapping[str, Any] = dict(template or {})
        self._model = VLLMModel(name, url=url, template=self.template, key=key, timeout=timeout)
        self._key, self._timeout, self._pause = key, timeout, pause
        self._blank: dict[int, bool] = {}

    @property
    def name(self) -> str:
        """The served name."""
        return self._model.name

    async def start(self, tell: Tell) -> None:
        """Ask the server what it serves.

        Raises:
            ModelError: It does not answer, or serves nothing of that name.
        """
        await self._again(lambda: self._model.start(tell))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._model.aclose()

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Completion:
        """Return one completion.

        Raises:
            ModelError: There is none.
        """
        return await self._again(lambda: self._model.complete(messages, tools, sampling))

    async def score(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], calls: Sequence[ToolCall]
    ) -> list[Score]:
        """Return the likelihood of each call as the next turn, in the order given.

        Raises:
            ModelError: The server gives none, or the template has no seam.
        """
        shown = [chat_tool(tool) for tool in tools]
        bare = await self._tokens(messages, shown, open_turn=False)
        context = await self._tokens(messages, shown, open_turn=True)
        wholes = []
        for call in calls:
            turn = Message(role="assistant", calls=(msgspec.structs.replace(call, id=_CALL_ID),))
            wholes.append(await self._tokens([*messages, turn], shown, open_turn=False))
        try:
            at = seam(bare, context, wholes)
        except ModelError as error:
            raise ModelError(
                error.kind, f"{self._model.url}: {await self._shown(str(error), context, wholes)}"
            ) from None
        found = []
        for whole in wholes:
            end = len(whole)
            while end > at + 1 and await self._is_blank(whole[end - 1]):  # follows the end mark: no model writes it
                end -= 1
            log_ps = await self._log_ps(whole[:end], at)
            found.append(Score(log_ps=tuple(log_ps), context=at, dropped=len(context) - at))
        return found

    async def _tokens(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], *, open_turn: bool
    ) -> list[int]:
        body = {
            "model": self.name,
            "messages": chat_messages(messages, reasoning=True),
            "tools": tools or None,
            "add_generation_prompt": open_turn,
            "chat_template_kwargs": self.template or None,
        }
        return (await self._ask("/tokenize", body, _Tokens)).tokens

    async def _log_ps(self, tokens: Sequence[int], start: int) -> list[float]:
        """Return the logarithms of the probabilities of the tokens from `start` on, each given those before it."""
        body = {"model": self.name, "prompt": tokens, "max_tokens": 1, "temperature": 0, "prompt_logprobs": 0}
        answer = await self._ask("/v1/completions", body, _Scored)
        given = answer.choices[0].prompt_logprobs if answer.choices else None
        if given is None or len(given) != len(tokens):
            told = "none" if given is None else str(len(given))
            raise ModelError("invalid_response", f"{self._model.url}: expected prompt_logprobs of {len(tokens)} "
                             f"tokens, found {told}; is it a vLLM server?")  # fmt: skip
        found = []
        for token, entry in zip(tokens[start:], given[start:], strict=True):
            value = entry.get(str(token)) if entry is not None else None
            if value is None or not NOTHING < value.logprob <= 1e-6:
                told = "none" if value is None else f"{value.logprob:g}"
                raise ModelError("invalid_response", f"{self._model.url}: expected a log-probability for token "
                                 f"{token}, found {told}; the server needs --logprobs-mode raw_logprobs")  # fmt: skip
            found.append(min(value.logprob, 0.0))
        return found

    async def _is_blank(self, token: int) -> bool:
        if token not in self._blank:
            self._blank[token] = not (await self._text([token])).strip()
        return self._blank[token]

    async def _text(self, tokens: Sequence[int]) -> str:
        return (await self._ask("/detokenize", {"model": self.name, "tokens": tokens}, _Text)).prompt

    async def _shown(self, message: str, context: Sequence[int], wholes: Sequence[Sequence[int]]) -> str:
        """Return an error with the texts around the first token that differs."""
        at, whole = min(((_shared(context, whole), whole) for whole in wholes), key=lambda pair: pair[0])
        around = slice(max(at - _SHOWN, 0), at + _SHOWN)
        texts = [await self._text(tokens[around]) for tokens in (context, whole)]
        return f"{message}. Asked: {texts[0]!r}; with the call: {texts[1]!r}"

    async def _ask(self, path: str, body: Mapping[str, Any], kind: type[_T]) -> _T:
        url = f"{self._model.url}{path}"
        content = msgspec.json.encode({key: value for key, value in body.items() if value is not None})

        async def read() -> _T:
            response = await self._model.connection.send("POST", url, content=content)
            if len(response.content) > CAP:
                raise ModelError("bad_request", f"{url} answered {len(response.content)} bytes, expected at most {CAP}")
            try:
                return msgspec.json.decode(response.content, type=kind)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                told = f"{url}: expected vLLM's answer, found {response.content[:80]!r} ({error})"
                raise ModelError("invalid_response", told) from None

        return await self._again(read)

    async def _again(self, ask: Callable[[], Awaitable[_T]]) -> _T:
        """Return an answer, asked for anew where the failure may pass."""
        for tried in range(1, TRIES):
            try:
                return await ask()
            except ModelError as error:
                if not error.retried:
                    raise
                pause = self._pause * 2 ** (tried - 1)
                await asyncio.sleep(max(pause, error.retry_after or 0.0))
        return await ask()


class ScorerPool:
    """One model on several servers; each history goes to the server that has the least to do."""

    def __init__(self, scorers: Sequence[Scorer]) -> None:
        self._scorers, self._busy = list(scorers), [0] * len(scorers)
        self.template: Mapping[str, Any] = self._scorers[0].template

    @property
    def name(self) -> str:
        """The served name."""
        return self._scorers[0].name

    async def score(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], calls: Sequence[ToolCall]
    ) -> Sequence[Score]:
        """Return the likelihood of each call as the next turn, in the order given.

        Raises:
            ModelError: There is none.
        """
        return await self._idlest(lambda scorer: scorer.score(messages, tools, calls))

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Completion:
        """Return one completion.

        Raises:
            ModelError: There is none.
        """
        return await self._idlest(lambda scorer: scorer.complete(messages, tools, sampling))

    async def _idlest(self, ask: Callable[[Scorer], Awaitable[_T]]) -> _T:
        index = self._busy.index(min(self._busy))
        self._busy[index] += 1
        try:
            return await ask(self._scorers[index])
        finally:
            self._busy[index] -= 1
