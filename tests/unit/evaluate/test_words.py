"""Conditions told in English."""

from __future__ import annotations

from typing import Any

import pytest

from impress_env.evaluate.words import in_words


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ("always", "always"),
        ({"effect": "read", "object": "files:///a.md"}, "a `read` of `files:///a.md`"),
        (
            {"effect": ["send", "report"], "audience": "external"},
            "a `send` or a `report` where `audience` is `external`",
        ),
        ({"effect": "update", "object": {"prefix": "x://"}}, "an `update` whose object begins with `x://`"),
        ({"effect": "read", "touches": "x://1"}, "a `read` in which `x://1` is seen"),
        (
            {"effect": "verify", "where": {"minutes": {"ge": 5, "le": 9}}},
            "a `verify` where `minutes` is at least `5` and is at most `9`",
        ),
        ({"state": "a.items[1].state", "in": ["x", "y"]}, "`a.items[1].state` is one of `x`, `y`"),
        ({"state": "a.items[1].at", "is": ""}, "`a.items[1].at` is empty"),
        (
            {"rows": {"table": "a.items", "where": {"n": {"contains": "b"}}}},
            "there are rows of `a.items` in which `n` contains `b`",
        ),
        ({"rows": {"table": "a.items"}, "is": 0}, "there are no rows of `a.items`"),
        ({"not": {"state": "a[b].c", "is": True}}, "not: `a[b].c` is `true`"),
        ({"before": {"effect": "approve"}}, "before it there was an `approve`"),
        ({"count": {"effect": "send"}, "ge": 2}, "how often there was a `send` is at least `2`"),
        (
            {"sum": {"of": "amount", "event": {"effect": "pay"}}, "gt": 10},
            "the sum of `amount` over a `pay` is over `10`",
        ),
        ({"all": ["never"]}, "never"),
        (
            {"all": ["always", {"any": ["never", "always"]}]},
            "all of:\n  - always\n  - one of:\n    - never\n    - always",
        ),
    ],
)
def test_a_condition_reads_as_a_sentence(condition: Any, told: str) -> None:
    assert in_words(condition) == told
