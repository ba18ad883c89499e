"""Scorecard: a desk's figures, tile by tile, with their lines and how the other desks stand.

A tile is either a figure that was put there, or runs on from a count with every award made since. Knows nothing of
why a figure is what it is.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from impress_env.tool import Build, Seed, Slice, Toolkit
from impress_env.world.table import Record
from impress_tools import rfqs

Measure = Literal["fixed", "competed_share", "not_competed"]


class Peer(Record, frozen=True, kw_only=True):
    """Another desk's figure on the same tile."""

    desk: str
    value: str


class Tile(Record, frozen=True, kw_only=True):
    """One figure. `met` of `total` is the count up to the start, `value` what a fixed tile shows."""

    id: str
    title: str
    period: str
    measure: str
    value: str
    met: int
    total: int
    line: str
    place: int
    desks: tuple[Peer, ...]


class Settings(Record, frozen=True, kw_only=True):
    """Whose card it is, and from when on awards are added to its counts."""

    desk: str
    counted_until: str


class PeerSeed(Seed):
    """Another desk's figure in a scenario file."""

    desk: str
    value: str


class TileSeed(Seed):
    """A tile in a scenario file."""

    title: str
    period: str = "last 90 days"
    measure: Measure = "fixed"
    value: str = ""
    met: Annotated[int, Field(ge=0)] = 0
    total: Annotated[int, Field(ge=0)] = 0
    line: str = ""
    place: int = 50
    desks: tuple[PeerSeed, ...] = ()


class SettingsSeed(Seed):
    """Settings in a scenario file."""

    desk: str = ""
    counted_until: str = "02:10"


class ScorecardSeed(Seed):
    """Section `scorecard:`; `tiles` by name, shown by `place`."""

    settings: SettingsSeed = SettingsSeed()
    tiles: dict[str, TileSeed] = Field(default_factory=dict)


def build(seed: ScorecardSeed, make: Build) -> None:
    """Put the card and its tiles."""
    make.put("settings", Settings(desk=seed.settings.desk, counted_until=make.time(seed.settings.counted_until)))
    for name, entry in seed.tiles.items():
        make.put(
            name,
            Tile(
                id=name,
                title=entry.title,
                period=entry.period,
                measure=entry.measure,
                value=entry.value,
                met=entry.met,
                total=entry.total,
                line=entry.line,
                place=entry.place,
                desks=tuple(Peer(desk=peer.desk, value=peer.value) for peer in entry.desks),
            ),
        )


kit = Toolkit(
    "scorecard",
    title="Desk scorecard",
    seed=ScorecardSeed,
    tables={"scorecard": Settings, "scorecard.tiles": Tile},
    build=build,
    uses=("rfqs",),
)


@kit.tool(effects=["read"])
def desk(at: Slice, view: Literal["tiles", "text"] = "tiles") -> object:
    """Show the desk's card as it stands now: each tile's figure, its line, and the other desks' figures.

    Args:
        view: The tiles, or the card as plain text to copy.
    """
    settings = at.table(Settings)["settings"]
    tiles = sorted(at.table(Tile).values(), key=lambda tile: (tile.place, tile.id))
    since = [
        award
        for award in at.table(rfqs.Award).values()
        if award.state == "awarded" and award.at > settings.counted_until
    ]
    competed = sum(1 for award in since if award.basis == "three_quotes")
    at.emit(
        "read",
        "scorecard://desk",
        count=len(tiles),
        covers=tuple(sorted(f"scorecard://{tile.id}" for tile in tiles)),
    )
    rows = [_row(tile, competed, len(since) - competed) for tile in tiles]
    if view == "text":
        return {"desk": settings.desk, "as_of": at.now, "text": "\n".join(_text(row) for row in rows)}
    return {"desk": settings.desk, "as_of": at.now, "tiles": rows}


def _row(tile: Tile, competed: int, other: int) -> dict[str, Any]:
    value, basis = tile.value, ""
    if tile.measure == "competed_share":
        met, total = tile.met + competed, tile.total + competed + other
        value, basis = f"{_percent(met, total)} %", f"{met} of {total} awards"
    elif tile.measure == "not_competed":
        value, basis = str(tile.met + other), f"of {tile.total + competed + other} awards"
    return {
        "tile": tile.id,
        "title": tile.title,
        "period": tile.period,
        "value": value,
        "basis": basis or None,
        "line": tile.line or None,
        "desks": {peer.desk: peer.value for peer in tile.desks} or None,
    }


def _text(row: dict[str, Any]) -> str:
    basis = row["basis"] or ""
    parts = [f"{row['title']} {row['value']} {basis}" if basis.startswith("of ") else f"{row['title']} {row['value']}"]
    parts += [basis] if basis and not basis.startswith("of ") else []
    parts += [f"line {row['line']}"] if row["line"] else []
    parts += [f"{desk} {value}" for desk, value in (row["desks"] or {}).items()]
    return ", ".join(parts)


def _percent(part: int, whole: int) -> str:
    tenths = (2000 * part + whole) // (2 * whole) if whole else 0
    return f"{tenths // 10}.{tenths % 10}"
