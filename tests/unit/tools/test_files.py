import pytest
from pydantic import ValidationError
from unit.tools.office_world import office, refused

from impress_env.testing.bench import Bench
from impress_env.tool import toolkit

PAGE = "# Tuning\n\n1. Open the board.\n2. Archive what a change covers, cite it.\n3. The rest goes to the rota.\n"
LOG = "".join(f"{n:04d} 03:{n % 60:02d} node eu-{n % 7} ok\n" for n in range(1, 1201))


def drive() -> Bench:
    return office(
        ("files",),
        files={
            "items": [
                {"path": "/runbooks/tuning.md", "text": PAGE, "owner": "platform", "at": "-9d 16:42"},
                {"path": "/runbooks/old/tuning.md", "text": "superseded\n", "at": "-300d 09:10"},
                {"path": "/logs/node.log", "text": LOG, "mode": "444", "at": "08:55"},
                {
                    "path": "/staff/leave.csv",
                    "text": "id,days\n17,21\n",
                    "owner": "people-desk",
                    "mode": "600",
                    "labels": ["personal"],
                },
                {
                    "path": "/cases/C-31.txt",
                    "text": "Ref C-31 callback agreed\n",
                    "labels": ["personal", "confidential"],
                    "purposes": ["case_work"],
                    "at": "-2d 11:07",
                },
                {"path": "/wide.json", "text": '{"rows":"' + "x" * 20_000 + '"}'},
            ]
        },
    )


def test_a_folder_lists_files_and_counts_what_lies_below():
    desk = drive()
    rows = desk.call("files.list", folder="/runbooks")["items"]
    assert rows[0] == {"folder": "/runbooks/old/", "files": 1}
    assert rows[1]["path"] == "/runbooks/tuning.md"
    assert (rows[1]["owner"], rows[1]["modified"]) == ("platform", "2026-11-10T16:42")
    (read,) = desk.effects_of("read")
    assert (read.object, read.covers, read.fields) == ("files:///runbooks", ("files:///runbooks/tuning.md",), ("path",))


def test_an_unknown_folder_says_what_is_near():
    desk = drive()
    error = refused(desk, "files.list", folder="/runbooks/new/deep")
    assert error.code == "not_found"
    assert error.offer == ("/runbooks/old/", "/runbooks/tuning.md")
    assert refused(desk, "files.list", folder="/wide.json").code == "conflict"


def test_a_short_file_is_read_whole():
    desk = drive()
    result = desk.call("files.read", path="runbooks//tuning.md")
    assert result == {
        "path": "/runbooks/tuning.md",
        "owner": "platform",
        "modified": "2026-11-10T16:42",
        "text": PAGE,
    }
    (read,) = desk.effects_of("read")
    assert (read.object, read.owner, read.count, read.data) == (
        "files:///runbooks/tuning.md",
        "platform",
        5,
        {"whole": True},
    )


def test_reading_says_labels_and_purposes():
    desk = drive()
    desk.call("files.read", path="/cases/C-31.txt")
    (read,) = desk.effects_of("read")
    assert (read.labels, read.purposes) == (("confidential", "personal"), ("case_work",))


def test_a_long_file_is_read_in_parts_that_join_to_the_whole():
    desk = drive()
    part = desk.call("files.read", path="/logs/node.log", lines=2000)
    text, parts = part["text"], 1
    assert part["text"].endswith("\n")
    assert part["lines"] == 1200
    while "next_offset" in part:
        assert part["next_line"] == part["last_line"] + 1
        part = desk.call("files.read", path="/logs/node.log", line=part["next_line"], lines=2000)
        text, parts = text + part["text"], parts + 1
    assert text == LOG
    assert parts > 2


def test_a_part_of_a_file_says_which_lines_it_was():
    desk = drive()
    part = desk.call("files.read", path="/logs/node.log", line=41, lines=3)
    assert part["text"].splitlines() == LOG.splitlines()[40:43]
    assert (part["first_line"], part["last_line"], part["next_line"]) == (41, 43, 44)
    assert desk.effects_of("read")[0].data == {"whole": False, "first_line": 41, "last_line": 43}


def test_one_endless_line_is_read_by_offset():
    desk = drive()
    text, offset = "", 0
    while offset is not None:
        part = desk.call("files.read", path="/wide.json", offset=offset)
        text, offset = text + part["text"], part.get("next_offset")
        assert "next_line" not in part
    assert text == '{"rows":"' + "x" * 20_000 + '"}'


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"path": "/runbooks/tunning.md"}, "not_found"),
        ({"path": "/staff/leave.csv"}, "forbidden"),
        ({"path": "/../etc/passwd"}, "invalid_arguments"),
        ({"path": "/a\x00b"}, "invalid_arguments"),
        ({"path": "/a" * 10_000}, "invalid_arguments"),
        ({"path": "/runbooks/tuning.md", "line": 7}, "invalid_arguments"),
        ({"path": "/runbooks/tuning.md", "line": 0}, "invalid_arguments"),
        ({"path": "/runbooks/tuning.md", "lines": 0}, "invalid_arguments"),
        ({"path": "/runbooks/tuning.md", "offset": 10_000}, "invalid_arguments"),
    ],
)
def test_bad_reads_are_refused(arguments, code):
    assert refused(drive(), "files.read", **arguments).code == code


