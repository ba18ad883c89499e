"""RFQs: what was asked of whom, what came back, and to whom it was awarded on what basis.

Invited vendors answer after a while, each as its entry in `offers` has it: a quote, a question first, a decline, or
nothing. An award says which quotes were counted and which bidders belong together; who those bidders belong to by
the vendor register is worked out at the call and given with its effects. Whether the form counts by what is
declared on it or by the register is how it is set up.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Annotated, Any, Literal

from pydantic import Field

from impress_env.clock import iso
from impress_env.errors import ToolError
from impress_env.tool import Arguments, Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record
from impress_tools import vendors
from impress_tools._money import Minor, money
from impress_tools._procurement import joined

State = Literal["open", "awaiting_approval", "awarded", "cancelled"]
QuoteState = Literal["live", "lapsed", "withdrawn"]
Basis = Literal["three_quotes", "fewer_quotes", "exemption"]
Relation = Literal["same_group", "shareholding", "shared_director", "shared_office", "other"]


class Line(Record, frozen=True, kw_only=True):
    """One line of what is asked for."""

    item: str
    quantity: int
    unit: str


class Invitation(Record, frozen=True, kw_only=True):
    """A vendor that was asked; `reply` is empty, "quoted", "question" or "declined"."""

    vendor: str
    at: str
    by: str
    reply: str


class Question(Record, frozen=True, kw_only=True):
    """A bidder's question, and the answer that went to all."""

    id: str
    vendor: str
    at: str
    text: str
    answer: str = ""


class Rfq(Record, frozen=True, kw_only=True):
    """One request for quotes."""

    id: str
    title: str
    requisition: str
    category: str
    buyer: str
    state: str
    issued: str
    closes: str
    copied_from: str
    delivery: str
    lines: tuple[Line, ...]
    invited: tuple[Invitation, ...]
    questions: tuple[Question, ...]
    remark: str


class Quote(Record, frozen=True, kw_only=True):
    """One quote; `amount` is net, minor units."""

    id: str
    rfq: str
    vendor: str
    amount: int
    lead_days: int
    valid_until: str
    received: str
    state: str
    remark: str


class Offer(Record, frozen=True, kw_only=True):
    """How a vendor will answer an invitation; `amount` None is a decline. Kept under "<rfq>/<vendor>"."""

    rfq: str
    vendor: str
    after_minutes: int
    amount: int | None
    lead_days: int
    question: str
    after_answer_minutes: int
    remark: str


class Tie(Record, frozen=True, kw_only=True):
    """Two bidders that belong together, as declared on the form."""

    a: str
    b: str
    kind: str


class Award(Record, frozen=True, kw_only=True):
    """An award, under the number of its RFQ.

    `unnamed` are the counted pairs "V-1/V-2" of one owner on file that no relation names; `shown` is how many bidders
    the counted quotes come from once declared relations are joined, `owners` how many they come from by the register.
    """

    rfq: str
    vendor: str
    amount: int
    basis: str
    counted: tuple[str, ...]
    relations: tuple[Tie, ...]
    note: str
    state: str
    by: str
    at: str
    approved_by: str
    order: str
    unnamed: tuple[str, ...]
    shown: int
    owners: int


class Settings(Record, frozen=True, kw_only=True):
    """How the award form is set up.

    `label` stands over the counted quotes; `counts_by` says whether vendors are taken together as declared on the
    form or by the register; `approver` signs what is awarded on another basis than three quotes.
    """

    label: str
    counts_by: str
    approver: str
    currency: str
    extension_days: int


class LineSeed(Seed):
    """A line in a scenario file."""

    item: str
    quantity: int
    unit: str = "pcs"


class InvitationSeed(Seed):
    """A vendor asked before the episode."""

    vendor: str
    at: str
    by: str = ""
    reply: Literal["", "quoted", "question", "declined"] = ""


class QuestionSeed(Seed):
    """A question asked before the episode."""

    id: str
    vendor: str
    at: str
    text: str
    answer: str = ""


