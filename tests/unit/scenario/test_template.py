"""Text with slots."""

from __future__ import annotations

from typing import Any

import pytest

from impress_env.scenario.template import FILTERS, OUTPUT_CAP, SlotError, compiled, render, render_deep

SLOTS: dict[str, Any] = {
    "lead": {"name": "Ada Brook", "id": "ada.brook", "items": "three"},
    "tables": ["orders", "refunds"],
    "n": 6,
    "zero": 0,
    "amount": 123450,
    "yes": True,
    "none": None,
    "at": "2026-11-19T14:23",
    "word": "mill",
    "braces": "{{ n }}",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("", ""),
        ("{ n } {n} }} %} #}", "{ n } {n} }} %} #}"),
        ("Dear {{ lead.name }},", "Dear Ada Brook,"),
        ("{{lead.id}} and {{  n }}", "ada.brook and 6"),
        ("{{ tables.1 }}!", "refunds!"),
        ("{{ n }}{{ zero }}", "60"),
        ("{{ none }}.", "None."),
        ("{{ braces }}", "{{ n }}"),
        ("a\n{{ n }}\n", "a\n6\n"),
        ("{% if n == 6 %}six{% else %}other{% endif %}", "six"),
        ("{% if n > 6 %}more{% elif n >= 6 and yes %}six{% endif %}.", "six."),
        ("{% if not zero or n in [1, 2] %}a{% endif %}", "a"),
        ("{{ 'x' if zero else word }}s", "mills"),
        ("{{ lead['name'] }}, {{ tables[0] }}", "Ada Brook, orders"),
        ("{# no comment #}x", "x"),
        ("{% if (n if zero) %}a{% endif %}.{{ word if zero }}.", ".."),
        ("{{ word | upper }} {{ word | capitalize | lower }}", "MILL mill"),
    ],
)
def test_slots_are_filled_in(text, expected):
    assert render(text, SLOTS) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ tables }}", ["orders", "refunds"]),
        ("{{ n }}", 6),
        ("{{ n | plus(1) }}", 7),
        ("{{ yes }}", True),
        ("{{ none }}", None),
        ("{{ lead }}", SLOTS["lead"]),
        ("{{ n if yes else word }}", 6),
        ("{{ n > 5 }}", True),
        ("{{ [n < 6, n <= 6, n > 6, n >= 6, n == 6, n != 6] }}", [False, True, False, True, True, False]),
        ("{{ ['m' in word, 'm' not in word, 9 not in [n]] }}", [True, False, True]),
        ("{{ 5 < n < 6 }}", False),
        ("{{ [zero or word, n and word, not n, -n] }}", ["mill", "mill", False, -6]),
        ("{{ [n, word] }}", [6, "mill"]),
        ("{{ tables | length }}", 2),
    ],
)
def test_a_text_that_is_one_expression_gives_the_value_itself(text, value):
    assert render(text, SLOTS) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ tables | join }}", "orders, refunds"),
        ("{{ tables | join(' | ') }}", "orders | refunds"),
        ('{{ tables | join("") }}', "ordersrefunds"),
        ("{{ tables | join(by='+') }}", "orders+refunds"),
        ("{{ word | upper }}", "MILL"),
        ("{{ word | capitalize }}", "Mill"),
        ("{{ 'ÉA' | lower }}", "éa"),
        ("{{ tables | first }}", "orders"),
        ("{{ tables | last }}", "refunds"),
        ("{{ '41' | int }}", 41),
        ("{{ n | plus(-7) }}", -1),
        ("{{ at | shift(-27) }}", "2026-11-19T13:56"),
        ("{{ at | shift(600) }}", "2026-11-20T00:23"),
        ("{{ at | days(-20) }}", "2026-10-30T14:23"),
        ("{{ at | date }}", "2026-11-19"),
        ("{{ at | time }}", "14:23"),
        ("{{ at | weekday }}", "thu"),
        ("{{ at | spoken }}", "Thu 14:23"),
        ("{{ at | date | spoken }}", "Thu"),
        ("{{ amount | money }}", "1,234.50"),
        ("{{ 68 | tenths }}", "6.8"),
        ("{{ -68 | tenths }}", "-6.8"),
        ("{{ amount | plus(5) | money }} EUR", "1,234.55 EUR"),
    ],
)
def test_a_filter_gives(text, value):
    assert render(text, SLOTS) == value


