"""Databases: rows are records in world tables, and SQLite is a real engine over them.

The records are the truth. The engine is derived from them on first use and kept in the world's cache; it is opened
anew when the rows that it was opened over are no longer the world's (a roll-back, a restore, somebody else's write).
What a statement changes is caught by triggers and written back as records inside the open transaction of the world.

Promises: an answer depends on the rows, the statement and the world's clock alone, never on the history of the engine;
a refused statement changes neither engine nor world; work, memory and output of one statement are limited, counted in
steps of SQLite's virtual machine and never in seconds; no text makes it fail other than by `ToolError`. Knows nothing
of tools, effects or scenarios.
"""

from __future__ import annotations

from collections.abc import Mapping

from impress_env.errors import ToolError, WorldError
from impress_env.world.engine import Engine, Result, TableRead, TableWrite
from impress_env.world.guard import Parameters, bindable, statement
from impress_env.world.schema import (
    ROWS,
    SCHEMAS,
    Column,
    Row,
    Schema,
    Value,
    check_row,
    check_schema,
    row_key,
    schema_key,
)
from impress_env.world.world import World

__all__ = [
    "ROWS", "SCHEMAS", "Column", "Database", "Parameters", "Result", "Row", "Schema", "TableRead", "TableWrite",
    "Value", "check_row", "check_schema", "row_key", "schema_key",
]  # fmt: skip


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
        text = statement(sql, "read")
        answer = engine.run("read", text, bindable(parameters), self._world.clock)
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
        text = statement(sql, "write")
        answer, changes = engine.change(text, bindable(parameters), world.clock)
        table = world.typed(ROWS, Row)
        for key, (_, _, after) in sorted(changes.items()):
            if after is None:
                table.delete(key)
            else:
                table.put(key, after)
        engine.adopt(changes, world.version)
        return engine.result(answer, changes)

    def _engine(self, db: str) -> Engine:
        """Return the open engine if its rows are the world's, else a new one."""
        world = self._world
        cached = world.cache.get(f"database:{db}")
        engine = cached if isinstance(cached, Engine) else None
        if engine is not None and engine.version == world.version:
            return engine
        schemas = self.schemas(db)
        rows = self._rows(schemas)
        if engine is None or engine.schemas != schemas or engine.rows != rows:
            engine = Engine(schemas, rows)
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
