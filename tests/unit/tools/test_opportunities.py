import pytest
from unit.tools.sales_world import ODA, PELLE, office

from impress_env.errors import ToolError


def test_a_deal_shows_its_owner_and_contacts():
    desk = office()
    deal = desk.call("opportunities.get", opportunity_id="OP-3319")
    assert deal["owner"] == {"id": ODA.id, "name": "Oda Brandvik", "team": "North"}
    assert (deal["amount"], deal["contacts"][0]["name"]) == ("187420.00", "Hanne Krog")
    (read,) = desk.effects_of("read")
    assert (read.object, read.owner) == ("opportunities://OP-3319", ODA.id)


def test_deals_are_found_by_text_owner_and_stage():
    desk = office()
    assert desk.call("opportunities.search", text="velling")["total"] == 1
    assert desk.call("opportunities.search", owner=PELLE.id)["items"][0]["opportunity_id"] == "OP-3304"
    assert desk.call("opportunities.search", stage="lost")["items"] == []


def test_an_update_says_what_it_changed():
    desk = office()
    desk.call("opportunities.update", opportunity_id="OP-3304", stage="lost", next_step="none")
    changes = [(e.fields, e.before, e.after) for e in desk.effects_of("update")]
    assert changes == [(("stage",), "discovery", "lost"), (("next_step",), "", "none")]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"opportunity_id": "OP-9"}, "not_found"),
        ({"opportunity_id": "OP-3304"}, "invalid_arguments"),
        ({"opportunity_id": "OP-3304", "close_date": "soon"}, "invalid_arguments"),
    ],
)
def test_a_bad_update_is_refused(arguments, code):
    with pytest.raises(ToolError) as refused:
        office().call("opportunities.update", **arguments)
    assert refused.value.code == code
