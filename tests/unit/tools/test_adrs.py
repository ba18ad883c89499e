import pytest

from impress_env.errors import ToolError
from impress_env.testing import bench

SEEDS = {
    "adrs": {
        "items": {
            "ADR-0147": {
                "body": "# Move the mirror\n\nStatus: accepted.\n",
                "area": "ci",
                "owner": "o",
                "at": "-9d 10:00",
            },
            "ADR-0139": {
                "body": "Drop the old runtime\nNobody builds on it.",
                "status": "superseded",
                "area": "runtime",
                "owner": "p",
                "at": "-40d 10:00",
                "superseded_by": "ADR-0147",
            },
        }
    }
}


def register():
    return bench(["adrs"], SEEDS)


def test_records_are_listed_newest_first_by_their_first_heading():
    found = register().call("adrs.search")["items"]
    assert [(row["id"], row["title"]) for row in found] == [
        ("ADR-0147", "Move the mirror"),
        ("ADR-0139", "Drop the old runtime"),
    ]
    assert "text" not in found[0]


def test_a_search_looks_at_text_status_and_area():
    desk = register()
    assert [row["id"] for row in desk.call("adrs.search", text="NOBODY builds")["items"]] == ["ADR-0139"]
    assert [row["id"] for row in desk.call("adrs.search", status="accepted")["items"]] == ["ADR-0147"]
    assert [row["id"] for row in desk.call("adrs.search", area="Runtime")["items"]] == ["ADR-0139"]
    assert desk.call("adrs.search", text="kafka")["total"] == 0


def test_a_list_shows_titles_and_an_open_record_its_text():
    desk = register()
    desk.call("adrs.search")
    assert desk.effects_of("read")[0].covers == ("adrs://ADR-0139", "adrs://ADR-0147")
    found = desk.call("adrs.get", id="ADR-0139")
    assert (found["superseded_by"], found["dated"]) == ("ADR-0147", "2026-10-10")
    assert desk.effects_of("read")[-1].fields == ("text",)


def test_a_record_that_is_not_there_is_not_found_with_those_that_are():
    with pytest.raises(ToolError) as refused:
        register().call("adrs.get", id="ADR-0174")
    assert (refused.value.code, refused.value.offer) == ("not_found", ("ADR-0139", "ADR-0147"))
