import copy
import gc
import pickle
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from impress_env.clock import minutes
from impress_env.errors import ToolError, WorldError
from impress_env.world.database import (
    ROWS,
    SCHEMAS,
    Column,
    Database,
    Row,
    Schema,
    check_row,
    check_schema,
    row_key,
)
from impress_env.world.guard import FUNCTIONS
from impress_env.world.world import Base, Counter, World

ORDERS = Schema(
    db="shop",
    table="orders",
    columns=(
        Column(name="id", type="integer", nullable=False),
        Column(name="customer", type="text", nullable=False, labels=("personal",)),
        Column(name="amount_minor", type="integer", labels=("confidential", "internal")),
        Column(name="paid", type="boolean"),
        Column(name="placed", type="timestamp"),
    ),
    primary_key="id",
    writable=True,
)
NOTES = Schema(
    db="shop",
    table="notes",
    columns=(Column(name="code", type="text", nullable=False), Column(name="body", type="text", labels=("internal",))),
    primary_key="code",
    writable=True,
)
RATES = Schema(
    db="shop",
    table="rates",
    columns=(Column(name="currency", type="text", nullable=False), Column(name="per_mille", type="integer")),
    primary_key="currency",
)
OTHER = Schema(
    db="hr",
    table="staff",
    columns=(Column(name="id", type="text", nullable=False), Column(name="salary_minor", type="integer")),
    primary_key="id",
    writable=True,
)
SHOP = (ORDERS, NOTES, RATES, OTHER)
DATA: dict[str, list[tuple[Any, ...]]] = {
    "orders": [
        (9, "Amaru", 1250, True, "2026-11-02 09:14:00"),
        (41, "Bosede", 990, False, "2026-11-11 16:40:00"),
        (117, "Chantrea", None, None, "2026-11-18 08:05:00"),
    ],
    "notes": [("a", "first"), ("b", None), ("ä", "later")],
    "rates": [("EUR", 1000), ("NOK", 86)],
    "staff": [("s-1", 4_100_000)],
}
CLOCK = minutes("2026-11-18T10:23")


def base(data: dict[str, list[tuple[Any, ...]]] | None = None) -> Base:
    rows = {
        row_key(schema, values[schema.key]): Row(f"{schema.db}.{schema.table}", values)
        for schema in SHOP
        for values in (data if data is not None else DATA).get(schema.table, [])
    }
    schemas = {f"{schema.db}.{schema.table}": schema for schema in SHOP}
    return Base(
        records={SCHEMAS: Schema, ROWS: Row},
        rows={SCHEMAS: schemas, ROWS: rows},
        clock=CLOCK,
        digest="00" * 16,
    )


def shop(data: dict[str, list[tuple[Any, ...]]] | None = None) -> World:
    return World(base(data))


@contextmanager
def call(world: World) -> Iterator[Database]:
    """A call's transaction: committed, or rolled back on an error."""
    world.begin(actor="agent", step=1)
    try:
        yield Database(world)
    except ToolError:
        world.rollback()
        raise
    world.commit()


def rows(world: World, sql: str, *parameters: object) -> list[tuple[object, ...]]:
    return list(Database(world).query("shop", sql, parameters).rows)


def answer(world: World, sql: str) -> str:
    try:
        return str(Database(world).query("shop", sql))
    except ToolError as error:
        return error.message


def refusal(world: World, sql: str, *parameters: object, verb: str = "query") -> ToolError:
    before = world.fingerprint()
    with pytest.raises(ToolError) as refused, call(world) as db:
        getattr(db, verb)("shop", sql, parameters)
    assert world.fingerprint() == before
    assert rows(world, "SELECT count(*) FROM orders") == [(3,)]
    return refused.value


# ---- reading


def test_a_query_returns_rows_and_columns() -> None:
    found = Database(shop()).query("shop", "SELECT id, customer AS who, paid FROM orders WHERE id > ?", [10])
    assert found.columns == ("id", "who", "paid")
    assert found.rows == ((41, "Bosede", 0), (117, "Chantrea", None))
    assert (found.total, found.truncated) == (2, False)


def test_parameters_may_be_named() -> None:
    found = Database(shop()).query("shop", "SELECT id FROM orders WHERE customer = :who", {"who": "Amaru"})
    assert found.rows == ((9,),)


