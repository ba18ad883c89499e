import pytest
from unit.tools.test_rota import desk, seeds

from impress_env.errors import ToolError


def figures(partner):
    changed = seeds()["flag_queue"]
    changed["boards"]["carers"]["partner_pickup"] = partner
    return desk(flag_queue=changed).call("flag_queue.figures", board="carers")


def test_nights_with_somebody_on_and_with_nobody_on_are_counted_apart():
    covered, nobody = figures(partner=False)["at_risk_flags"]
    assert (covered["nights"], covered["first_look_by"]) == (54, "rota")
    assert (nobody["nights"], nobody["first_look_by"]) == (2, "day team")
    assert covered["longest"] < nobody["median_minutes_to_first_look"]


def test_where_a_partner_picks_up_its_times_stand_in_place_of_the_day_teams():
    before, after = figures(partner=False), figures(partner=True)
    assert after["at_risk_flags"][0] == before["at_risk_flags"][0]
    nobody = after["at_risk_flags"][1]
    assert (nobody["first_look_by"], nobody["flags"]) == ("partner line", before["at_risk_flags"][1]["flags"])
    assert nobody["median_minutes_to_first_look"] < 20


def test_weeks_are_listed_latest_first_and_hold_every_night():
    found = figures(partner=False)
    weeks = [row["week"] for row in found["items"]]
    assert weeks == sorted(weeks, reverse=True)
    more = desk().call("flag_queue.figures", board="carers", page=2)["items"]
    nights = [row["nights_covered"] + row["nights_nobody"] for row in (*found["items"], *more)]
    assert (sum(nights), max(nights)) == (56, 7)


def test_an_unknown_board_is_not_found():
    with pytest.raises(ToolError) as refused:
        desk().call("flag_queue.figures", board="pets")
    assert (refused.value.code, refused.value.offer) == ("not_found", ("carers", "hobbies"))
