"""Databases: rows are records in world tables, and SQLite is a real engine over them.

The records are the truth. The engine is derived from them on first use and kept in the world's cache; it is opened
anew when the rows that it was opened over are no longer the world's (a roll-back, a restore, somebody else's write).
What a statement changes is caught by triggers and written back as records inside the open transaction of the world.

Promises: an answer depends on the rows, the statement and the world's clock alone, never on the history of the engine
(tables are WITHOUT ROWID, so scans run in key order); a refused statement changes neither engine nor world; work,
memory and output of one statement are limited, counted in steps of SQLite's virtual machine and never in seconds; no
text makes it fail other than by `ToolError`. Knows nothing of tools, effects or scenarios.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Literal, cast, get_args

import msgspec

from impress_env.clock import iso
from impress_env.errors import ToolError, WorldError
from impress_env.world.table import Record
from impress_env.world.world import World

SCHEMAS: Final = "database.schemas"
ROWS: Final = "database.rows"
SQL_CAP: Final = 20_000  # characters of one statement
PARAMETERS_CAP: Final = 500
ROW_CAP: Final = 6_000  # bytes of one stored row
TEXT_CAP: Final = 16_384  # bytes of one text or row inside a statement; SQLite's own limit of length
STEPS_CAP: Final = 2_000_000  # virtual machine steps of one statement
STEPS_A_TICK: Final = 1_000
STEPS_A_CALL: Final = 100  # what a call of one of our own functions counts as
MEMORY_CAP: Final = 256 * 2**20  # bytes that one statement may sort or collect, by the estimate in `_Guard.limit`
RESULT_ROWS: Final = 200
RESULT_BYTES: Final = 10_000  # as JSON
WRITTEN_ROWS: Final = 2_000  # of one statement
DATABASE_ROWS: Final = 50_000
DATABASE_BYTES: Final = 16 * 2**20

Value = str | int | bool | None
Parameters = Sequence[object] | Mapping[str, object]
ColumnType = Literal["text", "integer", "boolean", "date", "timestamp"]
COLUMN_TYPES: tuple[str, ...] = get_args(ColumnType)
Mode = Literal["own", "read", "write"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_KEYWORD = re.compile(r"(?:[\s;]|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*+([A-Za-z]+)", re.DOTALL)
_READING: Final = ("SELECT", "VALUES", "WITH")
_WRITING: Final = ("INSERT", "UPDATE", "DELETE", "REPLACE", "WITH")
_REFUSED: Final = (
    "ALTER", "ANALYZE", "ATTACH", "BEGIN", "COMMIT", "CREATE", "DETACH", "DROP", "END", "EXPLAIN", "PRAGMA", "REINDEX",
    "RELEASE", "ROLLBACK", "SAVEPOINT", "VACUUM",
)  # fmt: skip
_TOUCHED: Final = "~touched"
_TABLE_FUNCTIONS: Final = ("json_each", "json_tree")
_DATE_FUNCTIONS: Final = ("date", "time", "datetime", "julianday", "unixepoch", "strftime", "timediff")
_NOW_FUNCTIONS: Final[dict[str, slice]] = {
    "now": slice(0, 19), "current_timestamp": slice(0, 19), "current_date": slice(0, 10), "current_time": slice(11, 19),
}  # fmt: skip
_GROWING: Final = frozenset(  # whose result may be far longer than what they are given
    (
        "printf", "format", "replace", "char", "unistr", "hex", "quote", "concat", "concat_ws", "group_concat",
        "string_agg", "strftime", "json", "json_array", "json_group_array", "json_group_object", "json_insert",
        "json_object", "json_patch", "json_quote", "json_replace", "json_set",
    )
)  # fmt: skip
FUNCTIONS: Final = frozenset(  # pure functions of their arguments, or of the world's clock; all others are refused
    (
        *_GROWING, *_DATE_FUNCTIONS, *_NOW_FUNCTIONS,
        "abs", "avg", "ceil", "ceiling", "coalesce", "count", "cume_dist", "dense_rank", "first_value", "floor", "glob",
        "ifnull", "iif", "if", "instr", "json_array_length", "json_extract", "json_remove", "json_type", "json_valid",
        "->", "->>", "lag", "last_value", "lead", "length", "like", "likelihood", "likely", "lower", "ltrim", "max",
        "min", "mod", "nth_value", "ntile", "nullif", "octet_length", "percent_rank", "rank", "round", "row_number",
        "rtrim", "sign", "sqrt", "substr", "substring", "sum", "total", "trim", "trunc", "typeof", "unhex", "unicode",
        "unlikely", "upper",
    )
)  # fmt: skip
_ENCODER: Final = msgspec.json.Encoder()


# ---- records


class Column(Record, frozen=True, kw_only=True):
    """One column. Amounts are integers in minor units; dates and timestamps are text as SQLite writes it."""

    name: str
    type: str
    labels: tuple[str, ...] = ()
    nullable: bool = True
    description: str = ""


class Schema(Record, frozen=True, kw_only=True):
    """One table: its columns in order, the column that is its primary key, and whether statements may write to it."""

    db: str
    table: str
    columns: tuple[Column, ...]
    primary_key: str
    writable: bool = False
    description: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def key(self) -> int:
        """The place of the primary key among the columns."""
        return self.names.index(self.primary_key)

    def labels(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the labels of the named columns, each once, sorted."""
        wanted = dict.fromkeys(names)
        return tuple(sorted({label for column in self.columns if column.name in wanted for label in column.labels}))


