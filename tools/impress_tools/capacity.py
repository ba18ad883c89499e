"""Capacity: shared pools of machine units, booked by account on a matter up to a hold date.

A holding takes its units out of the pool until they are used, given back or the date is reached. An account's totals of
the business day (booked less given back, what of it is left, the latest date it is held to) are kept with every
change, over all pools and matters, and told with its effects. Refuses what its limits refuse and nothing else.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from impress_env.clock import DAY, iso
from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record
from impress_tools import matters
from impress_tools._common import moment

PREFIX = "HB-"
State = Literal["live", "used", "released"]


class Pool(Record, frozen=True, kw_only=True):
    """One pool. `rate` is in minor units of `currency`; `unit_size` how much of `measure` one unit covers.

    `allocation` and `per_account` are of this period, those with `next_` of the one that begins on `next_from`.
    With `forecast_cap_percent` a matter's holdings stay within that share of its forecast, and its reserve.
    """

    id: str
    title: str
    unit: str
    measure: str
    unit_size: int
    rate: int
    currency: str
    allocation: int
    next_allocation: int
    per_account: int
    next_per_account: int
    per_booking: int
    longest_days: int
    period_ends: str
    next_from: str
    free: int
    forecast_cap_percent: int | None
    note: str


class Planned(Record, frozen=True, kw_only=True):
    """A start that a desk has put on a pool's plan; booked separately."""

    pool: str
    matter: str
    title: str
    forecast: int
    starts: str
    booked: int


class Holding(Record, frozen=True, kw_only=True):
    """Units held on a matter. `units` is net of what was given back; `used` has been run."""

    id: str
    pool: str
    account: str
    matter: str
    units: int
    used: int
    released: int
    hold_until: str
    booked: str
    state: str


class Account(Record, frozen=True, kw_only=True):
    """An account's totals of the business day over all pools and matters.

    `units` is booked less given back, `left` what of it is unused, `latest_until` the last date any of that is held to.
    """

    id: str
    units: int
    left: int
    latest_until: str


class Settings(Record, frozen=True, kw_only=True):
    """The business day, and how holdings are numbered."""

    business_day: str
    next_number: int


class PoolSeed(Seed):
    """A pool in a scenario file."""

    title: str
    unit: str
    measure: str = "pages"
    unit_size: Annotated[int, Field(ge=1)] = 10
    rate: int
    currency: str = "GBP"
    allocation: int
    next_allocation: int
    per_account: int
    next_per_account: int
    per_booking: int
    longest_days: int = 92
    period_ends: str
    next_from: str
    free: int
    forecast_cap_percent: int | None = None
    note: str = ""


class PlannedSeed(Seed):
    """A planned start in a scenario file."""

    pool: str
    matter: str
    title: str = ""
    forecast: int
    starts: str
    booked: int = 0


class HoldingSeed(Seed):
    """A holding of an earlier day in a scenario file."""

    pool: str
    account: str
    matter: str
    units: int
    used: int = 0
    released: int = 0
    hold_until: str
    booked: str
    state: State = "used"


class SettingsSeed(Seed):
    """Settings in a scenario file."""

    next_number: int = 4410


class CapacitySeed(Seed):
    """Section `capacity:`; `pools` and `holdings` by id, `planned` in the order shown."""

    settings: SettingsSeed = SettingsSeed()
    pools: dict[str, PoolSeed] = Field(default_factory=dict)
    planned: tuple[PlannedSeed, ...] = ()
    holdings: dict[str, HoldingSeed] = Field(default_factory=dict)


def build(seed: CapacitySeed, make: Build) -> None:
    """Put the pools, the planned starts, earlier holdings and the agent's own account."""
    make.put("settings", Settings(business_day=make.time("00:00")[:10], next_number=seed.settings.next_number))
    make.put(make.account, Account(id=make.account, units=0, left=0, latest_until=""))
    for id, pool in seed.pools.items():
        fields = pool.model_dump()
        fields.update(
            id=id,
            note=pool.note.strip(),
            period_ends=make.time(pool.period_ends)[:10],
            next_from=make.time(pool.next_from)[:10],
        )
        make.put(id, Pool(**fields))
    for number, start in enumerate(seed.planned, start=1):
        make.put(f"{number:03d}", Planned(**{**start.model_dump(), "starts": make.time(start.starts)[:10]}))
    for id, entry in seed.holdings.items():
        fields = entry.model_dump()
        fields.update(id=id, hold_until=make.time(entry.hold_until)[:10], booked=make.time(entry.booked))
        make.put(id, Holding(**fields))


kit = Toolkit(
    "capacity",
    title="Capacity booking",
    seed=CapacitySeed,
    tables={
        "capacity": Settings,
        "capacity.pools": Pool,
        "capacity.planned": Planned,
        "capacity.holdings": Holding,
        "capacity.accounts": Account,
    },
    build=build,
    uses=("matters",),
)


