"""The world of one episode: transactions, time, schedule, snapshots, digests, JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from impress_env.clock import minutes
from impress_env.effects import Effect
from impress_env.errors import WorldError
from impress_env.world.filesystem import File
from impress_env.world.table import Record
from impress_env.world.world import (
    INLINE_LIMIT,
    Base,
    Change,
    Notice,
    World,
    changed_fields,
    content_hash,
    encode_record,
)

START = minutes("2026-11-19T14:23")


class Line(Record, frozen=True):
    item: str
    count: int


class Order(Record, frozen=True, kw_only=True):
    state: str
    lines: tuple[Line, ...] = ()
    note: str | None = None


def base(**changes: Any) -> Base:
    fields: dict[str, Any] = {
        "records": {"orders": Order, "files": File},
        "rows": {"orders": {"O-2": Order(state="open", lines=(Line("cable", 2),)), "O-1": Order(state="paid")}},
        "clock": START,
        "digest": "ab" * 16,
    }
    return Base(**{**fields, **changes})


BASE = base()


@pytest.fixture
def world() -> World:
    return World(BASE)


def change(world: World, key: str = "O-1", **fields: Any) -> None:
    world.begin(actor="agent", step=1)
    world.table("orders").update(key, **fields)
    world.commit()


# ---- the base


def test_rows_of_an_undeclared_table_are_refused():
    with pytest.raises(WorldError, match=r"unknown tables \['ordres'\]; declared: .*'orders'"):
        base(rows={"ordres": {}})


def test_an_unknown_table_is_told_with_those_that_there_are(world: World):
    with pytest.raises(WorldError, match=r"no table 'ordres' in this world; declared: \['files', 'ids', 'orders'"):
        world.table("ordres")


def test_a_fresh_world_is_its_base(world: World):
    assert (world.now, world.clock, world.digest) == ("2026-11-19T14:23", START, "ab" * 16)
    assert world.rows("orders") == [Order(state="paid"), Order(state="open", lines=(Line("cable", 2),))]
    assert world.row("orders", "O-1") == Order(state="paid")
    assert world.row("orders", "O-9") is None


# ---- transactions


def test_a_commit_keeps_the_writes_and_says_what_changed(world: World):
    world.begin(actor="agent", step=1)
    orders = world.table("orders")
    orders.put("O-3", Order(state="new"))
    orders.update("O-1", state="sent")
    orders.update("O-1", note="x")
    orders.delete("O-2")
    gone = Order(state="open", lines=(Line("cable", 2),))
    assert world.commit() == {
        ("orders", "O-1"): (Order(state="paid"), Order(state="sent", note="x")),
        ("orders", "O-2"): (gone, None),
        ("orders", "O-3"): (None, Order(state="new")),
    }
    assert not world.in_transaction
    assert orders.keys() == ["O-1", "O-3"]


def test_changes_come_in_the_order_of_tables_and_keys(world: World):
    world.begin(actor="agent", step=1)
    for key in ("O-9", "O-5", "O-7"):
        world.table("orders").put(key, Order(state="new"))
    world.table("files").put("/a", File(path="/a", text="x"))
    assert list(world.changes()) == [("files", "/a"), ("orders", "O-5"), ("orders", "O-7"), ("orders", "O-9")]


@pytest.mark.parametrize(
    "acts",
    [
        lambda orders: orders.put("O-1", Order(state="paid")),
        lambda orders: (orders.update("O-1", state="x"), orders.update("O-1", state="paid")),
        lambda orders: (orders.put("O-9", Order(state="x")), orders.delete("O-9")),
        lambda orders: (orders.delete("O-1"), orders.put("O-1", Order(state="paid"))),
        lambda orders: None,
    ],
)
def test_what_comes_back_to_where_it_was_is_no_change(world: World, acts: Any):
    before = world.fingerprint()
    world.begin(actor="agent", step=1)
    acts(world.table("orders"))
    assert world.commit() == {}
    assert (world.digest, world.fingerprint()) == ("ab" * 16, before)


def test_what_came_in_one_transaction_can_go_in_the_next(world: World):
    world.begin(actor="agent", step=1)
    world.table("orders").put("O-9", Order(state="x"))
    world.commit()
    world.begin(actor="agent", step=2)
    world.table("orders").delete("O-9")
    assert world.commit() == {("orders", "O-9"): (Order(state="x"), None)}
    assert world.snapshot().deltas == {}


def test_a_rolled_back_transaction_leaves_no_trace(world: World):
    change(world, state="sent")
    world.notify("mail", "one")
    before, digest = world.to_json(), world.digest
    world.begin(actor="agent", step=2)
    orders = world.table("orders")
    orders.update("O-1", state="lost")
    orders.delete("O-2")
    orders.put("O-9", Order(state="x"))
    orders.delete("O-9")
    world.next_id("RUN-")
    world.notify("mail", "two")
    world.emit(Effect(kind="read", object="x"))
    world.clock += 30
    world.rollback()
    assert (world.to_json(), world.digest) == (before, digest)
    assert not world.in_transaction
    assert world.effects == []
    assert [notice.text for notice in world.take_notices()] == ["one"]


def test_transactions_do_not_nest(world: World):
    world.begin(actor="agent", step=1)
    with pytest.raises(WorldError, match="already open"):
        world.begin(actor="agent", step=2)


@pytest.mark.parametrize("act", ["commit", "rollback", "changes"])
def test_without_a_transaction_there_is_nothing_to_settle(world: World, act: str):
    with pytest.raises(WorldError, match="no transaction is open"):
        getattr(world, act)()


@pytest.mark.parametrize("act", ["snapshot", "fork"])
def test_no_snapshot_or_fork_inside_a_transaction(world: World, act: str):
    snapshot = world.snapshot()
    world.begin(actor="agent", step=1)
    with pytest.raises(WorldError, match="no snapshot or fork while a proposal is open"):
        getattr(world, act)()
    with pytest.raises(WorldError, match="no restore while a proposal is open"):
        world.restore(snapshot)


def test_a_transaction_knows_its_actor_step_and_tool_and_collects_its_effects(world: World):
    world.begin(actor="ada", step=4, tool="orders.send")
    world.emit(Effect(kind="send", object="orders://O-1"))
    assert (world.actor, world.step, world.tool) == ("ada", 4, "orders.send")
    world.commit()
    assert [effect.kind for effect in world.effects] == ["send"]
    world.begin(actor="agent", step=5)
    assert (world.effects, world.tool) == ([], "")


def test_versions_move_with_every_write_and_roll_back(world: World):
    tables = ("orders", "files")
    seen = [world.versions(tables)]
    change(world, state="sent")
    seen.append(world.versions(tables))
    world.begin(actor="agent", step=2)
    world.table("orders").update("O-1", state="lost")
    seen.append(world.versions(tables))
    world.rollback()
    seen.append(world.versions(tables))
    world.restore(world.snapshot())
    seen.append(world.versions(tables))
    assert len(set(seen)) == len(seen)
    assert len({orders for orders, _ in seen}) == len(seen)
    assert len({files for _, files in seen[:4]}) == 1


# ---- ids, notices


def test_ids_count_by_prefix_from_their_start(world: World):
    world.begin(actor="agent", step=1)
    ids = [
        world.next_id("RUN-"),
        world.next_id("RUN-"),
        world.next_id("B", width=2, start=41),
        world.next_id("B", width=2),
    ]
    assert ids == ["RUN-0001", "RUN-0002", "B41", "B42"]
    world.rollback()
    world.begin(actor="agent", step=1)
    assert world.next_id("RUN-") == "RUN-0001"


def test_notices_wait_until_they_are_taken(world: World):
    world.notify("mail", "one")
    world.move_clock(START + 5)
    world.notify("ci", "two")
    assert world.take_notices() == (
        Notice("mail", "2026-11-19T14:23", "one"),
        Notice("ci", "2026-11-19T14:28", "two"),
    )
    assert world.take_notices() == ()


# ---- time


def test_the_clock_moves_forward_between_transactions(world: World):
    world.move_clock(START + 60)
    assert world.now == "2026-11-19T15:23"
    with pytest.raises(WorldError, match="the clock moves forward, between transactions"):
        world.move_clock(START)
    world.begin(actor="agent", step=1)
    with pytest.raises(WorldError, match="the clock moves forward, between transactions"):
        world.move_clock(START + 90)


def test_moving_the_clock_moves_the_digest_and_standing_still_does_not(world: World):
    world.move_clock(START)
    assert world.digest == "ab" * 16
    world.move_clock(START + 1)
    assert world.digest != "ab" * 16


def test_events_fall_due_in_the_order_of_their_time_then_of_their_planning(world: World):
    world.begin(actor="agent", step=1)
    for due, kind in (
        (START + 30, "ci.late"),
        (START + 5, "ci.first"),
        (START + 5, "ci.second"),
        (START - 99, "ci.now"),
    ):
        world.schedule(due, kind, {"n": 1})
    world.commit()
    assert world.next_due(START - 1) is None
    order = []
    while (due := world.next_due(START + 29)) is not None:
        key, event = due
        order.append((event.kind, event.due - START))
        world.begin(actor="system", step=1)
        world.table("schedule").delete(key)
        world.commit()
    assert order == [("ci.now", 0), ("ci.first", 5), ("ci.second", 5)]
    assert world.next_due(START + 30) is not None


def test_a_planned_event_keeps_a_payload_of_its_own(world: World):
    payload = {"n": 1}
    world.begin(actor="agent", step=1)
    world.schedule(START, "ci.x", payload)
    payload["n"] = 2
    (_, event) = world.next_due(START) or ("", None)
    assert event is not None
    assert event.payload == {"n": 1}


# ---- snapshot, restore, fork


def test_a_snapshot_brings_everything_back(world: World):
    change(world, state="sent")
    world.notify("mail", "one")
    snapshot, before = world.snapshot(), world.to_json()
    change(world, state="lost")
    change(world, "O-2", note="x")
    world.move_clock(START + 500)
    world.take_notices()
    world.restore(snapshot)
    assert world.to_json() == before
    change(world, state="again")
    world.restore(snapshot)  # a snapshot is not used up
    assert world.to_json() == before


def test_a_fork_and_its_origin_go_their_own_ways(world: World):
    change(world, state="sent")
    world.notify("mail", "one")
    other = world.fork()
    assert other.to_json() == world.to_json()
    before = world.to_json()
    change(other, state="lost")
    other.move_clock(START + 5)
    other.take_notices()
    assert world.to_json() == before
    change(world, "O-2", state="shut")
    assert other.row("orders", "O-2") == Order(state="open", lines=(Line("cable", 2),))
    assert other.base is world.base


def test_the_same_history_gives_the_same_digest_on_both_sides_of_a_fork(world: World):
    other = world.fork()
    for one in (world, other):
        change(one, state="sent")
        one.move_clock(START + 5)
    assert world.digest == other.digest != "ab" * 16


def test_a_snapshot_holds_what_changed_and_not_what_exists(world: World):
    change(world, state="sent")
    assert world.snapshot().deltas == {"orders": {"O-1": Order(state="sent")}}


def test_derived_values_are_dropped_on_restore(world: World):
    world.cache["engine"] = object()
    world.restore(world.snapshot())
    assert world.cache == {}


# ---- digests


def digest_after(*acts: Any, clock: int = START, digest: str = "ab" * 16) -> str:
    world = World(base(clock=clock, digest=digest))
    for act in acts:
        world.begin(actor="agent", step=1)
        act(world)
        world.commit()
    return world.digest


def test_the_digest_depends_on_the_start_the_clock_the_place_and_the_value():
    def put(key: str = "O-9", state: str = "x", table: str = "orders") -> Any:
        return lambda world: world.table(table).put(key, Order(state=state))

    digests = [
        digest_after(put()),
        digest_after(put(), clock=START + 1),
        digest_after(put(), digest="cd" * 16),
        digest_after(put(key="O-8")),
        digest_after(put(state="y")),
        digest_after(put(), put(state="y")),
        digest_after(lambda world: world.table("orders").delete("O-1")),
        digest_after(lambda world: world.table("orders").delete("O-2")),
    ]
    assert len(set(digests)) == len(digests)
    assert digest_after(put()) == digests[0]


def test_the_order_of_writing_inside_a_transaction_does_not_matter():
    def both(*keys: str) -> str:
        return digest_after(lambda world: [world.table("orders").put(key, Order(state="x")) for key in keys])

    assert both("O-8", "O-9") == both("O-9", "O-8")


def test_the_actor_and_the_step_do_not_enter_the_digest(world: World):
    other = world.fork()
    for one, actor, step in ((world, "agent", 1), (other, "ada", 7)):
        one.begin(actor=actor, step=step)
        one.table("orders").update("O-1", state="sent")
        one.commit()
    assert world.digest == other.digest


def test_a_long_text_enters_the_digest_by_its_hash():
    long = "x" * (INLINE_LIMIT + 1)
    assert content_hash("x" * INLINE_LIMIT) == ""
    assert len(content_hash(long)) == 32
    assert content_hash(long) != content_hash("y" + long[1:])
    file = File(path="/a", text=long, content_hash=content_hash(long))
    assert len(encode_record(file)) < 300
    assert encode_record(file) != encode_record(File(path="/a", text=long, content_hash=content_hash("y" + long[1:])))
    assert b"short" in encode_record(File(path="/a", text="short"))


def test_the_fingerprint_is_of_the_whole_state_and_not_of_its_history(world: World):
    other = World(BASE)
    change(world, state="sent")
    assert world.fingerprint() != other.fingerprint()
    plain = World(base(rows={"orders": {"O-1": Order(state="sent")}}))
    assert World(base(rows={"orders": {"O-1": Order(state="sent")}})).fingerprint() == plain.fingerprint()


# ---- JSON


def test_the_state_goes_to_json_and_back():
    world = World(BASE)
    change(world, state="sent", note="é 😀", lines=(Line("bag", 1), Line("box", 2)))
    world.begin(actor="agent", step=2)
    world.table("orders").delete("O-2")
    world.table("files").put("/z", File(path="/z", text="z", labels=("personal",)))
    world.schedule(START + 5, "ci.x", {"n": [1, "a", None]})
    world.commit()
    world.move_clock(START + 3)
    world.notify("mail", "one")
    other = World(BASE)
    other.load_json(world.to_json())
    assert other.to_json() == world.to_json()
    assert other.digest == world.digest
    assert other.rows("orders") == world.rows("orders")
    change(other, state="more")
    change(world, state="more")
    assert other.digest == world.digest


def test_loaded_rows_that_are_the_bases_are_shared_with_it(world: World):
    change(world, state="sent")
    other = World(BASE)
    other.load_json(world.to_json())
    assert list(other.snapshot().deltas) == ["orders"]
    assert list(other.snapshot().deltas["orders"]) == ["O-1"]


def test_json_is_compact_and_in_order_whatever_the_history(world: World):
    for key in ("O-7", "O-5", "O-6"):
        world.begin(actor="agent", step=1)
        world.table("orders").put(key, Order(state="x"))
        world.schedule(START, "ci.x", {"b": 1, "a": 2})
        world.commit()
    text = world.to_json()
    data = json.loads(text)
    assert json.dumps(data, separators=(",", ":")).encode() == text
    assert list(data["tables"]) == sorted(data["tables"])
    assert list(data["tables"]["orders"]) == ["O-1", "O-2", "O-5", "O-6", "O-7"]
    assert all(list(event["payload"]) == ["a", "b"] for event in data["tables"]["schedule"].values())


@pytest.mark.parametrize(
    ("alter", "message"),
    [
        (lambda data: data.update(format=2), "saved world has format 2, this version reads 1"),
        (lambda data: data["tables"].update(ordres={}), r"tables unknown here: \['ordres'\]"),
        (lambda data: data["tables"]["orders"]["O-1"].update(state=5), "table 'orders': Expected `str`, got `int`"),
        (lambda data: data["tables"]["orders"]["O-1"].pop("state"), "table 'orders': Object missing required field"),
        (lambda data: data.pop("clock"), "not a saved world: Object missing required field `clock`"),
        (lambda data: data.update(clock="noon"), "not a saved world: Expected `int`"),
        (lambda data: data.update(digest="noon"), "not a saved world: .*digest"),
        (lambda data: data.update(clock=-1), "not a saved world: .*clock"),
    ],
)
def test_foreign_json_is_refused(world: World, alter: Any, message: str):
    data = json.loads(world.to_json())
    alter(data)
    before = world.to_json()
    with pytest.raises(WorldError, match=message):
        world.load_json(json.dumps(data).encode())
    assert world.to_json() == before


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"\xff", b'"x"', b'{"clock":"\xff"}', b'{"tables":{"a":{"b":' + b"[" * 100_000]
)
def test_what_is_no_json_of_a_world_is_refused(world: World, text: bytes):
    with pytest.raises(WorldError, match="not a saved world"):
        world.load_json(text)


# ---- diff


def test_a_diff_names_every_field_that_differs(world: World):
    other = world.fork()
    other.begin(actor="agent", step=1)
    other.table("orders").update("O-1", state="sent", note="x")
    other.table("orders").delete("O-2")
    other.table("files").put("/a", File(path="/a", text="x"))
    other.commit()
    gone = Order(state="open", lines=(Line("cable", 2),))
    assert list(world.diff(other)) == [
        Change("files", "/a", "", None, File(path="/a", text="x")),
        Change("orders", "O-1", "state", "paid", "sent"),
        Change("orders", "O-1", "note", None, "x"),
        Change("orders", "O-2", "", gone, None),
    ]
    assert list(world.diff(world.fork())) == []


def test_worlds_of_different_tables_are_compared_too(world: World):
    other = World(
        Base(records={"files": File}, rows={"files": {"/a": File(path="/a", text="x")}}, clock=0, digest="00")
    )
    assert [(change.table, change.key) for change in world.diff(other)] == [
        ("files", "/a"),
        ("orders", "O-1"),
        ("orders", "O-2"),
    ]


def test_a_record_of_another_type_differs_as_a_whole():
    one, two = Order(state="x"), Line("x", 1)
    assert list(changed_fields("t", "k", one, two)) == [Change("t", "k", "", one, two)]
    assert list(changed_fields("t", "k", one, Order(state="x"))) == []