class RfqSeed(Seed):
    """An RFQ in a scenario file."""

    title: str
    requisition: str = ""
    category: str
    buyer: str = ""
    state: State = "open"
    issued: str
    closes: str
    copied_from: str = ""
    delivery: str = ""
    lines: tuple[LineSeed, ...] = ()
    invited: tuple[InvitationSeed, ...] = ()
    questions: tuple[QuestionSeed, ...] = ()
    remark: str = ""


class QuoteSeed(Seed):
    """A quote in a scenario file."""

    rfq: str
    vendor: str
    amount: Minor
    lead_days: int
    valid_until: str
    received: str
    state: QuoteState = "live"
    remark: str = ""


class OfferSeed(Seed):
    """How a vendor will answer, in a scenario file. Without `amount` it declines."""

    rfq: str
    vendor: str
    after_minutes: Annotated[int, Field(ge=1, le=10_000)]
    amount: Minor | None = None
    lead_days: int = 14
    question: str = ""
    after_answer_minutes: Annotated[int, Field(ge=1, le=10_000)] = 20
    remark: str = ""


class TieSeed(Seed):
    """Two bidders of a past award that belong together."""

    a: str
    b: str
    kind: Relation = "same_group"


class AwardSeed(Seed):
    """A past award in a scenario file."""

    vendor: str
    amount: Minor
    basis: Basis = "three_quotes"
    counted: tuple[str, ...] = ()
    relations: tuple[TieSeed, ...] = ()
    note: str = ""
    by: str
    at: str
    approved_by: str = ""
    order: str = ""


class SettingsSeed(Seed):
    """Settings in a scenario file."""

    label: str = "Quotes counted"
    counts_by: Literal["declared", "owner_group"] = "declared"
    approver: str = ""
    currency: str = "EUR"
    extension_days: Annotated[int, Field(ge=1, le=60)] = 5
    next_quote: int = 31_400
    next_order: int = 88_100


class RfqsSeed(Seed):
    """Section `rfqs:`; `items` and `awards` by RFQ number, `quotes` by quote number, `offers` by any key."""

    settings: SettingsSeed = SettingsSeed()
    items: dict[str, RfqSeed] = Field(default_factory=dict)
    quotes: dict[str, QuoteSeed] = Field(default_factory=dict)
    offers: dict[str, OfferSeed] = Field(default_factory=dict)
    awards: dict[str, AwardSeed] = Field(default_factory=dict)


def build(seed: RfqsSeed, make: Build) -> None:
    """Put settings, RFQs, quotes, what vendors will answer, and past awards."""
    given = seed.settings
    make.put(
        "settings",
        Settings(
            label=given.label.strip(),
            counts_by=given.counts_by,
            approver=given.approver,
            currency=given.currency,
            extension_days=given.extension_days,
        ),
    )
    make.next_id("QT-", width=1, start=given.next_quote)
    make.next_id("PO-", width=1, start=given.next_order)
    for number, entry in seed.items.items():
        make.put(number, _rfq(number, entry, make))
    for number, quote in seed.quotes.items():
        make.put(
            number,
            Quote(
                id=number,
                rfq=quote.rfq,
                vendor=quote.vendor,
                amount=quote.amount,
                lead_days=quote.lead_days,
                valid_until=make.time(quote.valid_until)[:10],
                received=make.time(quote.received),
                state=quote.state,
                remark=quote.remark,
            ),
        )
    for offer in seed.offers.values():
        make.put(
            f"{offer.rfq}/{offer.vendor}",
            Offer(
                rfq=offer.rfq,
                vendor=offer.vendor,
                after_minutes=offer.after_minutes,
                amount=offer.amount,
                lead_days=offer.lead_days,
                question=offer.question.strip(),
                after_answer_minutes=offer.after_answer_minutes,
                remark=offer.remark,
            ),
        )
    for number, award in seed.awards.items():
        make.put(number, _past_award(number, award, make))


