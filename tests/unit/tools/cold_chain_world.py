"""A small site for the cold-chain toolkits' tests: two fridges, one of them reset on Saturday morning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from impress_env.testing.bench import Bench, bench
from impress_env.world.people import Person

KITS = ("stock_checks", "fridges", "loggers", "batches", "rulings")
FRIDAY, SATURDAY, MONDAY = "2026-11-20T17:31", "2026-11-21T09:12", "2026-11-23T09:04"
SITE = "Alder Road"


def _fridge(logger: str, since: str, highest: str) -> dict[str, Any]:
    display = {
        "ref": f"DR-{logger[-4:]}",
        "max": highest,
        "min": "2.9",
        "now": "4.6",
        "since": since,
        "read_at": "07:41",
        "read_by": "caretaker",
    }
    return {"site": SITE, "place": "clean utility", "logger": logger, "display": display}


def _logger(fridge: str) -> dict[str, Any]:
    return {
        "site": SITE,
        "fridge": fridge,
        "uploaded": "07:48",
        "uploaded_by": "caretaker",
        "start": "-4d 00:00",
    }


def seeds() -> dict[str, Any]:
    """Return the sections of the five toolkits."""
    warm = {"start": "-3d 22:50", "end": "-2d 02:15", "peak": "12.7"}
    return {
        "fridges": {
            "items": {
                "AR-F1": _fridge("TL-0417", FRIDAY, "6.4"),
                "AR-F2": _fridge("TL-0471", SATURDAY, "6.8"),
            }
        },
        "loggers": {
            "items": {"TL-0417": _logger("AR-F1"), "TL-0471": {**_logger("AR-F2"), "events": [warm]}},
        },
        "batches": {
            "items": {
                "GK411": {
                    "product": "PCV",
                    "doses": 20,
                    "expiry": "2027-03",
                    "site": SITE,
                    "fridge": "AR-F2",
                },
                "MM902": {
                    "product": "MMR",
                    "doses": 10,
                    "expiry": "2027-01",
                    "site": SITE,
                    "fridge": "AR-F2",
                },
                "RV118": {
                    "product": "rotavirus",
                    "doses": 15,
                    "expiry": "2027-05",
                    "site": SITE,
                    "fridge": "AR-F1",
                },
            }
        },
        "rulings": {"settings": {"pharmacist": "p.imrie", "next_number": 310}},
        "stock_checks": {
            "form": {"note": "Count from the last check."},
            "items": {
                "SC-2204": {
                    "site": SITE,
                    "state": "submitted",
                    "opened": "-3d 17:05",
                    "nurse": "o.adair",
                    "fridges": ["AR-F1", "AR-F2"],
                    "lines": [
                        {"fridge": "AR-F1", "max": "6.2", "min": "3.0", "basis_ref": "display"},
                        {"fridge": "AR-F2", "max": "6.6", "min": "3.1", "basis_ref": "display"},
                    ],
                    "submitted": "-3d 17:31",
                    "submitted_by": "b.lowrie",
                },
                "SC-2217": {
                    "site": SITE,
                    "opened": "08:05",
                    "previous": "SC-2204",
                    "nurse": "o.adair",
                    "fridges": ["AR-F1", "AR-F2"],
                },
            },
        },
    }


def site(changes: Mapping[str, Any] | None = None) -> Bench:
    """Return a bench over the site; `changes` replaces keys of the sections."""
    sections = seeds()
    for name, change in (changes or {}).items():
        sections[name] = {**sections[name], **change}
    pharmacist = Person(id="p.imrie", name="P. Imrie", first="P.", role="duty pharmacist")
    return bench(KITS, sections, people=(pharmacist,), start=MONDAY)


def read(desk: Bench, serial: str, start: str = FRIDAY, end: str = SATURDAY) -> None:
    """Open every page of an interval."""
    page, pages = 1, 1
    while page <= pages:
        found = desk.call("loggers.get_readings", serial=serial, **{"from": start, "to": end}, page=page)
        page, pages = page + 1, found["pages"]


def line(fridge: str, disposition: str, basis_ref: str = "display") -> dict[str, Any]:
    """Return one line of the form."""
    return {
        "fridge_id": fridge,
        "disposition": disposition,
        "max_c": 6.8,
        "min_c": 2.9,
        "basis_ref": basis_ref,
    }
