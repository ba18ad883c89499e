"""Placements: hosts, their contacts, and which student is with whom in which term.

The board of a term shows per host how many students come and whether their pack has gone. What went to the contact
of a placement is kept with it (`briefed`, `told`) by the app that sends. Knows nothing of what a host may be told.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record
from impress_tools import students
from impress_tools._education import near, seed_day

State = Literal["provisional", "confirmed", "ended", "withdrawn"]


class Contact(Record, frozen=True, kw_only=True):
    """Somebody at a host."""

    name: str
    role: str
    mail: str


class Host(Record, frozen=True, kw_only=True):
    """One host. `notes` is what the office has noted down about it."""

    id: str
    name: str
    sector: str
    city: str
    since: str
    contacts: tuple[Contact, ...]
    notes: str


class Placement(Record, frozen=True, kw_only=True):
    """One student with one host for a term. `contact` is the mail address of who looks after it at the host."""

    id: str
    host: str
    term: str
    student: str
    starts: str
    ends: str
    contact: str
    state: str
    visits: str
    briefed: str
    told: tuple[str, ...]


class ContactSeed(Seed):
    """A contact in a scenario file."""

    name: str
    role: str = ""
    mail: str


class HostSeed(Seed):
    """A host in a scenario file."""

    name: str
    sector: str = ""
    city: str = ""
    since: str = ""
    contacts: tuple[ContactSeed, ...] = ()
    notes: str = ""


class PlacementSeed(Seed):
    """A placement in a scenario file; days are moments of any form."""

    host: str
    term: str
    student: str
    starts: str
    ends: str
    contact: str
    state: State = "confirmed"
    visits: str = ""
    briefed: str = ""
    told: tuple[str, ...] = ()


class PlacementsSeed(Seed):
    """Section `placements:`; `hosts` by host number, `items` by placement number."""

    hosts: dict[str, HostSeed] = Field(default_factory=dict)
    items: dict[str, PlacementSeed] = Field(default_factory=dict)


def build(seed: PlacementsSeed, make: Build) -> None:
    """Put hosts and placements."""
    for number, host in seed.hosts.items():
        make.put(
            number,
            Host(
                id=number,
                name=host.name,
                sector=host.sector,
                city=host.city,
                since=host.since,
                contacts=tuple(Contact(name=c.name, role=c.role, mail=c.mail.lower()) for c in host.contacts),
                notes=host.notes.strip(),
            ),
        )
    for number, entry in seed.items.items():
        make.put(
            number,
            Placement(
                id=number,
                host=entry.host,
                term=entry.term,
                student=entry.student,
                starts=seed_day(make, entry.starts),
                ends=seed_day(make, entry.ends),
                contact=entry.contact.lower(),
                state=entry.state,
                visits=entry.visits,
                briefed=seed_day(make, entry.briefed),
                told=tuple(sorted(entry.told)),
            ),
        )


kit = Toolkit(
    "placements",
    title="Placement register",
    seed=PlacementsSeed,
    tables={"placements.hosts": Host, "placements.items": Placement},
    build=build,
    uses=("students",),
)


def at_host(at: Slice, host: str, term: str) -> list[Placement]:
    """Return a host's placements of a term, withdrawn ones left out, by student number.

    The toolkit whose slice it is must list `placements` in `uses`.
    """
    rows = [row for row in at.table(Placement).where(host=host, term=term) if row.state != "withdrawn"]
    return sorted(rows, key=lambda row: row.student)


def find_host(at: Slice, number: str) -> Host:
    """Return a host.

    Raises:
        ToolError: `not_found`, with the numbers that come near.
    """
    host = at.table(Host).get(number.strip())
    if host is None:
        raise ToolError("not_found", f"No host {number[:40]}.", offer=near(at.table(Host).keys(), number)[:20])
    return host


def check_term(at: Slice, term: str) -> str:
    """Return a term that the register knows.

    Raises:
        ToolError: `not_found`, with the terms there are.
    """
    known = sorted({row.term for row in at.table(Placement).values()})
    if term.strip() not in known:
        raise ToolError("not_found", f"No term {term[:40]}.", offer=known)
    return term.strip()


@kit.tool(effects=["read"])
def search(at: Slice, term: str = "", text: str = "", page: int = 1) -> object:
    """List hosts: those with placements in a term and whether their pack has gone, or all of the register.

    Args:
        term: Term, such as 2026-autumn; without one, all hosts are listed.
        text: Only hosts whose name, sector or city contains this text.
        page: Page number, 15 hosts a page.
    """
    wanted = text.strip().lower()
    chosen = check_term(at, term) if term.strip() else ""
    rows = [
        host
        for host in at.table(Host).values()
        if wanted in f"{host.name} {host.sector} {host.city}".lower() and (not chosen or at_host(at, host.id, chosen))
    ]
    rows.sort(key=lambda host: (host.name, host.id))
    found = paged(rows, page, 15)
    shown: list[Host] = found["items"]
    at.emit(
        "read",
        f"placements://terms/{chosen}" if chosen else "placements://",
        labels=("internal",),
        count=len(shown),
        fields=("briefed", "students"),
        data={"hosts": tuple(sorted(host.id for host in shown))},
    )
    found["items"] = [_as_row(at, host, chosen) for host in shown]
    return found


@kit.tool(effects=["read"])
def get(at: Slice, host_id: str, term: str) -> object:
    """Open a host with its contacts, the office's notes, and its placements of a term.

    Args:
        host_id: Number of the host.
        term: Term, such as 2026-autumn.
    """
    host = find_host(at, host_id)
    chosen = check_term(at, term)
    rows = at_host(at, host.id, chosen)
    at.emit(
        "read",
        f"placements://{host.id}",
        labels=("internal", "personal"),
        fields=("contacts", "notes", "students"),
        count=len(rows),
        covers=tuple(sorted(f"placements://items/{row.id}" for row in rows)),
        data={"term": chosen},
    )
    return {
        "host_id": host.id,
        "name": host.name,
        "sector": host.sector,
        "city": host.city,
        "host_since": host.since,
        "contacts": host.contacts,
        "notes": host.notes,
        "term": chosen,
        "placements": [_placement(at, row) for row in rows],
    }


def _as_row(at: Slice, host: Host, term: str) -> dict[str, object]:
    row: dict[str, object] = {"host_id": host.id, "name": host.name, "sector": host.sector, "city": host.city}
    if not term:
        return row
    rows = at_host(at, host.id, term)
    sent = max((entry.briefed for entry in rows), default="")
    return row | {"students": len(rows), "first_day": min(entry.starts for entry in rows), "pack_sent": sent or None}


def _placement(at: Slice, row: Placement) -> dict[str, object]:
    student = at.table(students.Student).get(row.student)
    shown: dict[str, object] = {"placement_id": row.id, "student_id": row.student}
    if student is not None:
        shown |= {
            "name": student.name,
            "course": student.course,
            "tutor": students.tutor_name(at, student),
            "support_plan": student.plan or None,
        }
    return shown | {
        "from": row.starts,
        "to": row.ends,
        "contact": row.contact,
        "state": row.state,
        "pack_sent": row.briefed or None,
    }
