from typing import Any

import pytest

from impress_env.errors import ToolError
from impress_env.testing import bench
from impress_env.testing.bench import Bench
from impress_env.tool import toolkit

SEED: dict[str, Any] = {
    "databases": {
        "shop": {
            "tables": {
                "orders": {
                    "description": "Orders of the web shop.",
                    "columns": [
                        {"name": "id", "type": "integer"},
                        {"name": "customer", "nullable": False, "labels": ["personal", "confidential"]},
                        {"name": "amount_minor", "type": "integer", "description": "Cents, VAT included."},
                        {"name": "paid", "type": "boolean"},
                        {"name": "placed", "type": "timestamp"},
                        {"name": "due", "type": "date"},
                    ],
                    "primary_key": "id",
                    "writable": True,
                    "rows": [
                        [4711, "Amaru", 12_50, True, "-3d 14:12", "-1d 00:00"],
                        {"id": 4716, "customer": "Bosede", "placed": "2026-11-12T08:05:41", "due": "2026-12-01"},
                        {"id": 4720, "customer": 17, "placed": "09:02"},
                    ],
                },
                "rates": {
                    "columns": [{"name": "currency"}, {"name": "per_mille", "type": "integer"}],
                    "primary_key": "currency",
                    "rows": [["EUR", 1000], ["NOK", 86]],
                },
            }
        }
    }
}


def desk(**changes: Any) -> Bench:
    return bench(["database"], {"database": {**SEED, **changes}})


def test_tables_and_columns_are_listed() -> None:
    at = desk()
    assert at.call("database.tables") == [
        {"database": "shop", "table": "orders", "columns": 6, "rows": 3, "access": "read, write",
         "description": "Orders of the web shop."},
        {"database": "shop", "table": "rates", "columns": 2, "rows": 2, "access": "read", "description": ""},
    ]  # fmt: skip
    shown = at.call("database.describe", table="shop.Orders")
    assert shown["primary_key"] == "id"
    assert shown["columns"][:2] == [
        {"name": "id", "type": "integer", "nullable": False},
        {"name": "customer", "type": "text", "nullable": False, "classification": ["confidential", "personal"]},
    ]
    assert at.effects[0].object == "database://shop/orders#columns"


def test_dates_are_told_relative_to_the_start() -> None:
    rows = desk().call("database.query", sql="SELECT id, placed, due FROM orders")["rows"]
    assert rows == [
        [4711, "2026-11-16 14:12:00", "2026-11-18"],
        [4716, "2026-11-12 08:05:41", "2026-12-01"],
        [4720, "2026-11-19 09:02:00", None],
    ]


def test_a_query_is_a_read_of_each_table() -> None:
    at = desk()
    found = at.call(
        "database.query",
        sql="SELECT o.id, customer, r.currency FROM orders o JOIN rates r ON r.per_mille > ? WHERE o.paid",
        parameters=[500],
    )
    assert found == {"columns": ["id", "customer", "currency"], "rows": [[4711, "Amaru", "EUR"]], "row_count": 1}
    orders, rates = at.effects_of("read")
    assert (orders.object, orders.fields) == ("database://shop/orders", ("customer", "id", "paid"))
    assert (orders.labels, orders.count) == (("confidential", "personal"), 1)
    assert orders.covers == ("database://shop/orders/4711",)
    assert (rates.object, rates.labels, rates.fields) == ("database://shop/rates", (), ("currency", "per_mille"))
    assert rates.covers == ("database://shop/rates/EUR",)


def test_long_results_are_cut_and_say_so() -> None:
    rows = [[f"C{i:04d}", i] for i in range(900)]
    rates = {**SEED["databases"]["shop"]["tables"]["rates"], "rows": rows}
    at = desk(databases={"shop": {"tables": {"rates": rates}}})
    found = at.call("database.query", sql="SELECT * FROM rates")
    assert (len(found["rows"]), found["row_count"], found["truncated"]) == (200, 900, True)
    (read,) = at.effects_of("read")
    assert (read.count, len(read.covers)) == (200, 200)


def test_writes_are_effects_with_what_they_reached() -> None:
    at = desk()
    assert at.call("database.execute", sql="UPDATE orders SET paid = 1") == {"rows_affected": 3}
    (update,) = at.effects
    assert (update.kind, update.object, update.fields) == ("update", "database://shop/orders", ("paid",))
    assert (update.count, update.data) == (2, {"paid": True})
    assert update.covers == ("database://shop/orders/4716", "database://shop/orders/4720")

    at.call("database.execute", sql="UPDATE orders SET amount_minor = 990 WHERE id = 4711")
    (one,) = at.effects
    assert (one.before, one.after) == (1250, 990)

    at.call("database.execute", sql="INSERT INTO orders (id, customer) VALUES (:id, :who)",
            parameters={"id": 4800, "who": "Dilek"})  # fmt: skip
    (create,) = at.effects
    assert (create.kind, create.covers, create.data["customer"]) == (
        "create", ("database://shop/orders/4800",), "Dilek",
    )  # fmt: skip

    at.call("database.execute", sql="DELETE FROM orders WHERE id > 4711")
    (delete,) = at.effects
    assert (delete.kind, delete.count, delete.labels) == ("delete", 3, ("confidential", "personal"))
    assert delete.reversible is False


