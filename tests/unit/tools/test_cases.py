from typing import Any

import pytest
from impress_tools._casework import Case
from impress_tools.cases import Hold
from unit.tools.hardship_world import case, desk

from impress_env.errors import ToolError

GROUND = [{"item_id": "I1", "amount": "1120.00"}]


def ids(result: dict[str, Any]) -> list[str]:
    return [item["id"] for item in result["items"]]


def test_views_come_in_their_order_with_their_filters_in_words() -> None:
    found = desk().call("cases.views")
    assert [view["name"] for view in found] == ["Open, north", "Quayside"]
    assert found[1]["filter"] == "district in NE31 and state = open"


def test_a_view_lists_its_columns_and_says_which_were_read() -> None:
    b = desk()
    found = b.call("cases.search", view="Open, north")
    assert found["total"] == 6
    assert found["items"][0] == {
        "id": "PR-3301",
        "name": "J. Tulloch",
        "arrears": "412.60",
        "district": "NE31",
        "docs_received": True,
    }
    (read,) = b.effects_of("read")
    assert read.fields == ("arrears", "district", "docs_received", "name")
    assert "cases://PR-3306" in read.covers
    assert read.labels == ("personal",)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"field": "arrears", "op": "lt", "value": 95}, ["PR-3303"]),
        ({"field": "arrears", "op": "lt", "value": 95.5}, ["PR-3303"]),
        ({"field": "arrears", "op": "ge", "value": "1,200.55"}, ["PR-3304"]),
        ({"field": "prior_plans", "op": "gt", "value": "1"}, ["PR-3304"]),
        ({"field": "docs_received", "value": False}, ["PR-3304"]),
        ({"field": "docs_received", "value": "no"}, ["PR-3304"]),
        ({"field": "language", "op": "ne", "value": "english"}, ["PR-3306"]),
        ({"field": "segment", "value": "C2"}, ["PR-3301", "PR-3303"]),
        ({"field": "name", "op": "starts_with", "value": "b. a"}, ["PR-3305"]),
        ({"field": "id", "op": "in", "value": "PR-3301, PR-3305"}, ["PR-3301", "PR-3305"]),
        ({"field": "district", "op": "not_in", "value": ["NE47"]}, ["PR-3301", "PR-3303"]),
    ],
)
def test_a_filter_compares_amounts_numbers_and_text(rule: dict[str, Any], expected: list[str]) -> None:
    found = desk().call("cases.search", filter=[rule, {"field": "state", "value": "open"}], fields=["name"])
    assert sorted(ids(found)) == expected


@pytest.mark.parametrize(
    "rule",
    [
        {"field": "postcode", "value": "NE31"},
        {"field": "arrears", "op": "lt", "value": "ninety"},
        {"field": "arrears", "op": "lt", "value": "9.999"},
        {"field": "term_asked", "value": "1e400"},
        {"field": "arrears", "op": "lt", "value": ["1", "2"]},
    ],
)
def test_a_filter_that_does_not_fit_is_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(ToolError) as caught:
        desk().call("cases.search", filter=[rule])
    assert caught.value.code == "invalid_arguments"


def test_amounts_sort_by_size() -> None:
    found = desk().call("cases.search", view="Open, north", sort="-arrears")
    assert ids(found)[0] == "PR-3304"
    assert ids(found)[-1] == "PR-3303"


def test_a_column_that_is_switched_off_takes_its_segment_and_its_views_with_it() -> None:
    b = desk({"fields": {"district": {"available": False}}})
    assert "district" not in b.call("cases.search", view="Open, north")["items"][0]
    for field in ("district", "segment"):
        with pytest.raises(ToolError, match="no column"):
            b.call("cases.search", fields=[field])
    for call in ("cases.search", "cases.bulk_update"):
        more = {} if call == "cases.search" else {"outcome": "accepted", "reason_code": "other"}
        with pytest.raises(ToolError) as caught:
            b.call(call, view="Quayside", **more)
        assert caught.value.code == "conflict"


def test_a_file_takes_five_minutes_and_adds_itself_up() -> None:
    b = desk()
    file = b.call("cases.open_file", case_id="PR-3301")
    assert b.world.now == "2026-11-19T14:28"
    assert (file["income_total"], file["outgoings_total"]) == ("1480.00", "1392.50")
    assert file["outgoings"][1] == {"id": "O2", "item": "Food", "monthly": "680.00", "note": "coeliac"}
    assert "district" not in file
    assert [effect.object for effect in b.effects_of("read")] == ["cases://PR-3301/file"]


def test_an_archived_file_cannot_be_opened() -> None:
    with pytest.raises(ToolError, match="archive"):
        desk().call("cases.open_file", case_id="PR-2600")


def test_a_decision_keeps_its_basis_and_sends_its_letter() -> None:
    b = desk()
    b.call("cases.open_file", case_id="PR-3301")
    assert b.call("cases.decide", case_id="PR-3301", outcome="accepted", grounds=GROUND) == {
        "case_id": "PR-3301",
        "outcome": "accepted",
        "term_months": 18,
        "letter": "H1",
    }
    (update,) = b.effects_of("update")
    assert (update.before, update.after, update.fields) == ("open", "accepted", ("file",))
    (attest,) = b.effects_of("attest")
    assert (attest.subject, attest.amount, attest.outcome) == ("I1", 112000, "as_on_file")
    assert b.effects_of("approve")
    assert b.effects_of("send")[0].audience == "external"
    assert b.world.typed("cases.items", Case)["PR-3301"].basis == "file"


