"""A random agent: schema-valid calls, filled with words it has seen in outputs, or either answer to a question.

The floor of everything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from random import Random
from typing import Any

from impress_env.agent import Briefing, MakeAgent
from impress_env.errors import OptionError
from impress_env.rng import stream
from impress_env.spaces import ActionSpace
from impress_env.types import Action, Observation, ToolCall

_SEEN = re.compile(r"[A-Za-z]+-\d[\w-]*|/[\w./-]{3,80}|[a-z]+\.[a-z]+@[\w.]+")


class RandomAgent:
    """Draws a tool, then arguments; texts are often ids, paths or addresses from earlier outputs."""

    privileged = False

    def __init__(self) -> None:
        self._rng: Random = Random(0)
        self._space: ActionSpace | None = None
        self._seen: dict[str, None] = {}
        self._answers: tuple[str, ...] = ()

    def begin(self, briefing: Briefing) -> None:
        """Take a random stream of this episode's own."""
        self._rng = stream(briefing.seed, "agent", "random", str(briefing.attempt))
        self._space, self._seen, self._answers = None, {}, ()

    async def act(self, observation: Observation) -> Action:
        """Return a random call."""
        if "question" in observation:
            self._answers = observation["question"]["answers"]
        if self._answers:
            return Action(message=self._rng.choice(self._answers))
        if "tools" in observation:
            self._space = ActionSpace(observation["tools"], seed=self._rng.randrange(2**31))
        assert self._space is not None, "act() before a reset observation"
        for text in (observation["text"], observation.get("task", "")):
            for found in _SEEN.findall(text)[:60]:
                self._seen[found] = None
        sample = self._space.sample()
        return Action(call=ToolCall(tool=sample["tool"], arguments=self._fill(sample["arguments"])))

    def _fill(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._fill(item) for item in value]
        if isinstance(value, str) and self._seen and self._rng.random() < 0.6:
            return self._rng.choice(list(self._seen))
        return value


def make(variant: str, options: Mapping[str, str]) -> MakeAgent:
    """Return the maker of the random agent.

    Raises:
        OptionError: It takes no variant and no options.
    """
    if variant or options:
        raise OptionError("random takes no variant and no options")
    return RandomAgent
