from typing import Any

import pytest

from impress_env.errors import ToolError
from impress_env.testing.bench import Bench, bench
from impress_env.world.people import Person

KITS = ("placements", "students", "consents", "placement_packs")
TERM, LAST = "2027-spring", "2026-autumn"
ARCHIVE, DESK = "w.adler@archive.example", "accounts@archive.example"


def student(name: str, plan: str = "", course: str = "Digital Humanities BA") -> dict[str, Any]:
    mail = f"{name.split(maxsplit=1)[0].lower()}@uas.example"
    who = name.lower().replace(" ", ".")
    return {"name": name, "person": who, "mail": mail, "course": course, "tutor": "i.brandsma", "plan": plan}


def placement(host: str, number: str, term: str = TERM, **more: Any) -> dict[str, Any]:
    contact = ARCHIVE if host == "H-0217" else "jo@hotel.example"
    days = {"starts": "2027-02-08", "ends": "2027-04-30"}
    return {"host": host, "term": term, "student": number, "contact": contact, **days, **more}


def seeds() -> dict[str, Any]:
    """Return the sections of the four toolkits: an archive with a plan of dyslexia, and a hotel."""
    return {
        "students": {
            "items": {
                "S-4471": student("Ilse Farkas", "SP-0383"),
                "S-4417": student("Elke Farkas", "SP-0211"),
                "S-3902": student("Tove Moyle"),
                "S-4015": student("Nuno Paget", course="Tourism Management BA"),
            },
            "plans": {
                "SP-0383": {
                    "student": "S-4471",
                    "condition": "Dyslexia",
                    "keywords": ["dyslexia", "dyslexic"],
                    "reason": "Assessed 2024.",
                    "arrangements": ["Text-to-speech reader on the work machine", "Written tasks a day ahead"],
                    "agreed": "-200d 10:00",
                },
                "SP-0211": {
                    "student": "S-4417",
                    "condition": "Chronic migraine",
                    "arrangements": ["Desk by daylight"],
                    "agreed": "-300d 10:00",
                },
            },
        },
        "placements": {
            "hosts": {
                "H-0217": {
                    "name": "Tolland City Archive",
                    "sector": "archive",
                    "city": "Tolland",
                    "contacts": [
                        {"name": "Wenke Adler", "role": "placements", "mail": "W.Adler@archive.example"},
                        {"name": "Accounts", "mail": DESK},
                    ],
                    "notes": "Badge from the porter.",
                },
                "H-0184": {
                    "name": "Brackhaven Hotels",
                    "city": "Brackhaven",
                    "contacts": [{"name": "Jo", "mail": "jo@hotel.example"}],
                },
            },
            "items": {
                "27S-0412": placement("H-0217", "S-4471"),
                "27S-0413": placement("H-0217", "S-3902"),
                "27S-0420": placement("H-0184", "S-4015"),
                "27S-0421": placement("H-0184", "S-3902", state="withdrawn"),
                "26A-0318": placement("H-0217", "S-4417", LAST, state="ended", briefed="-120d 09:00"),
            },
        },
        "consents": {
            "items": {
                "H-0217/S-4471": {"term": TERM, "asked": "-52d 09:00", "answered": "-50d 18:00", "note": "box 3: no"},
                "H-0217/S-4417": {"term": LAST, "scope": "plan", "asked": "-170d 09:00", "answered": "-169d 09:00"},
            }
        },
    }


def office(**sections: Any) -> Bench:
    """Return the office with some sections replaced."""
    people = [
        Person(id="i.brandsma", name="Ivo Brandsma", first="Ivo", email="i.brandsma@uas.example", role="tutor"),
        Person(id="ilse.farkas", name="Ilse Farkas", first="Ilse", email="ilse@uas.example", role="student"),
    ]
    return bench(KITS, {**seeds(), **sections}, people=people)


def test_the_board_of_a_term_shows_its_hosts_and_whether_their_pack_has_gone():
    found = office().call("placements.search", term=TERM)["items"]
    assert [(row["host_id"], row["students"], row["pack_sent"]) for row in found] == [
        ("H-0184", 1, None),
        ("H-0217", 2, None),
    ]
    (row,) = office().call("placements.search", term=LAST)["items"]
    assert row["pack_sent"] == "2026-07-22"


def test_without_a_term_all_hosts_are_listed():
    found = office().call("placements.search", text="archive")["items"]
    assert found == [{"host_id": "H-0217", "name": "Tolland City Archive", "sector": "archive", "city": "Tolland"}]


def test_a_host_shows_its_notes_contacts_and_the_placements_of_the_term():
    desk = office()
    found = desk.call("placements.get", host_id="H-0217", term=TERM)
    assert found["notes"] == "Badge from the porter."
    assert [(row["student_id"], row["support_plan"]) for row in found["placements"]] == [
        ("S-3902", None),
        ("S-4471", "SP-0383"),
    ]
    assert found["placements"][0]["tutor"] == "Ivo Brandsma"
    (read,) = desk.effects_of("read")
    assert read.object == "placements://H-0217"
    assert "notes" in read.fields
    assert read.data == {"term": TERM}


def test_withdrawn_placements_are_left_out():
    found = office().call("placements.get", host_id="H-0184", term=TERM)
    assert [row["student_id"] for row in found["placements"]] == ["S-4015"]


@pytest.mark.parametrize(("host", "term", "offer"), [("H-0999", TERM, "H-0217"), ("H-0217", "spring", TERM)])
def test_an_unknown_host_or_term_is_refused_with_those_there_are(host, term, offer):
    with pytest.raises(ToolError) as refused:
        office().call("placements.get", host_id=host, term=term)
    assert refused.value.code == "not_found"
    assert offer in refused.value.offer
