"""Copy-on-write tables of frozen records, the one place where an episode's state lives.

A table is a base that all episodes of an instance share and a delta of what this episode changed. Rows are
iterated in key order whatever their history was, so a world restored from JSON behaves as the one that was saved.
Writes are only possible inside a transaction of the owning world. Knows nothing of what the records mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Generic, TypeVar

import msgspec

from impress_env.errors import WorldError


class Record(msgspec.Struct, frozen=True):
    """Base of every record: a frozen struct of text, integers, booleans, None, tuples and nested records.

    No floats: amounts are integer minor units, measurements integer tenths and so on.
    """


R = TypeVar("R", bound=Record)
Undo = list[tuple[str, str, "Record | Absent | None"]]


class Absent:
    """The type of the mark that says that a delta had no entry for a key."""

    __slots__ = ()


ABSENT: Final = Absent()


class Journal:
    """What the tables of one world share: the undo log of the open transaction, if any."""

    __slots__ = ("tables", "undo", "version")

    def __init__(self) -> None:
        self.undo: Undo | None = None
        self.version = 0  # counts every write and roll-back; derived caches compare it
        self.tables: dict[str, int] = {}  # the version at which each table was last touched


class Table(Generic[R]):
    """One table of one world. Keys are text; values are frozen records of one type."""

    __slots__ = ("_base", "_delta", "_journal", "name", "record")

    def __init__(
        self,
        name: str,
        record: type[R],
        base: dict[str, R],
        delta: dict[str, R | None],
        journal: Journal,
    ) -> None:
        self.name, self.record = name, record
        self._base, self._delta, self._journal = base, delta, journal

    def get(self, key: str) -> R | None:
        """Return the record under `key`, or None."""
        delta = self._delta
        if key in delta:
            return delta[key]
        return self._base.get(key)

    def __getitem__(self, key: str) -> R:
        found = self.get(key)
        if found is None:
            raise KeyError(key)
        return found

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.get(key) is not None

    def keys(self) -> list[str]:
        """Return all keys in order."""
        base, delta = self._base, self._delta
        if not delta:
            return list(base)
        merged = [key for key in base if key not in delta or delta[key] is not None]
        added = [key for key, row in delta.items() if row is not None and key not in base]
        if added:
            merged += added
            merged.sort()
        return merged

    def first(self) -> str | None:
        """Return the first key, or None where the table is empty. Linear in what changed, not sorted."""
        base, delta = self._base, self._delta
        if not delta:
            return next(iter(base), None)
        kept = next((key for key in base if delta.get(key, ABSENT) is not None), None)
        added = min((key for key, row in delta.items() if row is not None), default=None)
        return kept if added is None or (kept is not None and kept < added) else added

    def values(self) -> list[R]:
        """Return all records in key order."""
        base, delta = self._base, self._delta
        if not delta:
            return list(base.values())
        return [delta[key] or base[key] if key in delta else base[key] for key in self.keys()]

    def items(self) -> list[tuple[str, R]]:
        """Return all (key, record) pairs in key order."""
        return list(zip(self.keys(), self.values(), strict=True))

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self._base) if not self._delta else len(self.keys())

    def where(self, **equal: object) -> list[R]:
        """Return the records whose fields equal all the given values, in key order."""
        return [row for row in self.values() if all(getattr(row, k) == v for k, v in equal.items())]

    def put(self, key: str, record: R) -> None:
        """Insert or replace a record.

        Raises:
            WorldError: No transaction is open, or the record has another type.
        """
        if not isinstance(record, self.record):
            raise WorldError(
                f"table {self.name!r} holds {self.record.__name__}, found {type(record).__name__} for key {key!r}"
            )
        self._write(key, record)

    def update(self, key: str, **changes: object) -> R:
        """Replace fields of a record and return the new record.

        Raises:
            KeyError: There is no such record.
            WorldError: No transaction is open.
        """
        changed = msgspec.structs.replace(self[key], **changes)
        self._write(key, changed)
        return changed

    def delete(self, key: str) -> None:
        """Remove a record.

        Raises:
            KeyError: There is no such record.
            WorldError: No transaction is open.
        """
        if self.get(key) is None:
            raise KeyError(key)
        self._write(key, None)

    def _write(self, key: str, record: R | None) -> None:
        journal = self._journal
        if journal.undo is None:
            raise WorldError(f"write to table {self.name!r} outside a transaction; open one with world.begin()")
        delta = self._delta
        journal.undo.append((self.name, key, delta.get(key, ABSENT)))
        journal.version += 1
        journal.tables[self.name] = journal.version
        if record is None and key not in self._base:
            del delta[key]  # came and went: the delta stays as small as the difference
        else:
            delta[key] = record
