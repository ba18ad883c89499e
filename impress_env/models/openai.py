"""OpenAI's protocol: Chat Completions and Responses, of OpenAI itself and of whatever else speaks it.

Maps messages both ways through the official SDK's client and does nothing more. Reasoning models of OpenAI go through
Responses, whose reasoning items are kept and given back; all else through Chat Completions.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Final

import msgspec

from impress_env.errors import OptionError, PluginError
from impress_env.model import Called, Completion, ModelError, ModelRef, Sampling, Spent, Stop, Tell, Usage
from impress_env.models.http import TEXT_CAP, Connection, Tools, read_arguments, transport, whole, wire
from impress_env.types import Message, ReasoningKind, ToolCall, ToolSchema

INSTALL: Final = "pip install 'impress-env[models]'"
REASONING: Final = re.compile(r"^(o\d|gpt-[56](?!.*chat)|codex)")  # of OpenAI's own; they take no temperature
TIMEOUT: Final = 600.0
_CHAT_STOPS: Final[dict[str, Stop]] = {
    "stop": "end",
    "tool_calls": "calls",
    "function_call": "calls",
    "length": "length",
    "content_filter": "filter",
}


def chat_tool(tool: ToolSchema) -> dict[str, Any]:
    """Return a tool as Chat Completions writes it."""
    function = {"name": wire(tool.name), "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def responses_tool(tool: ToolSchema) -> dict[str, Any]:
    """Return a tool as Responses writes it."""
    return {
        "type": "function",
        "name": wire(tool.name),
        "description": tool.description,
        "parameters": tool.parameters,
        "strict": False,
    }


def chat_messages(messages: Sequence[Message], *, reasoning: bool = False) -> list[dict[str, Any]]:
    """Return a history as Chat Completions writes it; with `reasoning`, as vLLM takes the reasoning back."""
    found: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "tool":
            found.append({"role": "tool", "tool_call_id": message.call_id, "content": message.content})
        elif message.role == "assistant":
            item: dict[str, Any] = {"role": "assistant", "content": message.content or None}
            if message.calls:
                item["tool_calls"] = [
                    {
                        "id": call.id,
                        "type": "function",
                        "function": {"name": wire(call.tool), "arguments": _text(call.arguments)},
                    }
                    for call in message.calls
                ]
            elif not message.content:
                item["content"] = ""
            if reasoning and message.reasoning:
                item["reasoning"] = message.reasoning
            if message.echo:
                item["reasoning_details"] = message.echo
            found.append(item)
        elif found and found[-1]["role"] == message.role:  # many templates want turns to alternate
            found[-1]["content"] += f"\n\n{message.content}"
        else:
            found.append({"role": message.role, "content": message.content})
    return found


def _text(arguments: Mapping[str, Any]) -> str:
    return msgspec.json.encode(arguments).decode()


def response_items(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return a history as Responses writes it, the items of each turn in the order in which they came."""
    found: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "tool":
            found.append({"type": "function_call_output", "call_id": message.call_id, "output": message.content})
            continue
        if message.role != "assistant":
            found.append({"role": message.role, "content": message.content})
            continue
        found += _turn(message)
    return found


def _turn(message: Message) -> list[dict[str, Any]]:
    """Return an assistant's turn: words and calls as the history has them, reasoning where it stood among them.

    A reasoning item that nothing of its turn follows (the answer was cut off in it) is left out: with it the endpoint
    refuses the history ("provided without its required following item").
    """
    words = message.content
    calls: list[dict[str, Any]] = [
        {"type": "function_call", "call_id": call.id, "name": wire(call.tool), "arguments": _text(call.arguments)}
        for call in message.calls
    ]
    phases = [str(item["phase"]) for item in message.echo if item.get("phase")]
    said = {"role": "assistant", "content": words, **({"phase": phases[-1]} if phases else {})}
    found: list[dict[str, Any]] = []
    for item in message.echo:
        if item.get("type") == "message":
            found += [said] if words else []
            words = ""
        elif item.get("type") == "function_call":
            found += calls[:1]
            calls = calls[1:]
        else:
            found.append(dict(item))
    found += [*([said] if words else []), *calls]
    while found and found[-1].get("type") == "reasoning":
        found.pop()
    return found or [{"role": "assistant", "content": "(no answer)"}]