def test_every_filter_is_tried_above():
    tried = {mark for text, _ in _parameters(test_a_filter_gives) for mark in text.replace("(", " ").split()}
    assert set(FILTERS) <= tried | {"length"}


def _parameters(test: Any) -> list[Any]:
    (mark,) = test.pytestmark
    return list(mark.args[1])


@pytest.mark.parametrize("text", ["{{ lead.name }} {{ n }}", "{{ lead.name | upper }} {{ n | plus(1) }}"])
def test_the_quick_way_and_jinjas_give_the_same(text):
    slow = "{% if yes %}" + text + "{% endif %}"
    assert render(slow, SLOTS) == render(text, SLOTS)


@pytest.mark.parametrize("text", [" {{ n }}", "{{ n }}\n", " {{ n | plus(0) }}", "{{ n if yes else 0 }}\n"])
def test_space_around_an_expression_makes_it_text(text):
    assert str(render(text, SLOTS)).strip() == "6"
    assert render(text, SLOTS) != 6
    assert len(render(text, SLOTS)) == 2


# ---- data


def test_all_texts_and_keys_of_data_are_filled_in():
    data = {"{{ word }}": ["{{ n }}", {"x": "{{ word }}-{{ n }}"}], "plain": 5, "none": None}
    assert render_deep(data, SLOTS) == {"mill": [6, {"x": "mill-6"}], "plain": 5, "none": None}
    assert data == {"{{ word }}": ["{{ n }}", {"x": "{{ word }}-{{ n }}"}], "plain": 5, "none": None}


def test_filled_in_data_are_fresh():
    inner: list[Any] = [1]
    assert render_deep({"a": inner}, SLOTS)["a"] is not inner


def test_an_error_says_where_in_the_data_it_is():
    with pytest.raises(SlotError) as caught:
        render_deep({"a": ["x", {"b {{ n }}": "{{ nobody }}"}]}, SLOTS)
    assert caught.value.path == ("a", 1, "b {{ n }}")
    assert caught.value.under("world", 3).path == ("world", 3, "a", 1, "b {{ n }}")


