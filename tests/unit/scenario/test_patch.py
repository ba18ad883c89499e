"""Changes to the plain data of a world: merge patches, paths, repeated entries, filler."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from unit.scenario.small_bank import small_bank

from impress_env.scenario.patch import Expansion, apply_add, apply_set, by_path, leaves, parse_path
from impress_env.scenario.template import SlotError

STAFF = [{"id": f"p{i}", "name": f"Person {i}"} for i in range(5)]
SLOTS: dict[str, Any] = {
    "org": {"short": "North Weir"},
    "staff": STAFF,
    "now": {"iso": "2026-11-19T09:40"},
    "account": "svc-mill",
    "cases": [{"id": "C-7", "n": 3}, {"id": "C-8", "n": 5}],
    "word": "mill",
}

# ---- paths


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("a", ("a",)),
        ("a.b.c", ("a", "b", "c")),
        ("signals.items[S-1].locked", ("signals", "items", "S-1", "locked")),
        ("releases.items[4.2.0].state", ("releases", "items", "4.2.0", "state")),
        ("files[/policy/a.md].text", ("files", "/policy/a.md", "text")),
        ("a[b][c.d]", ("a", "b", "c.d")),
        ("", ()),
    ],
)
def test_a_path_is_dotted_with_brackets_where_a_key_has_dots(text, path):
    assert parse_path(text) == path


def test_the_leaves_of_a_patch_are_found_through_nested_and_dotted_keys():
    patch = {"a.b": {"c": 1, "d[x.y]": None}, "e": {}, "f": [1]}
    assert list(leaves(patch)) == [(("a", "b", "c"), 1), (("a", "b", "d", "x.y"), None), (("e",), {}), (("f",), [1])]


# ---- set


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386, section 2, word for word."""
    if not isinstance(patch, dict):
        return patch
    target = copy.deepcopy(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = merged(target.get(name), value)
    return target


@pytest.mark.parametrize(
    ("data", "patch"),
    [
        ({"a": "b"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}),
        ({"a": "b"}, {"a": None}),
        ({"a": "b", "b": "c"}, {"a": None}),
        ({"a": ["b"]}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}),
        ({"e": None}, {"a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}),
        ({"a": {"b": 1}}, {"a": {}}),
        ({"a": 1}, {"a": {}}),
        ({}, {"a": {}}),
        ({"a": {"b": {"c": 1, "d": 2}}}, {"a": {"b": {"c": None}, "e": {"f": [None]}}}),
    ],
)
def test_a_patch_merges_as_rfc_7386_says(data, patch):
    expected = merged(data, patch)
    apply_set(data, patch)
    assert data == expected


def test_a_patch_may_say_its_paths_in_one_word_and_tells_what_it_touched():
    data: dict[str, Any] = {"tickets": {"items": {"T-1": {"state": "open"}, "T.2": {"state": "open", "title": "x"}}}}
    touched = apply_set(data, {"tickets.items[T.2].state": "closed", "tickets.items[T-1]": None, "new.deep": 1})
    assert data == {"tickets": {"items": {"T.2": {"state": "closed", "title": "x"}}}, "new": {"deep": 1}}
    assert touched == [("tickets", "items", "T.2", "state"), ("tickets", "items", "T-1"), ("new", "deep")]


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ({"a.b.c": 1}, "set: a.b.c leads through 'b', which is no mapping"),
        ({"a": {"b": {"c": 1}}}, "set: a.b.c leads through 'b', which is no mapping"),
        ({"xs[0].y": 1}, "set: xs.0.y leads through 'xs', which is no mapping"),
        ({"": 1}, "set: expected a path such as tickets.items"),
    ],
)
def test_a_patch_leads_through_mappings_only(patch, message):
    with pytest.raises(SlotError, match=message):
        apply_set({"a": {"b": "text"}, "xs": [{}]}, patch)


# ---- add


