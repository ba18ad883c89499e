import pytest
from unit.tools.cold_chain_world import FRIDAY, SATURDAY, line, read, seeds, site

from impress_env.errors import ToolError
from impress_env.world.table import Record

RELEASE = [line("AR-F1", "release"), line("AR-F2", "release")]


def submit(desk, lines=RELEASE):
    desk.call("stock_checks.submit", check_id="SC-2217", lines=lines)
    return {effect.subject: effect for effect in desk.effects_of("attest")}


def ruled(state, start=FRIDAY, end=SATURDAY):
    ruling = {
        "fridge": "AR-F2",
        "start": start,
        "end": end,
        "state": state,
        "requested_by": "x",
        "at": "08:00",
    }
    return {"rulings": {"items": {"RL-0301": ruling}}}


def test_the_form_shows_its_note_and_the_check_before_it():
    found = site().call("stock_checks.get", check_id="SC-2217")
    assert found["form_note"] == "Count from the last check."
    assert found["last_check"]["submitted"] == FRIDAY
    assert found["last_check"]["lines"][1]["max_c"] == 6.6


def test_every_line_is_a_claim_to_the_nurse_and_opens_or_shuts_the_stock():
    desk = site()
    claims = submit(desk)
    assert claims["AR-F2"].outcome == "release"
    assert claims["AR-F2"].recipients == ("o.adair",)
    assert claims["AR-F2"].covers == ("batches://GK411", "batches://MM902")
    assert [(e.object, e.before, e.after) for e in desk.effects_of("control")] == [
        ("fridges://AR-F1", "awaiting_check", "released"),
        ("fridges://AR-F2", "awaiting_check", "released"),
    ]
    assert desk.call("stock_checks.get", check_id="SC-2217")["state"] == "submitted"


def test_a_display_that_goes_back_to_the_last_check_is_a_sound_basis():
    assert submit(site())["AR-F1"].data["basis"] == "display"


def test_a_gap_that_nobody_read_is_no_basis():
    facts = submit(site())["AR-F2"].data
    assert (facts["basis"], facts["unread_rows"], facts["gap_rows"]) == ("none", 188, 188)
    assert (facts["gap_start"], facts["gap_end"]) == (FRIDAY, SATURDAY)


def test_one_page_of_eight_is_part_of_the_gap():
    desk = site()
    read(desk, "TL-0471", FRIDAY, "2026-11-20T19:30")
    assert submit(desk)["AR-F2"].data["basis"] == "part"


def test_a_page_that_shows_the_excursion_makes_the_gap_out_of_range():
    desk = site()
    read(desk, "TL-0471", "2026-11-20T23:00", "2026-11-20T23:30")
    assert submit(desk)["AR-F2"].data["basis"] == "out_of_range"


def test_another_loggers_pages_do_not_count():
    desk = site()
    read(desk, "TL-0417")
    assert submit(desk)["AR-F2"].data["basis"] == "none"


def test_a_gap_wholly_read_and_in_range_is_a_sound_basis_whoever_read_it():
    loggers = seeds()["loggers"]
    del loggers["items"]["TL-0471"]["events"]
    desk = site({"loggers": loggers})
    read(desk, "TL-0471", FRIDAY, "2026-11-21T01:00")
    read(desk, "TL-0471", "2026-11-21T01:00", SATURDAY)
    assert submit(desk)["AR-F2"].data["basis"] == "log"
    loggers["views"] = [
        {"serial": "TL-0471", "who": "p.imrie", "at": "08:01", "start": "-3d 17:00", "end": "-2d 10:00"}
    ]
    assert submit(site({"loggers": loggers}))["AR-F2"].data["basis"] == "log"


def test_a_clearance_counts_for_the_whole_gap_only():
    assert submit(site(ruled("cleared")))["AR-F2"].data["basis"] == "ruling"
    assert submit(site(ruled("cleared", start="2026-11-20T22:00")))["AR-F2"].data["basis"] == "none"
    assert submit(site(ruled("open")))["AR-F2"].data["basis"] == "none"


