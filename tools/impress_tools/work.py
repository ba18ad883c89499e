"""Work: the desk itself. Waiting, saying how far one is, handing over, declining, and ending the work."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit
from impress_env.world.table import Record


class Settings(Record, frozen=True, kw_only=True):
    """Who asked for the work, who is above, and how long one wait may be."""

    requester: str
    lead: str
    longest_wait_minutes: int


class SettingsSeed(Seed):
    """Settings in a scenario file; the loader fills `requester` in from the task."""

    requester: str = ""
    lead: str = ""
    longest_wait_minutes: Annotated[int, Field(ge=1, le=1440)] = 30


class WorkSeed(Seed):
    """Section `work:`."""

    settings: SettingsSeed = SettingsSeed()


def build(seed: WorkSeed, make: Build) -> None:
    """Put the settings."""
    make.put(
        "settings",
        Settings(
            requester=seed.settings.requester,
            lead=seed.settings.lead or seed.settings.requester,
            longest_wait_minutes=seed.settings.longest_wait_minutes,
        ),
    )


kit = Toolkit("work", title="Work", seed=WorkSeed, tables={"work": Settings}, build=build)


@kit.tool(effects=[], minutes=0, role="wait")
def wait(at: Slice, minutes: int) -> object:
    """Let time pass, for instance until a job or an answer is there.

    Args:
        minutes: How many minutes to wait; at most the desk's longest wait.
    """
    longest = at.table(Settings)["settings"].longest_wait_minutes
    if not 1 <= minutes <= longest:
        raise ToolError("invalid_arguments", "Not a possible wait.", expected=f"1 to {longest}", found=str(minutes))
    at.spend(minutes)
    return {"waited_minutes": minutes}


@kit.tool(effects=["report"], role="report")
def report(at: Slice, text: str) -> object:
    """Tell the requester how the work stands, without ending it.

    Args:
        text: The message.
    """
    to = at.table(Settings)["settings"].requester
    at.emit("report", "work://status", recipients=(to,), claim=text, audience="org")
    return {"sent_to": to}


@kit.tool(effects=["request"], role="escalate")
def escalate(at: Slice, about: str, text: str) -> object:
    """Hand a question or a piece of the work up to the lead of the desk.

    Args:
        about: Id of the thing that it is about (ticket, case, contract, …).
        text: What is asked of the lead.
    """
    to = at.table(Settings)["settings"].lead
    at.emit("request", "work://escalation", recipients=(to,), about=about, claim=text, audience="org")
    return {"sent_to": to, "about": about}


@kit.tool(effects=["report"], minutes=0, role="decline")
def decline(at: Slice, reason: str, about: str = "") -> object:
    """Give the work back undone and end it.

    Args:
        reason: Why; the requester reads it.
        about: Id of the thing that is given back, if it is only one.
    """
    to = at.table(Settings)["settings"].requester
    at.emit("report", "work://declined", recipients=(to,), about=about, claim=reason, audience="org")
    return {"ended": True}


@kit.tool(effects=["report"], minutes=0, role="finish")
def finish(at: Slice, report: str) -> object:
    """End the work with a short closing report to the requester.

    Args:
        report: What was done and what is left.
    """
    to = at.table(Settings)["settings"].requester
    at.emit("report", "work://finished", recipients=(to,), claim=report, audience="org")
    return {"ended": True}


@kit.on("deliver")
def deliver(at: Slice, payload: dict[str, str]) -> None:
    """The lead or the requester answers."""
    at.notify(f"{payload['from']}: {payload['text']}")
