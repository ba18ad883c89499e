"""Simulated time: minutes and their text forms."""

from datetime import date

import pytest

from impress_env.clock import DAY, WEEKDAYS, day_start, iso, minute_of_day, minutes, on_weekday, resolve, weekday

NOW = minutes("2026-11-19T14:23")  # a Thursday


def test_text_and_minutes_are_inverse():
    assert iso(0) == "1970-01-01T00:00"
    assert minutes("1970-01-02") == DAY
    for text in ("2026-11-19T14:23", "2024-02-29T23:59", "1999-12-31T00:00", "1969-12-31T23:59"):
        assert iso(minutes(text)) == text


def test_iso_texts_sort_as_the_moments_do():
    moments = [NOW + step for step in (-500_000, -1, 0, 1, 59, 60, 1440, 400_000)]
    assert [iso(m) for m in moments] == sorted(iso(m) for m in moments)


@pytest.mark.parametrize("text", ["2026-11-19T14:23:59", "2026-11-19T14:23:59Z", " 2026-11-19 14:23 "])
def test_seconds_and_the_zone_letter_are_dropped(text):
    assert minutes(text) == NOW


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01", "2026-02-30", "14:23", "19.11.2026"])
def test_what_is_no_time_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r"expected a time such as 2026-11-19T14:23, found"):
        minutes(text)


def test_a_day_starts_at_midnight_and_has_a_name():
    assert iso(day_start(NOW)) == "2026-11-19T00:00"
    assert day_start(day_start(NOW)) == day_start(NOW)
    assert [weekday(NOW + day * DAY) for day in range(7)] == ["thu", "fri", "sat", "sun", "mon", "tue", "wed"]
    assert weekday(0) == "thu"
    assert weekday(day_start(NOW) - 1) == "wed"


def test_a_time_of_day_is_minutes_after_midnight():
    assert [minute_of_day(text) for text in ("00:00", "9:40", "09:40", "23:59")] == [0, 580, 580, 1439]


@pytest.mark.parametrize("text", ["24:00", "12:60", "noon", "12", "12:5", "-1:00"])
def test_what_is_no_time_of_day_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r"expected a time of day such as 09:40, found"):
        minute_of_day(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02T03:04", "2026-01-02T03:04"),
        ("-3d 14:12", "2026-11-16T14:12"),
        ("-0d 14:12", "2026-11-19T14:12"),
        ("+2d 9:05", "2026-11-21T09:05"),
        ("14:12", "2026-11-19T14:12"),
        ("-400d 00:00", "2025-10-15T00:00"),
    ],
)
def test_moments_are_given_as_iso_as_days_off_or_as_a_time_today(text, expected):
    assert iso(resolve(text, NOW)) == expected


@pytest.mark.parametrize("text", ["-3d", "-3d 25:00", "3d 14:12", "yesterday", "-3 d 14:12"])
def test_other_forms_of_a_moment_are_refused(text):
    with pytest.raises(ValueError, match="expected a time"):
        resolve(text, NOW)


def test_a_weekday_is_found_in_the_week_so_many_weeks_on():
    first = date(2026, 3, 4)  # a Wednesday
    assert on_weekday(first, 0, "mon") == date(2026, 3, 2)
    assert on_weekday(first, 0, "sun") == date(2026, 3, 8)
    assert on_weekday(first, 2, "thu") == date(2026, 3, 19)


def test_a_day_of_no_name_is_refused_with_the_names():
    with pytest.raises(ValueError, match=f"one of {', '.join(WEEKDAYS)}, found 'tues'"):
        on_weekday(date(2026, 3, 2), 0, "tues")
