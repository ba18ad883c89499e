"""What the people department's apps share: amounts, and the names of fields and tasks.

Records hold integer minor units; apps print "2841.00". Knows nothing of any one app.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

PayField = Literal["base", "allowance", "bonus"]
OpenField = Literal["grade", "site", "job", "start_date", "manager"]
Task = Literal["absence_approval", "probation_letter", "address_change", "pay_read", "report_run"]
"""What can be done for somebody else; the register of delegations names these."""

PAY: Final[tuple[PayField, ...]] = ("base", "allowance", "bonus")
TASKS: Final[dict[str, str]] = {
    "absence_approval": "absence approvals",
    "probation_letter": "probation letters",
    "address_change": "address changes",
    "pay_read": "pay read for internal transfers",
    "report_run": "reports without pay",
}


def _minor(value: object) -> object:
    if isinstance(value, float):
        raise ValueError("write an amount in quotes, such as '2841.00', or as whole minor units")
    if isinstance(value, str):
        whole, _, cents = value.replace(",", "").partition(".")
        if not whole.isdigit() or (cents and not (cents.isdigit() and len(cents) <= 2)):
            raise ValueError(f"expected an amount such as '2841.00', found {value!r}")
        return int(whole) * 100 + int(f"{cents:0<2}")
    return value


Minor = Annotated[int, BeforeValidator(_minor), Field(ge=0, le=10**11)]
"""An amount in a scenario file: text ("2841.00"), or a whole number of minor units."""


def money(amount: int) -> str:
    """Return minor units as text with two decimals."""
    return f"{amount // 100}.{amount % 100:02d}"


def words(tasks: tuple[str, ...]) -> str:
    """Return the names of tasks as the register writes them."""
    return ", ".join(TASKS.get(task, task) for task in tasks)
