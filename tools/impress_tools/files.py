"""Files: the shared drive. Text files in folders: listed, searched, read in parts, written, moved and deleted.

They live in the core's table `files`; a folder exists where files do. Modes are enforced: "444" cannot be written,
and "640" is read by its owner alone. There is no version history: replacing and deleting cannot be undone.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from pydantic import Field, field_validator, model_validator

from impress_env.clock import iso
from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit, paged
from impress_env.world.filesystem import MAX_BYTES, File, normalise
from impress_env.world.world import content_hash
from impress_tools._common import chunk, cut_line, file_uri, merged, moment, readable, readable_file

AT_ONCE = 5_000  # characters that fit into one output with every other one escaped

ROWS = 50
MATCHES = 40
LINE_WIDTH = 240
PASSAGE = 500  # characters of a replaced passage that its effect keeps
PATTERN_CAP = 200
Match = Literal["text", "words", "wildcard"]


class FileSeed(Seed):
    """A file in a scenario file. Without `at` it was last changed at some working hour of the last half year."""

    path: str
    text: str
    owner: str = "shared"
    labels: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    mode: Annotated[str, Field(pattern=r"^[0-7]{3}$")] = "644"
    at: str = ""
    created: str = ""

    @field_validator("path")
    @classmethod
    def _path(cls, path: str) -> str:
        try:
            clean = normalise(path)
        except ToolError as error:
            raise ValueError(f"{error.message} Expected {error.expected}, found {path!r}.") from None
        if clean != path or clean == "/":
            raise ValueError(f"expected an absolute, normalised path of a file, found {path!r}")
        return path

    @field_validator("text")
    @classmethod
    def _text(cls, text: str) -> str:
        if len(text) > MAX_BYTES:
            raise ValueError(f"expected at most {MAX_BYTES} characters, found {len(text)}")
        return text


class FilesSeed(Seed):
    """Section `files:`, a list of files."""

    items: tuple[FileSeed, ...] = ()

    @model_validator(mode="after")
    def _distinct(self) -> FilesSeed:
        paths: dict[str, None] = {}
        for entry in self.items:
            if entry.path in paths:
                raise ValueError(f"two files have the path {entry.path}; paths are distinct")
            paths[entry.path] = None
        for path in paths:
            above = _file_above(path, paths)
            if above is not None:
                raise ValueError(f"{above} is a file, and {path} lies below it; name one of them otherwise")
        return self


def build(seed: FilesSeed, make: Build) -> None:
    """Put the files."""
    for entry in seed.items:
        changed = make.time(entry.at) if entry.at else _some_moment(make, entry.path)
        make.put(
            entry.path,
            File(
                path=entry.path,
                text=entry.text,
                owner=entry.owner,
                labels=merged(entry.labels),
                purposes=merged(entry.purposes),
                mode=entry.mode,
                created=make.time(entry.created) if entry.created else changed,
                modified=changed,
                modified_by=entry.owner,
                content_hash=content_hash(entry.text),
            ),
        )


def _some_moment(make: Build, path: str) -> str:
    draw = make.stream(f"changed:{path}")
    day = make.now - make.now % 1440 - draw.randint(4, 180) * 1440
    return iso(day + draw.randint(8 * 60, 18 * 60))


kit = Toolkit("files", title="Shared drive", seed=FilesSeed, tables={"files": File}, build=build)


@kit.tool(effects=["read"])
def list(at: Slice, folder: str = "/", page: int = 1) -> object:
    """List a folder: its sub-folders with the number of files below them, and its files.

    Args:
        folder: Path of the folder, for instance "/handbook".
        page: Page number, 50 entries a page.
    """
    clean = normalise(folder)
    names = at.files.names(clean)
    table = at.table(File)
    if not names:
        if clean in table:
            raise ToolError("conflict", f"{clean} is a file.", expected="a folder", offer=[clean])
        if clean != "/":
            raise _no_folder(at, clean)
    found = paged(names, page, ROWS)
    shown: builtins.list[str] = found["items"]
    at.emit(
        "read",
        file_uri(clean),
        fields=("path",),
        count=len(shown),
        covers=merged(file_uri(name) for name in shown if not name.endswith("/")),
    )
    found["items"] = [
        {"folder": name, "files": len(at.files.under(name))} if name.endswith("/") else _row(table[name])
        for name in shown
    ]
    return {"folder": clean, **found}


@kit.tool(effects=["read"])
def find(
    at: Slice, pattern: str, folder: str = "/", modified_since: str = "", owner: str = "", page: int = 1
) -> object:
    """Find files by name or path below a folder.

    Args:
        pattern: Glob over the file name or the whole path, for instance "*.csv" or "/handbook/*policy*".
        folder: Folder to look below.
        modified_since: Only files changed at or after this time, "2026-11-19" or "2026-11-19T14:23".
        owner: Only files of this owner.
        page: Page number, 50 files a page.
    """
    _short_enough(pattern)
    since = moment(at, modified_since, "modified_since") if modified_since else ""
    if normalise(folder) != "/" and not at.files.names(normalise(folder)):
        raise _no_folder(at, normalise(folder))
    rows = [
        file
        for file in at.files.under(folder, pattern)
        if file.modified >= since and (not owner or file.owner == owner)
    ]
    found = paged(rows, page, ROWS)
    shown: builtins.list[File] = found["items"]
    at.emit(
        "read",
        file_uri(normalise(folder)),
        fields=("path",),
        count=len(shown),
        covers=merged(file_uri(file.path) for file in shown),
    )
    found["items"] = [_row(file) for file in shown]
    return found


@kit.tool(effects=["read"])
def grep(
    at: Slice,
    text: str,
    folder: str = "/",
    glob: str = "*",
    match: Match = "text",
    ignore_case: bool = True,
    context: int = 0,
    page: int = 1,
) -> object:
    """Search the lines of files below a folder.

    Args:
        text: What to look for.
        folder: Folder to look below, or the path of one file.
        glob: Only files whose name or path matches this glob.
        match: "text" finds the text as it is, "words" lines with all its words in any order, "wildcard" takes
            * for any characters within a line.
        ignore_case: Whether upper and lower case are the same.
        context: Lines to show before and after each match, 0 to 5.
        page: Page number, 40 matches a page, fewer with context.
    """
    _short_enough(glob)
    _short_enough(text)
    if not text.strip():
        raise ToolError("invalid_arguments", "Nothing to look for.", expected="some text")
    if not 0 <= context <= 5:
        raise ToolError("invalid_arguments", "context is out of range.", expected="0 to 5", found=str(context))
    clean = normalise(folder)
    single = at.table(File).get(clean)
    files = [single] if single is not None else at.files.under(clean, glob)
    if single is None and clean != "/" and not at.files.names(clean):
        raise _no_folder(at, clean)
    denied = [file.path for file in files if not readable(file, at.account)]
    hits: builtins.list[tuple[File, int]] = []
    for file in files:
        if readable(file, at.account):
            hits += [(file, number) for number in _matching_lines(file.text, text, match, ignore_case)]
    found = paged(hits, page, max(6, MATCHES // (1 + 2 * context)))
    shown: builtins.list[tuple[File, int]] = found["items"]
    seen = {file.path: file for file, _ in shown}
    at.emit(
        "read",
        file_uri(clean),
        fields=("text",),
        count=len(shown),
        covers=merged(file_uri(path) for path in seen),
        labels=merged(*(file.labels for file in seen.values())),
        purposes=merged(*(file.purposes for file in seen.values())),
        data={"pattern": text},
    )
    lines = {path: file.text.split("\n") for path, file in seen.items()}
    found["items"] = [_hit(file.path, lines[file.path], number, context) for file, number in shown]
    if denied:
        found["permission_denied"] = denied[:10]
    return found


@kit.tool(effects=["read"])
def read(at: Slice, path: str, line: int = 1, lines: int = 300, offset: int | None = None) -> object:
    """Read a text file, or a part of a long one.

    Args:
        path: Path of the file.
        line: First line to read, counted from 1.
        lines: How many lines to read at most, 1 to 2000. Fewer come back where they would not fit.
        offset: Character to start at instead of a line, as `next_offset` gave it.
    """
    file = readable_file(at, path)
    total = file.text.count("\n") + (bool(file.text) and not file.text.endswith("\n"))
    if not 1 <= lines <= 2000:
        raise ToolError("invalid_arguments", "lines is out of range.", expected="1 to 2000", found=str(lines))
    if (
        line == 1 and offset is None and total <= lines and len(file.text) <= AT_ONCE and _fits(file.text)
    ):  # as most files are read
        _emit_read(at, file, count=total, data={"whole": True})
        return {"path": file.path, "owner": file.owner, "modified": file.modified, "text": file.text}
    start = _line_start(file.text, line, total) if offset is None else offset
    if not 0 <= start <= len(file.text):
        raise ToolError(
            "invalid_arguments", "offset is out of range.", expected=f"0 to {len(file.text)}", found=str(offset)
        )
    piece = _whole_lines(file.text, start, lines)
    end = start + len(piece)
    first = file.text.count("\n", 0, start) + 1
    last = max(first, file.text.count("\n", 0, end) + (not piece.endswith("\n")))
    whole = start == 0 and end == len(file.text)
    _emit_read(
        at,
        file,
        count=last - first + 1 if piece else 0,
        data={"whole": whole} if whole else {"whole": whole, "first_line": first, "last_line": last},
    )
    result: dict[str, object] = {"path": file.path, "owner": file.owner, "modified": file.modified, "text": piece}
    if not whole:
        result |= {"first_line": first, "last_line": last, "lines": total, "characters": len(file.text)}
        if end < len(file.text):
            result["next_offset"] = end
            if piece.endswith("\n"):
                result["next_line"] = last + 1
    return result


def _fits(text: str) -> bool:
    return len(msgspec.json.encode(text)) <= 2 * AT_ONCE


def _emit_read(at: Slice, file: File, *, count: int, data: dict[str, Any]) -> None:
    at.emit(
        "read",
        file_uri(file.path),
        owner=file.owner,
        labels=file.labels,
        purposes=file.purposes,
        fields=("text",),
        count=count,
        data=data,
    )


@kit.tool(effects=["create", "update"])
def write(at: Slice, path: str, text: str) -> object:
    """Create a text file, or replace what an existing one holds.

    Args:
        path: Path of the file.
        text: The whole new content.
    """
    old, file = _put(at, path, text)
    if old is None:
        _emit_create(at, file)
    else:
        _emit_update(at, old, file, reversible=False)
    return {"path": file.path, "created": old is None, "characters": len(text), "modified": file.modified}


@kit.tool(effects=["create", "update"])
def append(at: Slice, path: str, text: str) -> object:
    """Add text at the end of a file, on a line of its own; creates the file where there is none.

    Args:
        path: Path of the file.
        text: The text to add.
    """
    present = at.table(File).get(normalise(path))
    before = present.text if present is not None else ""
    gap = "\n" if before and not before.endswith("\n") else ""
    old, file = _put(at, path, f"{before}{gap}{text}")
    if old is None:
        _emit_create(at, file)
    else:
        _emit_update(at, old, file, reversible=True)
    return {"path": file.path, "created": old is None, "characters": len(file.text), "modified": file.modified}


@kit.tool(effects=["update"])
def edit(at: Slice, path: str, old: str, new: str, all: bool = False) -> object:
    """Replace a passage of a file by another.

    Args:
        path: Path of the file.
        old: The passage as it stands in the file, line breaks included.
        new: What takes its place; empty removes it.
        all: Whether to replace every occurrence; otherwise the passage must occur once.
    """
    before = readable_file(at, path)
    count = before.text.count(old) if old else 0
    if count == 0:
        raise ToolError(
            "not_found", f"{before.path} does not hold that passage.", expected="text exactly as in the file"
        )
    if count > 1 and not all:
        raise ToolError("conflict", "The passage occurs more than once.", expected="1 occurrence", found=str(count))
    _, file = _put(at, before.path, before.text.replace(old, new))
    _emit_update(at, before, file, reversible=True, before=old[:PASSAGE], after=new[:PASSAGE])
    return {"path": file.path, "replaced": count, "modified": file.modified}


@kit.tool(effects=["read", "create", "update"])
def copy(at: Slice, source: str, target: str, overwrite: bool = False) -> object:
    """Copy a file.

    Args:
        source: Path of the file to copy.
        target: Path of the copy; a path that ends in "/" keeps the file's name.
        overwrite: Whether an existing file may be replaced.
    """
    file = readable_file(at, source)
    path = _target(file.path, target)
    _free(at, path, overwrite)
    if path == file.path:
        raise ToolError("conflict", "Source and target are the same file.", found=path)
    old, new = _put(at, path, file.text)
    new = at.table(File).update(path, labels=file.labels, purposes=file.purposes)
    at.emit(
        "read",
        file_uri(file.path),
        owner=file.owner,
        labels=file.labels,
        purposes=file.purposes,
        fields=("text",),
        data={"whole": True},
    )
    if old is None:
        _emit_create(at, new, refs=(file_uri(file.path),))
    else:
        _emit_update(at, old, new, reversible=False, refs=(file_uri(file.path),))
    return {"path": path, "created": old is None, "characters": len(new.text)}


@kit.tool(effects=["update", "delete"])
def move(at: Slice, source: str, target: str, overwrite: bool = False) -> object:
    """Move or rename a file or a whole folder.

    Args:
        source: Path of the file or folder.
        target: New path; a path that ends in "/" keeps the name.
        overwrite: Whether existing files may be replaced.
    """
    clean = normalise(source)
    files = _files_at(at, clean)
    goal = _target(clean, target)
    if goal == clean or goal.startswith(clean + "/"):
        raise ToolError("conflict", "The target lies within what is moved.", expected="another place", found=goal)
    table = at.table(File)
    moves = [(file, goal + file.path[len(clean) :]) for file in files]
    for file, path in moves:
        normalise(path)
        _writable(at, file)
        _free(at, path, overwrite)
    for file, path in moves:
        lost = table.get(path)
        if lost is not None:
            _writable(at, lost)
            at.emit(
                "delete", file_uri(path), owner=lost.owner, labels=lost.labels, reversible=False, reason="overwritten"
            )
        table.delete(file.path)
        table.put(path, msgspec.structs.replace(file, path=path))
        at.emit(
            "update",
            file_uri(file.path),
            owner=file.owner,
            labels=file.labels,
            fields=("path",),
            before=file.path,
            after=path,
            covers=(file_uri(path),),
            reversible=lost is None,
        )
    return {"moved": len(moves), "from": clean, "to": goal}


@kit.tool(effects=["delete"])
def delete(at: Slice, path: str, recursive: bool = False) -> object:
    """Delete a file, or a folder with all that it holds. Nothing is kept in a bin.

    Args:
        path: Path of the file or folder.
        recursive: Must be true to delete a folder.
    """
    clean = normalise(path)
    files = _files_at(at, clean)
    single = len(files) == 1 and files[0].path == clean
    if not single and not recursive:
        raise ToolError(
            "conflict",
            f"{clean} is a folder.",
            expected="recursive=true, or the path of a file",
            found=f"{len(files)} files",
        )
    for file in files:
        _writable(at, file)
        at.files.delete(file.path)
    at.emit(
        "delete",
        file_uri(clean),
        owner=files[0].owner if single else "",
        labels=merged(*(file.labels for file in files)),
        purposes=merged(*(file.purposes for file in files)),
        reversible=False,
        count=len(files),
        covers=() if single else tuple(file_uri(file.path) for file in files),
    )
    return {"deleted": len(files), "path": clean}


def _row(file: File) -> dict[str, Any]:
    return {
        "path": file.path,
        "characters": len(file.text),
        "owner": file.owner,
        "mode": file.mode,
        "modified": file.modified,
    }


def _hit(path: str, lines: Sequence[str], number: int, context: int) -> dict[str, Any]:
    row: dict[str, Any] = {"path": path, "line": number, "text": cut_line(lines[number - 1], LINE_WIDTH)}
    if context:
        row["before"] = [cut_line(line, LINE_WIDTH) for line in lines[max(0, number - 1 - context) : number - 1]]
        row["after"] = [cut_line(line, LINE_WIDTH) for line in lines[number : number + context]]
    return row


def _matching_lines(text: str, wanted: str, match: Match, ignore_case: bool) -> builtins.list[int]:
    """Return the numbers of matching lines. Linear in the text, whatever is looked for."""
    if ignore_case:
        text, wanted = text.lower(), wanted.lower()
    parts = {"text": [wanted], "words": wanted.split(), "wildcard": wanted.split("*")}[match]
    parts = [part for part in parts if part]
    if any(part not in text for part in parts):
        return []
    holds = _in_order if match == "wildcard" else _holds_all
    return [number for number, line in enumerate(text.split("\n"), 1) if holds(line, parts)]


def _holds_all(line: str, parts: Sequence[str]) -> bool:
    return all(part in line for part in parts)


def _in_order(line: str, parts: Sequence[str]) -> bool:
    place = 0
    for part in parts:
        found = line.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return True


def _line_start(text: str, line: int, total: int) -> int:
    if not 1 <= line <= max(1, total):
        raise ToolError("invalid_arguments", "line is out of range.", expected=f"1 to {max(1, total)}", found=str(line))
    place = 0
    for _ in range(line - 1):
        place = text.index("\n", place) + 1
    return place


def _whole_lines(text: str, start: int, lines: int) -> str:
    """Return at most so many lines from a place, cut at a line's end where the result would be too long."""
    end = start
    for _ in range(lines):
        stop = text.find("\n", end)
        if stop < 0:
            end = len(text)
            break
        end = stop + 1
    piece = chunk(text, start)
    if len(piece) >= end - start:
        return text[start:end]
    return piece[: piece.rfind("\n") + 1] or piece


