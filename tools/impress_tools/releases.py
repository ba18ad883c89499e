"""Releases: builds that wait for a sign-off, and the form on which it is given.

The form has one line for each suite that it asks for. Signed with every line passed it releases the build, otherwise
it returns it to the team. Where it is set up to be filled in from CI, its lines are those of CI's latest finished
runs, and it refuses any other; else it takes what it is given. Decides nothing by itself.
"""

from __future__ import annotations

import builtins
from typing import Any, Literal

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Arguments, Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record
from impress_tools import ci

Outcome = Literal["passed", "failed", "not_run"]
State = Literal["awaiting_signoff", "released", "returned", "on_hold"]
OPEN = ("awaiting_signoff", "on_hold")


class Form(Record, frozen=True, kw_only=True):
    """How the form is set up: the suites it asks for, the outcomes it takes, and who fills it in: "agent" or "ci"."""

    suites: tuple[str, ...]
    outcomes: tuple[str, ...]
    filled_from: str
    note: str


class Line(Record, frozen=True, kw_only=True):
    """One line of a signed form."""

    suite: str
    outcome: str
    run: str = ""


class Note(Record, frozen=True, kw_only=True):
    """One note on a release."""

    who: str
    at: str
    text: str


class Release(Record, frozen=True, kw_only=True):
    """One build on its way out."""

    build: str
    title: str
    state: str
    ticket: str
    requested_by: str
    branch: str
    commit: str
    changes: tuple[str, ...]
    created: str
    updated: str
    results: tuple[Line, ...] = ()
    signed_by: str = ""
    signed: str = ""
    remark: str = ""
    notes: tuple[Note, ...] = ()


class FormSeed(Seed):
    """The form in a scenario file; `note` is printed on it."""

    suites: tuple[str, ...] = ()
    outcomes: tuple[Outcome, ...] = ("passed", "failed", "not_run")
    filled_from: Literal["agent", "ci"] = "agent"
    note: str = ""


class LineSeed(Seed):
    """A line of a signed form in a scenario file."""

    suite: str
    outcome: Outcome
    run: str = ""


class NoteSeed(Seed):
    """A note in a scenario file."""

    who: str = Field(alias="from")
    at: str
    text: str


class ReleaseSeed(Seed):
    """A release in a scenario file; `at` is when its sign-off was asked for."""

    title: str = ""
    state: State = "awaiting_signoff"
    ticket: str = ""
    requested_by: str
    branch: str = ""
    commit: str = ""
    changes: tuple[str, ...] = ()
    at: str = "-1d 16:20"
    results: tuple[LineSeed, ...] = ()
    signed_by: str = ""
    signed: str = ""
    remark: str = ""
    notes: tuple[NoteSeed, ...] = ()


class ReleasesSeed(Seed):
    """Section `releases:`; `items` by build."""

    form: FormSeed = FormSeed()
    items: dict[str, ReleaseSeed] = Field(default_factory=dict)


def build(seed: ReleasesSeed, make: Build) -> None:
    """Put the form and the releases, and tell CI about their builds."""
    suites = make.rows(ci.Suite)
    unknown = [name for name in seed.form.suites if suites and name not in suites]
    if unknown:
        raise ValueError(f"form: expected suites of ci ({', '.join(suites)}), found {unknown[0]!r}")
    if seed.items and not seed.form.suites:
        raise ValueError("form: expected at least one suite")
    make.put(
        "form",
        Form(
            suites=tuple(seed.form.suites),
            outcomes=tuple(seed.form.outcomes),
            filled_from=seed.form.filled_from,
            note=seed.form.note.strip(),
        ),
    )
    for name, entry in seed.items.items():
        make.put(name, _release(name, entry, make))
        if name not in make.rows(ci.Built):
            make.put(name, ci.Built(id=name, branch=entry.branch, commit=entry.commit))


def _release(name: str, entry: ReleaseSeed, make: Build) -> Release:
    notes = tuple(Note(who=n.who, at=make.time(n.at), text=n.text.strip()) for n in entry.notes)
    created = make.time(entry.at)
    signed = make.time(entry.signed) if entry.signed else ""
    return Release(
        build=name,
        title=entry.title or name,
        state=entry.state,
        ticket=entry.ticket,
        requested_by=entry.requested_by,
        branch=entry.branch,
        commit=entry.commit,
        changes=tuple(entry.changes),
        created=created,
        updated=max((created, signed, *(note.at for note in notes))),
        results=tuple(Line(suite=line.suite, outcome=line.outcome, run=line.run) for line in entry.results),
        signed_by=entry.signed_by,
        signed=signed,
        remark=entry.remark.strip(),
        notes=notes,
    )


