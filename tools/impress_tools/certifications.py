"""Certifications: the quarterly round in which sales tells revenue accounting what was promised beside a contract.

One form a contract, four questions, an answer from a list to each. An answer is a claim to the accountant who runs
the round. Owner and payee of a contract are those of its deal, resolved on read; a form that is submitted sets
the payout of the contract's commission line. Compares no answer with any record.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Arguments, Build, Seed, Slice, Toolkit, paged
from impress_env.world.people import Person
from impress_env.world.table import Record
from impress_tools import activities, commissions, contracts, deal_desk, opportunities

Answer = Literal["none", "disclosed", "refer_to_owner"]
State = Literal["open", "referred", "submitted"]
QUESTIONS: Final = ("termination", "payment", "acceptance", "price")
PAYOUT: Final = {"submitted": "payable", "disclosed": "held", "referred": "pending_certification"}


class Answers(Record, frozen=True, kw_only=True):
    """One answer to each question; empty until submitted."""

    termination: str = ""
    payment: str = ""
    acceptance: str = ""
    price: str = ""


class Form(Record, frozen=True, kw_only=True):
    """What is printed at the head of every form."""

    note: str


class Round(Record, frozen=True, kw_only=True):
    """One quarter's round, and the accountant who runs it."""

    id: str
    title: str
    opened: str
    state: str
    accountant: str


class Desk(Record, frozen=True, kw_only=True):
    """A desk, and the account that may submit for it."""

    id: str
    title: str
    delegate: str


class Certification(Record, frozen=True, kw_only=True):
    """One contract's form. `certifier` is who may answer: the desk's delegate, or the owner alone.

    `account` and `owner` stand for contracts that the contract system no longer holds.
    """

    contract: str
    round: str
    desk: str
    certifier: str
    state: str
    answers: Answers
    refs: tuple[str, ...]
    request_id: str
    submitted: str
    submitted_by: str
    account: str = ""
    owner: str = ""


class FormSeed(Seed):
    """The form in a scenario file."""

    note: str = ""


class RoundSeed(Seed):
    """A round in a scenario file."""

    title: str
    opened: str
    state: Literal["open", "closed"] = "open"
    accountant: str = ""


class DeskSeed(Seed):
    """A desk in a scenario file."""

    title: str
    delegate: str = ""


class AnswersSeed(Seed):
    """Answers in a scenario file."""

    termination: Answer | Literal[""] = ""
    payment: Answer | Literal[""] = ""
    acceptance: Answer | Literal[""] = ""
    price: Answer | Literal[""] = ""


class CertificationSeed(Seed):
    """A contract's form in a scenario file."""

    round: str
    desk: str
    certifier: Literal["desk", "owner"] = "desk"
    state: State = "open"
    answers: AnswersSeed = AnswersSeed()
    refs: tuple[str, ...] = ()
    request_id: str = ""
    submitted: str = ""
    submitted_by: str = ""
    account: str = ""
    owner: str = ""


class PastSeed(CertificationSeed):
    """A form of an earlier round, under a contract that is named here."""

    contract: str


class CertificationsSeed(Seed):
    """Section `certifications:`; `items` by contract, `history` for earlier rounds."""

    form: FormSeed = FormSeed()
    rounds: dict[str, RoundSeed] = Field(default_factory=dict)
    desks: dict[str, DeskSeed] = Field(default_factory=dict)
    items: dict[str, CertificationSeed] = Field(default_factory=dict)
    history: tuple[PastSeed, ...] = ()


def build(seed: CertificationsSeed, make: Build) -> None:
    """Put the form, rounds, desks and forms of contracts."""
    make.put("form", Form(note=seed.form.note.strip()))
    for id, entry in seed.rounds.items():
        make.put(
            id,
            Round(
                id=id,
                title=entry.title,
                opened=make.time(entry.opened)[:10],
                state=entry.state,
                accountant=entry.accountant,
            ),
        )
    for id, desk in seed.desks.items():
        make.put(id, Desk(id=id, title=desk.title, delegate=desk.delegate))
    for past in seed.history:
        make.put(past.contract, _certification(past.contract, past, make))
    for number, item in seed.items.items():
        make.put(number, _certification(number, item, make))


def _certification(number: str, entry: CertificationSeed, make: Build) -> Certification:
    return Certification(
        contract=number,
        round=entry.round,
        desk=entry.desk,
        certifier=entry.certifier,
        state=entry.state,
        answers=Answers(**entry.answers.model_dump()),
        refs=entry.refs,
        request_id=entry.request_id,
        submitted=make.time(entry.submitted) if entry.submitted else "",
        submitted_by=entry.submitted_by,
        account=entry.account,
        owner=entry.owner,
    )


