"""Slots: what differs between the seeds of a family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from unit.scenario.small_bank import FIRST, LAST, small_bank

from impress_env.clock import minutes
from impress_env.rng import stream
from impress_env.scenario.bank import Bank, slugify
from impress_env.scenario.slots import FORMS, LIST_CAP, Drawing
from impress_env.scenario.template import SlotError

NOW = minutes("2026-11-19T09:40")


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    return small_bank(tmp_path)


def draw(bank: Bank, seed: int = 7, **specs: Any) -> dict[str, Any]:
    return Drawing(bank, seed, NOW).draw(specs)


def seeds(bank: Bank, spec: Any, count: int = 60) -> list[Any]:
    return [draw(bank, seed, x=spec)["x"] for seed in range(count)]


# ---- forms


def test_now_is_always_there(bank):
    expected = {"iso": "2026-11-19T09:40", "date": "2026-11-19", "time": "09:40", "weekday": "thu"}
    assert draw(bank)["now"] == expected
    assert draw(bank, x={"value": "on {{ now.weekday }}"})["x"] == "on thu"


def test_an_organisation_has_its_names_and_its_domain(bank):
    assert draw(bank, org={"organisation": "mill"})["org"] == {
        "name": "North Weir Mill Works",
        "short": "North Weir",
        "slug": "northweirmill",
        "domain": "northweirmill.example",
    }


def test_a_person_has_a_name_a_role_and_an_address_at_the_organisation(bank):
    slots = draw(bank, org={"organisation": "mill"}, lead={"person": "engineering_manager", "team": "data"})
    lead = slots["lead"]
    assert (lead["role"], lead["team"], lead["external"]) == ("engineering manager", "data", False)
    assert lead["name"] == f"{lead['first']} {lead['last']}"
    assert lead["first"] in FIRST
    assert lead["last"] in LAST
    assert lead["email"] == f"{lead['id']}@northweirmill.example"


def test_an_outsider_writes_from_elsewhere(bank):
    slots = draw(bank, org={"organisation": "mill"}, guest={"person": "auditor", "external": True})
    assert slots["guest"]["email"].endswith("@office.example")
    assert slots["guest"]["external"] is True


def test_people_share_neither_given_names_nor_surnames(bank):
    specs = {f"p{i}": {"person": "clerk"} for i in range(12)}
    for seed in range(20):
        drawing = Drawing(bank, seed, NOW)
        slots = drawing.draw(specs)
        people = [slots[name] for name in specs]
        for field in ("id", "first", "last", "email"):
            assert len({person[field] for person in people}) == 12
        assert list(drawing.people) == [person["id"] for person in people]


def test_a_bank_without_names_left_is_told(bank):
    with pytest.raises(
        SlotError, match="slot 'p13': expected a name bank with names left, found all used by 13 people"
    ):
        draw(bank, **{f"p{i}": {"person": "clerk"} for i in range(14)})


def test_ids_of_people_are_plain_letters():
    assert [slugify(text) for text in ("Øla", "Łukasz", "Hye-jin", "O'Brien", "Çelik", "Groß")] == [
        "ola",
        "lukasz",
        "hyejin",
        "obrien",
        "celik",
        "gross",
    ]


def test_pick_takes_one_of_a_list_of_a_bank_or_of_an_earlier_slot(bank):
    assert set(seeds(bank, {"pick": ["a", "b", "c"]})) == {"a", "b", "c"}
    assert set(seeds(bank, {"pick": "birds"})) == {"avocet", "bittern", "coot"}
    picked = [draw(bank, seed, xs={"value": [1, 2]}, x={"pick": "{{ xs }}"})["x"] for seed in range(20)]
    assert set(picked) == {1, 2}


def test_what_is_picked_is_filled_in(bank):
    slots = draw(bank, n={"value": 5}, x={"pick": [{"a": ["{{ n }}", "{{ n }} cans"]}]})
    assert slots["x"] == {"a": [5, "5 cans"]}


def test_sample_takes_different_ones_and_shuffle_all(bank):
    for found in seeds(bank, {"sample": 2, "from": "birds"}, 30):
        assert len(set(found)) == 2
    shuffled = seeds(bank, {"shuffle": [1, 2, 3]}, 60)
    assert all(sorted(found) == [1, 2, 3] for found in shuffled)
    assert len({tuple(found) for found in shuffled}) == 6


def test_shuffling_leaves_an_earlier_slot_as_it_was(bank):
    for seed in range(10):
        assert draw(bank, seed, xs={"value": [1, 2, 3]}, x={"shuffle": "{{ xs }}"})["xs"] == [1, 2, 3]


def test_int_lies_between_its_bounds_both_included(bank):
    assert set(seeds(bank, {"int": [3, 5]})) == {3, 4, 5}
    assert set(seeds(bank, {"int": [10, 31], "step": 10})) == {10, 20, 30}
    assert draw(bank, n={"value": 4}, x={"int": ["{{ n }}", "{{ n }}"]})["x"] == 4


def test_a_pattern_has_digits_letters_and_hex_digits(bank):
    import re

    for found in seeds(bank, {"pattern": "CHG-#?*-é"}, 40):
        assert re.fullmatch(r"CHG-\d[a-z][0-9a-f]-é", found)
    assert draw(bank, x={"pattern": "{{ now.date }}"})["x"] == "2026-11-19"


def test_a_format_joins_slots_of_its_own(bank):
    spec = {"format": "{a}.{b:03d}-{a}", "a": {"int": [3, 3]}, "b": {"int": [7, 7]}}
    assert draw(bank, x=spec)["x"] == "3.007-3"


@pytest.mark.parametrize(
    "text", ["{c}", "{a.__class__}", "{a[0]}", "{a:>99999999}", "{a!r}", "{}", "{a", "a}", "{a:9d}"]
)
def test_a_format_reaches_nothing_else(bank, text):
    with pytest.raises(SlotError, match=r"format: expected \{name\} or \{name:03d\} with names \['a'\], found"):
        draw(bank, x={"format": text, "a": {"value": 5}})


def test_a_moment_lies_on_its_day_between_two_times(bank):
    found = seeds(bank, {"moment": "-2d", "between": ["09:10", "09:20"], "step": 5})
    assert set(found) == {"2026-11-17T09:10", "2026-11-17T09:15", "2026-11-17T09:20"}


def test_by_chooses_by_an_earlier_slot(bank):
    spec = {"by": "{{ bird }}", "of": {"coot": {"int": [5, 5]}, "avocet": "the {{ bird }}"}}
    assert draw(bank, bird={"value": "coot"}, x=spec)["x"] == 5
    assert draw(bank, bird={"value": "avocet"}, x=spec)["x"] == "the avocet"
    with pytest.raises(SlotError, match="slot 'x': no entry for 'bittern'; there are coot, avocet"):
        draw(bank, bird={"value": "bittern"}, x=spec)


def test_a_list_is_drawn_again_for_each_and_counts(bank):
    found = draw(bank, x={"list": 3, "of": {"value": "{{ index }}/{{ number }}"}})["x"]
    assert found == ["0/1", "1/2", "2/3"]
    assert len({tuple(drawn) for drawn in seeds(bank, {"list": 4, "of": {"int": [0, 9]}}, 10)}) > 5


def test_fields_of_a_record_may_use_earlier_ones(bank):
    spec = {"record": {"n": {"int": [4, 4]}, "text": "{{ n }} of {{ total }}", "inner": {"a": "{{ n }}"}}}
    assert draw(bank, total={"value": 9}, x=spec)["x"] == {"n": 4, "text": "4 of 9", "inner": {"a": 4}}


def test_plain_data_may_stand_for_a_slot(bank):
    assert draw(bank, n={"value": 2}, x="{{ n }} cans", y=[1, "{{ n }}"]) | {"now": None} == {
        "now": None,
        "n": 2,
        "x": "2 cans",
        "y": [1, 2],
    }


def test_every_form_is_tried_above():
    source = Path(__file__).read_text(encoding="utf-8")
    assert [form for form in FORMS if f'"{form}": ' not in source] == []


# ---- streams


def test_the_same_seed_gives_the_same_slots_and_another_others(bank):
    specs = {"org": {"organisation": "mill"}, "p": {"person": "clerk"}, "n": {"int": [0, 10**9]}}
    assert draw(bank, 7, **specs) == draw(bank, 7, **specs)
    assert draw(bank, 7, **specs)["n"] != draw(bank, 8, **specs)["n"]


def test_a_new_slot_shifts_no_other(bank):
    before = draw(bank, a={"int": [0, 10**9]}, b={"int": [0, 10**9]})
    after = draw(bank, new={"int": [0, 10**9]}, b={"int": [0, 10**9]}, a={"int": [0, 10**9]})
    assert (after["a"], after["b"]) == (before["a"], before["b"])
    assert before["a"] != before["b"]


def test_a_further_colleague_is_entered_in_the_directory(bank):
    drawing = Drawing(bank, 7, NOW)
    drawing.draw({"org": {"organisation": "mill"}})
    found = drawing.colleague(stream(7, "staff"), "officer")
    assert drawing.people == {found["id"]: found}
    assert found["email"].endswith("@northweirmill.example")


# ---- what is refused


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, r"expected exactly one of organisation, person, .*; found \[\]"),
        ({"pik": ["a"]}, r"found \['pik'\]"),
        ({"pick": ["a"], "int": [1, 2]}, r"found \['int', 'pick'\]"),
        ({"pick": ["a"], "step": 2}, r"unknown keys \['step'\] beside 'pick'"),
        ({"int": [1, 2], "stop": 2}, r"unknown keys \['stop'\] beside 'int'; known: \('step',\)"),
        ({"organisation": "mil"}, "no organisations of kind 'mil'; there are mill"),
        ({"pick": "brids"}, "no list 'brids' in the id bank; there are birds, metals"),
        ({"pick": "remark"}, "no list 'remark' in the id bank"),
        ({"pick": []}, "expected a non-empty list or the name of a bank list"),
        ({"pick": 5}, "expected a non-empty list or the name of a bank list"),
        ({"sample": 9, "from": "birds"}, "Sample larger than population"),
        ({"sample": 1}, "KeyError: 'from'"),
        ({"int": [5, 1]}, "empty range"),
        ({"int": [1]}, "not enough values"),
        ({"int": 5}, "TypeError"),
        ({"int": [1, 9], "step": 0}, "ValueError"),
        ({"moment": "-2d", "between": ["09:10"]}, "not enough values"),
        ({"moment": "-2d", "between": ["29:10", "09:00"]}, "expected a time of day such as 09:40, found '29:10'"),
        ({"moment": "soon", "between": ["09:10", "09:20"]}, "expected a time such as"),
        ({"list": LIST_CAP + 1, "of": {"value": 1}}, f"list: expected 0 to {LIST_CAP}, found {LIST_CAP + 1}"),
        ({"list": -1, "of": {"value": 1}}, "list: expected 0 to"),
        ({"list": "many", "of": {"value": 1}}, "ValueError"),
        ({"value": "{{ later }}"}, "unknown slot 'later'; there are: now"),
        ({"record": {"a": "{{ b }}", "b": 1}}, "unknown slot 'b'"),
    ],
)
def test_a_malformed_slot_is_named_and_says_what_was_expected(bank, spec, message):
    with pytest.raises(SlotError, match=message) as caught:
        draw(bank, wrong=spec)
    assert str(caught.value).startswith("slot 'wrong': ")
    assert caught.value.path[0] == "wrong"


@pytest.mark.parametrize("name", ["now", "staff", "account", "a-b", "2nd", "_x", ""])
def test_names_that_are_taken_or_that_no_text_could_use_are_refused(bank, name):
    with pytest.raises(SlotError, match="expected a name of letters, digits and _ that is none of now, staff, account"):
        draw(bank, **{name: {"value": 1}})
