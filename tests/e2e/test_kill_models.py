"""Runner and endpoint are killed in mid-run, ten times each: nothing lost, nothing doubled, nothing asked for again."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

from impress_env.evaluate.store import RunFile
from impress_env.records import Trajectory
from impress_env.testing.endpoint import read_log

AT_ONCE = 8
KILLS = 10  # of each
SEEDS = 30
FAMILIES = ("devops.signal-tuning", "people_hr.transfer-pay-pack")


def test_twenty_kills_lose_no_episode_and_ask_for_no_stored_answer_again(tmp_path: Path) -> None:
    out, log, chance = tmp_path / "run.sqlite", tmp_path / "answers.jsonl", Random(7)
    with _free_port() as port:
        pass
    server = _server(port, log)
    runner = _runner(port, out)
    kills = ["runner"] * KILLS + ["server"] * KILLS
    chance.shuffle(kills)
    lost_before, done = 0, 0
    try:
        for victim in kills:
            _wait_for_more(out, runner)
            time.sleep(chance.uniform(0.0, 0.25))
            if runner.poll() is not None:
                break
            if victim == "runner":
                _kill(runner)
                time.sleep(0.2)  # the endpoint answers what it had begun
            else:
                _kill(server)
                time.sleep(0.05)
            done += 1
            lost = _kept(log) - _stored(out)
            assert 0 <= lost - lost_before <= AT_ONCE, f"kill {done} of the {victim}"
            lost_before = lost
            if victim == "runner":
                runner = _runner(port, out)
            else:
                server = _server(port, log)
        assert runner.wait(120) == 0
    finally:
        for process in (runner, server):
            _kill(process)
    assert done == 2 * KILLS
    assert _kept(log) - _stored(out) == lost_before
    found = _trajectories(out)
    assert len(found) == SEEDS * len(FAMILIES)
    assert [(t.steps, t.end) for t in found] == [(t.steps, t.end) for t in _undisturbed(tmp_path)]


@contextmanager
def _free_port() -> Iterator[int]:
    with closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def _server(port: int, log: Path) -> subprocess.Popen[str]:
    command = (sys.executable, "-m", "impress_env.testing.endpoint", "--port", str(port), "--log", str(log), "--delay",
               "0.06", "--tools", "mail__inbox,files__list", "--finish", "work__finish", "--after", "6")  # fmt: skip
    for _ in range(50):  # the port may still be held by connections of the one before
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        if process.stdout.readline().startswith("http"):
            return process
        time.sleep(0.05)
    raise AssertionError("the endpoint does not start")


def _runner(port: int, out: Path) -> subprocess.Popen[str]:
    agent = f"openai:m@http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "impress_env.cli", "eval", "--agent", agent, "--twins", "main", "--seeds",
               str(SEEDS), "--concurrency", str(AT_ONCE), "--out", str(out), "--resume"]  # fmt: skip
    for family in FAMILIES:
        command += ["--families", family]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)


def _kill(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
    process.wait(30)
    if process.stdout is not None:
        process.stdout.close()


def _wait_for_more(out: Path, runner: subprocess.Popen[str]) -> None:
    """Wait until the run goes on: a few answers more are stored."""
    before, deadline = _stored(out), time.monotonic() + 60
    while _stored(out) < before + 5 and runner.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)


def _stored(out: Path) -> int:
    """How many answers the run file holds."""
    try:
        with closing(sqlite3.connect(out, timeout=10)) as db:
            return int(db.execute("SELECT count(completion) FROM calls").fetchone()[0])
    except sqlite3.OperationalError:  # not made yet
        return 0


def _kept(log: Path) -> int:
    """How many answers the endpoint gave, whole or not."""
    return sum(read_log(log).answered_bodies.values())


def _trajectories(out: Path) -> list[Trajectory]:
    with RunFile.open(out) as store:
        assert store.missing() == []
        return [trajectory for _, trajectory in store.trajectories()]


def _undisturbed(folder: Path) -> list[Trajectory]:
    with _free_port() as port:
        pass
    server = _server(port, folder / "other.jsonl")
    try:
        assert _runner(port, folder / "other.sqlite").wait(120) == 0
    finally:
        _kill(server)
    return _trajectories(folder / "other.sqlite")
