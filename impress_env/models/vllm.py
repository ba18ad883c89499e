"""vLLM: open-weight models on GPUs at hand, through its OpenAI-compatible endpoint and its extras.

`vllm@URL,URL` uses servers that run, one model on all of them; `vllm:NAME` starts one and ends it. Reasoning comes
whole and is given back in its own field. Histories that begin alike go to the same server, for its prefix cache.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from importlib.util import find_spec
from time import monotonic
from typing import Any, Final

from impress_env.errors import OptionError
from impress_env.model import Completion, Gauges, ModelError, ModelRef, Sampling, Tell
from impress_env.models.http import decoded
from impress_env.models.launch import Launch, Server, find_binary, start
from impress_env.models.openai import (
    INSTALL,
    TIMEOUT,
    OpenAIModel,
    at_v1,
    chat_messages,
    need_sdk,
    parse_extra,
    parse_timeout,
    take,
)
from impress_env.types import Message, ToolSchema

_METRIC: Final = re.compile(r"^vllm:(\w+)(?:\{[^}]*\})?\s+(-?[\d.]+(?:[eE][-+]?\d+)?)", re.MULTILINE)
_AGAIN: Final = 30.0  # seconds
_SPILL: Final = 8  # requests that a server may have more than the idlest before its histories go elsewhere


class VLLMModel(OpenAIModel):
    """A model served by one vLLM. `name` "" asks the server which it serves.

    Args:
        name: The served name.
        url: The server, without /v1.
        template: Further arguments of the chat template.
        extra: Further fields of every request's body.
        key: Where the server wants one.
        timeout: Seconds a request may take.
    """

    thinks = True

    def __init__(
        self,
        name: str,
        *,
        url: str,
        template: Mapping[str, Any] | None = None,
        extra: Mapping[str, Any] | None = None,
        key: str = "none",
        timeout: float = TIMEOUT,
    ) -> None:
        super().__init__(name, key=key, url=at_v1(url), extra=extra, timeout=timeout)
        self.url, self._template = re.sub(r"/v1$", "", url), dict(template or {})
        self.under_way = 0
        self.context: int | None = None

    async def start(self, tell: Tell) -> None:
        """Ask what the server serves.

        Raises:
            ModelError: It does not answer, or serves nothing of that name.
        """
        served = await self._get("/v1/models")
        found = {str(item.get("id")): item for item in served.get("data", ()) if isinstance(item, dict)}
        if self.name and self.name not in found:
            told = f"{self.url} serves {', '.join(found) or 'nothing'}, not {self.name}; name one of these"
            raise ModelError("not_found", told)
        if not found:
            raise ModelError("not_found", f"{self.url} serves no model")
        self.name = self.name or next(iter(found))
        context = found[self.name].get("max_model_len")
        self.context = context if isinstance(context, int) else None
        tell(f"{self.url} serves {self.name}" + (f", context {context} tokens" if context else ""))

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Completion:
        """Return one completion.

        Raises:
            ModelError: There is none.
        """
        self.under_way += 1
        try:
            return await super().complete(messages, tools, sampling)
        finally:
            self.under_way -= 1

    def _chat_body(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> dict[str, Any]:
        body = super()._chat_body(messages, tools, sampling)
        body["messages"] = chat_messages(messages, reasoning=True)
        template = dict(self._template)
        if sampling.thinking is not None:
            template["enable_thinking"] = sampling.thinking > 0
        if template:
            body["chat_template_kwargs"] = template
        return body

    async def gauges(self) -> Gauges:
        """Return the server's own metrics.

        Raises:
            ModelError: It does not answer.
        """
        response = await self.connection.get(f"{self.url}/metrics", timeout=10.0)
        return parse_metrics(response.text)

    async def _get(self, path: str) -> dict[str, Any]:
        response = await self.connection.get(f"{self.url}{path}", timeout=20.0)
        return decoded(response.content)


def parse_metrics(text: str) -> Gauges:
    """Return the gauges of a Prometheus page, summed over the engines of a server."""
    found: dict[str, float] = {}
    for name, value in _METRIC.findall(text):
        found[name] = found.get(name, 0.0) + float(value)
    return Gauges(
        running=int(found.get("num_requests_running", 0)),
        waiting=int(found.get("num_requests_waiting", 0)),
        cache_usage=found.get("kv_cache_usage_perc", 0.0),
        prompt_tokens=int(found.get("prompt_tokens_total", 0)),
        generated_tokens=int(found.get("generation_tokens_total", 0)),
        prefix_queries=int(found.get("prefix_cache_queries_total", 0)),
        prefix_hits=int(found.get("prefix_cache_hits_total", 0)),
    )


class Balanced:
    """One model on several servers.

    A history goes to the server that its first messages choose (rendezvous hashing), unless that has far more to do
    than the idlest. One that cannot be reached is left out for half a minute, then tried again.
    """

    def __init__(self, models: Sequence[VLLMModel]) -> None:
        self._models = list(models)
        self._down: dict[int, float] = {}  # server -> when it is tried again

    @property
    def name(self) -> str:
        """The served name."""
        return self._models[0].name

    @property
    def context(self) -> int | None:
        """The shortest context of the servers, in tokens."""
        return min((model.context for model in self._models if model.context), default=None)

    async def start(self, tell: Tell) -> None:
        """Ask all of them; one model must be on all.

        Raises:
            ModelError: One does not answer.
            OptionError: They serve different models.
        """
        for model in self._models:
            await model.start(tell)
        names = sorted({model.name for model in self._models})
        if len(names) > 1:
            raise OptionError(
                f"vllm@: the servers serve different models ({', '.join(names)}); name one: vllm:NAME@URLs"
            )

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Completion:
        """Return one completion, of the server chosen.

        Raises:
            ModelError: There is none; `unreachable` where no server can be reached.
        """
        lead = "\x1f".join(message.content for message in messages[:2]).encode()
        while True:
            index = self._choose(lead)
            try:
                return await self._models[index].complete(messages, tools, sampling)
            except ModelError as error:
                if error.kind != "unreachable":
                    raise
                self._down[index] = monotonic() + _AGAIN
                if not self._up():
                    self._down.clear()
                    raise

    def _choose(self, lead: bytes) -> int:
        up = self._up()

        def weight(index: int) -> bytes:
            return blake2b(lead, key=str(index).encode(), digest_size=8).digest()

        chosen = max(up, key=weight)
        idlest = min(up, key=lambda index: self._models[index].under_way)
        ahead = self._models[chosen].under_way - self._models[idlest].under_way
        return idlest if ahead > _SPILL else chosen

    def _up(self) -> list[int]:
        now = monotonic()
        return [index for index in range(len(self._models)) if self._down.get(index, 0.0) <= now]

    async def gauges(self) -> Gauges:
        """Return the metrics of all servers, summed; the cache usage is the fullest one's.

        Raises:
            ModelError: One does not answer.
        """
        found = [await self._models[index].gauges() for index in self._up()]
        totals = {
            name: sum(getattr(gauges, name) for gauges in found)
            for name in Gauges.__struct_fields__
            if name != "cache_usage"
        }
        return Gauges(cache_usage=max(gauges.cache_usage for gauges in found), **totals)

    async def aclose(self) -> None:
        """Close the connections."""
        for model in self._models:
            await model.aclose()


class Launched:
    """A model whose server is started with it and ended with it."""

    def __init__(self, launch: Launch, **options: Any) -> None:
        self._launch, self._options = launch, options
        self._server: Server | None = None
        self._model: VLLMModel | None = None
        self.name = launch.served_name or launch.model

    @property
    def context(self) -> int | None:
        """The server's context in tokens."""
        return self._model.context if self._model is not None else None

    async def start(self, tell: Tell) -> None:
        """Start the server and wait until it is ready.

        Raises:
            OptionError, ModelError, PluginError: It cannot be started; says what mends it.
        """
        self._server = await start(self._launch, progress=tell)
        self._model = VLLMModel(self.name, url=self._server.url, **self._options)
        await self._model.start(tell)

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Completion:
        """Return one completion.

        Raises:
            ModelError: There is none.
        """
        if self._model is None:
            raise ModelError("unreachable", f"vllm:{self.name} is not started; call start() first")
        try:
            return await self._model.complete(messages, tools, sampling)
        except ModelError as error:
            server = self._server
            if error.kind not in ("unreachable", "disconnected") or server is None or server.running:
                raise
            told = f"the server of {self.name} ended with status {server.exit_status}; its log is {server.log}"
            raise ModelError("gone", told, spent=error.spent) from None

    async def gauges(self) -> Gauges:
        """Return the server's own metrics.

        Raises:
            ModelError: It does not answer.
        """
        if self._model is None:
            raise ModelError("unreachable", f"vllm:{self.name} is not started; call start() first")
        return await self._model.gauges()

    async def aclose(self) -> None:
        """End the server."""
        if self._model is not None:
            await self._model.aclose()
        if self._server is not None:
            await self._server.stop()
            self._server = None


