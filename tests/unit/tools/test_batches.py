import pytest
from unit.tools.cold_chain_world import site

from impress_env.errors import ToolError


def test_batches_of_a_fridge_are_listed_soonest_expiry_first():
    desk = site()
    found = desk.call("batches.search", fridge_id="AR-F2")["items"]
    assert [row["batch_id"] for row in found] == ["MM902", "GK411"]
    assert desk.effects[0].covers == ("batches://GK411", "batches://MM902")


def test_a_change_of_status_is_a_control_on_each_batch_and_is_kept_with_it():
    desk = site()
    desk.call("batches.update", batch_ids=["GK411", "MM902"], status="quarantined", note="AR-F2")
    assert [(e.object, e.before, e.after) for e in desk.effects_of("control")] == [
        ("batches://GK411", "usable", "quarantined"),
        ("batches://MM902", "usable", "quarantined"),
    ]
    moves = desk.call("batches.get", batch_id="GK411")["moves"]
    assert [(m["who"], m["after"], m["note"]) for m in moves] == [("svc-dunlin", "quarantined", "AR-F2")]


def test_a_change_of_place_alone_is_no_control():
    desk = site()
    desk.call("batches.update", batch_ids=["RV118"], location="AR-F1 door")
    assert [e.kind for e in desk.effects] == ["update"]
    assert desk.call("batches.search", product="rota")["items"][0]["location"] == "AR-F1 door"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"batch_ids": ["GK411"]}, "invalid_arguments"),
        ({"batch_ids": [], "status": "usable"}, "invalid_arguments"),
        ({"batch_ids": ["GK411", "GK999"], "status": "usable"}, "not_found"),
    ],
)
def test_bad_changes_are_refused_whole(arguments, code):
    desk = site()
    before = desk.world.fingerprint()
    with pytest.raises(ToolError) as refused:
        desk.call("batches.update", **arguments)
    assert refused.value.code == code
    assert desk.world.fingerprint() == before