class Row(Record, frozen=True):
    """One row: the table that it is of, as "<db>.<table>", and its values in the order of the columns."""

    table: str
    values: tuple[Value, ...]


def schema_key(db: str, table: str) -> str:
    """Return the key of a schema."""
    return f"{db}.{table}"


def row_key(schema: Schema, primary_key: str | int) -> str:
    """Return the key of a row: "<db>.<table>|<primary key>", which sorts as the primary key does.

    Text stands as it is. Integers have ten digits ("crm.orders|0000004711"); longer ones follow after a "~", negative
    ones come first.
    """
    if isinstance(primary_key, str):
        text = primary_key
    elif 0 <= primary_key < 10**10:
        text = f"{primary_key:010d}"
    elif primary_key > 0:
        text = f"~{primary_key:019d}"
    else:
        text = f"-{primary_key + 2**63:019d}"
    return f"{schema.db}.{schema.table}|{text}"


def check_schema(schema: Schema) -> None:
    """Check that a schema is one that a table can be made of.

    Raises:
        ValueError: With what was expected and what was found.
    """
    where = f"table {schema.db}.{schema.table}"
    for name in (schema.db, schema.table, *schema.names):
        if not _NAME.fullmatch(name) or name.lower().startswith("sqlite"):
            raise ValueError(f"{where}: expected names of letters, digits and _, found {name!r}")
    if len({name.lower() for name in schema.names}) != len(schema.columns) or len(schema.columns) > 100:
        raise ValueError(f"{where}: expected at most 100 different columns, found {list(schema.names)}")
    for column in schema.columns:
        if column.type not in COLUMN_TYPES:
            raise ValueError(f"{where}.{column.name}: expected one of {COLUMN_TYPES}, found {column.type!r}")
    keys = [column for column in schema.columns if column.name == schema.primary_key]
    if not keys or keys[0].nullable or keys[0].type == "boolean":
        raise ValueError(
            f"{where}: expected a primary key among its columns, not nullable and no boolean, found {schema.primary_key!r}"
        )


def check_row(schema: Schema, values: tuple[Value, ...]) -> None:
    """Check that values fit a table's columns.

    Raises:
        ValueError: With what was expected and what was found.
    """
    where = f"table {schema.db}.{schema.table}"
    if len(values) != len(schema.columns):
        raise ValueError(f"{where}: expected {len(schema.columns)} values, found {len(values)}: {values!r:.80}")
    for column, value in zip(schema.columns, values, strict=True):
        if value is None:
            fits = column.nullable
        elif column.type == "boolean":
            fits = isinstance(value, bool)
        elif column.type == "integer":
            fits = isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63
        else:
            fits = isinstance(value, str) and value == _well_formed(value)
        if not fits:
            null = " or null" if column.nullable else ""
            raise ValueError(f"{where}.{column.name}: expected {column.type}{null}, found {value!r:.80}")
    if _size(values) > ROW_CAP:
        raise ValueError(f"{where}: expected a row of at most {ROW_CAP} bytes, found {_size(values)}")


