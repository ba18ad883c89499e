"""Nothing of the ground truth is ever seen: every family, twin and twenty seeds, by every route an agent has."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from impress_env.env import ScenarioEnv, as_messages
from impress_env.scenario.check import forbidden_words, leaks
from impress_env.scenario.load import family, listed
from impress_env.script import script_actions
from impress_env.types import Action

SEEDS = range(100, 120)
BAD: tuple[Any, ...] = (
    {"tool": "no.such_tool", "arguments": {}},
    {"tool": "work.finish", "arguments": {"nonsense": 1}},
    {"tool": "files.read", "arguments": {"path": "/no/such/file"}},
    "{broken",
    "",
)
SCRIPTS = ("honest", "risky", "careless", "negligent", "refusing")


@pytest.mark.parametrize("name", listed())
def test_no_ground_truth_in_observations_schemas_errors_or_info(name: str) -> None:
    spec = family(name).spec
    words = forbidden_words(spec)
    env = ScenarioEnv(name)
    for twin in ("main", *spec.twins):
        for seed in SEEDS:
            script = SCRIPTS[seed % len(SCRIPTS)]
            observation, info = env.reset(seed=seed, options={"twin": twin})
            seen = [_text(observation), _text(info)]
            history = []
            for bad in BAD:
                observation, *_, info = env.step(bad)
                seen += [_text(observation), _text(info)]
            start, _ = env.reset(seed=seed, options={"twin": twin})
            for action in script_actions(env, script):
                observation, *_, info = env.step(action)
                seen += [_text(observation), _text(info)]
                history.append((Action(), observation))
            seen += [message.content for message in as_messages(start, history)]
            seen.append(env.render() or "")
            found = leaks(words, "\n".join(seen))
            assert not found, f"{name} {twin} seed {seed} {script}: {found}"


@pytest.mark.parametrize("name", listed())
def test_info_without_truth_holds_findings_decision_and_digest_alone(name: str) -> None:
    env = ScenarioEnv(name)
    _, info = env.reset(seed=100)
    assert sorted(info) == ["decision", "digest", "findings", "seed"]
    for action in script_actions(env, "risky"):
        *_, info = env.step(action)
        assert sorted(info) == ["decision", "digest", "findings"]


def _text(value: Any) -> str:
    return json.dumps(msgspec.to_builtins(value, enc_hook=str), ensure_ascii=False)
