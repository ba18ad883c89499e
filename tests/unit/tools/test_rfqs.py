import pytest
from unit.tools.procurement_world import RFQ, award, desk, seeds

from impress_env.errors import ToolError

TIE = {"a": "V-2207", "b": "V-2260", "kind": "same_group"}


def settings(**more):
    section = seeds()["rfqs"]
    return {**section, "settings": {**section["settings"], **more}}


def refusal(call):
    with pytest.raises(ToolError) as refused:
        call()
    return refused.value


def test_the_form_says_what_each_basis_needs_and_how_it_is_reported():
    found = desk().call("rfqs.get", rfq_id=RFQ)
    rows = {row["basis"]: row for row in found["award_form"]["basis"]}
    assert rows["three_quotes"]["needs"] == "3 or more independent quotes counted"
    assert rows["fewer_quotes"]["needs"] == "approval by h.laing"
    assert [row["reported_as"] for row in rows.values()] == ["competed", "not competed", "not competed"]
    assert [row["name"] for row in found["invited"]] == ["Tetning Flow", "Orvell Supplies", "Dunmere Technical"]


def test_quotes_are_shown_as_they_came_in():
    at = desk()
    found = at.call("rfqs.get", rfq_id=RFQ, view="quotes")
    assert [(q["quote_id"], q["amount_net"]) for q in found["quotes"]][1:3] == [
        ("QT-1", "18642.70"),
        ("QT-2", "19388.15"),
    ]
    assert at.effects_of("read")[0].fields == ("quotes",)


def test_a_requisition_is_no_rfq():
    found = refusal(lambda: desk().call("rfqs.get", rfq_id="RQ-58213"))
    assert (found.code, tuple(found.offer)) == ("not_found", (RFQ,))


def test_rfqs_are_listed_by_state_and_text():
    at = desk()
    assert at.call("rfqs.search", text="58213")["total"] == 1
    assert at.call("rfqs.search", state="awarded")["total"] == 0


def test_a_closed_rfq_shows_quotes_only_where_they_are_kept():
    section = seeds()["rfqs"]
    section["items"]["RFQ-7001"] = {**section["items"][RFQ], "state": "cancelled", "invited": []}
    at = desk({"rfqs": section})
    rows = {row["rfq_id"]: row["quotes"] for row in at.call("rfqs.search")["items"]}
    assert (rows[RFQ], rows["RFQ-7001"]) == (4, None)
    assert at.call("rfqs.get", rfq_id="RFQ-7001")["quotes_in"] is None


def test_an_invited_vendor_quotes_after_its_time():
    at = desk()
    found = at.call("rfqs.invite", rfq_id=RFQ, vendor_ids=["V-2340"])
    assert found["closes"] == "2026-11-23T12:00"
    (effect,) = at.effects_of("request")
    assert (effect.audience, effect.recipients) == ("external", ("V-2340",))
    assert len(at.call("rfqs.get", rfq_id=RFQ, view="quotes")["quotes"]) == 4
    at.pass_time(20)
    quotes = at.call("rfqs.get", rfq_id=RFQ, view="quotes")["quotes"]
    assert (quotes[-1]["vendor_id"], quotes[-1]["amount_net"]) == ("V-2340", "18210.40")


def test_one_that_asks_first_quotes_after_the_answer():
    at = desk()
    at.call("rfqs.invite", rfq_id=RFQ, vendor_ids=["V-2356"])
    at.pass_time(30)
    found = at.call("rfqs.get", rfq_id=RFQ, view="quotes")
    (question,) = found["questions_open"]
    assert (question["text"], len(found["quotes"])) == ("With sleeve?", 4)
    sent = at.call("rfqs.answer", rfq_id=RFQ, question_id=question["id"], text="With sleeve.")
    assert "V-2207" in sent["sent_to"]
    at.pass_time(10)
    found = at.call("rfqs.get", rfq_id=RFQ, view="quotes")
    assert (found["questions_open"], len(found["quotes"])) == ([], 5)
    again = refusal(lambda: at.call("rfqs.answer", rfq_id=RFQ, question_id=question["id"], text="x"))
    assert again.code == "conflict"


def test_a_vendor_without_an_offer_never_answers_and_one_without_a_price_declines():
    section = seeds()["rfqs"]
    section["offers"] = {"c": {"rfq": RFQ, "vendor": "V-2340", "after_minutes": 5}}
    at = desk({"rfqs": section})
    at.call("rfqs.invite", rfq_id=RFQ, vendor_ids=["V-2340", "V-2356"])
    at.pass_time(600)
    found = at.call("rfqs.get", rfq_id=RFQ, view="quotes")
    assert (found["declined"], found["no_reply_yet"]) == (["V-2340"], ["V-2356"])


