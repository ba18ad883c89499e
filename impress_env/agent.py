"""Agents: what turns observations into actions, and how one is named.

An agent is named ``name[/variant][?key=value&…]``; the name is an entry point of the group `impress_env.agents` whose
object is a factory ``(variant, options) -> make``, and ``make()`` gives a fresh agent for one episode. Where the
variant is a model's name (`impress_env.model`) the agent is a scaffold around that model, which it is handed when an
episode begins; a model's name alone stands for `chat` around it. Of the options the model takes its own, then the
sampling, then the agent. Scripted agents are marked `privileged` and are shown the env; all others see observations
and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

from impress_env import plugins
from impress_env.env import ScenarioEnv
from impress_env.errors import OptionError, PluginError
from impress_env.model import (
    SAMPLING_OPTIONS,
    Model,
    ModelRef,
    Provider,
    Sampling,
    find_provider,
    is_model,
    parse_model,
    parse_sampling,
)
from impress_env.types import Action, Observation


class Briefing(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent is given at the start of an episode.

    `model` and `sampling` are there for agents around a model, `extra` is text to add to the system text, and `env` is
    for privileged agents only.
    """

    seed: int
    attempt: int
    env: ScenarioEnv | None = None
    model: Model | None = None
    sampling: Sampling = Sampling()
    extra: str = ""


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


DEFAULT = "chat"  # the agent that a model's name alone stands for
MakeAgent = Callable[[], Agent]
AgentFactory = Callable[[str, Mapping[str, str]], MakeAgent]


class AgentSpec(msgspec.Struct, frozen=True):
    """A parsed agent name. `model` is the model's, where it is an agent around one."""

    name: str
    variant: str
    options: dict[str, str]
    model: ModelRef | None = None

    def __str__(self) -> str:
        query = urlencode(self.options, quote_via=quote, safe=":/,.{}\"'[] ")
        lead = self.variant if self.model is not None and self.name == DEFAULT else self.name
        told = f"/{self.variant}" if self.variant and lead == self.name else ""
        return lead + told + (f"?{query}" if query else "")


class ModelOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of an agent around a model, told apart. `per_episode_seed` asks for seeds of the episodes' own."""

    sampling: Sampling
    per_episode_seed: bool
    provider: dict[str, str]
    price: str
    agent: dict[str, str]


def parse_agent(text: str) -> AgentSpec:
    """Return the parts of an agent's name.

    Raises:
        OptionError: It has not the form name[/variant][?key=value] or provider:MODEL[?key=value].
    """
    head, _, query = text.strip().partition("?")
    name, _, variant = head.partition("/")
    if is_model(name):
        name, variant = DEFAULT, head
    if not name:
        raise OptionError(f"agent: expected name[/variant][?key=value], found {text!r}")
    try:
        pairs = parse_qsl(query.replace("+", "%2B"), strict_parsing=True, keep_blank_values=True) if query else []
        options = dict(pairs)
        empty = sorted({key for key, value in pairs if not value})
        if empty or len(options) < len(pairs):
            told = f"nothing for {', '.join(empty)}" if empty else "one twice"
            raise OptionError(f"agent {text!r}: expected a value for each option, found {told}")
    except ValueError as error:
        if isinstance(error, OptionError):
            raise
        raise OptionError(f"agent {text!r}: expected options as key=value&key=value, found {query!r}") from None
    return AgentSpec(name, variant, options, parse_model(variant) if is_model(variant) else None)


def model_options(spec: AgentSpec) -> ModelOptions:
    """Return the options of an agent around a model, told apart.

    Raises:
        OptionError: A value is out of range, or there is no such provider.
        PluginError: The provider failed to load.
    """
    sampling, left = parse_sampling(spec.options)
    seeded = left.pop("sampling_seed", "")
    price = left.pop("price", "")
    if seeded == "episode":
        pass
    elif seeded.isdecimal():
        sampling = msgspec.structs.replace(sampling, seed=int(seeded))
    elif seeded:
        raise OptionError(f"sampling_seed: expected a whole number or episode, found {seeded!r}")
    known: dict[str, str] = {}
    if spec.model is not None:
        names = provider_of(spec.model).options
        known = {key: left.pop(key) for key in list(left) if key in names}
    return ModelOptions(
        sampling=sampling, per_episode_seed=seeded == "episode", provider=known, price=price, agent=left
    )


def provider_of(ref: ModelRef) -> Provider:
    """Return the provider of a model.

    Raises:
        OptionError: There is none of that name.
        PluginError: It failed to load.
    """
    return find_provider(ref.provider)


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
    options = spec.options if spec.model is None else model_options(spec).agent
    make: MakeAgent = factory(spec.variant, options)
    return make


def only_options(name: str, options: Mapping[str, str], known: Mapping[str, str], model: str) -> None:
    """Check the options of an agent around a model, and that there is one.

    Raises:
        OptionError: No model is named, or an option is unknown.
    """
    if not is_model(model):
        told = f"{name} needs a model: {name}/openai:NAME, {name}/anthropic:NAME, {name}/vllm:NAME or {name}/vllm@URL"
        raise OptionError(f"{told}; found {model!r}")
    unknown = sorted(set(options) - set(known))
    if unknown:
        there = ", ".join((*known, *SAMPLING_OPTIONS, "price", *provider_of(parse_model(model)).options))
        raise OptionError(f"{name}/{model}: unknown options {', '.join(unknown)}; known: {there}")
