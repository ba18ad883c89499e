"""A real vLLM is started, ended and killed; its refusals say what mends them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import msgspec
import pytest

from impress_env.errors import ImpressError, OptionError
from impress_env.model import ModelError
from impress_env.models.launch import Launch, start
from impress_env.models.parsers import names

PATIENCE = 90.0  # seconds after which a process that should have ended is a failure

RUN = """
import asyncio, sys, msgspec
from impress_env.models.launch import Launch, start

async def main():
    launch = msgspec.json.decode(sys.argv[1], type=Launch)
    server = await start(launch, progress=lambda line: None)
    print(server.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


def get(url: str) -> Any:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=30) as answer:
        return json.load(answer)


def alive(group: int) -> list[int]:
    """The processes of a group, less those that are dead and wait to be reaped."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, member = file.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(member) == group and state != "Z":
            found.append(int(file.parent.name))
    return found


def wait_for_end(group: int) -> None:
    until = time.monotonic() + PATIENCE
    while (left := alive(group)) and time.monotonic() < until:
        time.sleep(0.2)
    assert left == []


def test_the_server_answers_under_the_name_it_was_given(server: Any) -> None:
    (model,) = get(f"{server.url}/v1/models")["data"]
    assert (model["id"], model["max_model_len"]) == (server.model, 40_960)


def test_the_tables_name_no_parser_that_the_installed_vllm_does_not_know(vllm_environment: Path) -> None:
    code = (
        "import json; from vllm.tool_parsers import ToolParserManager as T; "
        "from vllm.reasoning import ReasoningParserManager as R; "
        "print('\\n' + json.dumps([T.list_registered(), R.list_registered()]))"
    )
    python = vllm_environment / "bin" / "python"
    printed = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout
    known_tools, known_reasoning = json.loads(printed.strip().splitlines()[-1])
    tools, reasoning = names()
    assert tools - set(known_tools) == set()
    assert reasoning - set(known_reasoning) == set()


def test_a_server_tells_its_progress_and_leaves_nothing_when_it_is_stopped(tiny_launch: Launch) -> None:
    told: list[str] = []

    async def whole_life() -> tuple[int, int, Path]:
        server = await start(tiny_launch, progress=told.append)
        members = len(alive(server.pid))
        await server.stop()
        await server.stop()
        return server.pid, members, server.log

    pid, members, log = asyncio.run(whole_life())
    assert members >= 3  # the API server, the engine and its worker
    assert alive(pid) == []
    assert not log.exists()
    for part in ("configuring (Qwen3ForCausalLM)", "starting the engine", "ready after"):
        assert any(part in line for line in told), told


@pytest.mark.parametrize("victim", ["the run", "the API server"])
def test_no_process_is_left_when_something_is_killed(tiny_launch: Launch, tmp_path: Path, victim: str) -> None:
    launch = msgspec.structs.replace(tiny_launch, log=str(tmp_path / "log"))
    run = subprocess.Popen(
        [sys.executable, "-c", RUN, msgspec.json.encode(launch).decode()], stdout=subprocess.PIPE, text=True
    )
    assert run.stdout is not None
    with run, run.stdout:
        try:
            group = int(run.stdout.readline())
            assert len(alive(group)) >= 3
            os.kill(run.pid if victim == "the run" else group, signal.SIGKILL)
            wait_for_end(group)
        finally:
            run.kill()


@pytest.mark.parametrize(
    ("changes", "error", "parts"),
    [
        ({"tool_parser": "nosuch"}, OptionError, ["tool_parser", "hermes,", "found nosuch", "react/"]),
        ({"reasoning_parser": "nosuch"}, OptionError, ["reasoning_parser", "qwen3,", "found nosuch"]),
        ({"max_model_len": 100_000}, OptionError, ["at most 40960", "found 100000", "?max_model_len=40960"]),
        ({"args": ("--no-such-flag",)}, OptionError, ["unrecognized arguments: --no-such-flag", "--help"]),
        ({"model": "nobody/no-such-model"}, ModelError, ["not_found", "HF_HUB_OFFLINE", "vllm:/PATH/TO/MODEL"]),
        (
            {"args": ("--enforce-eager", "--kv-cache-memory-bytes", "1M")},
            OptionError,
            ["too little memory", "40960 tokens", "?max_model_len=", "--gpu-memory-utilization"],
        ),
    ],
    ids=["tool parser", "reasoning parser", "context", "flag", "hub", "memory"],
)
def test_a_refusal_says_what_mends_it(
    tiny_launch: Launch, changes: dict[str, Any], error: type[ImpressError], parts: list[str], tmp_path: Path
) -> None:
    env = {name: value for name, value in tiny_launch.env.items() if name != "VLLM_CPU_KVCACHE_SPACE"}
    log = tmp_path / "server.log"
    launch = msgspec.structs.replace(tiny_launch, **{"log": str(log), "env": env, **changes})
    with pytest.raises(error) as caught:
        asyncio.run(start(launch, progress=print))
    for part in [*parts, str(log)]:
        assert part in str(caught.value)
    assert log.exists()


def test_a_taken_port_and_a_missing_folder_are_told_before_anything_is_started(tiny_launch: Launch) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        with pytest.raises(OptionError, match=f"found {port} taken"):
            asyncio.run(start(msgspec.structs.replace(tiny_launch, port=port), progress=print))
    with pytest.raises(OptionError, match="expected a folder with a model, found none at /no/such/model"):
        asyncio.run(start(msgspec.structs.replace(tiny_launch, model="/no/such/model"), progress=print))
