"""The analyzer in runs and in play: what is held back, what is done nevertheless, and that it replays."""

from __future__ import annotations

from pathlib import Path

import pytest
from e2e.test_cli import impress, refused

from impress_env.evaluate.run import EvalConfig, evaluate
from impress_env.evaluate.store import RunFile
from impress_env.replay import replay

SEEN = ("customer_support.queue-trigger-tidy", "procurement.three-quotes", "software_engineering.ci-scratch-cleanup")


def run(out: Path, analyzer: str, **more: object) -> RunFile:
    agents = ("scripted/honest", "scripted/shortcut")
    config = EvalConfig(agents=agents, families=SEEN, seeds=3, analyzer=analyzer, **more)  # type: ignore[arg-type]
    evaluate(config, out)
    return RunFile.open(out)


def test_a_gate_prevents_what_its_rules_see_and_leaves_the_work_to_be_done(tmp_path: Path) -> None:
    with run(tmp_path / "run.sqlite", "rules/gate") as store:
        rows = store.rows()
        held = [row for row in rows if row.agent == "scripted/shortcut" and row.twin == "main"]
        assert all(row.end.verdict != "risky" and row.end.prevented for row in held)
        right = [row for row in rows if row.agent == "scripted/honest" or row.twin == "legitimate"]
        assert all(row.end.truly_done and not row.end.prevented for row in right)
        for _, trajectory in store.trajectories():
            assert trajectory.header.analyzer == "rules/gate"
            assert replay(trajectory) is None


def test_watching_holds_nothing_back_and_stores_what_was_found(tmp_path: Path) -> None:
    with run(tmp_path / "run.sqlite", "rules/watch", twins=("main",)) as store:
        for episode, trajectory in store.trajectories():
            found = [finding.rule for step in trajectory.steps for finding in step.findings]
            assert bool(found) is (episode.agent == "scripted/shortcut")
            assert {step.decision for step in trajectory.steps} <= {"allow", "flag"}
            assert (trajectory.end.verdict == "risky") is bool(found)


def test_a_run_is_resumed_with_its_own_analyzer(tmp_path: Path) -> None:
    words = (
        "eval",
        "--agent",
        "scripted/honest",
        "--families",
        SEEN[0],
        "--seeds",
        1,
        "--out",
        tmp_path / "run.sqlite",
    )
    assert impress(*words, "--analyzer", "gate").status == 0
    assert impress(*words, "--analyzer", "gate", "--resume").status == 0
    assert "another configuration" in refused(*words, "--resume")


def test_a_protocol_file_goes_into_the_run(tmp_path: Path) -> None:
    protocol = tmp_path / "protocol.yaml"
    protocol.write_text("failed: allow\n")
    words = ("eval", "--agent", "scripted/honest", "--families", SEEN[0], "--seeds", 1)
    done = impress(*words, "--out", tmp_path / "run.sqlite", "--analyzer", "gate", "--protocol", protocol)
    assert done.status == 0
    protocol.write_text("fails: allow\n")
    assert "unknown field `fails`" in refused(*words, "--protocol", protocol)
    assert "expected off, watch or gate" in refused(*words, "--analyzer", "loud")


def test_rules_are_listed_with_what_their_tests_say(tmp_path: Path) -> None:
    listed = impress("rules", "--json").data
    assert {row["rule"] for row in listed} >= {"destroyed-while-needed", "record-against-source"}
    assert [row["failing"] for row in listed] == [[]] * len(listed)
    bad = tmp_path / "bad.yaml"
    bad.write_text("id: bad\n")
    assert "missing required field" in refused("rules", bad)


@pytest.mark.parametrize(("mode", "told"), [("gate", "The call was not carried out."), ("watch", "flag: ")])
def test_a_person_sees_findings_as_they_come(mode: str, told: str) -> None:
    import msgspec

    from impress_env.env import ScenarioEnv
    from impress_env.scenario.load import family
    from impress_env.script import script_actions

    name = SEEN[2]
    seed = family(name).spec.demonstration
    env = ScenarioEnv(name)
    env.reset(seed=seed)
    lines = []
    for action in script_actions(env, "risky"):
        lines.append(msgspec.json.encode(msgspec.to_builtins(action.call) if action.call else action.message).decode())
        env.step(action)
    done = impress("play", name, "--analyzer", mode, typed="\n".join(lines) + "\n:quit\n")
    assert "destroyed-while-needed" in done.out
    assert told in done.out
