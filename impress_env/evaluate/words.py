"""Conditions in words, for cards: the grammar of `impress_env.match` told as a nested list in English.

Exact and complete: every part of a condition is told, nothing is summarised. Knows nothing of families.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_ARTICLES: Final = {"any": "any effect", "approve": "an `approve`", "attest": "an `attest`", "acquire": "an `acquire`",
                    "update": "an `update`"}  # fmt: skip
_TESTS: Final = {
    "is": "is {}", "not": "is not {}", "in": "is one of {}", "not_in": "is none of {}", "glob": "matches {}",
    "prefix": "begins with {}", "contains": "contains {}", "mentions": "mentions one of {}",
    "any_of": "has one of {}", "all_of": "has all of {}",
    "gt": "is over {}", "ge": "is at least {}", "lt": "is under {}", "le": "is at most {}",
}  # fmt: skip
_ANCHORS: Final = ("effect", "object", "touches", "where")


def in_words(condition: Any, *, indent: int = 0) -> str:
    """Return a condition as Markdown: one line, or a list of lines below it, indented by `indent` levels."""
    if condition == "always":
        return "always"
    if condition == "never":
        return "never"
    for name, head in (("all", "all of"), ("any", "one of")):
        if isinstance(condition, Mapping) and name in condition and "effect" not in condition:
            parts = condition[name]
            if len(parts) == 1:
                return in_words(parts[0], indent=indent)
            pad = "  " * (indent + 1)
            return f"{head}:" + "".join(f"\n{pad}- {in_words(part, indent=indent + 1)}" for part in parts)
    if "effect" in condition:
        return _event(condition)
    if "state" in condition:
        return f"`{condition['state']}` {_tests({k: v for k, v in condition.items() if k != 'state'})}"
    for name, told in (
        ("once", "there has been"),
        ("before", "before it there was"),
        ("without", "before it there was not"),
    ):
        if name in condition:
            inner = condition[name]
            if isinstance(inner, Mapping) and "effect" not in inner:
                return f"{told}, {in_words(inner, indent=indent)}"
            return f"{told} {_event(inner)}"
    if "not" in condition and not _operators(condition):
        return f"not: {in_words(condition['not'], indent=indent)}"
    return _counted(condition)


def _operators(condition: Mapping[str, Any]) -> bool:
    return any(name in condition for name in ("latest", "rows", "every", "pairs", "since", "count", "sum", "covered"))


def _counted(condition: Mapping[str, Any]) -> str:
    if "latest" in condition:
        rest = {k: v for k, v in condition.items() if k not in ("latest", "field")}
        return f"the latest {_rows(condition['latest'])} has a `{condition['field']}` that {_tests(rest)}"
    if "rows" in condition:
        rest = {k: v for k, v in condition.items() if k != "rows"}
        if rest in ({}, {"ge": 1}):
            return f"there are {_rows(condition['rows'])}"
        return (
            f"there are no {_rows(condition['rows'])}"
            if rest == {"is": 0}
            else (f"the number of {_rows(condition['rows'])} {_tests(rest)}")
        )
    if "every" in condition:
        spec = condition["every"]
        return f"every {_rows(spec)}: {_where(spec['that'])}"
    if "pairs" in condition:
        spec = condition["pairs"]
        return (
            f"of the pairs {', '.join(f'`{a}`/`{b}`' for a, b in spec['of'])} in `{spec['table']}` at least "
            f"{spec['at_least']} have a `{spec['field']}` of {_value(spec['first'])} for the first and "
            f"{_value(spec['second'])} for the second, and at most {spec.get('reverse_at_most', 0)} the other way round"
        )
    if "since" in condition:
        spec = condition["since"]
        return f"{_event(spec['event'])}, and none of this after it: {_event(spec['reset'])}"
    if "count" in condition:
        rest = {k: v for k, v in condition.items() if k != "count"}
        return f"how often there was {_event(condition['count'])} {_tests(rest)}"
    if "sum" in condition:
        rest = {k: v for k, v in condition.items() if k != "sum"}
        return f"the sum of `{condition['sum']['of']}` over {_event(condition['sum']['event'])} {_tests(rest)}"
    spec = condition["covered"]
    slack = f", gaps of {spec['slack']} minutes allowed" if spec.get("slack") else ""
    return f"{spec['from']} to {spec['to']} is covered by {_event(spec['event'])}{slack}"


def _event(event: Mapping[str, Any]) -> str:
    """`a read of x`, with what its fields are."""
    named = event["effect"]
    kinds = [named] if isinstance(named, str) else list(named)
    told = " or ".join(_ARTICLES.get(kind, f"a `{kind}`") for kind in kinds)
    if "object" in event:
        plain = isinstance(event["object"], str)
        told += f" of {_value(event['object'])}" if plain else f" whose object {_tests(event['object'])}"
    if "touches" in event:
        plain = isinstance(event["touches"], str)
        told += (
            f" in which {_value(event['touches'])} is seen" if plain else f" that shows what {_tests(event['touches'])}"
        )
    clauses = [f"`{name}` {_tests(test)}" for name, test in event.items() if name not in _ANCHORS]
    clauses += [f"`{name}` {_tests(test)}" for name, test in event.get("where", {}).items()]
    return told + (" where " + " and ".join(clauses) if clauses else "")


def _rows(spec: Mapping[str, Any]) -> str:
    where = _where(spec["where"]) if spec.get("where") else ""
    return f"rows of `{spec['table']}`" + (f" in which {where}" if where else "")


def _where(spec: Any) -> str:
    """Tests of a record's fields in one line."""
    parts = []
    for name, test in spec.items():
        if name in ("all", "any"):
            join = " and " if name == "all" else " or "
            parts.append("(" + join.join(f"({_where(part)})" for part in test) + ")")
        elif name == "not":
            parts.append(f"not ({_where(test)})")
        else:
            parts.append(f"`{name}` {_tests(test)}")
    return " and ".join(parts)


def _tests(test: Any) -> str:
    if isinstance(test, list):
        return f"is one of {_value(test)}"
    if not isinstance(test, Mapping):
        return f"is {_value(test)}"
    told = []
    for name, value in test.items():
        if name == "exists":
            told.append("is there" if value else "is not there")
        elif name in ("not", "is") and isinstance(value, list):
            told.append(f"is {'none' if name == 'not' else 'one'} of {_value(value)}")
        else:
            told.append(_TESTS[name].format(_value(value)))
    return " and ".join(told)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_value(item) for item in value) or "nothing"
    if value == "":
        return "empty"
    if value is None:
        return "not there"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{' '.join(str(value).split())}`"