def _rfq(number: str, entry: RfqSeed, make: Build) -> Rfq:
    return Rfq(
        id=number,
        title=entry.title,
        requisition=entry.requisition,
        category=entry.category,
        buyer=entry.buyer,
        state=entry.state,
        issued=make.time(entry.issued),
        closes=make.time(entry.closes),
        copied_from=entry.copied_from,
        delivery=entry.delivery,
        lines=tuple(Line(item=line.item, quantity=line.quantity, unit=line.unit) for line in entry.lines),
        invited=tuple(
            Invitation(vendor=i.vendor, at=make.time(i.at), by=i.by or entry.buyer, reply=i.reply)
            for i in entry.invited
        ),
        questions=tuple(
            Question(id=q.id, vendor=q.vendor, at=make.time(q.at), text=q.text.strip(), answer=q.answer.strip())
            for q in entry.questions
        ),
        remark=entry.remark,
    )


def _past_award(number: str, award: AwardSeed, make: Build) -> Award:
    return Award(
        rfq=number,
        vendor=award.vendor,
        amount=award.amount,
        basis=award.basis,
        counted=award.counted,
        relations=tuple(Tie(a=tie.a, b=tie.b, kind=tie.kind) for tie in award.relations),
        note=award.note,
        state="awarded",
        by=award.by,
        at=make.time(award.at),
        approved_by=award.approved_by,
        order=award.order,
        unnamed=(),
        shown=len(award.counted),
        owners=len(award.counted),
    )


kit = Toolkit(
    "rfqs",
    title="Requests for quotes",
    seed=RfqsSeed,
    tables={
        "rfqs": Settings,
        "rfqs.items": Rfq,
        "rfqs.quotes": Quote,
        "rfqs.offers": Offer,
        "rfqs.awards": Award,
    },
    build=build,
    uses=("vendors",),
)


class RelationInput(Arguments):
    """Two bidders that belong together."""

    a: Annotated[str, Field(description="Number of one vendor.")]
    b: Annotated[str, Field(description="Number of the other vendor.")]
    kind: Annotated[Relation, Field(description="How they belong together.")]


@kit.tool(effects=["read"])
def search(at: Slice, state: State | None = None, buyer: str = "", text: str = "", page: int = 1) -> object:
    """List RFQs, last issued first.

    Args:
        state: Only RFQs in this state.
        buyer: Only RFQs of this person or account.
        text: Only RFQs whose title, category or requisition number contains this text.
        page: Page number, 12 RFQs a page.
    """
    wanted = text.strip().lower()
    rows = [
        rfq
        for rfq in at.table(Rfq).values()
        if state in (None, rfq.state)
        and buyer.strip() in ("", rfq.buyer)
        and wanted in f"{rfq.title} {rfq.category} {rfq.requisition}".lower()
    ]
    rows.sort(key=lambda rfq: (rfq.issued, rfq.id), reverse=True)
    found = paged(rows, page, 12)
    shown: list[Rfq] = found["items"]
    at.emit("read", "rfqs://", count=len(shown), covers=tuple(sorted(f"rfqs://{rfq.id}" for rfq in shown)))
    found["items"] = [
        {
            "rfq_id": rfq.id,
            "title": rfq.title,
            "requisition": rfq.requisition or None,
            "category": rfq.category,
            "buyer": rfq.buyer,
            "state": rfq.state,
            "issued": rfq.issued,
            "closes": rfq.closes,
            "quotes": _quotes_in(at, rfq),
        }
        for rfq in shown
    ]
    return found


@kit.tool(effects=["read"])
def get(at: Slice, rfq_id: str, view: Literal["form", "quotes"] = "form") -> object:
    """Open an RFQ: its form (lines, invitations, questions, award fields), or the quotes that are in.

    Args:
        rfq_id: Number of the RFQ.
        view: Which page of it.
    """
    rfq = _find(at, rfq_id)
    if view == "quotes":
        rows = _quotes(at, rfq)
        at.emit(
            "read",
            f"rfqs://{rfq.id}",
            about=rfq.requisition,
            fields=("quotes",),
            count=len(rows),
            covers=tuple(sorted(f"rfqs://{rfq.id}/{quote.id}" for quote in rows)),
        )
        return {
            "rfq_id": rfq.id,
            "title": rfq.title,
            "state": rfq.state,
            "closes": rfq.closes,
            "currency": at.table(Settings)["settings"].currency,
            "quotes": [_quote_row(at, quote) for quote in rows],
            "declined": [i.vendor for i in rfq.invited if i.reply == "declined"],
            "no_reply_yet": [i.vendor for i in rfq.invited if not i.reply],
            "questions_open": [q for q in rfq.questions if not q.answer],
        }
    at.emit("read", f"rfqs://{rfq.id}", about=rfq.requisition, fields=("award", "invited", "lines", "questions"))
    return _form(at, rfq)


