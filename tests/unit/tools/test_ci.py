from typing import Any

import pytest

from impress_env.errors import ToolError
from impress_env.testing import bench
from impress_env.testing.bench import Bench

SEED: dict[str, Any] = {
    "suites": {
        "smoke": {"minutes": 4, "covers": 38, "description": "Starts, logs in, places one order."},
        "regression": {
            "minutes": 95,
            "covers": 1412,
            "outcome": "failed",
            "failing": ["test_refund_split", "test_basket_merge"],
        },
    },
    "builds": {"4.2.0": {"branch": "release/4.2", "commit": "9c31f07"}},
    "runs": [
        {"build": "4.1.3", "suite": "regression", "outcome": "passed", "at": "-6d 17:02", "by": "qa"},
        {"build": "4.1.3", "suite": "smoke", "at": "-6d 15:11", "minutes": 5},
        {"build": "4.1.2", "suite": "smoke", "outcome": "failed", "failing": ["test_login"], "at": "-6d 09:40"},
    ],
}


def desk(**changes: Any) -> Bench:
    return bench(["ci", "work"], {"ci": {**SEED, **changes}}, start="2026-11-19T09:40")


def test_suites_say_how_long_they_take_and_not_how_they_will_end() -> None:
    at = desk()
    assert at.call("ci.suites") == [
        {"suite": "regression", "description": "", "tests": 1412, "usual_minutes": 95},
        {"suite": "smoke", "description": "Starts, logs in, places one order.", "tests": 38, "usual_minutes": 4},
    ]
    assert at.effects[0].object == "ci://suites"


def test_a_run_takes_its_minutes_and_then_has_an_outcome() -> None:
    at = desk()
    started = at.call("ci.run", build="4.2.0", suite="regression")
    assert started == {
        "id": "20261119.001", "build": "4.2.0", "suite": "regression", "state": "running", "ahead": 0,
    }  # fmt: skip
    (asked,) = at.effects
    assert (asked.kind, asked.object, asked.subject, asked.data) == (
        "schedule", "ci://runs/20261119.001", "regression", {"build": "4.2.0"},
    )  # fmt: skip
    pending = at.call("ci.result", build="4.2.0", suite="regression")
    assert (pending["state"], pending["outcome"], pending["failing"]) == ("running", None, [])
    assert at.effects_of("verify") == []
    for _ in range(4):
        at.call("work.wait", minutes=25)
    (notice,) = at.world.take_notices()
    assert notice.text == "20261119.001: regression on 4.2.0 has finished."
    done = at.call("ci.result", build="4.2.0", suite="regression")
    assert (done["state"], done["outcome"], done["finished"]) == ("finished", "failed", "2026-11-19T11:15")
    assert done["failing"] == ["test_refund_split", "test_basket_merge"]
    read, verify = at.effects
    for effect in (read, verify):
        assert (effect.object, effect.subject, effect.outcome, effect.data) == (
            "ci://runs/20261119.001", "regression", "failed", {"build": "4.2.0"},
        )  # fmt: skip
    assert (read.kind, verify.kind, verify.start, verify.end) == (
        "read", "verify", "2026-11-19T09:40", "2026-11-19T11:15",
    )  # fmt: skip


def test_runs_wait_for_a_free_runner() -> None:
    at = desk()
    at.call("ci.run", build="4.2.0", suite="smoke")
    second = at.call("ci.run", build="4.2.0", suite="regression")
    assert (second["state"], second["ahead"]) == ("queued", 1)
    assert [row["state"] for row in at.call("ci.queue")["items"]] == ["running", "queued"]
    at.call("work.wait", minutes=5)
    assert [row["state"] for row in at.call("ci.queue")["items"]] == ["running"]
    assert at.call("ci.runs", build="4.2.0")["items"][0]["started"] == "2026-11-19T09:44"
    other = desk(settings={"runners": 2})
    other.call("ci.run", build="4.2.0", suite="smoke")
    assert other.call("ci.run", build="4.2.0", suite="regression")["state"] == "running"


