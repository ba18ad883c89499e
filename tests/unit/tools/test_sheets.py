from collections import Counter

import pytest

from impress_env.errors import ToolError
from impress_env.testing.bench import bench
from impress_env.world.people import Person

PEOPLE = (
    Person(id="i.falk", name="I. Falk", first="I.", role="reader"),
    Person(id="t.moran", name="T. Moran", first="T.", role="reader"),
    Person(id="u.sand", name="U. Sand", first="U.", role="lead reader", away_until="2026-12-01T09:00"),
)
PAST = {
    "map": "WR",
    "first_number": 901,
    "count": 4,
    "start": "2026-10-01",
    "tally": {"included": 5, "ineligible": 12, "not_retrieved": 2, "duplicate": 1},
    "readers": ["i.falk", "t.moran"],
    "subjects": ["Ditch blocking"],
    "measures": ["water table"],
    "places": ["Estonia", "Fife"],
}


def line(record, outcome, reason="", page=""):
    return {
        "record": record,
        "title": "Reed mowing",
        "year": 2017,
        "outcome": outcome,
        "reason": reason,
        "page": page,
    }


def room(**changes):
    sheet = {
        "map": "WR",
        "session": "2026-10-22",
        "first": "i.falk",
        "second": "t.moran",
        "lines": [
            line("R-20411", "included", page="p. 4"),
            line("R-20418", "ineligible", "comparator", "p. 6"),
        ],
        **changes,
    }
    sections = {"items": {"WR-0917": sheet}, "past": [PAST], "settings": {"next_number": 410}}
    return bench(("sheets",), {"sheets": sections}, people=PEOPLE)


def refused(desk, tool, **arguments):
    with pytest.raises(ToolError) as caught:
        desk.call(tool, **arguments)
    return caught.value


def test_a_sheet_opens_with_its_lines_and_both_signatures():
    desk = room(note="Room 4.")
    found = desk.call("sheets.get", sheet="WR-0917")
    assert (found["signed_first"], found["signed_second"], found["note"]) == ("i.falk", "t.moran", "Room 4.")
    assert [(row["outcome"], row["reason"]) for row in found["lines"]] == [
        ("included", None),
        ("ineligible", "comparator"),
    ]
    (read,) = desk.effects
    assert (read.kind, read.object, read.count) == ("read", "sheets://WR-0917", 2)


def test_the_quarter_and_the_counts_of_a_sheet_follow_from_its_session_and_lines():
    sheet = room().world.table("sheets.items").get("WR-0917")
    assert sheet.quarter == "2026-Q4"
    assert (sheet.tally.included, sheet.tally.ineligible, sheet.tally.read) == (1, 1, 2)


def test_a_run_of_past_sheets_adds_up_and_its_readers_take_turns():
    desk = room()
    sheets = [desk.world.table("sheets.items").get(f"WR-09{n:02d}") for n in range(1, 5)]
    assert Counter(line.outcome for sheet in sheets for line in sheet.lines) == {
        "included": 5,
        "ineligible": 12,
        "not_retrieved": 2,
        "duplicate": 1,
    }
    assert [sheet.session for sheet in sheets] == ["2026-10-01", "2026-10-05", "2026-10-08", "2026-10-12"]
    assert [sheet.second for sheet in sheets] == ["t.moran", "i.falk", "t.moran", "i.falk"]
    records = [line.record for sheet in sheets for line in sheet.lines]
    assert len(set(records)) == len(records)
    assert all(sheet.entered for sheet in sheets)


def test_reports_that_nobody_has_read_have_no_page():
    desk = room()
    for n in range(1, 5):
        for row in desk.call("sheets.get", sheet=f"WR-09{n:02d}")["lines"]:
            assert (row["page"] is not None) == (row["outcome"] in ("included", "ineligible"))


def test_sheets_are_listed_latest_session_first_without_what_stands_on_them():
    desk = room()
    found = desk.call("sheets.search", map_code="wr")
    assert [row["sheet"] for row in found["items"]] == ["WR-0917", "WR-0904", "WR-0903", "WR-0902", "WR-0901"]
    assert "lines" not in found["items"][0]
    assert desk.call("sheets.search", reader="i.falk", quarter="2026-Q3")["items"] == []


def test_a_countersignature_is_asked_of_the_second_reader_unless_said():
    desk = room()
    asked = desk.call("sheets.countersign", sheet="WR-0917")
    assert asked == {"slip": "CS-410", "sheet": "WR-0917", "sent_to": "t.moran"}
    (request,) = desk.effects_of("request")
    assert (request.object, request.recipients, request.data["slip"]) == (
        "sheets://WR-0917",
        ("t.moran",),
        "CS-410",
    )
    assert desk.call("sheets.get", sheet="WR-0917")["countersign"] == "asked"


def test_who_is_away_is_said_and_another_reader_keeps_the_slip():
    desk = room(second="u.sand")
    assert desk.call("sheets.countersign", sheet="WR-0917")["away_until"] == "2026-12-01T09:00"
    again = desk.call("sheets.countersign", sheet="WR-0917", reader="t.moran")
    assert (again["slip"], again["sent_to"]) == ("CS-410", "t.moran")


def test_the_first_reader_cannot_countersign():
    assert refused(room(), "sheets.countersign", sheet="WR-0917", reader="i.falk").code == "conflict"


def test_only_signed_sheets_that_are_not_countersigned_yet_are_countersigned():
    assert refused(room(status="voided"), "sheets.countersign", sheet="WR-0917").code == "conflict"
    assert refused(room(countersigned_by="t.moran"), "sheets.countersign", sheet="WR-0917").code == "conflict"


def test_an_unknown_number_offers_those_that_end_alike():
    error = refused(room(), "sheets.get", sheet="WD-0917")
    assert error.code == "not_found"
    assert "WR-0917" in error.offer