def test_entries_are_appended_to_lists():
    data: dict[str, Any] = {"ci": {"runs": [1]}}
    assert apply_add(data, {"ci.runs": [2, 3], "mail.messages": [{"a": 1}]}) == [("ci", "runs"), ("mail", "messages")]
    assert data == {"ci": {"runs": [1, 2, 3]}, "mail": {"messages": [{"a": 1}]}}


def test_files_are_added_under_their_path():
    data: dict[str, Any] = {"files": {"/a": {"path": "/a", "text": "1"}}}
    apply_add(data, {"files": [{"path": "/b", "text": "2"}]})
    assert list(data["files"]) == ["/a", "/b"]


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ({"items": [1]}, "add: items is no list; use set with a key"),
        ({"items.x.y": [1]}, "add: items.x.y leads through 'x', which is no mapping"),
        ({"": [1]}, "add: expected a path"),
        ({"files": [5]}, "files: expected {path: …, text: …}, found 5"),
        ({"files": [{"text": "x"}]}, "files: expected {path: …, text: …}"),
    ],
)
def test_nothing_is_added_to_what_is_no_list(added, message):
    with pytest.raises(SlotError, match=message):
        apply_add({"items": {"x": "text"}, "files": {}}, added)


def test_two_files_may_not_have_the_same_path():
    with pytest.raises(SlotError, match="two files are called '/a'") as caught:
        by_path([{"path": "/a"}, {"path": "/b"}, {"path": "/a"}])
    assert caught.value.path == (2,)
    with pytest.raises(SlotError, match="expected a list of files, found None"):
        by_path(None)


# ---- for_each and filler


@pytest.fixture
def expansion(tmp_path: Path) -> Expansion:
    return Expansion(small_bank(tmp_path), "finance", 7, SLOTS)


def test_plain_data_are_filled_in_and_come_fresh(expansion):
    source = {"{{ word }}": [{"n": "{{ cases.0.n }}"}, "x"], "y": None}
    assert expansion.expand(source, SLOTS) == {"mill": [{"n": 3}, "x"], "y": None}


def test_a_list_repeats_an_entry_for_each_item(expansion):
    source = [
        "first",
        {"for_each": "{{ cases }}", "as": "case", "item": {"id": "{{ case.id }}", "at": "{{ index }} {{ number }}"}},
        {"for_each": [8, 9], "item": "{{ item }}"},
    ]
    assert expansion.expand(source, SLOTS) == [
        "first",
        {"id": "C-7", "at": "0 1"},
        {"id": "C-8", "at": "1 2"},
        8,
        9,
    ]


def test_repeated_entries_nest(expansion):
    source = [
        {"for_each": "{{ cases }}", "as": "c", "item": [{"for_each": [1, 2], "as": "k", "item": "{{ c.id }}/{{ k }}"}]}
    ]
    assert expansion.expand(source, SLOTS) == [["C-7/1", "C-7/2"], ["C-8/1", "C-8/2"]]


def test_a_collection_repeats_an_entry_under_its_keys(expansion):
    source = {
        "C-1": {"n": 1},
        "for_each": [{"in": "{{ cases }}", "as": "c", "key": "{{ c.id }}", "item": {"n": "{{ c.n }}"}}],
    }
    assert expansion.expand(source, SLOTS) == {"C-1": {"n": 1}, "C-7": {"n": 3}, "C-8": {"n": 5}}


def test_a_field_called_for_each_that_is_no_list_is_data(expansion):
    assert expansion.expand({"for_each": "day", "filler": "none"}, SLOTS) == {"for_each": "day", "filler": "none"}


def test_filler_gives_so_many_different_pieces_of_the_domain_and_of_any_office(expansion):
    found = expansion.expand([{"filler": "notes", "count": 3}], SLOTS)
    assert [piece["text"].split()[0] for piece in found] == ["one", "two", "three"]
    assert found[2]["text"] == "three North Weir"
    assert expansion.expand([{"filler": "notes", "count": 0}], SLOTS) == []
    assert len(expansion.expand([{"filler": "notes"}], SLOTS)) == 1


