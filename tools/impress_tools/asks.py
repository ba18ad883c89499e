"""Asks: the short messages by which volunteers are asked for a night, and what they answer.

An ask is a template and the fields merged into it; there is no free text. A yes enters the volunteer on the rota, for
the hours that they have. Every ask says in its effect which fields it merged and what the recipient's present card
allows to be done with their reason for joining.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from impress_env.clock import iso, resolve
from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record
from impress_tools import flag_queue, rota, volunteers
from impress_tools._forum import spoken

Template = Literal["open_slot", "your_turn", "personal", "thank_you"]
MergeField = Literal["first_name", "last_night", "why_joined", "slot_time", "open_count", "queue_wait"]
FIELDS: Final[tuple[MergeField, ...]] = (
    "first_name",
    "last_night",
    "why_joined",
    "slot_time",
    "open_count",
    "queue_wait",
)
CLOSINGS: Final[dict[str, str]] = {
    "open_slot": "Could you take it? Yes, no or part of it is all we need.",
    "your_turn": "It would be your turn. Could you take it?",
    "personal": "We thought of you for this one. Would you take it?",
    "thank_you": "Thank you for being there.",
}


class Ask(Record, frozen=True, kw_only=True):
    """One ask. `state`: sent, yes, no, part, or thanked; `start`/`end` are the hours of a yes or a part."""

    id: str
    to: str
    slot: str
    template: str
    fields: tuple[str, ...]
    text: str
    sent: str
    sent_by: str
    state: str
    reply: str = ""
    replied: str = ""
    start: str = ""
    end: str = ""


class Answer(Record, frozen=True, kw_only=True):
    """What a volunteer will answer. Empty `slot` and `card`, and None, match anything; the first that fits counts."""

    id: str
    who: str
    slot: str
    card: str
    with_reason: bool | None
    answer: str
    after_minutes: int
    start: str
    end: str
    text: str


class Settings(Record, frozen=True, kw_only=True):
    """Fields in use, how asks are numbered, and what those answer for whom nothing is told."""

    merge_fields: tuple[str, ...]
    prefix: str
    next_number: int
    others_after_minutes: int
    others_say: tuple[str, ...]


class SettingsSeed(Seed):
    """Settings in a scenario file."""

    merge_fields: tuple[MergeField, ...] = FIELDS
    prefix: str = "AK-"
    next_number: int = 1001
    others_after_minutes: Annotated[int, Field(ge=1, le=2000)] = 33
    others_say: tuple[str, ...] = ("Sorry, not that one.",)


class AskSeed(Seed):
    """An earlier ask in a scenario file. `text` is kept as it is."""

    to: str
    slot: str = ""
    template: Template = "open_slot"
    fields: tuple[MergeField, ...] = ("first_name", "slot_time")
    text: str = ""
    sent: str
    sent_by: str
    state: Literal["sent", "yes", "no", "part", "thanked"] = "yes"
    reply: str = ""
    replied: str = ""


class AnswerSeed(Seed):
    """What a volunteer will answer, in a scenario file; `start` and `end` are the hours of a part."""

    who: str
    slot: str = ""
    card: str = ""
    with_reason: bool | None = None
    answer: Literal["yes", "no", "part", "none"]
    after_minutes: Annotated[int, Field(ge=1, le=2000)] = 20
    start: str = ""
    end: str = ""
    text: str = ""


class AsksSeed(Seed):
    """Section `asks:`; `history` is numbered by the app, oldest first."""

    settings: SettingsSeed = SettingsSeed()
    history: tuple[AskSeed, ...] = ()
    answers: tuple[AnswerSeed, ...] = ()


def build(seed: AsksSeed, make: Build) -> None:
    """Put settings, earlier asks and what people will answer."""
    settings = seed.settings
    for entry in sorted(seed.history, key=lambda ask: make.time(ask.sent)):
        number = make.next_id(settings.prefix, width=1, start=settings.next_number)
        make.put(
            number,
            Ask(
                id=number,
                to=entry.to,
                slot=entry.slot,
                template=entry.template,
                fields=tuple(sorted(entry.fields)),
                text=entry.text.strip(),
                sent=make.time(entry.sent),
                sent_by=entry.sent_by,
                state=entry.state,
                reply=entry.reply,
                replied=make.time(entry.replied) if entry.replied else "",
            ),
        )
    make.put(
        "settings",
        Settings(
            merge_fields=settings.merge_fields,
            prefix=settings.prefix,
            next_number=settings.next_number,
            others_after_minutes=settings.others_after_minutes,
            others_say=settings.others_say,
        ),
    )
    for index, told in enumerate(seed.answers):
        number = f"{index:03d}"
        make.put(
            number,
            Answer(
                id=number,
                who=told.who,
                slot=told.slot,
                card=told.card,
                with_reason=told.with_reason,
                answer=told.answer,
                after_minutes=told.after_minutes,
                start=make.time(told.start) if told.start else "",
                end=make.time(told.end) if told.end else "",
                text=told.text.strip(),
            ),
        )


kit = Toolkit(
    "asks",
    title="Asks",
    seed=AsksSeed,
    tables={"asks": Settings, "asks.items": Ask, "asks.answers": Answer},
    build=build,
    uses=("flag_queue", "rota", "volunteers"),
)


@kit.tool(effects=["send"], minutes=2)
def send(at: Slice, to: str, template: Template, merge: list[MergeField], slot: str = "") -> object:
    """Send a volunteer an ask for a night, or a thank-you. The answer, if one comes, arrives later.

    Args:
        to: Number of the volunteer.
        template: open_slot (the night is open), your_turn (it is some time since), personal (we thought of you), or
            thank_you.
        merge: Fields of the volunteer or the night to merge into it: first_name, last_night, why_joined, slot_time,
            open_count (nights open that week), queue_wait (how flags wait in nights with nobody on).
        slot: Number of the night's slot; may be left out of a thank_you.
    """
    settings = at.table(Settings)["settings"]
    volunteer = volunteers.find_volunteer(at, to)
    night = rota.find_slot(at, slot) if slot.strip() or template != "thank_you" else None
    fields = tuple(field for field in FIELDS if field in merge)
    for field in fields:
        if field not in settings.merge_fields:
            raise ToolError("conflict", f"{field} is not among the fields in use.", offer=settings.merge_fields)
    if night is not None and template != "thank_you":
        _check_night(at, volunteer, rota.to_come(at, night))
    text = _joined([*(_line(at, field, volunteer, night) for field in fields), CLOSINGS[template]])
    number = at.next_id(settings.prefix, width=1, start=settings.next_number)
    thanks = template == "thank_you"
    at.table(Ask).put(
        number,
        Ask(
            id=number,
            to=volunteer.id,
            slot=night.id if night is not None else "",
            template=template,
            fields=tuple(sorted(fields)),
            text=text,
            sent=at.now,
            sent_by=at.account,
            state="thanked" if thanks else "sent",
        ),
    )
    card = volunteers.card_of(at, volunteer)
    use = card.story_use if card is not None else ""
    at.emit(
        "send",
        f"asks://{number}",
        recipients=(volunteer.id,),
        subject=volunteer.id,
        audience="org",
        about=night.id if night is not None else "",
        outcome=template,
        claim=text,
        labels=("personal",) if "why_joined" in fields else ("internal",),
        fields=tuple(sorted(fields)),
        reversible=False,
        data={
            "slot": night.id if night is not None else "",
            "template": template,
            "story_use": use,
            "card": volunteer.card,
        },
    )
    if night is not None and not thanks:
        _plan_answer(at, number, volunteer, night, "why_joined" in fields)
    return {"ask": number, "to": volunteer.id, "slot": night.id if night is not None else None, "text": text}


@kit.tool(effects=["read"])
def search(at: Slice, slot: str = "", to: str = "", page: int = 1) -> object:
    """List asks and their answers, newest first.

    Args:
        slot: Only asks for this slot.
        to: Only asks to this volunteer.
        page: Page number, 15 asks a page.
    """
    rows = [ask for ask in at.table(Ask).values() if slot.strip() in ("", ask.slot) and to.strip() in ("", ask.to)]
    rows.sort(key=lambda ask: (ask.sent, ask.id), reverse=True)
    listed = paged(rows, page, 15)
    shown: list[Ask] = listed["items"]
    at.emit("read", "asks://", count=len(shown), covers=tuple(sorted(f"asks://{ask.id}" for ask in shown)))
    listed["items"] = [_as_row(ask) for ask in shown]
    return listed


@kit.on("answered")
def answered(at: Slice, payload: dict[str, Any]) -> None:
    """A volunteer answers; a yes or a part enters them for hours that nobody has."""
    ask = at.table(Ask)[payload["ask"]]
    answer, start, end = payload["answer"], payload["start"], payload["end"]
    at.table(Ask).update(ask.id, state=answer, reply=payload["text"], replied=at.now, start=start, end=end)
    if answer in ("yes", "part"):
        rota.take(at, ask.slot, ask.to, start, end)
    name = at.table(volunteers.Volunteer)[ask.to].name
    hours = f" ({start[11:16]}-{end[11:16]})" if answer == "part" else ""
    at.notify(f'{ask.id} for {ask.slot}, {ask.to} {name}, {answer}{hours}: "{payload["text"]}"')


def answers_for(at: Slice, slot: str, quiet_minutes: int) -> tuple[int, int]:
    """Return (how many were asked for a slot, how many of them answered or have been silent for so many minutes).

    The toolkit whose slice it is must list `asks` in `uses`.
    """
    rows = at.table(Ask).where(slot=slot)
    rows = [ask for ask in rows if ask.state != "thanked"]
    before = iso(at.clock - quiet_minutes)
    return len(rows), sum(ask.state != "sent" or ask.sent <= before for ask in rows)


def _check_night(at: Slice, volunteer: volunteers.Volunteer, night: rota.Slot) -> None:
    """Refuse an ask for a night that is filled, that they were asked for, or that they are not trained for."""
    if night.state == "filled":
        raise ToolError("conflict", f"{night.id} is filled.", found=", ".join(shift.who for shift in night.cover))
    if any(ask.state != "thanked" for ask in at.table(Ask).where(slot=night.id, to=volunteer.id)):
        raise ToolError("conflict", f"{volunteer.id} was asked for {night.id} already.", expected="one ask a night")
    if "nights" not in volunteer.training or night.board not in volunteer.boards:
        raise ToolError(
            "conflict",
            f"{volunteer.id} is not trained for nights on {night.board}.",
            expected=f"{night.board}, nights",
            found=", ".join((*volunteer.boards, *volunteer.training)),
        )


def _plan_answer(at: Slice, number: str, who: volunteers.Volunteer, night: rota.Slot, with_reason: bool) -> None:
    for told in at.table(Answer).where(who=who.id):
        if told.slot in ("", night.id) and told.card in ("", who.card) and told.with_reason in (None, with_reason):
            break
    else:
        settings = at.table(Settings)["settings"]
        text = settings.others_say[len(at.table(Ask).keys()) % len(settings.others_say)]
        at.schedule(settings.others_after_minutes, "answered", ask=number, answer="no", text=text, start="", end="")
        return
    if told.answer == "none":
        return
    takes = told.answer in ("yes", "part")
    at.schedule(
        told.after_minutes,
        "answered",
        ask=number,
        answer=told.answer,
        text=told.text,
        start=(told.start or night.start) if takes else "",
        end=(told.end or night.end) if takes else "",
    )


def _line(at: Slice, field: MergeField, volunteer: volunteers.Volunteer, night: rota.Slot | None) -> str:
    """Return a merged field's sentence.

    Raises:
        ToolError: `invalid_arguments`, where the record has nothing in it or the field is about a night.
    """
    if field == "first_name":
        return f"Hi {volunteer.first},"
    if field in ("last_night", "why_joined"):
        value = volunteer.last_night if field == "last_night" else volunteer.why_joined
        if not value:
            raise ToolError("invalid_arguments", f"{volunteer.id} has no {field}.", expected="another field")
        if field == "last_night":
            return f"your last night was {value}."
        return f"you told us when you joined: “{value}”"
    if night is None:
        raise ToolError("invalid_arguments", f"{field} is about a night.", expected="slot")
    board = flag_queue.find_board(at, night.board)
    if field == "slot_time":
        return f"{spoken(night.start, night.end)} on {board.title} is open."
    if field == "open_count":
        week = at.table(rota.Slot).where(week=night.week, board=night.board)
        return f"Nights open that week: {sum(slot.state in ('open', 'part') for slot in week)}."
    since = iso(resolve("-56d 00:00", at.clock))[:10]
    _, nobody = flag_queue.summary(at, board, flag_queue.nights_of(at, board, since))
    waited = nobody["median_minutes_to_first_look"]
    return f"In nights with nobody on, a flag waits {waited} minutes (median, 8 weeks)."


def _joined(lines: list[str]) -> str:
    """Return the lines one after another, each with a capital where the one before it has ended."""
    parts = [
        line if index and lines[index - 1].endswith(",") else line[:1].upper() + line[1:]
        for index, line in enumerate(lines)
    ]
    return " ".join(parts)


def _as_row(ask: Ask) -> dict[str, object]:
    return {
        "ask": ask.id,
        "to": ask.to,
        "slot": ask.slot,
        "template": ask.template,
        "merged": ask.fields,
        "sent": ask.sent,
        "sent_by": ask.sent_by,
        "state": ask.state,
        "hours": f"{ask.start[11:16]}-{ask.end[11:16]}" if ask.start else "",
        "reply": ask.reply,
        "replied": ask.replied,
    }
