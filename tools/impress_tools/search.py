"""Search: one box over files, mail, chat, tickets and notes, as far as this world has them.

Ranks by how many of the words occur, then by how often, then by time. It looks at tables by name and at records by
field, so that it needs none of the apps; what an account may not see there, it does not find here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Literal, NamedTuple

from impress_env.clock import iso
from impress_env.errors import ToolError
from impress_env.tool import SHARED_TABLES, Build, Seed, Slice, Toolkit
from impress_env.world.filesystem import File
from impress_env.world.world import World
from impress_tools._common import ME, Query, cut_line, file_uri, merged, moment, readable

Source = Literal["files", "mail", "chat", "tickets", "memory"]
TABLES: Final[dict[Source, str]] = {
    "files": "files",
    "mail": "mail.items",
    "chat": "chat.items",
    "tickets": "tickets.items",
    "memory": "memory",
}
LIMIT: Final = 25
SPAN: Final = re.compile(r"(\d{1,3})([hd])")


class Hit(NamedTuple):
    """Something that can be found, whatever app it is in."""

    source: Source
    uri: str
    id: str
    title: str
    body: str
    at: str
    labels: tuple[str, ...]
    purposes: tuple[str, ...]
    extra: dict[str, Any]


class SearchSeed(Seed):
    """Section `search:`; there is nothing to say."""


def build(seed: SearchSeed, make: Build) -> None:
    """Put nothing."""


kit = Toolkit("search", title="Search", seed=SearchSeed, tables={}, build=build, whole_world=True)


@kit.tool(effects=["read"])
def query(
    at: Slice,
    text: str,
    sources: list[Source] | None = None,
    folders: list[str] | None = None,
    limit: int = 10,
    since: str = "",
) -> object:
    """Search files, mail, chat, tickets and notes at once, best match first.

    Args:
        text: Words to find; "quoted phrases" as they stand, -word to leave out. Not every word must occur.
        sources: Apps to look in; by default all that there are.
        folders: Only files below these folders.
        limit: How many results, 1 to 25.
        since: Only what was written or changed from this time on, "2026-11-19" or "2026-11-19T14:23".
    """
    words = Query(text)
    if not words.terms:
        raise ToolError("invalid_arguments", "Nothing to search for.", expected="at least one word", found=text[:80])
    wanted = _sources(at.world, sources, ("files",) if folders else ())
    first = moment(at, since, "since") if since else ""
    ranked = []
    for hit in _all(at, wanted, folders or ()):
        if hit.at < first:
            continue
        distinct, weight = words.score(hit.title, hit.body)
        if distinct:
            ranked.append((distinct, weight, hit.at, hit))
    ranked.sort(key=lambda row: row[3].uri)
    ranked.sort(key=lambda row: row[:3], reverse=True)
    shown = [row[3] for row in ranked[: _limit(limit)]]
    _emit(at, shown, text)
    return {
        "results": [_row(hit) | {"snippet": words.excerpt(hit.body)} for hit in shown],
        "total": len(ranked),
        "searched": list(wanted),
    }


@kit.tool(effects=["read"])
def recent(at: Slice, sources: list[Source] | None = None, within: str = "7d", limit: int = 15) -> object:
    """List what was written or changed lately in files, mail, chat, tickets and notes, newest first.

    Args:
        sources: Apps to look in; by default all that there are.
        within: How far back, for instance "12h" or "7d".
        limit: How many results, 1 to 25.
    """
    span = SPAN.fullmatch(within.strip().lower())
    if span is None:
        raise ToolError("invalid_arguments", "Not a span of time.", expected='"12h" or "7d"', found=within[:40])
    minutes = int(span[1]) * (60 if span[2] == "h" else 1440)
    wanted = _sources(at.world, sources, ())
    hits = [hit for hit in _all(at, wanted, ()) if hit.at and hit.at >= iso(at.clock - minutes)]
    hits.sort(key=lambda hit: hit.uri)
    hits.sort(key=lambda hit: hit.at, reverse=True)
    shown = hits[: _limit(limit)]
    _emit(at, shown, "")
    return {
        "results": [_row(hit) | {"snippet": cut_line(hit.body, 80)} for hit in shown],
        "total": len(hits),
        "searched": list(wanted),
    }


def _sources(world: World, given: Sequence[Source] | None, default: tuple[Source, ...]) -> tuple[Source, ...]:
    """Return the sources to look in.

    Raises:
        ToolError: `not_found` for an app that this workplace does not have.
    """
    there = tuple(name for name, table in TABLES.items() if table in world.base.records and _in_use(world, table))
    wanted = tuple(dict.fromkeys(given or default or there))
    missing = [name for name in wanted if name not in there]
    if missing:
        raise ToolError("not_found", f"There is no {missing[0]} here.", expected="sources in use", offer=there)
    return wanted


def _in_use(world: World, table: str) -> bool:
    """Return whether a table is worth a source; those that every world has may stand empty."""
    return table not in SHARED_TABLES or len(world.table(table)) > 0


def _limit(limit: int) -> int:
    if not 1 <= limit <= LIMIT:
        raise ToolError("invalid_arguments", "limit is out of range.", expected=f"1 to {LIMIT}", found=str(limit))
    return limit


def _all(at: Slice, sources: Sequence[Source], folders: Sequence[str]) -> Iterator[Hit]:
    """Yield everything that can be found, in the order of the sources and of their keys."""
    now = at.now
    for source in sources:
        reader = _READERS[source]
        for record in at.world.rows(TABLES[source]):
            hit = reader(at, record, folders)
            if hit is not None and hit.at <= now:
                yield hit


def _file(at: Slice, record: object, folders: Sequence[str]) -> Hit | None:
    if not isinstance(record, File) or not readable(record, at.account):
        return None
    if folders and not any(record.path.startswith("/" + folder.strip("/ ") + "/") for folder in folders):
        return None
    return Hit(
        "files",
        file_uri(record.path),
        record.path,
        record.path.rpartition("/")[2].replace("-", " ").replace("_", " "),
        record.text,
        record.modified,
        record.labels,
        record.purposes,
        {"owner": record.owner},
    )


def _message(at: Slice, record: object, folders: Sequence[str]) -> Hit | None:
    if getattr(record, "folder", "") == "trash":
        return None
    number, sender = _text(record, "id"), _text(record, "sender")
    return Hit(
        "mail",
        f"mail://{number}",
        number,
        _text(record, "subject"),
        _text(record, "body"),
        _text(record, "at"),
        _names(record, "labels"),
        _names(record, "purposes"),
        {"title": _text(record, "subject"), "from": at.account if sender == ME else sender},
    )


def _post(at: Slice, record: object, folders: Sequence[str]) -> Hit | None:
    channel, number, sender = _text(record, "channel"), _text(record, "id"), _text(record, "sender")
    room = at.world.row("chat.channels", channel)
    if getattr(room, "private", False):
        members = _names(room, "members")
        if at.account not in members and ME not in members:
            return None
    return Hit(
        "chat",
        f"chat://{channel}/{number}",
        number,
        "",
        _text(record, "text"),
        _text(record, "at"),
        _names(record, "labels"),
        (),
        {
            "channel": channel if channel.startswith("@") else f"#{channel}",
            "from": at.account if sender == ME else sender,
        },
    )


def _ticket(at: Slice, record: object, folders: Sequence[str]) -> Hit | None:
    number, title = _text(record, "id"), _text(record, "title")
    comments = "\n".join(_text(comment, "text") for comment in getattr(record, "comments", ()))
    return Hit(
        "tickets",
        f"tickets://{number}",
        number,
        f"{number} {title}",
        f"{_text(record, 'body')}\n{comments}",
        _text(record, "updated"),
        _names(record, "labels"),
        _names(record, "purposes"),
        {"title": title, "state": _text(record, "state")},
    )


def _note(at: Slice, record: object, folders: Sequence[str]) -> Hit | None:
    number = _text(record, "id")
    return Hit(
        "memory",
        f"memory://{number}",
        number,
        " ".join(_names(record, "tags")),
        _text(record, "text"),
        _text(record, "at"),
        (),
        (),
        {},
    )


_READERS: Final[dict[Source, Callable[[Slice, object, Sequence[str]], Hit | None]]] = {
    "files": _file,
    "mail": _message,
    "chat": _post,
    "tickets": _ticket,
    "memory": _note,
}


def _text(record: object, field: str) -> str:
    return str(getattr(record, field, ""))


def _names(record: object, field: str) -> tuple[str, ...]:
    return tuple(getattr(record, field, ()))


def _emit(at: Slice, shown: Sequence[Hit], text: str) -> None:
    at.emit(
        "read",
        "search://",
        labels=merged(*(hit.labels for hit in shown)),
        purposes=merged(*(hit.purposes for hit in shown)),
        fields=("snippet",),
        count=len(shown),
        covers=merged(hit.uri for hit in shown),
        data={"query": text} if text else {},
    )


def _row(hit: Hit) -> dict[str, Any]:
    return {"source": hit.source, "id": hit.id, **hit.extra, "at": hit.at}
