"""The world of one episode, and the base that all episodes of an instance share.

Promises: a rolled-back transaction leaves the world byte-identical; `snapshot`, `restore` and `fork` cost what
changed, not what exists; the digest of a step depends on nothing but the last digest, the clock and the changed
records; the state goes to canonical JSON and back. Knows nothing of tools, oracles or agents.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Annotated, Any, Final, TypeVar, cast

import msgspec

from impress_env.clock import iso
from impress_env.effects import Effect
from impress_env.errors import WorldError
from impress_env.world.table import ABSENT, Journal, Record, Table

R = TypeVar("R", bound=Record)
Changes = dict[tuple[str, str], tuple[Record | None, Record | None]]
FORMAT: Final = 1
INLINE_LIMIT: Final = 4096
_ENCODER = msgspec.json.Encoder(order="deterministic")


class Counter(Record, frozen=True):
    """The last number given out under a prefix."""

    value: int


class Event(Record, frozen=True, kw_only=True):
    """Something that will happen: a kind that some handler answers for, and its payload."""

    due: int
    kind: str
    payload: dict[str, Any]


class Notice(msgspec.Struct, frozen=True):
    """What the agent is told happened meanwhile: the app it came from, the time, one line of text."""

    source: str
    time: str
    text: str


CORE_TABLES: Final[dict[str, type[Record]]] = {"ids": Counter, "schedule": Event}


class Base:
    """The built, shared and never changed state of an instance.

    Args:
        records: The record type of every table.
        rows: table -> key -> record; keys need not be sorted.
        clock: Start, minutes since 1970.
        digest: Hex digest that the chain starts from (the instance's content hash).
        account: The agent's account name as apps show it.
        history: Effects of what happened before the episode, at step 0.
    """

    __slots__ = ("account", "clock", "digest", "history", "records", "rows")

    def __init__(
        self,
        *,
        records: Mapping[str, type[Record]],
        rows: Mapping[str, Mapping[str, Record]],
        clock: int,
        digest: str,
        account: str = "agent",
        history: tuple[Effect, ...] = (),
    ) -> None:
        self.records: dict[str, type[Record]] = {**CORE_TABLES, **records}
        self.rows: dict[str, dict[str, Record]] = {
            name: dict(sorted(rows.get(name, {}).items())) for name in self.records
        }
        unknown = [name for name in rows if name not in self.records]
        if unknown:
            raise WorldError(f"rows given for unknown tables {unknown}; declared: {sorted(self.records)}")
        self.clock, self.digest, self.account, self.history = clock, digest, account, history


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """A world's changed part at one moment. Belongs to the base it was taken over."""

    deltas: dict[str, dict[str, Record | None]]
    clock: int
    digest: bytes
    notices: tuple[Notice, ...]


class World:
    """One episode's state over a shared base."""

    __slots__ = (
        "_deltas",
        "_digest",
        "_journal",
        "_next_event",
        "_opened_at",
        "_tables",
        "actor",
        "base",
        "cache",
        "clock",
        "effects",
        "notices",
        "step",
        "tool",
    )

    def __init__(self, base: Base) -> None:
        self.base = base
        self.clock = base.clock
        self._digest = bytes.fromhex(base.digest)
        self.notices: list[Notice] = []
        self.effects: list[Effect] = []  # of the open transaction
        self.actor = self.tool = ""
        self.step = 0
        self.cache: dict[str, object] = {}  # derived values (an open SQLite engine); dropped at will
        self._deltas: dict[str, dict[str, Record | None]] = {}
        self._tables: dict[str, Table[Any]] = {}
        self._journal = Journal()
        self._opened_at: tuple[int, int] | None = None
        self._next_event: tuple[int, tuple[str, Event] | None] = (-1, None)

    # ---- state

    @property
    def now(self) -> str:
        """The simulated time, "YYYY-MM-DDTHH:MM"."""
        return iso(self.clock)

    @property
    def digest(self) -> str:
        """The digest chain's last link, hex: of everything that changed since the start, and when."""
        return self._digest.hex()

    @property
    def version(self) -> int:
        """Moves with every write and roll-back; derived caches compare it."""
        return self._journal.version

    def versions(self, tables: tuple[str, ...]) -> tuple[int, ...]:
        """Return when each of these tables was last touched, for caches that rest on them."""
        touched = self._journal.tables
        return tuple([touched.get(name, 0) for name in tables])

    def table(self, name: str) -> Table[Any]:
        """Return a table by name.

        Raises:
            WorldError: No toolkit of this world declares it.
        """
        found = self._tables.get(name)
        if found is None:
            record = self.base.records.get(name)
            if record is None:
                raise WorldError(f"no table {name!r} in this world; declared: {sorted(self.base.records)}")
            delta = self._deltas.get(name)
            if delta is None:
                delta = self._deltas[name] = {}
            found = self._tables[name] = Table(name, record, self.base.rows[name], delta, self._journal)
        return found

    def typed(self, name: str, record: type[R]) -> Table[R]:
        """Return a table by name, typed by its record."""
        found = self._tables.get(name)
        return cast("Table[R]", found if found is not None else self.table(name))

    def rows(self, table: str) -> list[Record]:
        """Return a table's records in key order (the `Lookup` protocol of conditions)."""
        return self.table(table).values()

    def row(self, table: str, key: str) -> Record | None:
        """Return one record or None (the `Lookup` protocol of conditions)."""
        return cast("Record | None", self.table(table).get(key))

    def next_id(self, prefix: str, *, width: int = 4, start: int = 1) -> str:
        """Return a new id such as "RUN-0042" and count it."""
        ids = self.typed("ids", Counter)
        last = ids.get(prefix)
        value = start if last is None else last.value + 1
        ids.put(prefix, Counter(value))
        return f"{prefix}{value:0{width}d}"

    # ---- transactions

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._journal.undo is not None

    def begin(self, *, actor: str, step: int, tool: str = "") -> None:
        """Open a transaction.

        Raises:
            WorldError: One is open already.
        """
        if self._journal.undo is not None:
            raise WorldError("a transaction is already open; commit or roll it back first")
        self._journal.undo = []
        self._opened_at = (self.clock, len(self.notices))
        self.effects = []
        self.actor, self.step, self.tool = actor, step, tool

    def commit(self) -> Changes:
        """Close the transaction, keep its writes, move the digest, and return what changed.

        Raises:
            WorldError: None is open.
        """
        changes = self.changes()
        self._journal.undo = None
        self._opened_at = None
        if changes:
            self._chain(changes)
        return changes

    def rollback(self) -> None:
        """Close the transaction and undo everything that it did.

        Raises:
            WorldError: None is open.
        """
        undo = self._journal.undo
        if undo is None or self._opened_at is None:
            raise WorldError("no transaction is open")
        journal = self._journal
        journal.version += 1
        for name, key, before in reversed(undo):
            journal.tables[name] = journal.version
            delta = self._deltas[name]
            if before is ABSENT:
                delta.pop(key, None)
            else:
                delta[key] = cast("Record | None", before)
        journal.undo = None
        self.clock, notices = self._opened_at
        del self.notices[notices:]
        self.effects = []
        self._opened_at = None

    def changes(self) -> Changes:
        """Return what the open transaction changed: (table, key) -> (before, after), sorted; None is absence.

        Raises:
            WorldError: None is open.
        """
        undo = self._journal.undo
        if undo is None:
            raise WorldError("no transaction is open")
        if not undo:
            return {}
        first: Changes = {}
        for name, key, before in undo:
            if (name, key) not in first:
                old = self.base.rows[name].get(key) if before is ABSENT else cast("Record | None", before)
                new = self._deltas[name].get(key)
                if old != new:
                    first[name, key] = (old, new)
                else:
                    first[name, key] = (None, None)
        return {at: pair for at, pair in sorted(first.items()) if pair != (None, None)}

    def emit(self, effect: Effect) -> None:
        """Record an effect of the open transaction."""
        self.effects.append(effect)

    def notify(self, source: str, text: str) -> None:
        """Tell the agent, with its next observation, that something happened."""
        self.notices.append(Notice(source, iso(self.clock), text))

    def take_notices(self) -> tuple[Notice, ...]:
        """Return and clear the notices that wait for the next observation."""
        if not self.notices:
            return ()
        taken = tuple(self.notices)
        self.notices = []
        return taken

    # ---- time

    def schedule(self, due: int, kind: str, payload: Mapping[str, Any]) -> str:
        """Plan an event and return its key. `due` is in minutes since 1970 and at least the present."""
        table = self.typed("schedule", Event)
        number = self.next_id("event:", width=6)
        key = f"{iso(max(due, self.clock))}|{number}"
        table.put(key, Event(due=max(due, self.clock), kind=kind, payload=dict(payload)))
        return key

    def next_due(self, until: int) -> tuple[str, Event] | None:
        """Return the earliest event due at or before `until`, or None."""
        version = self._journal.tables.get("schedule", 0)
        if version != self._next_event[0]:
            table = self.typed("schedule", Event)
            key = table.first()
            self._next_event = (version, None if key is None else (key, table[key]))
        found = self._next_event[1]
        return found if found is not None and found[1].due <= until else None

    def move_clock(self, to: int) -> None:
        """Set the clock forward and move the digest if the time changed.

        Raises:
            WorldError: The time lies in the past, or a transaction is open.
        """
        if to < self.clock or self._journal.undo is not None:
            raise WorldError("the clock moves forward, between transactions")
        if to != self.clock:
            self.clock = to
            self._chain({})

    # ---- snapshot, fork

    def snapshot(self) -> Snapshot:
        """Return the changed part of the state.

        Raises:
            WorldError: A transaction is open.
        """
        if self._journal.undo is not None:
            raise WorldError("no snapshot or fork while a proposal is open; settle it first")
        deltas = {name: delta.copy() for name, delta in self._deltas.items() if delta}
        return Snapshot(deltas, self.clock, self._digest, tuple(self.notices))

    def restore(self, snapshot: Snapshot) -> None:
        """Put the state back to a snapshot taken over the same base.

        Raises:
            WorldError: A transaction is open.
        """
        if self._journal.undo is not None:
            raise WorldError("no restore while a proposal is open; settle it first")
        self._deltas = {name: delta.copy() for name, delta in snapshot.deltas.items()}
        self._tables = {}
        self._journal.version += 1
        self._journal.tables = dict.fromkeys(self.base.rows, self._journal.version)
        self.cache = {}
        self.clock, self._digest, self.notices = snapshot.clock, snapshot.digest, list(snapshot.notices)
        self.effects = []

    def fork(self) -> World:
        """Return an independent world in the same state."""
        other = World(self.base)
        other.restore(self.snapshot())
        return other

    # ---- digests, JSON

    def _chain(self, changes: Changes) -> None:
        parts = [self._digest, self.clock.to_bytes(8, "big")]
        for (name, key), (_, after) in changes.items():
            parts.append(f"\x00{name}\x00{key}\x00".encode())
            parts.append(b"-" if after is None else encode_record(after))
        self._digest = blake2b(b"".join(parts), digest_size=16).digest()

    def fingerprint(self) -> str:
        """Return a hash of the whole state. Costs what exists: for tests and audits."""
        return blake2b(self.to_json(), digest_size=16).hexdigest()

    def to_json(self) -> bytes:
        """Return the whole state as canonical JSON: rows, never database bytes."""
        return _ENCODER.encode(
            {
                "format": FORMAT,
                "clock": self.clock,
                "digest": self.digest,
                "notices": self.notices,
                "tables": {name: dict(self.table(name).items()) for name in sorted(self.base.records)},
            }
        )

    def load_json(self, text: bytes) -> None:
        """Replace the state by one that `to_json` wrote. Rows equal to the base's are shared with it.

        Raises:
            WorldError: The JSON is of another format, or names unknown tables, or a row does not fit its type.
        """
        try:
            data = msgspec.json.decode(text, type=_Saved)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise WorldError(f"not a saved world: {error}") from None
        if data.format != FORMAT:
            raise WorldError(f"saved world has format {data.format}, this version reads {FORMAT}")
        unknown = sorted(data.tables.keys() - self.base.records.keys())
        if unknown:
            raise WorldError(f"saved world has tables unknown here: {unknown}")
        deltas: dict[str, dict[str, Record | None]] = {}
        for name, base in self.base.rows.items():
            kind = self.base.records[name]
            try:
                rows = {k: msgspec.convert(v, kind) for k, v in data.tables.get(name, {}).items()}
            except msgspec.ValidationError as error:
                raise WorldError(f"saved world, table {name!r}: {error}") from None
            delta: dict[str, Record | None] = {k: row for k, row in rows.items() if base.get(k) != row}
            delta.update({k: None for k in base if k not in rows})
            if delta:
                deltas[name] = delta
        self.restore(Snapshot(deltas, data.clock, bytes.fromhex(data.digest), tuple(data.notices)))

    def diff(self, other: World) -> Iterator[Change]:
        """Yield every field that differs between this world (before) and another (after), in order."""
        names = sorted(self.base.records.keys() | other.base.records.keys())
        for name in names:
            mine = dict(self.table(name).items()) if name in self.base.records else {}
            theirs = dict(other.table(name).items()) if name in other.base.records else {}
            for key in sorted(mine.keys() | theirs.keys()):
                yield from changed_fields(name, key, mine.get(key), theirs.get(key))


class Change(msgspec.Struct, frozen=True):
    """One changed field of one record; `field` is "" where a whole record came or went."""

    table: str
    key: str
    field: str
    before: Any
    after: Any


class _Saved(msgspec.Struct):
    format: int
    clock: Annotated[int, msgspec.Meta(ge=0)]
    digest: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{2})+$")]
    notices: list[Notice]
    tables: dict[str, dict[str, Any]]


def changed_fields(table: str, key: str, before: Record | None, after: Record | None) -> Iterator[Change]:
    """Yield the fields in which two versions of a record differ."""
    if before == after:
        return
    if before is None or after is None or type(before) is not type(after):
        yield Change(table, key, "", before, after)
        return
    for field in before.__struct_fields__:
        old, new = getattr(before, field), getattr(after, field)
        if old != new:
            yield Change(table, key, field, old, new)


def encode_record(record: Record) -> bytes:
    """Return the canonical bytes of a record; a body over 4 kB enters by its content hash, if it carries one."""
    content_hash = getattr(record, "content_hash", "")
    if content_hash:
        record = msgspec.structs.replace(record, text="")
    return _ENCODER.encode(record)


def content_hash(text: str) -> str:
    """Return the hash that stands for a long text in digests, or "" for a text of at most 4 kB."""
    if len(text) <= INLINE_LIMIT:
        return ""
    return blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()
