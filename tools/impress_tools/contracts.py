"""Contracts: what has been signed with customers, its clauses, and its amendments.

A contract's owner is the owner of the deal that it came from, resolved on read.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record
from impress_tools import opportunities
from impress_tools._money import Minor, money
from impress_tools._sales import Remark, RemarkSeed, moment, numbers_by_time

Part = Literal["summary", "clauses", "amendments"]
AmendmentState = Literal["draft", "out_for_signature", "signed"]


class YearFee(Record, frozen=True, kw_only=True):
    """What one contract year costs, in minor units."""

    year: int
    amount: int


class Clause(Record, frozen=True, kw_only=True):
    """One clause as signed."""

    number: str
    title: str
    text: str


class Contract(Record, frozen=True, kw_only=True):
    """One contract."""

    id: str
    account: str
    opportunity: str
    product: str
    edition: str
    signed: str
    starts_on: str
    ends_on: str
    users: int
    currency: str
    fees: tuple[YearFee, ...]
    clauses: tuple[Clause, ...]
    notes: tuple[Remark, ...] = ()


class Amendment(Record, frozen=True, kw_only=True):
    """One amendment to a contract; `clause` says which kind of term it changes."""

    id: str
    contract: str
    title: str
    clause: str
    state: str
    signed: str
    text: str


class YearFeeSeed(Seed):
    """A year's fee in a scenario file."""

    year: int
    amount: Minor


class ClauseSeed(Seed):
    """A clause in a scenario file."""

    number: str
    title: str
    text: str


class ContractSeed(Seed):
    """A contract in a scenario file."""

    account: str
    opportunity: str = ""
    product: str
    edition: str = ""
    signed: str
    starts_on: str
    ends_on: str
    users: int = 0
    currency: str = "EUR"
    fees: tuple[YearFeeSeed, ...] = ()
    clauses: tuple[ClauseSeed, ...] = ()
    notes: tuple[RemarkSeed, ...] = ()


class AmendmentSeed(Seed):
    """An amendment in a scenario file."""

    contract: str
    title: str
    clause: str
    state: AmendmentState = "signed"
    signed: str = ""
    text: str


class ContractsSeed(Seed):
    """Section `contracts:`; `items` and `amendments` by number, `history` numbered by the app in time."""

    items: dict[str, ContractSeed] = Field(default_factory=dict)
    amendments: dict[str, AmendmentSeed] = Field(default_factory=dict)
    history: tuple[ContractSeed, ...] = ()


def build(seed: ContractsSeed, make: Build) -> None:
    """Put contracts and amendments."""
    past = sorted(seed.history, key=lambda contract: make.time(contract.signed))
    given = {
        int(number.removeprefix("C-")): make.time(entry.signed)
        for number, entry in seed.items.items()
        if number.removeprefix("C-").isdigit()
    }
    numbers = numbers_by_time([make.time(entry.signed) for entry in past], given, start=6302, a_day=2)
    for value, entry in zip(numbers, past, strict=True):
        make.put(f"C-{value:04d}", _contract(f"C-{value:04d}", entry, make))
    for number, entry in seed.items.items():
        make.put(number, _contract(number, entry, make))
    for number, amendment in seed.amendments.items():
        make.put(
            number,
            Amendment(
                id=number,
                contract=amendment.contract,
                title=amendment.title,
                clause=amendment.clause,
                state=amendment.state,
                signed=make.time(amendment.signed)[:10] if amendment.signed else "",
                text=amendment.text.strip(),
            ),
        )


def _contract(number: str, entry: ContractSeed, make: Build) -> Contract:
    return Contract(
        id=number,
        account=entry.account,
        opportunity=entry.opportunity,
        product=entry.product,
        edition=entry.edition,
        signed=make.time(entry.signed)[:10],
        starts_on=make.time(entry.starts_on)[:10],
        ends_on=make.time(entry.ends_on)[:10],
        users=entry.users,
        currency=entry.currency,
        fees=tuple(YearFee(year=fee.year, amount=fee.amount) for fee in entry.fees),
        clauses=tuple(Clause(number=c.number, title=c.title, text=c.text.strip()) for c in entry.clauses),
        notes=tuple(Remark(who=n.who, at=make.time(n.at), text=n.text.strip()) for n in entry.notes),
    )


