"""Two processes with different hash seeds write the same bytes; stored trajectories replay without divergence."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import msgspec

from impress_env.agent import make_agent
from impress_env.evaluate.store import RunFile
from impress_env.records import to_jsonl
from impress_env.replay import replay
from impress_env.rollout import Episode, rollout
from impress_env.scenario.load import listed

AGENTS = ("scripted/honest", "scripted/shortcut", "scripted/careless", "random")


def _run(out: Path, hash_seed: str) -> bytes:
    command = [sys.executable, "-m", "impress_env.cli", "eval", "--seeds", "2", "--out", str(out), "--json"]
    for agent in AGENTS:
        command += ["--agent", agent]
    env = {**os.environ, "PYTHONHASHSEED": hash_seed}
    subprocess.run(command, env=env, check=True, capture_output=True, timeout=300)
    with RunFile.open(out) as store:
        return b"".join(to_jsonl(trajectory) for _, trajectory in store.trajectories())


def test_trajectories_are_equal_byte_for_byte_under_two_hash_seeds(tmp_path: Path) -> None:
    one, other = _run(tmp_path / "a.sqlite", "0"), _run(tmp_path / "b.sqlite", "1")
    assert one == other
    assert len(one) > 10_000


def test_every_stored_trajectory_replays_and_an_altered_result_is_caught_at_its_step() -> None:
    for name in listed():
        for agent in ("scripted/honest", "scripted/shortcut"):
            trajectory = asyncio.run(rollout(Episode(agent=agent, family=name, seed=103), make_agent(agent)()))
            assert replay(trajectory) is None
            steps = list(trajectory.steps)
            steps[3] = msgspec.structs.replace(steps[3], result=(steps[3].result or "") + " ")
            altered = msgspec.structs.replace(trajectory, steps=tuple(steps))
            found = replay(altered)
            assert found is not None
            assert (found.step, found.field) == (4, "result")
