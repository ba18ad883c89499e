"""YAML as scenario files use it: every value keeps its line, and what surprises is refused.

Composed by libyaml, constructed here: YAML 1.2 scalars (16:00 is text, no is text), no anchors or aliases, no
duplicate keys, no tags, text keys only, at most 1 MB and 40 levels. Knows nothing of what the data mean.
"""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from impress_env.errors import ScenarioError

Path = tuple[str | int, ...]
Lines = dict[Path, int]
MAX_CHARS: Final = 1_000_000
MAX_DEPTH: Final = 40
_INT = re.compile(r"[-+]?(0|[1-9][0-9_]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?")
_ANCHOR = re.compile(r"(?:^|[\s\[{,:-])[&*]\w", re.MULTILINE)
_CONSTANTS: Final = {"": None, "~": None, "null": None, "true": True, "false": False}


def read_yaml(text: str, file: str) -> tuple[Any, Lines]:
    """Return (data, path -> 1-based line).

    Raises:
        ScenarioError: With file and line, for broken YAML and for everything this module refuses.
    """
    if len(text) > MAX_CHARS:
        raise ScenarioError(f"expected at most {MAX_CHARS} characters, found {len(text)}", file=file)
    try:
        if _ANCHOR.search(text):
            _refuse_anchors(text, file)
        node = yaml.compose(text, Loader=yaml.CBaseLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else None
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ScenarioError(f"not YAML: {problem}", file=file, line=line) from None
    except (RecursionError, UnicodeError) as error:
        raise ScenarioError(f"not YAML: {type(error).__name__}", file=file) from None
    lines: Lines = {}
    if node is None:
        raise ScenarioError("expected a mapping, found an empty file", file=file, line=1)
    return _construct(node, (), lines, file), lines


def line_of(lines: Lines, path: Path) -> int | None:
    """Return the line of a path, or of the nearest parent that has one."""
    for end in range(len(path), -1, -1):
        if path[:end] in lines:
            return lines[path[:end]]
    return None


def _construct(node: yaml.Node, path: Path, lines: Lines, file: str) -> Any:
    line = node.start_mark.line + 1
    lines[path] = line
    if len(path) > MAX_DEPTH:
        raise ScenarioError(f"expected at most {MAX_DEPTH} levels", file=file, line=line)
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node, file, line)
    if node.tag not in ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
        raise ScenarioError(f"tags are not allowed, found {node.tag!r}", file=file, line=line)
    if isinstance(node, yaml.SequenceNode):
        return [_construct(child, (*path, i), lines, file) for i, child in enumerate(node.value)]
    found: dict[str, Any] = {}
    for key_node, child in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise ScenarioError(
                "expected a text key; quote a value that begins with '{{'",
                file=file,
                line=key_node.start_mark.line + 1,
            )
        key = str(key_node.value)
        if key in found:
            raise ScenarioError(f"duplicate key {key!r}", file=file, line=key_node.start_mark.line + 1)
        found[key] = _construct(child, (*path, key), lines, file)
        lines[*path, key] = key_node.start_mark.line + 1
    return found


def _scalar(node: yaml.ScalarNode, file: str, line: int) -> Any:
    text = str(node.value)
    if node.tag not in ("tag:yaml.org,2002:str", "", "!"):
        raise ScenarioError(f"tags are not allowed, found {node.tag!r}", file=file, line=line)
    if node.style:  # quoted or block; libyaml gives '' for a plain scalar
        return text
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _INT.fullmatch(text):
        return int(text.replace("_", "")) if len(text) < 20 else text
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _refuse_anchors(text: str, file: str) -> None:
    for event in yaml.parse(text, Loader=yaml.CBaseLoader):
        anchor = getattr(event, "anchor", None)
        if anchor is not None:
            line = event.start_mark.line + 1 if event.start_mark else None
            raise ScenarioError(f"anchors and aliases are not allowed, found {anchor!r}", file=file, line=line)