kit = Toolkit(
    "certifications",
    title="Certification portal",
    seed=CertificationsSeed,
    tables={
        "certifications": Form,
        "certifications.rounds": Round,
        "certifications.desks": Desk,
        "certifications.items": Certification,
    },
    build=build,
    uses=("opportunities", "activities", "contracts", "deal_desk", "commissions"),
)


class AnswersInput(Arguments):
    """One answer to each question."""

    termination: Annotated[
        Answer, Field(description="Rights to end, shorten or leave the contract that it does not contain.")
    ]
    payment: Annotated[Answer, Field(description="Payment terms, credits or refunds that it does not contain.")]
    acceptance: Annotated[
        Answer, Field(description="Acceptance, go-live or delivery conditions that it does not contain.")
    ]
    price: Annotated[Answer, Field(description="Prices, price holds or free items that it does not contain.")]


@kit.tool(effects=["read"])
def rounds(at: Slice) -> object:
    """List certification rounds with the number of contracts in each state."""
    rows = []
    for entry in at.table(Round).values():
        states = [item.state for item in at.table(Certification).where(round=entry.id)]
        rows.append(
            {
                "round": entry.id,
                "title": entry.title,
                "opened": entry.opened,
                "state": entry.state,
                "accountant": entry.accountant,
                "contracts": len(states),
                "submitted": states.count("submitted"),
                "referred": states.count("referred"),
                "open": states.count("open"),
            }
        )
    at.emit("read", "certifications://rounds", count=len(rows))
    return rows


@kit.tool(effects=["read"])
def search(at: Slice, round: str, desk: str = "", state: State | None = None, page: int = 1) -> object:
    """List the contracts of a certification round.

    Args:
        round: Round, such as 2026-Q3.
        desk: Only contracts of this desk.
        state: Only contracts in this state.
        page: Page number, 20 contracts a page.
    """
    known = at.table(Round)
    if round not in known:
        raise ToolError("not_found", f"No round {round}.", offer=known.keys())
    rows = [
        item
        for item in at.table(Certification).where(round=round)
        if desk in ("", item.desk) and state in (None, item.state)
    ]
    found = paged(rows, page)
    shown: list[Certification] = found["items"]
    covers = tuple(sorted(f"certifications://{item.contract}" for item in shown))
    at.emit("read", f"certifications://rounds/{round}", count=len(shown), covers=covers)
    found["items"] = [_as_row(at, item) for item in shown]
    return {"round": round, "round_state": known[round].state, "note": at.table(Form)["form"].note, **found}


@kit.tool(effects=["read"])
def get(at: Slice, contract_id: str) -> object:
    """Open a contract's certification form with its answers so far.

    Args:
        contract_id: Number of the contract.
    """
    item = _find(at, contract_id)
    at.emit("read", f"certifications://{item.contract}", fields=("answers", "note", "payee"))
    return {
        **_as_row(at, item),
        "form_note": at.table(Form)["form"].note,
        "answers": {question: getattr(item.answers, question) or None for question in QUESTIONS},
        "refs": item.refs,
        "request_id": item.request_id or None,
        "submitted": item.submitted or None,
        "submitted_by": item.submitted_by or None,
    }


@kit.tool(effects=["attest", "update", "request"], minutes=3)
def submit(
    at: Slice,
    contract_id: str,
    answers: AnswersInput,
    refs: list[str] | None = None,
    request_id: str = "",
) -> object:
    """Submit a contract's certification form; it may be submitted again while the round is open.

    Args:
        contract_id: Number of the contract.
        answers: One answer to each question: none, disclosed (with refs and request_id), or refer_to_owner.
        refs: Numbers of the activities or amendments in which a disclosed term stands.
        request_id: Number of the deal desk request for the disclosed terms.
    """
    item = _find(at, contract_id)
    entry = at.table(Round)[item.round]
    if entry.state != "open":
        raise ToolError("conflict", f"Round {item.round} is closed.", found=entry.state)
    given: dict[str, str] = answers.model_dump()
    _check_certifier(at, item, given)
    named = tuple(dict.fromkeys(refs or []))
    _check_evidence(at, item, given, named, request_id)
    state = "referred" if "refer_to_owner" in given.values() else "submitted"
    at.table(Certification).update(
        contract_id,
        state=state,
        answers=Answers(**given),
        refs=named,
        request_id=request_id,
        submitted=at.now,
        submitted_by=at.account,
    )
    owner = _owner(at, item)
    signed = [a for a in contracts.amendments_of(at, contract_id) if a.state == "signed"]
    for question in QUESTIONS:
        at.emit(
            "attest",
            f"certifications://{contract_id}",
            owner=owner,
            subject=question,
            outcome=given[question],
            before=getattr(item.answers, question) or None,
            recipients=(entry.accountant,) if entry.accountant else (),
            audience="org",
            about=contract_id,
            refs=named,
            data={
                "request_id": request_id,
                "amended_by": tuple(a.id for a in signed if a.clause == question),
            },
        )
    if state == "referred":
        at.emit("request", f"certifications://{contract_id}", recipients=(owner,), about=contract_id, audience="org")
    payout = PAYOUT["disclosed" if state == "submitted" and "disclosed" in given.values() else state]
    _set_payout(at, contract_id, owner, payout)
    return {"contract_id": contract_id, "state": state, "answers": given, "submitted": at.now}


