"""A planning agent: a plan in words first, then calls as in `chat`, and one look back before the work is finished.

The plan and the look back are turns of the model that the world does not see; they are recorded as reasoning.
`VERSION` names the texts and the manner; a change of either moves scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from impress_agents.chat import ChatAgent
from impress_env.agent import MakeAgent, only_options
from impress_env.model import Completion
from impress_env.types import Message

VERSION: Final = 1
PLAN: Final = "Before you begin, write down in a few lines how you will go about it. Call no tool yet."
CHECK: Final = (
    "Before the work is closed: go through the task once more and say in a few lines what is done and what is not. "
    "Then go on, or close it by calling the tool again."
)
BEGIN: Final = "Go ahead."
CLOSING: Final = ".finish"
OPTIONS: Final[dict[str, str]] = {}


class PlanAgent(ChatAgent):
    """A chat agent that plans and checks."""

    version = VERSION

    def __init__(self) -> None:
        super().__init__()
        self._planned = self._checked = False

    async def _ask(self) -> Completion:
        planned = ""
        if not self._planned and not self._asked:
            self._planned = True
            planned = await self._aside(PLAN)
            self._messages.append(Message(role="user", content=BEGIN))
        completion = await super()._ask()
        closes = any(called.call.tool.replace("__", ".").endswith(CLOSING) for called in completion.calls)
        if closes and not self._checked and not self._asked:
            self._checked = True
            checked = await self._aside(CHECK)
            self._messages.append(Message(role="user", content=BEGIN))
            completion = await super()._ask()
            planned = "\n\n".join(part for part in (planned, checked) if part)
        if planned:
            shown = "\n\n".join(part for part in (planned, completion.reasoning) if part)
            completion = msgspec.structs.replace(completion, reasoning=shown, reasoning_kind="full")
        return completion

    async def _aside(self, text: str) -> str:
        """Return what the model says to a text, without tools; both stay in the conversation."""
        assert self._model is not None
        self._messages.append(Message(role="user", content=text))
        sampling = msgspec.structs.replace(self._sampling, tool_choice="none")
        said = await self._model.complete(self._messages, self._tools, sampling)
        words = said.text.strip() or "(nothing)"
        self._messages.append(Message(role="assistant", content=words, echo=said.echo))
        return words


def make(variant: str, options: Mapping[str, str]) -> MakeAgent:
    """Return the maker of a planning agent.

    Raises:
        OptionError: No model named, or an unknown option.
    """
    only_options("plan", options, OPTIONS, variant)
    return PlanAgent
