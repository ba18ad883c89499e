"""Models: what turns messages into a completion, how one is named, and how it fails.

A model is named ``provider:NAME``, ``provider:NAME@URL[,URL…]`` or ``provider@URL[,URL…]``; the provider is an entry
point of the group `impress_env.models`. A `Model` maps messages both ways and does nothing more: retries, rates,
budgets, caches and accounts are wrapped around any of them (`impress_env.models.wrappers`). Knows nothing of agents,
scenarios or runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, Protocol
from urllib.parse import urlsplit

import msgspec

from impress_env import plugins
from impress_env.errors import AgentError, OptionError, PluginError
from impress_env.types import Message, ReasoningKind, ToolCall, ToolSchema

Stop = Literal["end", "calls", "length", "refusal", "filter", "other"]
ToolChoice = Literal["auto", "required", "none"]
Failure = Literal[
    "rate_limited",  # 429
    "overloaded",  # 503, 529
    "server",  # other 5xx, 409
    "timeout",  # no answer in time
    "unreachable",  # no connection could be made: nothing was asked
    "disconnected",  # the connection broke after the request was sent
    "invalid_response",  # an answer that is none: no JSON, cut off, no choices
    "too_long",  # more than the model's context
    "bad_request",  # other 4xx
    "filter",  # refused by the endpoint's content filter
    "authentication",  # 401, 403
    "not_found",  # no such model or path
    "gone",  # a server that the run started has ended
    "budget",  # a cap of the run is reached
]
RETRIED: Final = frozenset(
    {"rate_limited", "overloaded", "server", "timeout", "unreachable", "disconnected", "invalid_response"}
)
STOPS_RUN: Final = frozenset({"unreachable", "authentication", "not_found", "gone", "budget"})  # no episode can go on
USAGE_UNKNOWN: Final = frozenset({"timeout", "disconnected"})  # the endpoint may have worked, and counted


class Sampling(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a completion is drawn; None and "" leave it to the endpoint.

    `max_tokens` counts what is generated, reasoning included. `seed` asks for reproducible draws where the endpoint
    has them. `effort` is a reasoning model's ("minimal" … "high"), `thinking` a thinking budget in tokens (0: off).
    """

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    effort: str = ""
    thinking: int | None = None
    stop: tuple[str, ...] = ()
    tool_choice: ToolChoice = "auto"


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens of one or more requests, as the endpoint counts them.

    `input` holds `cached` (read from the endpoint's prompt cache) and `cache_write`; `output` holds `reasoning`.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input=self.input + other.input,
            output=self.output + other.output,
            cached=self.cached + other.cached,
            cache_write=self.cache_write + other.cache_write,
            reasoning=self.reasoning + other.reasoning,
        )


class Spent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one call of a model took: requests sent, tokens counted, requests whose usage never arrived."""

    requests: int = 1
    usage: Usage = Usage()
    unknown: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            requests=self.requests + other.requests,
            usage=self.usage + other.usage,
            unknown=self.unknown + other.unknown,
        )


class Gauges(msgspec.Struct, frozen=True, kw_only=True):
    """What a server of open weights says of itself: requests running and waiting, and totals since it started."""

    running: int
    waiting: int
    cache_usage: float
    prompt_tokens: int
    generated_tokens: int
    prefix_queries: int
    prefix_hits: int


class Called(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tool call as a model wrote it. `problem` says why the arguments cannot be read; then they are `{}`."""

    call: ToolCall
    raw: str = ""
    problem: str = ""


class Completion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a model answered.

    `model` is the name under which it was served. `echo` is what the provider wants back with this turn (thinking
    blocks, reasoning items): opaque, only for the same provider.
    """

    text: str = ""
    calls: tuple[Called, ...] = ()
    reasoning: str = ""
    reasoning_kind: ReasoningKind = "hidden"
    stop: Stop = "end"
    spent: Spent = Spent()
    model: str = ""
    echo: tuple[dict[str, Any], ...] = ()


class ModelError(AgentError):
    """A model gave no completion.

    Args:
        kind: One of `Failure`; it decides whether the call is retried and whether the run can go on.
        message: What was expected, what was found, and what to do next. Never holds a key.
        status: The HTTP status, or 0.
        retry_after: Seconds that the endpoint asks to wait, or None.
        spent: What the failed requests took.
    """

    def __init__(
        self,
        kind: Failure,
        message: str,
        *,
        status: int = 0,
        retry_after: float | None = None,
        spent: Spent | None = None,
    ) -> None:
        self.kind: Failure = kind
        self.status, self.retry_after = status, retry_after
        self.spent = spent if spent is not None else Spent(unknown=int(kind in USAGE_UNKNOWN))
        super().__init__(f"{kind}: {message}")

    @property
    def retried(self) -> bool:
        """Whether asking again may help."""
        return self.kind in RETRIED

    @property
    def stops_run(self) -> bool:
        """Whether no episode with this model can go on, so that a run stops, resumable, instead of failing them all."""
        return self.kind in STOPS_RUN


Tell = Callable[[str], None]


class Model(Protocol):
    """Turns messages into a completion."""

    @property
    def name(self) -> str:
        """The name under which it is asked for."""

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Completion:
        """Return one completion.

        Args:
            messages: The history, system message first.
            tools: What may be called; shared and immutable.
            sampling: How to draw.

        Raises:
            ModelError: There is none.
        """

    async def start(self, tell: Tell) -> None:
        """Make it ready: start what has to run, find out what can be found out cheaply; progress goes to `tell`.

        Raises:
            ModelError, OptionError: It cannot be used.
        """

    async def aclose(self) -> None:
        """Close connections. A model that started a server ends it."""


class ModelRef(msgspec.Struct, frozen=True):
    """A parsed model name. `urls` are the endpoints to use, none for the provider's own."""

    provider: str
    name: str
    urls: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.provider + (f":{self.name}" if self.name else "") + (f"@{','.join(self.urls)}" if self.urls else "")