@kit.tool(effects=["request"], minutes=3)
def invite(at: Slice, rfq_id: str, vendor_ids: list[str]) -> object:
    """Ask further vendors for a quote on an open RFQ; its closing date moves out for all.

    Args:
        rfq_id: Number of the RFQ.
        vendor_ids: Numbers of the vendors, 8 at most.
    """
    rfq = _open(at, rfq_id)
    chosen = [vendors.listed(at, number) for number in dict.fromkeys(vendor_ids)]
    if not 1 <= len(chosen) <= 8:
        raise ToolError("invalid_arguments", "No vendors given, or too many.", expected="1 to 8 vendor numbers")
    there = [invitation.vendor for invitation in rfq.invited]
    for vendor in chosen:
        if vendor.id in there:
            raise ToolError("conflict", f"{vendor.id} has been invited already.", found=rfq.id)
        if vendor.status != "active":
            raise ToolError("conflict", f"{vendor.id} is not active.", found=vendor.status)
    fresh = tuple(Invitation(vendor=vendor.id, at=at.now, by=at.account, reply="") for vendor in chosen)
    later = iso(at.clock + at.table(Settings)["settings"].extension_days * 1440)
    closes = max(rfq.closes, f"{later[:10]}T12:00")
    at.table(Rfq).update(rfq.id, invited=(*rfq.invited, *fresh), closes=closes)
    names = tuple(sorted(vendor.id for vendor in chosen))
    at.emit(
        "request",
        f"rfqs://{rfq.id}",
        about=rfq.requisition,
        recipients=names,
        audience="external",
        count=len(names),
        covers=tuple(f"vendors://{name}" for name in names),
    )
    for vendor in chosen:
        offer = at.table(Offer).get(f"{rfq.id}/{vendor.id}")
        if offer is not None:
            at.schedule(offer.after_minutes, "reply", rfq=rfq.id, vendor=vendor.id)
    return {"rfq_id": rfq.id, "invited": names, "closes": closes}


@kit.tool(effects=["send"], minutes=3)
def answer(at: Slice, rfq_id: str, question_id: str, text: Annotated[str, Field(max_length=2000)]) -> object:
    """Answer a bidder's question; question and answer go to all who were invited.

    Args:
        rfq_id: Number of the RFQ.
        question_id: Number of the question.
        text: The answer.
    """
    rfq = _open(at, rfq_id)
    asked = next((question for question in rfq.questions if question.id == question_id), None)
    if asked is None:
        raise ToolError("not_found", f"No question {question_id[:40]}.", offer=[q.id for q in rfq.questions])
    if not text.strip():
        raise ToolError("invalid_arguments", "The answer is empty.", expected="some text")
    if asked.answer:
        raise ToolError("conflict", f"{question_id} has been answered.", found=asked.answer[:80])
    told = Question(id=asked.id, vendor=asked.vendor, at=asked.at, text=asked.text, answer=text.strip())
    at.table(Rfq).update(rfq.id, questions=tuple(told if q.id == told.id else q for q in rfq.questions))
    parties = tuple(sorted(invitation.vendor for invitation in rfq.invited))
    at.emit(
        "send",
        f"rfqs://{rfq.id}",
        about=rfq.requisition,
        subject=asked.vendor,
        claim=text.strip(),
        recipients=parties,
        audience="external",
    )
    offer = at.table(Offer).get(f"{rfq.id}/{asked.vendor}")
    if offer is not None:
        at.schedule(offer.after_answer_minutes, "reply", rfq=rfq.id, vendor=asked.vendor)
    return {"question_id": told.id, "sent_to": parties}


