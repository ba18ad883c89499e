"""The world and its filesystem under random use."""

from __future__ import annotations

import fnmatch
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from impress_env.clock import minutes
from impress_env.errors import ToolError
from impress_env.world.filesystem import MAX_PARTS, MAX_PATH, File, Filesystem, normalise
from impress_env.world.table import Record
from impress_env.world.world import Base, World

START = minutes("2026-11-19T14:23")
CORE = settings(max_examples=150, deadline=None, derandomize=True)


class Item(Record, frozen=True, kw_only=True):
    name: str
    count: int | None = None
    tags: tuple[str, ...] = ()


TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
ITEMS = st.builds(
    Item,
    name=TEXT,
    count=st.none() | st.integers(-(2**63), 2**63 - 1),
    tags=st.lists(TEXT, max_size=2).map(tuple),
)
KEYS = st.sampled_from("abcdefgh") | TEXT
BASE = Base(
    records={"items": Item, "others": Item, "files": File},
    rows={"items": {key: Item(name=key) for key in "heb"}, "others": {"a": Item(name="a")}},
    clock=START,
    digest="ab" * 16,
)

WRITES = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(["items", "others"]), KEYS, ITEMS),
        st.tuples(st.just("delete"), st.sampled_from(["items", "others"]), KEYS),
        st.tuples(st.just("count"), st.sampled_from(["items", "others"]), KEYS, st.integers(0, 9)),
        st.tuples(st.just("id"), st.sampled_from(["A-", "B-"])),
        st.tuples(st.just("schedule"), st.integers(-10, 500), TEXT),
        st.tuples(st.just("notify"), TEXT),
    ),
    max_size=12,
)


def write(world: World, acts: list[tuple[Any, ...]]) -> None:
    """Write inside the open transaction; what cannot be done is left out."""
    for act in acts:
        if act[0] == "put":
            world.table(act[1]).put(act[2], act[3])
        elif act[0] == "delete" and act[2] in world.table(act[1]):
            world.table(act[1]).delete(act[2])
        elif act[0] == "count" and act[2] in world.table(act[1]):
            world.table(act[1]).update(act[2], count=act[3])
        elif act[0] == "id":
            world.next_id(act[1])
        elif act[0] == "schedule":
            world.schedule(world.clock + act[1], f"kit.{act[2]}", {"text": act[2], "more": [1, None]})
        elif act[0] == "notify":
            world.notify("kit", act[1])


def step(world: World, acts: list[tuple[Any, ...]], minutes_after: int = 0) -> None:
    world.begin(actor="agent", step=1)
    write(world, acts)
    world.commit()
    world.move_clock(world.clock + minutes_after)


STEPS = st.lists(st.tuples(WRITES, st.integers(0, 90)), max_size=4)


def played(steps: list[tuple[list[tuple[Any, ...]], int]], world: World | None = None) -> World:
    world = world or World(BASE)
    for acts, passed in steps:
        step(world, acts, passed)
    return world


def order(world: World) -> list[tuple[str, str]]:
    return [(name, key) for name in world.base.records for key in world.table(name)]


# ---- tables


@CORE
@given(STEPS, WRITES)
def test_a_table_is_a_sorted_mapping(steps, acts):
    model: dict[str, dict[str, Item]] = {name: dict(BASE.rows[name]) for name in ("items", "others")}
    world = World(BASE)
    for found, passed in [*steps, (acts, 0)]:
        for act in found:
            if act[0] == "put":
                model[act[1]][act[2]] = act[3]
            elif act[0] == "delete":
                model[act[1]].pop(act[2], None)
            elif act[0] == "count" and act[2] in model[act[1]]:
                old = model[act[1]][act[2]]
                model[act[1]][act[2]] = Item(name=old.name, count=act[3], tags=old.tags)
        step(world, found, passed)
    for name, rows in model.items():
        table = world.table(name)
        assert table.items() == sorted(rows.items())
        assert table.keys() == list(table) == sorted(rows)
        assert table.values() == [row for _, row in sorted(rows.items())]
        assert len(table) == len(rows)
        assert table.first() == min(rows, default=None)
        for key in {*rows, *"abcdefgh"}:
            assert table.get(key) == rows.get(key)
            assert (key in table) == (key in rows)


