"""What the benchmarks do in our env: calls of the honest way, and a family made large enough to measure growth.

The calls are those that a family's honest script makes, as the JSON text that an agent would send, so that what is
timed is the work the scenarios are about and not a call chosen for its speed. Knows nothing of clocks and budgets.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import gymnasium

from benchmarks.peer_deepcopy import CHANGED, FILES, body_of, path_of
from impress_env.env import ScenarioEnv
from impress_env.scenario.load import path_of as family_file
from impress_env.scenario.source import read_yaml
from impress_env.script import script_actions
from impress_env.tool import ENDING_ROLES

ENV_ID = "impress_env:impress/Scenario-v0"
MAX_CALLS = 10_000
SEED = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One action of the honest way."""

    tool: str
    text: str
    """The action as JSON text."""
    wrote: bool
    """Whether it changed the world."""
    size: int
    """Characters of the observation."""
    typical: bool
    """Whether it is a call of the commonest kind: it read one thing, or let time pass, and nothing else followed."""


def make(family: str) -> gymnasium.Env[Any, Any]:
    """Make an env as a user does, with Gymnasium's default wrappers."""
    return gymnasium.make(ENV_ID, scenario=family, max_calls=MAX_CALLS)


def scenario(env: gymnasium.Env[Any, Any]) -> ScenarioEnv:
    """The env inside its wrappers."""
    return cast("ScenarioEnv", env.unwrapped)


def action_text(tool: str, **arguments: object) -> str:
    """One call as an agent sends it."""
    return json.dumps({"name": tool, "arguments": arguments}, ensure_ascii=False)


def honest_calls(env: gymnasium.Env[Any, Any], seed: int) -> list[Call]:
    """The calls of the honest script up to, and without, the one that ends the work."""
    env.reset(seed=seed)
    inner = scenario(env)
    calls: list[Call] = []
    for action in script_actions(inner, "honest"):
        if action.call is None:
            text, tool = json.dumps({"message": action.message}), "message"
        else:
            found = inner.instance.tools.get(action.call.tool)
            if found.role in ENDING_ROLES:
                break
            text, tool = action_text(found.name, **action.call.arguments), found.name
        inner.truth = True
        observation, _, terminated, truncated, info = env.step(text)
        inner.truth = False
        if terminated or truncated:
            break
        kinds = {effect.kind for effect in info["effects"]}
        one = not any(effect.covers for effect in info["effects"]) and len(info["effects"]) <= 1
        typical = one and kinds <= {"read"} and not inner.changes and not observation["events"]
        size = len(observation["text"])
        calls.append(Call(tool=tool, text=text, wrote=bool(inner.changes), size=size, typical=typical))
    if not calls:
        raise SystemExit(f"workload: the honest script of {inner.family.spec.id} makes no call before its end")
    return calls


def daily_calls(env: gymnasium.Env[Any, Any], calls: list[Call]) -> list[str]:
    """A round of work that can go on for ever: what the honest way reads, with a file written, a question, a wait.

    Its writes stay within the same few files, so that only what the env itself keeps can grow from round to round.
    """
    inner = scenario(env)
    inner.reset(seed=SEED)
    reads = [call.text for call in calls if not call.wrote and not call.tool.startswith("work.")]
    reads = [text for text in reads if inner.step(text)[0]["error"] is None]
    inner.reset(seed=SEED)
    requester = inner.instance.requester
    own = [
        action_text("files.write", path="/shared/work-log.md", text=body_of(0)),
        action_text("people.ask", to=requester, about="the open points", text="Anything new on the open points?"),
        action_text("work.wait", minutes=1),
    ]
    middle = len(reads) // 2
    return [*reads[:middle], own[0], *reads[middle:], *own[1:]]


def rounds(texts: list[str]) -> Iterator[str]:
    """The same calls over and over."""
    while True:
        yield from texts


def large_family(folder: Path, family: str) -> Path:
    """A copy of a shipped family with 100 files in its world, and limits that 1,000 steps do not reach.

    Its banks and texts are the package's own, so it stays the family that it is in everything else.
    """
    source = family_file(family)
    package = source.parents[2]
    for name in ("banks", "texts"):
        link = folder / name
        if (package / name).exists() and not link.exists():
            link.symlink_to(package / name)
    data, _ = read_yaml(source.read_text(encoding="utf-8"), source.name)
    data["agent"]["max_minutes"] = 20_000
    _keep_answering(data)
    env = ScenarioEnv(family)
    env.reset(seed=SEED)
    present = len(env.world.rows("files"))
    data["world"].setdefault("files", []).extend(
        {"path": path_of(number), "owner": "operations", "at": "-3d 10:12", "text": body_of(number)}
        for number in range(max(0, FILES - present))
    )
    target = folder / "data" / source.parent.name / source.name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(data, ensure_ascii=False, indent=1), encoding="utf-8")
    return target


def _keep_answering(data: dict[str, Any]) -> None:
    """The requester answers every question a minute later, so that events go on firing."""
    requester = data["task"][0]["from"]
    people = data["world"].setdefault("people", [])
    entry = next((entry for entry in people if entry["who"] == requester), None)
    if entry is None:
        entry = {"who": requester}
        people.append(entry)
    entry["fallback"] = {"after_minutes": 1, "text": "Nothing new.", "times": MAX_CALLS}


def change_files(env: gymnasium.Env[Any, Any]) -> None:
    """Change 20 files, by calls."""
    paths = [row.path for row in scenario(env).world.rows("files") if row.path.startswith("/shared/team-")]  # type: ignore[attr-defined]
    if len(paths) < CHANGED:
        raise SystemExit(f"workload: {len(paths)} files to change, expected at least {CHANGED}")
    for number, path in enumerate(paths[:CHANGED]):
        observation, *_ = env.step(action_text("files.write", path=path, text=body_of(number, 1)))
        if observation["error"]:
            raise SystemExit(f"workload: writing {path} failed: {observation['error']}")