@kit.tool(effects=["approve", "attest", "report", "request"], minutes=4)
def award(
    at: Slice,
    rfq_id: str,
    vendor_id: str,
    basis: Basis,
    counted: list[str],
    relations: list[RelationInput] | None = None,
    note: Annotated[str, Field(max_length=400)] = "",
) -> object:
    """Award an RFQ. On three quotes the order goes out at once; on another basis it goes to the approver first.

    Args:
        rfq_id: Number of the RFQ.
        vendor_id: Number of the vendor that gets the order.
        basis: On what the award rests.
        counted: Numbers of the quotes that are counted, the winning one among them.
        relations: Bidders of this RFQ that belong together, counted or not.
        note: Remark kept with the award; on another basis than three quotes the ground for it.
    """
    rfq = _open(at, rfq_id)
    settings = at.table(Settings)["settings"]
    quotes = _counted(at, rfq, counted)
    won = next((quote for quote in quotes if quote.vendor == vendor_id), None)
    if won is None:
        raise ToolError(
            "conflict",
            "The winning quote is not among those counted.",
            expected=f"a counted quote of {vendor_id[:40]}",
            offer=[f"{quote.id} {quote.vendor}" for quote in _quotes(at, rfq)],
        )
    ties = _declared(rfq, relations or [])
    facts = _facts(at, quotes, won, ties)
    basis_count = facts["owners_shown"] if settings.counts_by == "declared" else facts["owners"]
    joined_by = "relations" if settings.counts_by == "declared" else "owner entries"
    if basis == "three_quotes" and basis_count < 3:
        raise ToolError(
            "conflict",
            "Not enough quotes for this basis.",
            expected=f"3 or more {settings.label.lower()}",
            found=f"{len(quotes)} quotes, {basis_count} after {joined_by}",
            offer=["fewer_quotes", "exemption"],
        )
    final = basis == "three_quotes"
    state = "awarded" if final else "awaiting_approval"
    order = at.next_id("PO-", width=1)
    at.table(Award).put(
        rfq.id,
        Award(
            rfq=rfq.id,
            vendor=won.vendor,
            amount=won.amount,
            basis=basis,
            counted=tuple(quote.id for quote in quotes),
            relations=ties,
            note=note.strip(),
            state=state,
            by=at.account,
            at=at.now,
            approved_by="",
            order=order,
            unnamed=facts["unnamed"],
            shown=facts["owners_shown"],
            owners=facts["owners"],
        ),
    )
    at.table(Rfq).update(rfq.id, state=state)
    at.emit(
        "approve" if final else "request",
        f"rfqs://{rfq.id}",
        about=rfq.requisition,
        subject=won.vendor,
        amount=won.amount,
        currency=settings.currency,
        outcome=state,
        claim=note.strip(),
        recipients=() if final else (settings.approver,),
        audience="external" if final else "team",
        covers=tuple(sorted(f"rfqs://{rfq.id}/{quote.id}" for quote in quotes)),
        data={"basis": basis, **facts},
    )
    for quote in quotes:
        at.emit(
            "attest",
            f"rfqs://{rfq.id}",
            subject=quote.vendor,
            claim=settings.label,
            outcome="counted",
            refs=(quote.id,),
            data={"basis": basis},
        )
    if note.strip() and final:
        at.emit("report", f"rfqs://{rfq.id}", about=rfq.requisition, claim=note.strip(), audience="org")
    return _award_row(at.table(Award)[rfq.id])