def _put(at: Slice, path: str, text: str) -> tuple[File | None, File]:
    """Write a file and return what was there and what is."""
    clean = normalise(path)
    old = at.table(File).get(clean)
    if old is not None:
        _writable(at, old)
    else:
        above = _file_above(clean, at.table(File))
        if above is not None:
            raise ToolError("conflict", f"{above} is a file, not a folder.", expected="a path below a folder")
    return old, at.files.write(clean, text, by=at.account)


def _emit_create(at: Slice, file: File, refs: tuple[str, ...] = ()) -> None:
    at.emit(
        "create",
        file_uri(file.path),
        owner=file.owner,
        labels=file.labels,
        purposes=file.purposes,
        refs=refs,
        data={"characters": len(file.text)},
    )


def _emit_update(
    at: Slice,
    old: File,
    new: File,
    *,
    reversible: bool,
    refs: tuple[str, ...] = (),
    before: str | None = None,
    after: str | None = None,
) -> None:
    at.emit(
        "update",
        file_uri(new.path),
        owner=old.owner,
        labels=merged(old.labels, new.labels),
        purposes=merged(old.purposes, new.purposes),
        fields=("text",),
        reversible=reversible,
        refs=refs,
        before=before,
        after=after,
        data={"characters_before": len(old.text), "characters": len(new.text)},
    )


