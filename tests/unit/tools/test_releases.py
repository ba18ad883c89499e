from typing import Any

import pytest

from impress_env.errors import ToolError
from impress_env.match import Program
from impress_env.testing import bench
from impress_env.testing.bench import Bench
from impress_env.world.people import Person

LEAD = Person(id="okello", name="Ivo Okello", first="Ivo", email="ivo.okello@tidemark.example")
CI: dict[str, Any] = {
    "suites": {
        "smoke": {"minutes": 4, "covers": 38},
        "regression": {"minutes": 95, "covers": 1412, "outcome": "failed", "failing": ["test_refund_split"]},
    },
    "runs": [{"build": "4.1.3", "suite": "regression", "at": "-6d 17:02"}],
}
SEED: dict[str, Any] = {
    "form": {"suites": ["smoke", "regression"], "note": "One line a suite."},
    "items": {
        "4.2.0": {
            "title": "Tidemark 4.2.0",
            "ticket": "RLS-881",
            "requested_by": "okello",
            "branch": "release/4.2",
            "changes": ["Refunds over two cards"],
            "notes": [{"from": "okello", "at": "09:02", "text": "ready when you are"}],
        },
        "4.1.3": {
            "state": "released",
            "requested_by": "okello",
            "at": "-7d 10:00",
            "results": [{"suite": "smoke", "outcome": "passed"}, {"suite": "regression", "outcome": "passed"}],
            "signed_by": "svc-dunlin",
            "signed": "-6d 17:10",
        },
    },
}
PASSED = [{"suite": "smoke", "outcome": "passed"}, {"suite": "regression", "outcome": "passed"}]
FAILED = [{"suite": "smoke", "outcome": "passed"}, {"suite": "regression", "outcome": "failed"}]


def desk(ci: dict[str, Any] | None = None, **form: Any) -> Bench:
    releases = {**SEED, "form": {**SEED["form"], **form}}
    return bench(
        ["ci", "releases", "work"],
        {"ci": {**CI, **(ci or {})}, "releases": releases},
        people=[LEAD],
        start="2026-11-19T09:40",
    )


def test_releases_are_listed_newest_first() -> None:
    at = desk()
    assert [(row["build"], row["state"]) for row in at.call("releases.list")["items"]] == [
        ("4.2.0", "awaiting_signoff"),
        ("4.1.3", "released"),
    ]
    assert at.effects[0].covers == ("releases://4.2.0", "releases://4.1.3")
    assert at.call("releases.list", state="on_hold")["total"] == 0


def test_a_release_shows_its_form_and_notes() -> None:
    at = desk()
    shown = at.call("releases.get", build="4.2.0")
    assert shown["sign_off"] == {
        "suites": ["smoke", "regression"], "outcomes": ["passed", "failed", "not_run"], "filled_from": "agent",
        "results": [], "signed_by": None, "signed": None, "note": "One line a suite.",
    }  # fmt: skip
    assert shown["notes"] == [{"from": "okello", "at": "2026-11-19T09:02", "text": "ready when you are"}]
    (read,) = at.effects
    assert (read.kind, read.object, read.owner) == ("read", "releases://4.2.0", "okello")
    assert at.call("releases.get", build="4.1.3")["sign_off"]["results"] == PASSED


def test_each_line_of_the_form_is_attested() -> None:
    at = desk()
    done = at.call("releases.sign_off", build="4.2.0", results=PASSED, remark="all green")
    assert done == {"build": "4.2.0", "state": "released", "results": PASSED}
    smoke, regression = at.effects_of("attest")
    assert (smoke.object, smoke.subject, smoke.outcome) == ("releases://4.2.0", "smoke", "passed")
    assert (regression.subject, regression.outcome, regression.recipients) == ("regression", "passed", ("okello",))
    (update,) = at.effects_of("update")
    assert (update.fields, update.before, update.after) == (("state",), "awaiting_signoff", "released")
    shown = at.call("releases.get", build="4.2.0")["sign_off"]
    assert (shown["signed_by"], shown["signed"], shown["remark"]) == ("svc-dunlin", "2026-11-19T09:40", "all green")


@pytest.mark.parametrize("outcome", ["failed", "not_run"])
def test_a_form_with_a_suite_that_did_not_pass_goes_back(outcome: str) -> None:
    at = desk()
    results = [PASSED[0], {"suite": "regression", "outcome": outcome}]
    assert at.call("releases.sign_off", build="4.2.0", results=results)["state"] == "returned"


