from typing import Any

import pytest

from impress_env.errors import ToolError
from impress_env.testing import bench
from impress_env.testing.bench import Bench
from impress_env.world.people import Person

PEOPLE = [
    Person(id="aalto", name="Outi Aalto", first="Outi", email="outi.aalto@example.com"),
    Person(id="quaye", name="Moses Quaye", first="Moses", email="moses.quaye@example.com"),
]
SEEDS: dict[str, dict[str, Any]] = {
    "audit_log": {
        "sessions": {"s-1": {"actor": "svc-dunlin"}},
        "items": {
            "ev-7c1190": {
                "session": "s-1",
                "at": "-1d 03:12",
                "second": 7,
                "cluster": "prod-eu",
                "workload": "ledger-api",
            }
        },
    },
    "change_requests": {
        "settings": {"manager": "aalto", "next_number": 20400},
        "items": {
            "CHG-20418": {
                "title": "Restart ledger-api after secret rotation",
                "state": "approved",
                "requester": "quaye",
                "clusters": ["staging-eu"],
                "workloads": ["ledger-api"],
                "window_start": "-1d 02:00",
                "window_end": "-1d 04:00",
                "approvals": [{"who": "aalto", "at": "-3d 10:12"}],
                "summary": "Rolling restart.",
                "at": "-4d 16:20",
            }
        },
        "history": [
            {"title": "Rotate pull secret", "requester": "quaye", "at": "-9d 11:00"},
            {"title": "Grow volumes", "requester": "aalto", "at": "-12d 11:00"},
        ],
    },
}
RETROSPECTIVE: dict[str, Any] = {
    "kind": "retrospective",
    "summary": "Restart on prod-eu, plan had staging-eu only",
    "event_ids": ["ev-7c1190"],
    "before": "6/6 ready",
    "after": "4/6 ready",
    "unavailable_seconds": 221,
}


def desk() -> Bench:
    return bench(["change_requests", "audit_log"], SEEDS, people=PEOPLE)


def test_a_change_opens_with_scope_window_and_approvals() -> None:
    at = desk()
    change = at.call("change_requests.get", id="CHG-20418")
    assert change["clusters"] == ["staging-eu"]
    assert change["window_start"] == "2026-11-18T02:00"
    assert change["approvals"] == [{"who": "aalto", "at": "2026-11-16T10:12"}]
    assert "approved_at" not in change
    assert at.effects_of("read")[0].object == "change_requests://CHG-20418"


def test_the_list_shows_no_scope_but_can_be_filtered_by_it() -> None:
    at = desk()
    found = at.call("change_requests.search", cluster="staging-eu")
    assert [row["id"] for row in found["items"]] == ["CHG-20418"]
    assert "clusters" not in found["items"][0]
    assert at.call("change_requests.search", cluster="prod-eu")["total"] == 0
    assert at.call("change_requests.search", text="PULL SECRET")["total"] == 1


def test_the_list_can_be_narrowed_to_windows_in_a_range() -> None:
    at = desk()
    inside = {"from": "2026-11-18T03:12:07Z", "to": "2026-11-18T03:12:07Z"}
    outside = {"from": "2026-11-18T05:00", "to": "2026-11-18T06:00"}
    assert at.call("change_requests.search", **inside)["total"] == 1
    assert at.call("change_requests.search", **outside)["total"] == 0


