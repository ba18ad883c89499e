import pytest
from unit.tools.legal_world import MATTER, book, desk, seeds

from impress_env.errors import ToolError


def refusal(call):
    with pytest.raises(ToolError) as refused:
        call()
    return refused.value


def test_a_booking_takes_its_units_out_of_the_pool_and_tells_the_accounts_totals():
    at = desk()
    first = book(at, 290)
    book(at, 500, "2026-12-18", "M-2368")
    facts = at.effects_of("acquire")[0].data
    assert (facts["account_units"], facts["account_left"], facts["latest_until"]) == (790, 790, "2026-12-18")
    assert at.call("capacity.pool", pool_id="redaction")["this_period"]["free"] == 1210
    assert at.call("capacity.holdings", matter_id=MATTER)["items"][0]["holding_id"] == first["holding_id"]


def test_fewer_units_go_back_and_a_later_date_is_told_as_gained():
    at = desk()
    number = book(at, 290)["holding_id"]
    assert at.call("capacity.amend", holding_id=number, units=265)["released"] == 25
    assert not at.effects_of("acquire")
    at.call("capacity.amend", holding_id=number, hold_until="2026-12-18")
    (effect,) = at.effects_of("acquire")
    assert (effect.count, effect.data["latest_until"]) == (0, "2026-12-18")
    assert at.call("capacity.amend", holding_id=number, units=0)["state"] == "released"
    (account,) = at.world.table("capacity.accounts").values()
    assert (account.units, account.latest_until) == (0, "")


def test_limits_of_a_booking_the_account_and_the_hold_refuse():
    at = desk()
    assert refusal(lambda: book(at, 1001)).expected == "1000"
    book(at, 1000)
    assert refusal(lambda: book(at, 600)).expected == "at most 1500, 1000 held"
    assert refusal(lambda: book(at, 10, "2027-06-01")).code == "invalid_arguments"
    assert refusal(lambda: at.call("capacity.amend", holding_id="HB-4300", units=1)).code == "forbidden"


def test_a_pool_that_goes_by_the_forecast_refuses_more():
    section = seeds()["capacity"]
    section["pools"]["redaction"]["forecast_cap_percent"] = 150
    at = desk({"capacity": section})
    book(at, 290)
    assert refusal(lambda: book(at, 200)).message == f"{MATTER}: over its forecast."
