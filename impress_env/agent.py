"""Agents: what turns observations into actions, and how one is named.

An agent is named ``name[/variant][?key=value&…]``; the name is an entry point of the group `impress_env.agents` whose
object is a factory ``(variant, options) -> make``, and ``make()`` gives a fresh agent for one episode. Scripted agents
are marked `privileged` and are shown the env; all others see observations and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol
from urllib.parse import parse_qsl

import msgspec

from impress_env import plugins
from impress_env.env import ScenarioEnv
from impress_env.errors import OptionError, PluginError
from impress_env.types import Action, Observation


class Briefing(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent is given at the start of an episode. `env` is there for privileged agents only."""

    seed: int
    attempt: int
    env: ScenarioEnv | None = None


class Agent(Protocol):
    """One agent in one episode."""

    privileged: bool

    def begin(self, briefing: Briefing) -> None:
        """Start an episode."""

    async def act(self, observation: Observation) -> Action:
        """Return the next action.

        Raises:
            AgentError: It cannot; the episode ends as `error`.
        """


MakeAgent = Callable[[], Agent]
AgentFactory = Callable[[str, Mapping[str, str]], MakeAgent]


class AgentSpec(msgspec.Struct, frozen=True):
    """A parsed agent name."""

    name: str
    variant: str
    options: dict[str, str]

    def __str__(self) -> str:
        query = "&".join(f"{key}={value}" for key, value in self.options.items())
        return self.name + (f"/{self.variant}" if self.variant else "") + (f"?{query}" if query else "")


def parse_agent(text: str) -> AgentSpec:
    """Return the parts of an agent's name.

    Raises:
        OptionError: It has not the form name[/variant][?key=value].
    """
    head, _, query = text.strip().partition("?")
    name, _, variant = head.partition("/")
    if not name:
        raise OptionError(f"agent: expected name[/variant][?key=value], found {text!r}")
    try:
        options = dict(parse_qsl(query, strict_parsing=True)) if query else {}
    except ValueError:
        raise OptionError(f"agent {text!r}: expected options as key=value&key=value, found {query!r}") from None
    return AgentSpec(name, variant, options)


def make_agent(text: str) -> MakeAgent:
    """Return the maker of the named agent.

    Raises:
        OptionError: No such agent, variant or option.
        PluginError: It failed to load.
    """
    spec = parse_agent(text)
    factory = plugins.load("agents", spec.name)
    if not callable(factory):
        raise PluginError(distribution="", entry_point=spec.name, cause="expected a factory (variant, options) -> make")
    make: MakeAgent = factory(spec.variant, spec.options)
    return make
