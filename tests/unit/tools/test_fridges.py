import pytest
from unit.tools.cold_chain_world import SATURDAY, SITE, seeds, site

from impress_env.errors import ToolError


def test_a_site_lists_its_fridges_with_what_the_displays_showed():
    desk = site()
    rows = desk.call("fridges.search", site=SITE)
    assert [(row["fridge_id"], row["display"]["max_c"], row["display"]["since"]) for row in rows] == [
        ("AR-F1", 6.4, "2026-11-20T17:31"),
        ("AR-F2", 6.8, SATURDAY),
    ]
    assert desk.effects[0].covers == ("fridges://AR-F1", "fridges://AR-F2")


def test_an_unknown_site_is_answered_with_the_known_ones():
    with pytest.raises(ToolError) as refused:
        site().call("fridges.search", site="Elder Road")
    assert refused.value.code == "not_found"
    assert tuple(refused.value.offer) == (SITE,)


def test_one_fridge_shows_resets_rulings_and_service_log():
    fridge = seeds()["fridges"]["items"]["AR-F2"]
    fridge["resets"] = [{"at": SATURDAY, "by": "cleaning", "note": "beeping"}]
    cleared = {
        "fridge": "AR-F2",
        "start": "-3d 17:31",
        "end": "-2d 09:12",
        "state": "cleared",
        "requested_by": "b.lowrie",
        "at": "07:55",
    }
    desk = site({"fridges": {"items": {"AR-F2": fridge}}, "rulings": {"items": {"RL-0301": cleared}}})
    found = desk.call("fridges.get", fridge_id="AR-F2")
    assert found["resets"] == [{"at": SATURDAY, "by": "cleaning", "note": "beeping"}]
    assert [(r["ruling_id"], r["state"]) for r in found["rulings"]] == [("RL-0301", "cleared")]
    assert desk.effects[0].covers == ("rulings://RL-0301",)


def test_a_fault_is_a_request_to_estates():
    desk = site()
    found = desk.call("fridges.report_fault", fridge_id="AR-F2", text="socket trips", urgency="same_day")
    (asked,) = desk.effects_of("request")
    assert (asked.recipients, asked.about) == (("estates",), found["fault_id"])
    with pytest.raises(ToolError):
        desk.call("fridges.report_fault", fridge_id="AR-F2", text="  ")
