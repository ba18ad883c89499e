"""A person at a terminal: reads observations, types calls as JSON or `tool key=value …`, or plain text."""

from __future__ import annotations

from collections.abc import Mapping

from impress_env.action import parse_typed
from impress_env.agent import Briefing, MakeAgent
from impress_env.errors import AgentError, OptionError
from impress_env.types import Action, Observation


class HumanAgent:
    """Asks on standard input for every action."""

    privileged = False

    def begin(self, briefing: Briefing) -> None:
        """Nothing to prepare."""

    async def act(self, observation: Observation) -> Action:
        """Print the observation and return what the person typed."""
        if "system" in observation:
            print(observation["system"], observation.get("task", ""), sep="\n\n")
            print("\ntools:", ", ".join(tool.name for tool in observation.get("tools", ())))
            for action, after in observation.get("prefix", ()):
                print(f"\n{action.call.tool if action.call else action.message}\n{after['text']}")
            if "question" in observation and observation["question"]["text"] != observation.get("task"):
                print(f"\n{observation['question']['text']}")
        else:
            print(observation["text"])
        try:
            return parse_typed(input("> "))
        except EOFError:
            raise AgentError("the person left (end of input)") from None


def make(variant: str, options: Mapping[str, str]) -> MakeAgent:
    """Return the maker of the person's agent.

    Raises:
        OptionError: It takes no variant and no options.
    """
    if variant or options:
        raise OptionError("human takes no variant and no options")
    return HumanAgent
