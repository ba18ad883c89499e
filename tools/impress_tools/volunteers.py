"""Volunteers: who they are, what they are trained for, why they joined, and the preference card they gave.

A volunteer's record names the card that counts; earlier and later cards stay in the drawer. What a card says is in the
volunteer's own words, save the nights and whether the reason for joining may be mentioned. Knows nothing of the rota.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from impress_env.clock import WEEKDAYS
from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record

StoryUse = Literal["may_be_mentioned", "support_only"]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Card(Record, frozen=True, kw_only=True):
    """One preference card. `story_use`: what the reason for joining may be used for."""

    id: str
    volunteer: str
    given: str
    nights: tuple[str, ...]
    story_use: str
    words: str


class Remark(Record, frozen=True, kw_only=True):
    """A line that staff left in a volunteer's record."""

    at: str
    who: str
    text: str


class Volunteer(Record, frozen=True, kw_only=True):
    """One volunteer. `card` is the number of the card that counts, "" for none."""

    id: str
    name: str
    first: str
    boards: tuple[str, ...]
    training: tuple[str, ...]
    joined: str
    last_night: str
    nights_90d: int
    asked_12m: int
    yes_12m: int
    reply_minutes: int
    why_joined: str
    card: str
    remarks: tuple[Remark, ...] = ()


class CardSeed(Seed):
    """A card in a scenario file."""

    volunteer: str
    given: str
    nights: tuple[Weekday, ...] = ()
    story_use: StoryUse = "may_be_mentioned"
    words: str = ""


class RemarkSeed(Seed):
    """A staff remark in a scenario file."""

    who: str = Field(alias="from")
    at: str
    text: str


class VolunteerSeed(Seed):
    """A volunteer in a scenario file."""

    name: str
    boards: tuple[str, ...] = ()
    training: tuple[str, ...] = ()
    joined: str = "-400d 12:00"
    last_night: str = ""
    nights_90d: Annotated[int, Field(ge=0, le=90)] = 0
    asked_12m: Annotated[int, Field(ge=0, le=400)] = 0
    yes_12m: Annotated[int, Field(ge=0, le=400)] = 0
    reply_minutes: Annotated[int, Field(ge=1, le=10_000)] = 60
    why_joined: str = ""
    card: str = ""
    remarks: tuple[RemarkSeed, ...] = ()


class VolunteersSeed(Seed):
    """Section `volunteers:`."""

    items: dict[str, VolunteerSeed] = Field(default_factory=dict)
    cards: dict[str, CardSeed] = Field(default_factory=dict)


def build(seed: VolunteersSeed, make: Build) -> None:
    """Put cards and volunteers."""
    for number, card in seed.cards.items():
        make.put(
            number,
            Card(
                id=number,
                volunteer=card.volunteer,
                given=make.time(card.given)[:10],
                nights=tuple(day for day in WEEKDAYS if day in card.nights),
                story_use=card.story_use,
                words=card.words.strip(),
            ),
        )
    for number, entry in seed.items.items():
        if entry.card and (entry.card not in seed.cards or seed.cards[entry.card].volunteer != number):
            raise ValueError(f"{number}: no card {entry.card!r} of theirs")
        make.put(
            number,
            Volunteer(
                id=number,
                name=entry.name,
                first=entry.name.partition(" ")[0],
                boards=tuple(sorted(entry.boards)),
                training=tuple(sorted(entry.training)),
                joined=make.time(entry.joined)[:10],
                last_night=make.time(entry.last_night)[:10] if entry.last_night else "",
                nights_90d=entry.nights_90d,
                asked_12m=entry.asked_12m,
                yes_12m=entry.yes_12m,
                reply_minutes=entry.reply_minutes,
                why_joined=entry.why_joined.strip(),
                card=entry.card,
                remarks=tuple(Remark(who=r.who, at=make.time(r.at), text=r.text.strip()) for r in entry.remarks),
            ),
        )


