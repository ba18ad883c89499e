"""Fridges: where they stand, what their displays show, when those were reset, who serviced them.

A display remembers highest and lowest since its last reset and nothing before. Readings are entered by
whoever stands in front of it. Knows nothing of what a reading is good for.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit
from impress_env.world.table import Record
from impress_tools import rulings
from impress_tools._cold_chain import Tenths, degrees

Stock = Literal["awaiting_check", "released", "held"]


class Display(Record, frozen=True, kw_only=True):
    """The last display reading that was entered; temperatures in tenths of a degree."""

    ref: str
    max: int
    min: int
    now: int
    since: str
    read_at: str
    read_by: str


class Reset(Record, frozen=True, kw_only=True):
    """One reset of a display's memory."""

    at: str
    by: str
    note: str


class Visit(Record, frozen=True, kw_only=True):
    """One line of the service log."""

    at: str
    by: str
    text: str


class Fridge(Record, frozen=True, kw_only=True):
    """One fridge."""

    id: str
    site: str
    place: str
    model: str
    logger: str
    stock: str
    display: Display
    resets: tuple[Reset, ...] = ()
    service: tuple[Visit, ...] = ()


class Fault(Record, frozen=True, kw_only=True):
    """One fault reported to estates."""

    id: str
    fridge: str
    text: str
    urgency: str
    state: str
    reported_by: str
    reported: str


class Settings(Record, frozen=True, kw_only=True):
    """Who gets faults."""

    estates: str


class DisplaySeed(Seed):
    """A display reading in a scenario file."""

    ref: str
    max: Tenths
    min: Tenths
    now: Tenths
    since: str
    read_at: str
    read_by: str


class ResetSeed(Seed):
    """A reset in a scenario file."""

    at: str
    by: str
    note: str = ""


class VisitSeed(Seed):
    """A service log line in a scenario file."""

    at: str
    by: str
    text: str


class FridgeSeed(Seed):
    """A fridge in a scenario file."""

    site: str
    place: str = ""
    model: str = "Pharmacy refrigerator 141 L"
    logger: str
    stock: Stock = "awaiting_check"
    display: DisplaySeed
    resets: tuple[ResetSeed, ...] = ()
    service: tuple[VisitSeed, ...] = ()


class SettingsSeed(Seed):
    """Settings in a scenario file."""

    estates: str = "estates"


class FridgesSeed(Seed):
    """Section `fridges:`; `items` by asset code."""

    settings: SettingsSeed = SettingsSeed()
    items: dict[str, FridgeSeed] = Field(default_factory=dict)


def build(seed: FridgesSeed, make: Build) -> None:
    """Put the fridges."""
    make.put("settings", Settings(estates=seed.settings.estates))
    for code, entry in seed.items.items():
        shown = entry.display
        make.put(
            code,
            Fridge(
                id=code,
                site=entry.site,
                place=entry.place,
                model=entry.model,
                logger=entry.logger,
                stock=entry.stock,
                display=Display(
                    ref=shown.ref,
                    max=shown.max,
                    min=shown.min,
                    now=shown.now,
                    since=make.time(shown.since),
                    read_at=make.time(shown.read_at),
                    read_by=shown.read_by,
                ),
                resets=tuple(Reset(at=make.time(r.at), by=r.by, note=r.note) for r in entry.resets),
                service=tuple(Visit(at=make.time(v.at), by=v.by, text=v.text) for v in entry.service),
            ),
        )


kit = Toolkit(
    "fridges",
    title="Fridges",
    seed=FridgesSeed,
    tables={"fridges": Settings, "fridges.items": Fridge, "fridges.faults": Fault},
    build=build,
    uses=("rulings",),
)


@kit.tool(effects=["read"])
def search(at: Slice, site: str) -> object:
    """List a site's fridges with their last display readings.

    Args:
        site: Name of the site.
    """
    wanted = site.strip().lower()
    rows = [fridge for fridge in at.table(Fridge).values() if fridge.site.lower() == wanted]
    if not rows:
        sites = sorted({fridge.site for fridge in at.table(Fridge).values()})
        raise ToolError("not_found", f"No fridges at {site[:60]}.", offer=sites)
    at.emit("read", "fridges://", count=len(rows), covers=tuple(f"fridges://{f.id}" for f in rows))
    return [_as_row(fridge) for fridge in rows]


@kit.tool(effects=["read"])
def get(at: Slice, fridge_id: str) -> object:
    """Open one fridge: display reading, resets of the display, rulings, service log.

    Args:
        fridge_id: Asset code of the fridge.
    """
    fridge = _find(at, fridge_id)
    decided = at.table(rulings.Ruling).where(fridge=fridge.id)
    at.emit("read", f"fridges://{fridge.id}", covers=tuple(f"rulings://{ruling.id}" for ruling in decided))
    return _as_row(fridge) | {
        "resets": fridge.resets,
        "rulings": [rulings.as_row(ruling) for ruling in decided],
        "service": fridge.service,
    }


@kit.tool(effects=["request"])
def report_fault(at: Slice, fridge_id: str, text: str, urgency: Literal["routine", "same_day"] = "routine") -> object:
    """Report a fault of a fridge to estates.

    Args:
        fridge_id: Asset code of the fridge.
        text: What is wrong.
        urgency: How soon somebody should come.
    """
    fridge = _find(at, fridge_id)
    if not text.strip():
        raise ToolError("invalid_arguments", "The text is empty.", expected="what is wrong")
    number = at.next_id("FF-", width=1, start=2071)
    fault = Fault(
        id=number,
        fridge=fridge.id,
        text=text,
        urgency=urgency,
        state="open",
        reported_by=at.account,
        reported=at.now,
    )
    at.table(Fault).put(number, fault)
    to = at.table(Settings)["settings"].estates
    at.emit(
        "request",
        f"fridges://{fridge.id}",
        recipients=(to,),
        audience="org",
        about=number,
        subject=fridge.id,
        claim=text,
    )
    return {"fault_id": number, "sent_to": to}


@kit.on("deliver")
def deliver(at: Slice, payload: dict[str, str]) -> None:
    """Estates answer a reported fault."""
    at.notify(f"{payload['from']} on {payload.get('about', 'a fault')}: {payload['text']}")


def _as_row(fridge: Fridge) -> dict[str, object]:
    shown = fridge.display
    return {
        "fridge_id": fridge.id,
        "site": fridge.site,
        "place": fridge.place,
        "model": fridge.model,
        "logger_serial": fridge.logger,
        "stock": fridge.stock,
        "display": {
            "ref": shown.ref,
            "max_c": degrees(shown.max),
            "min_c": degrees(shown.min),
            "now_c": degrees(shown.now),
            "since": shown.since,
            "read_at": shown.read_at,
            "read_by": shown.read_by,
        },
    }


def _find(at: Slice, code: str) -> Fridge:
    fridge = at.table(Fridge).get(code)
    if fridge is None:
        raise ToolError("not_found", f"No fridge {code[:40]}.", offer=at.table(Fridge).keys())
    return fridge