kit = Toolkit(
    "contracts",
    title="Contracts",
    seed=ContractsSeed,
    tables={"contracts.items": Contract, "contracts.amendments": Amendment},
    build=build,
    uses=("opportunities",),
)


@kit.tool(effects=["read"])
def search(at: Slice, text: str = "", signed_from: str = "", signed_to: str = "", page: int = 1) -> object:
    """List contracts, last signed first.

    Args:
        text: Only those whose number, account or product contains this text.
        signed_from: Only those signed on or after this date.
        signed_to: Only those signed on or before this date.
        page: Page number, 15 contracts a page.
    """
    wanted = text.strip().lower()
    first = signed_from and moment(signed_from, "signed_from")[:10]
    last = signed_to and moment(signed_to, "signed_to")[:10]
    rows = [
        contract
        for contract in at.table(Contract).values()
        if (not wanted or wanted in f"{contract.id}\n{contract.account}\n{contract.product}".lower())
        and (not first or contract.signed >= first)
        and (not last or contract.signed <= last)
    ]
    rows.sort(key=lambda contract: (contract.signed, contract.id), reverse=True)
    found = paged(rows, page, 15)
    shown: list[Contract] = found["items"]
    covers = tuple(sorted(f"contracts://{contract.id}" for contract in shown))
    at.emit("read", "contracts://", count=len(shown), covers=covers, fields=("list",))
    found["items"] = [
        {
            "contract_id": contract.id,
            "account": contract.account,
            "product": contract.product,
            "opportunity_id": contract.opportunity,
            "signed": contract.signed,
            "ends_on": contract.ends_on,
        }
        for contract in shown
    ]
    return found


@kit.tool(effects=["read"])
def get(at: Slice, contract_id: str, part: Part = "summary") -> object:
    """Open a part of a contract.

    Args:
        contract_id: Number of the contract.
        part: Summary (parties, term, fees, list of amendments), clauses as signed, or amendments with text.
    """
    contract = find(at, contract_id)
    seller = opportunities.owner_of(at, contract.opportunity)
    amendments = amendments_of(at, contract_id)
    shown = ("amendments", "summary") if part == "summary" else (part,)
    covers = tuple(f"contracts://{contract_id}/{a.id}" for a in amendments) if "amendments" in shown else ()
    at.emit("read", f"contracts://{contract_id}", owner=seller.id if seller else "", fields=shown, covers=covers)
    if part == "clauses":
        return {"contract_id": contract_id, "edition": contract.edition, "clauses": contract.clauses}
    if part == "amendments":
        return {"contract_id": contract_id, "amendments": amendments}
    return {
        "contract_id": contract_id,
        "account": contract.account,
        "opportunity_id": contract.opportunity,
        "owner": seller.name if seller else "",
        "product": contract.product,
        "users": contract.users,
        "signed": contract.signed,
        "starts_on": contract.starts_on,
        "ends_on": contract.ends_on,
        "currency": contract.currency,
        "fees": [{"year": fee.year, "amount": money(fee.amount)} for fee in contract.fees],
        "total": money(sum(fee.amount for fee in contract.fees)),
        "amendments": [
            {"amendment_id": a.id, "title": a.title, "state": a.state, "signed": a.signed} for a in amendments
        ],
        "notes": contract.notes,
    }


@kit.tool(effects=["create"])
def add_note(at: Slice, contract_id: str, text: str) -> object:
    """Add an internal note to a contract.

    Args:
        contract_id: Number of the contract.
        text: The note.
    """
    contract = find(at, contract_id)
    if not text.strip():
        raise ToolError("invalid_arguments", "The note is empty.", expected="some text")
    note = Remark(who=at.account, at=at.now, text=text)
    at.table(Contract).update(contract_id, notes=(*contract.notes, note))
    at.emit("create", f"contracts://{contract_id}/notes", about=contract_id, claim=text, audience="org")
    return {"contract_id": contract_id, "notes": len(contract.notes) + 1}


def find(at: Slice, number: str) -> Contract:
    """Return a contract.

    Raises:
        ToolError: `not_found`, with numbers near it.
    """
    contract = at.table(Contract).get(number)
    if contract is None:
        keys = at.table(Contract).keys()
        raise ToolError("not_found", f"No contract {number}.", offer=opportunities.near(keys, number))
    return contract


def amendments_of(at: Slice, number: str) -> list[Amendment]:
    """Return a contract's amendments, oldest number first."""
    return at.table(Amendment).where(contract=number)