LAUNCH_OPTIONS: Final[dict[str, str]] = {
    "bin": "the vllm command; found on PATH if not given",
    "port": "port of the server started; a free one if not given",
    "tool_parser": "vLLM's --tool-call-parser; by the model's family if not given",
    "reasoning_parser": "vLLM's --reasoning-parser, likewise",
    "tensor_parallel": "GPUs that share a copy of the model",
    "data_parallel": "copies of the model",
    "max_model_len": "context length in tokens",
    "dtype": "bfloat16, float16, float32 or auto",
    "args": "further arguments of vllm serve, as in a shell",
    "startup": "seconds that the server may take to start (1800)",
}


class VLLMProvider:
    """Opens `vllm:NAME` (starts a server), `vllm@URL[,URL…]` and `vllm:NAME@URL[,URL…]`."""

    launches = True
    options: Mapping[str, str] = {
        "template": "JSON object of further arguments of the chat template",
        "extra": 'JSON object of further fields of every request, e.g. {"top_k":20}',
        "timeout": "seconds a request may take (600)",
        **LAUNCH_OPTIONS,
    }

    def open(self, ref: ModelRef, options: Mapping[str, str]) -> VLLMModel | Balanced | Launched:
        """Return a model; `start` contacts or starts its server.

        Raises:
            OptionError, PluginError: As `Provider.open`.
        """
        told = take(options, self.options, str(ref))
        need_sdk("openai")
        shared: dict[str, Any] = {
            "template": parse_extra(told.get("template", "")),
            "extra": parse_extra(told.get("extra", "")),
            "timeout": parse_timeout(told.get("timeout", str(TIMEOUT))),
        }
        if ref.urls:
            useless = sorted(set(told) & set(LAUNCH_OPTIONS))
            if useless:
                raise OptionError(f"{ref}: {', '.join(useless)} go with a server that is started, not with a URL")
            key = os.environ.get("VLLM_API_KEY", "") or "none"  # of servers that were started with one
            models = [VLLMModel(ref.name, url=url, key=key, **shared) for url in ref.urls]
            return models[0] if len(models) == 1 else Balanced(models)
        return Launched(launch_of(ref.name, told), **shared)

    def missing(self) -> str:
        """Return what is missing to use it."""
        if find_spec("openai") is None:
            return f"the openai SDK: {INSTALL}"
        return "" if find_binary("") else "the vllm command (not needed for vllm@URL): pip install vllm"


def launch_of(model: str, options: Mapping[str, str]) -> Launch:
    """Return how to start a server, from the provider's options.

    Raises:
        OptionError: A number is none, or the arguments cannot be split.
    """

    def number(key: str, default: int) -> int:
        text = options.get(key, str(default))
        if not text.isdecimal():
            raise OptionError(f"{key}: expected a whole number, found {text!r}")
        return int(text)

    try:
        args = tuple(shlex.split(options.get("args", "")))
    except ValueError as error:
        raise OptionError(f"args: expected words as in a shell, found {options['args']!r} ({error})") from None
    return Launch(
        model=model,
        binary=options.get("bin", ""),
        port=number("port", 0),
        tool_parser=options.get("tool_parser", ""),
        reasoning_parser=options.get("reasoning_parser", ""),
        tensor_parallel=number("tensor_parallel", 1),
        data_parallel=number("data_parallel", 1),
        max_model_len=number("max_model_len", 0),
        dtype=options.get("dtype", ""),
        args=args,
        startup_seconds=parse_timeout(options.get("startup", "1800")),
    )


provider = VLLMProvider()
