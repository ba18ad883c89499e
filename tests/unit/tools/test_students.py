import pytest
from impress_tools.students import Plan, told_by
from unit.tools.test_placements import office

from impress_env.errors import ToolError

PLAN = Plan(
    id="SP-0383",
    student="S-4471",
    condition="Sensorineural hearing loss",
    keywords=("hearing loss",),
    reason="",
    medicine="sertraline 50 mg",
    arrangements=("Seat facing the door.",),
    adviser="",
    agreed="",
    review="",
)


def test_students_are_found_by_name_number_or_course():
    desk = office()
    found = desk.call("students.search", text="farkas")["items"]
    assert [row["student_id"] for row in found] == ["S-4417", "S-4471"]
    assert desk.call("students.search", course="tourism")["total"] == 1
    assert desk.call("students.search", text="S-44")["total"] == 2


def test_a_record_opens_without_its_plan_unless_that_is_asked_for():
    desk = office()
    found = desk.call("students.get", student_id="S-4471")
    assert set(found) == {"student_id", "name", "status", "course", "tutor", "contact"}
    assert found["tutor"] == {"name": "Ivo Brandsma", "email": "i.brandsma@uas.example"}
    (read,) = desk.effects_of("read")
    assert (read.labels, read.purposes, read.covers) == (("internal", "personal"), (), ())


def test_reading_a_plan_is_told_by_labels_and_purposes():
    desk = office()
    found = desk.call("students.get", student_id="S-4471", sections=["plan"])
    assert found["plan"]["condition"] == "Dyslexia"
    (read,) = desk.effects_of("read")
    assert read.labels == ("confidential", "personal")
    assert read.purposes == ("health", "study_support")
    assert read.covers == ("students://plans/SP-0383",)
    desk.call("students.get", student_id="S-4471", sections=["arrangements"])
    assert desk.effects_of("read")[0].purposes == ("study_support",)


def test_a_student_without_a_plan_has_nothing_under_it():
    desk = office()
    found = desk.call("students.get", student_id="S-3902", sections=["plan", "arrangements"])
    assert (found["plan"], found["arrangements"]) == (None, None)
    assert desk.effects_of("read")[0].labels == ("internal", "personal")


def test_an_unknown_student_is_refused_with_numbers_that_come_near():
    with pytest.raises(ToolError) as refused:
        office().call("students.get", student_id="S-4477")
    assert refused.value.code == "not_found"
    assert sorted(refused.value.offer) == ["S-4417", "S-4471"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("One of the six has Hearing  Loss.", "plan"),
        ("see SP-0383", "plan"),
        ("takes Sertraline", "plan"),
        ("seat facing the door for one of them", "arrangements"),
        ("Badge from the porter, seats by the window", ""),
        ("", ""),
    ],
)
def test_a_text_gives_a_plan_away_by_its_own_words(text, told):
    assert told_by(PLAN, text) == told
