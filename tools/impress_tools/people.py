"""People: the directory of colleagues and outside contacts, and questions put to one of them.

The directory's rows are the core's table `people`; the scenario says who is there and what they will answer. A
question is one effect (`request`) with a structured `about`; the answer is kept with the question.
"""

from __future__ import annotations

from typing import Any

from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.people import Person
from impress_env.world.table import Record
from impress_tools._common import Contacts, Query, cut_line, merged, references

QUESTION_CAP = 4_000
ROWS = 20
NOTICE = 600  # characters of an answer that the notice shows; `replies` has it whole


class Reply(Record, frozen=True, kw_only=True):
    """One answer to a question."""

    who: str
    at: str
    text: str


class Question(Record, frozen=True, kw_only=True):
    """One question to one person."""

    id: str
    to: str
    about: str
    text: str
    at: str
    replies: tuple[Reply, ...] = ()


class PeopleSeed(Seed):
    """The toolkit builds nothing: the core fills the directory from the scenario's list of people."""


def build(seed: PeopleSeed, make: Build) -> None:
    """Put nothing."""


kit = Toolkit(
    "people", title="Directory", seed=PeopleSeed, tables={"people": Person, "people.questions": Question}, build=build
)


@kit.tool(effects=["read"])
def search(at: Slice, text: str = "", role: str = "", team: str = "", page: int = 1) -> object:
    """Search the directory.

    Args:
        text: Words of a name, role, team or mail address.
        role: Only people whose role contains this.
        team: Only people of this team.
        page: Page number, 20 people a page.
    """
    query = Query(text.replace("_", " "))
    rows = [
        person
        for person in at.table(Person).values()
        if query.all_in(_card(person)) and _plain(role) in _plain(person.role) and _in_team(person, team)
    ]
    rows.sort(key=lambda person: (person.name, person.id))
    found = paged(rows, page, ROWS)
    shown: list[Person] = found["items"]
    at.emit("read", "people://", count=len(shown), covers=merged(f"people://{person.id}" for person in shown))
    found["items"] = [_entry(person) for person in shown]
    if not rows and team:
        found["teams"] = sorted({person.team for person in at.table(Person).values() if person.team})
    return found


@kit.tool(effects=["read"])
def get(at: Slice, who: str) -> object:
    """Open a person's entry: role, team, mail address, whether they are there, questions still open with them.

    Args:
        who: Id, mail address or full name.
    """
    person = Contacts(at).person(who)
    at.emit("read", f"people://{person.id}")
    entry = _entry(person) | {"status": _status(at, person)}
    if person.away_until > at.now:
        entry["away_until"] = person.away_until
    team = [other.id for other in at.table(Person).where(team=person.team) if other.id != person.id]
    if person.team and team:
        entry["colleagues"] = team[:10]
    waiting = [question.id for question in at.table(Question).where(to=person.id) if not question.replies]
    if waiting:
        entry["open_questions"] = waiting
    return entry


@kit.tool(effects=["request"], role="ask")
def ask(at: Slice, to: str, about: str, text: str) -> object:
    """Put a question or a request to one person. The answer, if one comes, arrives later.

    Args:
        to: Id, mail address or full name.
        about: Id of the thing that it is about (ticket, case, contract, …).
        text: What is asked.
    """
    contacts = Contacts(at)
    person = contacts.person(to)
    topic, question = about.strip(), text.strip()
    if not topic:
        raise ToolError("invalid_arguments", "about is empty.", expected="an id or a short topic")
    if len(topic) > 120:
        raise ToolError("too_large", "about is too long.", expected="at most 120 characters")
    if not question:
        raise ToolError("invalid_arguments", "The question is empty.", expected="some text")
    if len(question) > QUESTION_CAP:
        raise ToolError("too_large", "The question is too long.", expected=f"at most {QUESTION_CAP} characters")
    if contacts.own(person.id):
        raise ToolError("conflict", "That is your own account.", expected="somebody else")
    number = at.next_id("Q-")
    at.table(Question).put(number, Question(id=number, to=person.id, about=topic, text=question, at=at.now))
    at.emit(
        "request",
        f"people://questions/{number}",
        recipients=(person.id,),
        audience=contacts.audience((person.id,)),
        about=topic,
        claim=question,
        refs=references(topic, question),
    )
    result: dict[str, Any] = {"id": number, "to": person.id, "about": topic, "at": at.now}
    if person.away_until > at.now:
        result["away_until"] = person.away_until
    return result


@kit.tool(effects=["read"])
def replies(at: Slice, to: str = "", about: str = "", answered: bool | None = None, page: int = 1) -> object:
    """List the questions that you asked, newest first, with the answers so far.

    Args:
        to: Only questions to this person.
        about: Only questions about this id.
        answered: Only those with an answer (true) or without one (false).
        page: Page number, 10 questions a page.
    """
    person = Contacts(at).person(to).id if to else ""
    rows = [
        question
        for question in at.table(Question).values()
        if (not person or question.to == person)
        and (not about or question.about.lower() == about.strip().lower())
        and (answered is None or bool(question.replies) == answered)
    ]
    rows.sort(key=lambda question: (question.at, question.id), reverse=True)
    found = paged(rows, page, 10)
    shown: list[Question] = found["items"]
    at.emit(
        "read",
        "people://questions",
        count=len(shown),
        covers=merged(f"people://questions/{question.id}" for question in shown),
    )
    found["items"] = [
        {
            "id": question.id,
            "to": question.to,
            "about": question.about,
            "at": question.at,
            "text": cut_line(question.text, 200),
            "replies": [{"from": r.who, "at": r.at, "text": r.text} for r in question.replies],
        }
        for question in shown
    ]
    return found


@kit.on("deliver")
def deliver(at: Slice, payload: dict[str, str]) -> None:
    """The person answers the question."""
    number = payload.get("thread", "").rpartition("/")[2]
    question = at.table(Question).get(number)
    topic = payload.get("about", "")
    if question is not None:
        reply = Reply(who=payload["from"], at=at.now, text=payload["text"].strip())
        at.table(Question).update(number, replies=(*question.replies, reply))
        topic = question.about
    person = at.table(Person).get(payload["from"])
    name = person.name if person is not None else payload["from"]
    at.notify(f"{name} on {topic or number}: {cut_line(payload['text'], NOTICE)}")


def _entry(person: Person) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "id": person.id,
        "name": person.name,
        "role": person.role,
        "team": person.team,
        "email": person.email,
    }
    if person.external:
        entry["external"] = True
    return entry


def _status(at: Slice, person: Person) -> str:
    return "away" if person.away_until > at.now else "available"


def _card(person: Person) -> str:
    return f"{person.id} {person.name} {_plain(person.role)} {_plain(person.team)} {person.email}"


def _plain(text: str) -> str:
    return text.replace("_", " ").strip().lower()


def _in_team(person: Person, team: str) -> bool:
    return not team.strip() or _plain(team) == _plain(person.team)
