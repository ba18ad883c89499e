import pytest
from unit.tools.sales_world import ODA, PELLE, office

from impress_env.errors import ToolError

AMENDED = {
    "C-7731-A1": {
        "contract": "C-7731",
        "title": "Amendment 1",
        "clause": "termination",
        "signed": "2026-09-22",
        "text": "The customer may leave after year one.",
    }
}


def test_the_summary_adds_up_and_lists_amendments():
    desk = office(amendments=AMENDED)
    found = desk.call("contracts.get", contract_id="C-7731")
    assert (found["owner"], found["total"]) == ("Oda Brandvik", "187419.99")
    assert found["amendments"] == [
        {"amendment_id": "C-7731-A1", "title": "Amendment 1", "state": "signed", "signed": "2026-09-22"}
    ]
    (read,) = desk.effects_of("read")
    assert (read.fields, read.owner) == (("amendments", "summary"), ODA.id)
    assert read.covers == ("contracts://C-7731/C-7731-A1",)


def test_clauses_and_amendments_are_parts_of_their_own():
    desk = office(amendments=AMENDED)
    assert desk.call("contracts.get", contract_id="C-7731", part="clauses")["clauses"][0]["title"] == "Term"
    assert desk.effects_of("read")[0].fields == ("clauses",)
    found = desk.call("contracts.get", contract_id="C-7731", part="amendments")
    assert found["amendments"][0]["text"].startswith("The customer may")


def test_the_owner_follows_the_deal():
    assert office(owner=PELLE.id).call("contracts.get", contract_id="C-7731")["owner"] == "Pelle Stam"


def test_contracts_are_found_by_text_and_date():
    desk = office()
    assert desk.call("contracts.search", text="planner", signed_from="2026-09-01")["total"] == 1
    assert desk.call("contracts.search", signed_to="2026-08-31")["total"] == 0


def test_a_note_is_kept_with_the_contract():
    desk = office()
    desk.call("contracts.add_note", contract_id="C-7731", text="See mail.")
    assert desk.call("contracts.get", contract_id="C-7731")["notes"][0]["text"] == "See mail."


def test_an_unknown_contract_is_not_found():
    with pytest.raises(ToolError) as refused:
        office().call("contracts.get", contract_id="C-7713")
    assert (refused.value.code, list(refused.value.offer)) == ("not_found", ["C-7731"])
