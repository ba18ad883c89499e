import pytest
from unit.tools.legal_world import BATCH, MATTER, book, desk

from impress_env.errors import ToolError


def test_the_rows_of_an_estimate_add_up_to_the_set():
    at = desk()
    found = at.call("review.estimate", matter_id=MATTER, set_id=f"{BATCH}-S1")
    rows = found["items"]
    assert (sum(row["units"] for row in rows), sum(row["documents"] for row in rows)) == (170, 61)
    assert all(row["documents"] <= row["pages"] <= 5 * row["units"] for row in rows)
    assert [row["estimated_units"] for row in at.call("review.plan", matter_id=MATTER, batch_id=BATCH)["sets"]] == [
        170,
        None,
    ]


def test_a_run_stops_where_its_holding_ends_and_goes_on_there_when_it_is_raised():
    at = desk()
    number = book(at, 200)["holding_id"]
    at.call("review.run", batch_id=BATCH, holding_id=number)
    at.pass_time(30)
    found = at.call("review.plan", matter_id=MATTER, batch_id=BATCH)
    assert (found["state"], found["runs"][0]["units_used"]) == ("stopped", 170)
    at.call("capacity.amend", holding_id=number, units=265)
    at.call("review.run", batch_id=BATCH, holding_id=number)
    at.pass_time(30)
    assert at.call("review.plan", matter_id=MATTER, batch_id=BATCH)["state"] == "ready"
    assert at.call("capacity.holdings", matter_id=MATTER)["items"][0]["state"] == "used"


def test_a_batch_is_handed_over_when_it_is_ready_and_to_a_lawyer_of_the_matter():
    at = desk()
    with pytest.raises(ToolError, match="is open"):
        at.call("review.hand_over", batch_id=BATCH, to="o.sande")
    at.call("review.run", batch_id=BATCH, holding_id=book(at, 300)["holding_id"])
    at.pass_time(30)
    with pytest.raises(ToolError, match="is not on"):
        at.call("review.hand_over", batch_id=BATCH, to="m.quist")
    assert at.call("review.hand_over", batch_id=BATCH, to="o.sande")["state"] == "handed_over"
    with pytest.raises(ToolError, match="cannot be run"):
        at.call("review.run", batch_id=BATCH, holding_id="HB-4410")
