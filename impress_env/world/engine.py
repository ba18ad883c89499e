"""The engine: one open SQLite connection over the rows of one database.

Tables are WITHOUT ROWID and carry no statistics, and statements are prepared anew each time, so plans, scan order and
the count of steps do not depend on what was run before. Knows nothing of worlds: what a statement changed is handed
back as records.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any, Final, Literal, cast

import msgspec

from impress_env.errors import ErrorCode, ToolError
from impress_env.world.guard import EXPECTED, LIMITS, STEPS_A_TICK, TABLE_FUNCTIONS, TOUCHED, Calendar, Guard, Mode
from impress_env.world.schema import ROW_CAP, Row, Schema, Value, check_row, row_key, schema_key, size

RESULT_ROWS: Final = 200
RESULT_BYTES: Final = 10_000  # as JSON
DATABASE_ROWS: Final = 50_000
DATABASE_BYTES: Final = 16 * 2**20

Kind = Literal["create", "update", "delete"]
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
    kind: Kind
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
        self._guard = Guard(schemas, rows)
        self._calendar = Calendar(self._guard)
        self._size = sum(size(row.values) for table in rows.values() for row in table.values())
        self._connection = connection = sqlite3.connect(
            ":memory:",
            isolation_level=None,
            check_same_thread=False,
            cached_statements=0,  # a statement is prepared anew each time: the authorizer sees it, steps count from 0
        )
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA recursive_triggers = ON")  # so that REPLACE fires the triggers of deletion
        connection.create_function(TOUCHED, 2, self._guard.touch)
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
        for name in TABLE_FUNCTIONS:  # their first use writes to the catalogue, which the guard would refuse
            with suppress(sqlite3.OperationalError):  # a SQLite built without JSON
                connection.execute(f"SELECT 1 FROM {name}('[]')").fetchall()
        for limit, value in LIMITS.items():
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
            with closing(self._connection.cursor()) as cursor:
                cursor.execute(sql, parameters)
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
                raise ToolError("invalid_arguments", "The statement writes nothing.", expected=EXPECTED["write"])
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
            except sqlite3.Error as error:
                raise self._guard.explain(error, statement) from None
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


def _no_engine() -> None:
    return None


def _shown(value: object) -> object:
    """Return a value of a result as JSON can carry it; what it cannot is written as SQLite's shell writes it."""
    if isinstance(value, bytes):
        return f"X'{value.hex().upper()}'"
    if isinstance(value, float) and not math.isfinite(value):
        return "Inf" if value > 0 else "-Inf"
    return value


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
    whole = schema.columns[schema.key].type == "integer"
    value = f"{{row}}.{key}" if whole else f"CAST({{row}}.{key} AS BLOB)"  # bytes: NUL and all
    call = f"{_quoted(TOUCHED)}({number}, {value})"
    return [
        f'CREATE TEMP TRIGGER "{TOUCHED}:{number}:{event}" AFTER {event} ON main.{_quoted(schema.table)} '
        f"BEGIN SELECT {', '.join(call.format(row=row) for row in rows)}; END"
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
