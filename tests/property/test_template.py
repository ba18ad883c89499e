"""Templates as we evaluate them against Jinja2 itself, over all the syntax that is allowed."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment, StrictUndefined, TemplateError

from impress_env.scenario.template import FILTERS, SlotError, render

CORE = settings(max_examples=400, deadline=None, derandomize=True)
JINJA = Environment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)
JINJA.filters = dict(FILTERS)  # type: ignore[assignment]

SLOTS: dict[str, Any] = {
    "n": 6,
    "zero": 0,
    "word": "mill",
    "xs": ["a", "b", 3],
    "lead": {"name": "Ada", "age": 41, "pets": [{"name": "Rex"}]},
    "at": "2026-11-19T14:23",
    "none": None,
    "yes": True,
}
NAMES = st.sampled_from([*SLOTS, "nobody"])
LEAVES = st.one_of(
    NAMES,
    st.sampled_from(["lead.name", "lead.age", "lead['name']", "lead.pets.0.name", "lead.none"]),
    st.sampled_from(["xs[0]", "xs[-1]", "xs[9]"]),
    st.sampled_from(["'x'", '""', "0", "7", "true", "none", "[]", "[1, 'b']", "(1, 2)"]),
)


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    two = st.tuples(inner, inner)
    return st.one_of(
        st.tuples(inner, st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "not in"]), inner).map(" ".join),
        two.map(lambda p: f"({p[0]}) < ({p[1]}) <= 9"),
        two.map(lambda p: f"({p[0]}) and ({p[1]})"),
        two.map(lambda p: f"({p[0]}) or not ({p[1]})"),
        st.tuples(inner, inner, inner).map(lambda p: f"(({p[0]}) if ({p[1]}) else ({p[2]}))"),
        two.map(lambda p: f"(({p[0]}) if ({p[1]}))"),
        st.tuples(inner, st.sampled_from(sorted(FILTERS))).map(lambda p: f"({p[0]}) | {p[1]}"),
        st.tuples(inner, st.sampled_from(["plus(-2)", "shift(90)", "join('-')", "join(by='+')"])).map(" | ".join),
        inner.map(lambda p: f"-({p})"),
        two.map(lambda p: f"[{p[0]}, {p[1]}]"),
    )


EXPRESSIONS = st.recursive(LEAVES, grown, max_leaves=5)
PIECES = st.one_of(
    EXPRESSIONS.map(lambda e: f"{{{{ {e} }}}}"),
    st.sampled_from(["", "x", " ", "\n", "{# c #}", "{% raw %}{{ n }}{% endraw %}"]),
    st.tuples(EXPRESSIONS, EXPRESSIONS).map(lambda p: f"{{% if {p[0]} %}}a{{{{ {p[1]} }}}}{{% endif %}}"),
    st.tuples(EXPRESSIONS, EXPRESSIONS).map(
        lambda p: f"{{% if {p[0]} %}}a{{% elif {p[1]} %}}b{{% else %}}{{{{ n }}}}{{% endif %}}"
    ),
)


def by_jinja(text: str) -> str | None:
    """What Jinja2 prints, or None where it refuses."""
    try:
        return JINJA.from_string(text).render(**SLOTS)
    except (TemplateError, TypeError, ValueError, KeyError, IndexError, OverflowError):
        return None


@CORE
@given(st.lists(PIECES, max_size=3).map("".join))
def test_a_text_gives_what_jinja_gives_or_is_refused(text):
    """We refuse more: a name or entry that is not there, even where Jinja does not look at it, and no value at all."""
    expected = by_jinja(text)
    try:
        found: Any = render(text, SLOTS)
    except SlotError:
        refused_by_us_alone = any(part in text for part in ("nobody", "xs[9]", "lead.none", ") if ("))
        assert expected is None or refused_by_us_alone
    else:
        assert str(found) == expected.replace("(1, 2)", "[1, 2]")


@CORE
@given(EXPRESSIONS)
def test_an_expression_gives_the_value_that_jinja_prints(expression):
    try:
        value = render(f"{{{{ {expression} }}}}", SLOTS)
    except SlotError:
        return
    text = render(f"{{% if yes %}}{{{{ {expression} }}}}{{% endif %}}", SLOTS)
    assert str(value) == text
