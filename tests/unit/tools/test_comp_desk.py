import pytest
from unit.tools.test_hris import department

from impress_env.errors import ToolError

TODAY = "2026-11-19"


def ask(desk, *workers, **more):
    more = {"fields": ["base"], "purpose": "transfer", "ref": "TRF-2093", **more}
    return desk.call("comp_desk.request", workers=list(workers or ("W2288",)), **more)


def told(desk):
    return [notice.text for notice in desk.world.take_notices()]


def test_a_request_goes_to_the_analyst_and_waits():
    desk = department()
    found = ask(desk, "W3107", "W2288", text="for a pack")
    assert found == {"case": "CD-3301", "state": "awaiting_desk", "handled_by": "b.kern"}
    sent = desk.effects_of("request")[0]
    assert (sent.recipients, sent.about, sent.reason) == (("b.kern",), "TRF-2093", "transfer")
    assert sent.covers == ("hris://workers/W2288", "hris://workers/W3107")


def test_the_desk_asks_back_then_gives_the_extract_out():
    desk = department()
    number = ask(desk)["case"]
    desk.pass_time(25)
    assert told(desk) == ["b.kern on CD-3301: As of today?"]
    assert desk.call("comp_desk.case", case_id=number)["state"] == "question"
    desk.call("comp_desk.reply", case_id=number, as_of=TODAY)
    desk.pass_time(35)
    assert told(desk) == ["CD-3301 is ready."]
    found = desk.call("comp_desk.case", case_id=number)
    assert (found["state"], found["as_of"], found["decided_by"]) == ("ready", TODAY, "b.kern")


def test_an_extract_is_the_pay_history_up_to_its_day_newest_first():
    desk = department(mode="self_service")
    ask(desk)
    found = desk.call("comp_desk.extract", case_id="CD-3301")
    assert [(row["effective"], row["amount"]) for row in found["items"]] == [
        ("2026-02-01", "2384.00"),
        ("2024-03-01", "2185.00"),
    ]
    read = desk.effects_of("read")[0]
    assert (read.labels, read.purposes, read.count) == (("confidential", "personal"), ("pay",), 2)
    ask(desk, as_of="2027-02-01")
    assert desk.call("comp_desk.extract", case_id="CD-3302")["total"] == 3


def test_a_desk_that_is_self_service_gives_out_at_once():
    desk = department(mode="self_service")
    assert ask(desk) == {"case": "CD-3301", "state": "ready", "handled_by": "self-service"}
    assert desk.call("comp_desk.case", case_id="CD-3301")["as_of"] == TODAY
    desk.pass_time(120)
    assert told(desk) == []


def test_there_is_no_extract_before_the_desk_has_answered():
    desk = department()
    ask(desk)
    with pytest.raises(ToolError) as refused:
        desk.call("comp_desk.extract", case_id="CD-3301")
    assert (refused.value.code, refused.value.found) == ("conflict", "awaiting_desk")


def test_a_case_asked_by_another_is_seen_but_not_opened_or_answered():
    desk = department()
    assert desk.call("comp_desk.case", case_id="CD-3290")["asked_by"] == "m.faber"
    for tool, more in (("extract", {}), ("reply", {"as_of": TODAY})):
        with pytest.raises(ToolError) as refused:
            desk.call(f"comp_desk.{tool}", case_id="CD-3290", **more)
        assert refused.value.code == "forbidden"


def test_an_answer_needs_a_question_and_a_day():
    desk = department()
    ask(desk)
    with pytest.raises(ToolError) as refused:
        desk.call("comp_desk.reply", case_id="CD-3301", as_of=TODAY)
    assert refused.value.code == "conflict"
    desk.pass_time(30)
    with pytest.raises(ToolError) as refused:
        desk.call("comp_desk.reply", case_id="CD-3301", as_of="today")
    assert refused.value.code == "invalid_arguments"


def test_a_request_needs_workers_that_are_there_and_a_purpose():
    desk = department()
    for workers, more in ((["W9999"], {}), (["W2288"], {"purpose": " "}), (["W2288"], {"fields": []})):
        before = desk.world.fingerprint()
        with pytest.raises(ToolError):
            ask(desk, *workers, **more)
        assert desk.world.fingerprint() == before


def test_an_unknown_case_is_answered_with_ones_own():
    desk = department()
    ask(desk)
    with pytest.raises(ToolError) as refused:
        desk.call("comp_desk.case", case_id="CD-1")
    assert refused.value.offer == ("CD-3301",)
