"""The virtual filesystem."""

from __future__ import annotations

import pytest

from impress_env.clock import minutes
from impress_env.errors import ToolError
from impress_env.world.filesystem import MAX_BYTES, MAX_PARTS, MAX_PATH, File, Filesystem, normalise
from impress_env.world.world import Base, World, content_hash

START = minutes("2026-11-19T14:23")
FILES = [
    File(path="/handbook/leave.md", text="Twenty-five days.", owner="people-desk", labels=("internal",)),
    File(path="/handbook/old/leave.md", text="Twenty-four days.", mode="444"),
    File(path="/logs/night.log", text="03:12 ok", purposes=("audit",), created="2026-11-01T03:12"),
    File(path="/readme.txt", text="Hello", mode="400"),
]


@pytest.fixture
def world() -> World:
    rows = {"files": {file.path: file for file in FILES}}
    world = World(Base(records={"files": File}, rows=rows, clock=START, digest="00" * 16))
    world.begin(actor="agent", step=1)
    return world


@pytest.fixture
def drive(world: World) -> Filesystem:
    return Filesystem(world)


def refusal(call: object, *arguments: object, **named: object) -> ToolError:
    with pytest.raises(ToolError) as caught:
        call(*arguments, **named)  # type: ignore[operator]
    return caught.value


# ---- paths


@pytest.mark.parametrize(
    ("path", "clean"),
    [
        ("/a/b.txt", "/a/b.txt"),
        ("a/b.txt", "/a/b.txt"),
        ("//a///b.txt/", "/a/b.txt"),
        ("/./a/./b.txt", "/a/b.txt"),
        ("\\a\\b.txt", "/a/b.txt"),
        ("/", "/"),
        (".", "/"),
        ("/a/...", "/a/..."),
        ("/a/..b", "/a/..b"),
        ("/é/ü 😀.txt", "/é/ü 😀.txt"),
        ("~/x", "/~/x"),
        ("/%2e%2e/x", "/%2e%2e/x"),
    ],
)
def test_a_path_is_absolute_and_plain(path, clean):
    assert normalise(path) == clean
    assert normalise(clean) == clean


@pytest.mark.parametrize(
    "path", ["..", "/..", "/a/../b", "../../etc/passwd", "\\..\\x", "/a/b/..", "a/./../b", "/.. /..//"]
)
def test_a_path_never_leads_upwards(path):
    error = refusal(normalise, path)
    assert (error.code, error.expected, error.found) == ("invalid_arguments", "a path without '..'", path)


@pytest.mark.parametrize("character", ["\x00", "\n", "\t", "\x1b", "\x7f"])
def test_control_characters_are_refused(character):
    assert refusal(normalise, f"/a{character}b").message == "The path holds control characters."


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "Not a usable path."),
        ("x" * (MAX_PATH * 8 + 1), "Not a usable path."),
        ("/" + "x" * MAX_PATH, "The path is too long."),
        ("/x" * (MAX_PARTS + 1), "The path is too long."),
        ("/" * (MAX_PATH + 1), "The path is too long."),
    ],
)
def test_a_path_has_a_length_and_a_depth(path, message):
    error = refusal(normalise, path)
    assert (error.code, error.message) == ("invalid_arguments", message)
    assert len(str(error.as_dict())) < 400
    assert normalise("/" + "x" * (MAX_PATH - 1))
    assert normalise("/x" * MAX_PARTS)


# ---- reading


def test_a_file_is_found_under_any_form_of_its_path(drive):
    assert drive.get("handbook//leave.md") is drive.get("/handbook/leave.md")
    assert drive.get("/handbook/leave.md").text == "Twenty-five days."


def test_a_missing_file_is_told_with_what_lies_beside(drive):
    error = refusal(drive.get, "/handbook/leave.txt")
    assert (error.code, error.message) == ("not_found", "No such file: /handbook/leave.txt")
    assert error.offer == ("/handbook/leave.md", "/handbook/old/")
    assert refusal(drive.get, "/nothing.md").offer == ("/handbook/", "/logs/", "/readme.txt")
    assert refusal(drive.get, "/handbook").code == "not_found"
    assert refusal(drive.get, "/").code == "not_found"


def test_a_folder_names_its_files_and_its_folders_once(drive):
    assert drive.names("/") == ["/handbook/", "/logs/", "/readme.txt"]
    assert drive.names("/handbook") == drive.names("/handbook/") == ["/handbook/leave.md", "/handbook/old/"]
    assert drive.names("/hand") == []
    assert drive.names("/readme.txt") == []


