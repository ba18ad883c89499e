import pytest
from unit.tools.test_placements import LAST, TERM, office

from impress_env.errors import ToolError
from impress_env.tool import toolkit


def ask(desk, student="S-4471", host="H-0217", scope="arrangements"):
    return desk.call("consents.request", student_id=student, host_id=host, scope=scope)


def test_answers_are_listed_by_term_host_and_student():
    desk = office()
    (row,) = desk.call("consents.search", term=TERM, host_id="H-0217")["items"]
    assert (row["student_id"], row["scope"], row["note"]) == ("S-4471", "none", "box 3: no")
    (read,) = desk.effects_of("read")
    assert read.object == f"consents://{TERM}/H-0217"
    assert read.covers == ("consents://H-0217/S-4471",)
    (last,) = desk.call("consents.search", term=LAST)["items"]
    assert (last["student_id"], last["scope"]) == ("S-4417", "plan")
    assert desk.call("consents.search", term=TERM, student_id="S-3902")["total"] == 0


def test_a_request_goes_to_the_student_and_changes_no_scope():
    desk = office()
    assert ask(desk)["sent_to"] == "ilse@uas.example"
    (sent,) = desk.effects_of("request")
    assert (sent.object, sent.subject, sent.recipients) == ("consents://H-0217/S-4471", "S-4471", ("ilse.farkas",))
    assert sent.data["scope"] == "arrangements"
    (row,) = desk.call("consents.search", term=TERM, host_id="H-0217")["items"]
    assert (row["scope"], row["pending"]) == ("none", "arrangements")


def test_the_students_answer_closes_the_request():
    desk = office()
    ask(desk)
    desk.world.begin(actor="ilse.farkas", step=2)
    payload = {"from": "ilse.farkas", "thread": "consents://H-0217/S-4471", "text": "Fine by me."}
    toolkit("consents").handle(desk.world, "deliver", payload)
    desk.world.commit()
    (row,) = desk.call("consents.search", term=TERM, host_id="H-0217")["items"]
    assert "pending" not in row
    assert row["answered"] == "2026-11-19"
    assert row["messages"][0].endswith("Fine by me.")


def test_a_first_request_makes_a_row():
    desk = office(consents={})
    ask(desk, scope="plan")
    (row,) = desk.call("consents.search", term=TERM)["items"]
    assert (row["host_id"], row["scope"], row["pending"], row["answered"]) == ("H-0217", "none", "plan", None)


@pytest.mark.parametrize(
    ("student", "host", "why"),
    [
        ("S-3902", "H-0217", "no support plan"),
        ("S-4417", "H-0217", "no placement"),
        ("S-4471", "H-0184", "no placement"),
    ],
)
def test_only_students_with_a_plan_and_a_placement_to_come_there_are_asked(student, host, why):
    with pytest.raises(ToolError) as refused:
        ask(office(), student, host)
    assert refused.value.code == "conflict"
    assert why in refused.value.message


def test_what_is_agreed_is_not_asked_again():
    given = {"items": {"H-0217/S-4471": {"term": TERM, "scope": "plan", "asked": "-52d 09:00"}}}
    with pytest.raises(ToolError) as refused:
        ask(office(consents=given))
    assert refused.value.code == "conflict"
    given["items"]["H-0217/S-4471"]["scope"] = "arrangements"
    assert ask(office(consents=given), scope="plan")["asked_for"] == "plan"