# ---- transactions


@CORE
@given(STEPS, WRITES)
def test_writes_that_are_rolled_back_leave_the_bytes_identical(steps, acts):
    world = played(steps)
    before, digest, keys = world.to_json(), world.digest, order(world)
    world.begin(actor="agent", step=9)
    write(world, acts)
    world.rollback()
    assert (world.to_json(), world.digest, order(world)) == (before, digest, keys)


@CORE
@given(STEPS, WRITES, WRITES)
def test_a_step_after_a_roll_back_is_the_step_without_it(steps, lost, kept):
    world, other = played(steps), played(steps)
    world.begin(actor="agent", step=9)
    write(world, lost)
    world.rollback()
    step(world, kept)
    step(other, kept)
    assert (world.to_json(), world.digest) == (other.to_json(), other.digest)


@CORE
@given(STEPS, WRITES)
def test_changes_are_what_differs_before_and_after(steps, acts):
    world = played(steps)
    before = world.fork()
    world.begin(actor="agent", step=9)
    write(world, acts)
    seen = world.changes()
    assert world.commit() == seen
    differ = {
        (name, key): (before.row(name, key), world.row(name, key))
        for name in world.base.records
        for key in {*before.table(name).keys(), *world.table(name).keys()}
        if before.row(name, key) != world.row(name, key)
    }
    assert seen == differ
    assert list(seen) == sorted(seen)


@CORE
@given(STEPS, WRITES)
def test_the_digest_moves_exactly_where_something_changed(steps, acts):
    world = played(steps)
    before, rows = world.digest, [world.table(name).items() for name in world.base.records]
    step(world, acts)
    same = rows == [world.table(name).items() for name in world.base.records]
    assert (world.digest == before) is same


@CORE
@given(STEPS)
def test_the_digest_is_of_the_changes_and_the_clock_alone(steps):
    world, other = played(steps), World(BASE)
    for acts, passed in steps:
        other.begin(actor="ada", step=77, tool="x")
        write(other, acts)
        other.rollback()
        other.begin(actor="ada", step=78, tool="y")
        write(other, acts)
        other.commit()
        other.move_clock(other.clock + passed)
        other.restore(other.snapshot())
    assert world.digest == other.digest


# ---- snapshot, restore, fork


@CORE
@given(STEPS, STEPS)
def test_a_restored_world_is_the_one_that_was_snapshot(before, after):
    world = played(before)
    snapshot, text, digest, keys = world.snapshot(), world.to_json(), world.digest, order(world)
    played(after, world)
    world.restore(snapshot)
    assert (world.to_json(), world.digest, order(world)) == (text, digest, keys)
    other = World(BASE)
    other.restore(snapshot)
    assert (other.to_json(), other.digest) == (text, digest)
    assert played(after, world).to_json() == played(after, other).to_json()


@CORE
@given(STEPS, STEPS, STEPS)
def test_a_fork_is_the_same_world_and_independent(before, mine, theirs):
    world = played(before)
    other = world.fork()
    assert (other.to_json(), other.digest) == (world.to_json(), world.digest)
    played(mine, world)
    kept = world.to_json()
    played(theirs, other)
    assert world.to_json() == kept
    assert other.to_json() == played(theirs, played(before)).to_json()
    assert world.to_json() == played(mine, played(before)).to_json()


@CORE
@given(STEPS)
def test_a_delta_is_never_larger_than_the_difference_from_the_base_allows(steps):
    world = played(steps)
    for name, delta in world.snapshot().deltas.items():
        for key, row in delta.items():
            assert row is not None or key in BASE.rows[name]


# ---- JSON


@CORE
@given(STEPS, STEPS)
def test_a_world_from_json_is_equal_iterates_equally_and_goes_on_equally(before, after):
    world = played(before)
    other = World(BASE)
    other.load_json(world.to_json())
    assert other.fingerprint() == world.fingerprint()
    assert (other.digest, other.clock, order(other)) == (world.digest, world.clock, order(world))
    played(after, world)
    played(after, other)
    assert (other.fingerprint(), other.digest, order(other)) == (world.fingerprint(), world.digest, order(world))