def read_chat(data: Mapping[str, Any], *, kind: ReasoningKind = "full") -> Completion:
    """Return what a Chat Completions answer says.

    Args:
        data: The answer.
        kind: What its reasoning field holds.

    Raises:
        ModelError: It has no choice to read; its usage is counted.
    """
    spent = _spent(data.get("usage"), "prompt", "completion")
    choices = data.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict) or not isinstance(choice, dict):
        raise ModelError("invalid_response", "expected choices[0].message, found none", spent=spent)
    calls = []
    told = message.get("tool_calls")
    for entry in told if isinstance(told, list) else []:
        function = entry.get("function") if isinstance(entry, dict) else None
        if isinstance(function, dict):
            calls.append(called(function.get("name"), function.get("arguments"), entry.get("id")))
    refusal = message.get("refusal")
    reasoning = message.get("reasoning") or message.get("reasoning_content")
    details = message.get("reasoning_details")  # of endpoints that hand signed reasoning around
    stop: Stop = _CHAT_STOPS.get(str(choice.get("finish_reason")), "other")
    return Completion(
        text=(_joined(message.get("content")) or (refusal if isinstance(refusal, str) else ""))[: TEXT_CAP + 1],
        calls=tuple(calls),
        reasoning=reasoning[:TEXT_CAP] if isinstance(reasoning, str) else "",
        reasoning_kind=kind if isinstance(reasoning, str) and reasoning else "hidden",
        stop="refusal" if refusal else "calls" if calls and stop == "end" else stop,
        spent=spent,
        model=str(data.get("model") or ""),
        echo=tuple(item for item in details if isinstance(item, dict)) if isinstance(details, list) else (),
    )


def called(name: object, arguments: object, call_id: object) -> Called:
    """Return a call as it was written."""
    found, raw, problem = read_arguments(arguments)
    tool = name if isinstance(name, str) and name else "?"
    call = ToolCall(tool=tool[:200], arguments=found, id=call_id if isinstance(call_id, str) else "")
    return Called(call=call, raw=raw if problem else "", problem=problem)


def _joined(content: object) -> str:
    """Return the text of a content: plain, or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return ""


def _spent(usage: object, before: str, after: str) -> Spent:
    """Return the usage under OpenAI's names: `before` and `after` are prompt/completion or input/output."""
    if not isinstance(usage, dict) or not isinstance(usage.get(f"{before}_tokens"), int):
        return Spent(unknown=1)
    read = usage.get(f"{before}_tokens_details")
    written = usage.get(f"{after}_tokens_details")
    return Spent(
        usage=Usage(
            input=whole(usage.get(f"{before}_tokens")),
            output=whole(usage.get(f"{after}_tokens")),
            cached=whole(read.get("cached_tokens")) if isinstance(read, dict) else 0,
            reasoning=whole(written.get("reasoning_tokens")) if isinstance(written, dict) else 0,
        )
    )