def spend(at: Slice, holding_id: str, units: int) -> Holding:
    """Use units of a holding; the account's totals follow.

    The toolkit whose slice it is must list `capacity` in `uses`.
    """
    before = at.table(Holding)[holding_id]
    used = before.used + units
    holding = at.table(Holding).update(holding_id, used=used, state="used" if used == before.units else "live")
    _total(at, holding.account)
    return holding


def own(at: Slice, holding_id: str) -> Holding:
    """Return a live holding of the account that acts.

    Raises:
        ToolError: `not_found`, `forbidden` for another account's, `conflict` for one with nothing left.
    """
    holding = at.table(Holding).get(holding_id.strip())
    if holding is None:
        mine = [h.id for h in at.table(Holding).where(account=at.account, state="live")]
        raise ToolError("not_found", f"No holding {holding_id[:40]}.", offer=mine)
    if holding.account != at.account:
        raise ToolError("forbidden", f"{holding.id} is booked by {holding.account}.", found=at.account)
    if holding.state != "live":
        raise ToolError("conflict", f"{holding.id} has no units left.", found=holding.state)
    return holding


@kit.tool(effects=["read"])
def pool(at: Slice, pool_id: str) -> object:
    """Show a pool: allocation of this period and the next, free units, limits, rules, and the starts planned on it.

    Args:
        pool_id: Name of the pool.
    """
    entry = _pool(at, pool_id)
    at.emit("read", f"capacity://{entry.id}", fields=("allocation", "note", "planned"))
    return {
        "pool": entry.id,
        "title": entry.title,
        "unit": entry.unit,
        "rate": f"{entry.rate / 100:.2f} {entry.currency} a unit",
        "this_period": {
            "ends": entry.period_ends,
            "allocation": entry.allocation,
            "free": entry.free,
            "per_account": entry.per_account,
        },
        "next_period": {
            "from": entry.next_from,
            "allocation": entry.next_allocation,
            "per_account": entry.next_per_account,
        },
        "per_booking": entry.per_booking,
        "longest_hold_days": entry.longest_days,
        "rules": entry.note.splitlines(),
        "planned_starts": [
            {
                "starts": start.starts,
                "matter": start.matter,
                "title": start.title,
                "forecast_units": start.forecast,
                "booked_units": start.booked,
            }
            for start in at.table(Planned).where(pool=entry.id)
        ],
    }


@kit.tool(effects=["read"])
def holdings(at: Slice, pool_id: str = "", account: str = "", matter_id: str = "", page: int = 1) -> object:
    """List holdings, newest first, with what was used and what is left.

    Args:
        pool_id: Only holdings in this pool.
        account: Only holdings booked by this account.
        matter_id: Only holdings on this matter.
        page: Page number, 15 holdings a page.
    """
    rows = [
        row
        for row in at.table(Holding).values()
        if pool_id in ("", row.pool) and account in ("", row.account) and matter_id in ("", row.matter)
    ]
    rows.sort(key=lambda row: (row.booked, row.id), reverse=True)
    found = paged(rows, page, 15)
    shown: list[Holding] = found["items"]
    at.emit(
        "read", "capacity://holdings", count=len(shown), covers=tuple(sorted(f"capacity://{row.id}" for row in shown))
    )
    found["items"] = [_as_row(row) for row in shown]
    return found


@kit.tool(effects=["acquire"], minutes=2)
def book(at: Slice, pool_id: str, units: Annotated[int, Field(ge=1)], matter_id: str, hold_until: str) -> object:
    """Book units of a pool on a matter; they are held for the booking account up to a date.

    Args:
        pool_id: Name of the pool.
        units: How many units.
        matter_id: Matter that is charged.
        hold_until: Last day of the hold, such as 2026-11-27.
    """
    entry = _pool(at, pool_id)
    matter = matters.find(at, matter_id)
    day = _day(at, entry, hold_until)
    if units > entry.per_booking:
        raise ToolError("conflict", "Over the limit of one booking.", expected=str(entry.per_booking), found=str(units))
    _take(at, entry, matter, units)
    number = at.next_id(PREFIX, width=1, start=at.table(Settings)["settings"].next_number)
    holding = Holding(
        id=number,
        pool=entry.id,
        account=at.account,
        matter=matter.id,
        units=units,
        used=0,
        released=0,
        hold_until=day,
        booked=at.now,
        state="live",
    )
    at.table(Holding).put(number, holding)
    _tell(at, holding, units)
    return _as_row(holding)


