import pytest
from unit.tools.office_world import office, refused

from impress_env.testing.bench import Bench

NOTES = [
    {"at": "-12d 15:31", "text": "Board export drops the last column, use the second button.\n", "tags": ["board"]},
    {"at": "-40d 09:12", "text": "Imke prefers the weekly count in one line."},
    {"at": "-3d 10:05", "text": "CHG-20377 was closed late, " + "nothing to add; " * 30, "tags": ["changes", "board"]},
]


def desk() -> Bench:
    return office(("memory",), memory={"items": NOTES})


def test_notes_are_numbered_from_the_oldest_and_listed_from_the_newest():
    rows = desk().call("memory.list")["items"]
    assert [row["id"] for row in rows] == ["N-0003", "N-0002", "N-0001"]
    assert rows[2]["at"] == "2026-10-10T09:12"
    assert len(rows[0]["text"]) == 200
    assert rows[0]["tags"] == ["board", "changes"]


def test_a_list_reads_what_it_shows():
    work = desk()
    assert work.call("memory.list", tag="board")["total"] == 2
    (read,) = work.effects_of("read")
    assert (read.owner, read.covers) == ("svc-dunlin", ("memory://N-0002", "memory://N-0003"))


def test_notes_are_searched_by_words_and_time():
    work = desk()

    def ids(**arguments):
        return [row["id"] for row in work.call("memory.search", **arguments)["items"]]

    assert ids(text="column board") == ["N-0002"]
    assert ids(text='"weekly count"') == ["N-0001"]
    assert ids(text="board -column") == ["N-0003"]
    assert ids(text="", since="2026-11-16") == ["N-0003"]
    assert ids(text="CHG-20377") == ["N-0003"]
    assert refused(work, "memory.search", text="x" * 400).code == "too_large"


def test_a_note_opens_whole():
    work = desk()
    assert len(work.call("memory.get", id="N-0003")["text"]) > 400
    assert work.effects_of("read")[0].object == "memory://N-0003"
    error = refused(work, "memory.get", id="N-9")
    assert (error.code, error.offer) == ("not_found", ("N-0003", "N-0002", "N-0001"))


def test_a_note_is_saved_changed_and_deleted():
    work = desk()
    assert work.call("memory.save", text=" rota is on page 2 ", tags=["Rota", "rota"])["id"] == "N-0004"
    (create,) = work.effects_of("create")
    assert (create.object, create.claim) == ("memory://N-0004", "rota is on page 2")
    assert work.world.row("memory", "N-0004").tags == ("rota",)
    work.call("memory.update", id="N-0004", text="rota is on page 3")
    (update,) = work.effects_of("update")
    assert (update.fields, update.before, update.after) == (("text",), "rota is on page 2", "rota is on page 3")
    work.call("memory.delete", id="N-0004")
    assert work.effects_of("delete")[0].reversible is False
    assert work.world.row("memory", "N-0004") is None


@pytest.mark.parametrize(
    ("tool", "arguments", "code"),
    [
        ("memory.save", {"text": " "}, "invalid_arguments"),
        ("memory.save", {"text": "x" * 4001}, "too_large"),
        ("memory.save", {"text": "x", "tags": [str(n) for n in range(11)]}, "invalid_arguments"),
        ("memory.update", {"id": "N-0001"}, "invalid_arguments"),
        ("memory.update", {"id": "N-0009", "text": "x"}, "not_found"),
        ("memory.delete", {"id": "N-0009"}, "not_found"),
        ("memory.list", {"page": 2}, "not_found"),
    ],
)
def test_bad_calls_are_refused(tool, arguments, code):
    assert refused(desk(), tool, **arguments).code == code
