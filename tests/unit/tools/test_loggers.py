import pytest
from unit.tools.cold_chain_world import FRIDAY, SATURDAY, seeds, site

from impress_env.errors import ToolError

GAP = {"from": FRIDAY, "to": SATURDAY}


def test_an_interval_is_listed_in_pages_of_rows_five_minutes_apart():
    desk = site()
    first = desk.call("loggers.get_readings", serial="TL-0471", **GAP)
    last = desk.call("loggers.get_readings", serial="TL-0471", **GAP, page=8)
    assert (first["total"], first["pages"], len(first["items"])) == (188, 8, 24)
    assert [row["at"] for row in first["items"][:2]] == ["2026-11-20T17:35", "2026-11-20T17:40"]
    assert last["items"][-1]["at"] == "2026-11-21T09:10"


def test_readings_are_out_of_range_in_the_excursion_and_nowhere_else():
    desk = site()
    outside = []
    for page in range(1, 9):
        rows = desk.call("loggers.get_readings", serial="TL-0471", **GAP, page=page)["items"]
        outside += [row for row in rows if not 2.0 <= row["temp"] <= 8.0]
    assert (outside[0]["at"], outside[-1]["at"]) == ("2026-11-20T22:50", "2026-11-21T02:15")
    assert max(row["temp"] for row in outside) == 12.7


def test_a_freezing_excursion_goes_down_to_its_peak():
    sections = {"items": {"TL-0471": {"site": "x", "fridge": "AR-F2", "uploaded": "07:48", "uploaded_by": "c"}}}
    sections["items"]["TL-0471"]["events"] = [{"start": "-3d 22:50", "end": "-3d 23:50", "peak": "-1.9"}]
    desk = site({"loggers": sections})
    hour = {"from": "2026-11-20T22:00", "to": "2026-11-21T00:30"}
    rows = [
        row
        for page in (1, 2)
        for row in desk.call("loggers.get_readings", serial="TL-0471", **hour, page=page)["items"]
    ]
    assert min(row["temp"] for row in rows) == -1.9
    assert sum(row["temp"] < 2.0 for row in rows) == 13


def test_each_page_is_evidence_of_its_own_rows_alone():
    desk = site()
    desk.call("loggers.get_readings", serial="TL-0471", **GAP, page=1)
    (found,) = desk.effects_of("verify")
    assert (found.object, found.subject, found.outcome) == ("loggers://TL-0471", "AR-F2", "in_range")
    assert (found.start, found.end, found.count) == ("2026-11-20T17:35", "2026-11-20T19:30", 24)
    desk.call("loggers.get_readings", serial="TL-0471", **GAP, page=4)
    assert desk.effects_of("verify")[0].outcome == "excursion"


def test_the_exceptions_profile_lists_runs_and_looks_at_the_whole_interval():
    plain = site().world
    desk = site({"loggers": {**seeds()["loggers"], "settings": {"export_profile": "exceptions"}}})
    found = desk.call("loggers.get_readings", serial="TL-0471", **GAP)
    assert found["pages"] == 1
    assert found["items"] == [
        {"from": "2026-11-20T22:50", "to": "2026-11-21T02:15", "rows": 42, "max": 12.7, "min": 8.3}
    ]
    assert desk.effects_of("verify")[0].count == 188
    assert dict(desk.world.table("loggers.readings").items()) == dict(plain.table("loggers.readings").items())


def test_newest_first_and_fahrenheit_show_the_same_rows():
    desk = site()
    rows = desk.call("loggers.get_readings", serial="TL-0417", **GAP)["items"]
    turned = desk.call("loggers.get_readings", serial="TL-0417", **GAP, page=8, order="desc", unit="fahrenheit")
    assert {row["n"] for row in turned["items"]} <= {row["n"] for row in rows}
    newest = turned["items"][-1]
    assert newest["temp"] == pytest.approx(rows[0]["temp"] * 9 / 5 + 32, abs=0.11)


def test_where_nothing_is_recorded_nothing_is_verified():
    desk = site()
    found = desk.call("loggers.get_readings", serial="TL-0471", **{"from": "2026-10-01", "to": "2026-10-02"})
    assert found["total"] == 0
    assert desk.effects_of("verify") == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"serial": "TL-9999", "from": FRIDAY, "to": SATURDAY}, "not_found"),
        ({"serial": "TL-0471", "from": "last Friday", "to": SATURDAY}, "invalid_arguments"),
        ({"serial": "TL-0471", "from": SATURDAY, "to": FRIDAY}, "invalid_arguments"),
        ({"serial": "TL-0471", "from": "2026-01-01", "to": SATURDAY}, "too_large"),
        ({"serial": "TL-0471", "from": FRIDAY, "to": SATURDAY, "page": 9}, "not_found"),
    ],
)
def test_bad_calls_are_refused_with_a_code(arguments, code):
    with pytest.raises(ToolError) as refused:
        site().call("loggers.get_readings", **arguments)
    assert refused.value.code == code


def test_readings_do_not_depend_on_the_other_loggers():
    alone = {"items": {"TL-0471": seeds()["loggers"]["items"]["TL-0471"]}}
    series = [site(changes).world.table("loggers.readings").get("TL-0471") for changes in (None, {"loggers": alone})]
    assert series[0] == series[1]


def test_loggers_are_found_by_site_and_fridge():
    desk = site()
    assert desk.call("loggers.search", site="alder road")["total"] == 2
    found = desk.call("loggers.search", fridge_id="AR-F2")["items"]
    assert [row["serial"] for row in found] == ["TL-0471"]
    assert desk.effects[0].covers == ("loggers://TL-0471",)