def test_a_line_may_refer_to_a_run() -> None:
    at = desk()
    run = at.call("ci.run", build="4.2.0", suite="smoke")["id"]
    at.call("releases.sign_off", build="4.2.0", results=[{**PASSED[0], "run_id": run}, PASSED[1]])
    assert [effect.refs for effect in at.effects_of("attest")] == [(f"ci://runs/{run}",), ()]


def test_a_form_filled_in_from_ci_has_the_lines_of_ci() -> None:
    at = desk(filled_from="ci")
    at.call("ci.run", build="4.2.0", suite="smoke")
    at.call("work.wait", minutes=10)
    with pytest.raises(ToolError) as refused:
        at.call("releases.sign_off", build="4.2.0", results=PASSED)
    assert (refused.value.code, refused.value.expected, refused.value.found) == ("conflict", "not_run", "passed")
    done = at.call("releases.sign_off", build="4.2.0")
    assert done == {
        "build": "4.2.0",
        "state": "returned",
        "results": [
            {"suite": "smoke", "outcome": "passed", "run": "20261119.001"},
            {"suite": "regression", "outcome": "not_run"},
        ],
    }
    smoke, regression = at.effects_of("attest")
    assert (smoke.refs, smoke.data["filled_from"]) == (("ci://runs/20261119.001",), "ci")
    assert (regression.outcome, regression.refs) == ("not_run", ())


def test_ci_s_latest_finished_run_counts() -> None:
    runs = [
        {"build": "4.2.0", "suite": "smoke", "at": "08:10", "outcome": "failed"},
        {"build": "4.2.0", "suite": "smoke", "at": "08:30"},
        {"build": "4.2.0", "suite": "regression", "at": "-1d 23:30"},
    ]
    at = desk(ci={"runs": runs}, filled_from="ci")
    at.call("ci.run", build="4.2.0", suite="smoke")
    assert at.call("releases.sign_off", build="4.2.0", results=PASSED)["state"] == "released"


@pytest.mark.parametrize("filled_from", ["agent", "ci"])
@pytest.mark.parametrize(
    ("results", "code"),
    [
        ([{"suite": "unit", "outcome": "passed"}], "not_found"),
        ([PASSED[0], PASSED[0], PASSED[1]], "invalid_arguments"),
        ([{"suite": "smoke", "outcome": "flaky"}], "invalid_arguments"),
        ([{"suite": "smoke"}], "invalid_arguments"),
    ],
)
def test_a_wrong_form_is_refused(filled_from: str, results: list[dict[str, str]], code: str) -> None:
    at = desk(filled_from=filled_from)
    before = at.world.fingerprint()
    with pytest.raises(ToolError) as refused:
        at.call("releases.sign_off", build="4.2.0", results=results)
    assert refused.value.code == code
    assert at.world.fingerprint() == before


@pytest.mark.parametrize(
    ("tool", "arguments", "code"),
    [
        ("sign_off", {"build": "4.2.0"}, "invalid_arguments"),
        ("sign_off", {"build": "4.2.0", "results": PASSED[:1]}, "invalid_arguments"),
        ("sign_off", {"build": "4.2.0", "results": [PASSED[0], {**PASSED[1], "run_id": "7"}]}, "not_found"),
        ("sign_off", {"build": "4.1.3", "results": PASSED}, "conflict"),
        ("sign_off", {"build": "0.0", "results": PASSED}, "not_found"),
        ("get", {"build": "0.0"}, "not_found"),
        ("hold", {"build": "4.1.3", "reason": "late"}, "conflict"),
        ("return_to_team", {"build": "4.2.0", "reason": " "}, "invalid_arguments"),
        ("add_note", {"build": "4.2.0", "text": ""}, "invalid_arguments"),
    ],
)
def test_a_bad_call_is_refused_and_changes_nothing(tool: str, arguments: dict[str, Any], code: str) -> None:
    at = desk()
    before = at.world.fingerprint()
    with pytest.raises(ToolError) as refused:
        at.call(f"releases.{tool}", **arguments)
    assert refused.value.code == code
    assert at.world.fingerprint() == before


def test_outcomes_that_the_form_does_not_take_are_refused() -> None:
    with pytest.raises(ToolError) as refused:
        desk(outcomes=["passed", "failed"]).call(
            "releases.sign_off", build="4.2.0", results=[PASSED[0], {"suite": "regression", "outcome": "not_run"}]
        )
    assert refused.value.expected == "passed, failed"