# ---- what a statement did


class TableRead(msgspec.Struct, frozen=True, kw_only=True):
    """What a statement read of one table.

    `columns` are those that it names or selects, conditions included; `count` is the number of rows returned; `keys`
    are the primary keys shown, where the result has that column of this table and of no other.
    """

    table: str
    columns: tuple[str, ...]
    labels: tuple[str, ...]
    count: int
    keys: tuple[str, ...] = ()


class TableWrite(msgspec.Struct, frozen=True, kw_only=True):
    """What a statement changed in one table, by kind.

    `columns` are those whose values changed (all of them in a new row, none in a deleted one). `values` holds the new
    value of every such column that is the same in all rows written; `before` and `after` are set where one field of
    one row changed.
    """

    table: str
    kind: Literal["create", "update", "delete"]
    keys: tuple[str, ...]
    columns: tuple[str, ...]
    labels: tuple[str, ...]
    values: dict[str, Value]
    before: Value = None
    after: Value = None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """A statement's answer. `rows` is cut off at the cap; `total` counts all; `affected` is what SQLite says."""

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    total: int
    affected: int
    reads: tuple[TableRead, ...]
    writes: tuple[TableWrite, ...] = ()

    @property
    def truncated(self) -> bool:
        """Whether rows were left off."""
        return len(self.rows) < self.total


# ---- the databases of a world


class Database:
    """The databases of one world, by name."""

    __slots__ = ("_world",)

    def __init__(self, world: World) -> None:
        self._world = world

    def names(self) -> tuple[str, ...]:
        """Return the names of the databases, in order."""
        return tuple(dict.fromkeys(key.partition(".")[0] for key in self._world.table(SCHEMAS)))

    def schemas(self, db: str) -> dict[str, Schema]:
        """Return a database's tables by name, in order.

        Raises:
            ToolError: `not_found`.
        """
        found = {s.table: s for s in self._world.typed(SCHEMAS, Schema).values() if s.db == db}
        if not found:
            raise ToolError("not_found", f"No database {db[:80]!r}.", offer=self.names())
        return found

    def counts(self, db: str) -> dict[str, int]:
        """Return the number of rows of every table of a database."""
        return {name: len(rows) for name, rows in self._rows(self.schemas(db)).items()}

    def query(self, db: str, sql: str, parameters: Parameters = ()) -> Result:
        """Run a statement that only reads.

        Raises:
            ToolError: `not_found`, `forbidden`, `invalid_arguments` or `too_large`; nothing has changed.
        """
        engine = self._engine(db)
        _check_text(sql, _READING, "query", "one SELECT")
        answer = engine.run("read", sql, _parameters(parameters), self._world.clock)
        return engine.result(answer)

    def execute(self, db: str, sql: str, parameters: Parameters = ()) -> Result:
        """Run a statement that writes, and write what it changed back as records.

        Raises:
            ToolError: `not_found`, `forbidden`, `conflict`, `invalid_arguments` or `too_large`; nothing has changed.
            WorldError: No transaction is open.
        """
        world = self._world
        if not world.in_transaction:
            raise WorldError("a statement that writes needs an open transaction; open one with world.begin()")
        engine = self._engine(db)
        _check_text(sql, _WRITING, "execute", "one INSERT, UPDATE or DELETE")
        answer, changes = engine.change(sql, _parameters(parameters), world.clock)
        table = world.typed(ROWS, Row)
        for key, (_, _, after) in sorted(changes.items()):
            if after is None:
                table.delete(key)
            else:
                table.put(key, after)
        engine.adopt(changes, world.version)
        return engine.result(answer, changes)

    def _engine(self, db: str) -> _Engine:
        """Return the open engine if its rows are the world's, else a new one."""
        world = self._world
        cached = world.cache.get(f"database:{db}")
        engine = cached if isinstance(cached, _Engine) else None
        if engine is not None and engine.version == world.version:
            return engine
        schemas = self.schemas(db)
        rows = self._rows(schemas)
        if engine is None or engine.schemas != schemas or engine.rows != rows:
            engine = _Engine(schemas, rows)
            world.cache[f"database:{db}"] = engine
        engine.version = world.version
        return engine

    def _rows(self, schemas: Mapping[str, Schema]) -> dict[str, dict[str, Row]]:
        tables = {schema_key(schema.db, schema.table): name for name, schema in schemas.items()}
        found: dict[str, dict[str, Row]] = {name: {} for name in schemas}
        for key, row in self._world.typed(ROWS, Row).items():
            name = tables.get(row.table)
            if name is not None:
                found[name][key] = row
        return found


