"""Databases: the company's tables, read and written with SQL.

A scenario file says what is there under `databases`: a table's columns, and its rows as lists (in the order of the
columns) or as mappings. These rows lose their place when the world is built: what a change of one row reads like is
``database.rows[<db>.<table>|<primary key>].values.<column>``, with integers as primary keys written in ten digits
(``database.rows[shop.orders|0000004711].values.paid``), and of a table's settings
``database.schemas[<db>.<table>].writable``. Twins say their changes under these two, `rows` and `schemas`, which are
laid over `databases`: a row that is there gets the columns named, another key makes a new row.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, cast

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from impress_env.clock import minutes
from impress_env.errors import ToolError
from impress_env.tool import Build, Seed, Slice, Toolkit
from impress_env.world.database import (
    ROWS,
    SCHEMAS,
    Column,
    Database,
    Result,
    Row,
    Schema,
    Value,
    check_row,
    check_schema,
    row_key,
    schema_key,
)
from impress_env.world.schema import ColumnType

COVERED: Final = 500  # rows that one effect names

Cell = StrictStr | StrictInt | StrictBool | None
Parameter = StrictStr | StrictInt | StrictFloat | StrictBool | None


class ColumnSeed(Seed):
    """A column in a scenario file. Amounts are integers in minor units; there is no type for fractions."""

    name: str
    type: ColumnType = "text"
    labels: tuple[str, ...] = ()
    nullable: bool = True
    description: str = ""


class TableSeed(Seed):
    """A table in a scenario file. A column left out of a row is null; dates may be given as "-3d 14:12"."""

    columns: Annotated[tuple[ColumnSeed, ...], Field(min_length=1)]
    primary_key: str
    writable: bool = False
    description: str = ""
    rows: tuple[tuple[Cell, ...] | dict[str, Cell], ...] = ()


class SourceSeed(Seed):
    """A database in a scenario file."""

    tables: Annotated[dict[str, TableSeed], Field(min_length=1)]


class SchemaSeed(Seed):
    """What is laid over a table's settings."""

    writable: bool | None = None
    description: str | None = None


class RowSeed(Seed):
    """What is laid over a row."""

    values: dict[str, Cell]


class DatabaseSeed(Seed):
    """Section `database:`; `schemas` and `rows` by the keys of the built records."""

    databases: dict[str, SourceSeed] = Field(default_factory=dict)
    schemas: dict[str, SchemaSeed] = Field(default_factory=dict)
    rows: dict[str, RowSeed] = Field(default_factory=dict)


def build(seed: DatabaseSeed, make: Build) -> None:
    """Put the tables and their rows."""
    for db, source in seed.databases.items():
        for name, table in source.tables.items():
            schema = _schema(db, name, table, seed.schemas.get(schema_key(db, name), SchemaSeed()))
            make.put(schema_key(db, name), schema)
            for given in table.rows:
                key, row = _row(make, schema, _as_mapping(schema, given))
                if key in make.rows(Row):
                    raise ValueError(f"table {db}.{name}: the primary key {row.values[schema.key]!r} is there twice")
                make.put(key, row)
    schemas = make.rows(Schema)
    unknown = [key for key in seed.schemas if key not in schemas]
    if unknown:
        raise ValueError(f"schemas: expected one of {sorted(schemas)}, found {unknown[0]!r}")
    for key, over in seed.rows.items():
        _lay_over(make, key, over)


def _schema(db: str, name: str, table: TableSeed, over: SchemaSeed) -> Schema:
    columns = tuple(
        Column(
            name=column.name,
            type=column.type,
            labels=tuple(sorted(set(column.labels))),
            nullable=column.nullable and column.name != table.primary_key,
            description=column.description,
        )
        for column in table.columns
    )
    schema = Schema(
        db=db,
        table=name,
        columns=columns,
        primary_key=table.primary_key,
        writable=table.writable if over.writable is None else over.writable,
        description=table.description if over.description is None else over.description,
    )
    check_schema(schema)
    return schema


def _as_mapping(schema: Schema, given: tuple[Cell, ...] | dict[str, Cell]) -> dict[str, Cell]:
    if isinstance(given, dict):
        return given
    if len(given) != len(schema.columns):
        where = f"table {schema.db}.{schema.table}"
        raise ValueError(f"{where}: expected {len(schema.columns)} values, found {len(given)}: {given!r:.80}")
    return dict(zip(schema.names, given, strict=True))


def _lay_over(make: Build, key: str, row: RowSeed) -> None:
    schema = make.rows(Schema).get(key.partition("|")[0])
    if schema is None or "|" not in key:
        raise ValueError(f"rows: expected a key such as shop.orders|0000004711, found {key!r}")
    old = make.rows(Row).get(key)
    values = dict(zip(schema.names, old.values, strict=True)) if old is not None else {}
    text = key.partition("|")[2]
    whole = schema.columns[schema.key].type == "integer"
    if old is None and whole and text.lstrip("-").isdecimal():
        values[schema.primary_key] = int(text)
    elif old is None:
        values[schema.primary_key] = text
    put, record = _row(make, schema, {**values, **row.values})
    if put != key:
        raise ValueError(f"rows: {key!r} is the row {put!r}; use that key, and another row for another primary key")
    make.put(key, record)


def _row(make: Build, schema: Schema, given: dict[str, Cell]) -> tuple[str, Row]:
    """Return a row with its key."""
    where = f"table {schema.db}.{schema.table}"
    unknown = [name for name in given if name not in schema.names]
    if unknown:
        raise ValueError(f"{where}: no column {unknown[0]!r}; there are {', '.join(schema.names)}")
    values = tuple(_value(make, column, given.get(column.name)) for column in schema.columns)
    check_row(schema, values)
    return row_key(schema, cast("str | int", values[schema.key])), Row(schema_key(schema.db, schema.table), values)