def test_a_query_tells_what_it_read_of_each_table() -> None:
    found = Database(shop()).query(
        "shop", "SELECT o.id, sum(n.body IS NOT NULL) FROM orders o, notes n WHERE o.amount_minor > 1000 GROUP BY o.id"
    )
    notes, orders = found.reads
    assert (notes.table, notes.columns, notes.labels, notes.count) == ("notes", ("body",), ("internal",), 1)
    assert (orders.table, orders.columns, orders.count) == ("orders", ("id", "amount_minor"), 1)
    assert orders.labels == ("confidential", "internal")
    assert (orders.keys, notes.keys) == (("9",), ())


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("SELECT count(*) FROM orders", ()),
        ("SELECT 1 FROM orders", ()),
        ("SELECT * FROM orders", ("id", "customer", "amount_minor", "paid", "placed")),
        ("WITH x AS (SELECT customer FROM orders) SELECT count(*) FROM x", ("customer",)),
        ('WITH "~touched:0:INSERT" AS (SELECT customer FROM orders) SELECT * FROM "~touched:0:INSERT"', ("customer",)),
        ("SELECT 1 WHERE EXISTS (SELECT 1 FROM orders WHERE paid)", ("paid",)),
        ("SELECT 5 ORDER BY (SELECT max(placed) FROM orders)", ("placed",)),
    ],
)
def test_no_column_is_read_unseen(sql: str, columns: tuple[str, ...]) -> None:
    (read,) = Database(shop()).query("shop", sql).reads
    assert (read.table, read.columns) == ("orders", columns)


def test_a_query_asked_again_is_read_again() -> None:
    db = Database(shop())
    assert db.query("shop", "SELECT body FROM notes") == db.query("shop", "SELECT body FROM notes")


def test_shown_keys_are_those_of_one_table_only() -> None:
    db = Database(shop())
    assert db.query("shop", "SELECT * FROM orders").reads[0].keys == ("9", "41", "117")
    assert db.query("shop", "SELECT 9 AS id FROM orders").reads[0].keys == ()
    assert db.query("shop", "SELECT id + 1 AS id FROM orders").reads[0].keys == ()


def test_a_scan_runs_in_key_order_whatever_was_written_before() -> None:
    world = shop()
    with call(world) as db:
        db.execute("shop", "INSERT INTO orders VALUES (5, 'Dilek', 1, 1, NULL), (40, 'Eluned', 2, 0, NULL)")
        db.execute("shop", "UPDATE orders SET id = 1 WHERE id = 117")
    assert [row[0] for row in rows(world, "SELECT id FROM orders")] == [1, 5, 9, 40, 41]


def test_results_are_cut_off_and_counted() -> None:
    world = shop({"orders": [(i, "x" * 40, i, True, None) for i in range(1000)]})
    found = Database(world).query("shop", "SELECT id FROM orders")
    assert (len(found.rows), found.total, found.truncated) == (200, 1000, True)
    assert found.reads[0].count == 200
    wide = Database(world).query("shop", "SELECT *, customer || customer || customer FROM orders")
    assert 40 < len(wide.rows) < 100


def test_what_json_cannot_carry_is_written_out() -> None:
    assert rows(shop(), "SELECT x'00ff', 9e999, -9e999, 0.1 + 0.2, NULL") == [
        ("X'00FF'", "Inf", "-Inf", 0.30000000000000004, None)
    ]


def test_json_functions_work() -> None:
    assert rows(shop(), "SELECT value FROM json_each('[3,4]')") == [(3,), (4,)]
    assert rows(shop(), "SELECT json_extract('{\"a\":7}', '$.a')") == [(7,)]


def test_databases_are_apart() -> None:
    db = Database(shop())
    assert db.names() == ("hr", "shop")
    assert db.counts("shop") == {"notes": 3, "orders": 3, "rates": 2}
    assert list(db.schemas("hr")) == ["staff"]
    with pytest.raises(ToolError, match="No table staff"):
        db.query("shop", "SELECT * FROM staff")
    with pytest.raises(ToolError, match="No database 'crm'") as refused:
        db.query("crm", "SELECT 1")
    assert refused.value.offer == ("hr", "shop")


# ---- time


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("now()", "2026-11-18 10:23:00"),
        ("CURRENT_TIMESTAMP", "2026-11-18 10:23:00"),
        ("CURRENT_DATE", "2026-11-18"),
        ("current_time", "10:23:00"),
        ("datetime()", "2026-11-18 10:23:00"),
        ("datetime('now')", "2026-11-18 10:23:00"),
        ("datetime('NOW', '-7 days', 'start of day')", "2026-11-11 00:00:00"),
        ("datetime('now', 'localtime')", "2026-11-18 10:23:00"),
        ("datetime('2026-03-01 12:00', 'utc')", "2026-03-01 12:00:00"),
        ("date('now', 'localtime', '+1 day')", "2026-11-19"),
        ("datetime('now' || char(0) || 'x')", "2026-11-18 10:23:00"),
        ("datetime(x'6e6f77')", "2026-11-18 10:23:00"),
        ("time('subsec')", "10:23:00"),
        ("strftime('%Y-%m')", "2026-11"),
        ("strftime('%H', 'now')", "10"),
        ("strftime('%s', 'now') - strftime('%s', '2026-11-18')", 37_380),
        ("round(julianday('now') - julianday('2026-11-18'), 4)", 0.4326),
        ("date(0, 'unixepoch')", "1970-01-01"),
        ("date(NULL)", None),
        ("date('nonsense')", None),
    ],
)
def test_now_is_the_clock_of_the_world(sql: str, value: object) -> None:
    assert rows(shop(), f"SELECT {sql}") == [(value,)]


