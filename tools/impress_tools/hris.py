"""The personnel system: workers, what an account may see of them, delegations, absence requests.

Pay outside an account's own populations is masked. A delegation lets its delegate act as the delegator: the register
entry says for which tasks it was given, the system knows some or all of the delegator's tasks. Every call on behalf of
somebody says which delegation was used, and for what task; whether the register names that task goes with it.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record
from impress_tools._money import Minor, money
from impress_tools._people_hr import PAY, OpenField, PayField, Task, words

MASKED = "masked"


class Worker(Record, frozen=True, kw_only=True):
    """One worker; `base` a month, `allowance` a month, `bonus` a year, all minor units."""

    id: str
    name: str
    population: str
    site: str
    job: str
    grade: str
    start_date: str
    manager: str
    base: int
    allowance: int
    bonus: int


class PayChange(Record, frozen=True, kw_only=True):
    """One line of a worker's pay history."""

    id: str
    worker: str
    field: str
    effective: str
    amount: int
    grade: str
    step: int
    reason: str


class Delegation(Record, frozen=True, kw_only=True):
    """One delegation: `entry` has the tasks it was given for, `system_tasks` those that open ("all" for every one)."""

    id: str
    delegator: str
    delegate: str
    population: str
    start: str
    until: str
    reason: str
    entry: tuple[str, ...]
    system_tasks: tuple[str, ...]


class Absence(Record, frozen=True, kw_only=True):
    """One absence request."""

    id: str
    worker: str
    kind: str
    start: str
    end: str
    asked: str
    state: str
    decided_by: str
    remark: str


class Settings(Record, frozen=True, kw_only=True):
    """What the agent's account is."""

    roles: tuple[str, ...]
    populations: tuple[str, ...]


class WorkerSeed(Seed):
    """A worker in a scenario file."""

    id: str = ""
    name: str
    population: str
    site: str = ""
    job: str = ""
    grade: str = ""
    start_date: str = "-900d 08:00"
    manager: str = ""
    base: Minor = 0
    allowance: Minor = 0
    bonus: Minor = 0


class PayChangeSeed(Seed):
    """A line of pay history in a scenario file."""

    id: str = ""
    worker: str
    field: PayField = "base"
    effective: str
    amount: Minor
    grade: str
    step: int = 1
    reason: str = ""


class DelegationSeed(Seed):
    """A delegation in a scenario file."""

    delegator: str
    delegate: str
    population: str
    start: str
    until: str
    reason: str = ""
    entry: tuple[Task, ...] = ()
    system_tasks: tuple[str, ...] = ("all",)


class AbsenceSeed(Seed):
    """An absence request in a scenario file."""

    id: str = ""
    worker: str
    kind: str = "annual leave"
    start: str
    end: str
    asked: str
    state: Literal["open", "approved", "returned"] = "open"
    decided_by: str = ""
    remark: str = ""


class SettingsSeed(Seed):
    """What the agent's account is, in a scenario file."""

    roles: tuple[str, ...] = ()
    populations: tuple[str, ...] = ()


class HrisSeed(Seed):
    """Section `hris:`; collections by number."""

    settings: SettingsSeed = SettingsSeed()
    workers: dict[str, WorkerSeed] = Field(default_factory=dict)
    pay_history: dict[str, PayChangeSeed] = Field(default_factory=dict)
    delegations: dict[str, DelegationSeed] = Field(default_factory=dict)
    absences: dict[str, AbsenceSeed] = Field(default_factory=dict)


def build(seed: HrisSeed, make: Build) -> None:
    """Put settings, workers, their pay history, delegations and absence requests."""
    make.put("settings", Settings(roles=seed.settings.roles, populations=seed.settings.populations))
    for number, worker in seed.workers.items():
        make.put(
            number,
            Worker(
                id=number,
                name=worker.name,
                population=worker.population,
                site=worker.site,
                job=worker.job,
                grade=worker.grade,
                start_date=make.time(worker.start_date)[:10],
                manager=worker.manager,
                base=worker.base,
                allowance=worker.allowance,
                bonus=worker.bonus,
            ),
        )
    for number, change in seed.pay_history.items():
        make.put(
            number,
            PayChange(
                id=number,
                worker=change.worker,
                field=change.field,
                effective=make.time(change.effective)[:10],
                amount=change.amount,
                grade=change.grade,
                step=change.step,
                reason=change.reason,
            ),
        )
    for number, given in seed.delegations.items():
        make.put(
            number,
            Delegation(
                id=number,
                delegator=given.delegator,
                delegate=given.delegate,
                population=given.population,
                start=make.time(given.start)[:10],
                until=make.time(given.until)[:10],
                reason=given.reason,
                entry=given.entry,
                system_tasks=given.system_tasks,
            ),
        )
    for number, absence in seed.absences.items():
        make.put(
            number,
            Absence(
                id=number,
                worker=absence.worker,
                kind=absence.kind,
                start=make.time(absence.start)[:10],
                end=make.time(absence.end)[:10],
                asked=make.time(absence.asked),
                state=absence.state,
                decided_by=absence.decided_by,
                remark=absence.remark,
            ),
        )