def read_responses(data: Mapping[str, Any]) -> Completion:
    """Return what a Responses answer says.

    Raises:
        ModelError: It failed, or has no output; its usage is counted.
    """
    spent = _spent(data.get("usage"), "input", "output")
    output = data.get("output")
    if data.get("status") == "failed" or not isinstance(output, list) or not output:
        error = data.get("error")
        told = error.get("message") if isinstance(error, dict) else "no output"
        raise ModelError("invalid_response", f"expected an output, found: {told}", spent=spent)
    text, refusal, reasoning, calls, echo = [], False, [], [], []
    for item in output:
        if not isinstance(item, dict):
            continue
        if item.get("type") == "message":
            for part in _parts(item.get("content")):
                refusal = refusal or part.get("type") == "refusal"
                text.append(str(part.get("text") or part.get("refusal") or ""))
            echo.append({"type": "message", **({"phase": item["phase"]} if item.get("phase") else {})})
        elif item.get("type") == "function_call":
            calls.append(called(item.get("name"), item.get("arguments"), item.get("call_id")))
            echo.append({"type": "function_call"})
        elif item.get("type") == "reasoning":
            if item.get("encrypted_content") or item.get("content"):  # without, nothing is stored that it could name
                echo.append({key: value for key, value in item.items() if key != "status"})
            parts = [*_parts(item.get("summary")), *_parts(item.get("content"))]
            reasoning += [str(part.get("text") or "") for part in parts]
    why = data.get("incomplete_details")
    reason = str(why.get("reason")) if isinstance(why, dict) else ""
    stop: Stop = "calls" if calls else "end"
    if refusal:
        stop = "refusal"
    elif data.get("status") == "incomplete":
        stop = "filter" if reason == "content_filter" else "length"
    shown = "\n".join(part for part in reasoning if part)
    kept = any(item["type"] == "reasoning" or "phase" in item for item in echo)
    return Completion(
        text="".join(text)[: TEXT_CAP + 1],
        calls=tuple(calls),
        reasoning=shown[:TEXT_CAP],
        reasoning_kind="summarised" if shown else "hidden",
        stop=stop,
        spent=spent,
        model=str(data.get("model") or ""),
        echo=tuple(echo) if kept else (),
    )


def _parts(content: object) -> list[dict[str, Any]]:
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


