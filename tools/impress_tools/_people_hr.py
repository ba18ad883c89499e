"""What the people department's apps share: amounts, and the names of fields and tasks.

Records hold integer minor units; apps print "2841.00". Knows nothing of any one app.
"""

from __future__ import annotations

from typing import Final, Literal

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


def words(tasks: tuple[str, ...]) -> str:
    """Return the names of tasks as the register writes them."""
    return ", ".join(TASKS.get(task, task) for task in tasks)
