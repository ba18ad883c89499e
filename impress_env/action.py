"""Whatever an agent sends, read as an action: our own forms, OpenAI's and Anthropic's calls, JSON text, plain text.

Never raises for bad input: what cannot be read becomes an action marked `malformed`, and the env answers it.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec

from impress_env.types import Action, ToolCall

TEXT_CAP: Final = 200_000


def parse_action(raw: object) -> Action:
    """Return the action that `raw` stands for.

    Read are: `Action`, `ToolCall`; mappings `{tool, arguments}`, `{name, arguments}`, OpenAI's
    `{type: function, function: {name, arguments}}`, Anthropic's `{type: tool_use, name, input}`, `{message: text}`,
    `{end: true}`; JSON text of these; SDK objects with `model_dump`; any other text as a message.
    """
    action = _parse(raw)
    return action if not action.malformed else msgspec.structs.replace(action, malformed=_clean(action.malformed))


def _parse(raw: object) -> Action:
    if isinstance(raw, str):
        return _text(raw)
    if raw.__class__ is dict:
        return _mapping(cast("dict[str, Any]", raw))
    if isinstance(raw, Action):
        return _checked(raw)
    if isinstance(raw, ToolCall):
        return Action(call=_named(raw))
    if isinstance(raw, Mapping):
        return _mapping(raw)
    if hasattr(raw, "model_dump"):
        try:
            dumped = raw.model_dump()
        except Exception as error:  # whatever a stranger's object raises
            return Action(malformed=f"{type(raw).__name__} cannot be read: {type(error).__name__}")
        if isinstance(dumped, Mapping):
            return _mapping(dumped)
    return Action(malformed=f"expected a call or a message, found {type(raw).__name__}")


def parse_typed(line: str) -> Action:
    """Return what a typed line means: JSON, `tool key=value …`, or a message."""
    head = line.strip().split(" ", 1)[0]
    if "." not in head or not head.replace(".", "").replace("_", "").isalnum():
        return parse_action(line)
    try:
        words = shlex.split(line)
    except ValueError as error:
        return Action(malformed=f"cannot be read: {error}")
    arguments: dict[str, object] = {}
    for word in words[1:]:
        key, equals, value = word.partition("=")
        if not equals:
            return parse_action(line)
        try:
            arguments[key] = json.loads(value)
        except ValueError:
            arguments[key] = value
    return parse_action({"tool": words[0], "arguments": arguments})


def _text(text: str) -> Action:
    if len(text) > TEXT_CAP:
        return Action(malformed=f"expected at most {TEXT_CAP} characters, found {len(text)}")
    start = text.lstrip()[:1]
    if start != "{":
        return Action(message=_clean(text)) if text.strip() else Action(malformed="the action is empty")
    try:
        data = _json(text)
    except (ValueError, RecursionError) as error:
        return Action(malformed=f"not JSON: {error}")
    return _mapping(data)


def _mapping(data: Mapping[str, Any]) -> Action:
    name: Any = data.get("tool", data.get("name"))
    arguments: Any = data.get("arguments")
    ours = arguments.__class__ is dict and name.__class__ is str and len(data) == 2
    if ours and 0 < len(name) <= 80 and name.isascii():  # as nearly all calls come
        return Action(call=ToolCall(tool=name, arguments=arguments))
    return _any_mapping(data)


def _any_mapping(data: Mapping[str, Any]) -> Action:
    reasoning = data.get("reasoning")
    shown = _clean(reasoning) if isinstance(reasoning, str) else ""
    if data.get("end") is True:
        return Action(end=True, reasoning=shown)
    if isinstance(data.get("message"), str) and "tool" not in data and "name" not in data:
        message = _clean(data["message"])
        if not message.strip():
            return Action(malformed="the message is empty")
        return Action(message=message[:TEXT_CAP], reasoning=shown)
    call_id = data.get("call_id") or data.get("id") or ""  # OpenAI's Responses have both, and answer to the first
    source: Mapping[str, Any] = data
    if isinstance(data.get("function"), Mapping):
        source = data["function"]
    name = source.get("tool", source.get("name"))
    if not isinstance(name, str) or not name:
        return Action(malformed="expected a call {tool, arguments} or a message {message}; found keys "
                      + ", ".join(sorted(map(str, data))[:8]))  # fmt: skip
    arguments = source.get("arguments", source.get("input", {}))
    if isinstance(arguments, str):
        if len(arguments) > TEXT_CAP:
            return Action(malformed=f"expected at most {TEXT_CAP} characters of arguments, found {len(arguments)}")
        try:
            arguments = _json(arguments) if arguments.strip() else {}
        except (ValueError, RecursionError) as error:
            return Action(malformed=f"arguments of {_clean(name)[:80]}: not JSON: {error}")
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, Mapping):
        return Action(
            malformed=f"arguments of {_clean(name)[:80]}: expected an object, found {type(arguments).__name__}"
        )
    call = ToolCall(tool=_clean(name)[:200], arguments=dict(arguments), id=_clean(str(call_id)[:200]))
    return Action(call=call, reasoning=shown)


def _checked(action: Action) -> Action:
    call = action.call
    if call is None and not (action.message or action.end or action.malformed):
        return Action(malformed="the action is empty", reasoning=_clean(action.reasoning))
    if action.message.isascii() and action.reasoning.isascii() and (call is None or _named(call) is call):
        return action
    return msgspec.structs.replace(
        action,
        call=None if call is None else _named(call),
        message=_clean(action.message),
        reasoning=_clean(action.reasoning),
    )


def _named(call: ToolCall) -> ToolCall:
    if call.tool.isascii() and call.id.isascii():
        return call
    return ToolCall(tool=_clean(call.tool), arguments=call.arguments, id=_clean(call.id))


def _json(text: str) -> Any:
    """Return parsed JSON; the strict decoder first (a fifth of the time), then the one that takes NaN and the like."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return json.loads(text)


def _clean(text: str) -> str:
    """Return the text with lone surrogates replaced by U+FFFD."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
