"""A small review desk for the tests of matters, capacity and review: two matters, one batch of two sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from impress_env.testing.bench import Bench, bench
from impress_env.world.people import Person

KITS = ("matters", "capacity", "review")
MATTER, BATCH = "M-2386", "M-2386-B3"


def _matter(title: str, forecast: int) -> dict[str, Any]:
    phase = {"name": "batch 3", "batch": BATCH, "pool": "redaction", "forecast": forecast, "due": "+3d 00:00"}
    return {
        "title": title,
        "client": "Pellow Marine",
        "lead": "i.brekke",
        "handler": "o.sande",
        "opened": "-90d 09:00",
        "phases": [{**phase, "state": "open"}],
    }


def seeds() -> dict[str, Any]:
    """Return the sections of the three toolkits."""
    return {
        "matters": {"items": {MATTER: _matter("Pellow Marine, inquiry", 300), "M-2368": _matter("Dallow, claim", 80)}},
        "capacity": {
            "pools": {
                "redaction": {
                    "title": "Machine redaction",
                    "unit": "one per started five pages of a document",
                    "unit_size": 5,
                    "rate": 29,
                    "allocation": 9000,
                    "next_allocation": 4000,
                    "per_account": 1500,
                    "next_per_account": 1500,
                    "per_booking": 1000,
                    "period_ends": "+10d 00:00",
                    "next_from": "+11d 00:00",
                    "free": 2000,
                }
            },
            "holdings": {
                "HB-4300": {
                    "pool": "redaction",
                    "account": "svc-review-3",
                    "matter": "M-2368",
                    "units": 70,
                    "hold_until": "+2d 00:00",
                    "booked": "-7d 10:00",
                    "state": "live",
                }
            },
        },
        "review": {
            "batches": {
                BATCH: {
                    "matter": MATTER,
                    "title": "Pellow Marine, batch 3",
                    "pool": "redaction",
                    "received": "-7d 00:00",
                    "due": "+3d 00:00",
                    "state": "open",
                }
            },
            "sets": {
                f"{BATCH}-S1": {"batch": BATCH, "title": "Mailbox", "prefix": "ABN-1-", "documents": 61, "units": 170},
                f"{BATCH}-S2": {
                    "batch": BATCH,
                    "title": "Board",
                    "prefix": "ABN-2-",
                    "documents": 40,
                    "units": 95,
                },
            },
        },
    }


def desk(changes: Mapping[str, Any] | None = None) -> Bench:
    """Return a bench over the desk; `changes` replaces keys of the sections."""
    sections = seeds()
    for name, change in (changes or {}).items():
        sections[name] = {**sections[name], **change}
    lawyers = [
        Person(id="i.brekke", name="Ines Brekke", first="Ines", role="lead lawyer"),
        Person(id="o.sande", name="Olav Sande", first="Olav", role="handling lawyer"),
        Person(id="m.quist", name="Mats Quist", first="Mats", role="handling lawyer"),
    ]
    return bench(KITS, sections, people=lawyers, start="2026-11-18T09:14")


def book(at: Bench, units: int, until: str = "2026-11-21", matter: str = MATTER) -> dict[str, Any]:
    """Book units of redaction."""
    found: dict[str, Any] = at.call(
        "capacity.book", pool_id="redaction", units=units, matter_id=matter, hold_until=until
    )
    return found
