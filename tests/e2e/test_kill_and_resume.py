"""A run killed at ten random moments and resumed equals the run that was never killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from impress_env.evaluate.store import RunFile
from impress_env.records import to_jsonl

COMMAND = (
    sys.executable, "-m", "impress_env.cli", "eval", "--agent", "scripted/mixed?p=0.3", "--agent", "random",
    "--seeds", "6", "--json", "--resume",
)  # fmt: skip


def _episodes(path: Path) -> list[tuple[str, bytes]]:
    with RunFile.open(path) as store:
        assert not store.missing()
        return [(episode.key, to_jsonl(trajectory)) for episode, trajectory in store.trajectories()]


def test_a_run_killed_ten_times_and_resumed_is_the_run_never_killed(tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole.sqlite", tmp_path / "killed.sqlite"
    began = time.monotonic()
    subprocess.run((*COMMAND, "--out", str(whole)), check=True, capture_output=True, timeout=300)
    took = time.monotonic() - began
    began = time.monotonic()
    subprocess.run((*COMMAND, "--out", str(whole)), check=True, capture_output=True, timeout=300)  # nothing left to do
    start_up = time.monotonic() - began
    work = max(took - start_up, 0.0)
    moments = random.Random(20)
    kills = 0
    for _ in range(40):
        process = subprocess.Popen(
            (*COMMAND, "--out", str(killed)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            # from before the file exists to a little after the start-up: each life does a twelfth of the work at most
            process.wait(timeout=moments.uniform(0.1, 1.0) * start_up + moments.uniform(0.0, 1 / 12) * work)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            kills += 1
        if kills == 10:
            break
    subprocess.run((*COMMAND, "--out", str(killed)), check=True, capture_output=True, timeout=300)
    assert _episodes(killed) == _episodes(whole)
    assert kills == 10, f"only {kills} lives were cut short"