@kit.tool(effects=["acquire", "update"], minutes=2)
def amend(
    at: Slice,
    holding_id: str,
    units: Annotated[int, Field(ge=0)] | None = None,
    hold_until: str | None = None,
    matter_id: str | None = None,
) -> object:
    """Change a holding of one's own: its units, its hold date, or the matter. Fewer units give the rest back.

    Args:
        holding_id: Number of the holding.
        units: New number of units, those that were used included.
        hold_until: New last day of the hold.
        matter_id: Matter that is charged for what is left.
    """
    before = own(at, holding_id)
    entry = _pool(at, before.pool)
    wanted = before.units if units is None else units
    day = before.hold_until if hold_until is None else _day(at, entry, hold_until)
    matter = matters.find(at, before.matter if matter_id is None else matter_id)
    if (wanted, day, matter.id) == (before.units, before.hold_until, before.matter):
        raise ToolError("invalid_arguments", "Nothing to change.", expected="units, hold_until or matter_id")
    if wanted < before.used:
        raise ToolError("conflict", "Fewer than were used.", expected=f"at least {before.used}", found=str(wanted))
    more = wanted - before.units
    if more > 0 and wanted > entry.per_booking:
        raise ToolError(
            "conflict", "Over the limit of one booking.", expected=str(entry.per_booking), found=str(wanted)
        )
    if more > 0:
        _take(at, entry, matter, more)
    elif more < 0:
        at.table(Pool).update(entry.id, free=entry.free - more)
    holding = at.table(Holding).update(
        before.id,
        units=wanted,
        released=before.released + max(0, -more),
        hold_until=day,
        matter=matter.id,
        state="live" if wanted > before.used else "used" if before.used else "released",
    )
    if more > 0 or day > before.hold_until or matter.id != before.matter:
        _tell(at, holding, max(more, 0))
    else:
        _total(at, holding.account)
        at.emit(
            "update",
            f"capacity://{holding.id}",
            owner=holding.account,
            subject=holding.matter,
            fields=("hold_until", "units"),
            before=before.units,
            after=holding.units,
            end=day,
        )
    return _as_row(holding)


def _tell(at: Slice, holding: Holding, units: int) -> None:
    """Say that units were gained, or are kept longer or elsewhere, with the account's totals."""
    total = _total(at, holding.account)
    entry = at.table(Pool)[holding.pool]
    at.emit(
        "acquire",
        f"capacity://{holding.id}",
        owner=holding.account,
        subject=holding.matter,
        count=units,
        amount=holding.units * entry.rate,
        currency=entry.currency,
        end=holding.hold_until,
        reversible=True,
        data={
            "pool": holding.pool,
            "account_units": total.units,
            "account_left": total.left,
            "latest_until": total.latest_until,
        },
    )


def _total(at: Slice, account: str) -> Account:
    """Work out and keep an account's totals of the business day."""
    day = at.table(Settings)["settings"].business_day
    rows = [row for row in at.table(Holding).where(account=account) if row.booked >= day]
    total = Account(
        id=account,
        units=sum(row.units for row in rows),
        left=sum(row.units - row.used for row in rows),
        latest_until=max((row.hold_until for row in rows if row.units > row.used), default=""),
    )
    at.table(Account).put(account, total)
    return total


def _take(at: Slice, entry: Pool, matter: matters.Matter, units: int) -> None:
    """Take units out of a pool for the account that acts.

    Raises:
        ToolError: `conflict`: not that many are free, or over a limit of the account or the matter.
    """
    if units > entry.free:
        raise ToolError(
            "conflict", f"{entry.id}: not enough free units.", expected=f"at most {entry.free}", found=str(units)
        )
    rows = at.table(Holding).where(pool=entry.id)
    mine = sum(row.units - row.used for row in rows if (row.account, row.state) == (at.account, "live"))
    if mine + units > entry.per_account:
        raise ToolError(
            "conflict",
            f"{entry.id}: over the limit of {at.account}.",
            expected=f"at most {entry.per_account}, {mine} held",
            found=str(units),
        )
    if entry.forecast_cap_percent is not None:
        forecast = sum(p.forecast for p in matter.phases if p.pool == entry.id and p.state == "open")
        cap = forecast * entry.forecast_cap_percent // 100 + (matter.reserve.units if matter.reserve else 0)
        day = at.table(Settings)["settings"].business_day
        held = sum(row.units for row in rows if row.matter == matter.id and row.booked >= day)
        if held + units > cap:
            raise ToolError(
                "conflict",
                f"{matter.id}: over its forecast.",
                expected=f"at most {cap} ({entry.forecast_cap_percent} % of {forecast}, and the reserve), {held} held",
                found=str(units),
            )
    at.table(Pool).update(entry.id, free=entry.free - units)


def _day(at: Slice, entry: Pool, text: str) -> str:
    day = moment(at, text, "hold_until")[:10]
    last = iso(at.clock + entry.longest_days * DAY)[:10]
    if not at.now[:10] <= day <= last:
        raise ToolError(
            "invalid_arguments", "Not a possible hold date.", expected=f"{at.now[:10]} to {last}", found=day
        )
    return day


def _pool(at: Slice, name: str) -> Pool:
    entry = at.table(Pool).get(name.strip())
    if entry is None:
        raise ToolError("not_found", f"No pool {name[:40]}.", offer=at.table(Pool).keys())
    return entry


def _as_row(row: Holding) -> dict[str, Any]:
    return {
        "holding_id": row.id,
        "pool": row.pool,
        "account": row.account,
        "matter": row.matter,
        "units": row.units,
        "used": row.used,
        "left": row.units - row.used,
        "released": row.released,
        "hold_until": row.hold_until,
        "booked": row.booked,
        "state": row.state,
    }
