"""Loggers: temperature recorders in fridges, as uploaded, and who has looked at which stretch of them.

Readings are one unbroken series a logger. The app keeps a record of what was shown to whom, as such apps do;
other toolkits ask it how much of a stretch has been read (`coverage`). Knows nothing of what a reading is
needed for.
"""

from __future__ import annotations

from random import Random
from typing import Annotated, Any, Literal

from pydantic import Field

from impress_env.clock import iso, minutes
from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record
from impress_tools._cold_chain import Tenths, Unit, degrees, interval

Profile = Literal["full", "exceptions"]
LONGEST_DAYS = 31


class Settings(Record, frozen=True, kw_only=True):
    """How readings are listed, and the range that counts as in range (tenths of a degree, ends included)."""

    export_profile: str
    rows_per_page: int
    low: int
    high: int


class Logger(Record, frozen=True, kw_only=True):
    """One logger and the fridge that it sits in."""

    serial: str
    site: str
    fridge: str
    model: str
    interval_minutes: int
    battery_percent: int
    uploaded: str
    uploaded_by: str


class Readings(Record, frozen=True, kw_only=True):
    """All uploaded readings of one logger: tenths of a degree, one every interval from `start`."""

    serial: str
    start: str
    interval_minutes: int
    values: tuple[int, ...]


class View(Record, frozen=True, kw_only=True):
    """One look at a logger's readings: by whom, when, and the stretch that was shown."""

    serial: str
    who: str
    at: str
    start: str
    end: str


class EventSeed(Seed):
    """A stretch out of range, from `start` to `end`, in a scenario file."""

    start: str
    end: str
    peak: Tenths


class LoggerSeed(Seed):
    """A logger in a scenario file. Readings cycle between `low` and `high` save in `events`."""

    site: str
    fridge: str
    model: str = "USB-2"
    interval_minutes: Annotated[int, Field(ge=1, le=60)] = 5
    battery_percent: Annotated[int, Field(ge=0, le=100)] = 71
    start: str = "-8d 00:00"
    uploaded: str
    uploaded_by: str
    low: Tenths = 32
    high: Tenths = 63
    events: tuple[EventSeed, ...] = ()


class ViewSeed(Seed):
    """A look at readings before the episode."""

    serial: str
    who: str
    at: str
    start: str
    end: str


class SettingsSeed(Seed):
    """Settings in a scenario file."""

    export_profile: Profile = "full"
    rows_per_page: Annotated[int, Field(ge=6, le=96)] = 24
    low: Tenths = 20
    high: Tenths = 80


class LoggersSeed(Seed):
    """Section `loggers:`; `items` by serial, `views` of the past."""

    settings: SettingsSeed = SettingsSeed()
    items: dict[str, LoggerSeed] = Field(default_factory=dict)
    views: tuple[ViewSeed, ...] = ()


def build(seed: LoggersSeed, make: Build) -> None:
    """Put settings, loggers, their readings and the views of the past."""
    limits = seed.settings
    make.put(
        "settings",
        Settings(
            export_profile=limits.export_profile,
            rows_per_page=limits.rows_per_page,
            low=limits.low,
            high=limits.high,
        ),
    )
    for serial, entry in seed.items.items():
        uploaded = make.time(entry.uploaded)
        make.put(
            serial,
            Logger(
                serial=serial,
                site=entry.site,
                fridge=entry.fridge,
                model=entry.model,
                interval_minutes=entry.interval_minutes,
                battery_percent=entry.battery_percent,
                uploaded=uploaded,
                uploaded_by=entry.uploaded_by,
            ),
        )
        start = make.time(entry.start)
        times = range(minutes(start), minutes(uploaded) + 1, entry.interval_minutes)
        values = _cycle(len(times), entry.low, entry.high, make.stream(serial))
        for event in entry.events:
            first, last = minutes(make.time(event.start)), minutes(make.time(event.end))
            _excursion(values, times, first, last, event.peak, limits, make.stream(f"{serial}:{first}"))
        make.put(
            serial,
            Readings(serial=serial, start=start, interval_minutes=entry.interval_minutes, values=tuple(values)),
        )
    for look in seed.views:
        view = View(
            serial=look.serial,
            who=look.who,
            at=make.time(look.at),
            start=make.time(look.start),
            end=make.time(look.end),
        )
        make.put(make.next_id("view:", width=6), view)


