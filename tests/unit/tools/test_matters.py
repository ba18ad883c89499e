import pytest
from unit.tools.legal_world import MATTER, desk, seeds

from impress_env.errors import ToolError


def test_a_matter_shows_its_lawyers_batches_and_reserve():
    section = seeds()["matters"]
    section["items"][MATTER]["reserve"] = {
        "units": 400,
        "until": "+60d 00:00",
        "approved_by": "i.brekke",
        "approved": "-1d 11:20",
    }
    found = desk({"matters": section}).call("matters.get", matter_id=MATTER)
    assert found["lead_lawyer"] == "Ines Brekke (i.brekke)"
    assert (found["reserve"]["units"], found["batches"][0]["forecast_units"]) == (400, 300)


def test_a_matter_that_is_not_there_is_answered_with_the_like_numbers():
    with pytest.raises(ToolError) as refused:
        desk().call("matters.get", matter_id="M-2638")
    assert (refused.value.code, set(refused.value.offer)) == ("not_found", {MATTER, "M-2368"})


def test_a_reserve_is_asked_of_the_lead_lawyer_and_changes_nothing_by_itself():
    at = desk()
    found = at.call("matters.request_reserve", matter_id=MATTER, units=200, until="2026-12-18", reason="late returns")
    (effect,) = at.effects_of("request")
    assert (found["sent_to"], effect.recipients, effect.count) == ("i.brekke", ("i.brekke",), 200)
    shown = at.call("matters.get", matter_id=MATTER)
    assert (shown["reserve"], [row["state"] for row in shown["reserve_requests"]]) == (None, ["open"])
    with pytest.raises(ToolError, match="past"):
        at.call("matters.request_reserve", matter_id=MATTER, units=200, until="2026-11-01", reason="x")
