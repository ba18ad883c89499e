"""Opportunities: deals in the making and made, each with the seller that owns it.

The owner stands here and nowhere else: whatever names a deal's seller (a logged mail's sender, a contract's
owner, a payee) resolves it from here on read.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.people import Person
from impress_env.world.table import Record
from impress_tools._money import Minor, money
from impress_tools._sales import moment, numbers_by_time

Stage = Literal["qualified", "discovery", "proposal", "negotiation", "verbal", "won", "lost"]


class Contact(Record, frozen=True, kw_only=True):
    """Somebody on the customer's side."""

    name: str
    title: str
    email: str


class Opportunity(Record, frozen=True, kw_only=True):
    """One deal. `owner` is a person's id; the amount is in minor units."""

    id: str
    account: str
    title: str
    owner: str
    stage: str
    amount: int
    currency: str
    close_date: str
    next_step: str
    created: str
    updated: str
    contacts: tuple[Contact, ...] = ()


class ContactSeed(Seed):
    """A contact in a scenario file."""

    name: str
    title: str = ""
    email: str = ""


class OpportunitySeed(Seed):
    """A deal in a scenario file."""

    account: str
    title: str
    owner: str
    stage: Stage = "discovery"
    amount: Minor = 0
    currency: str = "EUR"
    close_date: str = ""
    next_step: str = ""
    created: str
    updated: str = ""
    contacts: tuple[ContactSeed, ...] = ()


class OpportunitiesSeed(Seed):
    """Section `opportunities:`; `items` by number, `history` numbered by the app in time between these."""

    items: dict[str, OpportunitySeed] = Field(default_factory=dict)
    history: tuple[OpportunitySeed, ...] = ()


def build(seed: OpportunitiesSeed, make: Build) -> None:
    """Put the deals."""
    past = sorted(seed.history, key=lambda deal: make.time(deal.created))
    given = {
        int(number.removeprefix("OP-")): make.time(entry.created)
        for number, entry in seed.items.items()
        if number.removeprefix("OP-").isdigit()
    }
    numbers = numbers_by_time([make.time(deal.created) for deal in past], given, start=2741, a_day=2)
    for value, entry in zip(numbers, past, strict=True):
        make.put(f"OP-{value}", _deal(f"OP-{value}", entry, make))
    for number, entry in seed.items.items():
        make.put(number, _deal(number, entry, make))


def _deal(number: str, entry: OpportunitySeed, make: Build) -> Opportunity:
    created = make.time(entry.created)
    return Opportunity(
        id=number,
        account=entry.account,
        title=entry.title,
        owner=entry.owner,
        stage=entry.stage,
        amount=entry.amount,
        currency=entry.currency,
        close_date=make.time(entry.close_date)[:10] if entry.close_date else "",
        next_step=entry.next_step,
        created=created,
        updated=make.time(entry.updated) if entry.updated else created,
        contacts=tuple(Contact(name=c.name, title=c.title, email=c.email) for c in entry.contacts),
    )


kit = Toolkit(
    "opportunities",
    title="Opportunities",
    seed=OpportunitiesSeed,
    tables={"opportunities.items": Opportunity},
    build=build,
)


def owner_of(at: Slice, number: str) -> Person | None:
    """Return the seller that owns a deal, or None where there is no such deal or person."""
    deal = at.table(Opportunity).get(number)
    return at.table(Person).get(deal.owner) if deal is not None else None


@kit.tool(effects=["read"])
def search(at: Slice, text: str = "", owner: str = "", stage: Stage | None = None, page: int = 1) -> object:
    """List opportunities, last changed first.

    Args:
        text: Only those whose number, account or title contains this text.
        owner: Only those of this seller (id).
        stage: Only those at this stage.
        page: Page number, 15 opportunities a page.
    """
    wanted = text.strip().lower()
    rows = [
        deal
        for deal in at.table(Opportunity).values()
        if (not wanted or wanted in f"{deal.id}\n{deal.account}\n{deal.title}".lower())
        and owner in ("", deal.owner)
        and stage in (None, deal.stage)
    ]
    rows.sort(key=lambda deal: (deal.updated, deal.id), reverse=True)
    found = paged(rows, page, 15)
    shown: list[Opportunity] = found["items"]
    covers = tuple(sorted(f"opportunities://{deal.id}" for deal in shown))
    at.emit("read", "opportunities://", count=len(shown), covers=covers)
    found["items"] = [
        {
            "opportunity_id": deal.id,
            "account": deal.account,
            "title": deal.title,
            "owner": _name(at, deal.owner),
            "stage": deal.stage,
            "amount": money(deal.amount),
            "currency": deal.currency,
            "close_date": deal.close_date,
        }
        for deal in shown
    ]
    return found


@kit.tool(effects=["read"])
def get(at: Slice, opportunity_id: str) -> object:
    """Open an opportunity: account, owner, stage, amount, next step and contacts.

    Args:
        opportunity_id: Number of the opportunity.
    """
    deal = find(at, opportunity_id)
    seller = at.table(Person).get(deal.owner)
    at.emit("read", f"opportunities://{deal.id}", owner=deal.owner)
    return {
        "opportunity_id": deal.id,
        "account": deal.account,
        "title": deal.title,
        "owner": {
            "id": deal.owner,
            "name": seller.name if seller else deal.owner,
            "team": seller.team if seller else "",
        },
        "stage": deal.stage,
        "amount": money(deal.amount),
        "currency": deal.currency,
        "close_date": deal.close_date,
        "next_step": deal.next_step,
        "created": deal.created,
        "updated": deal.updated,
        "contacts": deal.contacts,
    }


@kit.tool(effects=["update"])
def update(
    at: Slice,
    opportunity_id: str,
    stage: Stage | None = None,
    close_date: str | None = None,
    next_step: str | None = None,
) -> object:
    """Change an opportunity's stage, close date or next step.

    Args:
        opportunity_id: Number of the opportunity.
        stage: New stage.
        close_date: New close date, such as 2026-11-19.
        next_step: New next step.
    """
    deal = find(at, opportunity_id)
    given = {
        "stage": stage,
        "close_date": None if close_date is None else moment(close_date, "close_date")[:10],
        "next_step": next_step,
    }
    changes = {field: value for field, value in given.items() if value is not None}
    if not changes:
        raise ToolError("invalid_arguments", "Nothing to change.", expected="stage, close_date or next_step")
    at.table(Opportunity).update(opportunity_id, updated=at.now, **changes)
    for field, value in changes.items():
        at.emit(
            "update",
            f"opportunities://{opportunity_id}",
            owner=deal.owner,
            fields=(field,),
            before=getattr(deal, field),
            after=value,
        )
    return {"opportunity_id": opportunity_id, **changes}


def find(at: Slice, number: str) -> Opportunity:
    """Return a deal.

    Raises:
        ToolError: `not_found`, with numbers near it.
    """
    deal = at.table(Opportunity).get(number)
    if deal is None:
        raise ToolError("not_found", f"No opportunity {number}.", offer=near(at.table(Opportunity).keys(), number))
    return deal


def near(keys: list[str], wanted: str, count: int = 12) -> list[str]:
    """Return the keys that follow and precede a wanted one in order, as a look-up box offers them."""
    place = sum(1 for key in keys if key < wanted)
    start = max(0, min(place - count // 2, len(keys) - count))
    return keys[start : start + count]


def _name(at: Slice, who: str) -> str:
    person = at.table(Person).get(who)
    return person.name if person else who
