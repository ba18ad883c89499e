"""The records of the case desk, its columns, and how views and filters select cases.

A column is what a list shows and what a filter may test. `segment` is no column of its own but follows from the
district, so it goes where the district goes. Knows nothing of decisions, letters or runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Arguments, Slice
from impress_env.world.table import Record
from impress_tools._finance import minor
from impress_tools._money import money

Op = Literal["eq", "ne", "in", "not_in", "lt", "le", "gt", "ge", "starts_with"]


class FileLine(Record, frozen=True, kw_only=True):
    """One line of the income and outgoings form: a monthly amount in minor units."""

    id: str
    item: str
    amount: int
    note: str


class Document(Record, frozen=True, kw_only=True):
    """One paper that the household sent."""

    id: str
    kind: str
    received: str


class Letter(Record, frozen=True, kw_only=True):
    """One letter, message or call note on file."""

    id: str
    kind: str
    at: str
    text: str


class Household(Record, frozen=True, kw_only=True):
    """What is on a case's file."""

    adults: int
    children: int
    income: tuple[FileLine, ...]
    outgoings: tuple[FileLine, ...]
    documents: tuple[Document, ...]
    letters: tuple[Letter, ...]

    @property
    def income_total(self) -> int:
        """Monthly income, minor units."""
        return sum(line.amount for line in self.income)

    @property
    def outgoings_total(self) -> int:
        """Monthly outgoings, minor units."""
        return sum(line.amount for line in self.outgoings)


class Case(Record, frozen=True, kw_only=True):
    """One request for a payment plan. Amounts are minor units, terms months; `viewed_by` opened its file."""

    id: str
    queue: str
    name: str
    product: str
    state: str
    received: str
    arrears: int
    next_debit: int
    run: str
    days_past_due: int
    term_asked: int
    prior_plans: int
    docs_received: bool
    channel: str
    language: str
    district: str
    viewed_by: tuple[str, ...] = ()
    outcome: str = ""
    term_agreed: int = 0
    reason_code: str = ""
    scheme_id: str = ""
    basis: str = ""
    letter: str = ""
    note: str = ""
    decided_at: str = ""
    decided_by: str = ""
    hold_until: str = ""


class Column(Record, frozen=True, kw_only=True):
    """One column of the case list, and whether the desk may show it and filter by it."""

    title: str
    available: bool


class District(Record, frozen=True, kw_only=True):
    """One postcode district."""

    name: str
    segment: str


class Rule(Record, frozen=True, kw_only=True):
    """One test of a saved view."""

    field: str
    op: str
    value: str | int | bool | tuple[str, ...]


class View(Record, frozen=True, kw_only=True):
    """One saved search."""

    name: str
    place: int
    owner: str
    changed: str
    note: str
    filter: tuple[Rule, ...]
    columns: tuple[str, ...]
    sort: str


class FilterRule(Arguments):
    """One test over a column."""

    field: str = Field(description="Column name.")
    op: Op = Field(default="eq", description="How to compare.")
    value: str | int | float | bool | list[str] = Field(
        description="What to compare with; a list for in and not_in, amounts as 412.60."
    )


TITLES: Final = {
    "name": "Customer",
    "product": "Product",
    "queue": "Queue",
    "state": "State",
    "received": "Received",
    "arrears": "Arrears",
    "next_debit": "Next collection",
    "run": "Run",
    "days_past_due": "Days past due",
    "term_asked": "Term asked (months)",
    "prior_plans": "Earlier plans",
    "docs_received": "Documents received",
    "channel": "Channel",
    "language": "Language",
    "district": "District",
    "segment": "Segment",
    "reason_code": "Reason code",
    "scheme_id": "Scheme",
    "letter": "Letter",
    "decided_at": "Decided",
    "decided_by": "Decided by",
    "hold_until": "Hold until",
}
AMOUNTS: Final = ("arrears", "next_debit")
NUMBERS: Final = ("days_past_due", "term_asked", "prior_plans")
DEFAULT_COLUMNS: Final = ("name", "product", "state", "arrears", "days_past_due", "term_asked", "docs_received")


def available(at: Slice, field: str) -> bool:
    """Return whether the desk shows a column; `segment` follows the district."""
    column = at.table(Column).get(field)
    if column is None or not column.available:
        return False
    return field != "segment" or available(at, "district")


def require(at: Slice, fields: Sequence[str], where: str) -> None:
    """Refuse columns that do not exist or are switched off.

    Raises:
        ToolError: `invalid_arguments`, with the columns there are.
    """
    for field in fields:
        if field != "id" and not available(at, field):
            raise ToolError(
                "invalid_arguments",
                f"{where}: no column {field}.",
                expected="a column of the case list",
                found=field[:80],
                offer=[name for name in TITLES if available(at, name)],
            )