def test_now_moves_with_the_clock() -> None:
    world = shop()
    assert rows(world, "SELECT now()") == [("2026-11-18 10:23:00",)]
    world.move_clock(CLOCK + 15)
    assert rows(world, "SELECT now(), time('now')") == [("2026-11-18 10:38:00", "10:38:00")]


# ---- writing


def test_a_write_becomes_records() -> None:
    world = shop()
    with call(world) as db:
        done = db.execute("shop", "UPDATE orders SET paid = TRUE WHERE id = 41")
    assert world.row(ROWS, "shop.orders|0000000041") == Row(
        "shop.orders", (41, "Bosede", 990, True, "2026-11-11 16:40:00")
    )
    assert done.affected == 1
    (write,) = done.writes
    assert (write.table, write.kind, write.keys, write.columns) == ("orders", "update", ("41",), ("paid",))
    assert (write.before, write.after, write.values) == (False, True, {"paid": True})
    assert done.reads == ()


def test_inserts_updates_and_deletions_are_told_by_kind() -> None:
    world = shop()
    with call(world) as db:
        (made,) = db.execute("shop", "INSERT INTO notes VALUES ('c', 'same'), ('d', 'same')").writes
        (changed,) = db.execute("shop", "UPDATE orders SET amount_minor = amount_minor + 1, paid = 1").writes
        (gone,) = db.execute("shop", "DELETE FROM notes WHERE body IS NULL").writes
        moved = db.execute("shop", "UPDATE notes SET code = 'z' WHERE code = 'a'").writes
    assert (made.kind, made.keys, made.columns, made.values) == (
        "create", ("c", "d"), ("code", "body"), {"body": "same"},
    )  # fmt: skip
    assert (changed.columns, changed.keys, changed.values, changed.before) == (
        ("amount_minor", "paid"), ("9", "41", "117"), {"paid": True}, None,
    )  # fmt: skip
    assert changed.labels == ("confidential", "internal")
    assert (gone.kind, gone.keys, gone.columns, gone.labels) == ("delete", ("b",), (), ("internal",))
    assert [(write.kind, write.keys) for write in moved] == [("create", ("z",)), ("delete", ("a",))]


def test_a_write_that_changes_nothing_changes_nothing() -> None:
    world = shop()
    before = world.fingerprint()
    with call(world) as db:
        done = db.execute("shop", "UPDATE orders SET paid = paid")
        assert (done.affected, done.writes) == (3, ())
    assert world.fingerprint() == before


def test_replace_and_upsert_are_updates_of_what_was_there() -> None:
    world = shop()
    with call(world) as db:
        (one,) = db.execute("shop", "REPLACE INTO notes VALUES ('a', 'new')").writes
        (two,) = db.execute(
            "shop", "INSERT INTO notes VALUES ('a', '?') ON CONFLICT (code) DO UPDATE SET body = 'newer'"
        ).writes
    assert [(write.kind, write.before, write.after) for write in (one, two)] == [
        ("update", "first", "new"),
        ("update", "new", "newer"),
    ]


def test_reading_while_writing_is_reading() -> None:
    world = shop()
    with call(world) as db:
        copied = db.execute("shop", "INSERT INTO notes SELECT customer, placed FROM orders WHERE paid")
        shown = db.execute("shop", "UPDATE orders SET paid = 0 WHERE id = 9 RETURNING customer")
    assert [(read.table, read.columns, read.labels) for read in copied.reads] == [
        ("orders", ("customer", "paid", "placed"), ("personal",))
    ]
    assert shown.rows == (("Amaru",),)
    assert [(read.table, read.columns, read.count) for read in shown.reads] == [("orders", ("id", "customer"), 1)]


def test_numbers_and_text_take_the_type_of_the_column() -> None:
    world = shop()
    with call(world) as db:
        db.execute("shop", "INSERT INTO notes VALUES (12, 3.5)")
        db.execute("shop", "UPDATE orders SET amount_minor = '77', paid = 1.0 WHERE id = 9")
    assert world.row(ROWS, "shop.notes|12") == Row("shop.notes", ("12", "3.5"))
    assert world.row(ROWS, "shop.orders|0000000009") == Row(
        "shop.orders", (9, "Amaru", 77, True, "2026-11-02 09:14:00")
    )


