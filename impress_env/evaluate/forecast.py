"""What a run is likely to take, before it runs: calls, tokens, context length, money and time.

Measured on the families' own honest ways: a chat agent that takes them sends the growing history at every call. Real
models read less or more, so this is an order of size, not a promise. Knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

import msgspec

from impress_env.agent import model_options, parse_agent
from impress_env.env import ScenarioEnv, as_messages
from impress_env.model import Usage
from impress_env.models.prices import Price, nano_usd, parse_price, price_of
from impress_env.rollout import Episode
from impress_env.scenario.framing import parse_framing
from impress_env.script import script_actions
from impress_env.types import Action, Observation

CHARACTERS_A_TOKEN: Final = 3.6  # of JSON and English, by the usual tokenizers: 3.3 to 4.2
ROOM: Final = 1.5  # context to have, beside what the honest way needs
OVERHEAD: Final = 16  # characters that a template adds to a message
SECONDS_A_CALL: Final = 4.0  # of a remote model; printed as what it is


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """What one episode on the honest way takes: calls, tokens sent in all of them, tokens written, longest history."""

    calls: int
    input: int
    output: int
    context: int


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is likely to take.

    `context` is family -> tokens of context to have; `nano_usd` is without any discount for cached input, and None
    where a price is unknown.
    """

    episodes: int
    calls: int
    input: int
    output: int
    context: dict[str, int]
    nano_usd: int | None
    seconds: float


@cache
def honest_way(family: str, twin: str, framing: tuple[tuple[str, str], ...], seed: int, start: str) -> Way:
    """Return what the honest way of an instance takes."""
    env = ScenarioEnv(family)
    reset, _ = env.reset(seed=seed, options={"twin": twin, "framing": dict(framing), "start": start})
    tools = sum(
        len(msgspec.json.encode(tool.parameters)) + len(tool.description) + len(tool.name) + 60
        for tool in reset["tools"]
    )
    history: list[tuple[Action, Observation]] = []
    sent, written, longest, calls = 0, 0, 0, 0
    if start == "task" or parse_framing(dict(framing)).form != "agentic":
        for action in script_actions(env, "honest"):
            size = tools + _characters(reset, history)
            sent, longest, calls = sent + size, max(longest, size), calls + 1
            written += len(msgspec.json.encode(action)) + 200  # a few words beside the call
            observation, _, terminated, truncated, _ = env.step(action)
            history.append((action, observation))
            if terminated or truncated:
                break
    else:  # most of the way is behind
        longest = sent = tools + _characters(reset, [])
        sent, written, calls = 3 * sent, 3 * 400, 3
    return Way(calls=calls, input=_tokens(sent), output=_tokens(written), context=_tokens(longest + written / calls))


def _characters(reset: Observation, history: Sequence[tuple[Action, Observation]]) -> int:
    total = 0
    for message in as_messages(reset, history):
        total += len(message.content) + OVERHEAD
        total += sum(len(msgspec.json.encode(call.arguments)) + len(call.tool) + 40 for call in message.calls)
    return total


def _tokens(characters: float) -> int:
    return round(characters / CHARACTERS_A_TOKEN)


def forecast(episodes: Sequence[Episode], *, at_once: int) -> Forecast | None:
    """Return what the episodes of agents around a model are likely to take, or None where there are none.

    Args:
        episodes: What is to run.
        at_once: Episodes under way at once.
    """
    calls = sent = written = count = 0
    cost: int | None = 0
    context: dict[str, int] = {}
    for episode in episodes:
        spec = parse_agent(episode.agent)
        if spec.model is None:
            continue
        seed = episodes[0].seed  # one seed a family and twin: they differ by little
        way = honest_way(episode.family, episode.twin, episode.framing, seed, episode.start)
        count, calls, sent, written = count + 1, calls + way.calls, sent + way.input, written + way.output
        need = round(way.context * ROOM)
        context[episode.family] = max(context.get(episode.family, 0), need)
        price = _price(episode.agent)
        money = nano_usd(price, Usage(input=way.input, output=way.output)) if price is not None else None
        cost = None if cost is None or money is None else cost + money
    if not count:
        return None
    return Forecast(
        episodes=count,
        calls=calls,
        input=sent,
        output=written,
        context=dict(sorted(context.items())),
        nano_usd=cost,
        seconds=calls / max(1, min(at_once, count)) * SECONDS_A_CALL,
    )


@cache
def _price(agent: str) -> Price | None:
    spec = parse_agent(agent)
    assert spec.model is not None
    told = model_options(spec).price
    if told:
        return parse_price(told)
    return None if spec.model.urls else price_of(spec.model.provider, spec.model.name)