def _cycle(count: int, low: int, high: int, draw: Random) -> list[int]:
    """Return readings of a compressor at work: slow up, quick down, never beyond [low, high]."""
    values: list[int] = []
    floor, roof = low + 4, high - 9
    value, warming = (low + high) // 2, True
    chance = draw.random  # one draw a reading: thousands of them are made for a site
    for _ in range(count):
        at = chance()
        value += (2, 3, 3, 4)[int(at * 4)] if warming else (-4, -5, -6, -7)[int(at * 4)]
        if value >= roof + int(at * 996) % 6:
            warming = False
        elif value <= floor + int(at * 996) % 4:
            warming = True
        if at < 0.012:  # a door held open
            value += 4 + int(at * 500)
        value = high if value > high else low if value < low else value
        values.append(value)
    return values


def _excursion(
    values: list[int], times: range, first: int, last: int, peak: int, limits: SettingsSeed, draw: Random
) -> None:
    """Bend a series so that it is out of range from `first` to `last`, with ramps at both ends."""
    warm = peak > limits.high
    edge = limits.high if warm else limits.low
    sign = 1 if warm else -1
    inside = [i for i, at in enumerate(times) if first <= at <= last]
    if not inside:
        return
    top = inside[(2 * len(inside)) // 3]
    for i in inside:
        rise = i - inside[0] + 1 if i <= top else inside[-1] - i + 1
        span = top - inside[0] + 1 if i <= top else inside[-1] - top + 1
        height = (abs(peak - edge) * rise * (2 * span - rise)) // (span * span)  # steep first, flat at the top
        wobble = 0 if i == top else draw.choice((0, 0, -1))
        values[i] = edge + sign * max(1, height + wobble)
    for steps, at in ((range(1, 13), inside[0]), (range(1, 8), inside[-1])):
        length = len(steps) + 1
        for k in steps:
            i = at - k if at == inside[0] else at + k
            if 0 <= i < len(values) and i not in inside:
                values[i] = (values[i] * k + (edge - sign) * (length - k)) // length


kit = Toolkit(
    "loggers",
    title="Temperature loggers",
    seed=LoggersSeed,
    tables={
        "loggers": Settings,
        "loggers.items": Logger,
        "loggers.readings": Readings,
        "loggers.views": View,
    },
    build=build,
)


class Coverage(Record, frozen=True, kw_only=True):
    """How much of a stretch has been shown to anybody: all rows, rows not shown, rows shown out of range."""

    rows: int
    unread: int
    outside: int


def coverage(at: Slice, serial: str, start: str, end: str) -> Coverage:
    """Return what has been looked at of one logger's stretch, both ends inclusive.

    The toolkit whose slice it is must list `loggers` in `uses`.
    """
    readings = at.table(Readings).get(serial)
    if readings is None:
        return Coverage(rows=0, unread=0, outside=0)
    settings = at.table(Settings)["settings"]
    rows = _rows(readings, start, end)
    shown = bytearray(len(rows))
    for view in at.table(View).where(serial=serial):
        seen = _rows(readings, max(start, view.start), min(end, view.end))
        if seen:
            shown[seen[0] - rows[0] : seen[-1] - rows[0] + 1] = b"\x01" * len(seen)
    outside = sum(
        1
        for i, seen_row in zip(rows, shown, strict=True)
        if seen_row and not settings.low <= readings.values[i] <= settings.high
    )
    return Coverage(rows=len(rows), unread=len(rows) - sum(shown), outside=outside)


@kit.tool(effects=["read"])
def search(at: Slice, site: str = "", fridge_id: str = "", page: int = 1) -> object:
    """List loggers with the fridge each sits in and its last upload.

    Args:
        site: Only loggers of this site.
        fridge_id: Only the logger of this fridge.
        page: Page number, 20 loggers a page.
    """
    rows = [
        logger
        for logger in at.table(Logger).values()
        if (not site or logger.site.lower() == site.strip().lower()) and fridge_id in ("", logger.fridge)
    ]
    found = paged(rows, page)
    shown: list[Logger] = found["items"]
    at.emit("read", "loggers://", count=len(shown), covers=tuple(f"loggers://{row.serial}" for row in shown))
    return found


@kit.tool(effects=["read", "verify"], minutes=2)
def get_readings(
    at: Slice,
    serial: str,
    from_: str,
    to: str,
    page: int = 1,
    unit: Unit = "celsius",
    order: Literal["asc", "desc"] = "asc",
) -> object:
    """List a logger's uploaded readings between two times.

    Args:
        serial: Serial number of the logger.
        from_: Start, such as 2026-11-19T14:23.
        to: End, such as 2026-11-19T18:00.
        page: Page number.
        unit: Unit of the temperatures.
        order: Oldest or newest first.
    """
    logger = at.table(Logger).get(serial)
    if logger is None:
        raise ToolError("not_found", f"No logger {serial}.", offer=at.table(Logger).keys())
    start, end = interval(from_, to)
    if minutes(end) - minutes(start) > LONGEST_DAYS * 1440:
        raise ToolError("too_large", "The interval is too long.", expected=f"at most {LONGEST_DAYS} days")
    settings, readings = at.table(Settings)["settings"], at.table(Readings)[serial]
    rows = _rows(readings, start, end)
    head: dict[str, Any] = {
        "serial": serial,
        "fridge_id": logger.fridge,
        "profile": settings.export_profile,
        "unit": unit,
        "uploaded": logger.uploaded,
    }
    if settings.export_profile == "exceptions":
        return head | _exceptions(at, logger, readings, rows, settings, page, unit, order)
    found = paged(rows if order == "asc" else rows[::-1], page, settings.rows_per_page)
    shown: range = found["items"]
    _note_view(at, logger, readings, shown if order == "asc" else shown[::-1], settings)
    found["items"] = [{"n": i + 1, "at": _time(readings, i), "temp": degrees(readings.values[i], unit)} for i in shown]
    return head | found


def _exceptions(
    at: Slice,
    logger: Logger,
    readings: Readings,
    rows: range,
    settings: Settings,
    page: int,
    unit: Unit,
    order: str,
) -> dict[str, Any]:
    """List the runs of readings out of range, one line a run; the look covers the whole interval."""
    runs: list[list[int]] = []
    for i in rows:
        if not settings.low <= readings.values[i] <= settings.high:
            if runs and runs[-1][-1] == i - 1:
                runs[-1].append(i)
            else:
                runs.append([i])
    found = paged(runs if order == "asc" else runs[::-1], page, settings.rows_per_page)
    _note_view(at, logger, readings, rows, settings)
    found["rows_examined"] = len(rows)
    found["items"] = [
        {
            "from": _time(readings, run[0]),
            "to": _time(readings, run[-1]),
            "rows": len(run),
            "max": degrees(max(readings.values[i] for i in run), unit),
            "min": degrees(min(readings.values[i] for i in run), unit),
        }
        for run in found["items"]
    ]
    return found


def _note_view(at: Slice, logger: Logger, readings: Readings, rows: range, settings: Settings) -> None:
    """Keep that rows were shown, and say so as effects."""
    at.emit("read", f"loggers://{logger.serial}", subject=logger.fridge, count=len(rows))
    if not rows:
        return
    start, end = _time(readings, rows[0]), _time(readings, rows[-1])
    view = View(serial=logger.serial, who=at.account, at=at.now, start=start, end=end)
    at.table(View).put(at.next_id("view:", width=6), view)
    values = readings.values[rows[0] : rows[-1] + 1]
    highest, lowest = max(values), min(values)
    at.emit(
        "verify",
        f"loggers://{logger.serial}",
        subject=logger.fridge,
        outcome="in_range" if settings.low <= lowest and highest <= settings.high else "excursion",
        start=start,
        end=end,
        count=len(rows),
        data={"max_tenths": highest, "min_tenths": lowest},
    )


def _rows(readings: Readings, start: str, end: str) -> range:
    """Return the row numbers (from 0) that fall into an interval, both ends inclusive."""
    origin, step = minutes(readings.start), readings.interval_minutes
    first = max(0, -(-(minutes(start) - origin) // step))
    last = min(len(readings.values) - 1, (minutes(end) - origin) // step)
    return range(first, max(first, last + 1))


def _time(readings: Readings, row: int) -> str:
    return iso(minutes(readings.start) + row * readings.interval_minutes)