@pytest.mark.parametrize(
    ("sql", "code", "message"),
    [
        ("INSERT INTO orders (customer) VALUES ('x')", "invalid_arguments", "orders.id is missing"),
        ("INSERT INTO orders (id) VALUES (1)", "invalid_arguments", "orders.customer is missing"),
        ("INSERT INTO orders VALUES (9, 'x', 1, 1, '')", "conflict", "orders.id"),
        ("UPDATE orders SET id = 9", "conflict", "orders.id"),
        ("UPDATE orders SET amount_minor = 1.5", "invalid_arguments", "amount_minor"),
        ("UPDATE orders SET amount_minor = 'many'", "invalid_arguments", "amount_minor"),
        ("UPDATE orders SET paid = 2", "invalid_arguments", "paid"),
        ("UPDATE orders SET customer = x'00'", "invalid_arguments", "customer"),
        ("UPDATE notes SET body = CAST(x'ff' AS TEXT)", "invalid_arguments", "well-formed"),
        ("UPDATE notes SET body = CAST(x'eda080' AS TEXT)", "invalid_arguments", "well-formed"),
        ("UPDATE notes SET code = CAST(x'ff' AS TEXT) WHERE code = 'a'", "invalid_arguments", "well-formed"),
        ("INSERT INTO notes VALUES ('q')", "invalid_arguments", "2 columns"),
        ("UPDATE rates SET per_mille = 1", "forbidden", "rates is read-only"),
        ("INSERT INTO notes SELECT currency, 1 FROM rates; DELETE FROM notes", "invalid_arguments", "several"),
        ("SELECT * FROM orders", "invalid_arguments", "query"),
        ("WITH x AS (SELECT 1) SELECT * FROM x", "invalid_arguments", "writes nothing"),
        ("UPDATE nowhere SET a = 1", "not_found", "No table nowhere"),
        ("UPDATE orders SET nought = 1", "not_found", "No column nought"),
        ("UPDATE notes SET body = format('%.*c', 7000, 'x')", "too_large", "does not fit"),
        ("UPDATE notes SET body = replace(format('%.*c', 9000, 'x'), 'x', 'yy')", "too_large", "too big"),
        ("UPDATE sqlite_master SET sql = ''", "invalid_arguments", "may not be modified"),
        ("DELETE FROM sqlite_temp_master", "invalid_arguments", "may not be modified"),
        ("INSERT INTO json_each VALUES (1)", "forbidden", "json_each cannot be written"),
        (
            "INSERT INTO notes WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c) SELECT x, x FROM c",
            "too_large",
            "work",
        ),
        ("INSERT INTO orders SELECT a.id + 1000 * b.id + 1000000 * c.id + 1000000000 * d.id + 1000000000000 * e.id "
         "+ 1000000000000000 * f.id + 1000000000000000 * g.id / 2, 'x', 1, 1, 1 "
         "FROM orders a, orders b, orders c, orders d, orders e, orders f, orders g", "too_large", "too many rows"),
        ("DELETE FROM orders WHERE (SELECT count(*) FROM orders a, orders b, orders c, orders d, orders e, orders f, "
         "orders g, orders h, orders i, orders j, orders k, orders l, orders m, orders n)", "too_large", "work"),
    ],
)  # fmt: skip
def test_a_refused_write_changes_nothing(sql: str, code: str, message: str) -> None:
    error = refusal(shop(), sql, verb="execute")
    assert error.code == code
    assert message in error.message


def test_a_late_failure_takes_earlier_rows_back() -> None:
    world = shop()
    refusal(world, "UPDATE orders SET paid = CASE id WHEN 117 THEN 7 ELSE 0 END", verb="execute")
    assert rows(world, "SELECT paid FROM orders") == [(1,), (0,), (None,)]


def test_a_write_outside_a_transaction_is_refused() -> None:
    world = shop()
    with pytest.raises(WorldError):
        Database(world).execute("shop", "DELETE FROM notes")
    assert rows(world, "SELECT count(*) FROM notes") == [(3,)]


def test_a_database_does_not_grow_without_end() -> None:
    world = shop({"notes": [("k", "x" * 5_000)]})
    sql = (
        "INSERT INTO notes WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 1000) "
        "SELECT ? || x, body FROM c, notes WHERE code = 'k'"
    )
    world.begin(actor="agent", step=1)
    Database(world).execute("shop", sql, ("0-",))
    Database(world).execute("shop", sql, ("1-",))
    Database(world).execute("shop", sql, ("2-",))
    with pytest.raises(ToolError, match="full") as refused:
        Database(world).execute("shop", sql, ("3-",))
    assert refused.value.code == "too_large"
    assert rows(world, "SELECT count(*) FROM notes") == [(3_001,)]