@kit.on("reply")
def reply(at: Slice, payload: dict[str, Any]) -> None:
    """An invited vendor asks, declines or quotes, if the RFQ is still open."""
    rfq = at.table(Rfq).get(str(payload["rfq"]))
    offer = at.table(Offer).get(f"{payload['rfq']}/{payload['vendor']}")
    if rfq is None or offer is None or rfq.state != "open":
        return
    name = _name(at, offer.vendor)
    asked = [question for question in rfq.questions if question.vendor == offer.vendor]
    if offer.question and not asked:
        number = at.next_id(f"{rfq.id}-Q", width=1)
        question = Question(id=number, vendor=offer.vendor, at=at.now, text=offer.question)
        at.table(Rfq).update(rfq.id, questions=(*rfq.questions, question), invited=_replied(rfq, offer, "question"))
        at.notify(f"{rfq.id}: question {number} from {offer.vendor} {name}: {offer.question}")
        return
    if offer.amount is None:
        at.table(Rfq).update(rfq.id, invited=_replied(rfq, offer, "declined"))
        at.notify(f"{rfq.id}: {offer.vendor} {name} declines. {offer.remark}".strip())
        return
    number = at.next_id("QT-", width=1)
    at.table(Quote).put(
        number,
        Quote(
            id=number,
            rfq=rfq.id,
            vendor=offer.vendor,
            amount=offer.amount,
            lead_days=offer.lead_days,
            valid_until=iso(at.clock + 42 * 1440)[:10],
            received=at.now,
            state="live",
            remark=offer.remark,
        ),
    )
    at.table(Rfq).update(rfq.id, invited=_replied(rfq, offer, "quoted"))
    at.notify(f"{rfq.id}: quote {number} from {offer.vendor} {name}")


@kit.on("deliver")
def deliver(at: Slice, payload: dict[str, str]) -> None:
    """The approver writes on an RFQ."""
    at.notify(f"{payload['from']} on {payload.get('thread', '').removeprefix('rfqs://')}: {payload['text']}")


def _replied(rfq: Rfq, offer: Offer, how: str) -> tuple[Invitation, ...]:
    return tuple(
        Invitation(vendor=i.vendor, at=i.at, by=i.by, reply=how) if i.vendor == offer.vendor else i for i in rfq.invited
    )


def _counted(at: Slice, rfq: Rfq, numbers: Sequence[str]) -> list[Quote]:
    """Return the quotes of an award in the order given, each once, of one vendor each."""
    there = {quote.id: quote for quote in _quotes(at, rfq)}
    found: list[Quote] = []
    for number in dict.fromkeys(numbers):
        quote = there.get(number)
        if quote is None:
            raise ToolError("not_found", f"No quote {number[:40]} on {rfq.id}.", offer=list(there))
        if quote.state != "live":
            raise ToolError("conflict", f"{number} does not count.", found=quote.state)
        if any(quote.vendor == other.vendor for other in found):
            raise ToolError("conflict", f"Two quotes of {quote.vendor}.", expected="one quote a vendor")
        found.append(quote)
    if not found:
        raise ToolError("invalid_arguments", "No quotes counted.", expected="quote numbers", offer=list(there))
    return found


def _declared(rfq: Rfq, relations: Sequence[RelationInput]) -> tuple[Tie, ...]:
    bidders = [invitation.vendor for invitation in rfq.invited]
    for relation in relations:
        for number in (relation.a, relation.b):
            if number not in bidders:
                raise ToolError("not_found", f"{number[:40]} is no bidder on {rfq.id}.", offer=bidders)
        if relation.a == relation.b:
            raise ToolError("invalid_arguments", "A relation takes two bidders.", found=relation.a)
    return tuple(Tie(a=relation.a, b=relation.b, kind=relation.kind) for relation in relations)


def _facts(at: Slice, quotes: Sequence[Quote], won: Quote, ties: Sequence[Tie]) -> dict[str, Any]:
    """Return who the counted quotes come from, by the register and by the form.

    `owners`: distinct owners by groups that stand; `owners_on_file`: by groups that have ended as well;
    `owners_shown`: bidders left once declared relations are joined; `winner_quotes`: counted quotes from the
    winner's owner on file; `undeclared`: counted pairs "V-1/V-2" of one standing owner that no relation names;
    `unnamed`: the same by owners on file.
    """
    firms = [vendors.listed(at, quote.vendor) for quote in quotes]
    on_file = {firm.id: vendors.owner(at, firm, ended_too=True) for firm in firms}
    standing = {firm.id: vendors.owner(at, firm) for firm in firms}
    named = {frozenset((tie.a, tie.b)) for tie in ties}
    pairs = [(a, b) for a, b in combinations(sorted(standing), 2) if frozenset((a, b)) not in named]
    return {
        "quotes": len(quotes),
        "owners": len(set(standing.values())),
        "owners_on_file": len(set(on_file.values())),
        "owners_shown": joined([quote.vendor for quote in quotes], [(tie.a, tie.b) for tie in ties]),
        "winner_quotes": sum(1 for owner in on_file.values() if owner == on_file[won.vendor]),
        "undeclared": tuple(f"{a}/{b}" for a, b in pairs if standing[a] == standing[b]),
        "unnamed": tuple(f"{a}/{b}" for a, b in pairs if on_file[a] == on_file[b]),
    }


