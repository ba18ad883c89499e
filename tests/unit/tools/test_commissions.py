import pytest
from unit.tools.sales_world import ODA, PELLE, office

from impress_env.errors import ToolError


def test_a_statement_lists_the_owners_lines_and_totals():
    desk = office()
    found = desk.call("commissions.get_statement", owner=ODA.id, period="2026-Q3")
    (line,) = found["lines"]
    assert (line["contract_id"], line["rate_percent"], line["commission"]) == ("C-7731", "6.40", "11994.88")
    assert found["totals"] == {"pending_certification": "11994.88"}
    assert desk.effects_of("read")[0].labels == ("personal",)


def test_the_payee_follows_the_deal():
    desk = office(owner=PELLE.id)
    assert desk.call("commissions.get_statement", owner=PELLE.id, period="2026-Q3")["name"] == "Pelle Stam"
    with pytest.raises(ToolError) as refused:
        desk.call("commissions.get_statement", owner=ODA.id, period="2026-Q3")
    assert list(refused.value.offer) == ["2026-Q2"]


def test_older_lines_name_their_payee():
    rows = office().call("commissions.search", state="paid")["items"]
    assert [(row["payee"], row["contract_id"]) for row in rows] == [(ODA.id, "C-6141")]


def test_a_plan_is_found_by_its_member():
    desk = office()
    assert desk.call("commissions.get_plan", owner=ODA.id)["plan"] == "P-1"
    with pytest.raises(ToolError):
        desk.call("commissions.get_plan", owner=PELLE.id)


def test_a_query_goes_to_finance():
    desk = office()
    found = desk.call("commissions.raise_query", owner=ODA.id, period="2026-Q3", text="Accelerator?")
    assert found == {"query_id": "CQ-0611"}
    assert desk.effects_of("request")[0].recipients == ("finance",)
