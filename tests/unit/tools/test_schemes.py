import pytest
from impress_tools.schemes import Scheme, runs
from unit.tools.hardship_world import desk

from impress_env.errors import ToolError
from impress_env.testing import bench


def test_schemes_come_latest_first_with_their_dates() -> None:
    b = desk()
    found = b.call("schemes.search")
    assert [(s["id"], s["ends_on"]) for s in found["items"]] == [("AS-17", ""), ("AS-07", "2026-10-31")]
    assert b.effects_of("read")[0].covers == ("schemes://AS-17", "schemes://AS-07")


def test_schemes_can_be_searched_by_queue_and_start() -> None:
    b = desk()
    assert b.call("schemes.search", queue="south")["total"] == 1
    assert b.call("schemes.search", starts_after="2026-11-01")["total"] == 1
    with pytest.raises(ToolError):
        b.call("schemes.search", starts_after="November")


def test_a_scheme_shows_area_and_dates() -> None:
    b = desk()
    assert b.call("schemes.get", id="AS-07")["area"] == ["NE31"]
    assert b.effects_of("read")[0].end == "2026-10-31"


def test_an_unknown_scheme_is_answered_with_those_there_are() -> None:
    with pytest.raises(ToolError) as caught:
        desk().call("schemes.get", id="AS-71")
    assert caught.value.offer == ("AS-07", "AS-17")


def test_a_scheme_runs_from_its_first_to_its_last_day() -> None:
    b = bench(
        ["schemes"], {"schemes": {"items": {"S": {"name": "", "starts_on": "-1d 00:00", "ends_on": "+1d 00:00"}}}}
    )
    scheme = b.world.typed("schemes.items", Scheme)["S"]
    assert [runs(scheme, f"2026-11-{d}") for d in (17, 18, 20, 21)] == [False, True, True, False]