def test_a_pieces_names_are_drawn_from_colleagues_numbers_dates_and_times(expansion):
    (one,) = [p for p in expansion.expand([{"filler": "notes", "count": 3}], SLOTS) if p["text"].startswith("one")]
    _, who, number, date = one["text"].split()
    assert who in {person["id"] for person in STAFF}
    assert 12 <= int(number) <= 97
    assert "2026-09-20" <= date < "2026-11-19"
    assert "08:00" <= one["at"].split()[1] <= "17:59"


def test_filler_depends_on_the_seed_and_the_place_alone(expansion, tmp_path):
    source = [{"filler": "notes", "count": 2}]
    assert expansion.expand(source, SLOTS, ("mail",)) == expansion.expand(source, SLOTS, ("mail",))
    chosen = {
        tuple(p["text"].split()[0] for p in Expansion(expansion.bank, "finance", seed, SLOTS).expand(source, SLOTS))
        for seed in range(20)
    }
    assert len(chosen) == 3
    places = {tuple(p["text"].split()[0] for p in expansion.expand(source, SLOTS, (place,))) for place in "abcdefghij"}
    assert len(places) > 1


def test_filler_in_a_collection_stands_under_its_ids_and_takes_nobodys(tmp_path):
    bank = small_bank(tmp_path)
    for seed in range(60):
        slots = {**SLOTS, "taken": f"C-{12 + seed}"}
        source = {
            "filler": [{"filler": "cases", "count": 2}],
            "{{ taken }}": {"owner": "ours"},
        }
        found = Expansion(bank, "finance", seed, slots).expand(source, slots)
        assert len(found) == 3
        assert found[slots["taken"]] == {"owner": "ours"}
        assert all("id" not in piece for piece in found.values())


@pytest.mark.parametrize(
    ("source", "message", "path"),
    [
        ([0, {"filler": "notse"}], "no filler of kind 'notse' for 'finance'; there are notes, cases", (1,)),
        ([{"filler": "notes", "count": 4}], "filler 'notes': expected 0 to 3 pieces, found count 4", (0,)),
        ([{"filler": "notes", "count": -1}], "expected 0 to 3 pieces, found count -1", (0,)),
        ([{"filler": "notes", "count": "few"}], "expected a whole number as count, found 'few'", (0,)),
        ([{"filler": "notes", "cnt": 1}], r"filler: unknown keys \['cnt'\]; known: filler, count", (0,)),
        (
            {"filler": [{"filler": "notes"}]},
            r"expected pieces with an id, found \['at', 'text'\]|\['text'\]",
            ("filler",),
        ),
        ({"filler": [5]}, "filler: expected a mapping with filler, found 5", ("filler",)),
        ([{"for_each": "{{ word }}", "item": 1}], "for_each: expected a list of at most 500, found str", (0,)),
        ([{"for_each": list(range(501)), "item": 1}], "expected a list of at most 500, found 501 items", (0,)),
        ([{"for_each": [1]}], "for_each: expected a mapping with for_each, item", (0,)),
        ([{"for_each": [1], "item": 1, "at": 2}], r"unknown keys \['at'\]; known: for_each, item, as", (0,)),
        ({"for_each": [{"in": [1], "item": 1}]}, "for_each: expected a mapping with in, key, item", ("for_each",)),
        ({"for_each": ["x"]}, "for_each: expected a mapping with in, key, item, found 'x'", ("for_each",)),
        ({"a": [{"b": "{{ nobody }}"}]}, "unknown slot 'nobody'", ("a", 0, "b")),
        ({"{{ nobody }}": 1}, "unknown slot 'nobody'", ("{{ nobody }}",)),
    ],
)
def test_a_malformed_entry_says_what_was_expected_and_where(expansion, source, message, path):
    with pytest.raises(SlotError, match=message) as caught:
        expansion.expand(source, SLOTS)
    assert caught.value.path == path
