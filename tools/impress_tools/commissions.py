"""Commissions: what sellers are paid on contracts, statement by statement.

A line's payee is the owner of the deal that it came from, resolved on read.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record
from impress_tools import opportunities
from impress_tools._money import Minor, money

State = Literal["pending_certification", "payable", "held", "paid"]


class Line(Record, frozen=True, kw_only=True):
    """One contract's line. Amounts are minor units, the rate is in basis points.

    `payee` stands for deals that the CRM no longer holds.
    """

    contract: str
    opportunity: str
    payee: str
    account: str
    period: str
    base: int
    rate: int
    amount: int
    currency: str
    state: str


class Plan(Record, frozen=True, kw_only=True):
    """The rules under which somebody is paid."""

    id: str
    title: str
    members: tuple[str, ...]
    text: str


class Query(Record, frozen=True, kw_only=True):
    """A question about a statement."""

    id: str
    owner: str
    period: str
    text: str
    raised_by: str
    raised: str
    answer: str = ""


class Settings(Record, frozen=True, kw_only=True):
    """Who answers for statements."""

    contact: str


class LineSeed(Seed):
    """A line in a scenario file."""

    opportunity: str = ""
    payee: str = ""
    account: str
    period: str
    base: Minor
    rate: int
    currency: str = "EUR"
    state: State = "paid"


class PastLineSeed(LineSeed):
    """A line under a contract that is named here."""

    contract: str


class PlanSeed(Seed):
    """A plan in a scenario file."""

    title: str
    members: tuple[str, ...] = ()
    text: str


class SettingsSeed(Seed):
    """Settings in a scenario file."""

    contact: str = ""


class CommissionsSeed(Seed):
    """Section `commissions:`; `items` by contract, `plans` by id, `history` for lines of older contracts."""

    settings: SettingsSeed = SettingsSeed()
    items: dict[str, LineSeed] = Field(default_factory=dict)
    plans: dict[str, PlanSeed] = Field(default_factory=dict)
    history: tuple[PastLineSeed, ...] = ()


def build(seed: CommissionsSeed, make: Build) -> None:
    """Put lines and plans."""
    make.put("settings", Settings(contact=seed.settings.contact))
    for contract, entry in (*((past.contract, past) for past in seed.history), *seed.items.items()):
        make.put(
            contract,
            Line(
                contract=contract,
                opportunity=entry.opportunity,
                payee=entry.payee,
                account=entry.account,
                period=entry.period,
                base=entry.base,
                rate=entry.rate,
                amount=entry.base * entry.rate // 10_000,
                currency=entry.currency,
                state=entry.state,
            ),
        )
    for id, plan in seed.plans.items():
        make.put(id, Plan(id=id, title=plan.title, members=plan.members, text=plan.text.strip()))


kit = Toolkit(
    "commissions",
    title="Commissions",
    seed=CommissionsSeed,
    tables={
        "commissions": Settings,
        "commissions.items": Line,
        "commissions.plans": Plan,
        "commissions.queries": Query,
    },
    build=build,
    uses=("opportunities",),
)


def payee_of(at: Slice, line: Line) -> str:
    """Return the id of the person that a line is paid to."""
    deal = at.table(opportunities.Opportunity).get(line.opportunity)
    return deal.owner if deal is not None else line.payee


@kit.tool(effects=["read"])
def get_statement(at: Slice, owner: str, period: str) -> object:
    """Open a seller's commission statement.

    Args:
        owner: Id of the seller.
        period: Quarter, such as 2026-Q3.
    """
    person = at.person(owner)
    lines = [line for line in at.table(Line).where(period=period) if payee_of(at, line) == person.id]
    if not lines:
        periods = {line.period for line in at.table(Line).values() if payee_of(at, line) == person.id}
        raise ToolError("not_found", f"No statement for {person.id} in {period}.", offer=sorted(periods))
    at.emit(
        "read",
        f"commissions://{person.id}/{period}",
        owner=person.id,
        labels=("personal",),
        covers=tuple(sorted(f"commissions://{line.contract}" for line in lines)),
    )
    totals: dict[str, int] = {}
    for line in lines:
        totals[line.state] = totals.get(line.state, 0) + line.amount
    return {
        "owner": person.id,
        "name": person.name,
        "period": period,
        "lines": [_as_row(at, line) for line in lines],
        "totals": {state: money(amount) for state, amount in sorted(totals.items())},
    }


@kit.tool(effects=["read"])
def search(at: Slice, period: str = "", contract_id: str = "", state: State | None = None, page: int = 1) -> object:
    """List commission lines by contract number.

    Args:
        period: Only lines of this quarter, such as 2026-Q3.
        contract_id: Only the line of this contract.
        state: Only lines in this state.
        page: Page number, 20 lines a page.
    """
    rows = [
        line
        for line in at.table(Line).values()
        if period in ("", line.period) and contract_id in ("", line.contract) and state in (None, line.state)
    ]
    found = paged(rows, page)
    shown: list[Line] = found["items"]
    covers = tuple(sorted(f"commissions://{line.contract}" for line in shown))
    at.emit("read", "commissions://", count=len(shown), labels=("personal",), covers=covers)
    found["items"] = [{"payee": payee_of(at, line), **_as_row(at, line)} for line in shown]
    return found


@kit.tool(effects=["read"])
def get_plan(at: Slice, owner: str) -> object:
    """Open the commission plan that a seller is on.

    Args:
        owner: Id of the seller.
    """
    person = at.person(owner)
    for plan in at.table(Plan).values():
        if person.id in plan.members:
            at.emit("read", f"commissions://plans/{plan.id}", owner=person.id)
            return {"plan": plan.id, "title": plan.title, "text": plan.text}
    raise ToolError("not_found", f"{person.id} is on no plan.")


@kit.tool(effects=["request"], minutes=2)
def raise_query(at: Slice, owner: str, period: str, text: str) -> object:
    """Ask about a commission statement.

    Args:
        owner: Id of the seller whose statement it is.
        period: Quarter, such as 2026-Q3.
        text: The question.
    """
    person = at.person(owner)
    contact = at.table(Settings)["settings"].contact
    number = at.next_id("CQ-", width=4, start=611)
    query = Query(id=number, owner=person.id, period=period, text=text, raised_by=at.account, raised=at.now)
    at.table(Query).put(number, query)
    at.emit(
        "request",
        f"commissions://queries/{number}",
        recipients=(contact,) if contact else (),
        audience="org",
        about=f"{person.id}/{period}",
        claim=text,
    )
    return {"query_id": number}


@kit.on("deliver")
def deliver(at: Slice, payload: dict[str, str]) -> None:
    """A query is answered."""
    number = payload.get("thread", "").removeprefix("commissions://queries/")
    if number in at.table(Query):
        at.table(Query).update(number, answer=payload["text"])
    at.notify(f"{payload['from']}: {payload['text']}")


def _as_row(at: Slice, line: Line) -> dict[str, Any]:
    return {
        "contract_id": line.contract,
        "account": line.account,
        "base": money(line.base),
        "rate_percent": f"{line.rate // 100}.{line.rate % 100:02d}",
        "commission": money(line.amount),
        "currency": line.currency,
        "state": line.state,
    }
