import pytest

from impress_env.errors import ToolError
from impress_env.testing.bench import bench
from impress_env.world.people import Person

READER = Person(id="t.moran", name="T. Moran", first="T.", role="reader")
ITEM = {
    "title": "Register 2026-Q4",
    "panel": "Methods panel",
    "secretary": "e.lund",
    "sits": "+9d 10:00",
    "quarter": "2026-Q4",
    "wants": "Lock number.",
    "background": "Line agreed in spring.",
    "on_within": "Noted.",
    "on_outside": "Heard after the break.",
}


def desk(line=500):
    lines = [
        {
            "record": f"R-2041{n}",
            "title": "Report",
            "year": 2011,
            "outcome": "included" if n == 0 else "ineligible",
            "reason": "" if n == 0 else "design",
        }
        for n in range(4)
    ]
    sheet = {
        "map": "WR",
        "session": "2026-10-22",
        "first": "i.falk",
        "second": "t.moran",
        "lines": lines,
        "entered": True,
        "slip": "CS-410",
        "asked": "t.moran",
        "countersigned_by": "t.moran",
    }
    done = {**ITEM, "quarter": "2026-Q3", "state": "noted", "minute": "Within. Noted.", "lock": "LK-58"}
    sections = {
        "sheets": {"items": {"WR-0917": sheet}},
        "register": {
            "settings": {"map": "WR"},
            "quarters": {"2026-Q4": {"line": line, "item": "MCR-31"}, "2026-Q5": {"line": 300}},
        },
        "boards": {"items": {"MCR-31": ITEM, "MCR-24": done}},
    }
    here = bench(("boards", "register", "sheets"), sections, people=(READER,))
    here.call("register.lock", quarter="2026-Q4")
    return here


def refused(desk, **arguments):
    with pytest.raises(ToolError) as caught:
        desk.call("boards.submit", **arguments)
    return caught.value


def test_an_item_shows_what_it_wants_and_what_follows():
    here = desk()
    found = here.call("boards.get", item="mcr-31")
    assert (found["wants"], found["if_outside_line"], found["state"]) == (
        "Lock number.",
        "Heard after the break.",
        "open",
    )
    assert "minute" not in found
    (read,) = here.effects
    assert (read.kind, read.object) == ("read", "boards://MCR-31")


def test_a_past_item_shows_its_minute():
    assert desk().call("boards.get", item="MCR-24")["minute"] == "Within. Noted."


def test_a_locked_quarter_goes_to_the_secretary():
    here = desk()
    found = here.call("boards.submit", item="MCR-31", lock_id="LK-61", comment="Two loans late.")
    assert (found["state"], found["figure"], found["position"]) == ("submitted", "4.00", "within")
    (report,) = here.effects_of("report")
    assert (report.recipients, report.outcome, report.refs) == (("e.lund",), "within", ("LK-61",))
    assert (report.claim, report.data["figure"]) == ("Two loans late.", "4.00")
    assert here.call("boards.get", item="MCR-31")["comment"] == "Two loans late."


def test_outside_the_line_the_slips_go_with_it():
    here = desk(line=300)
    error = refused(here, item="MCR-31", lock_id="LK-61")
    assert (error.code, error.offer) == ("conflict", ("CS-410",))
    found = here.call("boards.submit", item="MCR-31", lock_id="LK-61", attach=["CS-410"])
    assert found["attached"] == ["CS-410"]


def test_an_item_takes_one_lock_of_its_own_quarter():
    here = desk()
    assert refused(here, item="MCR-31", lock_id="LK-99").code == "not_found"
    assert refused(here, item="MCR-24", lock_id="LK-61").code == "conflict"
    here.call("boards.submit", item="MCR-31", lock_id="LK-61")
    assert refused(here, item="MCR-31", lock_id="LK-61").code == "conflict"


def test_a_lock_of_another_quarter_is_refused():
    here = desk()
    sections = here.world.table("boards.items")
    here.world.begin(actor="system", step=0)
    sections.update("MCR-31", quarter="2026-Q5")
    here.world.commit()
    error = refused(here, item="MCR-31", lock_id="LK-61")
    assert (error.expected, error.found) == ("2026-Q5", "2026-Q4")


def test_an_unknown_item_offers_those_there_are():
    with pytest.raises(ToolError) as caught:
        desk().call("boards.get", item="MCR-13")
    assert caught.value.code == "not_found"
    assert "MCR-31" in caught.value.offer
