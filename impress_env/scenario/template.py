"""Text with slots: plain substitution by a splitter of ours, the rest as expressions of Jinja2's syntax.

``{{ lead.name }}`` and ``{{ at | shift(30) }}`` are most of what families hold and cost microseconds; conditions and
logic are parsed by Jinja2 and evaluated in `expression.py`, where loops, arithmetic and calls do not exist. A text
that is one expression and nothing else gives the value itself, not its text. Output is capped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from jinja2 import TemplateError, TemplateSyntaxError

from impress_env.clock import iso, minutes, weekday
from impress_env.scenario.expression import NOTHING, evaluator, there

OUTPUT_CAP: Final = 200_000
_LITERAL = r"(?:-?\d{1,15}|'[^'\\{}]*'|\"[^\"\\{}]*\")"
_FIXED = r"[A-Za-z_]\w*(?:\.\w+|\[\d{1,4}\])*"
_NAMED = rf"(?!(?:[Tt]rue|[Ff]alse|[Nn]one|not|and|or|if|else|in|is)\b){_FIXED}"
_ARGUMENT = rf"(?:{_LITERAL}|{_NAMED})"
_ARGUMENTS = rf"{_ARGUMENT}(?: *, *{_ARGUMENT})*"
_PATH = rf"[A-Za-z_]\w*(?:\.\w+|\[\d{{1,4}}\]|\[{_FIXED}\])*"
_PART = re.compile(rf"\.?([A-Za-z_]\w*|\w+)|\[(\d{{1,4}})\]|\[({_FIXED})\]")
_PLAIN = re.compile(rf"\{{\{{ *({_PATH})((?: *\| *[a-z]+(?:\( *(?:{_ARGUMENTS})? *\))?)*) *\}}\}}")
_FILTERS = re.compile(rf"\| *([a-z]+)(?:\( *({_ARGUMENTS})? *\))?")
_SPLIT = re.compile(_ARGUMENT)
_MARKUP = re.compile(r"\{\{|\{%|\{#")
_SINGLE = re.compile(r"\{\{((?:(?!\}\}|\{\{).)*)\}\}", re.DOTALL)

Slots = Mapping[str, Any]
Path = tuple[Any, ...]  # names and indices, and paths whose value is one
Renderer = Callable[[Slots], Any]


class SlotError(ValueError):
    """A template or a slot is malformed, uses what is not allowed, or names what is not there.

    Args:
        message: What was expected and what was found.
        path: Leads to the place, from the top of the data that was rendered; callers put theirs before it.
    """

    def __init__(self, message: str, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.path = path

    def under(self, *path: str | int) -> SlotError:
        """Return the same error with a path before its own."""
        return SlotError(str(self), (*path, *self.path))


def _plus(value: Any, by: int) -> int:
    return int(value) + int(by)


def _shift(value: Any, by: int) -> str:
    return iso(minutes(str(value)) + int(by))


def _money(value: Any) -> str:
    return f"{int(value) / 100:,.2f}"


def _tenths(value: Any) -> str:
    return f"{int(value) / 10:.1f}"


def _spoken(value: Any) -> str:
    stamp = str(value)
    day = weekday(minutes(stamp)).capitalize()
    return f"{day} {stamp[11:16]}" if len(stamp) > 10 else day


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "join": lambda value, by=", ": str(by).join(str(item) for item in value),
    "upper": lambda value: str(value).upper(),
    "lower": lambda value: str(value).lower(),
    "capitalize": lambda value: str(value)[:1].upper() + str(value)[1:],
    "length": lambda value: len(value),
    "first": lambda value: value[0],
    "last": lambda value: value[-1],
    "int": lambda value: int(value),
    "plus": _plus,  # whole numbers
    "shift": _shift,  # ISO time, by minutes
    "days": lambda value, by: _shift(value, int(by) * 1440),  # ISO time, by days
    "date": lambda value: str(value)[:10],
    "time": lambda value: str(value)[11:16],
    "weekday": lambda value: weekday(minutes(str(value))),
    "spoken": _spoken,  # "Thu 03:12"
    "money": _money,  # minor units -> "1,234.50"
    "tenths": _tenths,  # 68 -> "6.8"
}


@lru_cache(maxsize=16384)
def compiled(text: str) -> Renderer | None:
    """Return the renderer of a text, or None where it has no markup.

    Raises:
        SlotError: The template is malformed or uses what is not allowed.
    """
    if "{" not in text or not _MARKUP.search(text):
        return None
    single = _PLAIN.fullmatch(text)
    if single is not None:
        return _piece(single)
    literals, pieces, end = [], [], 0
    for found in _PLAIN.finditer(text):
        literals.append(text[end : found.start()])
        pieces.append(_piece(found))
        end = found.end()
    literals.append(text[end:])
    if not any(_MARKUP.search(literal) for literal in literals):
        return lambda slots: _fill(literals, pieces, slots)
    return _jinja(text)


def render(text: str, slots: Slots) -> Any:
    """Return a text with its slots filled; a text that is one expression gives the value itself.

    Raises:
        SlotError: As `compiled`, or an unknown slot, or output over the cap.
    """
    renderer = compiled(text)
    return text if renderer is None else renderer(slots)


def render_deep(value: Any, slots: Slots) -> Any:
    """Return plain data with all its texts and keys rendered.

    Raises:
        SlotError: As `render`.
    """
    kind = value.__class__
    if kind is str:
        return render(value, slots) if "{" in value else value
    if kind is dict:
        found: dict[str, Any] = {}
        for key, item in value.items():
            try:
                name = key if "{" not in key else str(render(key, slots))
                if item.__class__ is str:  # most are: no call needed where there is nothing to fill in
                    found[name] = render(item, slots) if "{" in item else item
                else:
                    found[name] = render_deep(item, slots)
            except SlotError as error:
                raise error.under(key) from None
        return found
    if kind is list:
        items: list[Any] = []
        for index, item in enumerate(value):
            try:
                if item.__class__ is str:
                    items.append(render(item, slots) if "{" in item else item)
                else:
                    items.append(render_deep(item, slots))
            except SlotError as error:
                raise error.under(index) from None
        return items
    return value


def lookup(slots: Slots, path: Path) -> Any:
    """Return the value at a path of slots; a part that is a path itself stands for the value there.

    Raises:
        SlotError: There is none; the message names what is there.
    """
    value: Any = slots
    for depth, part in enumerate(path):
        key = lookup(slots, part) if part.__class__ is tuple else part
        try:
            value = value[int(key)] if isinstance(value, list | tuple) else value[key]
        except (KeyError, IndexError, TypeError, ValueError):
            shown = ".".join(str(p) for p in (*path[:depth], key))
            raise SlotError(f"unknown slot {shown!r}; there are: {there(value)}") from None
    return value


def _path(text: str) -> Path:
    path: list[Any] = []
    for name, index, inner in _PART.findall(text):
        _public(name)
        path.append(_path(inner) if inner else name or index)
    return tuple(path)


def _public(name: str) -> None:
    if name.startswith("_"):
        raise SlotError(f"template: expected names that begin with a letter, found {name!r}")


def _piece(found: re.Match[str]) -> Renderer:
    """Return the renderer of one substitution: a dotted path, and filters whose arguments are literals or paths."""
    path = _path(found[1])
    chain: list[tuple[Callable[..., Any], list[Renderer]]] = []
    for name, arguments in _FILTERS.findall(found[2] or ""):
        if name not in FILTERS:
            raise SlotError(f"template: no filter {name!r}; there are {', '.join(FILTERS)}")
        chain.append((FILTERS[name], [_argument(text) for text in _SPLIT.findall(arguments)]))
    if not chain:
        return lambda slots: lookup(slots, path)

    def filtered(slots: Slots) -> Any:
        value = lookup(slots, path)
        try:
            for function, arguments in chain:
                value = function(value, *[argument(slots) for argument in arguments])
        except (TypeError, ValueError, KeyError, IndexError, OverflowError) as error:
            raise SlotError(f"template: {found[0]}: {error}") from None
        return value

    return filtered


def _argument(text: str) -> Renderer:
    if text[0] in "'\"-0123456789":
        value = text[1:-1] if text[0] in "'\"" else int(text)
        return lambda slots: value
    path = _path(text)
    return lambda slots: lookup(slots, path)


def _fill(literals: list[str], pieces: list[Renderer], slots: Slots) -> str:
    parts = [literals[0]]
    for piece, literal in zip(pieces, literals[1:], strict=True):
        parts.append(str(piece(slots)))
        parts.append(literal)
    text = "".join(parts)
    if len(text) > OUTPUT_CAP:
        raise SlotError(f"a template gave {len(text)} characters, expected at most {OUTPUT_CAP}")
    return text


def _jinja(text: str) -> Renderer:
    try:
        names, closure = evaluator(text, FILTERS, single=_SINGLE.fullmatch(text) is not None)
    except TemplateSyntaxError as error:
        raise SlotError(f"template: {error.message} (line {error.lineno} of the text)") from None
    except (TemplateError, ValueError) as error:  # ours, or a number of more digits than Python reads
        raise SlotError(f"template: {error}") from None
    except (RecursionError, MemoryError, SyntaxError):  # Python's own limits on nested parentheses and blocks
        raise SlotError("template: expected fewer levels, found a text nested too deeply") from None
    return lambda slots: _evaluated(names, slots, closure)


def _evaluated(names: tuple[str, ...], slots: Slots, closure: Renderer) -> Any:
    for name in names:
        if name not in slots:
            raise SlotError(f"unknown slot {name!r}; there are: {there(slots)}")
    try:
        value = closure(slots)
    except SlotError:
        raise
    except RecursionError:
        raise SlotError("template: expected fewer levels, found a text nested too deeply") from None
    except (TypeError, ValueError, KeyError, IndexError, OverflowError) as error:
        raise SlotError(f"template: {error}") from None
    if value is NOTHING:
        raise SlotError("template: expected a value, found an if without else that gives none")
    if isinstance(value, str) and len(value) > OUTPUT_CAP:
        raise SlotError(f"a template gave {len(value)} characters, expected at most {OUTPUT_CAP}")
    return value