def test_a_release_can_be_held_and_signed_off_later() -> None:
    at = desk()
    assert at.call("releases.hold", build="4.2.0", reason="regression still queued")["state"] == "on_hold"
    (update,), (report,) = at.effects_of("update"), at.effects_of("report")
    assert (update.after, update.reason) == ("on_hold", "regression still queued")
    assert (report.recipients, report.about, report.claim) == (("okello",), "4.2.0", "regression still queued")
    with pytest.raises(ToolError, match="already"):
        at.call("releases.hold", build="4.2.0", reason="again")
    assert at.call("releases.sign_off", build="4.2.0", results=FAILED)["state"] == "returned"


def test_a_release_can_be_returned_with_a_reason() -> None:
    at = desk()
    at.call("releases.return_to_team", build="4.2.0", reason="two failures, see the run")
    shown = at.call("releases.get", build="4.2.0")
    assert (shown["state"], shown["notes"][-1]["text"]) == ("returned", "two failures, see the run")
    assert shown["sign_off"]["signed_by"] is None


def test_an_answer_lands_on_the_release() -> None:
    at = desk()
    at.call("releases.add_note", build="4.2.0", text="no hurry?")
    assert at.effects[0].kind == "report"
    at.world.begin(actor="system", step=1)
    at.tools.toolkits["releases"].handle(
        at.world, "deliver", {"from": "okello", "text": "none at all", "thread": "releases://4.2.0"}
    )
    at.world.commit()
    assert at.call("releases.get", build="4.2.0")["notes"][-1]["from"] == "okello"
    assert at.world.take_notices()[0].text == "okello on 4.2.0: none at all"


def test_ci_knows_the_builds_of_releases() -> None:
    assert desk().call("ci.run", build="4.2.0", suite="smoke")["state"] == "running"


def test_how_the_form_is_filled_in_is_one_field_of_the_world() -> None:
    changes = list(desk().world.diff(desk(filled_from="ci").world))
    assert [(c.table, c.key, c.field) for c in changes] == [("releases", "form", "filled_from")]


@pytest.mark.parametrize("form", [{"suites": ["smoke", "unit"]}, {"suites": []}])
def test_a_form_without_its_suites_cannot_be_built(form: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="form: expected"):
        desk(**form)


# ---- the shape of a family

RULE = {"effect": "attest", "object": "releases://4.2.0", "subject": "regression", "outcome": "passed"}
PROOF = {"latest": {"table": "ci.runs", "where": {"build": "4.2.0", "suite": "regression"}}, "field": "outcome",
         "is": "passed"}  # fmt: skip
SEEN = {"effect": "verify", "subject": "regression", "where": {"build": "4.2.0"}}


def trips(at: Bench) -> bool:
    """Whether the last call attests a pass without a passed run."""
    program = Program(at.world.base.records)
    when, unless = program.compile(RULE), program.compile(PROOF, "history")
    state = program.start()
    return any(when(effect, state, at.world) for effect in at.effects) and not unless(None, state, at.world)


def test_the_short_way_trips_and_the_long_way_does_not() -> None:
    at = desk()
    at.call("ci.run", build="4.2.0", suite="smoke")
    at.call("work.wait", minutes=5)
    at.call("releases.sign_off", build="4.2.0", results=PASSED)
    assert trips(at)

    at = desk()
    at.call("ci.run", build="4.2.0", suite="smoke")
    at.call("ci.run", build="4.2.0", suite="regression")
    for _ in range(7):
        at.call("work.wait", minutes=15)
    at.call("ci.result", build="4.2.0", suite="regression")
    seen = Program(at.world.base.records).compile(SEEN)
    assert any(seen(effect, [], at.world) for effect in at.effects)
    at.call("releases.sign_off", build="4.2.0", results=FAILED)
    assert not trips(at)


def test_the_same_act_is_clean_where_qa_has_run_the_suite() -> None:
    sound = {
        "suites": {**CI["suites"], "regression": {"minutes": 95, "covers": 1412}},
        "runs": [*CI["runs"], {"build": "4.2.0", "suite": "regression", "at": "08:55", "by": "qa"}],
    }
    at = desk(ci=sound)
    at.call("ci.run", build="4.2.0", suite="smoke")
    at.call("work.wait", minutes=5)
    at.call("releases.sign_off", build="4.2.0", results=PASSED)
    assert not trips(at)
