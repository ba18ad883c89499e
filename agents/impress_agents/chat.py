"""A chat agent: a model with native tool calls and no other scaffold.

It is shown the family's system text and task as they are. Calls made together run in order, as steps of their own. An
answer without a call goes to the requester as a message, followed by one neutral line; a second one in a row ends the
work. `VERSION` names the texts and the manner; a change of either moves scores.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from impress_env.agent import Briefing, MakeAgent, only_options
from impress_env.env import as_messages
from impress_env.errors import AgentError
from impress_env.model import Completion, Model, Sampling
from impress_env.types import Action, Message, Observation, ToolCall, ToolSchema

VERSION: Final = 1
NUDGE: Final = "No tool was called. Go on by calling a tool; without a further call the work ends here."
OPTIONS: Final[dict[str, str]] = {}
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEPT: Final = 2_000  # characters of an answer too long to be given back


class ChatAgent:
    """Holds the conversation of one episode with a model."""

    privileged = False
    version = VERSION

    def __init__(self) -> None:
        self._model: Model | None = None
        self._sampling = Sampling()
        self._extra = ""
        self._messages: list[Message] = []
        self._tools: Sequence[ToolSchema] = ()
        self._last: Action | None = None
        self._queue: deque[Action] = deque()
        self._ids: set[str] = set()
        self._asked = False
        self._silent = 0  # answers in a row without a call

    def begin(self, briefing: Briefing) -> None:
        """Take the model of this episode.

        Raises:
            AgentError: There is none.
        """
        if briefing.model is None:
            raise AgentError("an agent around a model was given none; pass rollout(model=…) or name it in --agent")
        self._model, self._sampling, self._extra = briefing.model, briefing.sampling, briefing.extra

    async def act(self, observation: Observation) -> Action:
        """Return the next action; asks the model where no call is left of its last answer.

        Raises:
            AgentError: The model failed.
        """
        self._take(observation)
        if not self._queue:
            completion = await self._ask()
            self._queue.extend(self._read(completion))
        self._last = self._queue.popleft()
        return self._last

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation so far, as the model is shown it."""
        return tuple(self._messages)

    async def _ask(self) -> Completion:
        assert self._model is not None, "act() before begin()"
        sampling = self._sampling
        if self._asked and sampling.tool_choice != "auto":  # a question is answered in words
            sampling = msgspec.structs.replace(sampling, tool_choice="auto")
        return await self._model.complete(self._messages, self._tools, sampling)

    def _take(self, observation: Observation) -> None:
        """Add what was observed to the conversation."""
        if "tools" in observation:
            self._messages = as_messages(observation)
            self._tools = observation["tools"]
            self._asked = "question" in observation
            self._ids = {call.id for message in self._messages for call in message.calls}
            if self._extra:
                lead = self._messages[0]
                text = f"{lead.content}\n\n{self._extra}" if lead.content else self._extra
                self._messages[0] = msgspec.structs.replace(lead, content=text)
            return
        last = self._last
        if last is not None and last.call is not None:
            self._messages.append(Message(role="tool", content=observation["text"], call_id=last.call.id))
            return
        text = observation["text"]
        if not self._asked:
            text = f"{text}\n\n{NUDGE}" if text else NUDGE
        self._messages.append(Message(role="user", content=text))

    def _read(self, completion: Completion) -> list[Action]:
        """Return the actions of an answer, and keep the answer as the assistant's turn."""
        text = completion.text
        too_long = len(text) > 200_000
        if too_long:
            text = text[:_KEPT]
        calls = tuple(self._numbered(called.call) for called in completion.calls)
        problems = [called.problem for called in completion.calls]
        if problems and completion.stop == "length" and not problems[-1]:  # what arrived may be a part of it
            problems[-1] = f"the answer was cut off after {completion.spent.usage.output} tokens"
        shown = tuple(
            msgspec.structs.replace(call, arguments={"unreadable": called.raw}) if called.problem else call
            for call, called in zip(calls, completion.calls, strict=True)
        )
        self._messages.append(
            Message(
                role="assistant",
                content=text,
                calls=shown,
                reasoning=completion.reasoning,
                echo=completion.echo,
            )
        )
        lead = {"reasoning": completion.reasoning, "reasoning_kind": completion.reasoning_kind}
        if not calls:
            return [self._without_call(completion, text, too_long)]
        self._silent = 0
        return [
            Action(
                call=call,
                message="" if number or too_long else text,
                malformed=f"arguments of {call.tool}: {problem}" if problem else "",
                joined=number > 0,
                **({} if number else lead),  # type: ignore[arg-type]
            )
            for number, (call, problem) in enumerate(zip(shown, problems, strict=True))
        ]

    def _without_call(self, completion: Completion, text: str, too_long: bool) -> Action:
        self._silent += 1
        end = self._silent > 1 and not self._asked
        problem = ""
        if too_long:
            problem = f"expected at most 200000 characters, found {len(completion.text)}"
        elif completion.stop == "length":
            problem = f"the answer was cut off after {completion.spent.usage.output} tokens"
            end = False
        elif not text.strip():
            problem = "the answer held neither a call nor a message"
        lead = {"reasoning": completion.reasoning, "reasoning_kind": completion.reasoning_kind}
        if end:
            return Action(message="" if problem else text, end=True, **lead)  # type: ignore[arg-type]
        return Action(message="" if problem else text, malformed=problem, **lead)  # type: ignore[arg-type]

    def _numbered(self, call: ToolCall) -> ToolCall:
        """Return the call under an id that no other call of the episode has."""
        call_id = call.id
        if call_id in self._ids or not _ID.fullmatch(call_id):
            number = len(self._ids)
            while (call_id := f"call{number:05d}") in self._ids:  # nine letters and digits: some templates want that
                number += 1
        self._ids.add(call_id)
        return msgspec.structs.replace(call, id=call_id, tool=call.tool.replace("__", ".", 1))


def make(variant: str, options: Mapping[str, str]) -> MakeAgent:
    """Return the maker of a chat agent.

    Raises:
        OptionError: No model named, or an unknown option.
    """
    only_options("chat", options, OPTIONS, variant)
    return ChatAgent
