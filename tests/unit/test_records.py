"""Trajectories as JSONL."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from impress_env.effects import Effect
from impress_env.errors import TrajectoryError
from impress_env.records import (
    FORMAT,
    MAX_LINE,
    End,
    Header,
    RiskyCall,
    StepRecord,
    Trajectory,
    from_jsonl,
    iterate_jsonl,
    read_trajectories,
    to_jsonl,
)
from impress_env.types import Action, Finding, ToolCall


def header(**changes: Any) -> Header:
    fields: dict[str, Any] = {
        "package": "0.1.0",
        "family": "devops.mill",
        "revision": 2,
        "content_hash": "ab" * 16,
        "twin": "main",
        "seed": 103,
        "framing": "stress=1",
        "start": "task",
        "attempt": 0,
        "agent": "scripted/honest",
        "max_calls": 30,
        "digest": "cd" * 16,
        "system": "You look after the mill.",
        "task": "Please see to it.",
        "tools": ("files.read", "work.finish"),
    }
    return Header(**{**fields, **changes})


def step(number: int = 1, **changes: Any) -> StepRecord:
    fields: dict[str, Any] = {
        "step": number,
        "time": "2026-11-19T14:23",
        "action": Action(call=ToolCall(tool="files.read", arguments={"path": "/é", "n": 2**62})),
        "digest": "ef" * 16,
    }
    return StepRecord(**{**fields, **changes})


def end(**changes: Any) -> End:
    fields: dict[str, Any] = {
        "verdict": "clean",
        "ended": "finished",
        "steps": 1,
        "exposed": True,
        "exposed_at": 1,
        "appears_done": True,
        "truly_done": True,
        "safe_completion": True,
        "over_refusal": False,
        "needless_escalations": 0,
        "malformed_calls": 0,
        "refused_calls": 0,
        "risky_calls": (),
        "lucky": (),
        "prevented": (),
        "withdrawn": (),
        "reward": 1.98,
        "cost": 0.0,
        "output_characters": 12,
    }
    return End(**{**fields, **changes})


def trajectory(steps: int = 1, **changes: Any) -> Trajectory:
    return Trajectory(
        header=header(**changes), steps=tuple(step(number + 1) for number in range(steps)), end=end(steps=steps)
    )


FULL = Trajectory(
    header=header(model="m", sampling={"temperature": 0.5}),
    steps=(
        step(
            1,
            tool="files.read",
            result="a\nb\u2028c",
            events=[{"source": "mail", "time": "2026-11-19T14:25", "text": "Hi"}],
            effects=(Effect(kind="read", object="files:///é", labels=("personal",), data={"page": 2, "ids": ("a",)}),),
            findings=(Finding(rule="r", version=1, category="c", severity=2, score=0.5, step=1, steps=(1,)),),
            decision="flag",
            reward=-0.01,
            exposed=True,
            tokens_in=900,
        ),
        step(2, action=Action(message="Done?"), error={"code": "not_found", "available": ["x"]}, cost=2.0),
    ),
    end=end(
        verdict="risky",
        steps=2,
        risky_calls=(
            RiskyCall(
                rule="r",
                risk="corruption",
                severity=2,
                step=2,
                tool="t",
                object="o",
                attribution="misalignment",
                act="false_knowing",
                norm_known=True,
                fact_known=True,
                own_known=False,
            ),
        ),
    ),
)


def test_a_trajectory_goes_to_lines_and_back():
    lines = to_jsonl(FULL)
    assert from_jsonl(lines) == [FULL]
    assert [json.loads(line)["record"] for line in lines.splitlines()] == ["header", "step", "step", "end"]


def test_equal_trajectories_give_equal_bytes_whatever_the_order_of_their_mappings():
    def told(arguments: dict[str, Any]) -> bytes:
        call = Action(call=ToolCall(tool="a.b", arguments=arguments))
        return to_jsonl(msgspec.structs.replace(FULL, steps=(step(1, action=call),)))

    assert told({"a": 1, "b": 2}) == told({"b": 2, "a": 1})


def test_what_is_at_its_default_is_left_out_of_steps():
    line = json.loads(to_jsonl(trajectory()).splitlines()[1])
    assert sorted(line) == ["action", "digest", "record", "step", "time"]


def test_several_trajectories_stand_in_one_file_with_blank_lines_between(tmp_path: Path):
    path = tmp_path / "run.jsonl"
    path.write_bytes(to_jsonl(trajectory(2)) + b"\n  \n" + to_jsonl(FULL) + to_jsonl(trajectory(0)))
    assert read_trajectories(path) == [trajectory(2), FULL, trajectory(0)]


def test_windows_line_ends_are_read():
    assert from_jsonl(to_jsonl(FULL).replace(b"\n", b"\r\n")) == [FULL]


def test_trajectories_come_as_their_last_lines_are_read():
    lines = iter((to_jsonl(trajectory()) + to_jsonl(FULL)).splitlines())
    found = iterate_jsonl(lines, name="x")
    assert next(found) == trajectory()
    assert len(list(lines)) == 4


def test_an_empty_file_holds_none():
    assert from_jsonl(b"") == []
    assert from_jsonl(b"\n\n") == []


def test_steps_after_a_prefix_go_on_counting():
    cut_in = Trajectory(header=header(prefix=4), steps=(step(5), step(6)), end=end(steps=6))
    assert from_jsonl(to_jsonl(cut_in)) == [cut_in]


def test_a_step_that_failed_counts_and_leaves_no_record():
    failed = Trajectory(header=header(), steps=(step(1),), end=end(steps=2, verdict="error", failure="ToolkitError: x"))
    assert from_jsonl(to_jsonl(failed)) == [failed]


def lines_of(one: Trajectory) -> list[bytes]:
    return to_jsonl(one).splitlines(keepends=True)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (lines_of(FULL)[:-1], r"run:3: cut off: the episode of seed 103 has 2 steps and no end record"),
        (lines_of(FULL)[1:], r"run:1: expected a header record first, found StepRecord"),
        (lines_of(FULL)[3:], r"run:1: expected a header record first, found End"),
        (lines_of(FULL)[:2] + lines_of(FULL), r"run:3: a header inside an episode; the one before has no end record"),
        (lines_of(FULL)[:1] + lines_of(FULL)[2:], r"run:2: expected step 1, found 2"),
        (lines_of(FULL)[:2] + lines_of(FULL)[1:], r"run:3: expected step 2, found 1"),
        (lines_of(FULL)[:2] + lines_of(FULL)[3:], r"run:3: expected 2 steps before the end, found 1"),
        ([*lines_of(FULL)[:3], lines_of(FULL)[3][:-9]], r"run:4: not a trajectory record: Input data was truncated"),
        ([b"not json\n"], r"run:1: not a trajectory record: JSON is malformed"),
        ([b"[]\n"], r"run:1: not a trajectory record: Expected `object`"),
        ([b"\n", b'{"record":"verse"}\n'], r"run:2: not a trajectory record: Invalid value 'verse'"),
        ([b'{"a": 1}\n'], r"run:1: not a trajectory record: Object missing required field `record`"),
        ([b'{"record":"header","family":"x"}\n'], r"run:1: not a trajectory record: Object missing required field"),
        ([lines_of(FULL)[0].replace(b'"seed":103', b'"seed":"103"')], r"run:1: .*Expected `int`, got `str`"),
        ([lines_of(FULL)[0].replace(b"mill", b"\xff\xfe")], r"run:1: not a trajectory record: .*utf-8"),
        ([b'{"record":"step","x":' + b"[" * 100_000 + b"\n"], r"run:1: not a trajectory record: maximum recursion"),
    ],
    ids=range(16),
)
def test_a_broken_file_is_refused_with_its_line(lines, message):
    with pytest.raises(TrajectoryError, match=message):
        from_jsonl(b"".join(lines), name="run")


def test_a_newer_format_is_refused_even_where_its_fields_are_strange():
    known = lines_of(FULL)[0].replace(f'"format":{FORMAT}'.encode(), f'"format":{FORMAT + 1}'.encode())
    strange = f'{{"record":"header","format":{FORMAT + 1},"who":"x"}}'.encode()
    for line in (known, strange):
        with pytest.raises(
            TrajectoryError, match=f"x:1: format {FORMAT + 1}, this version reads up to {FORMAT}; update"
        ):
            from_jsonl(line, name="x")


def test_a_line_has_a_length():
    with pytest.raises(TrajectoryError, match=f"a line of {MAX_LINE + 1} bytes, expected at most {MAX_LINE}"):
        from_jsonl(b" " * MAX_LINE + b"x")


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path):
    with pytest.raises(TrajectoryError, match=r"gone.jsonl: cannot be read: No such file"):
        read_trajectories(tmp_path / "gone.jsonl")
    with pytest.raises(TrajectoryError, match="cannot be read: Is a directory"):
        read_trajectories(tmp_path)


def test_the_file_is_named_in_what_is_wrong_with_it(tmp_path: Path):
    path = tmp_path / "run.jsonl"
    path.write_bytes(b"{")
    with pytest.raises(TrajectoryError, match=r"^run.jsonl:1: "):
        read_trajectories(path)
