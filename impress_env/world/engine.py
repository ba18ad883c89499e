"""The engine: one open SQLite connection over the rows of one database, and the guard that watches its statements.

Tables are WITHOUT ROWID and carry no statistics, and statements are prepared anew each time, so plans, scan order and
the count of steps do not depend on what was run before. The authorizer says what a statement may do and records the
columns that it names; triggers record the rows that it wrote; a progress handler counts its work. Knows nothing of
worlds: what was changed is handed back as records.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, Literal, cast

import msgspec

from impress_env.clock import iso
from impress_env.errors import ErrorCode, ToolError
from impress_env.world.schema import ROW_CAP, Row, Schema, Value, check_row, row_key, schema_key, size, well_formed

SQL_CAP: Final = 20_000  # characters of one statement
PARAMETERS_CAP: Final = 500
TEXT_CAP: Final = 16_384  # bytes of one text or row inside a statement; SQLite's own limit of length
STEPS_CAP: Final = 2_000_000  # virtual machine steps of one statement
STEPS_A_TICK: Final = 1_000
STEPS_A_CALL: Final = 100  # what a call of one of our own functions counts as
MEMORY_CAP: Final = 256 * 2**20  # bytes that one statement may sort or collect, by the estimate of the guard
RESULT_ROWS: Final = 200
RESULT_BYTES: Final = 10_000  # as JSON
WRITTEN_ROWS: Final = 2_000  # of one statement
DATABASE_ROWS: Final = 50_000
DATABASE_BYTES: Final = 16 * 2**20

Parameters = Sequence[object] | Mapping[str, object]
Mode = Literal["own", "read", "write"]
Kind = Literal["create", "update", "delete"]

_KEYWORD = re.compile(r"(?:[\s;]|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*+([A-Za-z]+)", re.DOTALL)
_READING: Final = ("SELECT", "VALUES", "WITH")
_WRITING: Final = ("INSERT", "UPDATE", "DELETE", "REPLACE", "WITH")
_REFUSED: Final = [
    "ALTER",
    "ANALYZE",
    "ATTACH",
    "BEGIN",
    "COMMIT",
    "CREATE",
    "DETACH",
    "DROP",
    "END",
    "EXPLAIN",
    "PRAGMA",
    "REINDEX",
    "RELEASE",
    "ROLLBACK",
    "SAVEPOINT",
    "VACUUM",
]
_TOUCHED: Final = "~touched"
_TABLE_FUNCTIONS: Final = ("json_each", "json_tree")
_DATE_FUNCTIONS: Final = ("date", "time", "datetime", "julianday", "unixepoch", "strftime", "timediff")
_NOW_FUNCTIONS: Final[dict[str, slice]] = {
    "now": slice(0, 19),
    "current_timestamp": slice(0, 19),
    "current_date": slice(0, 10),
    "current_time": slice(11, 19),
}
_GROWING: Final = frozenset(  # whose result may be far longer than what they are given
    [
        "char",
        "concat",
        "concat_ws",
        "format",
        "group_concat",
        "hex",
        "json",
        "json_array",
        "json_group_array",
        "json_group_object",
        "json_insert",
        "json_object",
        "json_patch",
        "json_quote",
        "json_replace",
        "json_set",
        "printf",
        "quote",
        "replace",
        "strftime",
        "string_agg",
        "unistr",
    ]
)
FUNCTIONS: Final = frozenset(  # pure functions of their arguments, or of the world's clock; all others are refused
    (
        *_GROWING,
        *_DATE_FUNCTIONS,
        *_NOW_FUNCTIONS,
        *[
            "->",
            "->>",
            "abs",
            "avg",
            "ceil",
            "ceiling",
            "coalesce",
            "count",
            "cume_dist",
            "dense_rank",
            "first_value",
            "floor",
            "glob",
            "if",
            "ifnull",
            "iif",
            "instr",
            "json_array_length",
            "json_extract",
            "json_remove",
            "json_type",
            "json_valid",
            "lag",
            "last_value",
            "lead",
            "length",
            "like",
            "likelihood",
            "likely",
            "lower",
            "ltrim",
            "max",
            "min",
            "mod",
            "nth_value",
            "ntile",
            "nullif",
            "octet_length",
            "percent_rank",
            "rank",
            "round",
            "row_number",
            "rtrim",
            "sign",
            "sqrt",
            "substr",
            "substring",
            "sum",
            "total",
            "trim",
            "trunc",
            "typeof",
            "unhex",
            "unicode",
            "unlikely",
            "upper",
        ],
    )
)
_ENCODER: Final = msgspec.json.Encoder()


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


Change = tuple[Schema, Row | None, Row | None]
Changes = dict[str, Change]  # by the row's key


class _Answer(msgspec.Struct, frozen=True):
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    total: int
    affected: int


class Engine:
    """An open SQLite connection over one database's rows."""

    __slots__ = ("_calendar", "_connection", "_guard", "_size", "rows", "schemas", "version")

    def __init__(self, schemas: dict[str, Schema], rows: dict[str, dict[str, Row]]) -> None:
        self.schemas, self.rows = schemas, rows
        self.version = -1
        self._guard = _Guard(schemas, rows)
        self._calendar = _Calendar(self._guard)
        self._size = sum(size(row.values) for table in rows.values() for row in table.values())
        self._connection = connection = sqlite3.connect(
            ":memory:",
            isolation_level=None,
            check_same_thread=False,
            cached_statements=0,  # a statement is prepared anew each time: the authorizer sees it, steps count from 0
        )
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA recursive_triggers = ON")  # so that REPLACE fires the triggers of deletion
        connection.create_function(_TOUCHED, 2, self._guard.touch)
        self._calendar.register(connection)
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
            with suppress(sqlite3.OperationalError):  # a SQLite built without JSON
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
            self._calendar.close()

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
                raise ToolError("invalid_arguments", "The statement writes nothing.", expected=_EXPECTED["write"])
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
            self._size += size(after.values if after else ()) - size(before.values if before else ())
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
                if isinstance(value, kind) and row_key(schema, value) in self.rows[name]:
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
        for number, key in list(self._guard.touched):
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
                growth += size(new.values if new else ()) - size(old.values if old else ())
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
                    code: ErrorCode = "too_large" if size(row.values) > ROW_CAP else "invalid_arguments"
                    raise ToolError(code, f"A row does not fit: {error}") from None
                found.append(row)
        return found


