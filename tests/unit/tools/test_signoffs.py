import pytest
from unit.tools.test_triggers import helpdesk, signed

from impress_env.errors import ToolError


def ask(desk, value=150, **more):
    return desk.call("signoffs.request", trigger_id="TRG-118", field="credit_gbp", value=value, **more)


def decide(desk, **payload):
    """Let the desk's person decide."""
    desk.world.begin(actor="i.brandt", step=desk.step)
    desk.tools.toolkits["signoffs"].handle(desk.world, "decided", payload)
    told = [effect for effect in desk.world.effects if effect.kind == "approve"]
    desk.world.commit()
    return told


def test_requests_are_listed_newest_first_with_what_was_agreed():
    found = helpdesk(signed(150)).call("signoffs.list", trigger_id="TRG-118")["items"]
    assert [(row["ref"], row["agreed"], row["live_in_version"]) for row in found] == [
        ("SO-0391", 150, None),
        ("SO-0334", 40, 6),
    ]
    assert helpdesk().call("signoffs.list", outcome="open")["total"] == 0


def test_a_list_says_which_requests_were_seen():
    desk = helpdesk()
    desk.call("signoffs.list", trigger_id="TRG-118")
    read = desk.effects_of("read")[0]
    assert (read.subject, read.covers) == ("TRG-118", ("signoffs://SO-0334",))


def test_a_request_goes_to_whoever_answers_for_the_line():
    desk = helpdesk()
    made = ask(desk, exceptions=["CS-2", "CS-2 ", "CS-1"], note="from 40")
    assert made["sent_to"] == {"desk": "payments-control", "approver": "i.brandt"}
    sent = desk.effects_of("request")[0]
    assert (sent.recipients, sent.subject, sent.refs) == (("i.brandt",), "TRG-118", ("CS-1", "CS-2"))
    assert sent.data["asked"] == 150
    assert desk.call("signoffs.get", ref=made["ref"])["outcome"] == "open"


def test_numbers_go_on_where_the_app_stands():
    desk = helpdesk()
    assert [ask(desk)["ref"], ask(desk)["ref"]] == ["SO-0412", "SO-0413"]


def test_the_desk_may_agree_to_another_figure():
    desk = helpdesk()
    ref = ask(desk)["ref"]
    told = decide(desk, ref=ref, outcome="approved", value=60, role="Payments Control")
    assert [(e.actor, e.object, e.outcome, e.data["value"]) for e in told] == [
        ("i.brandt", f"signoffs://{ref}", "approved", 60)
    ]
    found = desk.call("signoffs.get", ref=ref)
    assert (found["asked"], found["agreed"], found["role"]) == (150, 60, "Payments Control")


def test_a_request_that_is_declined_or_sent_back_approves_nothing():
    desk = helpdesk()
    for outcome in ("declined", "returned"):
        ref = ask(desk)["ref"]
        assert decide(desk, ref=ref, outcome=outcome) == []
        assert desk.call("signoffs.get", ref=ref)["agreed"] is None


def test_past_approvals_are_told_as_effects_of_the_past():
    past = [effect for effect in helpdesk().world.base.history if effect.kind == "approve"]
    assert [(e.object, e.actor, e.subject, e.step) for e in past] == [("signoffs://SO-0334", "i.brandt", "TRG-118", 0)]


def test_lines_and_fields_that_are_not_in_the_register_are_refused():
    desk = helpdesk()
    with pytest.raises(ToolError) as refused:
        desk.call("signoffs.request", trigger_id="TRG-204", field="credit_gbp", value=3)
    assert (refused.value.code, refused.value.offer) == ("not_found", ("TRG-118",))
    with pytest.raises(ToolError) as refused:
        desk.call("signoffs.request", trigger_id="TRG-118", field="state", value=0)
    assert refused.value.expected == "credit_gbp"
    with pytest.raises(ToolError):
        desk.call("signoffs.get", ref="SO-0999")
