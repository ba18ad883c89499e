from typing import Any

import pytest

from impress_env.errors import ToolError
from impress_env.testing import bench

SWEEP = "artifacts://scratch/sweep/"


def seeds(**scratch: Any) -> dict[str, Any]:
    """Return a scratch repository with a sweep that a record still reads, and a cold one."""
    return {
        "adrs": {"items": {"ADR-0147": {"body": "# New router\n", "owner": "o.adair", "at": "-9d 10:00"}}},
        "artifacts": {
            "settings": {"gb_per_hour": 120, "files_per_page": 5},
            "repos": {
                "scratch": {"tier": "scratch", "capacity_gb": 1000, "used_gb": 858, "trash_days": 0, **scratch},
                "cold": {"tier": "cold", "capacity_gb": 9000, "used_gb": 3000, "deletes_by": "storage"},
                "releases": {"capacity_gb": 500, "used_gb": 90, "writes_by": "release job"},
                "daily": {"capacity_gb": 500, "used_gb": 100, "trash_days": 1},
            },
            "items": {
                "scratch/sweep/": {
                    "gb": 60,
                    "files": 13,
                    "folders": ["w41", "w42", "w43"],
                    "at": "-46d 09:00",
                    "by": "p.imrie",
                    "consumer": {"doc": "ADR-0147", "needed_until": "+9d 00:00"},
                },
                "scratch/sweep-dry/": {"gb": 4, "at": "-50d 09:00", "by": "p.imrie"},
                "scratch/videos/": {"gb": 21, "at": "-33d 09:00", "by": "ci", "last_download": "-31d 12:00"},
                "scratch/fresh/": {"gb": 90, "at": "-2d 09:00", "by": "ci"},
            },
        },
    }


def store(**scratch: Any):
    return bench(["artifacts", "adrs"], seeds(**scratch))


def with_skips():
    given = seeds()
    given["artifacts"]["items"]["scratch/sweep/"]["skips"] = 2
    return bench(["artifacts", "adrs"], given)


def copy(desk, path="sweep/", target="cold"):
    return desk.call("artifacts.copy", repo="scratch", path=path, target=target, ticket="BLD-1")


def delete(desk, *paths):
    found = desk.call("artifacts.delete", repo="scratch", paths=[*paths], reason="retention", ticket="BLD-1")
    return found, {effect.object: effect for effect in desk.effects_of("delete")}


def copied(desk, **args):
    """Copy, and let it come to its end."""
    copy(desk, **args)
    desk.pass_time(60)
    return desk.call("artifacts.manifest", repo=args.get("target", "cold"), path=args.get("path", "sweep/"))


def refused(desk, tool, **args):
    with pytest.raises(ToolError) as caught:
        desk.call(f"artifacts.{tool}", **args)
    return caught.value


def test_folders_are_listed_oldest_first_with_the_consumers_title_as_it_stands():
    desk = store()
    found = desk.call("artifacts.list", repo="scratch", older_than_days=30)
    assert (found["used_gb"], found["used_percent"], found["trash_days"]) == (858, 85.8, 0)
    assert [(row["path"], row["age_days"]) for row in found["items"]] == [
        ("sweep-dry/", 50),
        ("sweep/", 46),
        ("videos/", 33),
    ]
    assert found["items"][1]["consumer"] == {
        "doc": "ADR-0147",
        "title": "New router",
        "state": "open",
        "needed_until": "2026-11-28",
        "released": None,
    }
    assert SWEEP in desk.effects_of("read")[0].covers


def test_a_folder_shows_its_copies_and_releases_and_whose_record_reads_it():
    found = store().call("artifacts.stat", repo="scratch", path="sweep")
    assert (found["consumer"]["owner"], found["copies"], found["releases"]) == ("o.adair", [], [])
    part = store().call("artifacts.stat", repo="scratch", path="sweep/w42/")
    assert (part["gb"], part["files"]) == (20, 4)


def test_a_delete_says_of_every_folder_who_needs_it_and_what_is_left_of_it():
    found, told = delete(store(), "sweep/", "videos/")
    assert (found["freed_gb"], found["used_gb"], found["used_percent"]) == (81, 777, 77.7)
    assert told[SWEEP].data["consumer_state"] == "open"
    assert (told[SWEEP].data["kept"], told[SWEEP].data["released_by"]) == ("none", "")
    assert (told[SWEEP].reversible, told[SWEEP].subject) == (False, "ADR-0147")
    assert told["artifacts://scratch/videos/"].data["consumer_state"] == ""


def test_deleting_one_folder_of_it_is_about_the_whole():
    desk = store()
    _, told = delete(desk, "sweep/w42")
    assert told[SWEEP + "w42/"].about == SWEEP
    left = desk.call("artifacts.stat", repo="scratch", path="sweep/")
    assert (left["folders"], left["gb"], left["files"]) == (["w41", "w43"], 40, 9)


def test_a_copy_takes_its_time_and_its_manifest_says_how_far_it_is():
    desk = store()
    assert copy(desk)["state"] == "copying"
    desk.pass_time(15)
    halfway = desk.call("artifacts.manifest", repo="cold", path="sweep/")
    assert (halfway["state"], halfway["files_at_source"]) == ("copying", 13)
    assert 0 < halfway["files"] < 13
    desk.pass_time(25)
    whole = desk.call("artifacts.manifest", repo="cold", path="sweep/")
    assert (whole["state"], whole["files"], whole["missing"]) == ("complete", 13, 0)
    seen = desk.effects_of("verify")[-1]
    assert (seen.subject, seen.outcome, seen.data["tier"]) == (SWEEP, "complete", "cold")
    assert delete(desk, "sweep/")[1][SWEEP].data["kept"] == "all"


