"""A virtual filesystem over the `files` table: normalised absolute paths that cannot leave the root.

Directories exist where files do. Knows nothing of tools; refuses with `ToolError`, since a path comes from a call.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Final

from impress_env.errors import ToolError
from impress_env.world.table import Record
from impress_env.world.world import World, content_hash

TABLE: Final = "files"
MAX_PATH: Final = 512
MAX_PARTS: Final = 32
MAX_BYTES: Final = 256_000
_PLAIN: Final = re.compile(r"(?:/[^/\\\x00-\x1f\x7f]+)+")


class File(Record, frozen=True, kw_only=True):
    """One file: text, owner, labels, octal mode text ("644"), and ISO times."""

    path: str
    text: str
    owner: str = "shared"
    labels: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    mode: str = "644"
    created: str = ""
    modified: str = ""
    modified_by: str = ""
    content_hash: str = ""


def normalise(path: str) -> str:
    """Return an absolute, normalised path.

    Raises:
        ToolError: `invalid_arguments` for an empty path, control characters, `..`, or too many parts.
    """
    if len(path) <= MAX_PATH and "/." not in path and _PLAIN.fullmatch(path) and path.count("/") <= MAX_PARTS:
        return path
    if not path or len(path) > MAX_PATH * 8:
        raise ToolError(
            "invalid_arguments",
            "Not a usable path.",
            expected=f"1 to {MAX_PATH} characters",
            found=f"{len(path)} characters",
        )
    if any(ord(c) < 32 or ord(c) == 127 for c in path):
        raise ToolError("invalid_arguments", "The path holds control characters.", expected="printable text")
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ToolError("invalid_arguments", "Paths are absolute.", expected="a path without '..'", found=path)
    if len(parts) > MAX_PARTS or len(path) > MAX_PATH:
        raise ToolError(
            "invalid_arguments",
            "The path is too long.",
            expected=f"at most {MAX_PARTS} parts and {MAX_PATH} characters",
            found=f"{len(parts)} parts, {len(path)} characters",
        )
    return "/" + "/".join(parts)


class Filesystem:
    """Files of one world, by path."""

    __slots__ = ("_world",)

    def __init__(self, world: World) -> None:
        self._world = world

    def get(self, path: str) -> File:
        """Return a file.

        Raises:
            ToolError: `not_found`, with what lies in the same folder.
        """
        clean = normalise(path)
        found = self._world.typed(TABLE, File).get(clean)
        if found is None:
            folder = clean.rpartition("/")[0] or "/"
            raise ToolError("not_found", f"No such file: {clean}", offer=self.names(folder))
        return found

    def names(self, folder: str) -> list[str]:
        """Return the paths directly in a folder; sub-folders end in "/"."""
        prefix = folder.rstrip("/") + "/"
        seen: dict[str, None] = {}
        for path in self._world.typed(TABLE, File):
            if path.startswith(prefix):
                name, slash, _ = path[len(prefix) :].partition("/")
                seen[prefix + name + slash] = None
        return list(seen)

    def under(self, folder: str, pattern: str = "*") -> list[File]:
        """Return the files below a folder whose name or path matches a glob, in path order."""
        prefix = normalise(folder).rstrip("/") + "/"
        return [
            file
            for path, file in self._world.typed(TABLE, File).items()
            if path.startswith(prefix) and (fnmatchcase(path, pattern) or fnmatchcase(path.rpartition("/")[2], pattern))
        ]

    def write(self, path: str, text: str, *, by: str, labels: tuple[str, ...] | None = None) -> File:
        """Create or replace a file.

        Raises:
            ToolError: `forbidden` where the mode forbids it, `too_large` over 256,000 characters, `conflict` on
                a folder or below a file.
        """
        clean = normalise(path)
        if len(text) > MAX_BYTES:
            raise ToolError(
                "too_large", "The file is too large.", expected=f"at most {MAX_BYTES}", found=str(len(text))
            )
        table = self._world.typed(TABLE, File)
        old = table.get(clean)
        if clean == "/" or (old is None and self.names(clean)):
            raise ToolError("conflict", f"{clean} is a folder.", expected="the path of a file")
        above = clean.rpartition("/")[0]
        while old is None and above:
            if above in table:
                raise ToolError("conflict", f"{above} is a file.", expected="a path through folders")
            above = above.rpartition("/")[0]
        if old is not None and old.mode.startswith("4"):
            raise ToolError("forbidden", f"{clean} is read-only (mode {old.mode}).")
        now = self._world.now
        file = File(
            path=clean,
            text=text,
            owner=old.owner if old else by,
            labels=labels if labels is not None else (old.labels if old else ()),
            purposes=old.purposes if old else (),
            mode=old.mode if old else "644",
            created=old.created if old else now,
            modified=now,
            modified_by=by,
            content_hash=content_hash(text),
        )
        table.put(clean, file)
        return file

    def delete(self, path: str) -> File:
        """Remove a file and return it.

        Raises:
            ToolError: `not_found`, or `forbidden` where the mode forbids it.
        """
        file = self.get(path)
        if file.mode.startswith("4"):
            raise ToolError("forbidden", f"{file.path} is read-only (mode {file.mode}).")
        self._world.typed(TABLE, File).delete(file.path)
        return file
