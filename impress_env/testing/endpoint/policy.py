"""What an endpoint answers, decided by what was asked and by nothing else.

A policy is a pure function, so that a run that is resumed, or an endpoint started again, sees equal answers. Knows
nothing of protocols or faults.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from random import Random
from typing import Any, Final, Literal

import msgspec

from impress_env.errors import OptionError
from impress_env.model import Stop
from impress_env.rng import stream

Flavour = Literal["chat", "responses", "messages"]
_WORDS: Final = ("status", "report", "update", "team", "review", "plan", "notes", "draft", "summary", "weekly")
_FORMATS: Final = {
    "date": "2026-11-20",
    "date-time": "2026-11-20T09:30:00",
    "time": "09:30:00",
    "email": "lena.hart@example.org",
    "uri": "https://example.org/notes",
}
_TOKEN: Final = re.compile(r"[A-Za-z0-9/][\w./@-]{2,39}")
_DEEPEST: Final = 6  # levels of a schema that are filled


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a completion.

    `messages` are as they came (Responses: the input items, with instructions left in `body`). `tools` are the names
    of those that may be called, none where tool_choice says so; `schemas` are their parameters by name. `turns` counts
    the assistant's turns so far. `digest` is the hash of the body's bytes, `size` their number.
    """

    flavour: Flavour
    model: str
    messages: tuple[dict[str, Any], ...]
    tools: tuple[str, ...]
    schemas: Mapping[str, Mapping[str, Any]]
    turns: int
    stream: bool
    body: Mapping[str, Any]
    digest: str
    size: int


class Call(msgspec.Struct, frozen=True):
    """A tool call to answer with: arguments as an object or as raw text; without an id it gets one of its own."""

    name: str
    arguments: dict[str, Any] | str = {}
    id: str | None = None


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What to answer. A `stop` of None is "calls" where there are calls and "end" elsewhere."""

    text: str = ""
    calls: tuple[Call, ...] = ()
    reasoning: str = ""
    stop: Stop | None = None

    @property
    def ends(self) -> Stop:
        """Why the answer stops."""
        return self.stop or ("calls" if self.calls else "end")


Policy = Callable[[Asked], Reply]


def fixed(replies: Sequence[Reply]) -> Policy:
    """Return a policy that answers turn n with reply n, and every later turn with the last one.

    Raises:
        OptionError: There is no reply.
    """
    if not replies:
        raise OptionError("fixed: expected at least one reply, found none")
    known = tuple(replies)
    return lambda asked: known[min(asked.turns, len(known) - 1)]


def call_tools(*names: str, finish: str = "finish", after: int = 5) -> Policy:
    """Return a policy that calls one offered tool a turn, with arguments that its schema allows, and then finishes.

    Which tool, and with what, is drawn by the hash of the messages; texts are partly words of the last message, so
    that some calls meet what is there. A `.` in a name stands for the `__` of the wire.

    Args:
        names: Tools to choose from; none: all that are offered, but the finishing one.
        finish: The tool that ends the work; where it is not offered, a text ends it.
        after: Turns before it is called.
    """
    chosen = frozenset(_plain(name) for name in names)
    last = _plain(finish)

    def policy(asked: Asked) -> Reply:
        offered = {_plain(name): name for name in asked.tools}
        rng = stream(0, "call", blake2b(msgspec.json.encode(asked.messages), digest_size=16).hexdigest())
        words = _words(asked.messages)
        if asked.turns >= after:
            if last not in offered:
                return Reply(text="That is all; the work is done.")
            name = offered[last]
        else:
            choice = [name for plain, name in offered.items() if plain != last and (not chosen or plain in chosen)]
            if not choice:
                return Reply(text="There is no tool to call.")
            name = rng.choice(choice)
        return Reply(calls=(Call(name, plausible(asked.schemas.get(name, {}), rng, words)),))

    return policy


def _plain(name: str) -> str:
    return name.replace("__", ".")


def _words(messages: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return what looks like a word, a path or an id in the last message."""
    if not messages:
        return _WORDS
    last = messages[-1]
    content = last.get("content", last.get("output", ""))
    text = content if isinstance(content, str) else msgspec.json.encode(content).decode()
    return tuple(_TOKEN.findall(text[:4_000])) or _WORDS


def plausible(schema: Mapping[str, Any], rng: Random, words: Sequence[str] = _WORDS) -> dict[str, Any]:
    """Return arguments that an object's JSON Schema allows: all that are required, some that are not."""
    found = _value(schema, rng, words, schema, 0)
    return found if isinstance(found, dict) else {}


def _value(schema: Mapping[str, Any], rng: Random, words: Sequence[str], root: Mapping[str, Any], depth: int) -> Any:
    if "$ref" in schema:
        return _value(_at(root, str(schema["$ref"])), rng, words, root, depth + 1) if depth < _DEEPEST else None
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return rng.choice(list(schema["enum"]))
    for key in ("anyOf", "oneOf", "allOf"):
        if schema.get(key):
            return _value(schema[key][0], rng, words, root, depth + 1)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object":
        return _object(schema, rng, words, root, depth)
    if kind == "array":
        least = int(schema.get("minItems", 1))
        count = min(least + rng.randrange(2), int(schema.get("maxItems", least + 1)))
        items = schema.get("items") or {"type": "string"}
        return [_value(items, rng, words, root, depth + 1) for _ in range(count)] if depth < _DEEPEST else []
    if kind == "boolean":
        return rng.random() < 0.5
    if kind in ("integer", "number"):
        return _number(schema, rng, whole=kind == "integer")
    return None if kind == "null" else _text(schema, rng, words)


def _object(schema: Mapping[str, Any], rng: Random, words: Sequence[str], root: Mapping[str, Any], depth: int) -> Any:
    required = set(schema.get("required", ()))
    return {
        name: _value(part, rng, words, root, depth + 1)
        for name, part in schema.get("properties", {}).items()
        if name in required or (depth < _DEEPEST and rng.random() < 0.3)
    }


def _at(root: Mapping[str, Any], ref: str) -> Mapping[str, Any]:
    found: Any = root
    for part in ref.removeprefix("#/").split("/"):
        found = found.get(part, {}) if isinstance(found, Mapping) else {}
    return found if isinstance(found, Mapping) else {}


def _number(schema: Mapping[str, Any], rng: Random, *, whole: bool) -> int | float:
    low = schema.get("minimum", schema.get("exclusiveMinimum", 0))
    low += int("exclusiveMinimum" in schema and "minimum" not in schema)
    high = schema.get("maximum", schema.get("exclusiveMaximum", low + 10))
    high -= int("exclusiveMaximum" in schema and "maximum" not in schema)
    if whole:
        return rng.randint(int(low), max(int(low), int(high)))
    return round(rng.uniform(low, max(low, high)), 2)


def _text(schema: Mapping[str, Any], rng: Random, words: Sequence[str]) -> str:
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    if schema.get("examples"):
        return str(rng.choice(list(schema["examples"])))
    text = rng.choice(words if rng.random() < 0.7 else _WORDS)
    while len(text) < schema.get("minLength", 0):
        text += f" {rng.choice(_WORDS)}"
    return text[: schema.get("maxLength", 200)]
