"""Copy-on-write tables of one world."""

from __future__ import annotations

import pytest

from impress_env.errors import WorldError
from impress_env.world.table import Record, Table
from impress_env.world.world import Base, World


class Note(Record, frozen=True, kw_only=True):
    text: str
    stars: int = 0


class Other(Record, frozen=True):
    text: str


BASE = Base(
    records={"notes": Note, "others": Other},
    rows={"notes": {"d": Note(text="four"), "b": Note(text="two", stars=2), "f": Note(text="six")}},
    clock=0,
    digest="00" * 16,
)


@pytest.fixture
def world() -> World:
    world = World(BASE)
    world.begin(actor="agent", step=1)
    return world


@pytest.fixture
def notes(world: World) -> Table[Note]:
    return world.typed("notes", Note)


def test_the_base_is_read_in_key_order(notes: Table[Note]):
    assert notes.keys() == list(notes) == ["b", "d", "f"]
    assert [note.text for note in notes.values()] == ["two", "four", "six"]
    assert notes.items() == [("b", Note(text="two", stars=2)), ("d", Note(text="four")), ("f", Note(text="six"))]
    assert len(notes) == 3


def test_rows_are_in_key_order_whatever_the_order_of_writing(notes: Table[Note]):
    for key in ("e", "a", "g", "c"):
        notes.put(key, Note(text=key))
    notes.put("d", Note(text="new four"))
    notes.delete("f")
    assert notes.keys() == ["a", "b", "c", "d", "e", "g"]
    assert [note.text for note in notes.values()] == ["a", "two", "c", "new four", "e", "g"]
    assert [key for key, _ in notes.items()] == notes.keys()
    assert len(notes) == 6


def test_the_first_key_is_that_of_the_order(notes: Table[Note]):
    def first_is(key: str | None) -> None:
        assert notes.first() == (notes.keys()[0] if notes.keys() else None) == key

    first_is("b")
    notes.put("a", Note(text="one"))
    first_is("a")
    notes.delete("a")
    notes.delete("b")
    first_is("d")
    notes.put("e", Note(text="five"))
    first_is("d")
    notes.delete("d")
    first_is("e")
    for key in ("e", "f"):
        notes.delete(key)
    first_is(None)


def test_the_first_key_of_an_empty_table_is_none(world: World):
    others = world.typed("others", Other)
    assert others.first() is None
    others.put("x", Other("x"))
    assert others.first() == "x"


def test_a_record_is_there_or_not(notes: Table[Note]):
    assert notes.get("b") == notes["b"] == Note(text="two", stars=2)
    assert "b" in notes
    notes.delete("b")
    assert notes.get("b") is None
    assert "b" not in notes
    assert 5 not in notes
    with pytest.raises(KeyError, match="b"):
        notes["b"]


def test_fields_of_a_record_are_replaced_and_the_rest_stays(notes: Table[Note]):
    assert notes.update("b", text="deux") == Note(text="deux", stars=2)
    assert notes["b"] == Note(text="deux", stars=2)
    with pytest.raises(KeyError):
        notes.update("x", text="none")
    with pytest.raises(TypeError):
        notes.update("b", colour="red")


def test_what_was_deleted_can_come_back(notes: Table[Note]):
    notes.delete("b")
    with pytest.raises(KeyError):
        notes.delete("b")
    notes.put("b", Note(text="again"))
    assert notes["b"].text == "again"
    assert notes.keys() == ["b", "d", "f"]


def test_rows_are_chosen_by_equal_fields_in_key_order(notes: Table[Note]):
    notes.put("a", Note(text="two", stars=1))
    assert notes.where(text="two") == [Note(text="two", stars=1), Note(text="two", stars=2)]
    assert notes.where(text="two", stars=2) == [Note(text="two", stars=2)]
    assert notes.where(text="none") == []
    assert len(notes.where()) == 4


def test_a_table_takes_records_of_its_type_only(notes: Table[Note]):
    with pytest.raises(WorldError, match="table 'notes' holds Note, found Other for key 'x'"):
        notes.put("x", Other("x"))  # type: ignore[arg-type]
    assert "x" not in notes


@pytest.mark.parametrize("write", ["put", "update", "delete"])
def test_nothing_is_written_outside_a_transaction(write: str):
    notes = World(BASE).typed("notes", Note)
    calls = {
        "put": lambda: notes.put("x", Note(text="x")),
        "update": lambda: notes.update("b", stars=3),
        "delete": lambda: notes.delete("b"),
    }
    with pytest.raises(WorldError, match=r"write to table 'notes' outside a transaction; open one with world.begin"):
        calls[write]()
    assert notes.keys() == ["b", "d", "f"]
    assert notes["b"].stars == 2


def test_writes_never_reach_the_base_or_another_world(world: World, notes: Table[Note]):
    other = World(BASE).typed("notes", Note)
    notes.put("a", Note(text="one"))
    notes.update("b", stars=9)
    notes.delete("d")
    assert other.keys() == ["b", "d", "f"]
    assert other["b"].stars == 2
    assert list(BASE.rows["notes"]) == ["b", "d", "f"]


def test_records_are_frozen(notes: Table[Note]):
    with pytest.raises(AttributeError):
        notes["b"].text = "x"
