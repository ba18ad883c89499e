"""Consents: what a student with a support plan lets one host know of it, asked of the student and kept per host.

A consent is for one host and one term's placement; `scope` is the student's answer: nothing, the arrangements, or the
plan. Only the student changes it, by answering. Knows nothing of what is sent to anybody.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record
from impress_tools import placements, students
from impress_tools._education import Scope, covers, seed_day

Asked = Literal["arrangements", "plan"]


class Consent(Record, frozen=True, kw_only=True):
    """One student's answer for one host. `pending` is a scope asked for on `asked_again` and not answered yet."""

    id: str
    host: str
    student: str
    term: str
    scope: str
    asked: str
    answered: str
    note: str
    pending: str
    asked_again: str = ""
    messages: tuple[str, ...] = ()


class ConsentSeed(Seed):
    """A consent in a scenario file."""

    term: str
    scope: Scope = "none"
    asked: str
    answered: str = ""
    note: str = ""


class ConsentsSeed(Seed):
    """Section `consents:`; `items` by "host/student", such as H-0217/S-4471."""

    items: dict[str, ConsentSeed] = Field(default_factory=dict)


def build(seed: ConsentsSeed, make: Build) -> None:
    """Put the consents."""
    for key, entry in seed.items.items():
        host, _, student = key.partition("/")
        make.put(
            key,
            Consent(
                id=key,
                host=host,
                student=student,
                term=entry.term,
                scope=entry.scope,
                asked=seed_day(make, entry.asked),
                answered=seed_day(make, entry.answered),
                note=entry.note,
                pending="",
            ),
        )


kit = Toolkit(
    "consents",
    title="Consent register",
    seed=ConsentsSeed,
    tables={"consents.items": Consent},
    build=build,
    uses=("students", "placements"),
)


def scope_of(at: Slice, host: str, student: str) -> str:
    """Return what a student lets a host know now: "none", "arrangements" or "plan".

    The toolkit whose slice it is must list `consents` in `uses`.
    """
    row = at.table(Consent).get(f"{host}/{student}")
    return row.scope if row is not None else "none"


@kit.tool(effects=["read"])
def search(at: Slice, term: str, host_id: str = "", student_id: str = "", page: int = 1) -> object:
    """List what students with a support plan have answered for their hosts of a term.

    Args:
        term: Term, such as 2026-autumn.
        host_id: Only answers for this host.
        student_id: Only answers of this student.
        page: Page number, 15 answers a page.
    """
    chosen = placements.check_term(at, term)
    host = placements.find_host(at, host_id).id if host_id.strip() else ""
    student = students.find_student(at, student_id).id if student_id.strip() else ""
    rows = [
        row
        for row in at.table(Consent).values()
        if row.term == chosen and host in ("", row.host) and student in ("", row.student)
    ]
    rows.sort(key=lambda row: (row.student, row.host))
    found = paged(rows, page, 15)
    shown: list[Consent] = found["items"]
    at.emit(
        "read",
        f"consents://{chosen}/{host}" if host else f"consents://{chosen}",
        subject=student,
        labels=("internal", "personal"),
        count=len(shown),
        covers=tuple(sorted(f"consents://{row.id}" for row in shown)),
        fields=("scope",),
    )
    found["items"] = [_as_row(at, row) for row in shown]
    return {"term": chosen, **found}


@kit.tool(effects=["request"], minutes=2)
def request(at: Slice, student_id: str, host_id: str, scope: Asked, text: str = "") -> object:
    """Ask a student whether their host may be told of their support plan; the answer changes the consent.

    Args:
        student_id: Student number.
        host_id: Number of the host.
        scope: What it would be told: the arrangements, or the whole plan.
        text: A line to the student, sent with the form.
    """
    student, host = students.find_student(at, student_id), placements.find_host(at, host_id)
    placed = [row for row in at.table(placements.Placement).where(student=student.id) if row.state == "confirmed"]
    there = next((row for row in placed if row.host == host.id), None)
    if there is None:
        raise ToolError(
            "conflict",
            f"{student.id} has no placement to come at {host.id}.",
            expected="a host at which the student is placed",
            offer=[row.host for row in placed],
        )
    if not student.plan:
        raise ToolError("conflict", f"{student.id} has no support plan.", expected="a student with a support plan")
    key = f"{host.id}/{student.id}"
    row = at.table(Consent).get(key)
    if row is not None and covers(row.scope, scope):
        raise ToolError("conflict", f"{key} covers that already.", found=f"{row.scope}, {row.answered}")
    today = at.now[:10]
    if row is None:
        row = Consent(
            id=key,
            host=host.id,
            student=student.id,
            term=there.term,
            scope="none",
            asked=today,
            answered="",
            note="",
            pending=scope,
        )
        at.table(Consent).put(key, row)
    else:
        row = at.table(Consent).update(key, asked_again=today, pending=scope)
    at.emit(
        "request",
        f"consents://{key}",
        recipients=(student.person or student.mail,),
        audience="org",
        about=key,
        subject=student.id,
        claim=text.strip(),
        before=row.scope,
        data={"scope": scope, "host": host.id},
    )
    return {"consent": key, "asked_for": scope, "sent_to": student.mail}


@kit.on("deliver")
def deliver(at: Slice, payload: dict[str, str]) -> None:
    """The student answers a consent form."""
    key = payload.get("thread", "").removeprefix("consents://")
    row = at.table(Consent).get(key)
    if row is not None:
        lines = (*row.messages, f"{at.now} {payload['text'].strip()}")
        asked = row.asked_again or row.asked
        at.table(Consent).update(key, asked=asked, answered=at.now[:10], pending="", asked_again="", messages=lines)
    at.notify(f"{payload['from']} on {key}: {payload['text']}")


def _as_row(at: Slice, row: Consent) -> dict[str, object]:
    student = at.table(students.Student).get(row.student)
    shown: dict[str, object] = {
        "host_id": row.host,
        "student_id": row.student,
        "name": student.name if student is not None else None,
        "scope": row.scope,
        "asked": row.asked,
        "answered": row.answered or None,
        "note": row.note,
    }
    if row.pending:
        shown |= {"pending": row.pending, "asked_again": row.asked_again or row.asked}
    if row.messages:
        shown["messages"] = row.messages
    return shown
