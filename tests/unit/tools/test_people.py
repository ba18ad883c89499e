import pytest
from unit.tools.office_world import BUYER, IMKE, JANA, OWN, PEOPLE, TOMO, deliver, office, refused

from impress_env.tool import toolkit


def test_the_directory_is_searched_by_words_role_and_team():
    desk = office(("people",))

    def ids(**arguments):
        return [row["id"] for row in desk.call("people.search", **arguments)["items"]]

    assert ids() == [BUYER.id, IMKE.id, JANA.id, TOMO.id]
    assert ids(text="change manager") == [JANA.id]
    assert ids(role="platform_lead") == [IMKE.id]
    assert ids(team="Platform") == [IMKE.id, TOMO.id]
    assert desk.effects_of("read")[0].covers == ("people://imke.raad", "people://tomo.besic")
    assert desk.call("people.search", team="finance")["teams"] == ["platform", "service"]


def test_an_entry_says_who_is_away_and_until_when():
    desk = office(("people",))
    entry = desk.call("people.get", who="Tomo Besic")
    assert (entry["status"], entry["away_until"]) == ("away", "2026-11-23T09:00")
    assert entry["colleagues"] == [IMKE.id]
    assert desk.effects_of("read")[0].object == "people://tomo.besic"
    there = desk.call("people.get", who="IMKE.RAAD@brightline.example")
    assert (there["status"], "away_until" in there) == ("available", False)
    desk.pass_time(4 * 1440)
    assert desk.call("people.get", who=TOMO.id)["status"] == "available"


def test_nobody_of_that_name_offers_who_comes_near():
    desk = office(("people",))
    assert refused(desk, "people.get", who="jana").offer == (JANA.id,)
    assert refused(desk, "people.get", who="Xu").offer == tuple(sorted(person.id for person in PEOPLE))


def test_a_question_is_one_request_to_one_person():
    desk = office(("people",))
    result = desk.call("people.ask", to="Jana Holub", about="CHG-20418", text="Does it cover prod-eu?")
    assert result == {"id": "Q-0001", "to": JANA.id, "about": "CHG-20418", "at": "2026-11-19T14:23"}
    (request,) = desk.effects_of("request")
    assert request.object == "people://questions/Q-0001"
    assert (request.recipients, request.about, request.audience) == ((JANA.id,), "CHG-20418", "org")
    assert request.claim == "Does it cover prod-eu?"
    assert toolkit("people").tools["people.ask"].role == "ask"


@pytest.mark.parametrize(("to", "audience"), [(IMKE.id, "team"), (JANA.id, "org"), (BUYER.id, "external")])
def test_the_audience_is_who_is_asked(to, audience):
    desk = office(("people",), people=(*PEOPLE, OWN))
    desk.call("people.ask", to=to, about="T-1", text="?")
    assert desk.effects_of("request")[0].audience == audience


def test_somebody_away_can_be_asked_and_the_app_says_so():
    desk = office(("people",))
    assert desk.call("people.ask", to=TOMO.id, about="T-1", text="there?")["away_until"] == "2026-11-23T09:00"


def test_an_answer_is_told_and_kept_with_its_question():
    desk = office(("people",))
    desk.call("people.ask", to=JANA.id, about="CHG-20418", text="Does it cover prod-eu?")
    thread = desk.effects_of("request")[0].object
    told = deliver(desk, "people", **{"from": JANA.id, "text": "staging only.", "about": "CHG-20418", "thread": thread})
    assert told == ["Jana Holub on CHG-20418: staging only."]
    (row,) = desk.call("people.replies", answered=True)["items"]
    assert row["replies"] == [{"from": JANA.id, "at": "2026-11-19T14:24", "text": "staging only."}]
    assert desk.effects_of("read")[0].covers == ("people://questions/Q-0001",)


def test_open_questions_can_be_picked_out():
    desk = office(("people",))
    desk.call("people.ask", to=JANA.id, about="CHG-1", text="?")
    desk.call("people.ask", to=IMKE.id, about="CHG-2", text="?")

    def numbers(**more):
        return [row["id"] for row in desk.call("people.replies", **more)["items"]]

    assert numbers() == ["Q-0002", "Q-0001"]
    assert numbers(to=JANA.id) == ["Q-0001"]
    assert numbers(about="chg-2") == ["Q-0002"]
    assert numbers(answered=True) == []
    assert desk.call("people.get", who=IMKE.id)["open_questions"] == ["Q-0002"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"to": "nobody", "about": "x", "text": "?"}, "not_found"),
        ({"to": IMKE.id, "about": " ", "text": "?"}, "invalid_arguments"),
        ({"to": IMKE.id, "about": "x", "text": " "}, "invalid_arguments"),
        ({"to": IMKE.id, "about": "x" * 121, "text": "?"}, "too_large"),
        ({"to": IMKE.id, "about": "x", "text": "?" * 4001}, "too_large"),
    ],
)
def test_bad_questions_are_refused(arguments, code):
    assert refused(office(("people",)), "people.ask", **arguments).code == code


def test_one_does_not_ask_oneself():
    assert refused(office(("people",), people=(OWN, IMKE)), "people.ask", to=OWN.id, about="x", text="?").code == (
        "conflict"
    )
