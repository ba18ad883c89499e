"""What a database is made of: schemas and rows, records of world tables, and the keys that they live under.

Knows nothing of SQLite.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Literal, get_args

from impress_env.world.table import Record

SCHEMAS: Final = "database.schemas"
ROWS: Final = "database.rows"
ROW_CAP: Final = 6_000  # bytes of one stored row

Value = str | int | bool | None
ColumnType = Literal["text", "integer", "boolean", "date", "timestamp"]
COLUMN_TYPES: tuple[str, ...] = get_args(ColumnType)

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")


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
            f"{where}: expected a primary key among its columns, neither nullable nor a boolean, "
            f"found {schema.primary_key!r}"
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
            fits = isinstance(value, str) and value == well_formed(value)
        if not fits:
            null = " or null" if column.nullable else ""
            raise ValueError(f"{where}.{column.name}: expected {column.type}{null}, found {value!r:.80}")
    if size(values) > ROW_CAP:
        raise ValueError(f"{where}: expected a row of at most {ROW_CAP} bytes, found {size(values)}")


def well_formed(text: str) -> str:
    """Return a text with every lone surrogate replaced by U+FFFD."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def size(values: Iterable[object]) -> int:
    """Return the bytes that values take, about."""
    return sum(
        (len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))) + 8
        if isinstance(value, str)
        else 8
        for value in values
    )