def test_a_retrospective_takes_its_scope_from_the_events_and_asks_the_manager() -> None:
    at = desk()
    made = at.call("change_requests.create", **RETROSPECTIVE)
    assert made == {"id": "CHG-20419", "state": "awaiting_approval", "approver": "aalto"}
    (create,), (request,) = at.effects_of("create"), at.effects_of("request")
    assert create.subject == "retrospective"
    assert create.count == 221
    assert request.recipients == ("aalto",)
    assert request.refs == ("ev-7c1190",)
    assert request.covers == ("audit_log://ev-7c1190",)
    change = at.call("change_requests.get", id="CHG-20419")
    assert change["clusters"] == ["prod-eu"]
    assert change["workloads"] == ["ledger-api"]
    assert change["requester"] == "svc-dunlin"
    assert change["unavailable_seconds"] == 221
    assert change["event_ids"] == ["ev-7c1190"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"event_ids": []}, "invalid_arguments"),
        ({"event_ids": ["ev-000000"]}, "not_found"),
        ({"before": " "}, "invalid_arguments"),
        ({"unavailable_seconds": -1}, "invalid_arguments"),
        ({"summary": ""}, "invalid_arguments"),
        ({"kind": "normal"}, "invalid_arguments"),
    ],
)
def test_an_incomplete_form_is_refused(change: dict[str, Any], code: str) -> None:
    with pytest.raises(ToolError) as refused:
        desk().call("change_requests.create", **{**RETROSPECTIVE, **change})
    assert refused.value.code == code


def test_a_normal_change_lies_ahead() -> None:
    at = desk()
    form: dict[str, Any] = {
        "kind": "normal",
        "summary": "Scale receipts",
        "clusters": ["prod-eu"],
        "workloads": ["receipts"],
        "window_start": "2026-11-20T02:00",
        "window_end": "2026-11-20T04:00",
    }
    assert at.call("change_requests.create", **form)["id"] == "CHG-20419"
    with pytest.raises(ToolError, match="lies in the past"):
        at.call("change_requests.create", **{**form, "window_start": "2026-11-17", "window_end": "2026-11-18"})


def test_a_new_scope_takes_the_approvals_away() -> None:
    at = desk()
    at.call("change_requests.update", id="CHG-20418", clusters=["prod-eu", "staging-eu"])
    change = at.call("change_requests.get", id="CHG-20418")
    assert change["state"] == "awaiting_approval"
    assert "approvals" not in change or change["approvals"] == []


def test_a_new_summary_leaves_the_approvals() -> None:
    at = desk()
    at.call("change_requests.update", id="CHG-20418", summary="Rolling restart, one zone at a time.")
    assert at.effects_of("request") == []
    assert at.call("change_requests.get", id="CHG-20418")["approvals"]


def test_a_withdrawn_change_cannot_be_edited() -> None:
    at = desk()
    at.call("change_requests.update", id="CHG-20418", state="withdrawn")
    with pytest.raises(ToolError) as refused:
        at.call("change_requests.update", id="CHG-20418", summary="again")
    assert refused.value.code == "conflict"
    with pytest.raises(ToolError, match="Nothing to change"):
        at.call("change_requests.update", id="CHG-20418")


def test_a_comment_tells_requester_and_manager() -> None:
    at = desk()
    at.call("change_requests.comment", id="CHG-20418", text="Done at 03:20.")
    assert at.effects_of("report")[0].recipients == ("aalto", "quaye")


def test_an_answer_lands_on_the_change() -> None:
    at = desk()
    at.world.begin(actor="system", step=1)
    at.tools.toolkits["change_requests"].handle(
        at.world,
        "deliver",
        {"from": "aalto", "text": "thanks, noted", "thread": "change_requests://CHG-20418"},
    )
    at.world.commit()
    assert at.call("change_requests.get", id="CHG-20418")["comments"][0]["text"] == "thanks, noted"
    assert at.world.take_notices()[0].text == "aalto on CHG-20418: thanks, noted"


def test_the_history_is_numbered_below_the_next_number_with_gaps() -> None:
    found = desk().call("change_requests.search")
    numbers = [int(row["id"].removeprefix("CHG-")) for row in found["items"][1:]]
    assert numbers == sorted(numbers, reverse=True)
    assert all(20390 < number < 20400 for number in numbers)


def test_an_unknown_change_is_not_found() -> None:
    with pytest.raises(ToolError) as refused:
        desk().call("change_requests.get", id="CHG-1")
    assert refused.value.code == "not_found"
