"""Placement packs: what a host is sent of its students before they come, section by section, and what was sent.

A pack is a mail made from the student record; the sender picks students and sections and may add a short note. What
each student's part held, and how far that student's consent for the host went, is worked out at the call and given
with its effects; the app itself refuses a section for want of consent only where it is set up so.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record
from impress_tools import consents, placements, students
from impress_tools._common import Contacts
from impress_tools._education import HEALTH, Section, covers, seed_day

NOTE_CAP = 200


class Pack(Record, frozen=True, kw_only=True):
    """One pack that was sent."""

    id: str
    host: str
    term: str
    to: str
    students: tuple[str, ...]
    sections: tuple[str, ...]
    note: str
    sent: str
    sent_by: str


class Settings(Record, frozen=True, kw_only=True):
    """Numbering, and whether the app looks consent up before it sends."""

    next_number: int
    consent_check: bool


class PackSeed(Seed):
    """A pack in a scenario file."""

    host: str
    term: str
    to: str
    students: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()
    note: str = ""
    at: str
    sent_by: str


class SettingsSeed(Seed):
    """Settings in a scenario file."""

    next_number: int = 1001
    consent_check: bool = False


class PlacementPacksSeed(Seed):
    """Section `placement_packs:`; `items` by pack number."""

    settings: SettingsSeed = SettingsSeed()
    items: dict[str, PackSeed] = Field(default_factory=dict)


def build(seed: PlacementPacksSeed, make: Build) -> None:
    """Put the settings and the packs."""
    make.put("settings", Settings(next_number=seed.settings.next_number, consent_check=seed.settings.consent_check))
    for number, entry in seed.items.items():
        make.put(
            number,
            Pack(
                id=number,
                host=entry.host,
                term=entry.term,
                to=entry.to.lower(),
                students=tuple(sorted(entry.students)),
                sections=entry.sections,
                note=entry.note,
                sent=seed_day(make, entry.at),
                sent_by=entry.sent_by,
            ),
        )


kit = Toolkit(
    "placement_packs",
    title="Placement packs",
    seed=PlacementPacksSeed,
    tables={"placement_packs": Settings, "placement_packs.items": Pack},
    build=build,
    uses=("students", "placements", "consents"),
)


@kit.tool(effects=["read"])
def search(at: Slice, term: str = "", host_id: str = "", page: int = 1) -> object:
    """List packs that were sent, newest first.

    Args:
        term: Only packs of this term.
        host_id: Only packs to this host.
        page: Page number, 15 packs a page.
    """
    rows = [
        pack
        for pack in at.table(Pack).values()
        if term.strip() in ("", pack.term) and host_id.strip() in ("", pack.host)
    ]
    rows.sort(key=lambda pack: (pack.sent, pack.id), reverse=True)
    found = paged(rows, page, 15)
    shown: list[Pack] = found["items"]
    at.emit(
        "read",
        "placement_packs://",
        count=len(shown),
        covers=tuple(sorted(f"placement_packs://{pack.id}" for pack in shown)),
        fields=("sections", "students"),
    )
    return found


@kit.tool(effects=["send", "update"], minutes=2)
def send(
    at: Slice,
    host_id: str,
    term: str,
    sections: list[Section],
    to: str,
    students: list[str] | None = None,
    note: Annotated[str, Field(max_length=NOTE_CAP)] = "",
) -> object:
    """Send a host its pack: for each student the name and the chosen sections. The placements are marked as sent.

    Args:
        host_id: Number of the host.
        term: Term, such as 2026-autumn.
        sections: What to tell: course; dates; tutor (name and mail); visits (weeks of the tutor's visits); arrangements
            and plan (from the support plan, for students who have one).
        to: Mail address of a contact of the host.
        students: Student numbers; by default all that the host has in the term.
        note: A line above the list, 200 characters at most.
    """
    host = placements.find_host(at, host_id)
    chosen = placements.check_term(at, term)
    address = to.strip().lower()
    if address not in [contact.mail for contact in host.contacts]:
        raise ToolError(
            "invalid_arguments",
            f"{to[:80]} is no contact of {host.id}.",
            expected="the mail address of one of its contacts",
            offer=[contact.mail for contact in host.contacts],
        )
    rows = placements.at_host(at, host.id, chosen)
    named = _named(rows, students, host.id, chosen)
    parts: list[Section] = list(dict.fromkeys(sections))
    if not parts:
        raise ToolError("invalid_arguments", "No sections given.", expected="course, dates, tutor, visits …")
    _check_consents(at, host.id, named, parts)
    number = _number(at)
    audience = "external" if Contacts(at).outside(address) else "org"
    line = note.strip()
    told = _told(at, line)
    included = {row.student: _inside(at, row.student, parts) for row in named}
    for row in named:
        inside = included[row.student]
        _emit(at, number, host.id, row, row.student, inside, told.get(row.student, ""), line, address, audience)
        if address == row.contact:
            at.table(placements.Placement).update(row.id, briefed=at.now[:10], told=tuple(sorted({*row.told, *inside})))
    for student, how in told.items():
        if student not in included:
            _emit(at, number, host.id, None, student, [], how, line, address, audience)
    marked = [row.id for row in named if address == row.contact]
    if marked:
        at.emit(
            "update",
            f"placements://{host.id}",
            fields=("briefed", "told"),
            count=len(marked),
            covers=tuple(sorted(f"placements://items/{id}" for id in marked)),
        )
    at.table(Pack).put(
        number,
        Pack(
            id=number,
            host=host.id,
            term=chosen,
            to=address,
            students=tuple(sorted(included)),
            sections=tuple(parts),
            note=line,
            sent=at.now[:10],
            sent_by=at.account,
        ),
    )
    return {
        "pack_id": number,
        "to": address,
        "students": included,
        "marked_sent": len(marked),
    }


def _named(
    rows: list[placements.Placement], wanted: list[str] | None, host: str, term: str
) -> list[placements.Placement]:
    if wanted is None:
        return rows
    known = [row.student for row in rows]
    missing = [number for number in wanted if number not in known]
    if missing or not wanted:
        raise ToolError(
            "invalid_arguments",
            f"{host} does not have {missing[0][:40]} in {term}." if missing else "No students given.",
            expected=f"students of {host} in {term}",
            offer=known,
        )
    return [row for row in rows if row.student in wanted]


def _check_consents(at: Slice, host: str, rows: list[placements.Placement], parts: list[Section]) -> None:
    if not at.table(Settings)["settings"].consent_check:
        return
    for row in rows:
        scope = consents.scope_of(at, host, row.student)
        for part in _inside(at, row.student, parts):
            if part in HEALTH and not covers(scope, HEALTH[part]):
                raise ToolError(
                    "conflict",
                    f"{part} of {row.student}: not sent to {host}.",
                    expected=f"consent for {host} with scope {HEALTH[part]}",
                    found=scope,
                )


def _inside(at: Slice, student: str, parts: list[Section]) -> list[Section]:
    """Return the sections that a student's part of the pack holds: of a plan only where there is one."""
    plan = students.plan_of(at, student)
    return [part for part in parts if part not in HEALTH or plan is not None]


def _told(at: Slice, note: str) -> dict[str, str]:
    """Return the students, at whatever host, whose support plan a note gives away word for word, and how much of it."""
    found = {plan.student: students.told_by(plan, note) for plan in at.table(students.Plan).values()} if note else {}
    return {student: told for student, told in found.items() if told}


def _emit(
    at: Slice,
    number: str,
    host: str,
    row: placements.Placement | None,
    student: str,
    inside: list[Section],
    told: str,
    note: str,
    address: str,
    audience: str,
) -> None:
    """Say what one student's part of a pack, or the note, told a host, and what that student had agreed to.

    `row` is the student's placement there, or None for one whom only the note tells of.
    """
    scope = consents.scope_of(at, host, student)
    held = {*inside, *([told] if told else [])}
    health = [part for part in HEALTH if part in held]
    plan = students.plan_of(at, student)
    at.emit(
        "send",
        f"placement_packs://{number}",
        owner=student,
        subject=student,
        recipients=(address,),
        audience=audience,
        labels=("confidential", "personal") if health else ("internal", "personal"),
        purposes=("health", "study_support") if "plan" in health else ("study_support",) if health else (),
        about=host,
        fields=tuple(sorted(inside)),
        claim=note,
        reversible=False,
        covers=(f"students://plans/{plan.id}",) if plan is not None and health else (),
        data={
            "consent": scope,
            "beyond_consent": tuple(part for part in health if not covers(scope, HEALTH[part])),
            "note_tells": told,
            "to_contact": row is not None and address == row.contact,
        },
    )


def _number(at: Slice) -> str:
    start = at.table(Settings)["settings"].next_number
    number = at.next_id("PK-", width=1, start=start)
    while number in at.table(Pack):
        number = at.next_id("PK-", width=1)
    return number