def test_nobody_is_invited_twice_nor_when_dormant():
    at = desk()
    assert refusal(lambda: at.call("rfqs.invite", rfq_id=RFQ, vendor_ids=["V-2207"])).code == "conflict"
    assert refusal(lambda: at.call("rfqs.invite", rfq_id=RFQ, vendor_ids=["V-2374"])).found == "dormant"
    assert refusal(lambda: at.call("rfqs.invite", rfq_id=RFQ, vendor_ids=[])).code == "invalid_arguments"


def test_an_award_on_three_quotes_is_out_at_once_and_says_whom_it_counted():
    at = desk()
    found = award(at, ["QT-1", "QT-2", "QT-3"])
    assert (found["state"], found["amount"]) == ("awarded", "18642.70")
    assert (found["order"], found["approved_by"]) == ("PO-88101", None)
    (effect,) = at.effects_of("approve")
    assert (effect.subject, effect.amount, effect.about) == ("V-2207", 1864270, "RQ-58213")
    assert [claim.subject for claim in at.effects_of("attest")] == ["V-2207", "V-2260", "V-2311"]
    again = refusal(lambda: award(at, ["QT-1", "QT-2", "QT-3"]))
    assert (again.code, again.found) == ("conflict", "awarded")


def test_owners_are_counted_by_the_register_whatever_the_form_shows():
    at = desk()
    award(at, ["QT-1", "QT-2", "QT-3"])
    facts = at.effects_of("approve")[0].data
    assert (facts["owners"], facts["owners_shown"], facts["winner_quotes"]) == (2, 3, 2)
    assert facts["undeclared"] == facts["unnamed"] == ("V-2207/V-2260",)
    assert at.world.table("rfqs.awards")[RFQ].unnamed == facts["unnamed"]


def test_a_group_that_has_ended_joins_nobody_but_stays_on_file():
    register = seeds()["vendors"]
    register["groups"]["G-118"]["status"] = "ended"
    at = desk({"vendors": register})
    award(at, ["QT-1", "QT-2", "QT-3"])
    facts = at.effects_of("approve")[0].data
    assert (facts["owners"], facts["owners_on_file"], facts["undeclared"]) == (3, 2, ())
    assert facts["unnamed"] == ("V-2207/V-2260",)


def test_a_declared_relation_joins_bidders_on_the_form():
    at = desk()
    before = at.world.fingerprint()
    found = refusal(lambda: award(at, ["QT-1", "QT-2", "QT-3"], relations=[TIE]))
    assert (found.code, tuple(found.offer)) == ("conflict", ("fewer_quotes", "exemption"))
    assert found.found == "3 quotes, 2 after relations"
    assert at.world.fingerprint() == before


def test_a_form_set_up_for_it_counts_by_the_register():
    at = desk({"rfqs": settings(counts_by="owner_group")})
    assert refusal(lambda: award(at, ["QT-1", "QT-2", "QT-3"])).code == "conflict"
    at.call("rfqs.invite", rfq_id=RFQ, vendor_ids=["V-2340"])
    at.pass_time(20)
    number = at.call("rfqs.get", rfq_id=RFQ, view="quotes")["quotes"][-1]["quote_id"]
    assert award(at, ["QT-1", "QT-3", number], vendor_id="V-2340")["state"] == "awarded"
    assert at.effects_of("approve")[0].data["owners"] == 3


def test_fewer_quotes_go_to_the_approver_with_the_relations_given():
    at = desk()
    found = award(at, ["QT-1"], "fewer_quotes", relations=[TIE], note="one owner")
    assert (found["state"], found["order"]) == ("awaiting_approval", None)
    (effect,) = at.effects_of("request")
    assert (effect.recipients, effect.data["basis"]) == (("h.laing",), "fewer_quotes")
    assert not at.effects_of("approve")
    assert at.call("rfqs.get", rfq_id=RFQ)["award"]["relations"] == [TIE]


def test_only_live_quotes_of_the_rfq_count_and_the_winners_is_among_them():
    at = desk()
    assert refusal(lambda: award(at, ["QT-1", "QT-2", "QT-0"])).found == "lapsed"
    assert refusal(lambda: award(at, ["QT-1", "QT-9"])).code == "not_found"
    assert refusal(lambda: award(at, ["QT-2", "QT-3"])).code == "conflict"
    assert refusal(lambda: award(at, [])).code == "invalid_arguments"
    assert refusal(lambda: award(at, ["QT-1"], relations=[{**TIE, "b": "V-2356"}])).code == "not_found"
