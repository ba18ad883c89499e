"""Where a probe is kept: one JSON file that appears whole, and until then a journal beside it, a line an instance.

Promises: an instance handed to `add` survives a kill at any later moment; the JSON file is a finished report or is
not there; what is in either is not measured again. Knows nothing of models or terminals.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from impress_env.errors import OptionError, RunFileError
from impress_env.evaluate.probe import FORMAT, Point, Probed, ProbeReport


class _Head(msgspec.Struct, frozen=True, kw_only=True):
    """What all lines of a journal were measured with."""

    model: str
    template: dict[str, Any]
    format: int = FORMAT


class ProbeFile:
    """A probe's file, opened for one model.

    Args:
        path: The report's place; the journal is PATH.journal.
        model: The model's served name.
        template: Further arguments of its chat template.
        planned: The instances of the plan.

    Raises:
        OptionError: The file holds another model's instances, or ones that the plan has not.
        RunFileError: It cannot be read or written.
    """

    def __init__(self, path: Path, *, model: str, template: dict[str, Any], planned: list[Point]) -> None:
        self._path, self._journal = path, path.with_name(path.name + ".journal")
        self._head = _Head(model=model, template=template)
        found = {row.point: row for row in self._finished()}
        found |= {row.point: row for row in self._noted()}
        beyond = set(found) - set(planned)
        if beyond:
            one = min(beyond, key=str)
            raise OptionError(f"--out {path}: holds {len(beyond)} instances that this plan has not, e.g. {one.family} "
                              f"{one.twin} seed {one.seed}; ask for these too, or give another file")  # fmt: skip
        self.known: tuple[Probed, ...] = tuple(found.values())
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not self._journal.exists():
                self._write(self._journal, msgspec.json.encode(self._head) + b"\n")
            self._lines = self._journal.open("ab")
        except OSError as error:
            raise RunFileError(f"{self._journal}: cannot be written: {error.strerror}") from None

    def add(self, row: Probed) -> None:
        """Keep an instance; it is on disk when this returns.

        Raises:
            RunFileError: It cannot be written.
        """
        try:
            self._lines.write(msgspec.json.encode(row) + b"\n")
            self._lines.flush()
            os.fsync(self._lines.fileno())
        except OSError as error:
            raise RunFileError(f"{self._journal}: cannot be written: {error.strerror}; free some room and run the same "
                               "command again") from None  # fmt: skip

    def finish(self, found: ProbeReport) -> None:
        """Write the report in place of the journal.

        Raises:
            RunFileError: It cannot be written; the journal stays.
        """
        try:
            self._write(self._path, msgspec.json.format(msgspec.json.encode(found)) + b"\n")
        except OSError as error:
            raise RunFileError(f"{self._path}: cannot be written: {error.strerror}") from None
        self.close()
        self._journal.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the journal; it stays."""
        self._lines.close()

    def _finished(self) -> tuple[Probed, ...]:
        """The instances of the report that is there, if one is."""
        if not self._path.exists() or not self._path.stat().st_size:
            return ()
        try:
            found = msgspec.json.decode(self._path.read_bytes(), type=ProbeReport)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise RunFileError(f"{self._path}: expected a probe's report, found something else ({error}); "
                               "give another file") from None  # fmt: skip
        self._check(self._path, _Head(model=found.model, template=found.template, format=found.format))
        return found.instances

    def _noted(self) -> list[Probed]:
        """The instances of the journal that is there, if one is. A last line that was cut off is cut off the file."""
        try:
            content = self._journal.read_bytes() if self._journal.exists() else b""
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                os.truncate(self._journal, whole)
            head, *lines = content[:whole].splitlines() or [b""]
            if not head:
                self._journal.unlink(missing_ok=True)
                return []
            self._check(self._journal, msgspec.json.decode(head, type=_Head))
            return [msgspec.json.decode(line, type=Probed) for line in lines]
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise RunFileError(f"{self._journal}: cannot be read ({error}); move it away to start anew") from None

    def _check(self, path: Path, head: _Head) -> None:
        if head.format > FORMAT:
            raise RunFileError(f"{path}: format {head.format}, expected at most {FORMAT}; update impress-env")
        if (head.model, head.template) != (self._head.model, self._head.template):
            raise OptionError(f"--out {path}: holds {_told(head)}, expected {_told(self._head)}; give another file")

    @staticmethod
    def _write(path: Path, content: bytes) -> None:
        part = path.with_name(path.name + ".part")
        try:
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _told(head: _Head) -> str:
    template = f" with template {msgspec.json.encode(head.template).decode()}" if head.template else ""
    return f"model {head.model}{template}"
