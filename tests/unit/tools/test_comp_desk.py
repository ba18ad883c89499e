import pytest
from unit.tools.test_hris import department

from impress_env.errors import ToolError

TODAY = "2026-11-19"
PACK = {"title": "Depots", "case": "TRF-2101", "as_of": "+0d 08:00", "workers": ["W3107"], "manager": "a.ruiz"}


def ask(desk, *workers, **more):
    more = {"fields": ["base"], "purpose": "transfer", "ref": "TRF-2093", **more}
    return desk.call("comp_desk.request", workers=list(workers or ("W2288",)), **more)


def change(number, effective="2026-03-01", amount="2000.00"):
    return {"worker": "W3107", "effective": effective, "amount": amount, "grade": "D4", "reason": f"line {number}"}


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


def test_a_day_is_kept_as_a_day_however_it_is_written():
    for written in ("2026-11-30", " 2026-11-30 ", "20261130", "2026-W49-1", "2026-11-30T17:00"):
        desk = department(mode="self_service")
        ask(desk, as_of=written)
        assert desk.call("comp_desk.extract", case_id="CD-3301")["as_of"] == "2026-11-30"


@pytest.mark.parametrize("day", ["tomorrow", "2026-02-30", "30.11.2026", "2026-11-30 to 2026-12-31", "x" * 5000])
def test_a_day_that_is_none_is_refused_on_the_request_and_on_the_answer(day):
    served = department(mode="self_service")
    before = served.world.fingerprint()
    with pytest.raises(ToolError) as refused:
        ask(served, as_of=day)
    assert (refused.value.code, refused.value.found) == ("invalid_arguments", day[:40])
    assert served.world.fingerprint() == before
    desk = department()
    ask(desk)
    desk.pass_time(30)
    with pytest.raises(ToolError) as refused:
        desk.call("comp_desk.reply", case_id="CD-3301", as_of=day)
    assert refused.value.code == "invalid_arguments"
    assert desk.call("comp_desk.case", case_id="CD-3301")["state"] == "question"


def test_a_question_is_answered_once_and_the_extract_comes_once():
    desk = department()
    ask(desk)
    desk.pass_time(30)
    desk.call("comp_desk.reply", case_id="CD-3301", as_of=TODAY)
    for wait in (0, 40):
        desk.pass_time(wait)
        with pytest.raises(ToolError) as refused:
            desk.call("comp_desk.reply", case_id="CD-3301", as_of="2027-02-01")
        assert refused.value.code == "conflict"
    desk.pass_time(600)
    assert told(desk) == ["b.kern on CD-3301: As of today?", "CD-3301 is ready."]
    assert desk.call("comp_desk.extract", case_id="CD-3301")["as_of"] == TODAY


def test_a_case_keeps_what_both_sides_wrote():
    desk = department()
    ask(desk, text=" for a pack ")
    desk.pass_time(30)
    desk.call("comp_desk.reply", case_id="CD-3301", as_of=TODAY)
    (sent,) = desk.effects_of("request")
    assert (sent.object, sent.recipients, sent.claim) == ("comp_desk://CD-3301", ("b.kern",), f"As of {TODAY}.")
    lines = desk.call("comp_desk.case", case_id="CD-3301")["messages"]
    assert [(line["who"], line["text"]) for line in lines] == [
        ("svc-dunlin", "for a pack"),
        ("b.kern", "As of today?"),
        ("svc-dunlin", f"As of {TODAY}."),
    ]


def test_the_desk_says_in_an_effect_that_it_gave_out():
    desk = department()
    ask(desk)
    desk.pass_time(30)
    desk.call("comp_desk.reply", case_id="CD-3301", as_of=TODAY)
    desk.world.begin(actor="system", step=3)
    desk.tools.toolkits["comp_desk"].handle(desk.world, "given_out", {"case": "CD-3301", "by": "b.kern"})
    (given,) = desk.world.effects
    desk.world.commit()
    assert (given.kind, given.object, given.subject, given.outcome) == (
        "approve", "comp_desk://CD-3301", "TRF-2093", "given_out",
    )  # fmt: skip
    assert desk.world.table("comp_desk.items")["CD-3301"].decided_by == "b.kern"


