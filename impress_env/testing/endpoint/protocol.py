"""How requests read in the three protocols, which of them a real endpoint would refuse, and how it words a refusal.

The checks are those that OpenAI and Anthropic make of a history: a client that maps messages wrongly is told here, not
at the first bill. Knows nothing of answers, faults or connections.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

import msgspec

from impress_env.testing.endpoint.policy import Asked, Flavour

PATHS: Final[dict[str, Flavour]] = {
    "/v1/chat/completions": "chat",
    "/v1/responses": "responses",
    "/v1/messages": "messages",
}
MODEL: Final = "faulty"  # the name listed; any other is served as well
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ANTHROPIC: Final[dict[int, str]] = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_OPENAI: Final[dict[int, tuple[str, str | None]]] = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "not_found"),
    413: ("invalid_request_error", "request_too_large"),
    429: ("requests", "rate_limit_exceeded"),
}


class BadRequest(Exception):
    """A request that a real endpoint refuses with 400."""


def body_hash(body: bytes) -> str:
    """Return the name under which a request's body is counted."""
    return blake2b(body, digest_size=16).hexdigest()


def error_body(messages: bool, status: int, message: str) -> bytes:
    """Return an error's body as Anthropic (`messages`) or OpenAI writes it."""
    if messages:
        error: dict[str, Any] = {"type": _ANTHROPIC.get(status, "api_error"), "message": message}
        return msgspec.json.encode({"type": "error", "error": error, "request_id": "req_0"})
    kind, code = _OPENAI.get(status, ("server_error", None))
    return msgspec.json.encode({"error": {"message": message, "type": kind, "param": None, "code": code}})


def models_body() -> bytes:
    """Return the list of models, in a form that both SDKs read."""
    entry = {
        "id": MODEL,
        "object": "model",
        "created": 0,
        "owned_by": "impress-env",
        "type": "model",
        "display_name": MODEL,
        "created_at": "2026-01-01T00:00:00Z",
    }
    listed = {"object": "list", "data": [entry], "has_more": False, "first_id": MODEL, "last_id": MODEL}
    return msgspec.json.encode(listed)


def read_request(flavour: Flavour, raw: bytes, digest: str) -> Asked:
    """Return what a body asks.

    Raises:
        BadRequest: A real endpoint would refuse it.
    """
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"We could not parse the JSON body of your request: {error}") from None
    _need(isinstance(body, dict), "expected a JSON object")
    _need(isinstance(body.get("model"), str) and body["model"] != "", "you must provide a model parameter")
    messages = _messages(flavour, body)
    schemas = _schemas(flavour, body.get("tools") or [])
    check, count = _READERS[flavour]
    check(messages, body)
    choice = body.get("tool_choice")
    if isinstance(choice, dict):
        choice = choice.get("type")
    return Asked(
        flavour=flavour,
        model=body["model"],
        messages=messages,
        tools=() if choice == "none" else tuple(schemas),
        schemas=schemas,
        turns=count(messages),
        stream=body.get("stream") is True,
        body=body,
        digest=digest,
        size=len(raw),
    )


def _need(holds: bool, message: str) -> None:
    if not holds:
        raise BadRequest(message)


