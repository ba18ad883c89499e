"""Trajectories as JSONL: there and back, and cut off anywhere."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from impress_env.effects import KINDS, Effect
from impress_env.errors import TrajectoryError
from impress_env.records import End, Header, RiskyCall, StepRecord, Trajectory, from_jsonl, to_jsonl
from impress_env.types import DECISIONS, Action, Finding, ToolCall

CORE = settings(max_examples=120, deadline=None, derandomize=True)

TEXT = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["\u2028", "\r\n", '"\\', "\x00", "\x7f", "😀"]
)
NAMES = st.lists(TEXT, max_size=2).map(tuple)
INTS = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | INTS | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=3)
CALLS = st.builds(ToolCall, tool=TEXT, arguments=OBJECTS, id=TEXT)
ACTIONS = st.one_of(
    st.builds(Action, call=CALLS, reasoning=TEXT, reasoning_kind=st.sampled_from(["full", "summarised", "hidden"])),
    st.builds(Action, message=TEXT),
    st.builds(Action, end=st.just(True)),
    st.builds(Action, malformed=TEXT),
)
EFFECTS = st.builds(
    Effect,
    kind=st.sampled_from(KINDS),
    object=TEXT,
    labels=NAMES,
    audience=st.none() | st.sampled_from(["self", "team", "org", "external"]),
    amount=st.none() | INTS,
    reversible=st.none() | st.booleans(),
    before=st.none() | TEXT | INTS | st.booleans(),
    covers=NAMES,
    data=st.dictionaries(TEXT, st.none() | TEXT | INTS | st.booleans() | NAMES, max_size=2),
)
FINDINGS = st.builds(
    Finding, rule=TEXT, version=INTS, category=TEXT, severity=INTS, score=FLOATS, step=INTS, steps=st.just((1, 2))
)
STEPS = st.builds(
    StepRecord,
    step=st.just(0),
    time=TEXT,
    action=ACTIONS,
    tool=TEXT,
    result=st.none() | TEXT,
    error=st.none() | OBJECTS,
    events=st.lists(st.dictionaries(TEXT, TEXT, max_size=2), max_size=2),
    effects=st.lists(EFFECTS, max_size=2).map(tuple),
    digest=TEXT,
    decision=st.sampled_from(DECISIONS),
    findings=st.lists(FINDINGS, max_size=1).map(tuple),
    reward=FLOATS,
    cost=FLOATS,
    exposed=st.booleans(),
    tokens_in=st.none() | INTS,
)
RISKY = st.builds(RiskyCall, severity=INTS, step=INTS, own_known=st.none() | st.booleans())
HEADERS = st.builds(
    Header, format=st.just(1), seed=INTS, tools=NAMES, sampling=OBJECTS, prefix=st.integers(0, 9), system=TEXT
)
ENDS = st.builds(End, risky_calls=st.lists(RISKY, max_size=1).map(tuple), withdrawn=NAMES, reward=FLOATS, cost=FLOATS)


@st.composite
def trajectories(draw: st.DrawFn) -> Trajectory:
    header = draw(HEADERS)
    steps = draw(st.lists(STEPS, max_size=3))
    numbered = tuple(msgspec.structs.replace(step, step=header.prefix + number) for number, step in enumerate(steps, 1))
    end = msgspec.structs.replace(draw(ENDS), steps=header.prefix + len(steps), failure="")
    return Trajectory(header=header, steps=numbered, end=end)


@CORE
@given(st.lists(trajectories(), max_size=3))
def test_trajectories_go_to_lines_and_back(several):
    lines = b"".join(to_jsonl(one) for one in several)
    assert lines.count(b"\n") == sum(len(one.steps) + 2 for one in several)
    found = from_jsonl(lines)
    assert found == several
    assert b"".join(to_jsonl(one) for one in found) == lines


@CORE
@given(trajectories(), st.data())
def test_a_file_cut_off_at_any_byte_is_refused_with_the_line_of_the_cut(one, data):
    lines = to_jsonl(one)
    at = data.draw(st.integers(1, len(lines) - 2))
    with pytest.raises(TrajectoryError) as caught:
        from_jsonl(lines[:at], name="run")
    message = str(caught.value)
    cut_line = lines[:at].count(b"\n") + (0 if lines[:at].endswith(b"\n") else 1)
    assert message.startswith(f"run:{cut_line}: ")
    at_the_end_of_a_record = lines[at - 1 : at] == b"\n" or lines[at : at + 1] == b"\n"
    assert ("cut off: the episode of seed" in message) is at_the_end_of_a_record
    assert ("not a trajectory record" in message) is not at_the_end_of_a_record


def test_a_file_cut_off_at_every_byte_is_refused():
    step = StepRecord(step=1, time="t", action=Action(message="é"), digest="d", error={"code": "x", "n": [1, 2.5]})
    header = Header(
        package="p", family="f", revision=1, content_hash="c", twin="main", seed=7, framing="", start="task", attempt=0,
        agent="a", max_calls=3, digest="d", system="s", task="t", tools=("x.y",),
    )  # fmt: skip
    end = End(
        verdict="clean", ended="finished", steps=1, exposed=False, exposed_at=None, appears_done=False,
        truly_done=False, safe_completion=False, over_refusal=False, needless_escalations=0, malformed_calls=0,
        refused_calls=0, risky_calls=(), lucky=(), prevented=(), withdrawn=(), reward=0.5, cost=0.0,
        output_characters=0,
    )  # fmt: skip
    lines = to_jsonl(Trajectory(header=header, steps=(step,), end=end))
    assert len(from_jsonl(lines[:-1])) == 1  # but for the last newline it is whole
    for at in range(1, len(lines) - 1):
        with pytest.raises(TrajectoryError, match=r"^trajectory:[123]: "):
            from_jsonl(lines[:at])


@CORE
@given(trajectories(), st.data())
def test_a_lost_or_repeated_line_is_noticed(one, data):
    lines = to_jsonl(one).splitlines(keepends=True)
    number = data.draw(st.integers(0, len(lines) - 1))
    again = data.draw(st.booleans())
    altered = [*lines[:number], *(lines[number : number + 1] * 2 if again else ()), *lines[number + 1 :]]
    with pytest.raises(TrajectoryError, match=r"^run:\d+: "):
        from_jsonl(b"".join(altered), name="run")


@CORE
@given(trajectories(), st.data())
def test_a_changed_byte_gives_trajectories_or_an_error_with_the_line(one, data):
    lines = bytearray(to_jsonl(one))
    at = data.draw(st.integers(0, len(lines) - 1))
    lines[at] = data.draw(st.integers(0, 255))
    problem = ""
    try:
        found = from_jsonl(bytes(lines), name="run")
    except TrajectoryError as error:
        problem = str(error)
    assert problem.startswith("run:") if problem else all(isinstance(other, Trajectory) for other in found)


@CORE
@given(st.lists(st.binary(max_size=20) | st.sampled_from([b'{"record":"header"', b'{"record":"end"}', b"{}", b"null"])))
def test_any_bytes_give_an_error_with_the_line(parts):
    data = b"\n".join(parts)
    assume(data.strip())
    with pytest.raises(TrajectoryError, match=r"^run:\d+: "):
        from_jsonl(data, name="run")
