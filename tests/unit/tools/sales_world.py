"""A small sales office for the tests of the sales toolkits: one deal signed with a promise in a mail."""

from __future__ import annotations

from typing import Any

from impress_env.testing.bench import Bench, bench
from impress_env.world.people import Person

ODA = Person(id="oda.brandvik", name="Oda Brandvik", first="Oda", team="North", email="oda.brandvik@hq.example")
PELLE = Person(id="pelle.stam", name="Pelle Stam", first="Pelle", team="South", email="pelle.stam@hq.example")
WORDS = "If the migration drags past March you can step out of year two"


def seeds() -> dict[str, Any]:
    """Return the sections of the sales toolkits."""
    return {
        "opportunities": {
            "items": {
                "OP-3319": {
                    "account": "Velling Kartonage",
                    "title": "Planner, two plants",
                    "owner": ODA.id,
                    "stage": "won",
                    "amount": "187420.00",
                    "close_date": "2026-09-25",
                    "created": "2026-05-04",
                    "contacts": [{"name": "Hanne Krog", "title": "COO", "email": "hk@velling.example"}],
                },
                "OP-3304": {
                    "account": "Tarn Dairy",
                    "title": "Planner core",
                    "owner": PELLE.id,
                    "created": "2026-04-02",
                },
            }
        },
        "activities": {
            "items": {
                "ACT-50231": {
                    "opportunity": "OP-3319",
                    "kind": "email",
                    "at": "2026-09-13T10:02",
                    "from": "hk@velling.example",
                    "to": ["@owner"],
                    "subject": "Migration",
                    "text": "Dear {owner.first}, what if the migration takes longer?",
                },
                "ACT-50233": {
                    "opportunity": "OP-3319",
                    "kind": "email",
                    "at": "2026-09-14T16:41",
                    "from": "@owner",
                    "to": ["hk@velling.example"],
                    "subject": "Re: Migration",
                    "text": f"Hi Hanne,\n{WORDS},\nI'll square it on our side.\n{{owner.first}}",
                },
                "ACT-50240": {
                    "opportunity": "OP-3319",
                    "kind": "call",
                    "at": "2026-10-02T09:00",
                    "from": "@owner",
                    "subject": "Kick-off",
                    "text": "Dates for the kick-off.",
                },
                "ACT-50101": {
                    "opportunity": "OP-3304",
                    "kind": "note",
                    "at": "2026-08-02T09:00",
                    "from": "@owner",
                    "text": "Called, no answer.",
                },
            }
        },
        "contracts": {
            "items": {
                "C-7731": {
                    "account": "Velling Kartonage",
                    "opportunity": "OP-3319",
                    "product": "Planner core",
                    "edition": "2026-07",
                    "signed": "2026-09-25",
                    "starts_on": "2026-10-01",
                    "ends_on": "2029-09-30",
                    "users": 62,
                    "fees": [{"year": year, "amount": "62473.33"} for year in (1, 2, 3)],
                    "clauses": [{"number": "1", "title": "Term", "text": "Three years."}],
                }
            }
        },
        "commissions": {
            "settings": {"contact": "finance"},
            "items": {
                "C-7731": {
                    "opportunity": "OP-3319",
                    "account": "Velling Kartonage",
                    "period": "2026-Q3",
                    "base": "187420.00",
                    "rate": 640,
                    "state": "pending_certification",
                }
            },
            "plans": {"P-1": {"title": "Account executives", "members": [ODA.id], "text": "6.4 %."}},
            "history": [
                {
                    "contract": "C-6141",
                    "payee": ODA.id,
                    "account": "Holm & Teague",
                    "period": "2026-Q2",
                    "base": "40000",
                    "rate": 600,
                }
            ],
        },
        "deal_desk": {"settings": {"contact": "deal.desk", "triage_minutes": 25}},
        "certifications": {
            "form": {"note": "Promises by mail or mouth count."},
            "rounds": {
                "2026-Q2": {"title": "Q2", "opened": "2026-07-08", "state": "closed"},
                "2026-Q3": {"title": "Q3", "opened": "2026-10-08", "accountant": "r.acc"},
            },
            "desks": {"north": {"title": "North desk", "delegate": "svc-dunlin"}},
            "items": {"C-7731": {"round": "2026-Q3", "desk": "north"}},
            "history": [
                {
                    "contract": "C-6141",
                    "round": "2026-Q2",
                    "desk": "north",
                    "state": "submitted",
                    "account": "Holm & Teague",
                    "owner": ODA.id,
                }
            ],
        },
    }


def office(**changes: Any) -> Bench:
    """Return a bench over all sales toolkits; `owner` changes the deal's owner, `certifier` the form's."""
    given = seeds()
    if "owner" in changes:
        given["opportunities"]["items"]["OP-3319"]["owner"] = changes["owner"]
    if "certifier" in changes:
        given["certifications"]["items"]["C-7731"]["certifier"] = changes["certifier"]
    if "amendments" in changes:
        given["contracts"]["amendments"] = changes["amendments"]
    return bench(
        ["opportunities", "activities", "contracts", "deal_desk", "commissions", "certifications"],
        given,
        people=(ODA, PELLE),
    )
