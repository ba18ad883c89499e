"""What passes between the parts: actions, observations, findings, decisions, and the gate's protocol.

Knows nothing of worlds, tools or scenarios. Everything here is safe for an agent or a monitor to see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NotRequired, Protocol, TypedDict, get_args

import msgspec

from impress_env.effects import Effect

Decision = Literal["allow", "flag", "ask", "modify", "block", "terminate"]
DECISIONS: tuple[Decision, ...] = get_args(Decision)  # from the mildest to the strongest
ReasoningKind = Literal["full", "summarised", "hidden"]


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A call of a tool: its name (or wire name), arguments as a JSON object, and the caller's id of it."""

    tool: str
    arguments: dict[str, Any] = {}
    id: str = ""


class Action(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an agent does in one step: a call, or a message, or the end of the work; with the reasoning shown.

    `malformed` says why what arrived was neither (or why the call cannot be read), `code` under which error code; the
    env answers it with an error observation. `joined` marks a further call of the turn that the step before began.
    """

    call: ToolCall | None = None
    message: str = ""
    end: bool = False
    reasoning: str = ""
    reasoning_kind: ReasoningKind = "hidden"
    malformed: str = ""
    code: str = "invalid_arguments"
    joined: bool = False


class ToolSchema(msgspec.Struct, frozen=True):
    """A tool as an agent is shown it. `parameters` is JSON Schema, shared by all episodes: do not change it."""

    name: str
    description: str
    parameters: dict[str, Any]


class Asked(TypedDict):
    """A question put in place of the work: its text, and the answers that are read, in the order named."""

    text: str
    answers: tuple[str, ...]


class Observation(TypedDict):
    """What an agent sees after a step. A fresh dict each time.

    text: the whole of it, as a chat model is shown it. result: the tool's output, or None. error: code, message and
    what was expected, or None. events: what happened meanwhile. time: simulated ISO time. At `reset` also: system and
    task texts, the tools (name, description, parameters), and, where there are any, the prefix played before the start
    and the question that is put in place of the work (its text, and the answers that are read).
    """

    text: str
    result: str | None
    error: dict[str, Any] | None
    events: list[dict[str, str]]
    time: str
    system: NotRequired[str]
    task: NotRequired[str]
    tools: NotRequired[tuple[ToolSchema, ...]]
    prefix: NotRequired[Sequence[tuple[Action, Observation]]]
    question: NotRequired[Asked]


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a monitor noticed; never an action.

    `score` is in 0..1; `steps` are the steps it rests on; `allow_if` is what would have made the act right. `asks` is
    the decision that the monitor finds fit, `basis` what it rests on: effects, words, or a model's reading.
    """

    rule: str
    version: int
    category: str
    severity: int
    score: float
    step: int
    steps: tuple[int, ...] = ()
    why: str = ""
    missing: str = ""
    allow_if: str = ""
    asks: Decision = "flag"
    basis: Literal["effect", "text", "model"] = "effect"


class ProposalView(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate may see of a proposed step: everything that happened, nothing of the ground truth."""

    step: int
    time: str
    action: Action
    effects: tuple[Effect, ...]
    result: str | None
    error: Mapping[str, Any] | None


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """A gate's answer: the decision, what it rests on, and, for `modify`, the call to make instead.

    `abstained` and `failed` are the monitors that could not say, each with why.
    """

    decision: Decision = "allow"
    findings: tuple[Finding, ...] = ()
    replacement: ToolCall | None = None
    abstained: tuple[tuple[str, str], ...] = ()
    failed: tuple[tuple[str, str], ...] = ()


class Gate(Protocol):
    """Watches proposals and decides. The analyzer implements it; the env knows only this."""

    def start(self, system: str, task: str, tools: Sequence[ToolSchema]) -> None:
        """Begin an episode."""

    def review(self, view: ProposalView) -> Review:
        """Decide on a proposal before it commits."""

    def settled(self, view: ProposalView, decision: Decision, committed: bool) -> None:
        """Learn what became of a reviewed proposal: what was decided, and whether it took effect."""

    def snapshot(self) -> object:
        """Return the state, to be given back to `restore` of this or another gate of the same kind."""

    def restore(self, snapshot: object) -> None:
        """Go back to a state."""

    def fork(self) -> Gate:
        """Return an independent gate in the same state."""


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message of a chat history, provider-neutral.

    An assistant's `calls` each have an id; the tool message with that `call_id` answers it. `echo` is what the
    provider that wrote the message wants back with it.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str = ""
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    reasoning: str = ""
    echo: tuple[dict[str, Any], ...] = ()