# ---- the engine

Change = tuple[Schema, Row | None, Row | None]
Changes = dict[str, Change]  # by the row's key


class _Answer(msgspec.Struct, frozen=True):
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    total: int
    affected: int


class _Engine:
    """An open SQLite connection over one database's rows."""

    __slots__ = ("_connection", "_guard", "_size", "rows", "schemas", "version")

    def __init__(self, schemas: dict[str, Schema], rows: dict[str, dict[str, Row]]) -> None:
        self.schemas, self.rows = schemas, rows
        self.version = -1
        self._guard = _Guard(schemas, rows)
        self._size = sum(_size(row.values) for table in rows.values() for row in table.values())
        self._connection = connection = sqlite3.connect(
            ":memory:",
            isolation_level=None,
            check_same_thread=False,
            cached_statements=0,  # a statement is prepared anew each time: the authorizer sees it, steps count from 0
        )
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA recursive_triggers = ON")  # so that REPLACE fires the triggers of deletion
        connection.create_function(_TOUCHED, 2, self._guard.touch)
        _override_time(connection, self._guard)
        for number, (name, schema) in enumerate(schemas.items()):
            connection.execute(_table_sql(schema))
            marks = ", ".join("?" * len(schema.columns))
            connection.executemany(
                f"INSERT INTO {_quoted(name)} VALUES ({marks})", (row.values for row in rows[name].values())
            )
            if schema.writable:
                for statement in _trigger_sql(number, schema):
                    connection.execute(statement)
        for name in _TABLE_FUNCTIONS:  # their first use writes to the catalogue, which the guard would refuse
            connection.execute(f"SELECT 1 FROM {name}('[]')").fetchall()
        for limit, value in _LIMITS.items():
            connection.setlimit(limit, value)
        connection.set_authorizer(self._guard.authorize)
        connection.set_progress_handler(self._guard.tick, STEPS_A_TICK)

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        """Copies of a world come without an engine and open their own."""
        return (_no_engine, ())

    def __del__(self) -> None:
        connection = getattr(self, "_connection", None)
        if connection is not None:
            connection.close()

    def run(self, mode: Mode, sql: str, parameters: Any, clock: int) -> _Answer:
        """Execute one statement under the guard and return its rows, cut off at the cap.

        Raises:
            ToolError: It was refused, failed, or was too large.
        """
        guard = self._guard
        guard.start(mode, sql, parameters, clock)
        try:
            cursor = self._connection.execute(sql, parameters)
            columns = tuple(str(column[0]) for column in cursor.description or ())
            rows: list[tuple[object, ...]] = []
            total, room = 0, RESULT_BYTES
            for found in cursor:
                total += 1
                if room > 0 and total <= RESULT_ROWS:
                    row = tuple(_shown(value) for value in found)
                    room -= len(_ENCODER.encode(row)) + 1
                    if room > 0 or not rows:
                        rows.append(row)
            return _Answer(columns, tuple(rows), total, cursor.rowcount)
        except (sqlite3.Error, sqlite3.Warning, MemoryError, OverflowError, ValueError) as error:
            raise guard.explain(error, sql) from None
        finally:
            guard.mode = "own"

    def change(self, sql: str, parameters: Any, clock: int) -> tuple[_Answer, Changes]:
        """Execute one statement that writes and return its answer and the rows that differ after it.

        Raises:
            ToolError: As `run`, or a row does not fit; the engine is as it was.
        """
        connection = self._connection
        connection.execute("SAVEPOINT change")
        try:
            answer = self.run("write", sql, parameters, clock)
            if not self._guard.written:
                raise ToolError(
                    "invalid_arguments",
                    "The statement writes nothing.",
                    expected="one INSERT, UPDATE or DELETE; a SELECT goes to query",
                )
            changes = self._changed()
        except BaseException:
            if connection.in_transaction:  # SQLite may have rolled back by itself
                connection.execute("ROLLBACK")
            raise
        connection.execute("RELEASE change")
        return answer, changes

    def adopt(self, changes: Changes, version: int) -> None:
        """Take over what was written back: these are the world's rows now."""
        for key, (schema, before, after) in changes.items():
            self._size += _size(after.values if after else ()) - _size(before.values if before else ())
            if after is None:
                del self.rows[schema.table][key]
            else:
                self.rows[schema.table][key] = after
            self._guard.widths.pop(schema.table, None)
        self.version = version

    def result(self, answer: _Answer, changes: Changes | None = None) -> Result:
        """Return an answer with what the statement read and wrote, table by table in order."""
        reads = self._guard.reads
        if changes is not None and not answer.columns:  # a write's own conditions are no read
            reads = {name: columns for name, columns in reads.items() if name not in self._guard.written}
        return Result(
            columns=answer.columns,
            rows=answer.rows,
            total=answer.total,
            affected=max(0, answer.affected) if changes is not None else 0,
            reads=tuple(self._read(name, reads, answer) for name in sorted(reads)),
            writes=_writes(changes or {}),
        )

    def _read(self, name: str, reads: Mapping[str, Mapping[str, None]], answer: _Answer) -> TableRead:
        schema = self.schemas[name]
        columns = tuple(column for column in schema.names if column in reads[name])
        rivals = [other for other in reads if self.schemas[other].primary_key.lower() == schema.primary_key.lower()]
        headers = [header.lower() for header in answer.columns]
        keys: dict[str, None] = {}
        if rivals == [name] and schema.primary_key in columns and headers.count(schema.primary_key.lower()) == 1:
            place = headers.index(schema.primary_key.lower())
            kind = int if schema.columns[schema.key].type == "integer" else str
            for row in answer.rows:
                value = row[place]
                if isinstance(value, kind) and row_key(schema, cast("str | int", value)) in self.rows[name]:
                    keys[str(value)] = None
        return TableRead(
            table=name, columns=columns, labels=schema.labels(columns), count=len(answer.rows), keys=tuple(keys)
        )

    def _changed(self) -> Changes:
        """Return the rows that the statement left other than they were, read back from the engine.

        Raises:
            ToolError: A row or the database would be too large, or a text is not well-formed.
        """
        changes: Changes = {}
        names = list(self.schemas)
        touched: dict[str, dict[str | int, None]] = {}
        for number, key in self._guard.touched:
            touched.setdefault(names[number], {})[key] = None
        growth = 0
        for name, keys in touched.items():
            schema, rows = self.schemas[name], self.rows[name]
            after = {row_key(schema, cast("str | int", row.values[schema.key])): row for row in self._fetch(name, keys)}
            for at in (row_key(schema, key) for key in keys):
                old, new = rows.get(at), after.get(at)
                if old == new:
                    continue
                changes[at] = (schema, old, new)
                growth += _size(new.values if new else ()) - _size(old.values if old else ())
        count = sum(len(rows) for rows in self.rows.values())
        count += sum((after is not None) - (before is not None) for _, before, after in changes.values())
        if count > DATABASE_ROWS or self._size + growth > DATABASE_BYTES:
            raise ToolError(
                "too_large",
                "The database is full.",
                expected=f"at most {DATABASE_ROWS} rows and {DATABASE_BYTES} bytes",
                found=f"{count} rows, {self._size + growth} bytes",
            )
        return changes

    def _fetch(self, name: str, keys: Mapping[str | int, None]) -> list[Row]:
        schema, found = self.schemas[name], []
        wanted = list(keys)
        columns = ", ".join(_quoted(column) for column in schema.names)
        for start in range(0, len(wanted), 200):
            part = wanted[start : start + 200]
            marks = ", ".join("?" * len(part))
            statement = f"SELECT {columns} FROM {_quoted(name)} WHERE {_quoted(schema.primary_key)} IN ({marks})"
            try:
                rows = self._connection.execute(statement, part).fetchall()
            except sqlite3.Error:
                raise ToolError(
                    "invalid_arguments", "A value is not well-formed text.", expected="text in UTF-8"
                ) from None
            for values in rows:
                row = Row(
                    schema_key(schema.db, name),
                    tuple(
                        bool(value) if column.type == "boolean" and value is not None else value
                        for column, value in zip(schema.columns, values, strict=True)
                    ),
                )
                try:
                    check_row(schema, row.values)
                except ValueError as error:
                    code: Literal["too_large", "invalid_arguments"] = "invalid_arguments"
                    if _size(row.values) > ROW_CAP:
                        code = "too_large"
                    raise ToolError(code, f"A row does not fit: {error}") from None
                found.append(row)
        return found