# ---- refusals


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE x (a)", "CREATE TEMP VIEW v AS SELECT 1", "DROP TABLE orders", "ALTER TABLE orders ADD b",
        "ATTACH ':memory:' AS o", "DETACH main", "PRAGMA user_version", "PRAGMA writable_schema = ON", "BEGIN",
        "COMMIT", "END", "ROLLBACK", "SAVEPOINT s", "RELEASE change", "VACUUM", "VACUUM INTO '/tmp/x'", "ANALYZE",
        "REINDEX",
        "EXPLAIN SELECT 1", "EXPLAIN QUERY PLAN SELECT 1", " /* x */ -- y\n ; DROP TABLE orders",
    ],
)  # fmt: skip
@pytest.mark.parametrize("verb", ["query", "execute"])
def test_statements_about_the_engine_are_forbidden(sql: str, verb: str) -> None:
    error = refusal(shop(), sql, verb=verb)
    assert error.code == "forbidden"
    assert error.expected


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT random()", "SELECT hex(randomblob(4))", "SELECT last_insert_rowid()", "SELECT changes()",
        "SELECT total_changes()", "SELECT sqlite_version()", "SELECT sqlite_source_id()", "SELECT load_extension('x')",
        "SELECT zeroblob(5)", "SELECT exp(1)", "SELECT * FROM orders ORDER BY random()", "SELECT sqlite_log(1, 'x')",
        "SELECT * FROM sqlite_master", "SELECT count(*) FROM sqlite_temp_master",
        "SELECT 1 FROM pragma_table_info('x')",
        "SELECT * FROM pragma_database_list", "SELECT * FROM dbstat", 'SELECT "~touched"(0, 1)',
        'WITH "~touched:" AS (SELECT random()) SELECT * FROM "~touched:"', "SELECT * FROM sqlite_stmt",
    ],
)  # fmt: skip
def test_what_depends_on_chance_history_or_the_engine_is_refused(sql: str) -> None:
    assert refusal(shop(), sql).code in ("forbidden", "not_found", "invalid_arguments")


@pytest.mark.parametrize(
    "sql",
    ["INSERT INTO notes VALUES ('x', 'y')", "DELETE FROM orders", "REPLACE INTO notes VALUES (1, 2)",
     "WITH x AS (SELECT 1) DELETE FROM orders"],
)  # fmt: skip
def test_a_query_cannot_write(sql: str) -> None:
    error = refusal(shop(), sql)
    assert error.code == "invalid_arguments"
    assert "execute" in error.expected


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("", "invalid_arguments"),
        ("  -- nothing", "invalid_arguments"),
        ("/* open", "invalid_arguments"),
        ("selec 1", "invalid_arguments"),
        ("SELECT (", "invalid_arguments"),
        ("SELECT 1; SELECT 2", "invalid_arguments"),
        ("SELECT 'a\0b'", "invalid_arguments"),
        ("\ufeffEXPLAIN SELECT 1", "invalid_arguments"),
        ("SELECT * FROM nowhere", "not_found"),
        ("SELECT * FROM shop.orders", "not_found"),
        ("SELECT nought FROM orders", "not_found"),
        ("SELECT rowid FROM orders", "not_found"),
        ("SELECT nofunction(1)", "invalid_arguments"),
        ("SELECT ?", "invalid_arguments"),
        ("SELECT CAST(x'ff' AS TEXT)", "invalid_arguments"),
        ("SELECT abs(-9223372036854775808)", "invalid_arguments"),
        ("SELECT timediff()", "invalid_arguments"),
        ("SELECT " + "1," * 500_000 + "1", "too_large"),
        ("SELECT " + "(" * 2_000 + "1" + ")" * 2_000, "too_large"),
        ("SELECT " + "1+" * 2_000 + "1", "too_large"),
        ("SELECT 1" + " UNION SELECT 1" * 200, "too_large"),
        ("SELECT " + ",".join(["1"] * 300), "too_large"),
        ("SELECT 1 FROM " + ",".join(["orders"] * 80), "too_large"),
        ("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c", "too_large"),
        ("WITH RECURSIVE c(x) AS (SELECT 'ab' UNION ALL SELECT x || x FROM c) SELECT x FROM c", "too_large"),
        ("SELECT " + ",".join(f"o{i}.id" for i in range(20)) + " FROM " + ",".join(f"orders o{i}" for i in range(20)),
         "too_large"),
        ("SELECT datetime(o0.id) FROM " + ",".join(f"orders o{i}" for i in range(12)), "too_large"),
        ("SELECT 1 WHERE 'a' LIKE '" + "%a" * 80 + "'", "too_large"),
        ("SELECT replace(format('%.*c', 9000, 'x'), 'x', 'yy')", "too_large"),
    ],
)  # fmt: skip
def test_bad_and_huge_statements_are_answered(sql: str, code: str) -> None:
    assert refusal(shop(), sql).code == code


@pytest.mark.parametrize(
    "parameters",
    [(2**63,), (float("nan"),), (float("inf"),), ([1],), (b"x",), ("x" * 20_000,), (1,) * 501, (), (1, 2), {"a": 1},
     "x", 5],
)  # fmt: skip
def test_bad_parameters_are_answered(parameters: Any) -> None:
    with pytest.raises(ToolError) as refused:
        Database(shop()).query("shop", "SELECT ?", parameters)
    assert refused.value.code in ("invalid_arguments", "too_large")


