"""Anthropic's protocol: Messages, of Anthropic itself and of whatever else speaks it.

Maps messages both ways through the official SDK's client and does nothing more. Thinking blocks are kept, signatures
and all, and given back with the turn they belong to.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Final

from impress_env.errors import OptionError
from impress_env.model import Completion, ModelError, ModelRef, Sampling, Spent, Stop, Tell, Usage
from impress_env.models.http import TEXT_CAP, Connection, Tools, transport, whole, wire
from impress_env.models.openai import INSTALL, TIMEOUT, called, need_sdk, parse_extra, parse_timeout, take
from impress_env.types import Message, ToolSchema

MAX_TOKENS: Final = 8_192  # the protocol demands a number
_THINKING: Final = ("thinking", "redacted_thinking")
_STOPS: Final[dict[str, Stop]] = {
    "end_turn": "end",
    "stop_sequence": "end",
    "pause_turn": "end",
    "tool_use": "calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
}


def tool_form(tool: ToolSchema) -> dict[str, Any]:
    """Return a tool as Messages writes it."""
    return {"name": wire(tool.name), "description": tool.description, "input_schema": tool.parameters}


def message_blocks(messages: Sequence[Message]) -> tuple[str, list[dict[str, Any]]]:
    """Return (system text, turns): users and assistants alternate, results stand in the user's turn."""
    system: list[str] = []
    turns: list[dict[str, Any]] = []

    def add(role: str, blocks: list[dict[str, Any]]) -> None:
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": role, "content": blocks})

    for message in messages:
        if message.role == "system":
            system.append(message.content)
        elif message.role == "tool":
            result = {"type": "tool_result", "tool_use_id": message.call_id, "content": message.content}
            add("user", [result])
        elif message.role == "user":
            add("user", [_text(message.content)])
        else:
            add("assistant", _turn(message))
    return "\n\n".join(system), turns


def _turn(message: Message) -> list[dict[str, Any]]:
    """Return an assistant's turn: words and calls as the history has them, thinking where it stood among them.

    Thinking that nothing of its turn follows (the answer was cut off in it) is left out: a turn may not end in it.
    """
    words = [_text(message.content)] if message.content.strip() else []
    calls: list[dict[str, Any]] = [
        {"type": "tool_use", "id": call.id, "name": wire(call.tool), "input": call.arguments} for call in message.calls
    ]
    blocks: list[dict[str, Any]] = []
    for block in message.echo:
        if block.get("type") == "text":
            blocks += words
            words = []
        elif block.get("type") == "tool_use":
            blocks += calls[:1]
            calls = calls[1:]
        else:
            blocks.append(dict(block))
    blocks += [*words, *calls]
    while blocks and blocks[-1]["type"] in _THINKING:
        blocks.pop()
    return blocks or [_text("(no answer)")]


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text if text.strip() else "(nothing)"}  # empty blocks are refused


def read_message(data: Mapping[str, Any], *, full: bool = False) -> Completion:
    """Return what a Messages answer says.

    Args:
        data: The answer.
        full: Whether thinking comes whole rather than summarised.

    Raises:
        ModelError: It has no content to read; its usage is counted.
    """
    spent = _spent(data.get("usage"))
    content = data.get("content")
    stop: Stop = _STOPS.get(str(data.get("stop_reason")), "other")
    if not isinstance(content, list) or (not content and stop not in ("end", "refusal", "length")):
        raise ModelError("invalid_response", "expected content blocks, found none", spent=spent)
    if not content and stop == "end":
        raise ModelError("invalid_response", "expected content blocks, found an empty answer", spent=spent)
    text, thinking, calls, echo = [], [], [], []
    for block in content:
        kind = block.get("type") if isinstance(block, dict) else None
        if kind == "text":
            text.append(str(block.get("text") or ""))
            echo.append({"type": "text"})
        elif kind == "tool_use":
            calls.append(called(block.get("name"), block.get("input"), block.get("id")))
            echo.append({"type": "tool_use"})
        elif kind in _THINKING:
            echo.append(block)
            thinking.append(str(block.get("thinking") or ""))
    shown = "\n".join(part for part in thinking if part)
    return Completion(
        text="".join(text)[: TEXT_CAP + 1],
        calls=tuple(calls),
        reasoning=shown[:TEXT_CAP],
        reasoning_kind=("full" if full else "summarised") if shown else "hidden",
        stop=stop,
        spent=spent,
        model=str(data.get("model") or ""),
        echo=tuple(echo) if any(block["type"] in _THINKING for block in echo) else (),
    )


def _spent(usage: object) -> Spent:
    if not isinstance(usage, dict) or not isinstance(usage.get("input_tokens"), int):
        return Spent(unknown=1)
    cached = whole(usage.get("cache_read_input_tokens"))
    written = whole(usage.get("cache_creation_input_tokens"))
    details = usage.get("output_tokens_details")
    return Spent(
        usage=Usage(
            input=whole(usage.get("input_tokens")) + cached + written,  # theirs leaves the cached ones out
            output=whole(usage.get("output_tokens")),
            cached=cached,
            cache_write=written,
            reasoning=whole(details.get("thinking_tokens")) if isinstance(details, dict) else 0,
        )
    )


