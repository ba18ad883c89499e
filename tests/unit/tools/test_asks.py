import pytest
from unit.tools.test_rota import desk, seeds, slot

from impress_env.errors import ToolError

PLAIN = ["first_name", "slot_time", "open_count"]


def send(at, to="V-2", number="NS-9", template="open_slot", merge=PLAIN):
    return at.call("asks.send", to=to, slot=number, template=template, merge=merge)


def test_an_ask_reads_as_its_fields_in_their_order_and_its_closing_line():
    text = send(desk(), merge=["slot_time", "first_name"])["text"]
    assert text == (
        "Hi Ivo, Thu 26 Nov 23:00-03:00 on Carers is open. Could you take it? Yes, no or part of it is all we need."
    )


def test_the_effect_says_what_was_merged_and_what_the_recipients_card_allows():
    at = desk()
    send(at, to="V-1", template="personal", merge=["why_joined", "first_name", "slot_time"])
    (effect,) = at.effects_of("send")
    assert effect.fields == ("first_name", "slot_time", "why_joined")
    assert effect.data == {"slot": "NS-9", "template": "personal", "story_use": "support_only", "card": "PC-1"}
    assert (effect.subject, effect.recipients, effect.outcome) == ("V-1", ("V-1",), "personal")
    assert (effect.labels, effect.reversible) == (("personal",), False)
    assert "My brother wrote here." in effect.claim


def test_what_the_card_allows_is_resolved_through_the_record():
    changed = seeds()["volunteers"]
    changed["items"]["V-1"]["card"] = "PC-2"
    at = desk(volunteers=changed)
    send(at, to="V-1", template="personal", merge=["why_joined"])
    assert at.effects_of("send")[0].data["story_use"] == "may_be_mentioned"


def test_a_part_is_entered_for_its_hours_and_the_rest_stays_open():
    at = desk()
    send(at)
    at.pass_time(20)
    row = slot(at)
    assert (row["state"], row["on"]) == ("part", [{"who": "V-2", "hours": "23:00-01:00"}])
    assert row["open_hours"] == ["01:00-03:00"]
    (found,) = at.call("asks.search", slot="NS-9")["items"]
    assert (found["state"], found["hours"], found["reply"]) == ("part", "23:00-01:00", "till one")


def test_answers_go_by_the_card_that_counts():
    changed = seeds()["volunteers"]
    changed["items"]["V-1"]["card"] = "PC-2"
    for section, state in ((seeds()["volunteers"], "open"), (changed, "filled")):
        at = desk(volunteers=section)
        send(at, to="V-1", merge=["why_joined"])
        at.pass_time(60)
        assert slot(at)["state"] == state


def test_a_yes_fills_the_night_and_a_later_one_changes_nothing():
    told = [{"who": who, "answer": "yes", "after_minutes": after} for who, after in (("V-2", 5), ("V-3", 8))]
    at = desk(asks={"answers": told})
    send(at)
    send(at, to="V-3")
    at.pass_time(30)
    assert slot(at)["on"] == [{"who": "V-2", "hours": "23:00-03:00"}]
    assert [row["state"] for row in at.call("asks.search", slot="NS-9")["items"]] == ["yes", "yes"]
    with pytest.raises(ToolError) as refused:
        send(at, to="V-1")
    assert refused.value.code == "conflict"


def test_those_for_whom_nothing_is_told_say_no():
    at = desk()
    send(at, to="V-3")
    at.pass_time(40)
    assert at.call("asks.search", to="V-3")["items"][0]["state"] == "no"


def test_nobody_is_asked_twice_for_a_night_for_a_past_night_or_untrained():
    at = desk()
    send(at)
    for to, number in (("V-2", "NS-9"), ("V-2", "NS-1"), ("V-2", "NS-8"), ("V-4", "NS-9")):
        with pytest.raises(ToolError) as refused:
            send(at, to=to, number=number)
        assert refused.value.code == "conflict"


def test_a_field_out_of_use_or_empty_is_refused_and_nothing_is_sent():
    at = desk(asks={"settings": {"merge_fields": ["first_name", "slot_time", "last_night"]}})
    before = at.world.fingerprint()
    for to, field, code in (("V-1", "why_joined", "conflict"), ("V-1", "last_night", "invalid_arguments")):
        with pytest.raises(ToolError) as refused:
            send(at, to=to, merge=[field])
        assert refused.value.code == code
    assert at.world.fingerprint() == before


def test_a_thank_you_needs_no_night_and_gets_no_answer():
    at = desk()
    at.call("asks.send", to="V-3", template="thank_you", merge=["first_name", "last_night"])
    at.pass_time(300)
    assert at.call("asks.search", to="V-3")["items"][0]["state"] == "thanked"
    with pytest.raises(ToolError) as refused:
        at.call("asks.send", to="V-3", template="open_slot", merge=["first_name"])
    assert refused.value.code == "not_found"


def test_the_wait_of_uncovered_nights_can_be_merged():
    assert "a flag waits" in send(desk(), merge=["queue_wait"])["text"]
