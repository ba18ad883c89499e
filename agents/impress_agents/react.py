"""A text agent in the manner of ReAct (Yao et al., arXiv 2210.03629), for models without a tool parser.

The tools are described in the system text; a turn is a thought, an action and its input as JSON, and the observation
comes back as the user's next message. `VERSION` names the texts and the manner; a change of either moves scores.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from impress_env.agent import Briefing, MakeAgent, only_options
from impress_env.env import as_messages
from impress_env.errors import AgentError
from impress_env.model import Completion, Model, Sampling
from impress_env.models.http import read_arguments
from impress_env.types import Action, Message, Observation, ToolCall, ToolSchema

VERSION: Final = 1
PROTOCOL: Final = """You work by calling tools, one at a time. Write each turn in exactly this form:

Thought: what you think
Action: the name of one tool
Action Input: its arguments as one JSON object

Then stop; the tool's output comes back as "Observation:". When there is nothing more to do and no tool to call, write
"Final Answer:" and your last words instead of an action.

The tools, each with the JSON Schema of its arguments:
"""
NUDGE: Final = "No action was read. Go on with an action; without a further one the work ends here."
OPTIONS: Final[dict[str, str]] = {}
_ACTION: Final = re.compile(r"^\s*\**Action\**\s*:\**\s*`?([^\n`]+?)`?\s*$", re.MULTILINE | re.IGNORECASE)
_INPUT: Final = re.compile(r"^\s*\**Action[ _]Input\**\s*:\**\s*", re.MULTILINE | re.IGNORECASE)
_FINAL: Final = re.compile(r"^\s*\**Final Answer\**\s*:\**\s*", re.MULTILINE | re.IGNORECASE)
_OBSERVATION: Final = re.compile(r"^\s*\**Observation\**\s*:", re.MULTILINE | re.IGNORECASE)
_THOUGHT: Final = re.compile(r"^\s*\**Thought\**\s*:\**\s*", re.IGNORECASE)
_FENCE: Final = re.compile(r"^```(?:json)?\s*|\s*```\s*$")


def describe(tools: Sequence[ToolSchema]) -> str:
    """Return the tools as text, a line each."""
    lines = [
        f"{tool.name}: {' '.join(tool.description.split())} {msgspec.json.encode(tool.parameters).decode()}"
        for tool in tools
    ]
    return "\n".join(lines)


def as_turns(messages: Sequence[Message]) -> list[Message]:
    """Return a history with calls as one of plain text, in the protocol's form."""
    found: list[Message] = []
    for message in messages:
        if message.role == "tool":
            found.append(Message(role="user", content=f"Observation: {message.content}"))
        elif message.calls:
            call = message.calls[0]
            told = msgspec.json.encode(call.arguments).decode()
            thought = f"Thought: {message.reasoning or message.content or 'Next step.'}\n"
            text = f"{thought}Action: {call.tool}\nAction Input: {told}"
            found.append(Message(role="assistant", content=text))
        else:
            found.append(message)
    return found


def read_turn(text: str) -> Action:
    """Return the action of a turn.

    Never raises: what cannot be read is a message, or a malformed call.
    """
    cut = _OBSERVATION.search(text)  # what a model makes up beyond its own turn
    text = text[: cut.start()] if cut is not None else text
    action, final = _ACTION.search(text), _FINAL.search(text)
    if final is not None and (action is None or final.start() < action.start()):
        thought = _THOUGHT.sub("", text[: final.start()].strip())
        return Action(message=text[final.end() :].strip(), end=True, reasoning=thought, reasoning_kind="full")
    if action is None:
        return Action(message=text.strip())
    thought = _THOUGHT.sub("", text[: action.start()].strip()).strip()
    rest = text[action.end() :]
    begins = _INPUT.search(rest)
    told = _FENCE.sub("", rest[begins.end() :].strip()).strip() if begins is not None else ""
    arguments, raw, problem = read_arguments(_object(told))
    if problem:
        arguments = {"unreadable": raw}
    name = action[1].strip().strip("\"'").removesuffix("()")
    return Action(
        call=ToolCall(tool=name[:200], arguments=arguments),
        malformed=f"Action Input of {name[:80]}: {problem}" if problem else "",
        reasoning=thought,
        reasoning_kind="full" if thought else "hidden",
    )


