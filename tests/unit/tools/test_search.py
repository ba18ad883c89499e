from typing import Any

import pytest
from unit.tools.office_world import BUYER, IMKE, JANA, TOMO, office, refused

from impress_env.testing.bench import Bench

ALL = ("search", "files", "mail", "chat", "tickets", "memory")
SECTIONS: dict[str, Any] = {
    "files": {
        "items": [
            {
                "path": "/sites/alder-road/fridge.md",
                "text": "Fridge F3 service visit. The fridge thermostat was set to 4.\n" + "Other lines. " * 40,
                "at": "-20d 10:00",
                "labels": ["internal"],
            },
            {"path": "/service/list.csv", "text": "site,unit\nAlder Road,fridge\n", "at": "-3d 10:00"},
            {"path": "/staff/leave.csv", "text": "fridge", "owner": "people-desk", "mode": "600", "at": "-1d 10:00"},
        ]
    },
    "mail": {
        "messages": [
            {
                "from": BUYER.id,
                "subject": "Fridge 3",
                "body": "thermostat again?",
                "at": "-2d 09:00",
                "labels": ["personal"],
            },
            {"from": IMKE.id, "subject": "fridge", "body": "", "at": "-1d 09:00", "folder": "trash"},
            {"from": IMKE.id, "subject": "fridge", "body": "later", "at": "+1d 09:00"},
        ]
    },
    "chat": {
        "channels": {"leads": {"private": True, "members": [IMKE.id]}},
        "messages": [
            {"channel": "#site", "from": TOMO.id, "at": "13:00", "text": "F3 thermostat replaced"},
            {"channel": "leads", "from": IMKE.id, "at": "13:10", "text": "fridge budget"},
        ],
    },
    "tickets": {
        "items": {
            "T-12": {
                "title": "Fridge rota",
                "body": "who checks",
                "requester": JANA.id,
                "at": "-6d 11:20",
                "comments": [{"from": JANA.id, "at": "-5d 10:02", "text": "thermostat too"}],
            }
        }
    },
    "memory": {"items": [{"at": "-12d 15:31", "text": "Fridge forms go to Jana"}]},
}


def desk(kits: tuple[str, ...] = ALL) -> Bench:
    return office(kits, **{name: section for name, section in SECTIONS.items() if name in kits})


def found(work: Bench, text: str, **more: Any) -> list[str]:
    return [row["id"] for row in work.call("search.query", text=text, **more)["results"]]


def test_the_order_is_words_then_weight_then_time():
    work = desk()
    assert found(work, "fridge thermostat")[:3] == ["/sites/alder-road/fridge.md", "M-0001", "T-12"]
    assert found(work, "thermostat") == ["P-0001", "M-0001", "T-12", "/sites/alder-road/fridge.md"]


def test_results_are_rows_with_a_cut_snippet():
    work = desk()
    result = work.call("search.query", text="thermostat")
    assert result["searched"] == ["files", "mail", "chat", "tickets", "memory"]
    assert result["results"][0] == {
        "source": "chat",
        "id": "P-0001",
        "channel": "#site",
        "from": TOMO.id,
        "at": "2026-11-19T13:00",
        "snippet": "F3 thermostat replaced",
    }
    assert result["results"][1]["title"] == "Fridge 3"
    snippet = result["results"][3]["snippet"]
    assert "thermostat" in snippet
    assert snippet.endswith("…")
    assert len(snippet) <= 162


def test_what_was_shown_is_read():
    work = desk()
    work.call("search.query", text="thermostat", limit=2)
    (read,) = work.effects_of("read")
    assert (read.object, read.count, read.labels) == ("search://", 2, ("personal",))
    assert read.covers == ("chat://site/P-0001", "mail://M-0001")
    assert read.data == {"query": "thermostat"}


def test_what_the_account_may_not_see_is_not_found():
    ids = found(desk(), "fridge", limit=25)
    assert "/staff/leave.csv" not in ids
    assert "P-0002" not in ids
    assert [id for id in ids if id.startswith("M-")] == ["M-0001"]


def test_a_search_can_be_narrowed():
    work = desk()
    assert found(work, "fridge", sources=["tickets", "memory"]) == ["T-12", "N-0001"]
    assert found(work, "fridge", folders=["/service"]) == ["/service/list.csv"]
    assert found(work, "fridge", since="2026-11-16") == ["M-0001", "/service/list.csv"]
    assert found(work, '"alder road"') == ["/service/list.csv"]
    assert found(work, "thermostat -replaced -again") == ["T-12", "/sites/alder-road/fridge.md"]
    assert found(work, "ridge") == []


def test_only_apps_of_this_workplace_are_searched():
    work = desk(("search", "files"))
    assert work.call("search.query", text="fridge")["searched"] == ["files"]
    error = refused(work, "search.query", text="fridge", sources=["mail"])
    assert (error.code, error.offer) == ("not_found", ("files",))


def test_recent_is_newest_first():
    work = desk()
    result = work.call("search.recent", within="7d")
    assert [row["id"] for row in result["results"]] == ["P-0001", "M-0001", "/service/list.csv", "T-12"]
    assert work.effects_of("read")[0].count == 4
    assert work.call("search.recent", within="24h", sources=["mail"])["results"] == []


@pytest.mark.parametrize(
    ("tool", "arguments", "code"),
    [
        ("search.query", {"text": " -x "}, "invalid_arguments"),
        ("search.query", {"text": "x" * 301}, "too_large"),
        ("search.query", {"text": "x", "limit": 26}, "invalid_arguments"),
        ("search.query", {"text": "x", "sources": ["web"]}, "invalid_arguments"),
        ("search.query", {"text": "x", "since": "soon"}, "invalid_arguments"),
        ("search.recent", {"within": "a while"}, "invalid_arguments"),
    ],
)
def test_bad_calls_are_refused(tool, arguments, code):
    assert refused(desk(), tool, **arguments).code == code