class Provider(Protocol):
    """What an entry point of the group `impress_env.models` is: how models of one kind are opened.

    `options` names the options that `open` takes beside the sampling's, with a line of help each; `launches` says
    whether a model without a URL starts a server of its own.
    """

    options: Mapping[str, str]
    launches: bool

    def open(self, ref: ModelRef, options: Mapping[str, str]) -> Model:
        """Return a model; contacts nothing yet, or starts what has to be started.

        Raises:
            OptionError: A name, option or key is missing or wrong.
            PluginError: A library is missing, with the command that installs it.
        """

    def missing(self) -> str:
        """Return what is missing to use it and how to mend that, or ""."""


def is_model(text: str) -> bool:
    """Return whether a text has the form of a model's name."""
    head = text.partition("?")[0]
    provider = head.partition("@")[0].partition(":")[0]
    return provider != head and provider.replace("_", "").isalnum()


def parse_model(text: str) -> ModelRef:
    """Return the parts of a model's name.

    Raises:
        OptionError: It has not the form provider:NAME[@URL,…] or provider@URL,….
    """
    expected = "expected provider:NAME, provider:NAME@URL or provider@URL[,URL…], e.g. vllm@http://127.0.0.1:8000"
    head, at, places = text.partition("@http")
    provider, _, name = head.partition(":")
    if not is_model(text) or not (name or at) or not provider.replace("_", "").isalnum():
        raise OptionError(f"model {text!r}: {expected}")
    urls = tuple(url.rstrip("/") for url in f"http{places}".split(",")) if at else ()
    if "@" in name or any(urlsplit(url).username is not None for url in urls):
        raise OptionError(
            f"model {provider}:…@…: {expected}; keys and passwords go into the environment, URLs have http://"
        )
    if any(urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname for url in urls):
        raise OptionError(f"model {text!r}: expected URLs as http://HOST:PORT, found {', '.join(urls)}")
    return ModelRef(provider, name, urls)


SAMPLING_OPTIONS: Final[dict[str, str]] = {
    "temperature": "0 to 2",
    "top_p": "0 to 1",
    "max_tokens": "generated tokens a turn, reasoning included",
    "effort": "reasoning effort, e.g. low, medium, high",
    "thinking": "thinking budget in tokens; 0 turns it off",
    "tool_choice": "auto (default), required",
    "sampling_seed": "fixed or episode (from the instance's seed and attempt), where the endpoint has seeds",
}


def parse_sampling(options: Mapping[str, str]) -> tuple[Sampling, dict[str, str]]:
    """Return the sampling that options ask for, and the options that are left.

    Raises:
        OptionError: A value is out of range.
    """
    left = dict(options)
    values: dict[str, Any] = {}
    for key, low, high in (("temperature", 0.0, 2.0), ("top_p", 0.0, 1.0)):
        if key in left:
            values[key] = _number(key, left.pop(key), low, high)
    for key, least in (("max_tokens", 1), ("thinking", 0)):
        if key in left:
            values[key] = int(_number(key, left.pop(key), least, 10_000_000))
    if "effort" in left:
        values["effort"] = left.pop("effort")
    if "tool_choice" in left:
        choice = left.pop("tool_choice")
        if choice not in ("auto", "required"):
            raise OptionError(f"tool_choice: expected auto or required, found {choice!r}")
        values["tool_choice"] = choice
    return Sampling(**values), left


def _number(key: str, text: str, low: float, high: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise OptionError(f"{key}: expected a number from {low:g} to {high:g}, found {text!r}")
    return value


def find_provider(name: str) -> Provider:
    """Return an installed provider.

    Raises:
        OptionError: There is none of that name.
        PluginError: It failed to load.
    """
    found = plugins.load("models", name)
    if not callable(getattr(found, "open", None)):
        raise PluginError(distribution="", entry_point=name, cause="expected an object with open(ref, options)")
    return found  # type: ignore[return-value]
