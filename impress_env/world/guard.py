"""The guard: what one SQL statement may do, what it did, and how much.

The authorizer says what a statement may do and records the columns that it names; triggers record the rows that it
wrote; a progress handler counts its work in steps of SQLite's virtual machine, which the history of a connection does
not change. Dates are reckoned from the world's clock. Knows nothing of worlds, and holds no connection that runs
statements.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, Literal, cast

from impress_env.clock import iso
from impress_env.errors import ErrorCode, ToolError
from impress_env.world.schema import Row, Schema, size, well_formed

SQL_CAP: Final = 20_000  # characters of one statement
PARAMETERS_CAP: Final = 500
TEXT_CAP: Final = 16_384  # bytes of one text or row inside a statement; SQLite's own limit of length
STEPS_CAP: Final = 5_000_000  # virtual machine steps of one statement
SEARCH_CAP: Final = 320 * 2**20  # steps times bytes of a row, where texts are searched: a step may cost milliseconds
STEPS_A_TICK: Final = 1_000
STEPS_A_CALL: Final = 100  # what a call of one of our own functions counts as
MEMORY_CAP: Final = 256 * 2**20  # bytes that one statement may sort or collect, by the estimate in `Guard`
WRITTEN_ROWS: Final = 2_000  # of one statement
TOUCHED: Final = "~touched"  # our function, and the first part of our triggers' names

Parameters = Sequence[object] | Mapping[str, object]
Mode = Literal["own", "read", "write"]  # a statement of ours, or one that comes from a call

_KEYWORD = re.compile(r"(?:[\s;]|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*+([A-Za-z]+)", re.DOTALL)
_READING: Final = ("SELECT", "VALUES", "WITH")
_WRITING: Final = ("INSERT", "UPDATE", "DELETE", "REPLACE", "WITH")
_REFUSED: Final = (
    "ALTER", "ANALYZE", "ATTACH", "BEGIN", "COMMIT", "CREATE", "DETACH", "DROP", "END", "EXPLAIN", "PRAGMA", "REINDEX",
    "RELEASE", "ROLLBACK", "SAVEPOINT", "VACUUM",
)  # fmt: skip
_DATE_FUNCTIONS: Final = ("date", "time", "datetime", "julianday", "unixepoch", "strftime", "timediff")
_NOW_FUNCTIONS: Final[dict[str, slice]] = {
    "now": slice(0, 19),
    "current_timestamp": slice(0, 19),
    "current_date": slice(0, 10),
    "current_time": slice(11, 19),
}
_GROWING: Final = (  # whose result may be far longer than what they are given
    "char", "concat", "concat_ws", "format", "group_concat", "json", "json_array", "json_group_array",
    "json_group_object", "json_insert", "json_object", "json_patch", "json_quote", "json_replace", "json_set", "printf",
    "replace", "string_agg", "unistr",
)  # fmt: skip
_DOUBLING: Final = {"hex": 1, "quote": 1, "strftime": 4}  # how often, at most
_SEARCHING: Final = ("glob", "instr", "like", "replace")  # whose cost is the product of their arguments' lengths
_PLAIN: Final = (
    "->", "->>", "abs", "avg", "ceil", "ceiling", "coalesce", "count", "cume_dist", "dense_rank", "first_value",
    "floor", "glob", "if", "ifnull", "iif", "instr", "json_array_length", "json_extract", "json_remove",
    "json_type", "json_valid", "lag", "last_value", "lead", "length", "like", "likelihood", "likely", "lower",
    "ltrim", "max", "min", "mod", "nth_value", "ntile", "nullif", "octet_length", "percent_rank", "rank", "round",
    "row_number", "rtrim", "sign", "sqrt", "substr", "substring", "sum", "total", "trim", "trunc", "typeof",
    "unhex", "unicode", "unlikely", "upper",
)  # fmt: skip
# pure functions of their arguments, or of the world's clock; all others are refused
FUNCTIONS: Final = frozenset((*_PLAIN, *_GROWING, *_DOUBLING, *_DATE_FUNCTIONS, *_NOW_FUNCTIONS))
TABLE_FUNCTIONS: Final = ("json_each", "json_tree")
LIMITS: Final = {
    sqlite3.SQLITE_LIMIT_LENGTH: TEXT_CAP,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 4 * SQL_CAP,
    sqlite3.SQLITE_LIMIT_COLUMN: 200,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 100_000,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 100,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 100,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: PARAMETERS_CAP,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 2,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
EXPECTED: Final[dict[str, str]] = {
    "own": "",
    "read": "one SELECT; INSERT, UPDATE and DELETE go to execute",
    "write": "one INSERT, UPDATE or DELETE; a SELECT goes to query",
}
_TOO_LARGE: Final = re.compile(
    r"too (?:many|large|big|complex|long|deep)|stack overflow|at most \d+ tables|Expression tree"
)
_MISSING: Final = re.compile(r"no such (table|column): (.*)", re.DOTALL)
_CONSTRAINT: Final = re.compile(r"(UNIQUE|NOT NULL|CHECK) constraint failed: (.*)", re.DOTALL)


class Guard:
    """What one statement may do and what it did; the callbacks of a connection.

    Holds no connection, so that an engine is freed when its world drops it.
    """

    __slots__ = ("_calls", "_doublings", "_explosive", "_given", "_limit", "_named", "_recursive", "_refusal",
                 "_rows", "_schemas", "_searching", "_ticks", "mode", "now", "reads", "touched", "widths",
                 "written")  # fmt: skip

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
        self._explosive = self._recursive = self._searching = False
        self._doublings = sql.count("||")
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
            self._recursive = True
            return sqlite3.SQLITE_OK
        return self._deny("forbidden", "Statements of this kind are not accepted.", EXPECTED[self.mode])

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

    def touch(self, table: int, key: int | bytes) -> None:
        """Remember a row that the statement wrote; the triggers call it, with text as its bytes.

        Raises:
            ToolError: The statement writes too many rows, or a primary key is not well-formed text.
        """
        try:
            self.touched[table, key.decode() if isinstance(key, bytes) else key] = None
        except UnicodeDecodeError:
            raise self.refuse(_not_text()) from None
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

        Sorting and collecting keep at most one row for every four steps, and a row is about as wide as all columns that
        the statement mentions, its own text, and what its functions make of them; so the steps bound the memory.
        """
        if self._limit[0] != len(self._named):
            width = 64 + self._given + sum(self._width(table).get(column, 8) for table, column in self._named)
            doublings = 14 if self._explosive or (self._recursive and self._doublings) else min(self._doublings, 14)
            width = min(TEXT_CAP, width << doublings)
            search = SEARCH_CAP // width if self._searching else STEPS_CAP
            self._limit = (len(self._named), min(STEPS_CAP, search, 4 * MEMORY_CAP // width))
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
            if table in TABLE_FUNCTIONS:
                self._explosive = True
                return sqlite3.SQLITE_OK
            return self._deny(
                "forbidden",
                f"{table} cannot be read.",
                "the tables of this database; `tables` and `describe` show them",
            )
        self._named.append((table, column))
        if context.startswith(TOUCHED) and column == schema.primary_key:  # our trigger, not the statement
            return sqlite3.SQLITE_OK
        columns = self.reads.setdefault(table, {})
        if column:  # "" where a table is read without any of its columns, as by count(*)
            columns[column] = None
        return sqlite3.SQLITE_OK

    def _may_call(self, name: str, context: str) -> int:
        if name == TOUCHED and context.startswith(TOUCHED):
            return sqlite3.SQLITE_OK
        if name not in FUNCTIONS:
            return self._deny("forbidden", f"The function {name[:60]} is not available.", "functions of data alone")
        self._explosive = self._explosive or name in _GROWING
        self._searching = self._searching or name in _SEARCHING
        self._doublings += _DOUBLING.get(name, 0)
        return sqlite3.SQLITE_OK

    def _may_write(self, table: str) -> int:
        schema = self._schemas.get(table)
        if schema is None:
            return self._deny("forbidden", f"{table} cannot be written.", "the tables of this database")
        if self.mode == "read":
            return self._deny("invalid_arguments", "A query only reads.", EXPECTED["read"])
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
        if "decode to UTF-8" in text:
            return _not_text()
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
        return ToolError("invalid_arguments", f"SQL error: {text[:300]}", expected=EXPECTED[self.mode])

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


class Calendar:
    """Date and time functions whose `now` is the world's clock, and whose only zone is the world's own.

    SQLite itself reckons, on a connection of its own, and is never given a `now` to look up.
    """

    __slots__ = ("_connection", "_guard")

    def __init__(self, guard: Guard) -> None:
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
    expected = EXPECTED[mode]
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


def _not_text() -> ToolError:
    return ToolError("invalid_arguments", "A value is not well-formed text.", expected="text in UTF-8")


def _too_much_work() -> ToolError:
    return ToolError(
        "too_large",
        "The statement is too much work.",
        expected="fewer rows or joins: narrow it with WHERE, join on keys, take it in parts",
    )


def _lower(value: object) -> str:
    return value.lower() if isinstance(value, str) else ""