class AnthropicModel:
    """A model behind Anthropic's protocol.

    Args:
        name: The model's name at the endpoint.
        key: The API key.
        url: Base URL, without /v1; None is Anthropic's own.
        extra: Further fields of every request's body.
        timeout: Seconds a request may take.
    """

    def __init__(
        self,
        name: str,
        *,
        key: str = "none",
        url: str | None = None,
        extra: Mapping[str, Any] | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self.name, self._key, self._url = name, key, url
        self._extra, self._timeout = dict(extra or {}), timeout
        self._tools = Tools(tool_form)
        self._connection: Connection | None = None

    @property
    def connection(self) -> Connection:
        """The endpoint, made at first use: it belongs to the event loop."""
        if self._connection is None:
            from anthropic import AsyncAnthropic, DefaultAioHttpClient

            http = transport(DefaultAioHttpClient, self._timeout, self._url)
            sdk = AsyncAnthropic(api_key=self._key, base_url=self._url, max_retries=0, http_client=http)
            self._connection = Connection(sdk, http, secrets=(self._key,), timeout=self._timeout)
        return self._connection

    async def start(self, tell: Tell) -> None:
        """Nothing to start: a wrong key or name is told by the first call."""

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Completion:
        """Return one completion.

        Raises:
            ModelError: There is none.
        """
        body = self._body(messages, tools, sampling)
        return read_message(await self.connection.post("/v1/messages", body), full=self._url is not None)

    def _body(self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling) -> dict[str, Any]:
        system, turns = message_blocks(messages)
        body: dict[str, Any] = {
            "model": self.name,
            "max_tokens": sampling.max_tokens or MAX_TOKENS,
            "messages": turns,
        }
        if system:
            body["system"] = system
        if self._url is None:
            body["cache_control"] = {"type": "ephemeral"}  # the whole prefix of a growing history
        if tools and sampling.tool_choice != "none":
            body["tools"] = self._tools.encoded(tools)
            if sampling.tool_choice == "required":
                body["tool_choice"] = {"type": "any"}
        elif tools and any(message.calls for message in messages):
            body["tools"] = self._tools.encoded(tools)  # a history with calls needs them declared
            body["tool_choice"] = {"type": "none"}
        for key in ("temperature", "top_p"):
            if getattr(sampling, key) is not None:
                body[key] = getattr(sampling, key)
        if sampling.stop:
            body["stop_sequences"] = sampling.stop
        if sampling.thinking is not None:
            on = {"type": "enabled", "budget_tokens": sampling.thinking}
            body["thinking"] = on if sampling.thinking else {"type": "disabled"}
            if sampling.thinking:
                body["max_tokens"] = max(body["max_tokens"], sampling.thinking + 1_024)
        if sampling.effort:
            body["output_config"] = {"effort": sampling.effort}
        body.update(self._extra)
        return body

    async def aclose(self) -> None:
        """Close the connections."""
        if self._connection is not None:
            await self._connection.aclose()
            self._connection = None


class AnthropicProvider:
    """Opens `anthropic:NAME` and `anthropic:NAME@URL` (any endpoint that speaks the protocol)."""

    launches = False
    options: Mapping[str, str] = {
        "extra": "JSON object of further fields of every request",
        "timeout": "seconds a request may take (600)",
    }

    def open(self, ref: ModelRef, options: Mapping[str, str]) -> AnthropicModel:
        """Return a model; nothing is contacted yet.

        Raises:
            OptionError, PluginError: As `Provider.open`.
        """
        told = take(options, self.options, str(ref))
        if not ref.name or len(ref.urls) > 1:
            raise OptionError(f"{ref}: expected anthropic:NAME or anthropic:NAME@URL")
        need_sdk("anthropic")
        key = os.environ.get("ANTHROPIC_API_KEY", "")
        if not key and not ref.urls:
            raise OptionError(f"{ref}: expected the key in ANTHROPIC_API_KEY, found none; export it and run again")
        return AnthropicModel(
            ref.name,
            key=key or "none",
            url=re.sub(r"/v1$", "", ref.urls[0]) if ref.urls else None,
            extra=parse_extra(told.get("extra", "")),
            timeout=parse_timeout(told.get("timeout", str(TIMEOUT))),
        )

    def missing(self) -> str:
        """Return what is missing to use it."""
        if find_spec("anthropic") is None:
            return f"the anthropic SDK: {INSTALL}"
        return "" if os.environ.get("ANTHROPIC_API_KEY") else "ANTHROPIC_API_KEY (not needed for anthropic:NAME@URL)"


provider = AnthropicProvider()
