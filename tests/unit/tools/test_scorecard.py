from unit.tools.procurement_world import award, desk


def tiles(at):
    return {row["tile"]: row for row in at.call("scorecard.desk")["tiles"]}


def test_tiles_stand_in_their_places_with_lines_and_other_desks():
    at = desk()
    found = tiles(at)
    assert list(found) == ["matched", "coverage", "short"]
    assert (found["matched"]["value"], found["matched"]["line"]) == ("91.4 %", None)
    coverage = found["coverage"]
    assert (coverage["value"], coverage["basis"], coverage["line"]) == ("87.2 %", "34 of 39 awards", "87.5 %")
    assert coverage["desks"] == {"Spot West": "91.2 %"}
    assert at.effects_of("read")[0].object == "scorecard://desk"


def test_an_award_on_three_quotes_runs_on_in_the_count():
    at = desk()
    award(at, ["QT-1", "QT-2", "QT-3"])
    found = tiles(at)
    assert (found["coverage"]["value"], found["coverage"]["basis"]) == ("87.5 %", "35 of 40 awards")
    assert (found["short"]["value"], found["short"]["basis"]) == ("5", "of 40 awards")


def test_an_award_that_waits_for_its_approval_counts_nowhere_yet():
    at = desk()
    award(at, ["QT-1"], "fewer_quotes")
    assert tiles(at)["coverage"]["basis"] == "34 of 39 awards"


def test_one_approved_on_fewer_quotes_is_not_competed():
    at = desk()
    award(at, ["QT-1"], "fewer_quotes")
    at.world.begin(actor="h.laing", step=9)
    at.world.table("rfqs.awards").update("RFQ-7719", state="awarded")
    at.world.commit()
    found = tiles(at)
    assert (found["coverage"]["value"], found["short"]["value"]) == ("85.0 %", "6")


def test_the_card_can_be_had_as_text():
    lines = desk().call("scorecard.desk", view="text")["text"].splitlines()
    assert lines[1] == "Three-quote coverage 87.2 %, 34 of 39 awards, line 87.5 %, Spot West 91.2 %"
    assert lines[2].startswith("Awards not competed 5 of 39 awards")
