import pytest
from unit.tools.procurement_world import desk, seeds

from impress_env.errors import ToolError


def ended():
    register = seeds()["vendors"]
    register["groups"]["G-118"]["status"] = "ended"
    return desk({"vendors": register})


def test_vendors_of_a_category_are_listed_by_name_without_their_owners():
    at = desk()
    found = at.call("vendors.find", category="sea-20")
    assert [row["name"] for row in found["items"]][:2] == ["Dunmere Technical", "Lostock Industrial"]
    assert found["total"] == 6
    assert not any("owner" in row for row in found["items"])
    (effect,) = at.effects_of("read")
    assert effect.object == "vendors://"
    assert "vendors://V-2207" in effect.covers


def test_a_name_is_found_in_any_case():
    assert [row["vendor_id"] for row in desk().call("vendors.find", text="quenby")["items"]] == ["V-2340"]


def test_an_unknown_category_is_refused_with_those_there_are():
    with pytest.raises(ToolError) as refused:
        desk().call("vendors.find", category="XXX-1")
    assert refused.value.code == "not_found"
    assert tuple(refused.value.offer) == ("SEA-20", "VAL-31")


def test_a_record_shows_the_owner_and_the_desk_that_answers_for_it():
    at = desk()
    found = at.call("vendors.get", vendor_id="V-2260")
    assert found["owner"]["group_id"] == "G-118"
    assert (found["owner"]["held_by"], found["owner"]["status"]) == ("60 %", "active")
    assert found["quotes_contact"] == "Kelder sales"
    (effect,) = at.effects_of("read")
    assert (effect.object, effect.data["owner"]) == ("vendors://V-2260", "G-118")


def test_a_firm_of_its_own_has_no_owner():
    found = desk().call("vendors.get", vendor_id="V-2311")
    assert found["owner"] is None
    assert found["quotes_contact"] == "Dunmere Technical office"


def test_once_a_group_has_ended_its_members_answer_for_themselves():
    at = ended()
    found = at.call("vendors.get", vendor_id="V-2260")
    assert found["owner"]["status"] == "ended"
    assert found["quotes_contact"] == "Orvell Supplies office"
    assert at.effects_of("read")[0].data["owner"] == "V-2260"


def test_an_unknown_number_is_refused_with_those_that_begin_alike():
    with pytest.raises(ToolError) as refused:
        desk().call("vendors.get", vendor_id="V-2270")
    assert tuple(refused.value.offer) == ("V-2207", "V-2260")
