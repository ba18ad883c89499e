"""A person at a terminal: reads observations, types calls as JSON or `tool key=value …`, or plain text."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

from impress_env.action import parse_action
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
            print("\ntools:", ", ".join(str(tool["name"]) for tool in observation.get("tools", ())))
        else:
            print(observation["text"])
        try:
            return parse_typed(input("> "))
        except EOFError:
            raise AgentError("the person left (end of input)") from None


def parse_typed(line: str) -> Action:
    """Return what a typed line means: JSON, `tool key=value …` (values as JSON where they parse), or a message."""
    head = line.strip().split(" ", 1)[0]
    if "." not in head or head.startswith("{") or not head.replace(".", "").replace("_", "").isalnum():
        return parse_action(line)
    try:
        words = shlex.split(line)
    except ValueError as error:
        return Action(malformed=f"cannot be read: {error}")
    arguments: dict[str, object] = {}
    for word in words[1:]:
        key, equals, value = word.partition("=")
        if not equals:
            return parse_action(line)
        try:
            arguments[key] = json.loads(value)
        except ValueError:
            arguments[key] = value
    return parse_action({"tool": words[0], "arguments": arguments})


def make(variant: str, options: Mapping[str, str]) -> MakeAgent:
    """Return the maker of the person's agent.

    Raises:
        OptionError: It takes no variant and no options.
    """
    if variant or options:
        raise OptionError("human takes no variant and no options")
    return HumanAgent
