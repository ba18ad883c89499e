"""The trajectory's records, as JSONL: a header, one record per step, an end.

Deterministic: the same instance and actions give the same bytes, since wall-clock times live elsewhere (the run
file). The format has a number; a file of a newer one is refused, files of older ones are kept as golden tests.
Knows nothing of worlds, oracles or agents.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from impress_env.effects import Effect
from impress_env.errors import TrajectoryError
from impress_env.types import Action, Decision, Finding

FORMAT: Final = 1
MAX_LINE: Final = 20_000_000


class Header(msgspec.Struct, frozen=True, kw_only=True, tag="header", tag_field="record"):
    """What was run: enough to run it again."""

    format: int = FORMAT
    package: str
    family: str
    revision: int
    content_hash: str
    twin: str
    seed: int
    framing: str
    start: str
    attempt: int
    agent: str
    model: str = ""
    sampling: dict[str, Any] = {}
    agent_version: int = 0
    system_extra: str = ""
    analyzer: str = ""
    max_calls: int
    digest: str
    system: str
    task: str
    tools: tuple[str, ...]
    prefix: int = 0
    question: str = ""


class StepRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="step", tag_field="record"):
    """One step. `digest` is the world's after it; `effects` are those of the call, none where it was held back.

    `abstained` and `failed` are the monitors (or rules) that could not say, each with why.
    """

    step: int
    time: str
    action: Action
    tool: str = ""
    result: str | None = None
    error: dict[str, Any] | None = None
    events: list[dict[str, str]] = []
    effects: tuple[Effect, ...] = ()
    digest: str
    decision: Decision = "allow"
    findings: tuple[Finding, ...] = ()
    abstained: tuple[tuple[str, str], ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    reward: float = 0.0
    cost: float = 0.0
    exposed: bool = False
    tokens_in: int | None = None
    tokens_out: int | None = None


class RiskyCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A risky act as the oracle localised it."""

    rule: str
    risk: str
    severity: int
    step: int
    tool: str
    object: str
    attribution: str
    act: str
    norm_known: bool
    fact_known: bool
    own_known: bool | None = None
    cured: bool = False
    told_in_prose: bool = False


class End(msgspec.Struct, frozen=True, kw_only=True, tag="end", tag_field="record"):
    """How it ended. `verdict` is risky, lucky, clean, incomplete or error; `failure` says what an error was."""

    verdict: str
    ended: str
    steps: int
    exposed: bool
    exposed_at: int | None
    appears_done: bool
    truly_done: bool
    safe_completion: bool
    over_refusal: bool
    needless_escalations: int
    malformed_calls: int
    refused_calls: int
    risky_calls: tuple[RiskyCall, ...]
    lucky: tuple[RiskyCall, ...]
    prevented: tuple[RiskyCall, ...]
    withdrawn: tuple[str, ...]
    reward: float
    cost: float
    output_characters: int
    failure: str = ""


class Trajectory(msgspec.Struct, frozen=True, kw_only=True):
    """One finished episode."""

    header: Header
    steps: tuple[StepRecord, ...]
    end: End


Line = Header | StepRecord | End
_ENCODER = msgspec.json.Encoder(order="deterministic")
_DECODER: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


def to_jsonl(trajectory: Trajectory) -> bytes:
    """Return the lines of a trajectory."""
    lines = (trajectory.header, *trajectory.steps, trajectory.end)
    return b"".join(_ENCODER.encode(line) + b"\n" for line in lines)


def from_jsonl(data: bytes, *, name: str = "trajectory") -> list[Trajectory]:
    """Return the trajectories of a JSONL text, in order.

    Raises:
        TrajectoryError: It is cut off, foreign, or of a newer format; says at which line.
    """
    return list(iterate_jsonl(data.splitlines(), name=name))


def iterate_jsonl(lines: Iterable[bytes], *, name: str) -> Iterator[Trajectory]:
    """Yield trajectories as their last lines are read.

    Raises:
        TrajectoryError: As `from_jsonl`.
    """
    header: Header | None = None
    steps: list[StepRecord] = []
    number = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        record = _decode(line, name, number)
        if isinstance(record, Header):
            if header is not None:
                raise TrajectoryError(f"{name}:{number}: a header inside an episode; the one before has no end record")
            header, steps = record, []
        elif header is None:
            raise TrajectoryError(f"{name}:{number}: expected a header record first, found {type(record).__name__}")
        elif isinstance(record, StepRecord):
            expected = header.prefix + len(steps) + 1
            if record.step != expected:
                raise TrajectoryError(f"{name}:{number}: expected step {expected}, found {record.step}")
            steps.append(record)
        else:
            told = header.prefix + len(steps)
            if record.steps != told and not record.failure:  # a failing step counts and leaves no record
                raise TrajectoryError(f"{name}:{number}: expected {record.steps} steps before the end, found {told}")
            yield Trajectory(header=header, steps=tuple(steps), end=record)
            header = None
    if header is not None:
        raise TrajectoryError(
            f"{name}:{number}: cut off: the episode of seed {header.seed} has {len(steps)} steps and no end record"
        )


def read_trajectories(path: Path) -> list[Trajectory]:
    """Return the trajectories of a JSONL file.

    Raises:
        TrajectoryError: It cannot be read, or as `from_jsonl`.
    """
    try:
        return from_jsonl(path.read_bytes(), name=path.name)
    except OSError as error:
        raise TrajectoryError(f"{path}: cannot be read: {error.strerror}") from None


def _decode(line: bytes, name: str, number: int) -> Line:
    if len(line) > MAX_LINE:
        raise TrajectoryError(f"{name}:{number}: a line of {len(line)} bytes, expected at most {MAX_LINE}")
    try:
        record = _DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        newer = _newer_format(line)
        if newer is not None:
            raise TrajectoryError(
                f"{name}:{number}: format {newer}, this version reads up to {FORMAT}; update impress-env"
            ) from None
        raise TrajectoryError(f"{name}:{number}: not a trajectory record: {error}") from None
    if isinstance(record, Header) and record.format > FORMAT:
        raise TrajectoryError(
            f"{name}:{number}: format {record.format}, this version reads up to {FORMAT}; update impress-env"
        )
    return record


def _newer_format(line: bytes) -> int | None:
    try:
        data = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    found = data.get("format") if isinstance(data, dict) else None
    return found if isinstance(found, int) and found > FORMAT else None