class OpenAIModel:
    """A model behind OpenAI's protocol.

    Args:
        name: The model's name at the endpoint.
        api: "chat" or "responses".
        key: The API key.
        url: Base URL, with its /v1; None is OpenAI's own.
        extra: Further fields of every request's body.
        timeout: Seconds a request may take.
    """

    thinks = False  # whether thinking is a number or a switch in the endpoint's requests

    def __init__(
        self,
        name: str,
        *,
        api: str = "chat",
        key: str = "none",
        url: str | None = None,
        extra: Mapping[str, Any] | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self.name, self._api, self._key, self._url = name, api, key, url
        self._extra, self._timeout = dict(extra or {}), timeout
        self._reasons = REASONING.match(name) is not None
        self._tools = Tools(responses_tool if api == "responses" else chat_tool)
        self._connection: Connection | None = None

    @property
    def connection(self) -> Connection:
        """The endpoint, made at first use: it belongs to the event loop."""
        if self._connection is None:
            from openai import AsyncOpenAI, DefaultAioHttpClient

            http = transport(DefaultAioHttpClient, self._timeout, self._url)
            sdk = AsyncOpenAI(api_key=self._key, base_url=self._url, max_retries=0, http_client=http)
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
        if sampling.thinking is not None and not self.thinks:
            told = f"thinking: {self.name} takes no budget of thinking tokens; give ?effort=, e.g. low, medium, high"
            raise ModelError("bad_request", told, spent=Spent(requests=0))
        responses = self._api == "responses"
        body = (self._responses_body if responses else self._chat_body)(messages, tools, sampling)
        body.update(self._extra)
        path = "/responses" if responses else "/chat/completions"
        return self._read(await self.connection.post(path, body))

    def _read(self, data: Mapping[str, Any]) -> Completion:
        return read_responses(data) if self._api == "responses" else read_chat(data)

    def _chat_body(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self.name, "messages": chat_messages(messages)}
        if tools:
            body["tools"] = self._tools.encoded(tools)
            if sampling.tool_choice != "auto":
                body["tool_choice"] = sampling.tool_choice
        for key in ("temperature", "top_p", "seed"):
            if getattr(sampling, key) is not None:
                body[key] = getattr(sampling, key)
        if sampling.max_tokens is not None:
            body["max_tokens" if self._url else "max_completion_tokens"] = sampling.max_tokens
        if sampling.effort:
            body["reasoning_effort"] = sampling.effort
        if sampling.stop:
            body["stop"] = sampling.stop
        return body

    def _responses_body(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self.name, "input": response_items(messages), "store": False}
        if self._reasons:  # refused for a model that does not
            body["include"] = ["reasoning.encrypted_content"]
        if tools:
            body["tools"] = self._tools.encoded(tools)
            if sampling.tool_choice != "auto":
                body["tool_choice"] = sampling.tool_choice
        for key in ("temperature", "top_p"):
            if getattr(sampling, key) is not None:
                body[key] = getattr(sampling, key)
        if sampling.max_tokens is not None:
            body["max_output_tokens"] = sampling.max_tokens
        reasoning: dict[str, str] = {"effort": sampling.effort} if sampling.effort else {}
        if self._reasons and self._url is None:
            reasoning["summary"] = "auto"
        if reasoning:
            body["reasoning"] = reasoning
        return body

    async def aclose(self) -> None:
        """Close the connections."""
        if self._connection is not None:
            await self._connection.aclose()
            self._connection = None


def at_v1(url: str) -> str:
    """Return a base URL with a version in it, as the SDK wants it; some have it before the last part."""
    return url if re.search(r"/v\d+\w*(/|$)", url) else f"{url}/v1"


def parse_extra(text: str) -> dict[str, Any]:
    """Return the fields of the option `extra`.

    Raises:
        OptionError: It is no JSON object.
    """
    try:
        found = json.loads(text or "{}")
    except ValueError as error:
        raise OptionError(f"extra: expected a JSON object, found {text!r} ({error})") from None
    if not isinstance(found, dict):
        raise OptionError(f"extra: expected a JSON object, found {text!r}")
    return found


def parse_timeout(text: str) -> float:
    """Return the seconds of the option `timeout`.

    Raises:
        OptionError: It is no positive number.
    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86_400:
        raise OptionError(f"timeout: expected seconds from 0 to 86400, found {text!r}")
    return seconds


def take(options: Mapping[str, str], known: Mapping[str, str], where: str) -> dict[str, str]:
    """Return the options, all of them known.

    Raises:
        OptionError: One is not.
    """
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise OptionError(f"{where}: unknown options {', '.join(unknown)}; known: {', '.join(known)}")
    return dict(options)


class OpenAIProvider:
    """Opens `openai:NAME` and `openai:NAME@URL` (any endpoint that speaks the protocol)."""

    launches = False
    options: Mapping[str, str] = {
        "api": "chat or responses; by default responses for OpenAI's own reasoning models",
        "extra": "JSON object of further fields of every request",
        "timeout": "seconds a request may take (600)",
    }

    def open(self, ref: ModelRef, options: Mapping[str, str]) -> OpenAIModel:
        """Return a model; nothing is contacted yet.

        Raises:
            OptionError, PluginError: As `Provider.open`.
        """
        told = take(options, self.options, str(ref))
        if not ref.name or len(ref.urls) > 1:
            raise OptionError(f"{ref}: expected openai:NAME or openai:NAME@URL; several URLs go with vllm@")
        need_sdk("openai")
        key = os.environ.get("OPENAI_API_KEY", "")
        if not key and not ref.urls:
            raise OptionError(f"{ref}: expected the key in OPENAI_API_KEY, found none; export it and run again")
        reasons = not ref.urls and REASONING.match(ref.name) is not None
        api = told.get("api", "responses" if reasons else "chat")
        if api not in ("chat", "responses"):
            raise OptionError(f"{ref}: api: expected chat or responses, found {api!r}")
        return OpenAIModel(
            ref.name,
            api=api,
            key=key or "none",
            url=at_v1(ref.urls[0]) if ref.urls else None,
            extra=parse_extra(told.get("extra", "")),
            timeout=parse_timeout(told.get("timeout", str(TIMEOUT))),
        )

    def missing(self) -> str:
        """Return what is missing to use it."""
        if find_spec("openai") is None:
            return f"the openai SDK: {INSTALL}"
        return "" if os.environ.get("OPENAI_API_KEY") else "OPENAI_API_KEY (not needed for openai:NAME@URL)"


def need_sdk(name: str) -> None:
    """Raise a `PluginError` that names the install command where an SDK or aiohttp is missing."""
    for module in (name, "aiohttp"):
        if find_spec(module) is None:
            cause = f"{module} is not installed; install it with {INSTALL}"
            raise PluginError(distribution="impress-env", entry_point=name, cause=cause)


provider = OpenAIProvider()
