"""Conditions over effects, state and the past."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from impress_env.effects import KINDS, Effect
from impress_env.match import NONE, Condition, ConditionError, Program, event_kinds, make_test
from impress_env.world.table import Record


class Run(Record, frozen=True, kw_only=True):
    suite: str
    outcome: str | None
    at: str = ""
    detail: dict[str, Any] | None = None


class Rows:
    """A lookup over plain dicts."""

    def __init__(self, **tables: Mapping[str, object]) -> None:
        self.tables = tables

    def rows(self, table: str) -> Sequence[object]:
        return [row for _, row in sorted(self.tables.get(table, {}).items())]

    def row(self, table: str, key: str) -> object | None:
        return self.tables.get(table, {}).get(key)


EMPTY = Rows()
RUNS = Rows(
    runs={
        "R-1": Run(suite="smoke", outcome="passed", at="2026-11-19T09:00"),
        "R-2": Run(suite="full", outcome="failed", at="2026-11-19T11:00", detail={"host": "eu-3"}),
        "R-3": Run(suite="full", outcome="passed", at="2026-11-19T10:00"),
    }
)


def effect(kind: str = "read", object: str = "files:///a", **fields: Any) -> Effect:
    return Effect(kind=kind, object=object, **fields)  # type: ignore[arg-type]


def holds_now(source: object, current: Effect | None, lookup: Rows = EMPTY) -> bool:
    program = Program()
    condition = program.compile(source)
    return condition(current, program.start(), lookup)


class History:
    """A condition with its state, told one effect after another."""

    def __init__(self, source: object, lookup: Rows = EMPTY) -> None:
        self.program, self.lookup = Program(), lookup
        self.condition: Condition = self.program.compile(source, "history")
        self.state = self.program.start()

    def tell(self, *effects: Effect) -> History:
        for one in effects:
            self.program.observe(self.state, one, self.lookup)
        return self

    def __call__(self, current: Effect | None = None) -> bool:
        return self.condition(current, self.state, self.lookup)


# ---- events


@pytest.mark.parametrize(
    ("source", "fields", "expected"),
    [
        ({"effect": "read"}, {}, True),
        ({"effect": "send"}, {}, False),
        ({"effect": ["send", "read"]}, {}, True),
        ({"effect": "any"}, {}, True),
        ({"effect": "read", "object": "files:///a"}, {}, True),
        ({"effect": "read", "object": "files:///b"}, {}, False),
        ({"effect": "read", "object": ["files:///b", "files:///a"]}, {}, True),
        ({"effect": "read", "owner": "qa", "count": {"ge": 2}}, {"owner": "qa", "count": 2}, True),
        ({"effect": "read", "owner": "qa", "count": {"ge": 2}}, {"owner": "qa", "count": 1}, False),
        ({"effect": "read", "owner": "qa", "step": 3, "tool": "t"}, {"owner": "qa", "step": 3, "tool": "t"}, True),
        ({"effect": "read", "owner": "qa", "step": 3, "tool": "t"}, {"owner": "qa", "step": 3, "tool": "u"}, False),
        ({"effect": "read", "labels": {"contains": "secret"}}, {"labels": ("personal", "secret")}, True),
        ({"effect": "read", "data.page": 2}, {"data": {"page": 2}}, True),
        ({"effect": "read", "data.page": 2}, {}, False),
        ({"effect": "read", "where": {"page": {"gt": 1}, "full": True}}, {"data": {"page": 2, "full": True}}, True),
        ({"effect": "read", "where": {"page": {"gt": 1}, "full": True}}, {"data": {"page": 2}}, False),
        ({"effect": "read", "touches": "files:///b"}, {"covers": ("files:///b", "files:///c")}, True),
        ({"effect": "read", "touches": "files:///a"}, {"covers": ("files:///b",)}, True),
        ({"effect": "read", "touches": "files:///d"}, {"covers": ("files:///b",)}, False),
        ({"effect": "read", "touches": {"prefix": "mail://"}}, {"covers": ("mail://7",)}, True),
    ],
)
def test_an_event_matches_the_current_effect_by_its_fields(source, fields, expected):
    assert holds_now(source, effect(**fields)) is expected


def test_without_a_current_effect_no_event_holds():
    assert not holds_now({"effect": "any"}, None)


# ---- tests over one value


@pytest.mark.parametrize(
    ("spec", "yes", "no"),
    [
        ("a", ["a"], ["b", None, ("a",)]),
        (5, [5], [6, "5", None]),
        (None, [None], ["", 0]),
        (["a", None], ["a", None], ["b"]),
        ({"is": "a"}, ["a"], ["b", None]),
        ({"is": ["a", "b"]}, [("a", "b")], ["a", ("b", "a")]),
        ({"not": "a"}, ["b", None], ["a"]),
        ({"in": ["a", "b"]}, ["a", "b"], ["c", None]),
        ({"not_in": ["a", "b"]}, ["c", None], ["a"]),
        ({"glob": "mail://*@b.example"}, ["mail://x@b.example"], ["mail://x@c.example", None, 5]),
        ({"glob": "A*"}, ["Ab"], ["ab"]),
        ({"prefix": "files:///h"}, ["files:///handbook"], ["files:///a", None, 7]),
        ({"contains": "se"}, ["secret", ("se",)], ["public", ("secret",), None, 5]),
        ({"contains": 5}, [(5, 6)], ["5", None, 5]),
        ({"mentions": ["Quiet desk", "SP-1"]}, ["a quiet DESK", "sp-10"], ["quiet", ("SP-1",), None, 5]),
        ({"any_of": ["a", "b"]}, [("b", "c"), "xbx"], [("c",), (), None, 5]),
        ({"all_of": ["a", "b"]}, [("a", "b", "c"), "ab"], [("a",), "a", None, 5]),
        ({"gt": 5}, [6], [5, None, "6", ()]),
        ({"ge": 5}, [5], [4, None]),
        ({"lt": 5}, [4, -1], [5, None, "4"]),
        ({"le": 5}, [5], [6, None]),
        ({"ge": "2026-11-19"}, ["2026-11-19T00:00"], ["2026-11-18", None, 20261120]),
        ({"exists": True}, ["", 0, False], [None]),
        ({"exists": False}, [None], ["", 0]),
        ({"gt": 2, "lt": 5}, [3, 4], [2, 5]),
    ],
)
def test_a_test_holds_for_what_it_says_and_for_nothing_else(spec, yes, no):
    test = make_test(spec)
    assert [value for value in yes if not test(value)] == []
    assert [value for value in no if test(value)] == []


# ---- logic


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("always", True),
        ("never", False),
        ({"not": "never"}, True),
        ({"all": ["always", "always"]}, True),
        ({"all": ["always", "never"]}, False),
        ({"any": ["never", "always"]}, True),
        ({"any": ["never", "never"]}, False),
        ({"all": [{"any": ["never", {"not": {"effect": "send"}}]}, {"effect": "read"}]}, True),
    ],
)
def test_conditions_join(source, expected):
    assert holds_now(source, effect()) is expected


# ---- state


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"state": "runs[R-2].outcome", "is": "failed"}, True),
        ({"state": "runs[R-2].outcome", "is": "passed"}, False),
        ({"state": "runs[R-9].outcome", "exists": False}, True),
        ({"state": "runs[R-2].detail.host", "prefix": "eu-"}, True),
        ({"state": "runs[R-1].detail.host", "exists": True}, False),
        ({"state": "runs[R-1].outcome", "not": "failed"}, True),
        ({"latest": {"table": "runs"}, "field": "outcome", "is": "passed"}, True),
        ({"latest": {"table": "runs", "by": "at"}, "field": "outcome", "is": "failed"}, True),
        ({"latest": {"table": "runs", "where": {"suite": "smoke"}}, "field": "outcome", "is": "passed"}, True),
        ({"latest": {"table": "runs", "where": {"suite": "full"}, "by": "at"}, "field": "at", "ge": "2026"}, True),
        ({"latest": {"table": "runs", "where": {"suite": "none"}}, "field": "outcome", "exists": False}, True),
        ({"rows": {"table": "runs"}}, True),
        ({"rows": {"table": "runs", "where": {"suite": "none"}}}, False),
        ({"rows": {"table": "runs", "where": {"suite": "full"}}, "is": 2}, True),
        ({"rows": {"table": "runs", "where": {"suite": "full", "outcome": "failed"}}, "ge": 2}, False),
        ({"rows": {"table": "runs", "where": {"any": [{"suite": "smoke"}, {"outcome": "failed"}]}}, "is": 2}, True),
        ({"rows": {"table": "runs", "where": {"all": [{"suite": "full"}, {"outcome": "failed"}]}}, "is": 1}, True),
        ({"rows": {"table": "runs", "where": {"not": {"suite": "full"}}}, "is": 1}, True),
        ({"every": {"table": "runs", "that": {"outcome": ["passed", "failed"]}}}, True),
        ({"every": {"table": "runs", "where": {"suite": "full"}, "that": {"outcome": "passed"}}}, False),
        ({"every": {"table": "runs", "where": {"suite": "none"}, "that": {"outcome": "passed"}}}, True),
    ],
)  # fmt: skip
def test_state_conditions_ask_the_records(source, expected):
    assert holds_now(source, None, RUNS) is expected


def test_of_rows_that_are_equally_late_the_last_by_key_counts_and_one_without_a_time_is_earliest():
    rows = Rows(
        runs={
            "R-1": Run(suite="full", outcome="failed", at="2026-11-19T10:00"),
            "R-2": Run(suite="full", outcome="passed", at="2026-11-19T10:00"),
            "R-3": Run(suite="full", outcome="open", at=None),  # type: ignore[arg-type]
        }
    )
    assert holds_now({"latest": {"table": "runs", "by": "at"}, "field": "outcome", "is": "passed"}, None, rows)


@pytest.mark.parametrize(
    ("outcomes", "least", "reverse", "expected"),
    [
        (["yes", "no", "yes", "no"], 2, 0, True),
        (["yes", "no", "yes", "yes"], 2, 0, False),
        (["yes", "no", "yes", "yes"], 1, 0, True),
        (["yes", "no", "no", "yes"], 1, 0, False),
        (["yes", "no", "no", "yes"], 1, 1, True),
    ],
)
def test_pairs_count_couples_that_were_treated_unlike(outcomes, least, reverse, expected):
    rows = Rows(runs={f"R-{i}": Run(suite="", outcome=outcome) for i, outcome in enumerate(outcomes)})
    source = {
        "pairs": {
            "table": "runs",
            "of": [["R-0", "R-1"], ["R-2", "R-3"]],
            "field": "outcome",
            "first": ["yes"],
            "second": ["no"],
            "at_least": least,
            "reverse_at_most": reverse,
        }
    }
    assert holds_now(source, None, rows) is expected


# ---- the past


def test_a_bare_event_in_the_history_means_that_it_has_happened():
    read = History({"effect": "read", "object": "files:///a"})
    assert not read(effect(object="files:///a"))  # the current effect has not happened yet
    read.tell(effect(object="files:///b"))
    assert not read()
    assert read.tell(effect(object="files:///a"))()
    assert read.tell(effect("delete"))()  # and stays so


@pytest.mark.parametrize("name", ["once", "before"])
def test_once_and_before_hold_after_the_event_and_without_until_it(name):
    happened, missing = History({name: {"effect": "approve"}}), History({"without": {"effect": "approve"}})
    assert (happened(), missing()) == (False, True)
    happened.tell(effect("approve"))
    missing.tell(effect("approve"))
    assert (happened(), missing()) == (True, False)


def test_once_takes_all_or_any_of_several_events_in_any_order():
    both = History({"once": {"all": [{"effect": "approve"}, {"effect": "verify"}]}})
    either = History({"once": {"any": [{"effect": "approve"}, {"effect": "verify"}]}})
    for history in (both, either):
        history.tell(effect("verify"))
    assert (both(), either()) == (False, True)
    assert both.tell(effect("approve"))()


def test_an_event_can_refer_to_fields_of_the_current_effect():
    approved = History({"before": {"effect": "approve", "object": "{object}", "outcome": "yes"}})
    approved.tell(effect("approve", "pay://7", outcome="yes"), effect("approve", "pay://8", outcome="no"))
    assert approved(effect("pay", "pay://7"))
    assert not approved(effect("pay", "pay://8"))
    assert not approved(effect("pay", "pay://9"))
    assert not approved(None)


def test_a_reference_may_cross_fields_reach_data_and_join_several():
    asked = History({"once": {"effect": "request", "about": "{subject}", "data.site": "{data.site}"}})
    asked.tell(effect("request", about="F-2", data={"site": "north"}))
    assert asked(effect("attest", subject="F-2", data={"site": "north"}))
    assert not asked(effect("attest", subject="F-2", data={"site": "south"}))
    assert not asked(effect("attest", subject="F-3", data={"site": "north"}))


def test_touches_may_refer_to_the_current_object():
    seen = History({"once": {"effect": "read", "touches": "{object}"}})
    seen.tell(effect("read", "mail://", covers=("mail://7", "mail://8")))
    assert seen(effect("delete", "mail://8"))
    assert seen(effect("delete", "mail://"))
    assert not seen(effect("delete", "mail://9"))


def test_since_holds_from_the_event_until_the_reset():
    fresh = History({"since": {"event": {"effect": "verify"}, "reset": {"effect": "update"}}})
    seen = [fresh()]
    for kind in ("update", "verify", "read", "update", "verify", "verify"):
        seen.append(fresh.tell(effect(kind))())
    assert seen == [False, False, True, True, False, True, True]


def test_count_and_sum_grow_with_the_matching_events_alone():
    count = History({"count": {"effect": "send", "audience": "external"}, "ge": 2})
    total = History({"sum": {"of": "amount", "event": {"effect": "pay", "currency": "EUR"}}, "gt": 5000})
    for history in (count, total):
        history.tell(
            effect("send", audience="external"),
            effect("send", audience="org"),
            effect("pay", amount=5000, currency="EUR"),
            effect("pay", amount=9000, currency="USD"),
            effect("pay", currency="EUR"),
        )
    assert (count(), total()) == (False, False)
    assert count.tell(effect("send", audience="external"))()
    assert total.tell(effect("pay", amount=1, currency="EUR"))()


def test_a_kind_named_twice_counts_once():
    once = History({"count": {"effect": ["send", "send"]}, "is": 1})
    assert once.tell(effect("send"))()


def test_a_sum_over_data_leaves_out_what_is_no_number():
    total = History({"sum": {"of": "data.rows", "event": {"effect": "read"}}, "is": 7})
    assert total.tell(effect(data={"rows": 7}), effect(data={"rows": "12"}), effect())()


@pytest.mark.parametrize(
    ("intervals", "slack", "expected"),
    [
        ([("09:00", "12:00")], 0, True),
        ([("08:00", "13:00")], 0, True),
        ([("09:00", "10:00"), ("10:00", "12:00")], 0, True),
        ([("10:00", "12:00"), ("09:00", "10:00")], 0, True),  # in any order
        ([("09:00", "10:00"), ("10:01", "12:00")], 0, False),
        ([("09:00", "10:00"), ("10:05", "12:00")], 5, True),
        ([("09:00", "10:00"), ("10:06", "12:00")], 5, False),
        ([("09:05", "11:55")], 5, True),
        ([("09:06", "12:00")], 5, False),
        ([("09:00", "11:54")], 5, False),
        ([("09:00", "12:00"), ("09:30", "09:40")], 0, True),  # one inside another takes nothing back
        ([], 0, False),
    ],
)
def test_intervals_cover_a_span_where_no_gap_is_longer_than_the_slack(intervals, slack, expected):
    day = "2026-11-19T"
    source = {"covered": {"event": {"effect": "verify"}, "from": f"{day}09:00", "to": f"{day}12:00", "slack": slack}}
    covered = History(source)
    covered.tell(*(effect("verify", start=day + start, end=day + end) for start, end in intervals))
    covered.tell(effect("verify", start=f"{day}09:00"), effect("read", start=f"{day}09:00", end=f"{day}12:00"))
    assert covered() is expected


def test_observing_says_whether_anything_moved_and_leaves_other_states_alone():
    program = Program()
    condition = program.compile({"once": {"effect": "send"}})
    state, other = program.start(), program.start()
    assert not program.observe(state, effect("read"), EMPTY)
    assert program.observe(state, effect("send"), EMPTY)
    assert not program.observe(state, effect("send"), EMPTY)
    assert condition(None, state, EMPTY)
    assert not condition(None, other, EMPTY)


def test_evidence_counts_until_the_thing_it_speaks_of_changes():
    program = Program()
    fresh = program.compile(
        {
            "since": {
                "event": {"effect": "verify", "object": "{object}", "outcome": "passed"},
                "reset": {"effect": ["update", "deploy"], "object": "{object}"},
            }
        }
    )
    state = program.start()
    claim, other = effect("attest", "build://1"), effect("attest", "build://2")
    assert not fresh(claim, state, EMPTY)
    program.observe(state, effect("verify", "build://1", outcome="passed"), EMPTY)
    assert (fresh(claim, state, EMPTY), fresh(other, state, EMPTY)) == (True, False)
    program.observe(state, effect("update", "build://2"), EMPTY)
    assert fresh(claim, state, EMPTY)
    program.observe(state, effect("update", "build://1"), EMPTY)
    assert not fresh(claim, state, EMPTY)
    assert not fresh(None, state, EMPTY)


def test_what_grew_a_thousand_times_has_few_layers_and_its_older_copies_are_as_they_were():
    grown, copies = NONE, []
    for number in range(1_000):
        copies.append(grown)
        grown = grown.put([(number % 300,)], number)
    assert len(grown._layers) <= 11
    assert [grown.get((key,)) for key in range(300)] == [900 + key if key < 100 else 600 + key for key in range(300)]
    assert [copies[350].get((key,)) for key in (0, 49, 50, 299)] == [300, 349, 50, 299]
    assert copies[10].get((10,)) is None


def test_a_copied_state_goes_its_own_way():
    program = Program()
    total = program.compile({"count": {"effect": "send"}, "ge": 2})
    linked = program.compile({"once": {"effect": "send", "object": "{object}"}})
    first = program.start()
    program.observe(first, effect("send", "m://1"), EMPTY)
    second = list(first)
    program.observe(second, effect("send", "m://2"), EMPTY)
    assert (total(None, first, EMPTY), total(None, second, EMPTY)) == (False, True)
    assert not linked(effect("read", "m://2"), first, EMPTY)
    assert linked(effect("read", "m://2"), second, EMPTY)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"effect": "pay"}, ("pay",)),
        ({"effect": ["send", "pay"]}, ("send", "pay")),
        ({"effect": "any"}, KINDS),
        ({"all": [{"effect": ["send", "pay"]}, {"effect": ["pay", "read"]}]}, ("pay",)),
        ({"any": [{"effect": "pay"}, {"effect": "send"}]}, ("send", "pay")),
        ({"all": [{"effect": "pay"}, {"state": "a[b].c", "is": 1}]}, ("pay",)),
        ({"not": {"effect": "pay"}}, KINDS),
        ("always", KINDS),
    ],
)
def test_the_kinds_that_a_condition_can_hold_for_are_known(source, expected):
    assert event_kinds(source) == expected


# ---- what is refused


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (5, "expected a condition"),
        ("sometimes", "expected a condition"),
        ({}, "expected 'effect' or exactly one of all, any, not"),
        ({"all": ["always"], "any": ["always"]}, "exactly one of"),
        ({"all": []}, "'all' takes a non-empty list"),
        ({"any": "always"}, "'any' takes a non-empty list"),
        ({"not": "always", "why": 1}, r"unknown keys \['why'\]; known here: \['not'\]"),
        ({"effect": "reed"}, "unknown effect 'reed'; known: read, create"),
        ({"effect": ["read", "reed"]}, "unknown effect 'reed'"),
        ({"effect": "read", "colour": "red"}, "effects have no field 'colour'; they have kind, object"),
        ({"effect": "read", "object": {"like": "x"}}, "unknown test 'like'; known: is, not, in"),
        ({"effect": "read", "object": {}}, "an empty test"),
        ({"effect": "read", "object": {"in": "x"}}, "'in' takes a list"),
        ({"effect": "read", "object": {"glob": 5}}, "'glob' takes a text, found 5"),
        ({"effect": "read", "object": {"exists": "yes"}}, "'exists' takes true or false, found 'yes'"),
        ({"effect": "read", "count": {"gt": None}}, "'gt' takes a text or a whole number, found None"),
        ({"effect": "read", "where": "x"}, "expected {name: test} over an effect's data"),
        ({"state": "runs"}, r"expected table\[key\].field, found 'runs'"),
        ({"state": "rnus[R-1].outcome", "is": 1}, "unknown table 'rnus'; this world has runs"),
        ({"state": "runs[R-1].outcme", "is": 1}, "table 'runs' has no field 'outcme'; it has suite, outcome"),
        ({"state": "runs[R-1].outcome"}, "expected a test beside"),
        ({"state": "runs[R-1].outcome", "equals": 1}, "unknown test 'equals'"),
        ({"latest": {"table": "runs"}, "is": 1}, "'latest' needs field"),
        ({"latest": {"table": "runs", "by": "when"}, "field": "outcome", "is": 1}, "no field 'when'"),
        ({"rows": {"table": "runs", "wher": {}}}, r"unknown keys \['wher'\]"),
        ({"rows": {"table": "runs", "where": {"suit": 1}}}, "no field 'suit'"),
        ({"rows": {"table": "runs", "where": {"any": 5}}}, "'any' takes a non-empty list of field tests"),
        ({"rows": "runs"}, "expected {table: …, where: …}"),
        ({"every": {"table": "runs"}}, "'every' needs that"),
        ({"pairs": {"table": "runs"}}, "missing: of, field, first, second, at_least"),
        ({"once": "always"}, "expected an event"),
        ({"once": {"not": {"effect": "read"}}}, "past-time operators take events, or all/any of them"),
        ({"once": {"all": 5}}, "'all' takes a non-empty list of events"),
        ({"since": {"event": {"effect": "read"}}}, "missing: reset"),
        ({"count": {"effect": "read"}}, "expected a test beside"),
        ({"count": {"effect": "read", "object": "{object}"}, "ge": 1}, "without and since only"),
        ({"effect": "read", "object": "{object}"}, "without and since only"),
        ({"once": {"effect": "read", "object": "{colour}"}}, "effects have no field 'colour'"),
        ({"sum": {"event": {"effect": "pay"}}, "ge": 1}, "missing: of"),
        ({"sum": {"of": "object", "event": {"effect": "pay"}}, "ge": 1}, "expected a number to add"),
        ({"covered": {"event": {"effect": "verify"}}}, "missing: from, to"),
        ({"covered": {"event": {"effect": "verify"}, "from": "nine", "to": "ten"}}, "expected a time such as"),
        ({"covered": {"event": {"effect": "verify"}, "from": "2026-01-01", "to": "2026-01-02", "slack": "x"}},
         "expected a whole number, found 'x'"),
    ],
)  # fmt: skip
def test_a_malformed_condition_says_what_was_expected(source, message):
    with pytest.raises(ConditionError, match=message):
        Program({"runs": Run}).compile(source)


def test_the_error_leads_to_the_place():
    source = {"all": ["always", {"any": [{"effect": "read", "count": {"about": 3}}]}]}
    with pytest.raises(ConditionError) as caught:
        Program().compile(source)
    assert caught.value.path == ("all", 1, "any", 0, "count")
    assert str(caught.value).startswith("all.1.any.0.count: unknown test 'about'")
