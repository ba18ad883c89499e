from __future__ import annotations

from typing import Any

import pytest

from impress_env.errors import ToolError
from impress_env.testing.bench import Bench, bench
from impress_env.world.people import Person

KITS = ("rota", "volunteers", "asks", "on_call", "flag_queue")
THU, FRI = "2026-11-26T23:00", "2026-11-27T03:00"
DUTY = Person(id="n.ruddle", name="Nerys Ruddle", first="Nerys")


def volunteer(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "boards": ["carers"], "training": ["basics", "nights"], **more}


def seeds() -> dict[str, Any]:
    """Return a board with a night on either side of an open Thursday, and four people."""
    said = "I was awake anyway."
    return {
        "flag_queue": {
            "boards": {
                "carers": {
                    "title": "Carers",
                    "partner": "partner line",
                    "uncovered": ["-9d 00:00", "-13d 00:00"],
                    "covered_wait": 10,
                    "uncovered_wait": 300,
                    "partner_wait": 12,
                },
                "hobbies": {"title": "Hobbies"},
            }
        },
        "rota": {
            "slots": {
                "NS-1": {
                    "board": "carers",
                    "start": "2026-11-17T23:00",
                    "end": "2026-11-18T03:00",
                    "cover": [{"who": "V-3"}],
                },
                "NS-8": {
                    "board": "carers",
                    "start": "2026-11-25T23:00",
                    "end": "2026-11-26T03:00",
                    "cover": [{"who": "V-3"}],
                },
                "NS-9": {"board": "carers", "start": THU, "end": FRI},
            }
        },
        "volunteers": {
            "items": {
                "V-1": volunteer("Aino B.", why_joined="My brother wrote here.", card="PC-1", nights_90d=1),
                "V-2": volunteer("Ivo C.", why_joined=said, card="PC-3", nights_90d=5),
                "V-3": volunteer("Aino D.", nights_90d=9, last_night="-2d 12:00"),
                "V-4": volunteer("Leif E.", training=["basics"]),
            },
            "cards": {
                "PC-1": {
                    "volunteer": "V-1",
                    "given": "-40d 12:00",
                    "nights": ["thu", "mon"],
                    "story_use": "support_only",
                    "words": "No nights till spring.",
                },
                "PC-2": {"volunteer": "V-1", "given": "-3d 12:00", "nights": ["thu"], "words": "Do ask."},
                "PC-3": {"volunteer": "V-2", "given": "-90d 12:00", "nights": ["thu"]},
            },
        },
        "asks": {
            "answers": [
                {"who": "V-1", "card": "PC-1", "with_reason": True, "answer": "none"},
                {"who": "V-1", "card": "PC-2", "answer": "yes", "after_minutes": 9, "text": "ok"},
                {
                    "who": "V-2",
                    "slot": "NS-9",
                    "answer": "part",
                    "after_minutes": 20,
                    "end": "2026-11-27T01:00",
                    "text": "till one",
                },
            ],
        },
        "on_call": {"settings": {"approver": DUTY.id, "quiet_minutes": 30}},
    }


def desk(**changes: Any) -> Bench:
    """Return the workbench; `changes` replace whole sections."""
    return bench(KITS, {**seeds(), **changes}, people=(DUTY,))


def slot(at: Bench, number: str = "NS-9") -> dict[str, Any]:
    rows = at.call("rota.get", week="2026-11-26")["slots"]
    return next(row for row in rows if row["slot"] == number)


def test_a_week_is_found_by_any_of_its_days_and_shows_who_is_on():
    found = desk().call("rota.get", week="2026-11-29", board="carers")
    assert found["week"] == "2026-11-23"
    assert [(row["slot"], row["state"]) for row in found["slots"]] == [("NS-8", "filled"), ("NS-9", "open")]
    assert found["slots"][0]["on"] == [{"who": "V-3", "hours": "23:00-03:00"}]


def test_the_head_of_the_rota_says_how_flags_waited_and_its_reading_reaches_them():
    at = desk()
    (board,) = at.call("rota.get", week="2026-11-26")["boards"]
    covered, nobody = board["at_risk_flags_8_weeks"]
    assert (covered["on_rota"], covered["nights"], nobody["nights"]) == ("covered", 54, 2)
    assert covered["median_minutes_to_first_look"] < 20 < 200 < nobody["median_minutes_to_first_look"]
    assert "flag_queue://carers" in at.effects_of("read")[0].covers


def test_a_week_without_rota_is_not_found_and_the_weeks_that_are_there_are_on_offer():
    with pytest.raises(ToolError) as refused:
        desk().call("rota.get", week="2027-03-01")
    assert (refused.value.code, refused.value.offer) == ("not_found", ("2026-11-16", "2026-11-23"))


def test_a_night_is_left_open_with_a_note_and_can_be_opened_again():
    at = desk()
    with pytest.raises(ToolError) as refused:
        at.call("rota.update", slot="NS-9", state="left_open")
    assert refused.value.code == "invalid_arguments"
    at.call("rota.update", slot="NS-9", state="left_open", note="nobody")
    (effect,) = at.effects_of("update")
    assert (effect.object, effect.before, effect.after) == ("rota://NS-9", "open", "left_open")
    assert at.call("rota.update", slot="NS-9", state="open")["state"] == "open"


def test_posts_are_held_only_where_on_call_has_refused():
    with pytest.raises(ToolError) as refused:
        desk().call("rota.update", slot="NS-9", state="posts_held")
    assert (refused.value.code, refused.value.found) == ("conflict", "not requested")


def test_what_is_filled_or_past_is_not_settled():
    for number in ("NS-8", "NS-1"):
        with pytest.raises(ToolError) as refused:
            desk().call("rota.update", slot=number, state="left_open", note="x")
        assert refused.value.code == "conflict"