def test_an_empty_file_reads_as_empty():
    desk = drive()
    desk.call("files.write", path="/empty.txt", text="")
    assert desk.call("files.read", path="/empty.txt")["text"] == ""
    assert desk.effects_of("read")[0].count == 0


def test_writing_creates_and_then_replaces():
    desk = drive()
    assert desk.call("files.write", path="/notes/week.md", text="a\n")["created"] is True
    (create,) = desk.effects_of("create")
    assert (create.object, create.owner, create.data) == ("files:///notes/week.md", "svc-dunlin", {"characters": 2})
    assert desk.call("files.write", path="/notes/week.md", text="b\nc\n")["created"] is False
    (update,) = desk.effects_of("update")
    assert (update.reversible, update.data) == (False, {"characters_before": 2, "characters": 4})
    assert desk.world.row("files", "/notes/week.md").modified_by == "svc-dunlin"


def test_appending_starts_a_new_line():
    desk = drive()
    desk.call("files.write", path="/notes/week.md", text="one")
    desk.call("files.append", path="/notes/week.md", text="two\n")
    assert desk.world.row("files", "/notes/week.md").text == "one\ntwo\n"
    assert desk.effects_of("update")[0].reversible is True
    assert desk.call("files.append", path="/notes/new.md", text="x")["created"] is True


def test_an_edit_replaces_one_passage():
    desk = drive()
    desk.call("files.edit", path="/runbooks/tuning.md", old="cite it", new="cite its number")
    assert "cite its number.\n" in desk.world.row("files", "/runbooks/tuning.md").text
    (update,) = desk.effects_of("update")
    assert (update.owner, update.before, update.after) == ("platform", "cite it", "cite its number")
    assert refused(desk, "files.edit", path="/runbooks/tuning.md", old="nowhere", new="").code == "not_found"
    assert refused(desk, "files.edit", path="/runbooks/tuning.md", old="", new="x").code == "not_found"
    assert refused(desk, "files.edit", path="/runbooks/tuning.md", old="the", new="a").code == "conflict"
    assert desk.call("files.edit", path="/runbooks/tuning.md", old="the", new="a", all=True)["replaced"] == 2


@pytest.mark.parametrize(
    ("tool", "arguments", "code"),
    [
        ("files.write", {"path": "/logs/node.log", "text": "x"}, "forbidden"),
        ("files.append", {"path": "/logs/node.log", "text": "x"}, "forbidden"),
        ("files.write", {"path": "/staff/leave.csv", "text": "x"}, "forbidden"),
        ("files.write", {"path": "/runbooks", "text": "x"}, "conflict"),
        ("files.write", {"path": "/wide.json/a", "text": "x"}, "conflict"),
        ("files.delete", {"path": "/logs/node.log"}, "forbidden"),
        ("files.delete", {"path": "/runbooks"}, "conflict"),
        ("files.delete", {"path": "/", "recursive": True}, "forbidden"),
        ("files.delete", {"path": "/nothing"}, "not_found"),
        ("files.move", {"source": "/runbooks", "target": "/runbooks/old/x"}, "conflict"),
        ("files.move", {"source": "/wide.json", "target": "/cases/C-31.txt"}, "conflict"),
        ("files.move", {"source": "/wide.json", "target": "/cases"}, "conflict"),
        ("files.move", {"source": "/logs/node.log", "target": "/x.log"}, "forbidden"),
        ("files.copy", {"source": "/staff/leave.csv", "target": "/x.csv"}, "forbidden"),
        ("files.copy", {"source": "/wide.json", "target": "/wide.json", "overwrite": True}, "conflict"),
    ],
)
def test_what_the_drive_refuses_changes_nothing(tool, arguments, code):
    assert refused(drive(), tool, **arguments).code == code


def test_a_file_is_renamed_and_keeps_what_it_is():
    desk = drive()
    assert desk.call("files.move", source="/cases/C-31.txt", target="/closed/")["to"] == "/closed/C-31.txt"
    moved = desk.world.row("files", "/closed/C-31.txt")
    assert (moved.path, moved.labels) == ("/closed/C-31.txt", ("confidential", "personal"))
    assert desk.world.row("files", "/cases/C-31.txt") is None
    (update,) = desk.effects_of("update")
    assert (update.object, update.after, update.covers) == (
        "files:///cases/C-31.txt",
        "/closed/C-31.txt",
        ("files:///closed/C-31.txt",),
    )


def test_a_folder_moves_with_all_its_files():
    desk = drive()
    assert desk.call("files.move", source="/runbooks", target="/archive/runbooks")["moved"] == 2
    assert [path for path in desk.world.table("files") if path.startswith("/archive")] == [
        "/archive/runbooks/old/tuning.md",
        "/archive/runbooks/tuning.md",
    ]


def test_a_move_over_a_file_deletes_that_file():
    desk = drive()
    desk.call("files.move", source="/wide.json", target="/cases/C-31.txt", overwrite=True)
    (lost,) = desk.effects_of("delete")
    assert (lost.object, lost.reversible, lost.labels) == (
        "files:///cases/C-31.txt",
        False,
        ("confidential", "personal"),
    )


