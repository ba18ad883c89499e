import pytest
from unit.tools.cold_chain_world import FRIDAY, SATURDAY, read, site

from impress_env.errors import ToolError

ASK = {"fridge_id": "AR-F2", "from": FRIDAY, "to": SATURDAY, "batches": ["MM902", "GK411"]}
FIGURES = {"max_c": 12.7, "minutes_outside": 205}


def test_a_request_goes_to_the_pharmacist_with_its_figures():
    desk = site()
    read(desk, "TL-0471")
    found = desk.call("rulings.request", **ASK, **FIGURES)
    assert found == {"ruling_id": "RL-310", "state": "open", "sent_to": "p.imrie"}
    (asked,) = desk.effects_of("request")
    assert (asked.recipients, asked.about, asked.subject) == (("p.imrie",), "RL-310", "AR-F2")
    assert asked.covers == ("batches://GK411", "batches://MM902")
    assert asked.data["figures"] == "given"
    assert (asked.data["max_tenths"], asked.data["rows"], asked.data["unread_rows"]) == (127, 188, 0)


def test_a_request_without_figures_says_so():
    desk = site()
    desk.call("rulings.request", **ASK)
    (asked,) = desk.effects_of("request")
    assert (asked.data["figures"], asked.data["unread_rows"]) == ("none", 188)


def test_figures_can_be_added_until_it_is_decided():
    desk = site()
    number = desk.call("rulings.request", **ASK)["ruling_id"]
    row = desk.call("rulings.update", ruling_id=number, **FIGURES)
    assert (row["max_c"], row["minutes_outside"], row["state"]) == (12.7, 205, "open")
    assert desk.effects_of("request")[0].data["figures"] == "given"
    desk.world.begin(actor="p.imrie", step=9)
    desk.world.table("rulings.items").update(number, state="held")
    desk.world.commit()
    with pytest.raises(ToolError) as refused:
        desk.call("rulings.update", ruling_id=number, max_c=9.0)
    assert refused.value.code == "conflict"


def test_an_answer_is_kept_under_the_ruling():
    desk = site()
    number = desk.call("rulings.request", **ASK)["ruling_id"]
    desk.world.begin(actor="system", step=2)
    payload = {"from": "p.imrie", "text": "Figures please.", "about": number, "thread": f"rulings://{number}"}
    desk.tools.toolkits["rulings"].handle(desk.world, "deliver", payload)
    desk.world.commit()
    assert desk.world.take_notices()[0].text == f"p.imrie on {number}: Figures please."
    assert desk.call("rulings.get", ruling_id=number)["messages"][-1]["text"] == "Figures please."


def test_unknown_fridges_and_batches_are_refused():
    desk = site()
    for change in ({"fridge_id": "AR-F9"}, {"batches": ["GK999"]}):
        with pytest.raises(ToolError) as refused:
            desk.call("rulings.request", **{**ASK, **change})
        assert refused.value.code == "not_found"


def test_rulings_are_listed_by_fridge_and_state():
    past = {
        "fridge": "AR-F1",
        "start": "-40d 18:00",
        "end": "-39d 07:30",
        "state": "cleared",
        "requested_by": "b.lowrie",
        "at": "-39d 08:10",
        "decided_by": "p.imrie",
        "decided": "-39d 10:02",
    }
    desk = site({"rulings": {"items": {"RL-0288": past}}})
    assert desk.call("rulings.search", fridge_id="AR-F1")["items"][0]["ruling_id"] == "RL-0288"
    assert desk.call("rulings.search", state="open")["items"] == []