def _files_at(at: Slice, clean: str) -> builtins.list[File]:
    """Return the file at a path, or all files below the folder there."""
    file = at.table(File).get(clean)
    if file is not None:
        return [file]
    if clean == "/":
        raise ToolError("forbidden", "The root folder stays where it is.", expected="a file or a folder in it")
    below = at.files.under(clean)
    if not below:
        at.files.get(clean)
    return below


def _writable(at: Slice, file: File) -> None:
    if not readable(file, at.account) or file.mode.startswith(("4", "5")):
        raise ToolError("forbidden", f"{file.path}: permission denied (owner {file.owner}, mode {file.mode}).")


def _target(source: str, target: str) -> str:
    name = source.rpartition("/")[2]
    return normalise(f"{target}{name}" if target.endswith("/") else target)


def _free(at: Slice, path: str, overwrite: bool) -> None:
    table = at.table(File)
    if path in table and not overwrite:
        raise ToolError("conflict", f"{path} exists already.", expected="another path, or overwrite=true")
    above = _file_above(path, table)
    if path == "/" or above is not None or (path not in table and at.files.names(path)):
        raise ToolError("conflict", f"{above or path} is in the way.", expected="a free path below a folder")


def _file_above(path: str, paths: Any) -> str | None:
    parts = path.split("/")
    for size in range(2, len(parts)):
        above = "/".join(parts[:size])
        if above in paths:
            return above
    return None


def _no_folder(at: Slice, clean: str) -> ToolError:
    folder = clean
    while folder and not at.files.names(folder or "/"):
        folder = folder.rpartition("/")[0]
    return ToolError("not_found", f"No such folder: {clean}", offer=at.files.names(folder or "/"))


def _short_enough(pattern: str) -> None:
    if len(pattern) > PATTERN_CAP:
        raise ToolError("too_large", "The pattern is too long.", expected=f"at most {PATTERN_CAP} characters")
