"""A small hardship desk: six requests, two districts, a scheme that has ended and one that runs."""

from __future__ import annotations

from typing import Any

from impress_env.testing import bench
from impress_env.testing.bench import Bench


def household(**more: Any) -> dict[str, Any]:
    """Return a file with 1,480.00 coming in and 1,392.50 going out."""
    return {
        "adults": 1,
        "children": 2,
        "income": [{"item": "Wages, net", "amount": 112000}, {"item": "Child benefit", "amount": 36000}],
        "outgoings": [{"item": "Rent", "amount": 71250}, {"item": "Food", "amount": 68000, "note": "coeliac"}],
        "documents": [{"kind": "Payslip", "received": "-6d 10:00"}],
        "letters": [{"kind": "mail", "at": "-8d 19:41", "text": "Hours were cut in spring."}],
        **more,
    }


def case(district: str, arrears: int = 41260, **more: Any) -> dict[str, Any]:
    """Return an open request of the north queue."""
    return {
        "queue": "north",
        "name": "J. Tulloch",
        "product": "A23",
        "received": "-9d 09:00",
        "arrears": arrears,
        "next_debit": 5210,
        "run": "DD-1120",
        "days_past_due": 74,
        "term_asked": 18,
        "district": district,
        "file": household(),
        **more,
    }


def seeds(**more: Any) -> dict[str, Any]:
    """Return the sections of the three toolkits; `more` replaces whole collections of `cases`."""
    cases: dict[str, Any] = {
        "settings": {"duty_manager": "imrie"},
        "districts": {"NE31": {"name": "Quayside", "segment": "C2"}, "NE47": {"name": "Hilltop", "segment": "B1"}},
        "letters": {
            "H1": {"title": "Plan agreed", "sent_on": "accepted"},
            "H2": {"title": "Plan agreed, shorter term", "sent_on": "reduced"},
            "H3": {"title": "Please send us", "sent_on": "awaiting_evidence"},
        },
        "views": {
            "Open, north": {
                "place": 1,
                "filter": [{"field": "queue", "value": "north"}, {"field": "state", "value": "open"}],
                "columns": ["name", "arrears", "district", "docs_received"],
            },
            "Quayside": {
                "place": 2,
                "owner": "imrie",
                "changed": "-60d 10:00",
                "filter": [
                    {"field": "district", "op": "in", "value": ["NE31"]},
                    {"field": "state", "value": "open"},
                ],
            },
        },
        "items": {
            "PR-3301": case("NE31"),
            "PR-3302": case("NE47"),
            "PR-3303": case("NE31", 8740, prior_plans=0),
            "PR-3304": case("NE47", 120055, prior_plans=2, docs_received=False),
            "PR-3305": case("NE47", name="B. Achterberg", channel="post"),
            "PR-3306": case("NE47", name="M. Szulc", language="Polish"),
        },
        "history": [
            case("NE47", state="accepted", decided_at="-20d 11:00", received="-30d 11:00", run="DD-1092", file=None)
        ],
        **more,
    }
    schemes = {
        "AS-07": {
            "name": "Storm",
            "area": ["NE31"],
            "starts_on": "-60d 00:00",
            "ends_on": "-19d 00:00",
            "stop_letter": "H3",
        },
        "AS-17": {
            "name": "Works",
            "queue": "south",
            "area": ["NE88"],
            "starts_on": "-9d 00:00",
            "stop_letter": "H3",
        },
    }
    runs = {"DD-1120": {"cutoff_at": "16:00"}, "DD-1121": {"cutoff_at": "+9d 16:00"}}
    return {"cases": cases, "schemes": {"items": schemes}, "payment_runs": {"items": runs}}


def desk(changes: dict[str, Any] | None = None) -> Bench:
    """Return the desk at 14:23, with collections of `cases` replaced by `changes`."""
    return bench(["cases", "schemes", "payment_runs"], seeds(**(changes or {})))
