"""The trivial env: the least a text env can do and still be one. Every step ratio is taken against it.

It is made with `gymnasium.make`, parses one JSON text action, does one dict look-up, answers in JSON text and
returns a fresh four-key info. Its space is its own, since `spaces.Text` walks every character of a text.
It knows nothing of worlds, tools, effects or oracles: what our env costs above it is what those cost.
"""

from __future__ import annotations

import json
from typing import Any

import gymnasium

ENV_ID = "impress-bench/Trivial-v0"

KEYS = tuple(f"key-{number:02d}" for number in range(32))


class TextSpace(gymnasium.Space[str]):
    """Any text; a sample is one short valid call."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(shape=None, dtype=None, seed=seed)

    def sample(self, mask: None = None, probability: None = None) -> str:
        key = KEYS[int(self.np_random.integers(len(KEYS)))]
        return json.dumps({"name": "get", "arguments": {"key": key}})

    def contains(self, x: object) -> bool:
        return isinstance(x, str)

    @property
    def is_np_flattenable(self) -> bool:
        return False


class TrivialEnv(gymnasium.Env[str, str]):
    """One look-up a step; it never ends by itself."""

    metadata = {"render_modes": []}

    def __init__(self) -> None:
        self.observation_space = TextSpace()
        self.action_space = TextSpace()
        self._values: dict[str, int] = {}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[str, dict[str, Any]]:
        super().reset(seed=seed)
        self._values = {key: number for number, key in enumerate(KEYS)}
        return "{}", {"findings": (), "decision": "allow", "digest": "", "cost": 0.0}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        call = json.loads(action)
        value = self._values.get(call["arguments"]["key"])
        info = {"findings": (), "decision": "allow", "digest": "", "cost": 0.0}
        return json.dumps({"result": value}), 0.0, False, False, info


def make() -> gymnasium.Env[str, str]:
    """Make it as a user makes any env: registered once, with Gymnasium's default wrappers."""
    if ENV_ID not in gymnasium.registry:
        gymnasium.register(id=ENV_ID, entry_point=f"{__name__}:TrivialEnv")
    return gymnasium.make(ENV_ID)
