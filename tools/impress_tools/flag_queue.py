"""Flag queue: posts that were flagged for somebody to look at, night by night, and how long that took.

A board's nights are counted apart by whether somebody of the rota was on. Where a partner picks up flags in the nights
with nobody on, its times stand in place of the day team's. Knows nothing of volunteers.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from impress_env.clock import DAY, day_start, iso, resolve
from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.table import Record
from impress_tools._forum import median, monday


class Board(Record, frozen=True, kw_only=True):
    """One board. `partner_pickup`: in nights with nobody on, flags go to the partner's desk."""

    id: str
    title: str
    partner: str
    partner_pickup: bool


class Night(Record, frozen=True, kw_only=True):
    """One night of a board: flags raised, and the minutes to the first look at each, by day team and by partner."""

    id: str
    board: str
    date: str
    covered: bool
    waits: tuple[int, ...]
    partner_waits: tuple[int, ...]


class BoardSeed(Seed):
    """A board in a scenario file; its nights are drawn around the waits given here (minutes)."""

    title: str
    partner: str = ""
    partner_pickup: bool = False
    nights: Annotated[int, Field(ge=0, le=120)] = 56
    uncovered: tuple[str, ...] = ()
    covered_wait: Annotated[int, Field(ge=1, le=1440)] = 11
    uncovered_wait: Annotated[int, Field(ge=1, le=1440)] = 240
    partner_wait: Annotated[int, Field(ge=1, le=1440)] = 13
    flags: tuple[int, int] = (1, 5)


class FlagQueueSeed(Seed):
    """Section `flag_queue:`."""

    boards: dict[str, BoardSeed] = {}


def build(seed: FlagQueueSeed, make: Build) -> None:
    """Put the boards and draw their nights up to last night."""
    for id, entry in seed.boards.items():
        make.put(id, Board(id=id, title=entry.title, partner=entry.partner, partner_pickup=entry.partner_pickup))
        uncovered = {iso(resolve(day, make.now))[:10] for day in entry.uncovered}
        rng = make.stream(id)
        for back in range(entry.nights, 0, -1):
            day = iso(day_start(make.now) - back * DAY)[:10]
            covered = day not in uncovered
            usual = entry.covered_wait if covered else entry.uncovered_wait
            count = rng.randint(*entry.flags)
            waits = tuple(max(2, usual * rng.randint(70, 131) // 100) for _ in range(count))
            others = tuple(max(2, entry.partner_wait * rng.randint(70, 131) // 100) for _ in range(count))
            number = f"{id}/{day}"
            make.put(
                number,
                Night(
                    id=number,
                    board=id,
                    date=day,
                    covered=covered,
                    waits=waits,
                    partner_waits=() if covered else others,
                ),
            )


kit = Toolkit(
    "flag_queue",
    title="Flag queue",
    seed=FlagQueueSeed,
    tables={"flag_queue.boards": Board, "flag_queue.nights": Night},
    build=build,
)


def find_board(at: Slice, id: str) -> Board:
    """Return a board.

    Raises:
        ToolError: `not_found`, with the boards there are.
    """
    board = at.table(Board).get(id.strip().lower())
    if board is None:
        raise ToolError("not_found", f"No board {id[:40]}.", offer=at.table(Board).keys())
    return board


def waits(board: Board, night: Night) -> tuple[int, ...]:
    """Return the minutes to the first look at a night's flags, whoever took it."""
    return night.partner_waits if board.partner_pickup and not night.covered else night.waits


def summary(at: Slice, board: Board, nights: list[Night]) -> list[dict[str, Any]]:
    """Return the figures of a board's nights with somebody on and with nobody on."""
    found = []
    for covered in (True, False):
        chosen = [night for night in nights if night.covered == covered]
        taken = [wait for night in chosen for wait in waits(board, night)]
        nobody = (board.partner if board.partner_pickup else "") or "day team"
        found.append(
            {
                "on_rota": "covered" if covered else "nobody",
                "nights": len(chosen),
                "flags": len(taken),
                "first_look_by": "rota" if covered else nobody,
                "median_minutes_to_first_look": median(taken),
                "longest": max(taken, default=None),
            }
        )
    return found


def nights_of(at: Slice, board: Board, since: str = "") -> list[Night]:
    """Return a board's nights from an ISO day on, oldest first."""
    return sorted((n for n in at.table(Night).where(board=board.id) if n.date >= since), key=lambda night: night.date)


@kit.tool(effects=["read"])
def figures(at: Slice, board: str, weeks: Annotated[int, Field(ge=1, le=16)] = 8, page: int = 1) -> object:
    """Show how long at-risk flags on a board's nights waited for a first look, and the same week by week.

    Args:
        board: Id of the board.
        weeks: How many weeks back, 1 to 16.
        page: Page number, 8 weeks a page, latest first.
    """
    found = find_board(at, board)
    since = iso(day_start(at.clock) - weeks * 7 * DAY)[:10]
    nights = nights_of(at, found, since)
    by_week: dict[str, list[Night]] = {}
    for night in nights:
        by_week.setdefault(monday(night.date, "date"), []).append(night)
    listed = paged(sorted(by_week, reverse=True), page, 8)
    listed["items"] = [
        {
            "week": week,
            "nights_covered": sum(night.covered for night in by_week[week]),
            "nights_nobody": sum(not night.covered for night in by_week[week]),
            "at_risk_flags": sum(len(waits(found, night)) for night in by_week[week]),
            "median_minutes_to_first_look": median([wait for night in by_week[week] for wait in waits(found, night)]),
        }
        for week in listed["items"]
    ]
    at.emit("read", f"flag_queue://{found.id}", fields=("waits",), count=len(nights), start=since, end=at.now)
    return {
        "board": found.id,
        "title": found.title,
        "since": since,
        "at_risk_flags": summary(at, found, nights),
        **listed,
    }
