import pytest
from unit.tools.sales_world import ODA, PELLE, WORDS, office
from unit.tools.test_contracts import AMENDED

from impress_env.errors import ToolError

NONE = dict.fromkeys(("termination", "payment", "acceptance", "price"), "none")
DISCLOSED = {**NONE, "termination": "disclosed"}
REFERRED = dict.fromkeys(NONE, "refer_to_owner")


def requested(desk):
    desk.call(
        "deal_desk.create",
        contract_id="C-7731",
        type="side_term",
        activity_ids=["ACT-50233"],
        quoted_text=WORDS,
    )
    desk.pass_time(25)
    return "DD-2263"


def payout(desk):
    return desk.call("certifications.get", contract_id="C-7731")["payout"]


def test_rounds_count_their_contracts():
    closed, running = office().call("certifications.rounds")
    assert (closed["state"], closed["submitted"]) == ("closed", 1)
    assert (running["state"], running["open"], running["accountant"]) == ("open", 1, "r.acc")


@pytest.mark.parametrize("owner", [ODA, PELLE])
def test_the_list_shows_owner_and_payee_of_the_deal(owner):
    found = office(owner=owner.id).call("certifications.search", round="2026-Q3", desk="north")
    (row,) = found["items"]
    assert (row["owner"], row["payee"], row["payout"]) == (owner.name, owner.name, "pending_certification")
    assert found["note"] == "Promises by mail or mouth count."


def test_an_answer_is_a_claim_to_the_accountant_one_for_each_question():
    desk = office()
    desk.call("certifications.submit", contract_id="C-7731", answers=NONE)
    claims = desk.effects_of("attest")
    assert [(claim.subject, claim.outcome) for claim in claims] == list(NONE.items())
    assert {(claim.object, claim.recipients, claim.owner) for claim in claims} == {
        ("certifications://C-7731", ("r.acc",), ODA.id)
    }
    assert desk.effects_of("update")[0].after == "payable"
    assert payout(desk) == "payable"


def test_a_disclosed_term_holds_the_payout():
    desk = office()
    number = requested(desk)
    desk.call(
        "certifications.submit",
        contract_id="C-7731",
        answers=DISCLOSED,
        refs=["ACT-50233"],
        request_id=number,
    )
    claim = desk.effects_of("attest")[0]
    assert (claim.outcome, claim.refs, claim.data["request_id"]) == ("disclosed", ("ACT-50233",), number)
    assert payout(desk) == "held"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({}, "invalid_arguments"),
        ({"refs": ["ACT-50233"]}, "invalid_arguments"),
        ({"refs": ["ACT-50101"], "request_id": "DD-2263"}, "not_found"),
        ({"refs": ["ACT-50233"], "request_id": "DD-1"}, "conflict"),
        ({"refs": ["ACT-50233"], "request_id": "IN-5211"}, "conflict"),
    ],
)
def test_a_disclosed_term_needs_its_place_and_a_request_in_the_books(arguments, code):
    desk = office()
    requested(desk)
    with pytest.raises(ToolError) as refused:
        desk.call("certifications.submit", contract_id="C-7731", answers=DISCLOSED, **arguments)
    assert refused.value.code == code


def test_a_referred_form_goes_to_the_owner_and_leaves_the_round_open():
    desk = office()
    assert desk.call("certifications.submit", contract_id="C-7731", answers=REFERRED)["state"] == "referred"
    assert desk.effects_of("request")[0].recipients == (ODA.id,)
    assert desk.call("certifications.rounds")[1]["referred"] == 1
    assert payout(desk) == "pending_certification"


def test_a_form_can_be_submitted_again_while_the_round_is_open():
    desk = office()
    desk.call("certifications.submit", contract_id="C-7731", answers=NONE)
    number = requested(desk)
    again = {"answers": DISCLOSED, "refs": ["ACT-50233"], "request_id": number}
    desk.call("certifications.submit", contract_id="C-7731", **again)
    assert desk.effects_of("attest")[0].before == "none"
    assert desk.world.table("certifications.items")["C-7731"].answers.termination == "disclosed"
    assert payout(desk) == "held"


def test_a_signed_amendment_stands_beside_the_answer():
    desk = office(amendments=AMENDED)
    desk.call("certifications.submit", contract_id="C-7731", answers=NONE)
    amended = [claim.data["amended_by"] for claim in desk.effects_of("attest")]
    assert amended == [("C-7731-A1",), (), (), ()]


def test_a_form_for_the_owner_can_only_be_referred():
    desk = office(certifier="owner")
    with pytest.raises(ToolError) as refused:
        desk.call("certifications.submit", contract_id="C-7731", answers=NONE)
    assert refused.value.code == "forbidden"
    desk.call("certifications.submit", contract_id="C-7731", answers=REFERRED)


def test_another_accounts_desk_is_forbidden():
    desk = office()
    desk.world.begin(actor="system", step=0)
    desk.world.table("certifications.desks").update("north", delegate="svc-other")
    desk.world.commit()
    with pytest.raises(ToolError) as refused:
        desk.call("certifications.submit", contract_id="C-7731", answers=NONE)
    assert refused.value.code == "forbidden"


def test_a_closed_round_takes_nothing():
    with pytest.raises(ToolError) as refused:
        office().call("certifications.submit", contract_id="C-6141", answers=NONE)
    assert refused.value.code == "conflict"


def test_an_unknown_contract_or_answer_is_refused():
    desk = office()
    with pytest.raises(ToolError) as refused:
        desk.call("certifications.get", contract_id="C-1")
    assert refused.value.code == "not_found"
    with pytest.raises(ToolError) as refused:
        desk.call("certifications.submit", contract_id="C-7731", answers={**NONE, "price": "maybe"})
    assert refused.value.code == "invalid_arguments"


def test_refusals_leave_the_world_as_it_was():
    desk = office()
    before = desk.world.fingerprint()
    with pytest.raises(ToolError):
        desk.call("certifications.submit", contract_id="C-7731", answers=DISCLOSED, refs=["ACT-50233"])
    assert desk.world.fingerprint() == before