def test_an_unknown_column_is_answered_with_those_there_are() -> None:
    assert "orders.customer" in refusal(shop(), "SELECT name FROM orders").offer


def test_memory_and_work_are_bounded_by_the_widths_of_what_is_sorted() -> None:
    world = shop({"notes": [(f"{i:05d}", "x" * 5_000) for i in range(1_000)]})
    with pytest.raises(ToolError) as refused:
        Database(world).query("shop", "SELECT * FROM notes a, notes b ORDER BY a.body, b.body")
    assert refused.value.code == "too_large"
    assert Database(world).query("shop", "SELECT code FROM notes ORDER BY body, code").total == 1_000


def test_hostile_text_goes_in_and_comes_out() -> None:
    world = shop()
    hostile = ["a\0b", "\ud800x", "'; DROP TABLE notes; --", "‮﷽" * 50, "\x1b[31m", ""]
    for number, text in enumerate(hostile):
        with call(world) as db:
            db.execute("shop", "INSERT INTO notes VALUES (?, ?)", (text + str(number), text))
    clean = [text.replace("\ud800", "�") for text in hostile]
    found = rows(world, "SELECT body FROM notes WHERE code NOT IN ('a', 'b', 'ä')")
    assert sorted(str(body) for (body,) in found) == sorted(clean)
    again = World(world.base)
    again.load_json(world.to_json())
    assert again.fingerprint() == world.fingerprint()
    assert Database(again).query("shop", "SELECT * FROM notes") == Database(world).query("shop", "SELECT * FROM notes")
    assert rows(world, "SELECT '\ud800'") == [("�",)]


def test_every_allowed_function_is_pure() -> None:
    world = shop()
    first = {}
    for repeat in range(2):
        for name in sorted(FUNCTIONS - {"->", "->>"}):
            for arguments in ("", "'2026-01-31'", "'ab', 'b'", "'{}', '$.a', 1"):
                found = answer(world, f"SELECT {name}({arguments}) FROM rates")
                if repeat == 0:
                    first[name, arguments] = found
                assert first[name, arguments] == found
        world.restore(world.snapshot())


# ---- the engine is derived


def test_a_rolled_back_write_is_gone_from_the_engine() -> None:
    world = shop()
    before = world.fingerprint()
    rows(world, "SELECT 1")
    world.begin(actor="agent", step=1)
    Database(world).execute("shop", "DELETE FROM orders")
    assert rows(world, "SELECT count(*) FROM orders") == [(0,)]
    world.rollback()
    assert rows(world, "SELECT count(*) FROM orders") == [(3,)]
    assert world.fingerprint() == before


def test_a_fork_goes_its_own_way() -> None:
    world = shop()
    with call(world) as db:
        db.execute("shop", "DELETE FROM orders WHERE id = 9")
    other = world.fork()
    with call(other) as db:
        db.execute("shop", "DELETE FROM orders")
    assert rows(world, "SELECT count(*) FROM orders") == [(2,)]
    assert rows(other, "SELECT count(*) FROM orders") == [(0,)]


def test_a_restore_brings_the_rows_back() -> None:
    world = shop()
    saved = world.snapshot()
    with call(world) as db:
        db.execute("shop", "UPDATE notes SET body = 'x'")
    world.restore(saved)
    assert rows(world, "SELECT body FROM notes") == [("first",), (None,), ("later",)]


def test_a_record_written_by_somebody_else_is_seen() -> None:
    world = shop()
    rows(world, "SELECT 1")
    world.begin(actor="system", step=1)
    world.table(ROWS).put("shop.notes|e", Row("shop.notes", ("e", "by hand")))
    world.table(SCHEMAS).update("shop.rates", writable=True)
    world.commit()
    assert rows(world, "SELECT body FROM notes WHERE code = 'e'") == [("by hand",)]
    with call(world) as db:
        assert db.execute("shop", "DELETE FROM rates").affected == 2


def test_the_engine_is_kept_while_its_rows_are_the_worlds() -> None:
    world = shop()
    rows(world, "SELECT 1")
    engine = world.cache["database:shop"]
    with call(world) as db:
        db.execute("shop", "UPDATE notes SET body = 'x'")
    world.begin(actor="agent", step=2)
    world.table("ids").put("X", Counter(1))
    world.commit()
    assert rows(world, "SELECT DISTINCT body FROM notes") == [("x",)]
    assert world.cache["database:shop"] is engine


def test_the_state_holds_no_trace_of_the_engine() -> None:
    used, unused = shop(), shop()
    rows(used, "SELECT * FROM orders ORDER BY customer")
    assert used.to_json() == unused.to_json()
    assert used.snapshot() == unused.snapshot()