def _messages(flavour: Flavour, body: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    key = "input" if flavour == "responses" else "messages"
    found = body.get(key)
    if flavour == "responses" and isinstance(found, str):
        found = [{"role": "user", "content": found}]
    if not isinstance(found, list) or not found or not all(isinstance(item, dict) for item in found):
        raise BadRequest(f"{key}: expected a list of at least one object")
    return tuple(found)


def _schemas(flavour: Flavour, tools: Any) -> dict[str, Mapping[str, Any]]:
    _need(isinstance(tools, list), "tools: expected a list")
    found: dict[str, Mapping[str, Any]] = {}
    for number, tool in enumerate(tools):
        told = tool.get("function") if flavour == "chat" and isinstance(tool, dict) else tool
        if not isinstance(told, dict):
            raise BadRequest(f"tools[{number}]: expected a function")
        if flavour != "messages" and tool.get("type") != "function":
            raise BadRequest(f"tools[{number}].type: expected 'function', found {tool.get('type')!r}")
        name = _need_name(told.get("name"), f"tools[{number}].name")
        _need(name not in found, f"tools[{number}].name: tool names must be unique, found {name!r} twice")
        schema = told.get("input_schema") if flavour == "messages" else told.get("parameters", {})
        if not isinstance(schema, dict):
            raise BadRequest(f"tools[{number}]: expected a JSON schema")
        found[name] = schema
    return found


def _need_name(name: object, where: str) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        pattern = f"^{_NAME.pattern}$"
        raise BadRequest(f"Invalid '{where}': string does not match pattern '{pattern}', found {str(name)[:80]!r}")
    return name


def _check_chat(messages: Sequence[Mapping[str, Any]], body: Mapping[str, Any]) -> None:
    open_ids: list[str] = []
    for number, message in enumerate(messages):
        role, where = message.get("role"), f"messages.[{number}]"
        if role == "tool":
            call = message.get("tool_call_id")
            if call not in open_ids:
                raise BadRequest(
                    f"{where}: messages with role 'tool' must be a response to a preceeding message with 'tool_calls', "
                    f"found tool_call_id {call!r}"
                )
            open_ids.remove(str(call))
            _need(message.get("content") is not None, f"{where}.content: expected a string or a list, found null")
            continue
        _need_answered(open_ids, f"{where}: an assistant message with 'tool_calls' must be followed by tool messages")
        if role != "assistant":
            _need(role in ("system", "developer", "user", "function"), f"{where}.role: found {role!r}")
            _need(isinstance(message.get("content"), str | list), f"{where}.content: expected a string or a list")
            continue
        calls = message.get("tool_calls")
        _need(calls is None or (isinstance(calls, list) and bool(calls)), f"{where}.tool_calls: [] is too short")
        _need(bool(calls) or message.get("content") is not None, f"{where}.content: expected a string, found null")
        for entry in calls or ():
            function = entry.get("function") or {}
            _need_name(function.get("name"), f"messages[{number}].tool_calls.function.name")
            _need(isinstance(function.get("arguments"), str), f"{where}.tool_calls.arguments: expected a string")
            _need(isinstance(entry.get("id"), str) and entry["id"] != "", f"{where}.tool_calls.id: expected a string")
            open_ids.append(entry["id"])
    _need_answered(open_ids, "the last assistant message with 'tool_calls' must be followed by tool messages")


def _need_answered(open_ids: Sequence[str], message: str) -> None:
    told = ", ".join(open_ids)
    _need(not open_ids, f"{message}; the following tool_call_ids did not have response messages: {told}")


def _check_responses(items: Sequence[Mapping[str, Any]], body: Mapping[str, Any]) -> None:
    _need(body.get("stream") is not True, "stream: this endpoint streams chat completions and messages only")
    called: set[str] = set()
    answered: set[str] = set()
    for number, item in enumerate(items):
        kind, call = item.get("type", "message"), item.get("call_id")
        if kind == "function_call":
            _need_name(item.get("name"), f"input[{number}].name")
            _need(isinstance(item.get("arguments"), str), f"input[{number}].arguments: expected a string")
            _need(isinstance(call, str) and call != "", f"input[{number}].call_id: expected a string")
            called.add(str(call))
        elif kind == "function_call_output":
            _need(call in called, f"No tool call found for function call output with call_id {call}.")
            answered.add(str(call))
        elif kind == "message":
            _need(item.get("role") in ("system", "developer", "user", "assistant"), f"input[{number}].role")
    left = sorted(called - answered)
    _need(not left, f"No tool output found for function call {', '.join(left)}.")


def _check_messages(messages: Sequence[Mapping[str, Any]], body: Mapping[str, Any]) -> None:
    limit = body.get("max_tokens")
    _need(isinstance(limit, int) and limit > 0, "max_tokens: Field required")
    _need(messages[0].get("role") == "user", 'messages: first message must use the "user" role')
    seen: set[str] = set()
    open_ids: set[str] = set()
    for number, message in enumerate(messages):
        role, where = message.get("role"), f"messages.{number}"
        _need(role in ("user", "assistant"), f"{where}.role: Input should be 'user' or 'assistant', found {role!r}")
        blocks = _blocks(message, where)
        if role == "user":
            found = {str(block.get("tool_use_id")) for block in blocks if block.get("type") == "tool_result"}
            stray, left = sorted(found - open_ids), sorted(open_ids - found)
            _need(not stray, f"{where}: unexpected `tool_use_id` found in `tool_result` blocks: {', '.join(stray)}")
            _need(not left, f"{where}: `tool_use` ids were found without `tool_result` blocks: {', '.join(left)}")
            open_ids = set()
            continue
        _need(not open_ids, f"{where}: `tool_use` ids without `tool_result` blocks: {', '.join(sorted(open_ids))}")
        for block in blocks:
            if block.get("type") == "tool_use":
                _check_use(block, where, seen)
                open_ids.add(block["id"])
            elif block.get("type") == "thinking":
                signed = isinstance(block.get("signature"), str) and bool(block["signature"])
                _need(signed, f"{where}: Invalid `signature` in `thinking` block")
    _need(not open_ids, f"messages: `tool_use` ids without `tool_result` blocks: {', '.join(sorted(open_ids))}")
    _need(not seen or bool(body.get("tools")), "requests that include `tool_use` blocks must define tools")


def _check_use(block: Mapping[str, Any], where: str, seen: set[str]) -> None:
    _need_name(block.get("name"), f"{where}.tool_use.name")
    _need(isinstance(block.get("input"), dict), f"{where}.tool_use.input: Input should be a valid dictionary")
    _need_name(block.get("id"), f"{where}.tool_use.id")
    _need(block["id"] not in seen, f"{where}: `tool_use` ids must be unique, found {block['id']!r} twice")
    seen.add(block["id"])


def _blocks(message: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
    content = message.get("content")
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, list) or not content or not all(isinstance(block, dict) for block in content):
        raise BadRequest(f"{where}: all messages must have non-empty content")
    for block in content:
        empty = block.get("type") == "text" and not str(block.get("text") or "").strip()
        _need(not empty, f"{where}: text content blocks must contain non-whitespace text")
    return content


def _turns(messages: Iterable[Mapping[str, Any]]) -> int:
    return sum(message.get("role") == "assistant" for message in messages)


def _response_turns(items: Iterable[Mapping[str, Any]]) -> int:
    """Count runs of the assistant's items: its messages, calls and reasoning."""
    turns, before = 0, False
    for item in items:
        own = item.get("role") == "assistant" or item.get("type") in ("function_call", "reasoning")
        turns += own and not before
        before = own
    return turns


_READERS: Final[dict[Flavour, tuple[Any, Any]]] = {
    "chat": (_check_chat, _turns),
    "responses": (_check_responses, _response_turns),
    "messages": (_check_messages, _turns),
}