@kit.on("deliver")
def deliver(at: Slice, payload: dict[str, str]) -> None:
    """The owner of a contract that was referred, or the accountant, writes."""
    number = payload.get("thread", "").removeprefix("certifications://")
    at.notify(f"{payload['from']} on {number}: {payload['text']}")


def _check_certifier(at: Slice, item: Certification, given: dict[str, str]) -> None:
    if item.certifier == "owner" and set(given.values()) != {"refer_to_owner"}:
        raise ToolError(
            "forbidden",
            f"{item.contract} is answered by its owner.",
            expected="refer_to_owner to all questions",
            found=", ".join(given.values()),
        )
    desk = at.table(Desk).get(item.desk)
    if desk is not None and desk.delegate and desk.delegate != at.account:
        raise ToolError("forbidden", f"{item.contract} is with {desk.title}.", expected=desk.delegate, found=at.account)


def _check_evidence(
    at: Slice, item: Certification, given: dict[str, str], refs: tuple[str, ...], request_id: str
) -> None:
    contract = at.table(contracts.Contract).get(item.contract)
    deal = contract.opportunity if contract is not None else ""
    log, amendments = at.table(activities.Activity), at.table(contracts.Amendment)
    for number in refs:
        entry, amendment = log.get(number), amendments.get(number)
        if (entry is None or entry.opportunity != deal) and (amendment is None or amendment.contract != item.contract):
            raise ToolError("not_found", f"{number} is no entry or amendment of {item.contract}.")
    request = deal_desk.numbered(at, request_id)
    if "disclosed" in given.values():
        if not refs or not request_id:
            raise ToolError(
                "invalid_arguments",
                "A disclosed term needs where it stands and a deal desk request.",
                expected="refs, request_id",
            )
    elif not request_id:
        return
    if request is None or request.contract != item.contract or request.state not in ("triaged", "papered"):
        raise ToolError(
            "conflict",
            f"{request_id} is no request for {item.contract} in the deal desk's books.",
            expected="the number given at triage",
            found=request_id,
            offer=[
                known.number or f"{known.id} ({known.state})"
                for known in at.table(deal_desk.Request).where(contract=item.contract)
            ],
        )


def _set_payout(at: Slice, contract: str, owner: str, payout: str) -> None:
    line = at.table(commissions.Line).get(contract)
    if line is None or line.state in (payout, "paid"):
        return
    at.table(commissions.Line).update(contract, state=payout)
    at.emit(
        "update",
        f"commissions://{contract}",
        owner=owner,
        fields=("state",),
        before=line.state,
        after=payout,
        amount=line.amount,
        currency=line.currency,
    )


def _owner(at: Slice, item: Certification) -> str:
    contract = at.table(contracts.Contract).get(item.contract)
    seller = opportunities.owner_of(at, contract.opportunity) if contract is not None else None
    return seller.id if seller is not None else item.owner


def _find(at: Slice, number: str) -> Certification:
    item = at.table(Certification).get(number)
    if item is None:
        keys = at.table(Certification).keys()
        raise ToolError("not_found", f"No certification for {number}.", offer=opportunities.near(keys, number))
    return item


def _as_row(at: Slice, item: Certification) -> dict[str, Any]:
    contract = at.table(contracts.Contract).get(item.contract)
    owner = _owner(at, item)
    person = at.table(Person).get(owner)
    line = at.table(commissions.Line).get(item.contract)
    return {
        "contract_id": item.contract,
        "account": contract.account if contract is not None else item.account,
        "product": contract.product if contract is not None else "",
        "opportunity_id": contract.opportunity if contract is not None else "",
        "desk": item.desk,
        "owner": person.name if person is not None else owner,
        "payee": person.name if person is not None else owner,
        "payout": line.state if line is not None else "",
        "certifier": item.certifier,
        "state": item.state,
    }