# ---- what is not there


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ nobody }}", "unknown slot 'nobody'; there are: amount, at, braces, lead"),
        ("x {{ lead.age }}", "unknown slot 'lead.age'; there are: id, items, name"),
        ("{{ lead.name.first }}", "unknown slot 'lead.name.first'; there are: str"),
        ("{{ tables.2 }}", "unknown slot 'tables.2'; there are: list"),
        ("{{ tables.first }}", "unknown slot 'tables.first'"),
        ("{{ n.real }}", "unknown slot 'n.real'; there are: int"),
        ("{% if nobody %}a{% endif %}", "unknown slot 'nobody'; there are: amount"),
        ("{% if lead.age > 3 %}a{% endif %}", "no 'age' here; there are: id, items, name"),
        ("{{ lead['age'] | upper }}", "no 'age' here"),
        ("{{ nobody | upper }}", "unknown slot 'nobody'"),
        ("{{ word if zero }}", "expected a value, found an if without else"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(text, message):
    with pytest.raises(SlotError, match=message):
        render(text, SLOTS)


def test_a_dot_means_an_entry_and_never_an_attribute():
    assert render("{% if yes %}{{ lead.items }}{% endif %}", SLOTS) == "three"
    for text in ("{{ lead.keys }}", "{% if lead.keys %}a{% endif %}", "{{ lead['keys'] }}", "{{ word['upper'] }}"):
        with pytest.raises(SlotError, match=r"unknown slot 'lead.keys'|no 'keys' here|no 'upper' here"):
            render(text, SLOTS)


@pytest.mark.parametrize(
    "text",
    [
        "{{ lead | plus(1) }}",
        "{{ word | int }}",
        "{{ n | length }}",
        "{{ n | first }}",
        "{{ n | join }}",
        "{{ word | plus }}",
        "{{ word | upper(3) }}",
        "{{ at | shift(999999999999999) }}",
        "{{ word | spoken }}",
        "{% if word > 3 %}a{% endif %}",
        "{{ [] | first }}",
    ],
)
def test_a_filter_that_does_not_fit_is_an_error_of_the_text(text):
    with pytest.raises(SlotError, match="template: "):
        render(text, SLOTS)


# ---- what is not allowed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{% for t in tables %}{{ t }}{% endfor %}", "For is not allowed"),
        ("{% set x = 1 %}", "Assign is not allowed"),
        ("{% macro m() %}{% endmacro %}", "Macro is not allowed"),
        ("{% include 'x' %}", "Include is not allowed"),
        ("{% import 'x' as y %}", "Import is not allowed"),
        ("{% extends 'x' %}", "Extends is not allowed"),
        ("{% with x = 1 %}{% endwith %}", "With is not allowed"),
        ("{% filter upper %}x{% endfilter %}", "FilterBlock is not allowed"),
        ("{{ n * n }}", "Mul is not allowed"),
        ("{{ 9 ** 9 ** 9 }}", "Pow is not allowed"),
        ("{{ n + 1 }}", "Add is not allowed"),
        ("{{ n - 1 }}", "Sub is not allowed"),
        ("{{ n // 2 }}", "FloorDiv is not allowed"),
        ("{{ word ~ word }}", "Concat is not allowed"),
        ("{{ word.upper() }}", "Call is not allowed"),
        ("{{ range(9) }}", "Call is not allowed"),
        ("{{ tables[0:1] }}", "Slice is not allowed"),
        ("{{ {'a': 1} }}", "Dict is not allowed"),
        ("{{ n is defined }}", "Test is not allowed"),
        ("{{ word | replace('m', 'b') }}", "no filter 'replace'; there are join, upper"),
        ("{% if word | safe %}a{% endif %}", "no filter 'safe'; there are join, upper"),
        ("{{ lead.__class__ }}", "expected names that begin with a letter, found '__class__'"),
        ("x {{ lead.__class__.__mro__ }}", "found '__class__'"),
        ("{{ _secret }}", "found '_secret'"),
        ("{% if _secret %}a{% endif %}", "found '_secret'"),
        ("{{ lead['__class__'] }}", "found '__class__'"),
        ("{% if lead.__init__ %}a{% endif %}", "found '__init__'"),
        ("{{ (lead | first).__class__ }}", "found '__class__'"),
        ("{{ n", "unexpected end of template"),
        ("{% if n %}", "Unexpected end of template"),
        ("{% nonsense %}", "Encountered unknown tag 'nonsense'"),
        ("{{ }}", "Expected an expression"),
        ("{{ " + "(" * 3000 + "n" + ")" * 3000 + " }}", "nested too deeply"),
        ("{{ " + "not " * 5000 + "n }}", "nested too deeply"),
        ("{{ " + "1" * 5000 + " }}", "template: Exceeds the limit"),
    ],
    ids=range(35),
)
def test_what_is_not_allowed_is_refused_before_anything_is_drawn(text, message):
    with pytest.raises(SlotError, match=message):
        compiled(text)


@pytest.mark.parametrize("text", ["{{ " + "not " * 150 + "n }}", "{% if n %}" * 120 + "x" + "{% endif %}" * 120])
def test_nesting_that_python_itself_refuses_is_an_error_of_the_text(text):
    try:
        found = render(text, SLOTS)
    except SlotError as error:
        found = str(error)
    assert found in (True, "x", "template: expected fewer levels, found a text nested too deeply")


def test_output_is_capped():
    half = "x" * (OUTPUT_CAP // 2)
    slots = {"half": half, "halves": [half, half, "y"]}
    assert len(render("{{ half }}{{ half }}", slots)) == OUTPUT_CAP
    for text in ("{{ half }}{{ half }}y", "{{ halves | join('') }}.", "{% if half %}{{ half }}{{ half }}y{% endif %}"):
        with pytest.raises(SlotError, match=rf"gave 20000[12] characters, expected at most {OUTPUT_CAP}"):
            render(text, slots)


def test_a_template_changes_nothing_outside_itself():
    slots = {"xs": [1, 2], "d": {"a": 1}}
    for text in ("{{ xs.append(3) }}", "{{ d.update }}", "{{ xs.append }}"):
        with pytest.raises(SlotError):
            render(text, slots)
    assert slots == {"xs": [1, 2], "d": {"a": 1}}