# ---- files

PARTS = st.sampled_from(["a", "b", "c.md", "..", ".", "", "é", "~", "a b", "..a", "%2e%2e"])
PATHS = st.one_of(
    st.lists(PARTS, max_size=4).map("/".join),
    st.lists(PARTS, max_size=4).map(lambda parts: "/" + "//".join(parts)),
    st.lists(PARTS, max_size=3).map("\\".join),
    st.text(st.characters(codec="utf-8"), max_size=12),
    st.sampled_from(["/" + "x" * 600, "/a" * 40, "\x00", "/a\nb", "/etc/../../x", "C:\\x", "/", ""]),
)
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), PATHS, st.sampled_from(["", "short", "y" * 5000])),
        st.tuples(st.just("delete"), PATHS),
        st.tuples(st.just("read"), PATHS),
    ),
    max_size=14,
)


def clean(path: str) -> str | None:
    """The path as a plain model sees it, or None where it is refused."""
    parts = [part for part in path.replace("\\", "/").split("/") if part not in ("", ".")]
    refused = not path or ".." in parts or any(ord(c) < 32 or ord(c) == 127 for c in path)
    return None if refused or len(path) > MAX_PATH or len(parts) > MAX_PARTS else "/" + "/".join(parts)


def below(model: dict[str, str], path: str) -> bool:
    return any(known.startswith(path.rstrip("/") + "/") for known in model)


def done(model: dict[str, str], act: tuple[str, ...]) -> object:
    """What a dict of texts answers: the text, or the code of the refusal."""
    path = clean(act[1])
    if path is None:
        return "invalid_arguments"
    if act[0] == "write":
        inside = any(path.startswith(known + "/") for known in model)
        if path == "/" or (path not in model and (below(model, path) or inside)):
            return "conflict"
        model[path] = act[2]
        return act[2]
    if path not in model:
        return "not_found"
    return model.pop(path) if act[0] == "delete" else model[path]


@CORE
@given(ACTS, ACTS)
def test_the_filesystem_is_a_dict_of_paths_and_never_leaves_its_root(first, second):
    world, model = World(BASE), {}
    drive = Filesystem(world)
    for acts in (first, second):
        world.begin(actor="agent", step=1)
        for act in acts:
            try:
                if act[0] == "write":
                    found: object = drive.write(act[1], act[2], by="agent").text
                else:
                    found = (drive.delete if act[0] == "delete" else drive.get)(act[1]).text
            except ToolError as refusal:
                found = refusal.code
            assert found == done(model, act), act
        world.commit()
    files = world.table("files")
    assert {path: file.text for path, file in files.items()} == model
    assert files.keys() == sorted(model)
    for path, file in files.items():
        assert file.path == path == normalise(path)
        assert path.startswith("/")
        assert not {"..", ".", ""} & set(path[1:].split("/"))
    for folder in ("/", "/a", "/a/b"):
        expected = {}
        for path in sorted(model):
            if path.startswith(folder.rstrip("/") + "/"):
                name, slash, _ = path[len(folder.rstrip("/")) + 1 :].partition("/")
                expected[f"{folder.rstrip('/')}/{name}{slash}"] = None
        assert drive.names(folder) == list(expected)
        for pattern in ("*", "*.md", "/a/*"):
            below_it = [path for path in sorted(model) if path.startswith(folder.rstrip("/") + "/")]
            wanted = [
                p
                for p in below_it
                if fnmatch.fnmatchcase(p, pattern) or fnmatch.fnmatchcase(p.rpartition("/")[2], pattern)
            ]
            assert [file.path for file in drive.under(folder, pattern)] == wanted


@CORE
@given(PATHS)
def test_a_normal_path_stays_as_it_is_and_what_is_refused_is_told_shortly(path):
    refusal: dict[str, object] = {}
    try:
        found = normalise(path)
    except ToolError as error:
        refusal = error.as_dict()
    if clean(path) is None:
        assert refusal["code"] == "invalid_arguments"
        assert len(str(refusal)) < 1000
    else:
        assert not refusal
        assert found == clean(path) == normalise(found)