class _Guard:
    """What one statement may do and what it did; the callbacks of a connection.

    Holds no connection, so that an engine is freed when its world drops it.
    """

    __slots__ = ("_calls", "_explosive", "_given", "_joins", "_limit", "_named", "_refusal", "_rows", "_schemas",
                 "_ticks", "mode", "now", "reads", "touched", "widths", "written")  # fmt: skip

    def __init__(self, schemas: dict[str, Schema], rows: dict[str, dict[str, Row]]) -> None:
        self._schemas, self._rows = schemas, rows
        self.widths: dict[str, dict[str, int]] = {}  # table -> column -> bytes of its longest value
        self.start("own", "", (), 0)

    def start(self, mode: Mode, sql: str, parameters: Any, clock: int) -> None:
        """Forget the last statement and wait for the next."""
        self.mode = mode
        self.now = f"{iso(clock).replace('T', ' ')}:00"
        self.reads: dict[str, dict[str, None]] = {}  # table -> columns
        self.written: dict[str, None] = {}  # tables
        self.touched: dict[tuple[int, str | int], None] = {}  # (number of the table, primary key)
        self._named: list[tuple[str, str]] = []  # every mention of a column
        self._refusal: ToolError | None = None
        self._ticks = self._calls = 0
        self._limit = (-1, 0)
        self._explosive = False
        self._joins = sql.count("||")
        given = parameters.values() if isinstance(parameters, Mapping) else parameters
        self._given = size((sql, *(value for value in given if isinstance(value, str))))

    # ---- callbacks

    def authorize(
        self, action: int, first: str | None, second: str | None, database: str | None, context: str | None
    ) -> int:
        """Say whether a statement may do one thing; SQLite asks while it prepares the statement."""
        if self.mode == "own" or action == sqlite3.SQLITE_SELECT:
            return sqlite3.SQLITE_OK
        first, second, context = first or "", second or "", context or ""
        if action == sqlite3.SQLITE_READ:
            return self._may_read(first, second, context)
        if action == sqlite3.SQLITE_FUNCTION:
            return self._may_call(second.lower(), context)
        if action in (sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE):
            return self._may_write(first)
        if action == sqlite3.SQLITE_RECURSIVE:
            self._explosive = True
            return sqlite3.SQLITE_OK
        return self._deny("forbidden", "Statements of this kind are not accepted.", _EXPECTED[self.mode])

    def tick(self) -> int:
        """Count a slice of SQLite's work and say whether to stop."""
        if self.mode == "own":
            return 0
        self._ticks += 1
        return int(self._ticks > 20 and self._work() > self._most())

    def charge(self) -> None:
        """Count a call of one of our own functions as work.

        Raises:
            ToolError: The statement has done too much.
        """
        self._calls += 1
        if self._calls > 200 and self._work() > self._most():
            raise self.refuse(_too_much_work())

    def touch(self, table: int, key: str | int) -> None:
        """Remember a row that the statement wrote; the triggers call it.

        Raises:
            ToolError: The statement writes too many rows.
        """
        self.touched[table, key] = None
        if len(self.touched) > WRITTEN_ROWS:
            raise self.refuse(
                ToolError(
                    "too_large",
                    "The statement writes too many rows.",
                    expected=f"at most {WRITTEN_ROWS} rows a statement; narrow it with WHERE",
                )
            )

    def refuse(self, error: ToolError) -> ToolError:
        """Keep and return the error that the statement ends with, whatever SQLite makes of it; the first one stays."""
        if self._refusal is None:
            self._refusal = error
        return error

    # ---- limits

    def _work(self) -> int:
        return self._ticks * STEPS_A_TICK + self._calls * STEPS_A_CALL

    def _most(self) -> int:
        """Return how many steps the statement may take.

        Sorting and collecting keep at most one row for every four steps, and a row is no wider than all columns that
        the statement mentions, its own text, and what its functions make of them; so the steps bound the memory.
        """
        if self._limit[0] != len(self._named):
            width = 64 + self._given + sum(self._width(table).get(column, 8) for table, column in self._named)
            width = TEXT_CAP if self._explosive else min(TEXT_CAP, width << min(self._joins, 14))
            self._limit = (len(self._named), min(STEPS_CAP, 4 * MEMORY_CAP // width))
        return self._limit[1]

    def _width(self, table: str) -> dict[str, int]:
        found = self.widths.get(table)
        if found is None:
            rows = self._rows[table].values()
            found = self.widths[table] = {
                name: max((size((row.values[place],)) for row in rows), default=8)
                for place, name in enumerate(self._schemas[table].names)
            }
        return found

    # ---- permissions

    def _may_read(self, table: str, column: str, context: str) -> int:
        schema = self._schemas.get(table)
        if schema is None:
            if table in _TABLE_FUNCTIONS:
                self._explosive = True
                return sqlite3.SQLITE_OK
            return self._deny(
                "forbidden",
                f"{table} cannot be read.",
                "the tables of this database; `tables` and `describe` show them",
            )
        self._named.append((table, column))
        if context.startswith(_TOUCHED) and column == schema.primary_key:  # our trigger, not the statement
            return sqlite3.SQLITE_OK
        columns = self.reads.setdefault(table, {})
        if column:  # "" where a table is read without any of its columns, as by count(*)
            columns[column] = None
        return sqlite3.SQLITE_OK

    def _may_call(self, name: str, context: str) -> int:
        if name == _TOUCHED and context.startswith(_TOUCHED):
            return sqlite3.SQLITE_OK
        if name not in FUNCTIONS:
            return self._deny("forbidden", f"The function {name[:60]} is not available.", "functions of data alone")
        self._explosive = self._explosive or name in _GROWING
        return sqlite3.SQLITE_OK

    def _may_write(self, table: str) -> int:
        schema = self._schemas.get(table)
        if schema is None:
            return self._deny("forbidden", f"{table} cannot be written.", "the tables of this database")
        if self.mode == "read":
            return self._deny("invalid_arguments", "A query only reads.", _EXPECTED["read"])
        if not schema.writable:
            writable = [name for name, other in self._schemas.items() if other.writable]
            return self._deny("forbidden", f"Table {table} is read-only.", "a table that can be written", writable)
        self.written[table] = None
        return sqlite3.SQLITE_OK

    def _deny(self, code: ErrorCode, message: str, expected: str, offer: Sequence[str] | None = None) -> int:
        self.refuse(ToolError(code, message, expected=expected, offer=tuple(self._schemas) if offer is None else offer))
        return sqlite3.SQLITE_DENY

    # ---- errors

    def explain(self, error: Exception, sql: str) -> ToolError:
        """Return the `ToolError` for what SQLite raised."""
        if self._refusal is not None:
            return self._refusal
        text = str(error)
        if "interrupted" in text or isinstance(error, MemoryError):
            return _too_much_work()
        if isinstance(error, sqlite3.IntegrityError):
            return self._broken_constraint(text)
        if isinstance(error, sqlite3.DataError) or _TOO_LARGE.search(text):
            return ToolError(
                "too_large", f"The statement is too large: {text}.", expected="a smaller statement or result"
            )
        if "one statement at a time" in text:
            return ToolError("invalid_arguments", "These are several statements.", expected="one statement a call")
        missing = _MISSING.match(text)
        if missing and missing[1] == "table":
            return ToolError(
                "not_found",
                f"No table {missing[2][:80]}.",
                expected="a table of this database, written without the database's name",
                offer=tuple(self._schemas),
            )
        if missing and missing[1] == "column":
            return ToolError("not_found", f"No column {missing[2][:80]}.", offer=self._columns_near(sql))
        return ToolError("invalid_arguments", f"SQL error: {text[:300]}", expected=_EXPECTED[self.mode])

    def _broken_constraint(self, text: str) -> ToolError:
        found = _CONSTRAINT.match(text)
        kind, where = (found[1], found[2]) if found else ("", text)
        if kind == "UNIQUE":
            return ToolError("conflict", f"There is a row with this {where} already.", expected="a new primary key")
        if kind == "NOT NULL":
            return ToolError("invalid_arguments", f"{where} is missing.", expected=f"a value for {where}")
        types = [
            f"{name}.{column.name}: {column.type}{' or null' if column.nullable else ''}"
            for name in self.written
            for column in self._schemas[name].columns
            if column.name == where
        ]
        return ToolError("invalid_arguments", f"The value of {where} has another type.", expected=", ".join(types))

    def _columns_near(self, sql: str) -> list[str]:
        words = dict.fromkeys(re.findall(r"\w+", sql.lower()))
        return [
            f"{name}.{column}"
            for name, schema in self._schemas.items()
            if name.lower() in words
            for column in schema.names
        ]


class _Calendar:
    """Date and time functions whose `now` is the world's clock, and whose only zone is the world's own.

    SQLite itself reckons, on a connection of its own, and is never given a `now` to look up.
    """

    __slots__ = ("_connection", "_guard")

    def __init__(self, guard: _Guard) -> None:
        self._guard = guard
        self._connection: sqlite3.Connection | None = None

    def register(self, connection: sqlite3.Connection) -> None:
        """Put the functions in place of SQLite's own on a connection."""
        for name in _DATE_FUNCTIONS:
            connection.create_function(name, -1, partial(self._date, name), deterministic=True)
        for name, part in _NOW_FUNCTIONS.items():
            connection.create_function(name, 0, partial(self._now, part), deterministic=True)

    def close(self) -> None:
        """Close the connection, if one was needed."""
        if self._connection is not None:
            self._connection.close()

    def _now(self, part: slice) -> str:
        return self._guard.now[part]

    def _date(self, name: str, *values: object) -> str | int | float | None:
        guard = self._guard
        guard.charge()
        texts = [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values]
        given = [text.partition("\0")[0] if isinstance(text, str) else text for text in texts]  # as C reads it
        first = 1 if name == "strftime" else 0
        moments = (0, 1) if name == "timediff" else (first,)
        if len(given) == first and name != "timediff":
            given.append("now")
        for place in moments:
            if place < len(given) and _lower(given[place]) in ("now", "subsec", "subsecond"):
                given[place] = guard.now
        modifiers = [value for value in given[moments[-1] + 1 :] if _lower(value) not in ("localtime", "utc")]
        given[moments[-1] + 1 :] = modifiers
        if self._connection is None:
            self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, TEXT_CAP)
        try:
            marks = ", ".join("?" * len(given))
            return cast(
                "str | int | float | None",
                self._connection.execute(f"SELECT {name}({marks})", given).fetchone()[0],
            )
        except sqlite3.Error as error:
            raise guard.refuse(ToolError("invalid_arguments", f"SQL error in {name}: {error}")) from None


_LIMITS: Final = {
    sqlite3.SQLITE_LIMIT_LENGTH: TEXT_CAP,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 4 * SQL_CAP,
    sqlite3.SQLITE_LIMIT_COLUMN: 200,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 100_000,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 100,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 500,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: PARAMETERS_CAP,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 2,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
_EXPECTED: Final[dict[str, str]] = {
    "own": "",
    "read": "one SELECT; INSERT, UPDATE and DELETE go to execute",
    "write": "one INSERT, UPDATE or DELETE; a SELECT goes to query",
}
_TOO_LARGE: Final = re.compile(
    r"too (?:many|large|big|complex|long|deep)|stack overflow|at most \d+ tables|Expression tree"
)
_MISSING: Final = re.compile(r"no such (table|column): (.*)", re.DOTALL)
_CONSTRAINT: Final = re.compile(r"(UNIQUE|NOT NULL|CHECK) constraint failed: (.*)", re.DOTALL)


def _no_engine() -> None:
    return None


def _too_much_work() -> ToolError:
    return ToolError(
        "too_large",
        "The statement is too much work.",
        expected="fewer rows or joins: narrow it with WHERE, join on keys, take it in parts",
    )


def statement(sql: str, mode: Literal["read", "write"]) -> str:
    """Return the text of a statement, well-formed, or raise the `ToolError` that its length or first word calls for."""
    if len(sql) > SQL_CAP:
        raise ToolError(
            "too_large", "The statement is too long.", expected=f"at most {SQL_CAP} characters", found=str(len(sql))
        )
    if "\0" in sql:
        raise ToolError("invalid_arguments", "The statement holds a NUL character.", expected="plain text")
    found = _KEYWORD.match(sql)
    word = found[1].upper() if found else ""
    if word in (_READING if mode == "read" else _WRITING):
        return well_formed(sql)
    expected = _EXPECTED[mode]
    if word in _READING or word in _WRITING:
        verb = "A query only reads." if mode == "read" else "This is a query."
        raise ToolError("invalid_arguments", verb, expected=expected, found=word)
    if word in _REFUSED:
        raise ToolError("forbidden", f"{word} statements are not accepted.", expected=expected, found=word)
    raise ToolError("invalid_arguments", "Not a statement.", expected=expected, found=sql.strip()[:60])


def bindable(given: object) -> tuple[object, ...] | dict[str, object]:
    """Return a statement's parameters made safe to bind."""
    if isinstance(given, Mapping):
        _count(len(given))
        return {well_formed(str(name)): _bindable(value) for name, value in given.items()}
    if isinstance(given, Sequence) and not isinstance(given, str | bytes):
        _count(len(given))
        return tuple(_bindable(value) for value in given)
    raise ToolError(
        "invalid_arguments", "Not parameters.", expected="a list or an object of values", found=type(given).__name__
    )


def _count(number: int) -> None:
    if number > PARAMETERS_CAP:
        raise ToolError("too_large", "Too many parameters.", expected=f"at most {PARAMETERS_CAP}", found=str(number))


def _bindable(value: object) -> object:
    if isinstance(value, str):
        if len(value) > TEXT_CAP:
            raise ToolError(
                "too_large", "A parameter is too long.", expected=f"at most {TEXT_CAP} bytes", found=str(len(value))
            )
        return well_formed(value)
    if value is None or (isinstance(value, int) and -(2**63) <= value < 2**63):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise ToolError(
        "invalid_arguments",
        "Not a value.",
        expected="text, a 64-bit number, true, false or null",
        found=repr(value)[:60],
    )


def _shown(value: object) -> object:
    """Return a value of a result as JSON can carry it; what it cannot is written as SQLite's shell writes it."""
    if isinstance(value, bytes):
        return f"X'{value.hex().upper()}'"
    if isinstance(value, float) and not math.isfinite(value):
        return "Inf" if value > 0 else "-Inf"
    return value


def _lower(value: object) -> str:
    return value.lower() if isinstance(value, str) else ""


def _quoted(name: str) -> str:
    return f'"{name}"'


def _table_sql(schema: Schema) -> str:
    parts = []
    for column in schema.columns:
        name = _quoted(column.name)
        kind = "INTEGER" if column.type in ("integer", "boolean") else "TEXT"
        null = "" if column.nullable else " NOT NULL"
        check = f"typeof({name}) IN ('{kind.lower()}', 'null')"
        if column.type == "boolean":
            check += f" AND ({name} IS NULL OR {name} IN (0, 1))"
        parts.append(f"{name} {kind}{null} CONSTRAINT {name} CHECK ({check})")
    parts.append(f"PRIMARY KEY ({_quoted(schema.primary_key)})")
    return f"CREATE TABLE {_quoted(schema.table)} ({', '.join(parts)}) WITHOUT ROWID"


def _trigger_sql(number: int, schema: Schema) -> list[str]:
    key = _quoted(schema.primary_key)
    return [
        f'CREATE TEMP TRIGGER "{_TOUCHED}:{number}:{event}" AFTER {event} ON main.{_quoted(schema.table)} '
        f"BEGIN SELECT {', '.join(f'{_quoted(_TOUCHED)}({number}, {row}.{key})' for row in rows)}; END"
        for event, rows in (("INSERT", ("NEW",)), ("UPDATE", ("OLD", "NEW")), ("DELETE", ("OLD",)))
    ]


def _writes(changes: Changes) -> tuple[TableWrite, ...]:
    """Return what changed, table by table and kind by kind."""
    grouped: dict[tuple[str, str], list[Change]] = {}
    for _, change in sorted(changes.items()):
        schema, before, after = change
        kind = "create" if before is None else "delete" if after is None else "update"
        grouped.setdefault((schema.table, kind), []).append(change)
    return tuple(_write(cast("Kind", kind), found) for (_, kind), found in sorted(grouped.items()))


def _write(kind: Kind, changes: Sequence[Change]) -> TableWrite:
    schema = changes[0][0]
    places = range(len(schema.columns)) if kind == "create" else []
    if kind == "update":
        places = [
            place
            for place in range(len(schema.columns))
            if any(before and after and before.values[place] != after.values[place] for _, before, after in changes)
        ]
    keys, values = [], {}
    for _, before, after in changes:
        row = after or before
        keys.append(str(row.values[schema.key]) if row else "")
    for place in places:
        news = [after.values[place] for _, _, after in changes if after]
        if all(new == news[0] for new in news):
            values[schema.names[place]] = news[0]
    columns = tuple(schema.names[place] for place in places)
    first = changes[0][1] if kind == "update" and len(changes) == len(columns) == 1 else None
    return TableWrite(
        table=schema.table,
        kind=kind,
        keys=tuple(keys),
        columns=columns,
        labels=schema.labels(columns or schema.names),
        values=values,
        before=first.values[places[0]] if first else None,
        after=values.get(columns[0]) if first else None,
    )