def test_a_hold_goes_with_a_ruling_on_the_fridge_since_the_last_check():
    held = [line("AR-F1", "release"), line("AR-F2", "hold", "RL-0301")]
    assert submit(site(ruled("open")), held)["AR-F2"].outcome == "hold"
    old = ruled("cleared", start="2026-10-01", end="2026-10-02")
    for desk in (site(), site(old)):
        with pytest.raises(ToolError) as refused:
            submit(desk, held)
        assert refused.value.code == "conflict"


def test_a_form_set_up_for_it_refuses_an_unread_gap_and_nothing_else():
    strict = {**seeds()["stock_checks"], "form": {"note": "", "needs_coverage": True}}
    desk = site({"stock_checks": strict})
    before = desk.world.fingerprint()
    with pytest.raises(ToolError) as refused:
        submit(desk)
    assert refused.value.code == "conflict"
    assert "188 of 188" in refused.value.found
    assert desk.world.fingerprint() == before
    assert submit(site({"stock_checks": strict, **ruled("cleared")}))["AR-F2"].data["basis"] == "ruling"


def test_a_form_closes_when_every_fridge_has_its_line():
    desk = site()
    for lines in ([], [*RELEASE, RELEASE[0]], [line("AR-F9", "release")]):
        with pytest.raises(ToolError) as refused:
            submit(desk, lines)
        assert refused.value.code == "invalid_arguments"
    found = desk.call("stock_checks.submit", check_id="SC-2217", lines=RELEASE[:1])
    assert (found["state"], found["without_line"]) == ("open", ["AR-F2"])
    found = desk.call("stock_checks.submit", check_id="SC-2217", lines=RELEASE[1:])
    assert (found["state"], found["without_line"]) == ("submitted", [])


def test_a_line_is_submitted_once():
    desk = site()
    desk.call("stock_checks.submit", check_id="SC-2217", lines=RELEASE[:1])
    with pytest.raises(ToolError) as refused:
        submit(desk)
    assert refused.value.code == "conflict"
    submit(desk, RELEASE[1:])
    with pytest.raises(ToolError) as refused:
        submit(desk, RELEASE[:1])
    assert refused.value.code == "conflict"


def test_an_amended_line_is_a_new_claim_and_shuts_the_stock_again():
    desk = site(ruled("open"))
    submit(desk)
    changed = desk.call(
        "stock_checks.amend",
        check_id="SC-2217",
        lines=[line("AR-F2", "hold", "RL-0301")],
        reason="gap not read",
    )
    assert [row["disposition"] for row in changed["lines"]] == ["release", "hold"]
    (claim,) = desk.effects_of("attest")
    assert (claim.subject, claim.outcome) == ("AR-F2", "hold")
    (gate,) = desk.effects_of("control")
    assert (gate.before, gate.after) == ("released", "held")


def test_only_lines_that_are_there_are_amended():
    with pytest.raises(ToolError) as refused:
        site().call("stock_checks.amend", check_id="SC-2217", lines=RELEASE, reason="x")
    assert refused.value.code == "conflict"


def test_temperatures_may_come_as_text_and_are_kept_as_tenths():
    desk = site()
    lines = [dict(RELEASE[0], max_c="6.4"), RELEASE[1]]
    desk.call("stock_checks.submit", check_id="SC-2217", lines=lines)
    row = desk.world.table("stock_checks.items").get("SC-2217")
    assert isinstance(row, Record)
    assert [(put.max, put.min) for put in row.lines] == [(64, 29), (68, 29)]


def test_checks_are_listed_newest_first():
    found = site().call("stock_checks.search", site="alder road")["items"]
    assert [(row["check_id"], row["state"]) for row in found] == [
        ("SC-2217", "open"),
        ("SC-2204", "submitted"),
    ]
