"""Memory: the agent's own notes, kept across turns, and across episodes where a study says so.

Notes live in the core's table `memory`. Knows nothing of the other apps.
"""

from __future__ import annotations

import builtins
from typing import Any

from pydantic import Field

from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.memory import Note
from impress_tools._common import Query, cut_line, merged, moment

PREFIX = "N-"
NOTE_CAP = 4_000
TAGS_CAP = 10
ROWS = 20
WIDTH = 200


class NoteSeed(Seed):
    """A note in a scenario file."""

    at: str
    text: str
    tags: tuple[str, ...] = ()


class MemorySeed(Seed):
    """Section `memory:`, a list of notes, numbered from the oldest on."""

    items: tuple[NoteSeed, ...] = Field(default=())


def build(seed: MemorySeed, make: Build) -> None:
    """Put the notes."""
    for entry in sorted(seed.items, key=lambda note: make.time(note.at)):
        number = make.next_id(PREFIX)
        make.put(number, Note(id=number, text=entry.text.strip(), at=make.time(entry.at), tags=merged(entry.tags)))


kit = Toolkit("memory", title="Notes", seed=MemorySeed, tables={"memory": Note}, build=build)


@kit.tool(effects=["read"])
def list(at: Slice, tag: str = "", page: int = 1) -> object:
    """List your own notes, newest first; long ones are cut.

    Args:
        tag: Only notes with this tag.
        page: Page number, 20 notes a page.
    """
    return _listed(at, [note for note in at.table(Note).values() if not tag or tag in note.tags], page)


@kit.tool(effects=["read"])
def search(at: Slice, text: str, tag: str = "", since: str = "", page: int = 1) -> object:
    """Search your own notes, newest first.

    Args:
        text: Words that the note holds, in any order; "quoted phrases" as they stand, -word to leave out.
        tag: Only notes with this tag.
        since: Only notes from this time on, "2026-11-19" or "2026-11-19T14:23".
        page: Page number, 20 notes a page.
    """
    query = Query(text)
    start = moment(at, since, "since") if since else ""
    rows = [
        note
        for note in at.table(Note).values()
        if note.at >= start
        and (not tag or tag in note.tags)
        and query.all_in(f"{note.text} {' '.join(note.tags)} {note.id}")
    ]
    return _listed(at, rows, page)


@kit.tool(effects=["read"])
def get(at: Slice, id: str) -> object:
    """Open one of your own notes.

    Args:
        id: Id of the note.
    """
    note = _find(at, id)
    at.emit("read", f"memory://{note.id}", owner=at.account, fields=("text",))
    return note


@kit.tool(effects=["create"])
def save(at: Slice, text: str, tags: builtins.list[str] | None = None) -> object:
    """Keep a note for later.

    Args:
        text: The note, at most 4000 characters.
        tags: Words to find it by, at most 10.
    """
    clean, names = _checked_text(text), _checked_tags(tags or [])
    number = at.next_id(PREFIX)
    at.table(Note).put(number, Note(id=number, text=clean, at=at.now, tags=names))
    at.emit("create", f"memory://{number}", owner=at.account, claim=clean)
    return {"id": number, "at": at.now}


@kit.tool(effects=["update"])
def update(at: Slice, id: str, text: str | None = None, tags: builtins.list[str] | None = None) -> object:
    """Change one of your own notes.

    Args:
        id: Id of the note.
        text: The new text; left out, it stays.
        tags: The new tags; left out, they stay.
    """
    note = _find(at, id)
    changes: dict[str, Any] = {}
    if text is not None:
        changes["text"] = _checked_text(text)
    if tags is not None:
        changes["tags"] = _checked_tags(tags)
    if not changes:
        raise ToolError("invalid_arguments", "Nothing to change.", expected="text or tags")
    at.table(Note).update(note.id, at=at.now, **changes)
    at.emit(
        "update",
        f"memory://{note.id}",
        owner=at.account,
        fields=tuple(sorted(changes)),
        before=note.text if "text" in changes else None,
        after=changes.get("text"),
        reversible=False,
    )
    return {"id": note.id, "at": at.now}


@kit.tool(effects=["delete"])
def delete(at: Slice, id: str) -> object:
    """Delete one of your own notes.

    Args:
        id: Id of the note.
    """
    note = _find(at, id)
    at.table(Note).delete(note.id)
    at.emit("delete", f"memory://{note.id}", owner=at.account, reversible=False)
    return {"deleted": note.id}


def _listed(at: Slice, rows: builtins.list[Note], page: int) -> object:
    rows.sort(key=lambda note: (note.at, note.id), reverse=True)
    found = paged(rows, page, ROWS)
    shown: builtins.list[Note] = found["items"]
    at.emit(
        "read",
        "memory://",
        owner=at.account,
        fields=("text",),
        count=len(shown),
        covers=merged(f"memory://{note.id}" for note in shown),
    )
    found["items"] = [
        {"id": note.id, "at": note.at, "text": cut_line(note.text, WIDTH), "tags": note.tags} for note in shown
    ]
    return found


def _find(at: Slice, id: str) -> Note:
    note = at.table(Note).get(id.strip())
    if note is None:
        newest = sorted(at.table(Note).values(), key=lambda row: (row.at, row.id), reverse=True)
        raise ToolError("not_found", f"No note {id[:40]}.", offer=[row.id for row in newest])
    return note


def _checked_text(text: str) -> str:
    clean = text.strip()
    if not clean:
        raise ToolError("invalid_arguments", "The note is empty.", expected="some text")
    if len(clean) > NOTE_CAP:
        raise ToolError(
            "too_large", "The note is too long.", expected=f"at most {NOTE_CAP} characters", found=str(len(clean))
        )
    return clean


def _checked_tags(tags: builtins.list[str]) -> tuple[str, ...]:
    names = merged(tag.strip().lower() for tag in tags)
    if len(names) > TAGS_CAP or any(len(name) > 40 for name in names):
        raise ToolError(
            "invalid_arguments", "Too many tags, or too long ones.", expected=f"at most {TAGS_CAP} of 40 characters"
        )
    return names
