import pytest
from pydantic import ValidationError
from unit.tools.test_rota import desk, seeds

from impress_env.errors import ToolError


def test_those_who_have_been_on_least_come_first():
    found = desk().call("volunteers.search", board="carers", training="nights")
    assert [(row["id"], row["nights_90d"]) for row in found["items"]] == [("V-1", 1), ("V-2", 5), ("V-3", 9)]


def test_usual_nights_are_those_of_the_card_that_counts_in_the_order_of_the_week():
    found = desk().call("volunteers.search", night="mon")
    assert [(row["id"], row["usual_nights"]) for row in found["items"]] == [("V-1", ["mon", "thu"])]


def test_a_record_shows_the_card_that_counts_and_no_other():
    at = desk()
    card = at.call("volunteers.get", volunteer_id="V-1")["card"]
    assert (card["card"], card["why_joined_use"]) == ("PC-1", "support_only")
    (effect,) = at.effects_of("read")
    assert (effect.subject, effect.labels, effect.covers) == ("V-1", ("personal",), ("volunteers://cards/PC-1",))


def test_a_newer_card_counts_once_the_record_names_it():
    changed = seeds()["volunteers"]
    changed["items"]["V-1"]["card"] = "PC-2"
    card = desk(volunteers=changed).call("volunteers.get", volunteer_id="V-1")["card"]
    assert (card["why_joined_use"], card["in_their_words"]) == ("may_be_mentioned", "Do ask.")


def test_a_list_shows_no_reasons_and_no_words():
    shown = str(desk().call("volunteers.search"))
    assert "brother" not in shown
    assert "till spring" not in shown


def test_somebody_elses_card_is_refused_when_a_world_is_built():
    changed = seeds()["volunteers"]
    changed["items"]["V-2"]["card"] = "PC-1"
    with pytest.raises((ValueError, ValidationError), match="no card"):
        desk(volunteers=changed)


def test_an_unknown_number_offers_those_whose_name_comes_near():
    with pytest.raises(ToolError) as refused:
        desk().call("volunteers.get", volunteer_id="aino")
    assert (refused.value.code, refused.value.offer) == ("not_found", ("V-1", "V-3"))