def test_what_others_have_in_the_queue_goes_first() -> None:
    jobs = [
        {"build": "9.0.1", "suite": "regression", "at": "09:05", "minutes": 50, "by": "tanaka"},
        {"build": "9.0.2", "suite": "lint", "at": "09:30", "minutes": 10, "outcome": "failed"},
    ]
    at = desk(queue=jobs)
    assert [(row["build"], row["state"], row["started"]) for row in at.call("ci.queue")["items"]] == [
        ("9.0.1", "running", "2026-11-19T09:05"),
        ("9.0.2", "queued", None),
    ]
    asked = at.call("ci.run", build="4.2.0", suite="smoke")
    assert (asked["state"], asked["ahead"]) == ("queued", 2)
    at.call("work.wait", minutes=30)
    shown = {row["build"]: (row["state"], row["outcome"]) for row in at.call("ci.runs")["items"]}
    assert shown["9.0.1"] == ("finished", "passed")
    assert shown["9.0.2"] == ("finished", "failed")
    assert shown["4.2.0"] == ("finished", "passed")
    assert [notice.text for notice in at.world.take_notices()] == [f"{asked['id']}: smoke on 4.2.0 has finished."]


def test_a_build_ends_as_it_did_before() -> None:
    at = desk()
    at.call("ci.run", build="4.1.2", suite="smoke")
    at.call("work.wait", minutes=10)
    assert at.call("ci.result", build="4.1.2", suite="smoke")["failing"] == ["test_login"]


def test_a_suite_that_never_ran_is_seen_to_have_not_run() -> None:
    at = desk()
    assert at.call("ci.result", build="4.2.0", suite="smoke") == {
        "build": "4.2.0", "suite": "smoke", "outcome": "not_run",
    }  # fmt: skip
    read, verify = at.effects
    assert (read.object, read.subject, read.data) == ("ci://runs", "smoke", {"build": "4.2.0"})
    assert (verify.kind, verify.outcome) == ("verify", "not_run")


def test_the_past_is_listed_newest_first_and_verifies_each_run_shown() -> None:
    at = desk()
    found = at.call("ci.runs")
    assert [(row["id"], row["started"]) for row in found["items"]] == [
        ("20261113.003", "2026-11-13T15:27"),
        ("20261113.002", "2026-11-13T15:06"),
        ("20261113.001", "2026-11-13T09:36"),
    ]
    read, *verified = at.effects
    assert read.covers[0] == "ci://runs/20261113.003"
    assert [(v.subject, v.outcome, v.data["build"]) for v in verified] == [
        ("regression", "passed", "4.1.3"), ("smoke", "passed", "4.1.3"), ("smoke", "failed", "4.1.2"),
    ]  # fmt: skip
    at.call("ci.runs", build="4.2.0", suite="regression")
    (nothing,) = at.effects
    assert (nothing.count, nothing.subject, nothing.data) == (0, "regression", {"build": "4.2.0"})
    assert at.call("ci.runs", state="finished", suite="smoke")["total"] == 2


def test_a_run_can_be_cancelled_and_the_next_one_starts() -> None:
    at = desk()
    first = at.call("ci.run", build="4.2.0", suite="regression")["id"]
    at.call("ci.run", build="4.2.0", suite="smoke")
    at.call("ci.cancel", run_id=first)
    (cancelled,) = at.effects
    assert (cancelled.kind, cancelled.before, cancelled.after, cancelled.owner) == (
        "update", "running", "cancelled", "svc-dunlin",
    )  # fmt: skip
    at.pass_time(120)
    assert at.call("ci.result", build="4.2.0", suite="smoke")["outcome"] == "passed"
    assert at.call("ci.result", build="4.2.0", suite="regression")["outcome"] == "not_run"
    assert at.call("ci.runs", state="cancelled")["items"][0]["id"] == first
    with pytest.raises(ToolError) as refused:
        at.call("ci.cancel", run_id=first)
    assert refused.value.code == "conflict"
    at.call("ci.run", build="4.2.0", suite="regression")