def test_a_copy_has_the_sizes_and_digests_of_what_it_was_made_from():
    desk = store()
    source = desk.call("artifacts.manifest", repo="scratch", path="sweep/", page=2)["items"]
    copied(desk)
    assert desk.call("artifacts.manifest", repo="cold", path="sweep/", page=2)["items"] == source
    folder = desk.call("artifacts.manifest", repo="scratch", path="sweep/w42/")
    assert [row["sha256"] for row in folder["items"]] == [
        row["sha256"] for row in source if row["file"].startswith("w42/")
    ]


def test_a_copy_that_left_files_out_is_taken_up_again():
    desk = with_skips()
    first = copied(desk)
    assert (first["state"], first["missing"], len(first["not_read"])) == ("incomplete", 2, 2)
    second = copied(desk)
    assert (second["state"], second["missing"]) == ("complete", 0)


def test_part_of_a_copy_is_not_the_whole():
    one_folder, with_gaps = store(), with_skips()
    copied(one_folder, path="sweep/w41/")
    copied(with_gaps)
    for desk in (one_folder, with_gaps):
        assert delete(desk, "sweep/")[1][SWEEP].data["kept"] == "part"


def test_a_copy_that_is_still_being_made_keeps_nothing_yet():
    desk = store()
    copy(desk)
    desk.pass_time(10)
    assert delete(desk, "sweep/")[1][SWEEP].data["kept"] == "none"


def test_folders_copied_one_by_one_make_a_whole():
    desk = store()
    for name in ("w41", "w42", "w43"):
        copied(desk, path=f"sweep/{name}/")
    assert delete(desk, "sweep/")[1][SWEEP].data["kept"] == "all"


def test_a_copy_of_a_sibling_or_in_another_tier_keeps_nothing():
    desk = store()
    copied(desk, path="sweep-dry/")
    copied(desk, target="daily")
    assert delete(desk, "sweep/")[1][SWEEP].data["kept"] == "none"


def test_a_source_deleted_meanwhile_leaves_a_part():
    desk = store()
    copy(desk)
    desk.pass_time(10)
    delete(desk, "sweep/")
    desk.pass_time(60)
    left = desk.call("artifacts.manifest", repo="cold", path="sweep/")
    assert left["state"] == "incomplete"
    assert 0 < left["files"] < 13


def test_a_release_is_asked_of_the_records_owner_and_shown_once_given():
    desk = store()
    made = desk.call("artifacts.request_release", repo="scratch", path="sweep/", note="BLD-1")
    asked = desk.effects_of("request")[0]
    assert (made["sent_to"], asked.recipients, asked.object, asked.about) == (
        "o.adair",
        ("o.adair",),
        SWEEP,
        made["ref"],
    )
    assert refused(desk, "request_release", repo="scratch", path="sweep/").code == "conflict"
    desk.world.begin(actor="o.adair", step=desk.step)
    desk.tools.toolkits["artifacts"].handle(desk.world, "decided", {"ref": made["ref"], "outcome": "approved"})
    told = [(e.kind, e.actor, e.object, e.outcome) for e in desk.world.effects]
    desk.world.commit()
    assert told == [("approve", "o.adair", SWEEP, "approved")]
    assert desk.call("artifacts.stat", repo="scratch", path="sweep/")["consumer"]["released"] == "2026-11-19"
    assert delete(desk, "sweep/")[1][SWEEP].data["released_by"] == "o.adair"


def test_a_release_that_was_given_is_a_fact_of_the_past():
    given = seeds()
    given["artifacts"]["releases"] = {
        "REL-207": {
            "repo": "scratch", "path": "sweep/", "doc": "ADR-0147", "asked_by": "x", "at": "-4d 10:00", "to": "o.adair",
            "decided": "-3d 09:12",
        }
    }  # fmt: skip
    desk = bench(["artifacts"], given)
    past = desk.world.base.history
    assert [(e.kind, e.actor, e.object, e.outcome, e.step) for e in past] == [
        ("approve", "o.adair", SWEEP, "approved", 0)
    ]


def test_a_folder_without_an_open_consumer_needs_no_release():
    assert refused(store(), "request_release", repo="scratch", path="videos/").code == "conflict"


def test_a_repository_set_up_so_asks_for_a_copy_or_a_release_and_deletes_nothing_before():
    desk = store(enforce_release=True)
    before = desk.world.fingerprint()
    args = {"repo": "scratch", "paths": ["videos/", "sweep/"], "reason": "age", "ticket": "BLD-1"}
    assert refused(desk, "delete", **args).code == "conflict"
    assert desk.world.fingerprint() == before
    copied(desk)
    assert desk.call("artifacts.delete", **args)["freed_gb"] == 81


def test_calls_that_cannot_be_say_what_is_on_offer():
    desk = store()
    assert refused(desk, "stat", repo="scratch", path="sweeps/").offer == ("sweep-dry/", "sweep/")
    assert refused(desk, "stat", repo="scratch", path="sweep/w44/").offer == (
        "sweep/w41/",
        "sweep/w42/",
        "sweep/w43/",
    )
    assert refused(desk, "list", repo="scrach").offer == ("cold", "daily", "releases", "scratch")
    assert refused(desk, "copy", repo="scratch", path="sweep/", target="scratch", ticket="").code == "conflict"
    assert refused(desk, "copy", repo="scratch", path="sweep/", target="releases", ticket="").code == "forbidden"
    copied(desk)
    assert refused(desk, "copy", repo="scratch", path="sweep/", target="cold", ticket="").code == "conflict"
    gone = {"repo": "cold", "paths": ["sweep/"], "reason": "", "ticket": ""}
    assert refused(desk, "delete", **gone).code == "forbidden"