def test_returned_rows_are_read() -> None:
    at = desk()
    found = at.call("database.execute", sql="DELETE FROM orders WHERE id = 4711 RETURNING customer")
    assert (found["rows_affected"], found["rows"]) == (1, [["Amaru"]])
    assert [effect.kind for effect in at.effects] == ["read", "delete"]
    assert at.effects[0].labels == ("confidential", "personal")


def test_effects_hold_no_floats() -> None:
    at = desk()
    at.call("database.query", sql="SELECT avg(amount_minor) / 7 FROM orders WHERE amount_minor > ?", parameters=[0.5])
    assert at.effects[0].fields == ("amount_minor",)


@pytest.mark.parametrize(
    ("tool", "arguments", "code"),
    [
        ("query", {"sql": "DELETE FROM orders"}, "invalid_arguments"),
        ("query", {"sql": "SELECT * FROM order"}, "invalid_arguments"),
        ("query", {"sql": "SELECT * FROM clients"}, "not_found"),
        ("query", {"sql": "SELECT 1", "db": "crm"}, "not_found"),
        ("query", {"sql": "SELECT ?", "parameters": [[1]]}, "invalid_arguments"),
        ("query", {"sql": "SELECT random()"}, "forbidden"),
        ("query", {"sql": "SELECT " + "1," * 12_000 + "1"}, "too_large"),
        ("execute", {"sql": "DROP TABLE orders"}, "forbidden"),
        ("execute", {"sql": "DELETE FROM rates"}, "forbidden"),
        ("execute", {"sql": "INSERT INTO orders (id, customer) VALUES (4711, 'x')"}, "conflict"),
        ("describe", {"table": "clients"}, "not_found"),
        ("describe", {"table": "crm.orders"}, "not_found"),
        ("tables", {"db": "crm"}, "not_found"),
    ],
)
def test_a_bad_call_is_refused_and_changes_nothing(tool: str, arguments: dict[str, Any], code: str) -> None:
    at = desk()
    before = at.world.fingerprint()
    with pytest.raises(ToolError) as refused:
        at.call(f"database.{tool}", **arguments)
    assert refused.value.code == code
    assert at.world.fingerprint() == before


def test_with_several_databases_one_is_named() -> None:
    at = desk(databases={**SEED["databases"], "crm": SEED["databases"]["shop"]})
    assert {row["database"] for row in at.call("database.tables")} == {"crm", "shop"}
    with pytest.raises(ToolError) as refused:
        at.call("database.query", sql="SELECT 1")
    assert refused.value.offer == ("crm", "shop")
    at.call("database.execute", sql="DELETE FROM orders", db="crm")
    assert at.call("database.query", sql="SELECT count(*) FROM orders", db="shop")["rows"] == [[3]]
    assert at.call("database.describe", table="crm.orders")["database"] == "crm"


def changes(other: Bench) -> list[tuple[str, str, str]]:
    return [(change.table, change.key, change.field) for change in desk().world.diff(other.world)]


def test_a_twin_s_change_of_a_row_has_the_path_of_the_record() -> None:
    other = desk(rows={"shop.orders|0000004711": {"values": {"paid": False}}})
    assert changes(other) == [("database.rows", "shop.orders|0000004711", "values")]
    assert other.call("database.query", sql="SELECT paid, customer FROM orders WHERE id = 4711")["rows"] == [
        [0, "Amaru"]
    ]
    added = desk(rows={"shop.rates|SEK": {"values": {"per_mille": 88}}})
    assert changes(added) == [("database.rows", "shop.rates|SEK", "")]
    assert changes(desk(schemas={"shop.rates": {"writable": True}})) == [("database.schemas", "shop.rates", "writable")]


def table(**changes: Any) -> dict[str, Any]:
    return {"databases": {"s": {"tables": {"t": {"columns": [{"name": "a"}], "primary_key": "a", **changes}}}}}


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"rows": {"shop.orders|4711": {"values": {"customer": "x"}}}}, "use that key"),
        ({"rows": {"shop.orders|0000004711": {"values": {"id": 5}}}}, "use that key"),
        ({"rows": {"shop.orders|0000009999": {"values": {}}}}, "customer"),
        ({"rows": {"shop.clients|1": {"values": {}}}}, "expected a key"),
        ({"rows": {"shop.orders|0000004711": {"values": {"colour": 1}}}}, "no column 'colour'"),
        ({"schemas": {"shop.clients": {"writable": True}}}, "expected one of"),
        (table(primary_key="b"), "primary key"),
        (table(rows=[["x"], ["x"]]), "there twice"),
        (table(rows=[["x", 1]]), "expected 1 values, found 2"),
        (table(rows=[[1.5]]), "rows"),
    ],
)  # fmt: skip
def test_a_seed_that_does_not_fit_is_refused(section: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        desk(**section)


def test_the_schema_of_a_call_is_plain() -> None:
    tool = toolkit("database").tools["database.query"]
    assert set(tool.parameters["properties"]) == {"sql", "parameters", "db"}
    assert tool.parameters["required"] == ["sql"]
    assert "$ref" not in str(tool.parameters)