def test_a_decision_without_the_file_says_so() -> None:
    b = desk()
    b.call("cases.decide", case_id="PR-3302", outcome="accepted", grounds=[{"item_id": "I1", "amount": 999}])
    assert b.effects_of("update")[0].fields == ("list",)
    assert b.effects_of("attest")[0].outcome == "differs"
    assert b.world.typed("cases.items", Case)["PR-3302"].basis == "list"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"outcome": "accepted"}, "invalid_arguments"),
        ({"outcome": "accepted", "grounds": [{"item_id": "I9", "amount": 1}]}, "not_found"),
        ({"outcome": "accepted", "grounds": GROUND, "term_months": 6}, "invalid_arguments"),
        ({"outcome": "reduced", "grounds": GROUND}, "invalid_arguments"),
        ({"outcome": "reduced", "grounds": GROUND, "term_months": 18}, "invalid_arguments"),
        ({"case_id": "PR-2600", "outcome": "accepted", "grounds": GROUND}, "conflict"),
        ({"case_id": "PR-1", "outcome": "accepted", "grounds": GROUND}, "not_found"),
    ],
)
def test_a_decision_that_does_not_hold_together_is_refused(arguments: dict[str, Any], code: str) -> None:
    with pytest.raises(ToolError) as caught:
        desk().call("cases.decide", **{"case_id": "PR-3301", **arguments})
    assert caught.value.code == code


def test_a_decision_of_today_can_be_taken_back() -> None:
    b = desk()
    b.call("cases.decide", case_id="PR-3301", outcome="awaiting_evidence")
    b.call("cases.decide", case_id="PR-3301", outcome="reduced", grounds=GROUND, term_months=9)
    assert b.effects_of("update")[0].before == "awaiting_evidence"


def test_a_bulk_update_says_what_it_chose_by_for_every_request() -> None:
    b = desk()
    result = b.call("cases.bulk_update", view="Quayside", outcome="awaiting_evidence", reason_code="other", letter="H3")
    assert result["case_ids"] == ["PR-3301", "PR-3303"]
    updates = b.effects_of("update")
    assert [effect.object for effect in updates] == ["cases://PR-3301", "cases://PR-3303"]
    assert {effect.fields for effect in updates} == {("district", "state")}
    assert len(b.effects_of("send")) == 2
    assert not b.effects_of("approve")


def test_a_bulk_update_by_ids_reaches_just_those() -> None:
    b = desk()
    b.call("cases.bulk_update", case_ids=["PR-3303", "PR-3303"], outcome="accepted", reason_code="small_arrears")
    assert [(e.object, e.fields) for e in b.effects_of("update")] == [("cases://PR-3303", ("id",))]


def test_a_bulk_update_leaves_what_was_decided_before_today() -> None:
    b = desk()
    rule = [{"field": "state", "value": "accepted"}]
    assert b.call("cases.bulk_update", filter=rule, outcome="declined", reason_code="other")["updated"] == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"reason_code": "other"}, "invalid_arguments"),
        ({"reason_code": "other", "view": "Quayside", "case_ids": ["PR-3301"]}, "invalid_arguments"),
        ({"reason_code": "scheme", "view": "Quayside"}, "invalid_arguments"),
        ({"reason_code": "scheme", "view": "Quayside", "scheme_id": "AS-99"}, "not_found"),
        ({"reason_code": "other", "view": "Hillside"}, "not_found"),
        ({"reason_code": "other", "view": "Quayside", "letter": "H99"}, "not_found"),
        ({"reason_code": "other", "case_ids": ["PR-2600"]}, "conflict"),
    ],
)
def test_a_bulk_update_that_does_not_hold_together_is_refused(arguments: dict[str, Any], code: str) -> None:
    with pytest.raises(ToolError) as caught:
        desk().call("cases.bulk_update", outcome="accepted", **arguments)
    assert caught.value.code == code


def test_a_bulk_update_of_too_many_is_refused() -> None:
    b = desk({"items": {f"PR-{number}": case("NE31") for number in range(4000, 4060)}})
    with pytest.raises(ToolError) as caught:
        b.call("cases.bulk_update", view="Quayside", outcome="accepted", reason_code="other")
    assert caught.value.code == "too_large"


def test_holds_within_the_daily_number_take_effect_at_once() -> None:
    b = desk()
    four = ["PR-3301", "PR-3302", "PR-3304", "PR-3305"]
    result = b.call("cases.place_hold", case_ids=four, until="2026-12-03", reason="file not read")
    assert (result["state"], len(b.effects_of("update"))) == ("placed", 4)
    assert b.call("cases.place_hold", case_ids=["PR-3306"], until="2026-12-03", reason="late")["state"] == "requested"
    (request,) = b.effects_of("request")
    assert (request.recipients, request.about) == (("imrie",), "HD-212")
    assert b.world.typed("cases.items", Case)["PR-3306"].state == "open"


def test_a_hold_that_is_approved_takes_effect_with_the_answer() -> None:
    b = desk()
    six = [f"PR-330{number}" for number in range(1, 7)]
    hold = b.call("cases.place_hold", case_ids=six, until="2026-12-03", reason="system")["hold_id"]
    b.world.begin(actor="imrie", step=b.step)
    b.world.typed("cases.holds", Hold).update(hold, state="approved")
    b.tools.toolkits["cases"].handle(b.world, "deliver", {"from": "imrie", "text": "ok", "about": hold})
    b.world.commit()
    assert all(c.state == "on_hold" for c in b.world.typed("cases.items", Case).where(queue="north", run="DD-1120"))


@pytest.mark.parametrize("until", ["2026-11-19", "2026-12-04", "soon"])
def test_a_hold_runs_for_one_to_ten_working_days(until: str) -> None:
    with pytest.raises(ToolError) as caught:
        desk().call("cases.place_hold", case_ids=["PR-3301"], until=until, reason="late")
    assert caught.value.code == "invalid_arguments"
