"""Whole episodes against a real vLLM: by native calls and by text, over both SDKs, from the command, through kills.

The model's weights are random, so that what it does is nonsense; what is tested is that every episode is played to a
verdict, counted and stored.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec
import pytest

from impress_env.evaluate.run import EvalConfig, Means, Progress, open_run, run
from impress_env.evaluate.store import RunFile, Spending
from impress_env.model import ModelError, Sampling
from impress_env.models.launch import Launch, start
from impress_env.models.vllm import Launched, VLLMModel
from impress_env.models.wrappers import Patience, Retrying
from impress_env.records import Trajectory
from impress_env.types import Message

if TYPE_CHECKING:
    from vllm.conftest import Serving  # of this folder

FAMILIES = ("media_moderation.night-rota", "people_hr.transfer-pay-pack")
SHORT = "max_tokens=24&temperature=1.0"


def play(out: Path, agents: Sequence[str], *, seeds: int, families: tuple[str, ...] = FAMILIES, attempts: int = 1,
         progress: Progress | None = None) -> tuple[list[Trajectory], Spending]:  # fmt: skip
    """Run agents on the main twins and return what is stored."""
    config = EvalConfig(agents=tuple(agents), families=families, twins=("main",), seeds=seeds, attempts=attempts)
    with open_run(config, out, resume=False) as store:
        asyncio.run(run(store, means=Means(concurrency=16), progress=progress))
        return [trajectory for _, trajectory in store.trajectories()], store.spending()


def test_fifty_episodes_by_native_calls_end_in_a_verdict(server: Serving, tmp_path: Path) -> None:
    progress = Progress()
    agent = f"vllm@{server.url}?tool_choice=required&temperature=1.0&max_tokens=80&extra={_brief(server)}"
    found, spent = play(tmp_path / "run.sqlite", (agent,), seeds=5, attempts=5, progress=progress)
    assert len(found) == 50
    assert all(trajectory.end.ended and not trajectory.end.failure for trajectory in found)
    steps = [step for trajectory in found for step in trajectory.steps]
    made = sum(step.tool != "" for step in steps)
    assert made > 0.25 * len(steps)  # the rest was cut off in the middle of a call
    assert {trajectory.header.model for trajectory in found} == {server.model}
    assert (spent.failed, spent.unknown) == (0, 0)
    assert spent.output > 0
    gauges = progress.gauges[server.model]
    assert gauges.prefix_hits > 0.5 * gauges.prefix_queries
    print(
        f"\n{len(found)} episodes, {len(steps)} steps, {made} with a call that was made, {spent.calls} requests, "
        f"prefix cache {gauges.prefix_hits / gauges.prefix_queries:.0%}"
    )


def _brief(server: Serving) -> str:
    """Return a bias to quotation marks: random weights then end the texts in their calls."""
    vocabulary = json.loads((server.directory / "tokenizer.json").read_text())["model"]["vocab"]
    bias = {str(number): 8 for token, number in vocabulary.items() if token.startswith('"')}
    return quote(json.dumps({"logit_bias": bias}))


def test_fifty_episodes_by_text_end_in_a_verdict(server: Serving, tmp_path: Path) -> None:
    found, spent = play(tmp_path / "run.sqlite", (f"react/vllm@{server.url}?{SHORT}",), seeds=5, attempts=5)
    assert len(found) == 50
    assert all(trajectory.end.ended and not trajectory.end.failure for trajectory in found)
    assert (spent.failed, spent.unknown) == (0, 0)


@pytest.mark.parametrize(
    "agent",
    [
        "openai:tiny@URL?" + SHORT,
        "openai:tiny@URL?tool_choice=required&sampling_seed=episode&" + SHORT,
        "openai:tiny@URL?api=responses&" + SHORT,
        "anthropic:tiny@URL?tool_choice=required&" + SHORT,
        "anthropic:tiny@URL?" + SHORT,
        "plan/vllm@URL?" + SHORT,
    ],
)
def test_both_sdks_drive_whole_episodes(server: Serving, tmp_path: Path, agent: str) -> None:
    found, spent = play(tmp_path / "run.sqlite", (agent.replace("URL", server.url),), seeds=1)
    assert [trajectory.end.failure for trajectory in found] == ["", ""]
    assert all(trajectory.end.ended for trajectory in found)
    assert (spent.failed, spent.unknown) == (0, 0)


def test_equal_seeds_draw_equal_episodes(server: Serving, tmp_path: Path) -> None:
    agent = f"vllm@{server.url}?tool_choice=required&sampling_seed=episode&{SHORT}"
    first, second = (play(tmp_path / f"{name}.sqlite", (agent,), seeds=1)[0] for name in "ab")
    assert [t.steps[:3] for t in first] == [t.steps[:3] for t in second]


def test_a_history_that_is_too_long_is_an_error_by_name(server: Serving) -> None:
    async def main() -> None:
        model = VLLMModel("", url=server.url)
        await model.start(print)
        try:
            await model.complete([Message(role="user", content="word " * 60_000)], (), Sampling(max_tokens=5))
        finally:
            await model.aclose()

    with pytest.raises(ModelError) as caught:
        asyncio.run(main())
    assert caught.value.kind == "too_long"
    assert "longer context" in str(caught.value)


def test_a_server_that_the_run_started_and_that_dies_stops_the_run(tiny_launch: Launch, tmp_path: Path) -> None:
    async def main() -> None:
        model = Launched(msgspec.structs.replace(tiny_launch, log=str(tmp_path / "server.log")))
        await model.start(print)
        try:
            assert model._server is not None
            os.killpg(model._server.pid, signal.SIGKILL)
            await asyncio.sleep(2)
            await Retrying(model).complete([Message(role="user", content="hello")], (), Sampling(max_tokens=5))
        finally:
            await model.aclose()

    with pytest.raises(ModelError, match=r"gone: the server of tiny ended with status .*server\.log"):
        asyncio.run(main())


def _eval(agent: str, out: Path, *more: str) -> list[str]:
    command = [sys.executable, "-m", "impress_env.cli", "eval", "--agent", agent, "--twins", "main", "--out", str(out)]
    for family in FAMILIES:
        command += ["--families", family]
    return [*command, *more]


def test_eval_starts_a_server_uses_it_and_ends_it(tiny_launch: Launch, tmp_path: Path) -> None:
    options = f"tool_parser=hermes&reasoning_parser=none&max_model_len={tiny_launch.max_model_len}&dtype=float32"
    agent = f"vllm:{tiny_launch.model}?{options}&tool_choice=required&{SHORT}"
    arguments = " ".join(f"'{argument}'" if "{" in argument else argument for argument in tiny_launch.args)
    out = tmp_path / "run.sqlite"
    command = _eval(agent, out, "--seeds", "1", "--vllm-bin", tiny_launch.binary, "--vllm-args", arguments)
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=400, env={**os.environ, **tiny_launch.env}, check=False
    )
    assert done.returncode == 0, done.stderr
    pids = {int(pid) for pid in re.findall(r"pid (\d+)", done.stderr)}
    assert all(not Path(f"/proc/{pid}").exists() for pid in pids)
    with RunFile.open(out) as store:
        assert [t.end.failure for _, t in store.trajectories()] == ["", ""]


def test_a_server_killed_in_mid_run_and_started_again_loses_no_episode(tiny_launch: Launch, tmp_path: Path) -> None:
    out = tmp_path / "run.sqlite"
    launch = msgspec.structs.replace(tiny_launch, log=str(tmp_path / "first.log"))
    first = asyncio.run(start(launch, progress=print))
    port = int(first.url.rpartition(":")[2])
    agent = f"vllm@{first.url}?tool_choice=required&{SHORT}"
    command = _eval(agent, out, "--seeds", "4", "--concurrency", "8")
    runner = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _until(lambda: out.exists() and _calls(out) > 20)
        os.killpg(first.pid, signal.SIGKILL)
        _until(lambda: not first.running and not _listens(port))
        second = asyncio.run(
            start(msgspec.structs.replace(launch, port=port, log=str(tmp_path / "b.log")), progress=print)
        )
        try:
            assert runner.wait(300) == 0
        finally:
            asyncio.run(second.stop())
    finally:
        runner.kill()
        runner.wait()
        asyncio.run(first.stop())
    with RunFile.open(out) as store:
        found = [trajectory for _, trajectory in store.trajectories()]
        assert store.missing() == []
        assert store.spending().requests > store.spending().calls
    assert [t.end.failure for t in found] == [""] * 8


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def _calls(out: Path) -> int:
    try:
        with RunFile.open(out) as store:
            return store.spending().calls
    except Exception:  # being made
        return 0


def _until(holds: object, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.2)


def test_a_server_that_is_gone_stops_the_run_so_that_it_can_be_resumed(server: Serving, tmp_path: Path) -> None:
    config = EvalConfig(agents=("vllm@http://127.0.0.1:9",), families=FAMILIES, twins=("main",), seeds=1)
    with open_run(config, tmp_path / "run.sqlite", resume=False) as store:
        with pytest.raises(Exception, match="unreachable"):
            asyncio.run(run(store, means=Means(patience=Patience(first_contact=1.0))))
        assert len(store.missing()) == 2