def test_logs_grow_with_the_run() -> None:
    at = desk()
    first = at.call("ci.run", build="4.2.0", suite="regression")["id"]
    second = at.call("ci.run", build="4.2.0", suite="smoke")["id"]
    assert "waiting for a runner" in at.call("ci.logs", run_id=second)
    at.pass_time(40)
    half = at.call("ci.logs", run_id=first)
    assert "collected 1412 tests" in half
    assert "shard 3/8" in half
    assert "shard 4/8" not in half
    assert [effect.kind for effect in at.effects] == ["read"]
    at.pass_time(60)
    whole = at.call("ci.logs", run_id=first)
    assert whole.count("FAILED") == 2
    assert whole.endswith("regression failed: 1410 passed, 2 failed")
    assert [effect.kind for effect in at.effects] == ["read", "verify"]
    old = at.call("ci.logs", run_id="20261113.001")
    assert "FAILED test_login" in old
    assert old == desk().call("ci.logs", run_id="20261113.001")


@pytest.mark.parametrize(
    ("tool", "arguments", "code"),
    [
        ("run", {"build": "4.2.0", "suite": "unit"}, "not_found"),
        ("run", {"build": "0.0", "suite": "smoke"}, "not_found"),
        ("result", {"build": "0.0", "suite": "smoke"}, "not_found"),
        ("result", {"build": "4.2.0", "suite": "unit"}, "not_found"),
        ("cancel", {"run_id": "20261113.001"}, "conflict"),
        ("cancel", {"run_id": "7"}, "not_found"),
        ("logs", {"run_id": ""}, "not_found"),
        ("runs", {"page": 9}, "not_found"),
        ("runs", {"state": "lost"}, "invalid_arguments"),
    ],
)
def test_a_bad_call_is_refused_and_changes_nothing(tool: str, arguments: dict[str, Any], code: str) -> None:
    at = desk()
    before = at.world.fingerprint()
    with pytest.raises(ToolError) as refused:
        at.call(f"ci.{tool}", **arguments)
    assert refused.value.code == code
    assert at.world.fingerprint() == before


def test_a_run_that_is_under_way_is_not_started_twice() -> None:
    at = desk()
    first = at.call("ci.run", build="4.2.0", suite="smoke")["id"]
    with pytest.raises(ToolError) as refused:
        at.call("ci.run", build="4.2.0", suite="smoke")
    assert (refused.value.code, refused.value.found) == ("conflict", first)


@pytest.mark.parametrize(
    "section",
    [
        {"suites": {"smoke": {"minutes": 4, "covers": 1, "failing": ["x"]}}},
        {"suites": {"smoke": {"minutes": 0, "covers": 1}}},
        {"runs": [{"build": "1", "suite": "smoke", "at": "12:00"}]},
        {"queue": [{"build": "1", "suite": "smoke", "at": "12:00", "minutes": 5}]},
        {"queue": [{"build": "1", "suite": "smoke", "at": "09:00", "minutes": 5}]},
    ],
)
def test_a_seed_that_does_not_hold_together_is_refused(section: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected|greater"):
        desk(**section)


def changes(other: Bench, **main: Any) -> list[tuple[str, str, str]]:
    return [(change.table, change.key, change.field) for change in desk(**main).world.diff(other.world)]


def test_one_change_of_a_suite_is_one_change_of_the_world() -> None:
    quick = {**SEED["suites"], "regression": {**SEED["suites"]["regression"], "minutes": 3}}
    assert changes(desk(suites=quick)) == [("ci.suites", "regression", "minutes")]
    sound = {**SEED["suites"], "regression": {"minutes": 95, "covers": 1412}}
    assert changes(desk(suites=sound)) == [
        ("ci.suites", "regression", "outcome"),
        ("ci.suites", "regression", "failing"),
    ]


def test_one_more_run_in_the_past_is_one_more_run() -> None:
    more = [*SEED["runs"], {"build": "4.2.0", "suite": "regression", "at": "08:55", "by": "qa"}]
    jobs = [{"build": "9.0.1", "suite": "regression", "at": "09:05", "minutes": 50}]
    assert changes(desk(runs=more, queue=jobs), queue=jobs) == [("ci.runs", "20261119.002", "")]