def test_an_engine_is_freed_with_its_world_and_never_copied() -> None:
    world = shop()
    rows(world, "SELECT date('now')")
    engine: Any = world.cache["database:shop"]
    gone: Any = weakref.ref(engine._guard) if hasattr(engine._guard, "__weakref__") else None
    assert copy.deepcopy(engine) is None
    assert pickle.loads(pickle.dumps(engine)) is None
    gc.disable()
    try:
        world.cache = {}
        connection = engine._connection
        del engine
        with pytest.raises(Exception, match="closed"):
            connection.execute("SELECT 1")
    finally:
        gc.enable()
    assert gone is None or gone() is None


def test_the_answer_does_not_depend_on_the_history_of_the_engine() -> None:
    worn = shop()
    for number in range(40):
        with call(worn) as db:
            db.execute("shop", "INSERT INTO notes VALUES (?, ?)", (f"n{number * 7 % 40}", "x" * (number * 90)))
    for _ in range(30):
        with call(worn) as db:
            db.execute("shop", "UPDATE notes SET body = body || 'y' WHERE code < 'n2'")
            db.execute("shop", "DELETE FROM notes WHERE code > 'n35' AND code < 'o'")
    fresh = World(worn.base)
    fresh.load_json(worn.to_json())
    sql = "SELECT a.code, length(b.body) FROM notes a, notes b, notes c WHERE a.body > b.body ORDER BY b.body, c.code"
    limits = [sql.replace("notes c", ", ".join(f"notes {name}" for name in "cdefg"[:count])) for count in range(1, 6)]
    for text in ("SELECT * FROM notes", "SELECT code, body FROM notes GROUP BY length(body)", *limits):
        assert answer(worn, text) == answer(fresh, text)


# ---- records


def test_keys_sort_as_the_primary_keys_do() -> None:
    numbers = [-(2**63), -5, -1, 0, 7, 10, 9_999_999_999, 10_000_000_000, 2**63 - 1]
    keys = [row_key(ORDERS, number) for number in numbers]
    assert keys == sorted(keys)
    assert row_key(ORDERS, 4711) == "shop.orders|0000004711"
    assert row_key(NOTES, "a/b") == "shop.notes|a/b"


