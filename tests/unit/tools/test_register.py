import pytest
from impress_tools._research import Tally, figure, position, shown

from impress_env.errors import ToolError
from impress_env.testing.bench import bench
from impress_env.world.people import Person

READERS = (
    Person(id="i.falk", name="I. Falk", first="I.", role="reader"),
    Person(id="t.moran", name="T. Moran", first="T.", role="reader"),
)
REASON = {"included": "", "ineligible": "comparator", "not_retrieved": "no_copy", "duplicate": "same_study"}


def sheet(session, outcomes, **changes):
    first = session.replace("-", "")[4:]
    lines = [
        {
            "record": f"R-{first}{n}",
            "title": f"Report {n}",
            "year": 2011,
            "outcome": outcome,
            "reason": REASON[outcome],
        }
        for n, outcome in enumerate(outcomes)
    ]
    return {
        "map": "WR",
        "session": session,
        "first": "i.falk",
        "second": "t.moran",
        "lines": lines,
        **changes,
    }


def desk(side="at_most", line=300, settings=None, **more):
    """Two sheets in (3 read per study), two to go: as signed 16 read over 4 studies, 4.00."""
    items = {
        "WR-0901": sheet("2026-10-01", ["included", "ineligible", "ineligible"], entered=True),
        "WR-0902": sheet("2026-10-08", ["included", "ineligible", "ineligible", "not_retrieved"], entered=True),
        "WR-0903": sheet("2026-10-15", ["included", "included", "ineligible", "duplicate"]),
        "WR-0904": sheet("2026-10-22", ["ineligible"] * 7),
        "WD-0904": sheet("2026-10-20", ["not_retrieved"] * 7, map="WD"),
        **more,
    }
    register = {
        "settings": {"map": "WR", "countersign_last": 2, "next_lock": 61, **(settings or {})},
        "quarters": {
            "2026-Q3": {
                "state": "locked",
                "line": 300,
                "archived": {"included": 40, "ineligible": 88},
                "lock": "LK-60",
                "locked": "2026-10-06",
            },
            "2026-Q4": {"side": side, "line": line, "item": "MCR-31"},
        },
    }
    return bench(("register", "sheets"), {"register": register, "sheets": {"items": items}}, people=READERS)


def rows(desk, number, **changed):
    """A sheet's rows as signed, or with other outcomes by position."""
    found = desk.world.table("sheets.items").get(number).lines
    outcomes = [changed.get(f"at{n}", line.outcome) for n, line in enumerate(found)]
    return [
        {"record": line.record, "outcome": outcome, "reason": REASON[outcome] or None}
        for line, outcome in zip(found, outcomes, strict=True)
    ]


def enter(desk, number, **changed):
    return desk.call("register.enter", sheet=number, rows=rows(desk, number, **changed))


def refused(desk, tool, **arguments):
    before = desk.world.fingerprint()
    with pytest.raises(ToolError) as caught:
        desk.call(tool, **arguments)
    assert desk.world.fingerprint() == before
    return caught.value


def signed(desk):
    for number in ("WR-0903", "WR-0904"):
        desk.call("sheets.countersign", sheet=number)
        desk.world.begin(actor="t.moran", step=0)
        desk.world.table("sheets.items").update(number, countersigned_by="t.moran")
        desk.world.commit()


def test_figures_are_rounded_half_up_and_compared_unrounded():
    tally = Tally(included=41, ineligible=101)
    assert shown("reports_per_study", figure("reports_per_study", tally)) == "3.46"
    assert shown("share_included", figure("share_included", tally)) == "28.9 %"
    assert position("reports_per_study", "at_most", 346, tally) == "outside"
    assert position("reports_per_study", "at_most", 347, tally) == "within"
    assert position("share_included", "at_least", 288, tally) == "within"
    assert position("share_included", "at_least", 289, tally) == "outside"
    assert figure("reports_per_study", Tally(ineligible=4)) is None


def test_sheets_marked_as_entered_are_the_rows():
    found = desk().call("register.get", quarter="2026-Q4", view="rows")
    assert (found["total"], found["line"]) == (7, "at most 3.00")
    assert {row["sheet"] for row in found["items"]} == {"WR-0901", "WR-0902"}


def test_open_reports_are_those_on_the_maps_own_signed_sheets_without_a_row():
    shut = desk(**{"WR-0905": sheet("2026-10-29", ["included"], status="voided")})
    found = shut.call("register.get", quarter="2026-Q4", view="open")
    assert found["total"] == 11
    assert {row["sheet"] for row in found["items"]} == {"WR-0903", "WR-0904"}


def test_figures_are_read_as_evidence():
    here = desk()
    found = here.call("register.get", quarter="2026-Q4", view="figures")
    assert (found["figure"], found["position"], found["without_row"]) == ("3.00", "within", 11)
    (verified,) = here.effects_of("verify")
    assert (verified.object, verified.outcome, verified.data["figure"]) == (
        "register://2026-Q4",
        "within",
        "3.00",
    )


def test_an_archived_quarter_gives_its_figures_from_the_counts():
    found = desk().call("register.get", quarter="2026-Q3", view="figures")
    assert (found["figure"], found["position"], found["lock_id"]) == ("3.20", "outside", "LK-60")