kit = Toolkit(
    "releases",
    title="Releases",
    seed=ReleasesSeed,
    tables={"releases": Form, "releases.items": Release},
    build=build,
    uses=("ci",),
)


class Result(Arguments):
    """One line of the form."""

    suite: str = Field(description="Name of the suite.")
    outcome: Outcome = Field(description="How the suite ended on this build.")
    run_id: str = Field("", description="Number of the CI run, if the line refers to one.")


@kit.tool(effects=["read"])
def list(at: Slice, state: State | None = None, page: int = 1) -> object:
    """List releases, newest first.

    Args:
        state: Only releases in this state.
        page: Page number, 20 releases a page.
    """
    rows = [release for release in at.table(Release).values() if state is None or release.state == state]
    rows.sort(key=lambda release: (release.created, release.build), reverse=True)
    found = paged(rows, page)
    shown: builtins.list[Release] = found["items"]
    at.emit("read", "releases://", count=len(shown), covers=tuple(_uri(release.build) for release in shown))
    found["items"] = [
        {
            "build": release.build,
            "title": release.title,
            "state": release.state,
            "ticket": release.ticket,
            "requested_by": release.requested_by,
            "updated": release.updated,
        }
        for release in shown
    ]
    return found


@kit.tool(effects=["read"])
def get(at: Slice, build: str) -> object:
    """Open a release: its changes, its sign-off form, its notes.

    Args:
        build: The build.
    """
    release = _find(at, build)
    form = at.table(Form)["form"]
    at.emit("read", _uri(build), owner=release.requested_by, data={"state": release.state})
    shown: dict[str, Any] = {
        name: getattr(release, name)
        for name in ("build", "title", "state", "ticket", "requested_by", "branch", "commit", "changes", "created")
    }
    shown["sign_off"] = {
        "suites": form.suites,
        "outcomes": form.outcomes,
        "filled_from": form.filled_from,
        "results": [_as_row(line) for line in release.results],
        "signed_by": release.signed_by or None,
        "signed": release.signed or None,
    }
    if form.note:
        shown["sign_off"]["note"] = form.note
    if release.remark:
        shown["sign_off"]["remark"] = release.remark
    shown["notes"] = [{"from": note.who, "at": note.at, "text": note.text} for note in release.notes]
    return shown


@kit.tool(effects=["attest", "update"])
def sign_off(
    at: Slice,
    build: str,
    results: builtins.list[Result] = [],  # noqa: B006 - never changed; the schema shows it
    remark: str = "",
) -> object:
    """Sign a release's form. It is released if all suites passed, and goes back to the team otherwise.

    Args:
        build: The build.
        results: One line for each suite of the form; may be left out where the form is filled in from CI.
        remark: Remark on the form.
    """
    release = _open(at, build)
    form = at.table(Form)["form"]
    lines = _from_ci(at, build, form, results) if form.filled_from == "ci" else _as_given(at, form, results)
    state = "released" if all(line.outcome == "passed" for line in lines) else "returned"
    for line in lines:
        at.emit(
            "attest",
            _uri(build),
            subject=line.suite,
            outcome=line.outcome,
            claim=f"{line.suite}: {line.outcome}",
            about=build,
            recipients=(release.requested_by,),
            audience="org",
            refs=(f"ci://runs/{line.run}",) if line.run else (),
            data={"build": build, "filled_from": form.filled_from},
        )
    at.table(Release).update(
        build, state=state, results=lines, signed_by=at.account, signed=at.now, remark=remark.strip(), updated=at.now
    )
    _emit_state(at, release, state)
    return {"build": build, "state": state, "results": [_as_row(line) for line in lines]}


@kit.tool(effects=["update", "report"])
def return_to_team(at: Slice, build: str, reason: str) -> object:
    """Give a release back to the team without a sign-off.

    Args:
        build: The build.
        reason: Why; whoever asked for the sign-off is told.
    """
    return _put_back(at, build, "returned", reason)


@kit.tool(effects=["update", "report"])
def hold(at: Slice, build: str, reason: str) -> object:
    """Put a release on hold; it can still be signed off or returned later.

    Args:
        build: The build.
        reason: Why; whoever asked for the sign-off is told.
    """
    if _find(at, build).state == "on_hold":
        raise ToolError("conflict", f"{build} is on hold already.")
    return _put_back(at, build, "on_hold", reason)


@kit.tool(effects=["report"])
def add_note(at: Slice, build: str, text: str) -> object:
    """Leave a note on a release; whoever asked for the sign-off is told.

    Args:
        build: The build.
        text: The note.
    """
    release = _noted(at, _find(at, build), text)
    _emit_report(at, release, text)
    return {"build": build, "notes": len(release.notes)}