class _Guard:
    """What one statement may do and what it did; the callbacks of a connection.

    Holds no connection, so that an engine is freed when its world drops it.
    """

    __slots__ = ("_explosive", "_given", "_joins", "_names", "_refusal", "_rows", "_schemas", "_ticks", "_widest",
                 "mode", "now", "reads", "touched", "widths", "written")  # fmt: skip

    def __init__(self, schemas: dict[str, Schema], rows: dict[str, dict[str, Row]]) -> None:
        self._schemas, self._rows = schemas, rows
        self.widths: dict[str, dict[str, int]] = {}  # table -> column -> bytes of the longest value
        self.start("own", "", (), 0)

    def start(self, mode: Mode, sql: str, parameters: Any, clock: int) -> None:
        """Forget the last statement."""
        self.mode = mode
        self.now = f"{iso(clock).replace('T', ' ')}:00"
        self.reads: dict[str, dict[str, None]] = {}
        self.written: dict[str, None] = {}
        self.touched: list[tuple[int, str | int]] = []
        self._names: list[tuple[str, str]] = []  # every mention of a column
        self._refusal: ToolError | None = None
        self._ticks = 0
        self._explosive = False
        self._joins = sql.count("||")
        given = parameters.values() if isinstance(parameters, Mapping) else parameters
        self._given = len(sql) + sum(len(value) for value in given if isinstance(value, str))
        self._widest = 0

    # ---- callbacks

    def authorize(
        self, action: int, first: str | None, second: str | None, database: str | None, context: str | None
    ) -> int:
        """Say whether a statement may do one thing; called by SQLite while it prepares the statement."""
        if self.mode == "own" or action == sqlite3.SQLITE_SELECT:
            return sqlite3.SQLITE_OK
        first, second = first or "", second or ""
        if action == sqlite3.SQLITE_RECURSIVE:
            self._explosive = True
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION:
            return self._may_call(second.lower(), context or "")
        if action == sqlite3.SQLITE_READ:
            return self._may_read(first, second, context or "")
        if action in _WRITE_ACTIONS:
            return self._may_write(first, _WRITE_ACTIONS[action])
        return self._deny("forbidden", "Statements of this kind are not accepted here.", expected=_EXPECTED[self.mode])

    def tick(self) -> int:
        """Count a slice of work and say whether to stop."""
        if self.mode == "own":
            return 0
        self._ticks += 1
        return int(self._ticks > 20 and self._ticks * STEPS_A_TICK > self.limit())

    def charge(self) -> None:
        """Count a call of one of our own functions as work.

        Raises:
            ToolError: The statement has done too much.
        """
        self._given += 0
        self._calls()

    def touch(self, table: int, key: str | int) -> None:
        """Remember a row that a statement wrote; called by the triggers."""
        if len(self.touched) >= 2 * WRITTEN_ROWS:
            self._refusal = ToolError(
                "too_large",
                "The statement writes too many rows.",
                expected=f"at most {WRITTEN_ROWS} rows a statement; narrow it with WHERE",
            )
            raise self._refusal
        self.touched.append((table, key))
