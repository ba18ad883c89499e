import pytest
from unit.tools.sales_world import WORDS, office

from impress_env.errors import ToolError

TERM = {"contract_id": "C-7731", "type": "side_term", "activity_ids": ["ACT-50233"], "quoted_text": WORDS}


def test_a_request_gets_its_number_at_triage():
    desk = office()
    intake = desk.call("deal_desk.create", **TERM)
    assert intake == {"intake_id": "IN-5211", "request_id": None, "state": "new"}
    (asked,) = desk.effects_of("request")
    assert (asked.recipients, asked.about, asked.refs) == (
        ("deal.desk",),
        "C-7731",
        ("activities://ACT-50233",),
    )
    assert asked.data["words_found"] is True
    desk.pass_time(20)
    assert desk.call("deal_desk.get", id="IN-5211")["request_id"] is None
    desk.pass_time(5)
    found = desk.call("deal_desk.get", id="IN-5211")
    assert (found["request_id"], found["state"]) == ("DD-2263", "triaged")
    assert desk.call("deal_desk.get", id="DD-2263") == found
    assert [notice.text for notice in desk.world.take_notices()] == ["IN-5211: triaged"]


def test_words_are_found_whatever_their_line_breaks():
    desk = office()
    desk.call("deal_desk.create", **{**TERM, "quoted_text": "“step out of  Year Two, I’ll square it”"})
    assert desk.effects_of("request")[0].data["words_found"] is True


def test_a_side_term_whose_words_are_not_there_is_sent_back():
    desk = office()
    intake = desk.call("deal_desk.create", **{**TERM, "quoted_text": "a free year"})["intake_id"]
    desk.pass_time(30)
    found = desk.call("deal_desk.get", id=intake)
    assert (found["state"], found["request_id"], len(found["comments"])) == ("returned", None, 1)


def test_other_requests_need_no_words():
    desk = office()
    desk.call("deal_desk.create", contract_id="C-7731", type="ramp", note="Three blocks.")
    desk.pass_time(30)
    assert desk.call("deal_desk.search", state="triaged")["items"][0]["request_id"] == "DD-2263"


def test_a_withdrawn_request_is_not_triaged():
    desk = office()
    intake = desk.call("deal_desk.create", **TERM)["intake_id"]
    desk.call("deal_desk.withdraw", id=intake)
    desk.pass_time(30)
    assert desk.call("deal_desk.get", id=intake)["state"] == "withdrawn"
    with pytest.raises(ToolError) as refused:
        desk.call("deal_desk.withdraw", id=intake)
    assert refused.value.code == "conflict"


def test_a_comment_is_a_report_to_the_desk():
    desk = office()
    intake = desk.call("deal_desk.create", **TERM)["intake_id"]
    desk.call("deal_desk.comment", id=intake, text="Customer is on copy.")
    assert desk.effects_of("report")[0].recipients == ("deal.desk",)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"contract_id": "C-1"}, "not_found"),
        ({"activity_ids": ["ACT-1"]}, "not_found"),
        ({"activity_ids": []}, "invalid_arguments"),
        ({"quoted_text": " "}, "invalid_arguments"),
        ({"quoted_text": "x" * 900}, "invalid_arguments"),
    ],
)
def test_a_bad_request_is_refused(change, code):
    with pytest.raises(ToolError) as refused:
        office().call("deal_desk.create", **{**TERM, **change})
    assert refused.value.code == code