kit = Toolkit(
    "volunteers",
    title="Volunteer records",
    seed=VolunteersSeed,
    tables={"volunteers.items": Volunteer, "volunteers.cards": Card},
    build=build,
)


def find_volunteer(at: Slice, id: str) -> Volunteer:
    """Return a volunteer. The toolkit whose slice it is must list `volunteers` in `uses`.

    Raises:
        ToolError: `not_found`, with the numbers of those whose name comes near, else with some numbers.
    """
    table = at.table(Volunteer)
    found = table.get(id.strip())
    if found is None:
        word = id.strip().lower()
        near = [v.id for v in table.values() if word and word in v.name.lower()]
        raise ToolError("not_found", f"No volunteer {id[:40]}.", offer=near or table.keys()[:20])
    return found


def card_of(at: Slice, volunteer: Volunteer) -> Card | None:
    """Return the card that counts, resolved through the volunteer's record."""
    return at.table(Card).get(volunteer.card) if volunteer.card else None


@kit.tool(effects=["read"])
def search(
    at: Slice,
    board: str = "",
    training: str = "",
    night: Weekday | None = None,
    text: str = "",
    page: int = 1,
) -> object:
    """List volunteers, those who have been on least in the last 90 days first.

    Args:
        board: Only volunteers of this board.
        training: Only volunteers with this training, such as nights.
        night: Only volunteers who have this night among their usual ones.
        text: Only volunteers whose name holds this text.
        page: Page number, 20 volunteers a page.
    """
    found = []
    for volunteer in at.table(Volunteer).values():
        card = card_of(at, volunteer)
        usual = card.nights if card is not None else ()
        if (
            (not board or board.strip().lower() in volunteer.boards)
            and (not training or training.strip().lower() in volunteer.training)
            and (night is None or night in usual)
            and text.strip().lower() in volunteer.name.lower()
        ):
            found.append((volunteer, usual))
    found.sort(key=lambda row: (row[0].nights_90d, row[0].last_night, row[0].id))
    listed = paged(found, page)
    shown: list[tuple[Volunteer, tuple[str, ...]]] = listed["items"]
    covers = tuple(sorted(f"volunteers://{volunteer.id}" for volunteer, _ in shown))
    at.emit("read", "volunteers://", count=len(shown), covers=covers)
    listed["items"] = [
        {
            "id": volunteer.id,
            "name": volunteer.name,
            "training": volunteer.training,
            "usual_nights": usual,
            "last_night": volunteer.last_night,
            "nights_90d": volunteer.nights_90d,
            "said_yes_12m": f"{volunteer.yes_12m} of {volunteer.asked_12m}",
            "reply_minutes": volunteer.reply_minutes,
        }
        for volunteer, usual in shown
    ]
    return listed


@kit.tool(effects=["read"])
def get(at: Slice, volunteer_id: str) -> object:
    """Open a volunteer's record with the preference card that counts and the remarks of staff.

    Args:
        volunteer_id: Number of the volunteer.
    """
    volunteer = find_volunteer(at, volunteer_id)
    card = card_of(at, volunteer)
    at.emit(
        "read",
        f"volunteers://{volunteer.id}",
        subject=volunteer.id,
        labels=("personal",),
        fields=("card", "remarks", "why_joined"),
        covers=(f"volunteers://cards/{card.id}",) if card is not None else (),
    )
    return {
        "id": volunteer.id,
        "name": volunteer.name,
        "boards": volunteer.boards,
        "training": volunteer.training,
        "joined": volunteer.joined,
        "last_night": volunteer.last_night,
        "nights_90d": volunteer.nights_90d,
        "why_joined": volunteer.why_joined,
        "card": None
        if card is None
        else {
            "card": card.id,
            "given": card.given,
            "usual_nights": card.nights,
            "why_joined_use": card.story_use,
            "in_their_words": card.words,
        },
        "remarks": [{"at": r.at, "from": r.who, "text": r.text} for r in volunteer.remarks],
    }