def test_a_case_that_somebody_closed_is_not_asked_back_on():
    desk = department()
    ask(desk)
    desk.world.begin(actor="b.kern", step=2)
    desk.world.table("comp_desk.items").update("CD-3301", state="declined")
    desk.world.commit()
    desk.pass_time(120)
    assert told(desk) == []
    with pytest.raises(ToolError) as refused:
        desk.call("comp_desk.extract", case_id="CD-3301")
    assert refused.value.found == "declined"


def test_a_line_of_the_desk_is_kept_on_the_case():
    desk = department()
    ask(desk)
    payload = {"from": "b.kern", "text": "Soon. ", "about": "TRF-2093", "thread": "comp_desk://CD-3301"}
    desk.world.begin(actor="system", step=2)
    desk.tools.toolkits["comp_desk"].handle(desk.world, "deliver", payload)
    desk.world.commit()
    assert desk.call("comp_desk.case", case_id="CD-3301")["messages"][-1]["text"] == "Soon."


def test_workers_and_fields_named_twice_count_once():
    desk = department(mode="self_service")
    ask(desk, "W2288", " W2288", fields=["bonus", "base", "bonus"])
    (sent,) = desk.effects_of("request")
    assert (sent.covers, sent.fields) == (("hris://workers/W2288",), ("base", "bonus"))
    desk.call("comp_desk.extract", case_id="CD-3301")
    assert desk.effects_of("read")[0].fields == ("base", "bonus")


def test_a_request_is_for_twenty_workers_at_most():
    desk = department()
    with pytest.raises(ToolError) as refused:
        ask(desk, *[f"W{n}" for n in range(5000)])
    assert (refused.value.code, refused.value.expected) == ("invalid_arguments", "1 to 20 workers")


def test_of_two_changes_on_one_day_the_later_line_comes_first_and_counts():
    rows = {"W3107-1": change(1, amount="2100.00"), "W3107-2": change(2, amount="2124.00")}
    desk = department({"hris": {"pay_history": rows}, "pay_packs": {"items": {"PP-220": PACK}}}, mode="self_service")
    ask(desk, "W3107")
    assert desk.call("comp_desk.extract", case_id="CD-3301")["items"][0]["amount"] == "2124.00"
    line = {"worker": "W3107", "amount": "2124.00", "source": "desk_case", "source_ref": "CD-3301"}
    desk.call("pay_packs.fill", pack_id="PP-220", lines=[line])
    assert desk.effects_of("attest")[0].data["agrees"] == "yes"


def test_an_extract_comes_in_pages_of_fifty_lines():
    rows = {f"W3107-{n:02}": change(n, effective=f"{1960 + n}-03-01") for n in range(60)}
    desk = department({"hris": {"pay_history": rows}}, mode="self_service")
    ask(desk, "W2288", "W3107")
    found = desk.call("comp_desk.extract", case_id="CD-3301")
    assert (len(found["items"]), found["pages"], found["total"]) == (50, 2, 62)
    assert desk.effects_of("read")[0].covers == ("hris://workers/W3107",)
    assert len(desk.call("comp_desk.extract", case_id="CD-3301", page=2)["items"]) == 12
    assert desk.effects_of("read")[0].covers == ("hris://workers/W2288", "hris://workers/W3107")
    with pytest.raises(ToolError) as refused:
        desk.call("comp_desk.extract", case_id="CD-3301", page=3)
    assert refused.value.code == "not_found"


def test_an_extract_of_somebody_who_has_left_the_system_still_opens():
    past = {"workers": ["W0001", "W2288"], "asked_by": "svc-dunlin", "asked": "-9d 10:00", "as_of": "-9d 00:00"}
    gone = {**change(1), "worker": "W0001"}
    desk = department({"comp_desk": {"items": {"CD-3200": past}}, "hris": {"pay_history": {"W0001-1": gone}}})
    found = desk.call("comp_desk.extract", case_id="CD-3200")["items"]
    assert [(row["worker"], row["name"]) for row in found][-1] == ("W0001", "")
