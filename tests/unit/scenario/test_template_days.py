from impress_env.scenario.template import render


def test_a_moment_is_moved_by_whole_days() -> None:
    slots = {"base": "2026-09-14", "day": -13}
    assert render("{{ base | days(day) | date }}T09:40", slots) == "2026-09-01T09:40"
    assert render("{{ base | days(29) }}", slots) == "2026-10-13T00:00"