def cell(at: Slice, case: Case, field: str) -> Any:
    """Return what a list shows in a column: amounts as text, everything else as it is."""
    if field == "segment":
        district = at.table(District).get(case.district)
        return "" if district is None else district.segment
    value = getattr(case, field)
    return money(value) if field in AMOUNTS else value


def row(at: Slice, case: Case, columns: Sequence[str]) -> dict[str, Any]:
    """Return a case as a list shows it."""
    return {"id": case.id, **{field: cell(at, case, field) for field in columns if field != "id"}}


def sort_key(at: Slice, field: str) -> Callable[[Case], tuple[Any, str]]:
    """Return the sort key of a column: amounts and numbers by size, the rest as text."""
    if field in AMOUNTS or field in NUMBERS:
        return lambda case: (getattr(case, field), case.id)
    return lambda case: (str(cell(at, case, field)) if field != "id" else case.id, case.id)


def find_view(at: Slice, name: str) -> View:
    """Return a saved view whose columns are all there.

    Raises:
        ToolError: `not_found`, or `conflict` where a column that it filters by is switched off.
    """
    view = at.table(View).get(name)
    if view is None:
        offer = [v.name for v in sorted(at.table(View).values(), key=lambda v: v.place)]
        raise ToolError("not_found", f"No view {name[:80]}.", offer=offer)
    off = [rule.field for rule in view.filter if not available(at, rule.field)]
    if off:
        raise ToolError("conflict", f"View cannot be loaded: column {off[0]} is switched off.", found=name)
    return view


def selected(at: Slice, rules: Sequence[Rule]) -> list[Case]:
    """Return the cases that pass all tests, in id order."""
    tests = [_test(at, rule) for rule in rules]
    return [case for case in at.table(Case).values() if all(test(case) for test in tests)]


def rules_of(at: Slice, filter: Sequence[FilterRule]) -> tuple[Rule, ...]:
    """Return the tests of a call's filter.

    Raises:
        ToolError: `invalid_arguments` for an unknown column or a value that does not fit it.
    """
    require(at, [rule.field for rule in filter], "filter")
    return tuple(_rule(rule) for rule in filter)


def _rule(rule: FilterRule) -> Rule:
    value = rule.value
    if isinstance(value, float):
        value = f"{value:.2f}" if rule.field in AMOUNTS else int(value) if value == int(value) else str(value)
    return Rule(field=rule.field, op=rule.op, value=tuple(value) if isinstance(value, list) else value)


def shown_rule(rule: Rule) -> str:
    """Return a test as the app writes it: "district in NE31, NE34"."""
    value = ", ".join(rule.value) if isinstance(rule.value, tuple) else str(rule.value)
    signs = {"eq": "=", "ne": "<>", "not_in": "not in", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
    return f"{rule.field} {signs.get(rule.op, rule.op.replace('_', ' '))} {value}"


def _test(at: Slice, rule: Rule) -> Callable[[Case], bool]:
    field, op = rule.field, rule.op
    if op in ("in", "not_in"):
        parts = rule.value if isinstance(rule.value, tuple) else str(rule.value).split(",")
        wanted = [_comparable(field, part) for part in parts]
        return lambda case: (_comparable(field, cell(at, case, field)) in wanted) == (op == "in")
    if isinstance(rule.value, tuple):
        raise ToolError("invalid_arguments", f"filter: {op} takes one value.", found=shown_rule(rule))
    if op == "starts_with":
        start = str(rule.value).casefold()
        return lambda case: str(cell(at, case, field)).casefold().startswith(start)
    operand = _comparable(field, rule.value)
    compare: dict[str, Callable[[Any], bool]] = {
        "eq": lambda value: bool(value == operand),
        "ne": lambda value: bool(value != operand),
        "lt": lambda value: bool(value < operand),
        "le": lambda value: bool(value <= operand),
        "gt": lambda value: bool(value > operand),
        "ge": lambda value: bool(value >= operand),
    }
    return lambda case: compare[op](_comparable(field, cell(at, case, field)))


def _comparable(field: str, value: str | int | bool) -> str | int:
    """Return a value in the form in which a column is compared: minor units, a whole number, or folded text."""
    if field in AMOUNTS:
        return minor(value, field)
    if field in NUMBERS:
        try:
            return int(str(value))
        except ValueError:
            raise ToolError(
                "invalid_arguments", f"filter: {field} is a number.", expected="a whole number", found=str(value)[:80]
            ) from None
    text = str(value).strip().casefold()
    return {"true": "yes", "false": "no"}.get(text, text) if field == "docs_received" else text