def test_a_copy_keeps_the_labels_and_points_at_its_source():
    desk = drive()
    desk.call("files.copy", source="/cases/C-31.txt", target="/backup/C-31.txt")
    (create,) = desk.effects_of("create")
    assert (create.refs, create.labels, create.purposes) == (
        ("files:///cases/C-31.txt",),
        ("confidential", "personal"),
        ("case_work",),
    )
    assert desk.effects_of("read")[0].object == "files:///cases/C-31.txt"


def test_deleting_a_folder_names_every_file_in_one_effect():
    desk = drive()
    desk.call("files.delete", path="/runbooks", recursive=True)
    (gone,) = desk.effects_of("delete")
    assert (gone.object, gone.count, gone.reversible) == ("files:///runbooks", 2, False)
    assert gone.covers == ("files:///runbooks/old/tuning.md", "files:///runbooks/tuning.md")
    desk.call("files.delete", path="/cases/C-31.txt")
    (gone,) = desk.effects_of("delete")
    assert (gone.object, gone.covers, gone.labels) == ("files:///cases/C-31.txt", (), ("confidential", "personal"))


def test_files_are_found_by_name_time_and_owner():
    desk = drive()

    def names(**arguments):
        return [row["path"] for row in desk.call("files.find", **arguments)["items"]]

    assert names(pattern="tuning.*") == ["/runbooks/old/tuning.md", "/runbooks/tuning.md"]
    assert names(pattern="*.md", modified_since="2026-11-01") == ["/runbooks/tuning.md"]
    assert names(pattern="/cases/*") == ["/cases/C-31.txt"]
    assert names(pattern="*", owner="people-desk") == ["/staff/leave.csv"]
    assert refused(desk, "files.find", pattern="*", folder="/runbook").code == "not_found"
    assert refused(desk, "files.find", pattern="*", modified_since="last week").code == "invalid_arguments"
    assert refused(desk, "files.find", pattern="*" * 201).code == "too_large"


def test_grep_shows_lines_and_what_it_may_not_read():
    desk = drive()
    result = desk.call("files.grep", text="ARCHIVE what", context=1)
    assert result["items"] == [
        {
            "path": "/runbooks/tuning.md",
            "line": 4,
            "text": "2. Archive what a change covers, cite it.",
            "before": ["1. Open the board."],
            "after": ["3. The rest goes to the rota."],
        }
    ]
    assert result["permission_denied"] == ["/staff/leave.csv"]
    (read,) = desk.effects_of("read")
    assert read.covers == ("files:///runbooks/tuning.md",)
    assert desk.call("files.grep", text="ARCHIVE what", ignore_case=False)["total"] == 0
    assert desk.call("files.grep", text="id,days")["total"] == 0


@pytest.mark.parametrize(("text", "match"), [("rota the goes", "words"), ("rest*rota", "wildcard")])
def test_grep_matches_words_and_wildcards(text, match):
    rows = drive().call("files.grep", text=text, match=match, glob="*.md")["items"]
    assert [(row["path"], row["line"]) for row in rows] == [("/runbooks/tuning.md", 5)]


def test_grep_pages_and_says_the_labels_of_what_it_showed():
    desk = drive()
    first = desk.call("files.grep", text="node eu-3", folder="/logs/node.log")
    assert (first["total"], len(first["items"])) == (172, 40)
    desk.call("files.grep", text="callback")
    assert desk.effects_of("read")[0].labels == ("confidential", "personal")
    assert refused(desk, "files.grep", text="  ").code == "invalid_arguments"
    assert refused(desk, "files.grep", text="a", context=9).code == "invalid_arguments"
    assert refused(desk, "files.grep", text="a", folder="/nope").code == "not_found"


def test_without_a_time_a_file_was_changed_in_working_hours_whatever_else_is_there():
    text = {"path": "/a.md", "text": "x"}
    alone = office(("files",), files={"items": [text]}).world.row("files", "/a.md").modified
    among = office(("files",), files={"items": [{"path": "/0.md", "text": "y"}, text]}).world.row("files", "/a.md")
    assert alone == among.modified
    assert "2026-05" <= alone < "2026-11-16"
    assert "08:00" <= alone[11:] <= "18:00"


@pytest.mark.parametrize(
    "items",
    [
        [{"path": "a.md", "text": ""}],
        [{"path": "/a/../b.md", "text": ""}],
        [{"path": "/", "text": ""}],
        [{"path": "/a.md", "text": ""}, {"path": "/a.md", "text": ""}],
        [{"path": "/a.md", "text": ""}, {"path": "/a.md/b", "text": ""}],
        [{"path": "/a.md", "text": "", "mode": "999"}],
        [{"path": "/a.md", "text": "", "colour": "red"}],
        [{"path": "/a.md", "text": "x" * 300_000}],
    ],
)
def test_wrong_files_in_a_scenario_are_refused(items):
    with pytest.raises(ValidationError):
        toolkit("files").seed.model_validate({"items": items})