@kit.on("deliver")
def deliver(at: Slice, payload: dict[str, str]) -> None:
    """A person answers on the release that the agent wrote on."""
    build = payload.get("thread", "").removeprefix("releases://")
    release = at.table(Release).get(build)
    if release is not None:
        note = Note(who=payload["from"], at=at.now, text=payload["text"])
        at.table(Release).update(build, notes=(*release.notes, note), updated=at.now)
    at.notify(f"{payload['from']} on {build}: {payload['text']}")


def _as_given(at: Slice, form: Form, results: builtins.list[Result]) -> tuple[Line, ...]:
    """Return the form's lines as the caller filled them in."""
    given = _by_suite(form, results)
    missing = [suite for suite in form.suites if suite not in given]
    if missing:
        raise ToolError(
            "invalid_arguments",
            "The form is not complete.",
            expected=f"one line for each of {', '.join(form.suites)}",
            found=f"none for {', '.join(missing)}",
        )
    for line in given.values():
        if line.outcome not in form.outcomes:
            raise ToolError(
                "invalid_arguments",
                f"{line.suite}: not an outcome of this form.",
                expected=", ".join(form.outcomes),
                found=line.outcome,
            )
        if line.run_id and line.run_id not in at.table(ci.Run):
            raise ToolError("not_found", f"No run {line.run_id[:80]}.", expected="the number of a CI run")
    return tuple(Line(suite=name, outcome=given[name].outcome, run=given[name].run_id) for name in form.suites)


def _from_ci(at: Slice, build: str, form: Form, results: builtins.list[Result]) -> tuple[Line, ...]:
    """Return the form's lines as CI has them; lines given must agree."""
    runs = {suite: ci.latest(at, build, suite) for suite in form.suites}
    lines = {
        suite: Line(suite=suite, outcome=run.outcome if run else ci.NOT_RUN, run=run.id if run else "")
        for suite, run in runs.items()
    }
    for given in _by_suite(form, results).values():
        line = lines[given.suite]
        if given.outcome != line.outcome or given.run_id not in ("", line.run):
            raise ToolError(
                "conflict",
                f"{given.suite}: the form takes its lines from CI.",
                expected=f"{line.outcome}{f' ({line.run})' if line.run else ''}",
                found=f"{given.outcome}{f' ({given.run_id})' if given.run_id else ''}",
            )
    return tuple(lines.values())


def _by_suite(form: Form, results: builtins.list[Result]) -> dict[str, Result]:
    found: dict[str, Result] = {}
    for line in results:
        if line.suite not in form.suites:
            raise ToolError("not_found", f"The form has no line for {line.suite[:80]}.", offer=form.suites)
        if line.suite in found:
            raise ToolError("invalid_arguments", f"Two lines for {line.suite}.", expected="one line for each suite")
        found[line.suite] = line
    return found


def _put_back(at: Slice, build: str, state: str, reason: str) -> object:
    release = _open(at, build)
    noted = _noted(at, release, reason)
    at.table(Release).update(build, state=state)
    _emit_state(at, release, state, reason)
    _emit_report(at, noted, reason)
    return {"build": build, "state": state}


def _noted(at: Slice, release: Release, text: str) -> Release:
    if not text.strip():
        raise ToolError("invalid_arguments", "The text is empty.", expected="some text")
    note = Note(who=at.account, at=at.now, text=text)
    return at.table(Release).update(release.build, notes=(*release.notes, note), updated=at.now)


def _emit_state(at: Slice, release: Release, state: str, reason: str = "") -> None:
    at.emit(
        "update",
        _uri(release.build),
        owner=release.requested_by,
        fields=("state",),
        before=release.state,
        after=state,
        reason=reason,
    )


def _emit_report(at: Slice, release: Release, text: str) -> None:
    to = (release.requested_by,)
    at.emit("report", _uri(release.build), recipients=to, audience="org", about=release.build, claim=text)


def _find(at: Slice, build: str) -> Release:
    found = at.table(Release).get(build)
    if found is None:
        waiting = [release.build for release in at.table(Release).values() if release.state in OPEN]
        raise ToolError("not_found", f"No release {build[:80]}.", offer=waiting)
    return found


def _open(at: Slice, build: str) -> Release:
    release = _find(at, build)
    if release.state not in OPEN:
        raise ToolError("conflict", f"{build} is {release.state}.", expected="a release that waits for its sign-off")
    return release


def _as_row(line: Line) -> dict[str, str]:
    row = {"suite": line.suite, "outcome": line.outcome}
    return row | {"run": line.run} if line.run else row


def _uri(build: str) -> str:
    return f"releases://{build}"
