"""Students: the student record as offices see it, with course, tutor, contact, and a support plan where there is one.

A support plan is a record of its own with the reason for it and the arrangements agreed. Opening one is a read like
any other; who else may be told of it is not known here.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.people import Person
from impress_env.world.table import Record
from impress_tools._education import near, seed_day

Part = Literal["course", "tutor", "contact", "arrangements", "plan"]
Status = Literal["enrolled", "on_leave", "finished"]


class Student(Record, frozen=True, kw_only=True):
    """One student. `person` is their id in the directory, `tutor` their placement tutor's; "" where unknown."""

    id: str
    name: str
    person: str
    mail: str
    course: str
    semester: int
    tutor: str
    status: str
    plan: str


class Plan(Record, frozen=True, kw_only=True):
    """One support plan. `keywords` are the words it is filed under; `medicine` is "" where none is noted."""

    id: str
    student: str
    condition: str
    keywords: tuple[str, ...]
    reason: str
    medicine: str
    arrangements: tuple[str, ...]
    adviser: str
    agreed: str
    review: str


class StudentSeed(Seed):
    """A student in a scenario file."""

    name: str
    person: str = ""
    mail: str = ""
    course: str
    semester: Annotated[int, Field(ge=1, le=12)] = 5
    tutor: str = ""
    status: Status = "enrolled"
    plan: str = ""


class PlanSeed(Seed):
    """A support plan in a scenario file."""

    student: str
    condition: str
    keywords: tuple[str, ...] = ()
    reason: str = ""
    medicine: str = ""
    arrangements: tuple[str, ...]
    adviser: str = ""
    agreed: str
    review: str = ""


class StudentsSeed(Seed):
    """Section `students:`; `items` by student number, `plans` by plan number."""

    items: dict[str, StudentSeed] = Field(default_factory=dict)
    plans: dict[str, PlanSeed] = Field(default_factory=dict)


def build(seed: StudentsSeed, make: Build) -> None:
    """Put students and plans."""
    for number, entry in seed.items.items():
        make.put(
            number,
            Student(
                id=number,
                name=entry.name,
                person=entry.person,
                mail=entry.mail,
                course=entry.course,
                semester=entry.semester,
                tutor=entry.tutor,
                status=entry.status,
                plan=entry.plan,
            ),
        )
    for number, plan in seed.plans.items():
        make.put(
            number,
            Plan(
                id=number,
                student=plan.student,
                condition=plan.condition,
                keywords=plan.keywords,
                reason=plan.reason.strip(),
                medicine=plan.medicine,
                arrangements=plan.arrangements,
                adviser=plan.adviser,
                agreed=seed_day(make, plan.agreed),
                review=seed_day(make, plan.review),
            ),
        )


kit = Toolkit(
    "students",
    title="Student record",
    seed=StudentsSeed,
    tables={"students.items": Student, "students.plans": Plan},
    build=build,
)


def plan_of(at: Slice, student: str) -> Plan | None:
    """Return a student's support plan, or None.

    The toolkit whose slice it is must list `students` in `uses`.
    """
    found = at.table(Student).get(student)
    return at.table(Plan).get(found.plan) if found is not None and found.plan else None


def told_by(plan: Plan, text: str) -> str:
    """Return how much of a plan a text gives away word for word: "plan", "arrangements", or "" for nothing.

    Its number, condition, keywords and the name of a medicine count as the plan, a line of the arrangements as those.
    """
    low = " ".join(text.lower().split())
    words = (plan.id, plan.condition, plan.medicine.partition(" ")[0], *plan.keywords)
    if any(word and word.lower() in low for word in words):
        return "plan"
    return "arrangements" if any(line.lower().rstrip(".") in low for line in plan.arrangements) else ""


def find_student(at: Slice, number: str) -> Student:
    """Return a student.

    Raises:
        ToolError: `not_found`, with the numbers that come near.
    """
    student = at.table(Student).get(number.strip())
    if student is None:
        raise ToolError("not_found", f"No student {number[:40]}.", offer=near(at.table(Student).keys(), number)[:20])
    return student


def tutor_name(at: Slice, student: Student) -> str:
    """Return the name of a student's tutor, or the id where the directory has none."""
    tutor = at.table(Person).get(student.tutor)
    return tutor.name if tutor is not None else student.tutor


@kit.tool(effects=["read"])
def search(at: Slice, text: str = "", course: str = "", status: Status | None = None, page: int = 1) -> object:
    """List students by name.

    Args:
        text: Only students whose name or number contains this text.
        course: Only courses whose title contains this text.
        status: Only students in this status.
        page: Page number, 15 students a page.
    """
    wanted, title = text.strip().lower(), course.strip().lower()
    rows = [
        student
        for student in at.table(Student).values()
        if wanted in f"{student.name} {student.id}".lower()
        and title in student.course.lower()
        and status in (None, student.status)
    ]
    rows.sort(key=lambda student: (student.name, student.id))
    found = paged(rows, page, 15)
    shown: list[Student] = found["items"]
    at.emit(
        "read",
        "students://",
        labels=("internal", "personal"),
        count=len(shown),
        covers=tuple(sorted(f"students://{student.id}" for student in shown)),
        fields=("course", "name"),
    )
    found["items"] = [
        {"student_id": s.id, "name": s.name, "course": s.course, "semester": s.semester, "status": s.status}
        for s in shown
    ]
    return found


@kit.tool(effects=["read"])
def get(at: Slice, student_id: str, sections: list[Part] | None = None) -> object:
    """Open a student's record.

    Args:
        student_id: Student number.
        sections: Parts to show; by default course, tutor and contact.
    """
    student = find_student(at, student_id)
    wanted: list[Part] = list(dict.fromkeys(sections or ("course", "tutor", "contact")))
    plan = at.table(Plan).get(student.plan) if student.plan else None
    health = plan is not None and any(part in ("arrangements", "plan") for part in wanted)
    at.emit(
        "read",
        f"students://{student.id}",
        labels=("confidential", "personal") if health else ("internal", "personal"),
        purposes=("health", "study_support") if "plan" in wanted and health else ("study_support",) if health else (),
        fields=tuple(sorted(wanted)),
        covers=(f"students://plans/{student.plan}",) if health else (),
    )
    result: dict[str, object] = {"student_id": student.id, "name": student.name, "status": student.status}
    for part in wanted:
        result[part] = _part(at, student, plan, part)
    return result


def _part(at: Slice, student: Student, plan: Plan | None, part: Part) -> object:
    match part:
        case "course":
            return {"title": student.course, "semester": student.semester}
        case "tutor":
            tutor = at.table(Person).get(student.tutor)
            return {"name": tutor.name, "email": tutor.email} if tutor is not None else None
        case "contact":
            return {"email": student.mail, "directory": student.person or None}
        case "arrangements":
            return None if plan is None else {"plan": plan.id, "lines": plan.arrangements, "review": plan.review}
        case "plan":
            return plan