@pytest.mark.parametrize(
    ("folder", "pattern", "paths"),
    [
        ("/", "*", [file.path for file in FILES]),
        ("/handbook", "*", ["/handbook/leave.md", "/handbook/old/leave.md"]),
        ("/hand", "*", []),
        ("/", "leave.*", ["/handbook/leave.md", "/handbook/old/leave.md"]),
        ("/", "/handbook/l*", ["/handbook/leave.md"]),
        ("/", "*.LOG", []),
        ("/", "[rn]*.*", ["/logs/night.log", "/readme.txt"]),
    ],
)
def test_files_below_a_folder_match_by_name_or_path(drive, folder, pattern, paths):
    assert [file.path for file in drive.under(folder, pattern)] == paths


# ---- writing


def test_a_new_file_belongs_to_whoever_wrote_it(drive):
    made = drive.write("notes//a.md", "Hello", by="svc-mill", labels=("internal",))
    assert made == File(
        path="/notes/a.md",
        text="Hello",
        owner="svc-mill",
        labels=("internal",),
        created="2026-11-19T14:23",
        modified="2026-11-19T14:23",
        modified_by="svc-mill",
    )
    assert drive.get("/notes/a.md") == made
    assert drive.names("/notes") == ["/notes/a.md"]


def test_replacing_a_file_keeps_what_it_is_and_says_who_did(drive):
    drive.write("/handbook/leave.md", "Twenty-six days.", by="svc-mill")
    drive.write("/logs/night.log", "", by="svc-mill", labels=())
    leave, log = drive.get("/handbook/leave.md"), drive.get("/logs/night.log")
    assert (leave.text, leave.owner, leave.labels) == ("Twenty-six days.", "people-desk", ("internal",))
    assert (leave.modified, leave.modified_by, leave.created) == ("2026-11-19T14:23", "svc-mill", "")
    assert (log.purposes, log.created) == (("audit",), "2026-11-01T03:12")


def test_labels_can_be_replaced(drive):
    assert drive.write("/handbook/leave.md", "x", by="a", labels=()).labels == ()


@pytest.mark.parametrize("path", ["/handbook/old/leave.md", "/readme.txt"])
def test_a_read_only_file_is_neither_written_nor_deleted(drive, path):
    before = drive.get(path)
    for error in (refusal(drive.write, path, "x", by="a"), refusal(drive.delete, path)):
        assert error.code == "forbidden"
        assert error.message == f"{path} is read-only (mode {before.mode})."
    assert drive.get(path) is before


@pytest.mark.parametrize("path", ["/handbook", "/handbook/", "/", "/handbook/old"])
def test_a_folder_is_no_file(drive, path):
    assert refusal(drive.write, path, "x", by="a").code == "conflict"


@pytest.mark.parametrize("path", ["/readme.txt/x", "/readme.txt/deep/down/x", "/handbook/leave.md/x"])
def test_a_file_is_no_folder(drive, path):
    error = refusal(drive.write, path, "x", by="a")
    assert (error.code, error.expected) == ("conflict", "a path through folders")
    assert error.message.endswith(" is a file.")


def test_a_folder_is_gone_with_its_last_file(drive):
    drive.delete("/logs/night.log")
    assert "/logs/" not in drive.names("/")
    drive.write("/logs", "now a file", by="a")
    assert drive.get("/logs").text == "now a file"


def test_a_file_has_a_size(drive):
    drive.write("/big.txt", "x" * MAX_BYTES, by="a")
    error = refusal(drive.write, "/big.txt", "x" * (MAX_BYTES + 1), by="a")
    assert (error.code, error.found) == ("too_large", str(MAX_BYTES + 1))


def test_a_long_text_carries_its_hash_and_a_short_one_none(drive):
    long = "x" * 5000
    assert drive.write("/a.txt", long, by="a").content_hash == content_hash(long) != ""
    assert drive.write("/a.txt", "short", by="a").content_hash == ""


def test_deleting_gives_the_file_back_and_it_is_gone(drive):
    assert drive.delete("//handbook/./leave.md") == FILES[0]
    assert refusal(drive.get, "/handbook/leave.md").code == "not_found"
    assert refusal(drive.delete, "/handbook/leave.md").code == "not_found"


def test_a_roll_back_undoes_everything(world, drive):
    before = world.base.rows["files"]
    drive.delete("/logs/night.log")
    drive.write("/a.txt", "x", by="a")
    world.rollback()
    assert dict(world.table("files").items()) == before
