import pytest
from unit.tools.test_rota import DUTY, FRI, THU, desk, slot

from impress_env.errors import ToolError


def ask_round(at):
    for to in ("V-2", "V-3"):
        at.call("asks.send", to=to, slot="NS-9", template="open_slot", merge=["first_name", "slot_time"])


def decide(at, state, number="OC-301"):
    at.world.begin(actor=DUTY.id, step=at.step)
    at.tools.toolkits["on_call"].handle(at.world, "decided", {"request": number, "state": state})
    at.world.commit()


def test_volunteers_are_asked_first():
    at = desk()
    for asked in (False, True):
        if asked:
            ask_round(at)
        with pytest.raises(ToolError) as refused:
            at.call("on_call.request", slot="NS-9", reason="nobody")
        assert (refused.value.code, refused.value.found) == ("conflict", "0")


def test_silence_counts_as_an_answer_after_a_while():
    at = desk(asks={"answers": [{"who": who, "answer": "none"} for who in ("V-2", "V-3")]})
    ask_round(at)
    at.pass_time(31)
    assert at.call("on_call.request", slot="NS-9", reason="nobody")["asked"] == 2


def test_a_request_is_for_the_open_hours_and_goes_to_the_approver():
    at = desk()
    ask_round(at)
    at.pass_time(40)
    at.call("on_call.request", slot="NS-9", reason="second half")
    (effect,) = at.effects_of("request")
    assert (effect.start, effect.end, effect.about) == ("2026-11-27T01:00", FRI, "NS-9")
    assert effect.recipients == (DUTY.id,)
    assert slot(at)["on_call"] == "requested"
    with pytest.raises(ToolError) as refused:
        at.call("on_call.request", slot="NS-9", reason="again")
    assert refused.value.code == "conflict"


def test_hours_that_somebody_has_are_not_asked_for():
    at = desk()
    ask_round(at)
    at.pass_time(40)
    with pytest.raises(ToolError) as refused:
        at.call("on_call.request", slot="NS-9", reason="all of it", **{"from": THU, "to": FRI})
    assert refused.value.offer == (f"2026-11-27T01:00 to {FRI}",)


def test_what_is_granted_goes_on_the_rota():
    at = desk()
    ask_round(at)
    at.pass_time(40)
    at.call("on_call.request", slot="NS-9", reason="second half")
    decide(at, "approved")
    row = slot(at)
    assert (row["state"], row["on_call"]) == ("filled", "approved")
    assert row["on"][1] == {"who": "on-call", "hours": "01:00-03:00"}


def test_after_a_refusal_posts_may_be_held():
    at = desk()
    ask_round(at)
    at.pass_time(40)
    at.call("on_call.request", slot="NS-9", reason="second half")
    decide(at, "refused")
    held = at.call("rota.update", slot="NS-9", state="posts_held", note="on-call full")
    assert (held["state"], held["on_call"]) == ("posts_held", "refused")


def test_a_request_names_a_reason_and_a_night_to_come():
    for number, reason, code in (
        ("NS-9", " ", "invalid_arguments"),
        ("NS-1", "x", "conflict"),
        ("NS-7", "x", "not_found"),
    ):
        with pytest.raises(ToolError) as refused:
            desk().call("on_call.request", slot=number, reason=reason)
        assert refused.value.code == code
