"""A careful reader of a transcript, as numbers: what has been read so far, hashed into arrays of fixed size.

What it holds is a function of the first observation, the calls made and the observations that followed, and of nothing
else: no effects, no oracle, no family or twin. Knows nothing of envs or macro-actions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from impress_env.types import Observation, ToolSchema

Floats = npt.NDArray[np.float32]
PAIRS: Final = 256  # of field=value pairs read
WORDS: Final = 96  # of words that people wrote
ABOUT: Final = 48  # of the pairs in records that name one object
TOOLS: Final = 24  # of the tools called
SHORT: Final = 240  # characters up to which a text's words count, beside what people write
_NUMBER: Final = re.compile(r"-?[\d.,]+")
_DATE: Final = re.compile(r"\d{4}-\d\d(-\d\d)?(T\d\d:\d\d)?")
_WORD: Final = re.compile(r"[^\W\d_]{3,}")
_NAMED: Final = re.compile(r"(?=.*[\d@])\S{3,}")


@lru_cache(maxsize=200_000)
def place(token: str, size: int) -> int:
    """Return where a token falls among `size` places."""
    return int.from_bytes(blake2b(token.encode(), digest_size=8).digest(), "big") % size


@lru_cache(maxsize=4096)
def mark(token: str, size: int) -> Floats:
    """Return a token's own direction: `size` signs, scaled to length 1."""
    bits = np.frombuffer(blake2b(token.encode(), digest_size=size).digest(), dtype=np.uint8)
    found: Floats = np.where(bits & 1, 1.0, -1.0).astype(np.float32) / np.float32(np.sqrt(size))
    return found


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One result, read: its pairs, words, and for every name in it the pairs of the records that it stands in."""

    pairs: tuple[int, ...]
    words: tuple[int, ...]
    about: dict[str, tuple[int, ...]]
    whole: tuple[int, ...]


class Reader:
    """What has been read in one episode.

    Args:
        names: The names to be looked for (of objects and people).
        first: What `reset` returned.
    """

    def __init__(self, names: Iterable[str], first: Observation) -> None:
        self.pairs: Floats = np.zeros(PAIRS, dtype=np.float32)
        self.words: Floats = np.zeros(WORDS, dtype=np.float32)
        self.tools: Floats = np.zeros(TOOLS, dtype=np.float32)
        self.about: dict[str, Floats] = {}
        self.errors = self.notices = self.steps = 0
        self.changed: set[str] = set()  # names of which something was read since `changed` was last cleared
        told = "\n".join((first.get("system", ""), first.get("task", "")))
        self.in_task = frozenset(name for name in names if name in told)
        self._offered = _schema_words(first.get("tools", ()))
        self.unseen = {name for name in names if name not in self.in_task and name not in self._offered}
        self._write(first.get("system", ""))
        self._write(first.get("task", ""))

    def read(self, tool: str, names: Iterable[str], observation: Observation) -> None:
        """Take in what followed on a call.

        Args:
            tool: The tool called, or "" for a message.
            names: The names in its arguments.
            observation: What the env answered.
        """
        self.steps += 1
        self.tools[place(tool, TOOLS)] += 0.25
        text = observation["text"]
        found = {name for name in self.unseen if name in text}
        self.unseen -= found
        self.changed |= found
        error = observation["error"]
        if error is not None:
            self.errors += 1
            token = f"{tool}!{error['code']}"
            self.pairs[place(token, PAIRS)] = 1.0
            page = Page(pairs=(), words=(), about={}, whole=(place(token, ABOUT),))
        else:
            page = _page(tool, observation["result"] or "")
            self.pairs[list(page.pairs)] = 1.0
            self.words[list(page.words)] = 1.0
        for name in names:
            self._tell(name, page.whole)
        for name, places in page.about.items():
            self._tell(name, places)
        for event in observation["events"]:
            self.notices += 1
            self._write(event["text"])

    def _tell(self, name: str, places: tuple[int, ...]) -> None:
        if not places:
            return
        known = self.about.get(name)
        if known is None:
            known = self.about[name] = np.zeros(ABOUT, dtype=np.float32)
        known[list(places)] = 1.0
        self.changed.add(name)

    def _write(self, text: str) -> None:
        self.words[[place(word, WORDS) for word in _WORD.findall(text.lower())]] = 1.0


def _schema_words(tools: Iterable[ToolSchema]) -> str:
    return "\n".join(_schema_text(tool) for tool in tools)


def _schema_text(tool: ToolSchema) -> str:
    known = _SCHEMAS.get(id(tool))
    if known is None or known[0] is not tool:
        text = tool.description + msgspec.json.encode(tool.parameters).decode()
        known = _SCHEMAS[id(tool)] = (tool, text)
    return known[1]


_SCHEMAS: dict[int, tuple[ToolSchema, str]] = {}


@lru_cache(maxsize=20_000)
def _page(tool: str, result: str) -> Page:
    """Read one result."""
    try:
        value = msgspec.json.decode(result)
    except msgspec.DecodeError:
        value = {"text": result}
    tokens: list[str] = []
    words: list[str] = []
    about: dict[str, dict[int, None]] = {}
    _walk(value, "", tokens, words, about)
    places = tuple(dict.fromkeys(place(f"{tool}.{token}", PAIRS) for token in tokens))
    whole = tuple(dict.fromkeys(place(token, ABOUT) for token in tokens))
    return Page(
        pairs=places,
        words=tuple(dict.fromkeys(place(word, WORDS) for word in words)),
        about={name: tuple(told) for name, told in about.items()},
        whole=whole,
    )


def _walk(value: Any, field: str, tokens: list[str], words: list[str], about: dict[str, dict[int, None]]) -> None:
    if isinstance(value, dict):
        start = len(tokens)
        names = [item for item in value.values() if isinstance(item, str) and len(item) < 80 and _NAMED.fullmatch(item)]
        for key, item in value.items():
            if not _NAMED.fullmatch(key):  # a field, and not an object's own name
                _walk(item, key, tokens, words, about)
            else:
                inner = len(tokens)
                _walk(item, field, tokens, words, about)
                _note(key, tokens[inner:], about)
        for name in names:
            _note(name, tokens[start:], about)
    elif isinstance(value, list):
        tokens.append(f"{field}[{min(len(value), 3)}]")
        for item in value:
            _walk(item, field, tokens, words, about)
            if isinstance(item, str) and _NAMED.fullmatch(item):
                _note(item, [f"in {field}"], about)
    else:
        tokens.append(f"{field}={_kind(value)}")
        if isinstance(value, str) and " " in value and len(value) <= SHORT:
            words += _WORD.findall(value.lower())


def _note(name: str, tokens: Iterable[str], about: dict[str, dict[int, None]]) -> None:
    told = about.setdefault(name, {})
    for token in tokens:
        told[place(token, ABOUT)] = None


def _kind(value: Any) -> str:
    """A value as a reader would call it who does not care for numbers, dates and names."""
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, int | float):
        return str(int(value)) if abs(value) < 4 else "many"
    text = str(value)
    if not text:
        return "empty"
    if _DATE.fullmatch(text):
        return "date"
    if _NUMBER.fullmatch(text):
        return "number"
    if _NAMED.fullmatch(text):
        return "name"
    return text.lower() if len(text) <= 32 and text.count(" ") <= 3 else "text"


def told_of(arguments: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield what arguments say, field by field, as pairs without numbers, dates and names."""
    for key, value in arguments.items():
        at = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from told_of(value, f"{at}.")
        elif isinstance(value, list):
            yield f"{at}[{min(len(value), 3)}]"
            for item in value:
                if isinstance(item, Mapping):
                    yield from told_of(item, f"{at}.")
                else:
                    yield f"{at}={_kind(item)}"
        else:
            yield f"{at}={_kind(value)}"