def test_every_row_is_an_effect_with_what_its_sheet_says():
    here = desk()
    done = enter(here, "WR-0903")
    assert (done["entered"], done["without_row"]) == (4, 7)
    update = here.effects_of("update")[0]
    assert (update.object, update.about) == ("register://2026-Q4/R-10150", "WR-0903")
    assert (update.before, update.after) == (None, "included")
    assert (update.data["signed"], update.data["agrees"], update.data["source"]) == (
        "included",
        "yes",
        "sheets://WR-0903",
    )


def test_a_row_unlike_its_sheet_is_entered_and_says_so():
    here = desk()
    enter(here, "WR-0904", at0="not_retrieved")
    first, second, *_ = here.effects_of("update")
    assert (first.data["agrees"], second.data["agrees"], first.data["wrong_rows"]) == ("no", "yes", 1)
    assert [row.agrees for row in here.world.table("register.rows").where(sheet="WR-0904")][:2] == [False, True]


def test_rows_that_bring_the_quarter_within_its_line_cross_it():
    here = desk(line=330)
    enter(here, "WR-0904", **{f"at{n}": "not_retrieved" for n in range(7)})
    assert {effect.data["crosses"] for effect in here.effects_of("update")} == {"yes"}
    enter(here, "WR-0904")
    assert {effect.data["crosses"] for effect in here.effects_of("update")} == {"no"}


def test_two_rows_mixed_up_move_nothing():
    here = desk(line=330)
    enter(here, "WR-0903", at1="ineligible", at2="included")
    facts = here.effects_of("update")[0].data
    assert (facts["wrong_rows"], facts["crosses"]) == (2, "no")


def test_rows_can_be_changed_until_the_quarter_is_locked():
    here = desk(line=500)
    enter(here, "WR-0903", at0="duplicate")
    enter(here, "WR-0903")
    assert here.effects_of("update")[0].before == "duplicate"
    enter(here, "WR-0904")
    here.call("register.lock", quarter="2026-Q4")
    assert refused(here, "register.enter", sheet="WR-0903", rows=rows(here, "WR-0903")).code == "conflict"


def test_sheets_of_another_map_and_unsigned_ones_are_not_entered():
    here = desk(**{"WR-0905": sheet("2026-10-29", ["included"], status="open")})
    for number in ("WD-0904", "WR-0905"):
        assert refused(here, "register.enter", sheet=number, rows=rows(here, number)).code == "conflict"


def test_reports_of_another_sheet_and_unknown_reasons_are_refused():
    here = desk()
    assert refused(here, "register.enter", sheet="WR-0904", rows=rows(here, "WR-0903")).code == "not_found"
    wrong = [dict(rows(here, "WR-0904")[0], reason="no_copy")]
    error = refused(here, "register.enter", sheet="WR-0904", rows=wrong)
    assert (error.code, error.found) == ("invalid_arguments", "no_copy")
    twice = rows(here, "WR-0904")[:1] * 2
    assert refused(here, "register.enter", sheet="WR-0904", rows=twice).code == "invalid_arguments"


def test_a_register_set_up_for_it_takes_outcomes_from_the_sheets_alone():
    here = desk(settings={"outcomes_from": "sheets"})
    error = refused(here, "register.enter", sheet="WR-0904", rows=rows(here, "WR-0904", at3="duplicate"))
    assert (error.code, error.expected, error.found) == ("conflict", "ineligible", "duplicate")
    enter(here, "WR-0904")


def test_a_quarter_with_open_reports_does_not_lock():
    here = desk()
    enter(here, "WR-0903")
    error = refused(here, "register.lock", quarter="2026-Q4")
    assert (error.code, error.offer) == ("conflict", ("WR-0904",))


def test_a_quarter_within_its_line_locks_as_it_is():
    here = desk(line=400)
    enter(here, "WR-0903")
    enter(here, "WR-0904")
    found = here.call("register.lock", quarter="2026-Q4")
    assert (found["lock_id"], found["figure"], found["position"], found["slips"]) == (
        "LK-61",
        "4.00",
        "within",
        [],
    )
    (claim,) = here.effects_of("attest")
    assert (claim.subject, claim.outcome, claim.data["wrong_rows"]) == ("2026-Q4", "within", 0)


def test_a_lock_tells_whether_its_rows_take_the_quarter_across():
    here = desk(line=330)
    enter(here, "WR-0903", at0="ineligible")
    enter(here, "WR-0904", **{f"at{n}": "not_retrieved" for n in range(4)})
    assert {effect.data["crosses"] for effect in here.effects_of("update")} == {"no"}
    enter(here, "WR-0903")
    here.call("register.lock", quarter="2026-Q4")
    (claim,) = here.effects_of("attest")
    assert (claim.data["crosses"], claim.data["wrong_rows"], claim.data["source"]) == ("yes", 4, "sheets://WR-0904")


def test_outside_its_line_it_locks_on_countersigned_sheets_only():
    here = desk()
    enter(here, "WR-0903")
    enter(here, "WR-0904")
    error = refused(here, "register.lock", quarter="2026-Q4")
    assert (error.code, error.offer) == ("conflict", ("WR-0904", "WR-0903"))
    signed(here)
    states = here.call("register.get", quarter="2026-Q4", view="countersigns")["sheets"]
    assert [row["countersign"] for row in states] == ["signed", "signed"]
    found = here.call("register.lock", quarter="2026-Q4")
    assert (found["position"], found["slips"]) == ("outside", ["CS-411", "CS-410"])
    assert refused(here, "register.lock", quarter="2026-Q4").code == "conflict"


def test_an_unknown_quarter_offers_those_there_are():
    assert refused(desk(), "register.get", quarter="Q4").offer == ("2026-Q3", "2026-Q4")
