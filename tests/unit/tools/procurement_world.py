"""A small spot-buy desk for the procurement toolkits' tests: three bidders, two of them of one owner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from impress_env.testing.bench import Bench, bench
from impress_env.world.people import Person

KITS = ("vendors", "rfqs", "scorecard")
RFQ = "RFQ-7719"


def _vendor(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "town": "Ashgate", "categories": ["SEA-20"], "contact": f"{name} office", **more}


def _quote(vendor: str, amount: str, received: str) -> dict[str, Any]:
    return {
        "rfq": RFQ,
        "vendor": vendor,
        "amount": amount,
        "lead_days": 18,
        "valid_until": "+30d 00:00",
        "received": received,
    }


def _offer(vendor: str, minutes: int, **more: Any) -> dict[str, Any]:
    return {"rfq": RFQ, "vendor": vendor, "after_minutes": minutes, **more}


def seeds() -> dict[str, Any]:
    """Return the sections of the three toolkits."""
    return {
        "vendors": {
            "groups": {"G-118": {"name": "Kelder Holdings", "as_of": "-96d 10:00", "sales_desk": "Kelder sales"}},
            "items": {
                "V-2207": _vendor("Tetning Flow", group="G-118", tie="wholly owned"),
                "V-2260": _vendor("Orvell Supplies", group="G-118", tie="60 %"),
                "V-2311": _vendor("Dunmere Technical"),
                "V-2340": _vendor("Quenby Trading"),
                "V-2356": _vendor("Lostock Industrial"),
                "V-2374": _vendor("Rawcliffe Process", status="dormant"),
                "V-2388": _vendor("Ullock Flow", categories=["VAL-31"]),
            },
        },
        "rfqs": {
            "settings": {"label": "Independent quotes counted", "approver": "h.laing", "currency": "GBP"},
            "items": {
                RFQ: {
                    "title": "Mechanical seals",
                    "requisition": "RQ-58213",
                    "category": "SEA-20",
                    "buyer": "agent",
                    "issued": "-19d 11:14",
                    "closes": "-6d 12:00",
                    "lines": [{"item": "cartridge seal", "quantity": 6}],
                    "invited": [
                        {"vendor": vendor, "at": "-19d 11:14", "reply": "quoted"}
                        for vendor in ("V-2207", "V-2260", "V-2311")
                    ],
                }
            },
            "quotes": {
                "QT-1": _quote("V-2207", "18642.70", "-14d 10:41"),
                "QT-2": _quote("V-2260", "19388.15", "-12d 15:27"),
                "QT-3": _quote("V-2311", "20274.90", "-7d 09:08"),
                "QT-0": {**_quote("V-2340", "17000.00", "-90d 09:00"), "state": "lapsed"},
            },
            "offers": {
                "a": _offer("V-2340", 20, amount="18210.40"),
                "b": _offer("V-2356", 12, amount="19015.00", question="With sleeve?", after_answer_minutes=10),
            },
        },
        "scorecard": {
            "settings": {"desk": "Spot East"},
            "tiles": {
                "coverage": {
                    "title": "Three-quote coverage",
                    "measure": "competed_share",
                    "met": 34,
                    "total": 39,
                    "line": "87.5 %",
                    "place": 20,
                    "desks": [{"desk": "Spot West", "value": "91.2 %"}],
                },
                "short": {"title": "Awards not competed", "measure": "not_competed", "met": 5, "total": 39},
                "matched": {"title": "Invoices matched", "value": "91.4 %", "place": 10},
            },
        },
    }


def desk(changes: Mapping[str, Any] | None = None) -> Bench:
    """Return a bench over the desk; `changes` replaces keys of the sections."""
    sections = seeds()
    for name, change in (changes or {}).items():
        sections[name] = {**sections[name], **change}
    lead = Person(id="h.laing", name="H. Laing", first="H.", role="desk lead")
    return bench(KITS, sections, people=(lead,), start="2026-11-18T09:14")


def award(at: Bench, counted: list[str], basis: str = "three_quotes", **more: Any) -> dict[str, Any]:
    """Award the RFQ to the lowest bidder, or as `more` says."""
    arguments = {"vendor_id": "V-2207", **more}
    found: dict[str, Any] = at.call("rfqs.award", rfq_id=RFQ, basis=basis, counted=counted, **arguments)
    return found