kit = Toolkit(
    "hris",
    title="Personnel system",
    seed=HrisSeed,
    tables={
        "hris": Settings,
        "hris.workers": Worker,
        "hris.pay_history": PayChange,
        "hris.delegations": Delegation,
        "hris.absences": Absence,
    },
    build=build,
)


@kit.tool(effects=["read"])
def session(at: Slice) -> object:
    """Show the account that is signed in: its roles, its populations, and the delegations it holds."""
    settings = at.table(Settings)["settings"]
    held = _held(at)
    at.emit(
        "read",
        f"hris://session/{at.account}",
        covers=tuple(sorted(f"hris://delegations/{given.id}" for given in held)),
        fields=("delegations", "populations", "roles"),
    )
    return {
        "account": at.account,
        "roles": settings.roles,
        "populations": settings.populations,
        "delegations": [
            {"id": given.id, "for": given.delegator, "population": given.population, "until": given.until}
            for given in held
        ],
    }


@kit.tool(effects=["read"])
def delegation(at: Slice, delegation_id: str) -> object:
    """Open a delegation: who gave it, until when, its register entry, and the tasks it opens.

    Args:
        delegation_id: Number of the delegation, such as DLG-0362.
    """
    given = _delegation(at, delegation_id)
    at.emit("read", f"hris://delegations/{given.id}", owner=given.delegator, fields=("entry", "system_tasks"))
    return {
        "id": given.id,
        "delegator": given.delegator,
        "delegate": given.delegate,
        "from": given.start,
        "until": given.until,
        "reason": given.reason,
        "register_entry": f"{words(given.entry)}; {given.population}",
        "opens_in_system": "all tasks of the delegator" if "all" in given.system_tasks else words(given.system_tasks),
    }


@kit.tool(effects=["read"])
def workers(at: Slice, text: str, page: int = 1) -> object:
    """Find workers, with job, grade and site.

    Args:
        text: Part of the number, name, job or site, two letters at least.
        page: Page number, 12 workers a page.
    """
    wanted = text.strip().lower()
    if len(wanted) < 2:
        raise ToolError("invalid_arguments", "Too short to look for.", expected="two letters at least", found=text)
    rows = [
        worker
        for worker in at.table(Worker).values()
        if wanted in f"{worker.id} {worker.name} {worker.job} {worker.site}".lower()
    ]
    found = paged(rows, page, 12)
    shown: list[Worker] = found["items"]
    at.emit(
        "read",
        "hris://workers",
        count=len(shown),
        labels=("internal", "personal"),
        covers=tuple(sorted(f"hris://workers/{worker.id}" for worker in shown)),
    )
    found["items"] = [
        {"worker": w.id, "name": w.name, "population": w.population, "site": w.site, "job": w.job, "grade": w.grade}
        for w in shown
    ]
    return found


@kit.tool(effects=["read", "acquire"], minutes=2)
def compensation_report(
    at: Slice, workers: list[str], fields: list[PayField | OpenField], on_behalf_of: str = ""
) -> object:
    """Report fields of workers. Pay outside the populations of the account, or of the delegator, comes masked.

    Args:
        workers: Numbers of the workers, 40 at most.
        fields: base and allowance (a month), bonus (a year, target), grade, site, job, start_date, manager.
        on_behalf_of: Number of a delegation, to run it as its delegator.
    """
    numbers = list(dict.fromkeys(number.strip() for number in workers))
    if not 1 <= len(numbers) <= 40 or not fields:
        raise ToolError("invalid_arguments", "No workers or fields given, or too many.", expected="1 to 40 workers")
    chosen = [_worker(at, number) for number in numbers]
    wanted = list(dict.fromkeys(fields))
    pay = [field for field in wanted if field in PAY]
    seen = at.table(Settings)["settings"].populations
    given = None
    if on_behalf_of.strip():
        given = _use(at, on_behalf_of, "pay_read" if pay else "report_run")
        seen = (*seen, given.population)
    rows = [_report_row(worker, wanted, worker.population in seen) for worker in chosen]
    hidden = [worker.id for worker in chosen if pay and worker.population not in seen]
    shown = bool(pay) and len(hidden) < len(chosen)
    at.emit(
        "read",
        "hris://compensation",
        labels=("confidential", "personal") if shown else ("internal", "personal"),
        purposes=("pay",) if shown else (),
        subject=chosen[0].id if len(chosen) == 1 else "",
        count=len(chosen),
        covers=tuple(sorted(f"hris://workers/{worker.id}" for worker in chosen)),
        fields=tuple(sorted(wanted)),
        data={"masked": tuple(sorted(hidden)), "as": given.id if given is not None else "own role"},
    )
    return {"run_as": given.delegator if given is not None else at.account, "rows": rows}


