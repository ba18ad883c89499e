"""Vendors: the register of firms that may be bought from, with what is on file about each.

Bank details, certificates, who owns them. A vendor's owner is a group's number: whether that group still stands,
and whose sales desk answers for its members, is looked up there on every read. Judges nobody.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record

Status = Literal["active", "dormant", "blocked"]
Standing = Literal["active", "ended"]
PAGE = 8


class Certificate(Record, frozen=True, kw_only=True):
    """A paper on file, and the day until which it holds."""

    kind: str
    until: str


class Group(Record, frozen=True, kw_only=True):
    """Who stands behind several vendors. `sales_desk` answers for all members while the group stands."""

    id: str
    name: str
    status: str
    as_of: str
    sales_desk: str


class Vendor(Record, frozen=True, kw_only=True):
    """One vendor. `group` is empty for a firm that belongs to nobody else; `tie` says how it belongs."""

    id: str
    name: str
    town: str
    categories: tuple[str, ...]
    status: str
    contact: str
    group: str
    tie: str
    bank_ends: str
    bank_checked: str
    certificates: tuple[Certificate, ...]
    orders: int
    last_order: str
    note: str


class CertificateSeed(Seed):
    """A paper in a scenario file."""

    kind: str
    until: str


class GroupSeed(Seed):
    """A group in a scenario file."""

    name: str
    status: Standing = "active"
    as_of: str
    sales_desk: str = ""


class VendorSeed(Seed):
    """A vendor in a scenario file."""

    name: str
    town: str = ""
    categories: tuple[str, ...]
    status: Status = "active"
    contact: str = ""
    group: str = ""
    tie: str = ""
    bank_ends: str = ""
    bank_checked: str = "-400d 10:00"
    certificates: tuple[CertificateSeed, ...] = ()
    orders: Annotated[int, Field(ge=0)] = 0
    last_order: str = ""
    note: str = ""


class VendorsSeed(Seed):
    """Section `vendors:`; `items` and `groups` by number."""

    groups: dict[str, GroupSeed] = Field(default_factory=dict)
    items: dict[str, VendorSeed] = Field(default_factory=dict)


def build(seed: VendorsSeed, make: Build) -> None:
    """Put groups and vendors."""
    for number, group in seed.groups.items():
        make.put(
            number,
            Group(
                id=number,
                name=group.name,
                status=group.status,
                as_of=make.time(group.as_of)[:10],
                sales_desk=group.sales_desk,
            ),
        )
    for number, entry in seed.items.items():
        make.put(
            number,
            Vendor(
                id=number,
                name=entry.name,
                town=entry.town,
                categories=tuple(sorted(entry.categories)),
                status=entry.status,
                contact=entry.contact,
                group=entry.group,
                tie=entry.tie,
                bank_ends=entry.bank_ends,
                bank_checked=make.time(entry.bank_checked)[:10],
                certificates=tuple(
                    Certificate(kind=paper.kind, until=make.time(paper.until)[:10]) for paper in entry.certificates
                ),
                orders=entry.orders,
                last_order=make.time(entry.last_order)[:10] if entry.last_order else "",
                note=entry.note,
            ),
        )


kit = Toolkit(
    "vendors",
    title="Vendor register",
    seed=VendorsSeed,
    tables={"vendors.groups": Group, "vendors.items": Vendor},
    build=build,
)


def listed(at: Slice, number: str) -> Vendor:
    """Return a vendor by number.

    The toolkit whose slice it is must list `vendors` in `uses`.

    Raises:
        ToolError: `not_found`, with numbers that begin alike.
    """
    vendor = at.table(Vendor).get(number)
    if vendor is None:
        known = at.table(Vendor).keys()
        near = [key for key in known if key[:4] == number.strip()[:4]]
        raise ToolError("not_found", f"No vendor {number[:40]}.", offer=(near or known)[:12])
    return vendor


def owner(at: Slice, vendor: Vendor, *, ended_too: bool = False) -> str:
    """Return the group behind a vendor, or the vendor's own number where there is none that stands.

    Args:
        at: A slice that reaches this toolkit.
        vendor: The vendor.
        ended_too: Whether a group that has ended counts as well.
    """
    group = at.table(Group).get(vendor.group)
    return group.id if group is not None and (ended_too or group.status == "active") else vendor.id


@kit.tool(effects=["read"])
def find(at: Slice, category: str = "", text: str = "", page: int = 1) -> object:
    """List vendors of the register by name.

    Args:
        category: Only vendors listed for this category code.
        text: Only vendors whose name or town contains this text.
        page: Page number, 8 vendors a page.
    """
    rows = at.table(Vendor).values()
    code, wanted = category.strip().upper(), text.strip().lower()
    known = sorted({name for vendor in rows for name in vendor.categories})
    if code and code not in known:
        raise ToolError("not_found", f"No category {category[:40]}.", offer=known)
    chosen = [
        vendor
        for vendor in rows
        if (not code or code in vendor.categories) and wanted in f"{vendor.name} {vendor.town}".lower()
    ]
    chosen.sort(key=lambda vendor: (vendor.name, vendor.id))
    found = paged(chosen, page, PAGE)
    shown: list[Vendor] = found["items"]
    at.emit("read", "vendors://", count=len(shown), covers=tuple(sorted(f"vendors://{v.id}" for v in shown)))
    found["items"] = [
        {
            "vendor_id": vendor.id,
            "name": vendor.name,
            "town": vendor.town,
            "status": vendor.status,
            "categories": vendor.categories,
            "orders_24_months": vendor.orders,
            "last_order": vendor.last_order or None,
        }
        for vendor in shown
    ]
    return found


@kit.tool(effects=["read"])
def get(at: Slice, vendor_id: str) -> object:
    """Open a vendor's record: contact, owner, bank, certificates, orders.

    Args:
        vendor_id: Number of the vendor.
    """
    vendor = listed(at, vendor_id)
    group = at.table(Group).get(vendor.group)
    stands = group is not None and group.status == "active"
    at.emit(
        "read",
        f"vendors://{vendor.id}",
        subject=vendor.id,
        fields=("bank", "certificates", "contact", "owner"),
        refs=(f"vendors://{group.id}",) if group is not None else (),
        data={"owner": owner(at, vendor)},
    )
    return {
        "vendor_id": vendor.id,
        "name": vendor.name,
        "town": vendor.town,
        "status": vendor.status,
        "categories": vendor.categories,
        "quotes_contact": group.sales_desk if group is not None and stands and group.sales_desk else vendor.contact,
        "owner": None
        if group is None
        else {
            "group_id": group.id,
            "group": group.name,
            "held_by": vendor.tie,
            "status": group.status,
            "as_of": group.as_of,
        },
        "bank": {"account_ends": vendor.bank_ends, "checked": vendor.bank_checked},
        "certificates": vendor.certificates,
        "orders_24_months": vendor.orders,
        "last_order": vendor.last_order or None,
        "note": vendor.note,
    }
