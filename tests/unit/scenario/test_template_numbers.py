import pytest

from impress_env.scenario.template import SlotError, render


def test_filters_take_negative_numbers() -> None:
    slots = {"at": "2026-11-19T00:12", "n": 6}
    assert render("{{ at | shift(-27) }}", slots) == "2026-11-18T23:45"
    assert render("{{ n | plus(-2) }}", slots) == 4


def test_arithmetic_is_refused() -> None:
    with pytest.raises(SlotError, match="Sub is not allowed"):
        render("{{ n - 2 }}", {"n": 6})