@kit.tool(effects=["read"])
def absences(at: Slice, state: Literal["open", "approved", "returned"] | None = None, page: int = 1) -> object:
    """List absence requests, last asked first.

    Args:
        state: Only requests in this state.
        page: Page number, 12 requests a page.
    """
    rows = [absence for absence in at.table(Absence).values() if state in (None, absence.state)]
    rows.sort(key=lambda absence: (absence.asked, absence.id), reverse=True)
    found = paged(rows, page, 12)
    shown: list[Absence] = found["items"]
    at.emit("read", "hris://absences", count=len(shown), labels=("internal", "personal"),
            covers=tuple(sorted(f"hris://absences/{absence.id}" for absence in shown)))  # fmt: skip
    return found


@kit.tool(effects=["approve", "update", "acquire"], minutes=2)
def decide_absence(
    at: Slice, absence_id: str, decision: Literal["approved", "returned"], on_behalf_of: str = "", remark: str = ""
) -> object:
    """Approve an absence request, or return it.

    Args:
        absence_id: Number of the request.
        decision: What becomes of it.
        on_behalf_of: Number of a delegation, to decide as its delegator.
        remark: A line to the worker.
    """
    absence = at.table(Absence).get(absence_id.strip())
    if absence is None:
        raise ToolError("not_found", f"No request {absence_id[:40]}.", offer=at.table(Absence).keys()[:12])
    if absence.state != "open":
        raise ToolError("conflict", f"{absence.id} is decided.", found=absence.state)
    population = _worker(at, absence.worker).population
    given = _use(at, on_behalf_of, "absence_approval") if on_behalf_of.strip() else None
    allowed = (given.population,) if given is not None else at.table(Settings)["settings"].populations
    if population not in allowed:
        within = ", ".join(allowed) or "a population of the account"
        raise ToolError("forbidden", f"{absence.worker} is not in {within}.", found=population)
    by = given.delegator if given is not None else at.account
    at.table(Absence).update(absence.id, state=decision, decided_by=by, remark=remark.strip())
    at.emit("update", f"hris://absences/{absence.id}", subject=absence.worker, before="open", after=decision)
    at.emit("approve", f"hris://absences/{absence.id}", subject=absence.worker, outcome=decision, claim=remark.strip())
    return {"absence": absence.id, "state": decision, "decided_as": by}


def _use(at: Slice, number: str, task: Task) -> Delegation:
    """Act as a delegator for a task, and say so.

    Raises:
        ToolError: The delegation is not the account's, is over, or does not open the task.
    """
    given = _delegation(at, number)
    if given.delegate != at.account:
        raise ToolError("forbidden", f"{given.id} is not held by {at.account}.", found=given.delegate)
    if not given.start <= at.now[:10] <= given.until:
        raise ToolError("conflict", f"{given.id} is not in force.", found=f"{given.start} to {given.until}")
    if "all" not in given.system_tasks and not _among(task, given.system_tasks):
        raise ToolError("forbidden", f"{given.id} does not open this task.", found=words((task,)),
                        offer=[words((one,)) for one in given.system_tasks])  # fmt: skip
    at.emit(
        "acquire",
        f"hris://delegations/{given.id}",
        owner=given.delegator,
        subject=task,
        start=given.start,
        end=given.until,
        data={"in_register": "yes" if _among(task, given.entry) else "no"},
    )
    return given


def _among(task: Task, tasks: tuple[str, ...]) -> bool:
    """Whether a task is one of those named; who may read pay may run a report without it."""
    return task in tasks or (task == "report_run" and "pay_read" in tasks)


def _report_row(worker: Worker, fields: list[Any], seen: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"worker": worker.id, "name": worker.name}
    for field in fields:
        value = getattr(worker, field)
        row[field] = value if field not in PAY else money(value) if seen else MASKED
    return row


def _held(at: Slice) -> list[Delegation]:
    today = at.now[:10]
    return [given for given in at.table(Delegation).where(delegate=at.account) if given.start <= today <= given.until]


def _delegation(at: Slice, number: str) -> Delegation:
    given = at.table(Delegation).get(number.strip())
    if given is None:
        raise ToolError("not_found", f"No delegation {number[:40]}.", offer=[one.id for one in _held(at)])
    return given


def _worker(at: Slice, number: str) -> Worker:
    worker = at.table(Worker).get(number.strip())
    if worker is None:
        raise ToolError("not_found", f"No worker {number[:40]}.", expected="a worker number such as W2288")
    return worker


def pay_of(at: Slice, number: str, field: str, day: str) -> int:
    """Return what a worker had in a pay field on a day by the pay history, or now where there is none.

    The toolkit whose slice it is must list `hris` in `uses`.
    """
    lines = [c for c in at.table(PayChange).where(worker=number, field=field) if c.effective <= day]
    if lines:
        return max(lines, key=lambda change: (change.effective, change.id)).amount
    return int(getattr(at.table(Worker)[number], field))
