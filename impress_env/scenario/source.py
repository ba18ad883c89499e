"""YAML as scenario files use it: every value keeps its line, and what surprises is refused.

Parsed by libyaml into events, constructed here: YAML 1.2 scalars (16:00 is text, no is text), no anchors or aliases,
no duplicate keys, no tags, text keys only, at most 1 MB and 40 levels. Knows nothing of what the data mean.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, Final

import yaml

from impress_env.errors import ScenarioError

Path = tuple[str | int, ...]
Lines = dict[Path, int]
MAX_CHARS: Final = 1_000_000
MAX_DEPTH: Final = 40
_INT = re.compile(r"[-+]?(0|[1-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?")
_CONSTANTS: Final = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


def read_yaml(text: str, file: str) -> tuple[Any, Lines]:
    """Return (data, path -> 1-based line).

    Raises:
        ScenarioError: With file and line, for broken YAML and for everything this module refuses.
    """
    if len(text) > MAX_CHARS:
        raise ScenarioError(f"expected at most {MAX_CHARS} characters, found {len(text)}", file=file)
    lines: Lines = {}
    try:  # events, not nodes: libyaml's composer recurses in C, and deep nesting would end the process
        events = yaml.parse(text, Loader=yaml.CBaseLoader)
        next(events)  # start of the stream
        if isinstance(next(events), yaml.StreamEndEvent):
            raise ScenarioError("expected a mapping, found an empty file", file=file, line=1)
        data = _construct(next(events), events, (), lines, file)
        next(events)  # end of the document
        after = next(events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise ScenarioError("expected one document, found another", file=file, line=_line(after))
    except yaml.reader.ReaderError as error:
        line = text.encode("utf-8", "surrogatepass")[: error.position].count(b"\n") + 1
        raise ScenarioError(f"not YAML: {error.reason}", file=file, line=line) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ScenarioError(
            f"not YAML: {problem}", file=file, line=mark.line + 1 if mark is not None else None
        ) from None
    except UnicodeError as error:
        raise ScenarioError(f"not YAML: {type(error).__name__}", file=file) from None
    return data, lines


def decoded(raw: bytes, file: str) -> str:
    """Return a file's bytes as text.

    Raises:
        ScenarioError: They are not UTF-8, with the line; or more than 1 MB.
    """
    if len(raw) > 4 * MAX_CHARS:
        raise ScenarioError(f"expected at most {MAX_CHARS} characters, found {len(raw)} bytes", file=file)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ScenarioError(f"expected UTF-8, found byte 0x{raw[error.start]:02x}", file=file, line=line) from None


def line_of(lines: Lines, path: Path) -> int | None:
    """Return the line of a path, or of the nearest parent that has one."""
    for end in range(len(path), -1, -1):
        if path[:end] in lines:
            return lines[path[:end]]
    return None


def _construct(event: Any, events: Iterator[Any], path: Path, lines: Lines, file: str) -> Any:
    line = lines[path] = _line(event)
    if len(path) > MAX_DEPTH:
        raise ScenarioError(f"expected at most {MAX_DEPTH} levels", file=file, line=line)
    kind = event.__class__
    if kind is yaml.ScalarEvent:
        if event.anchor is not None or event.tag is not None:
            _refuse_marks(event, file, line)
        return _scalar(event)
    _refuse_marks(event, file, line)
    if kind is yaml.SequenceStartEvent:
        items: list[Any] = []
        while (inner := next(events)).__class__ is not yaml.SequenceEndEvent:
            place = (*path, len(items))
            if inner.__class__ is yaml.ScalarEvent and inner.anchor is None and inner.tag is None:
                lines[place] = _line(inner)  # most entries: no call needed
                items.append(_scalar(inner))
            else:
                items.append(_construct(inner, events, place, lines, file))
        return items
    found: dict[str, Any] = {}
    while (inner := next(events)).__class__ is not yaml.MappingEndEvent:
        at = _line(inner)
        if inner.__class__ is not yaml.ScalarEvent or inner.anchor is not None or inner.tag is not None:
            _refuse_marks(inner, file, at)
            raise ScenarioError("expected a text key; quote a value that begins with '{{'", file=file, line=at)
        key = inner.value
        if key in found:
            raise ScenarioError(f"duplicate key {key!r}", file=file, line=at)
        inside = (*path, key)
        following = next(events)
        if following.__class__ is yaml.ScalarEvent and following.anchor is None and following.tag is None:
            found[key] = _scalar(following)
        else:
            found[key] = _construct(following, events, inside, lines, file)
        lines[inside] = at
    return found


def _scalar(event: yaml.ScalarEvent) -> Any:
    text = str(event.value)
    if event.style:  # quoted or block; libyaml gives '' for a plain scalar
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _INT.fullmatch(text):
        return int(text.replace("_", "")) if len(text) < 20 else text
    if _FLOAT.fullmatch(text):
        number = float(text)
        return number if math.isfinite(number) else text
    return text


def _refuse_marks(event: Any, file: str, line: int) -> None:
    anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
    if anchor is not None:
        raise ScenarioError(f"anchors and aliases are not allowed, found {anchor!r}", file=file, line=line)
    if tag is not None:
        raise ScenarioError(f"tags are not allowed, found {tag!r}", file=file, line=line)


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
