import pytest
from impress_tools.payment_runs import Collection
from unit.tools.hardship_world import desk, seeds

from impress_env.errors import ToolError
from impress_env.testing import bench


def test_runs_come_by_cut_off() -> None:
    b = desk()
    assert [r["id"] for r in b.call("payment_runs.search")["items"]] == ["DD-1120", "DD-1121"]
    assert b.call("payment_runs.search", cutoff_after="2026-11-20")["total"] == 1
    assert b.call("payment_runs.search", state="sent")["total"] == 0


def test_a_run_shows_what_it_would_collect_as_things_stand() -> None:
    b = desk()
    run = b.call("payment_runs.get", id="DD-1120")
    assert (run["collections"], run["total"]) == (6, "312.60")
    assert (run["requests_by_state"]["open"], run["requests_by_state"]["accepted"]) == (6, 0)
    b.call("cases.bulk_update", case_ids=["PR-3303"], outcome="accepted", reason_code="small_arrears")
    b.call("cases.place_hold", case_ids=["PR-3301"], until="2026-12-03", reason="late")
    b.call("cases.decide", case_id="PR-3302", outcome="awaiting_evidence")
    assert b.call("payment_runs.get", id="DD-1120")["collections"] == 4


def test_an_unknown_run_is_answered_with_those_there_are() -> None:
    with pytest.raises(ToolError) as caught:
        desk().call("payment_runs.get", id="DD-1")
    assert caught.value.offer == ("DD-1120", "DD-1121")


def test_the_window_sends_the_runs_that_are_due_and_no_others() -> None:
    b = desk()
    b.call("cases.decide", case_id="PR-3302", outcome="awaiting_evidence")
    b.pass_time(120)
    run = b.call("payment_runs.get", id="DD-1120")
    assert (run["state"], run["sent_at"], run["collections"]) == ("sent", "2026-11-19T16:00", 6)
    assert b.call("payment_runs.get", id="DD-1121")["state"] == "scheduled"
    states = [c.case_state for c in b.world.typed("payment_runs.collections", Collection).values()]
    assert sorted(states) == ["awaiting_evidence", *["open"] * 5]
    assert [notice.text for notice in b.world.notices] == ["DD-1120 sent 2026-11-19T16:00: 6 collections, 312.60"]


def test_the_window_comes_every_day() -> None:
    b = desk()
    b.pass_time(9 * 1440 + 120)
    assert b.call("payment_runs.get", id="DD-1121")["state"] == "sent"


@pytest.mark.parametrize(
    ("scheme", "letter", "collected"),
    [
        ({"ends_on": "-19d 00:00"}, "H3", 6),
        ({"ends_on": "+40d 00:00"}, "H3", 5),
        ({"ends_on": "+40d 00:00"}, "H1", 6),
        ({"queue": "south"}, "H3", 6),
    ],
)
def test_a_letter_stops_collection_only_while_its_scheme_runs(
    scheme: dict[str, str], letter: str, collected: int
) -> None:
    entry = {"name": "Storm", "starts_on": "-60d 00:00", "stop_letter": "H3", **scheme}
    b = bench(["cases", "schemes", "payment_runs"], {**seeds(), "schemes": {"items": {"AS-07": entry}}})
    b.call("cases.bulk_update", case_ids=["PR-3302"], outcome="awaiting_evidence", reason_code="other", letter=letter)
    assert b.call("payment_runs.get", id="DD-1120")["collections"] == collected
