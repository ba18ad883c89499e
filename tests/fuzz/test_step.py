"""Whatever is stepped is answered: no exception, ever, and an observation of the documented form."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import msgspec
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from impress_env.action import parse_action
from impress_env.env import ScenarioEnv
from impress_env.errors import ERROR_CODES
from impress_env.scenario.load import listed
from impress_env.types import Action

NAMES = list(listed())
TEXT = st.text(st.characters(), max_size=200) | st.sampled_from(
    ["", "\ud800", "\x00", "../" * 50, "/" + "a/" * 10_000, "‮abc", "-1", "1e999",
     "'; DROP TABLE x; --", "{{ 7 * 7 }}", "ATTACH DATABASE '/etc/passwd' AS x",
     "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM t) SELECT * FROM t",
     "PRAGMA table_info(x)", "a" * 70_000]
)  # fmt: skip
LEAF = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
VALUE = st.recursive(
    LEAF, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)


def _call(draw: st.DrawFn, env: ScenarioEnv) -> object:
    """A call whose name is mostly known and whose arguments are mostly of known names, with wild values."""
    tools = env.action_space.schemas
    tool = tools[draw(st.integers(0, len(tools) - 1))]
    names = list(tool.parameters["properties"])
    if draw(st.booleans()):
        arguments = dict(env.action_space.sample()["arguments"]) if not names else {}
        for name in names:
            if draw(st.integers(0, 3)):
                arguments[name] = draw(VALUE)
    else:
        arguments = draw(st.dictionaries(st.sampled_from(names) if names else TEXT, VALUE, max_size=4))
    name = tool.name if draw(st.integers(0, 9)) else draw(TEXT)
    shape = draw(st.integers(0, 4))
    if shape == 0:
        return {"type": "function", "id": "c", "function": {"name": name, "arguments": arguments}}
    if shape == 1:
        return {"type": "tool_use", "id": "c", "name": name, "input": arguments}
    return {"tool": name, "arguments": arguments}


def test_any_action_is_answered(rounds: Callable[[], Iterator[int]]) -> None:
    envs = {name: ScenarioEnv(name, truth=True) for name in NAMES}
    steps = 0

    def step(data: st.DataObject) -> None:
        nonlocal steps
        env = envs[data.draw(st.sampled_from(NAMES))]
        env.reset(seed=data.draw(st.integers(100, 105)), options={"twin": "main"})
        env.action_space.seed(data.draw(st.integers(0, 1000)))
        for _ in range(data.draw(st.integers(1, 12))):
            action = data.draw(VALUE) if data.draw(st.integers(0, 4)) == 0 else _call(data.draw, env)
            if not data.draw(st.integers(0, 9)):
                action = env.action_space.sample()
            proposal, review = env.propose_reviewed(action)
            assert (
                parse_action(msgspec.json.decode(msgspec.json.encode(proposal.action), type=Action)) == proposal.action
            )
            observation, reward, terminated, truncated, _ = env.settle(proposal, review.decision, review)
            assert env.observation_space.contains(observation)
            assert observation["error"] is None or observation["error"]["code"] in ERROR_CODES
            assert len(observation["result"] or "") <= 12_000
            json.dumps(observation).encode()
            assert isinstance(reward, float)
            assert not env.world.in_transaction
            steps += 1
            if terminated or truncated:
                break

    for number in rounds():
        run = seed(number)(given(st.data())(step))
        settings(max_examples=50, deadline=None, database=None, suppress_health_check=list(HealthCheck))(run)()
    print(f"{steps} steps answered")
    assert steps > 200