def _object(text: str) -> str:
    """Return the first JSON object of a text, or the text: models add words after it."""
    if not text.startswith("{"):
        return text
    depth, quoted, escaped = 0, False, False
    for index, letter in enumerate(text):
        if escaped:
            escaped = False
        elif letter == "\\":
            escaped = quoted
        elif letter == '"':
            quoted = not quoted
        elif not quoted and letter in "{}":
            depth += 1 if letter == "{" else -1
            if depth == 0:
                return text[: index + 1]
    return text


class ReactAgent:
    """Holds the conversation of one episode with a model, in plain text."""

    privileged = False
    version = VERSION

    def __init__(self) -> None:
        self._model: Model | None = None
        self._sampling = Sampling()
        self._extra = ""
        self._messages: list[Message] = []
        self._last: Action | None = None
        self._asked = False
        self._silent = 0
        self._calls = 0

    def begin(self, briefing: Briefing) -> None:
        """Take the model of this episode.

        Raises:
            AgentError: There is none.
        """
        if briefing.model is None:
            raise AgentError("an agent around a model was given none; pass rollout(model=…) or name it in --agent")
        self._model, self._extra = briefing.model, briefing.extra
        stop = (*briefing.sampling.stop, "\nObservation:")
        self._sampling = msgspec.structs.replace(briefing.sampling, stop=stop, tool_choice="none")

    async def act(self, observation: Observation) -> Action:
        """Ask the model for its next turn.

        Raises:
            AgentError: The model failed.
        """
        assert self._model is not None, "act() before begin()"
        self._take(observation)
        completion = await self._model.complete(self._messages, (), self._sampling)
        self._last = self._read(completion)
        return self._last

    def _take(self, observation: Observation) -> None:
        if "tools" in observation:
            self._messages = as_turns(as_messages(observation))
            self._asked = "question" in observation
            if observation["tools"]:
                self._lead(PROTOCOL + describe(observation["tools"]))
            if self._extra:
                self._lead(self._extra)
            return
        text = observation["text"]
        if self._last is not None and self._last.call is not None:
            text = f"Observation: {text}"
        elif not self._asked:
            text = f"{text}\n\n{NUDGE}" if text else NUDGE
        self._messages.append(Message(role="user", content=text))

    def _lead(self, text: str) -> None:
        lead = self._messages[0]
        content = f"{lead.content}\n\n{text}" if lead.content else text
        self._messages[0] = msgspec.structs.replace(lead, content=content)

    def _read(self, completion: Completion) -> Action:
        text = completion.text[:200_000]
        action = Action(message=text.strip()) if self._asked else read_turn(text)
        cut = _OBSERVATION.search(text)
        self._messages.append(Message(role="assistant", content=(text[: cut.start()] if cut else text).strip()))
        if completion.reasoning:
            shown = "\n".join(part for part in (completion.reasoning, action.reasoning) if part)
            action = msgspec.structs.replace(action, reasoning=shown, reasoning_kind=completion.reasoning_kind)
        if action.call is not None:
            self._silent, self._calls = 0, self._calls + 1
            call = msgspec.structs.replace(action.call, id=f"call_{self._calls}")
            return msgspec.structs.replace(action, call=call)
        if action.end:
            return action
        self._silent += 1
        if completion.stop == "length":
            told = f"the answer was cut off after {completion.spent.usage.output} tokens"
            return msgspec.structs.replace(action, message="", malformed=told)
        if not action.message:
            told = "the answer held neither an action nor a message"
            return msgspec.structs.replace(action, malformed=told, end=False)
        return msgspec.structs.replace(action, end=self._silent > 1 and not self._asked)


def make(variant: str, options: Mapping[str, str]) -> MakeAgent:
    """Return the maker of a text agent.

    Raises:
        OptionError: No model named, or an unknown option.
    """
    only_options("react", options, OPTIONS, variant)
    return ReactAgent