def _value(make: Build, column: Column, given: Cell) -> Value:
    if column.type == "text" and isinstance(given, int) and not isinstance(given, bool):
        return str(given)  # a slot's number, as a column of text holds it
    if not isinstance(given, str) or column.type not in ("date", "timestamp"):
        return given
    if column.type == "date":
        return make.time(given)[:10]
    seconds = given.strip()[17:19] if given[:4].isdigit() and len(given.strip()) >= 19 else "00"
    minutes(f"2000-01-01T00:00:{seconds}")  # raises where these are none
    return f"{make.time(given).replace('T', ' ')}:{seconds}"


kit = Toolkit(
    "database",
    title="Databases",
    seed=DatabaseSeed,
    tables={SCHEMAS: Schema, ROWS: Row},
    build=build,
    whole_world=True,
)


@kit.tool(effects=["read"])
def tables(at: Slice, db: str = "") -> object:
    """List the databases' tables.

    Args:
        db: Only this database.
    """
    databases = Database(at.world)
    names = (db,) if db else databases.names()
    shown = [
        {
            "database": name,
            "table": table,
            "columns": len(schema.columns),
            "rows": count,
            "access": "read, write" if schema.writable else "read",
            "description": schema.description,
        }
        for name in names
        for (table, schema), count in zip(databases.schemas(name).items(), databases.counts(name).values(), strict=True)
    ]
    at.emit("read", f"database://{db}", fields=("tables",), count=len(shown))
    return shown


@kit.tool(effects=["read"])
def describe(at: Slice, table: str, db: str = "") -> object:
    """Show a table's columns.

    Args:
        table: Name of the table.
        db: Name of the database; may be left out where there is only one, or as part of `table` ("shop.orders").
    """
    databases = Database(at.world)
    name, _, bare = table.rpartition(".")
    chosen = _chosen(databases, db or name)
    schemas = databases.schemas(chosen)
    found = {other.lower(): schema for other, schema in schemas.items()}.get(bare.lower())
    if found is None:
        raise ToolError("not_found", f"No table {table[:80]}.", offer=tuple(schemas))
    at.emit("read", f"{_uri(chosen, found.table)}#columns", fields=tuple(sorted(found.names)))
    return {
        "database": chosen,
        "table": found.table,
        "description": found.description,
        "primary_key": found.primary_key,
        "access": "read, write" if found.writable else "read",
        "columns": [_as_row(column) for column in found.columns],
    }


@kit.tool(effects=["read"])
def query(
    at: Slice, sql: str, parameters: list[Parameter] | dict[str, Parameter] | None = None, db: str = ""
) -> object:
    """Run one SELECT statement (SQLite). At most 200 rows come back; `row_count` counts all.

    Args:
        sql: The statement.
        parameters: Values for `?` in order, or for `:name` by name.
        db: Name of the database; may be left out where there is only one.
    """
    databases = Database(at.world)
    chosen = _chosen(databases, db)
    result = databases.query(chosen, sql, parameters or ())
    _emit_reads(at, chosen, result)
    return _rows(result)


@kit.tool(effects=["read", "create", "update", "delete"])
def execute(
    at: Slice, sql: str, parameters: list[Parameter] | dict[str, Parameter] | None = None, db: str = ""
) -> object:
    """Run one INSERT, UPDATE or DELETE statement (SQLite) and commit it.

    Args:
        sql: The statement.
        parameters: Values for `?` in order, or for `:name` by name.
        db: Name of the database; may be left out where there is only one.
    """
    databases = Database(at.world)
    chosen = _chosen(databases, db)
    result = databases.execute(chosen, sql, parameters or ())
    _emit_reads(at, chosen, result)
    for write in result.writes:
        uri = _uri(chosen, write.table)
        at.emit(
            write.kind,
            uri,
            labels=write.labels,
            count=len(write.keys),
            covers=tuple(f"{uri}/{key}" for key in write.keys[:COVERED]),
            fields=tuple(sorted(write.columns)),
            before=write.before,
            after=write.after,
            reversible=False if write.kind == "delete" else None,
            data=dict(sorted(write.values.items())),
        )
    answer: dict[str, Any] = {"rows_affected": result.affected}
    return answer | _rows(result) if result.columns else answer


def _chosen(databases: Database, db: str) -> str:
    names = databases.names()
    if db:
        databases.schemas(db)
        return db
    if len(names) != 1:
        raise ToolError("invalid_arguments", "There is more than one database.", expected="db", offer=names)
    return names[0]


def _emit_reads(at: Slice, db: str, result: Result) -> None:
    for read in result.reads:
        uri = _uri(db, read.table)
        at.emit(
            "read",
            uri,
            labels=read.labels,
            fields=tuple(sorted(read.columns)),
            count=read.count,
            covers=tuple(f"{uri}/{key}" for key in read.keys[:COVERED]),
        )


def _rows(result: Result) -> dict[str, Any]:
    answer: dict[str, Any] = {"columns": result.columns, "rows": result.rows, "row_count": result.total}
    return answer | {"truncated": True} if result.truncated else answer


def _as_row(column: Column) -> dict[str, Any]:
    row: dict[str, Any] = {"name": column.name, "type": column.type, "nullable": column.nullable}
    if column.description:
        row["description"] = column.description
    if column.labels:
        row["classification"] = column.labels
    return row


def _uri(db: str, table: str) -> str:
    return f"database://{db}/{table}"