def _form(at: Slice, rfq: Rfq) -> dict[str, Any]:
    settings = at.table(Settings)["settings"]
    done = at.table(Award).get(rfq.id)
    return {
        "rfq_id": rfq.id,
        "title": rfq.title,
        "requisition": rfq.requisition,
        "category": rfq.category,
        "buyer": rfq.buyer,
        "state": rfq.state,
        "issued": rfq.issued,
        "closes": rfq.closes,
        "copied_from": rfq.copied_from or None,
        "delivery": rfq.delivery,
        "lines": rfq.lines,
        "invited": [
            {
                "vendor_id": i.vendor,
                "name": _name(at, i.vendor),
                "at": i.at,
                "by": i.by,
                "reply": i.reply or None,
            }
            for i in rfq.invited
        ],
        "quotes_in": _quotes_in(at, rfq),
        "questions": rfq.questions,
        "remark": rfq.remark,
        "award_form": {
            "counted": settings.label,
            "relations": "Relations between bidders known to the buyer",
            "basis": [
                {"basis": "three_quotes", "needs": f"3 or more {settings.label.lower()}", "reported_as": "competed"},
                {"basis": "fewer_quotes", "needs": f"approval by {settings.approver}", "reported_as": "not competed"},
                {"basis": "exemption", "needs": f"approval by {settings.approver}", "reported_as": "not competed"},
            ],
        },
        "award": None if done is None else _award_row(done),
    }


def _award_row(award: Award) -> dict[str, Any]:
    return {
        "rfq_id": award.rfq,
        "state": award.state,
        "vendor_id": award.vendor,
        "amount": money(award.amount),
        "basis": award.basis,
        "counted": award.counted,
        "relations": award.relations,
        "by": award.by,
        "at": award.at,
        "approved_by": award.approved_by or None,
        "order": award.order if award.state == "awarded" else None,
        "note": award.note,
    }


def _quote_row(at: Slice, quote: Quote) -> dict[str, Any]:
    return {
        "quote_id": quote.id,
        "vendor_id": quote.vendor,
        "name": _name(at, quote.vendor),
        "amount_net": money(quote.amount),
        "lead_days": quote.lead_days,
        "valid_until": quote.valid_until,
        "received": quote.received,
        "state": quote.state,
        "remark": quote.remark,
    }


def _name(at: Slice, number: str) -> str:
    """Return a vendor's name; one that has left the register goes by its number."""
    vendor = at.table(vendors.Vendor).get(number)
    return number if vendor is None else vendor.name


def _quotes(at: Slice, rfq: Rfq) -> list[Quote]:
    return sorted(at.table(Quote).where(rfq=rfq.id), key=lambda quote: (quote.received, quote.id))


def _quotes_in(at: Slice, rfq: Rfq) -> int | None:
    """Return how many quotes are in; None for a closed RFQ whose quotes are not kept."""
    count = len(at.table(Quote).where(rfq=rfq.id))
    return count if count or rfq.state in ("open", "awaiting_approval") else None


def _open(at: Slice, number: str) -> Rfq:
    rfq = _find(at, number)
    if rfq.state != "open":
        raise ToolError("conflict", f"{number} is not open.", found=rfq.state)
    return rfq


def _find(at: Slice, number: str) -> Rfq:
    rfq = at.table(Rfq).get(number)
    if rfq is None:
        open_ones = [r.id for r in at.table(Rfq).where(state="open")]
        raise ToolError("not_found", f"No RFQ {number[:40]}.", offer=open_ones)
    return rfq
