"""Payment runs: direct-debit files that go to the bank, and what each of them collects.

A run is made up at the first daily bank window at or after its cut-off, from the requests as they stand then: what
is agreed or on hold is left out, and so is what waits under a letter with which a running scheme stops collection.
"""

from __future__ import annotations

from typing import Final

from impress_env.clock import minute_of_day
from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record
from impress_tools._casework import Case
from impress_tools._finance import day
from impress_tools._money import money
from impress_tools.schemes import Scheme, runs

LEFT_OUT: Final = ("accepted", "reduced", "on_hold")
DAY_MINUTES: Final = 1440


class Settings(Record, frozen=True, kw_only=True):
    """The time of day at which files go to the bank ("16:00"), and the currency."""

    window: str
    currency: str


class PaymentRun(Record, frozen=True, kw_only=True):
    """One run. `sent_at` is "" until the file has gone; the totals are those of the file."""

    id: str
    name: str
    cutoff_at: str
    state: str
    sent_at: str
    collections: int
    total: int


class Collection(Record, frozen=True, kw_only=True):
    """One amount collected with a run, and how its request stood."""

    run: str
    case_id: str
    amount: int
    case_state: str


class RunSeed(Seed):
    """A run in a scenario file."""

    name: str = ""
    cutoff_at: str
    state: str = "scheduled"
    sent_at: str = ""
    collections: int = 0
    total: int = 0


class SettingsSeed(Seed):
    """Settings in a scenario file."""

    window: str = "16:00"
    currency: str = "GBP"


class PaymentRunsSeed(Seed):
    """Section `payment_runs:`."""

    settings: SettingsSeed = SettingsSeed()
    items: dict[str, RunSeed] = {}


def build(seed: PaymentRunsSeed, make: Build) -> None:
    """Put the runs and plan the daily window, whatever the runs' dates are."""
    window = seed.settings.window
    make.put("settings", Settings(window=window, currency=seed.settings.currency))
    for id, entry in seed.items.items():
        make.put(
            id,
            PaymentRun(
                id=id,
                name=entry.name,
                cutoff_at=make.time(entry.cutoff_at),
                state=entry.state,
                sent_at=make.time(entry.sent_at) if entry.sent_at else "",
                collections=entry.collections,
                total=entry.total,
            ),
        )
    if seed.items:
        today = minute_of_day(window) > make.now % DAY_MINUTES
        make.schedule(f"+{0 if today else 1}d {window}", "window")


kit = Toolkit(
    "payment_runs",
    title="Payment runs",
    seed=PaymentRunsSeed,
    tables={"payment_runs": Settings, "payment_runs.items": PaymentRun, "payment_runs.collections": Collection},
    build=build,
    uses=["cases", "schemes"],
)


@kit.tool(effects=["read"])
def search(at: Slice, state: str = "", cutoff_after: str = "", page: int = 1) -> object:
    """List payment runs, earliest cut-off first.

    Args:
        state: Only runs in this state (scheduled, sent).
        cutoff_after: Only runs with a cut-off on or after this day (ISO date).
        page: Page number, 20 runs a page.
    """
    after = day(cutoff_after, "cutoff_after") if cutoff_after else ""
    rows = sorted(
        (r for r in at.table(PaymentRun).values() if (not state or r.state == state) and r.cutoff_at >= after),
        key=lambda r: (r.cutoff_at, r.id),
    )
    found = paged(rows, page)
    shown: tuple[PaymentRun, ...] = tuple(found["items"])
    at.emit("read", "payment_runs://", count=len(shown), covers=tuple(f"payment_runs://{r.id}" for r in shown))
    found["items"] = [{"id": r.id, "name": r.name, "cutoff_at": r.cutoff_at, "state": r.state} for r in shown]
    return found


@kit.tool(effects=["read"])
def get(at: Slice, id: str) -> object:
    """Open a payment run: cut-off, state, and what it would collect as requests stand.

    Args:
        id: Run id.
    """
    run = at.table(PaymentRun).get(id)
    if run is None:
        raise ToolError("not_found", f"No payment run {id[:40]}.", offer=at.table(PaymentRun).keys())
    at.emit("read", f"payment_runs://{id}", end=run.cutoff_at, outcome=run.state)
    counts = dict.fromkeys(("open", "awaiting_evidence", "declined", *LEFT_OUT), 0)
    for case in at.table(Case).where(run=id):
        counts[case.state] += 1
    due = _due(at, run)
    sent = run.state == "sent"
    return {
        "id": run.id,
        "name": run.name,
        "state": run.state,
        "cutoff_at": run.cutoff_at,
        "sent_at": run.sent_at or None,
        "leaves_out": LEFT_OUT,
        "requests_by_state": counts,
        "collections": run.collections if sent else len(due),
        "total": money(run.total if sent else sum(case.next_debit for case in due)),
    }


@kit.on("window")
def window(at: Slice, payload: dict[str, str]) -> None:
    """The bank takes files: every run that is due is made up and goes."""
    currency = at.table(Settings)["settings"].currency
    for run in at.table(PaymentRun).where(state="scheduled"):
        if run.cutoff_at > at.now:
            continue
        due = _due(at, run)
        for case in due:
            entry = Collection(run=run.id, case_id=case.id, amount=case.next_debit, case_state=case.state)
            at.table(Collection).put(f"{run.id}|{case.id}", entry)
            at.emit(
                "pay", f"cases://{case.id}", owner=case.name, amount=case.next_debit, currency=currency, about=run.id
            )
        total = sum(case.next_debit for case in due)
        at.table(PaymentRun).update(run.id, state="sent", sent_at=at.now, collections=len(due), total=total)
        at.notify(f"{run.id} sent {at.now}: {len(due)} collections, {money(total)}")
    at.schedule(DAY_MINUTES, "window")


def _due(at: Slice, run: PaymentRun) -> tuple[Case, ...]:
    """Return the requests that a run collects as they stand."""
    return tuple(case for case in at.table(Case).where(run=run.id) if not _left_out(at, case))


def _left_out(at: Slice, case: Case) -> bool:
    if case.state == "on_hold":
        return case.hold_until >= at.now[:10]
    if case.state in LEFT_OUT:
        return True
    return case.state == "awaiting_evidence" and any(
        scheme.stop_letter == case.letter and scheme.queue in ("", case.queue) and runs(scheme, at.now)
        for scheme in at.table(Scheme).values()
        if scheme.stop_letter
    )