@pytest.mark.parametrize(
    "values",
    [
        (1, "x", 1, True), (None, "x", 1, True, None), (1, None, 1, True, None), ("1", "x", 1, True, None),
        (1, "x", 1.5, True, None), (1, "x", 1, 1, None), (True, "x", 1, True, None), (1, 5, 1, True, None),
        (1, "\ud800", 1, True, None), (1, "x" * 7_000, 1, True, None), (2**63, "x", 1, True, None),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit_are_refused(values: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=r"shop\.orders"):
        check_row(ORDERS, values)


@pytest.mark.parametrize(
    "changes",
    [
        {"table": "two words"}, {"table": "sqlite_x"}, {"db": ""}, {"primary_key": "nothing"}, {"primary_key": "paid"},
        {"primary_key": "amount_minor"}, {"columns": (Column(name="id", type="real", nullable=False),)},
        {"columns": (Column(name="id", type="text", nullable=False), Column(name="ID", type="text"))},
    ],
)  # fmt: skip
def test_schemas_that_no_table_can_be_made_of_are_refused(changes: dict[str, Any]) -> None:
    fields = {name: getattr(ORDERS, name) for name in ORDERS.__struct_fields__}
    with pytest.raises(ValueError, match="expected"):
        check_schema(Schema(**{**fields, **changes}))


# ---- properties

text = st.text(max_size=12)
number = st.integers(-50, 50) | st.integers(-(2**63), 2**63 - 1)
order = st.tuples(st.integers(-3, 12), text, st.none() | number, st.none() | st.booleans(), st.none() | text)
Model = dict[int, tuple[Any, ...]]


class Against(RuleBasedStateMachine):
    """SQLite over records against a dict of tuples, with commits, roll-backs, restores, forks and foreign writes."""

    saved = Bundle("saved")

    def __init__(self) -> None:
        super().__init__()
        self.world = shop({})
        self.model: Model = {}
        self.before: Model | None = None

    @precondition(lambda self: self.before is None)
    @rule()
    def begin(self) -> None:
        self.world.begin(actor="agent", step=1)
        self.before = dict(self.model)

    @precondition(lambda self: self.before is not None)
    @rule()
    def commit(self) -> None:
        self.world.commit()
        self.before = None

    @precondition(lambda self: self.before is not None)
    @rule()
    def rollback(self) -> None:
        self.world.rollback()
        assert self.before is not None
        self.model, self.before = self.before, None

    def run(self, sql: str, *parameters: object) -> bool:
        """Return whether the statement was carried out."""
        try:
            Database(self.world).execute("shop", sql, parameters)
        except ToolError as error:
            if error.code not in ("conflict", "invalid_arguments"):
                raise
            return False
        return True

    @precondition(lambda self: self.before is not None)
    @rule(values=order)
    def insert(self, values: tuple[Any, ...]) -> None:
        assert self.run("INSERT INTO orders VALUES (?, ?, ?, ?, ?)", *values) == (values[0] not in self.model)
        self.model.setdefault(values[0], values)

    @precondition(lambda self: self.before is not None)
    @rule(values=order)
    def replace(self, values: tuple[Any, ...]) -> None:
        assert self.run("REPLACE INTO orders VALUES (?, ?, ?, ?, ?)", *values)
        self.model[values[0]] = values

    @precondition(lambda self: self.before is not None)
    @rule(customer=text, above=st.integers(-3, 12))
    def update(self, customer: str, above: int) -> None:
        assert self.run("UPDATE orders SET customer = ?, paid = NOT paid WHERE id > ?", customer, above)
        for key, (_, _, amount, paid, placed) in list(self.model.items()):
            if key > above:
                self.model[key] = (key, customer, amount, None if paid is None else not paid, placed)

    @precondition(lambda self: self.before is not None)
    @rule(by=st.integers(1, 4))
    def move_keys(self, by: int) -> None:
        """SQLite checks keys row by row, so that moving may fail; then nothing has moved."""
        order_of_work = sorted(self.model)
        taken, fails = set(order_of_work), False
        for key in order_of_work:
            taken.discard(key)
            fails = fails or key + by in taken
            taken.add(key + by)
        if self.run("UPDATE orders SET id = id + ?", by):
            self.model = {key + by: (key + by, *values[1:]) for key, values in self.model.items()}
        else:
            assert fails

    @precondition(lambda self: self.before is not None)
    @rule(key=st.integers(-3, 12))
    def delete(self, key: int) -> None:
        assert self.run("DELETE FROM orders WHERE id = ?", key)
        self.model.pop(key, None)

    @precondition(lambda self: self.before is not None)
    @rule()
    def fail_half_way(self) -> None:
        if len(self.model) > 1:
            last = max(self.model)
            assert not self.run("UPDATE orders SET amount_minor = CASE id WHEN ? THEN 'x' ELSE 0 END", last)

    @precondition(lambda self: self.before is not None)
    @rule(values=order)
    def write_a_record(self, values: tuple[Any, ...]) -> None:
        self.world.table(ROWS).put(row_key(ORDERS, values[0]), Row("shop.orders", values))
        self.model[values[0]] = values

    @precondition(lambda self: self.before is None)
    @rule(target=saved)
    def snapshot(self) -> Any:
        return self.world.snapshot(), dict(self.model)

    @precondition(lambda self: self.before is None)
    @rule(point=consumes(saved))
    def restore(self, point: Any) -> None:
        self.world.restore(point[0])
        self.model = dict(point[1])

    @precondition(lambda self: self.before is None)
    @rule()
    def fork(self) -> None:
        self.world = self.world.fork()

    @invariant()
    def rows_agree(self) -> None:
        wanted = [self.model[key] for key in sorted(self.model)]
        found = Database(self.world).query("shop", "SELECT * FROM orders").rows
        assert [tuple(row) for row in found] == wanted
        records = [row.values for row in self.world.typed(ROWS, Row).values()]
        assert records == wanted
        assert [[type(value) for value in row] for row in records] == [[type(v) for v in row] for row in wanted]
        total = sum(1 for row in wanted if row[3])
        assert rows(self.world, "SELECT count(*) FROM orders WHERE paid") == [(total,)]


TestSqliteAgainstADict = Against.TestCase
TestSqliteAgainstADict.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


words = st.sampled_from(
    [
        "SELECT", "INSERT", "INTO", "UPDATE", "SET", "DELETE", "FROM", "WHERE", "orders", "notes", "id", "body", "(",
        ")", "*", ",", ";", "'x'", "1", "NULL", "?", "WITH", "AS", "x", "VALUES", "RETURNING", "ON CONFLICT DO NOTHING",
        "=", "json_each('[1]')", "group_concat(body)", "OVER", "LIMIT", "UNION ALL", "RECURSIVE", "||", "LIKE", "'%'",
        "--", "/*", "*/", '"customer"', "now()", "datetime()", "CAST", "TEXT", "x'ff'", ".", "<", "-",
    ]
)  # fmt: skip
value = st.none() | st.integers() | st.floats() | st.text() | st.binary() | st.lists(st.none())


@settings(max_examples=300, deadline=None)
@given(
    sql=st.text(max_size=60) | st.lists(words, max_size=14).map(" ".join),
    parameters=st.lists(value, max_size=2),
)
def test_any_statement_is_answered(sql: str, parameters: list[Any]) -> None:
    world = shop()
    for verb in ("query", "execute"):
        before = world.fingerprint()
        try:
            with call(world) as db:
                getattr(db, verb)("shop", sql, parameters)
        except ToolError:
            assert world.fingerprint() == before
    fresh = World(world.base)
    fresh.load_json(world.to_json())
    for table in ("orders", "notes", "rates"):
        assert rows(fresh, f"SELECT * FROM {table}") == rows(world, f"SELECT * FROM {table}")
