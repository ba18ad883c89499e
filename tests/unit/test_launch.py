"""The life of a server, with a program of our own in vLLM's place; tests/vllm has the real one."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from impress_env.errors import OptionError, PluginError
from impress_env.model import ModelError
from impress_env.models.launch import Launch, Server, command, environment, find_binary, resolve, start
from impress_env.models.parsers import Parsers, names, parsers_for
from impress_env.models.startup import cause, stage

# Answers /health like `vllm serve MODEL … --port N`, with an engine in a process of its own that no SIGTERM ends. What
# it does is the model's name: "serve", "stubborn" (ignores SIGTERM), "slow" (never answers), "fail".
PROGRAM = """#!{python} -S
import http.server, signal, subprocess, sys, time
kind = sys.argv[2].split("/")[-1]
print("INFO Starting to load model", flush=True)
if kind == "fail":
    sys.exit("ValueError: the dog ate the weights")
ignore = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
subprocess.Popen([sys.executable, "-S", "-c", ignore])
if kind == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if kind == "slow":
    time.sleep(600)

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass

port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
RUN = """
import asyncio, sys, msgspec
from impress_env.models.launch import Launch, start

async def main():
    launch = msgspec.json.decode(sys.argv[1], type=Launch)
    server = await start(launch, progress=lambda line: None)
    print(server.pid, flush=True)
    {then}

asyncio.run(main())
"""


@pytest.fixture
def binary(tmp_path: Path) -> str:
    file = tmp_path / "bin" / "vllm"
    file.parent.mkdir()
    file.write_text(PROGRAM.format(python=sys.executable))
    file.chmod(0o755)
    return str(file)


def quiet(line: str) -> None:
    """Takes progress and does nothing with it."""


def alive(group: int) -> bool:
    """Whether a process group has members that run."""
    listed = subprocess.run(["ps", "-ww", "-eo", "pgid=,stat="], capture_output=True, text=True, check=True).stdout
    return any(line.split()[0] == str(group) and "Z" not in line for line in listed.splitlines())


def ends(group: int) -> bool:
    until = time.monotonic() + 30
    while alive(group) and time.monotonic() < until:
        time.sleep(0.05)
    return not alive(group)


def still_serving(binary: str) -> bool:
    """Whether any process runs our program."""
    return binary in subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True).stdout


# --- command, environment ---------------------------------------------------------------------------------------


def test_a_plain_launch_is_the_model_on_loopback_with_nothing_else_decided() -> None:
    assert command(Launch(model="Qwen/Qwen3-8B", port=8123)) == [
        *("vllm", "serve", "Qwen/Qwen3-8B", "--host", "127.0.0.1", "--port", "8123"),
        *("--served-model-name", "Qwen/Qwen3-8B", "--disable-uvicorn-access-log"),
    ]


def test_every_option_becomes_the_flag_that_vllm_has_for_it() -> None:
    launch = Launch(
        model="m",
        binary="/opt/vllm",
        served_name="n",
        tool_parser="hermes",
        reasoning_parser="qwen3",
        tensor_parallel=2,
        data_parallel=4,
        max_model_len=8192,
        dtype="float16",
        args=("--seed", "1"),
    )
    assert " ".join(command(launch)) == (
        "/opt/vllm serve m --host 127.0.0.1 --port 0 --served-model-name n --enable-auto-tool-choice "
        "--tool-call-parser hermes --reasoning-parser qwen3 --tensor-parallel-size 2 --data-parallel-size 4 "
        "--max-model-len 8192 --dtype float16 --disable-uvicorn-access-log --seed 1"
    )


def test_the_parser_none_is_no_parser() -> None:
    flags = command(Launch(model="m", tool_parser="none", reasoning_parser="none"))
    assert not {"--tool-call-parser", "--enable-auto-tool-choice", "--reasoning-parser"} & set(flags)


def test_the_server_gets_no_key_and_finds_the_tools_beside_its_command() -> None:
    base = {"PATH": "/usr/bin", "OPENAI_API_KEY": "sk-1", "VLLM_API_KEY": "k", "HF_TOKEN": "hf-1"}
    found = environment(Launch(model="m", binary="/opt/env/bin/vllm", env={"A": "1"}), base)
    assert found["PATH"] == "/opt/env/bin:/usr/bin"
    assert found["HF_TOKEN"] == "hf-1"
    assert found["A"] == "1"
    assert not [name for name in found if name.endswith("_API_KEY")]


# --- what is checked before anything is started -----------------------------------------------------------------


def test_a_missing_command_says_how_to_get_one() -> None:
    with pytest.raises(PluginError, match=r"found none\. Install it .*--vllm-bin .*vllm@http://HOST:PORT"):
        resolve(Launch(model="m", binary="/no/such/vllm"), quiet)


def test_the_command_is_found_on_the_path_or_where_it_is_said_to_be(
    binary: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_binary(binary) == binary
    monkeypatch.setenv("PATH", str(Path(binary).parent))
    assert find_binary("") == binary
    monkeypatch.setenv("PATH", "/nowhere")
    assert find_binary("") == ""


def test_host_port_and_name_are_not_for_the_further_arguments(binary: str) -> None:
    with pytest.raises(OptionError, match="--port is set by the run"):
        resolve(Launch(model="m", binary=binary, args=("--port=80",)), quiet)


def test_a_folder_has_to_hold_a_whole_model(binary: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with pytest.raises(OptionError, match="expected a folder with a model, found none"):
        resolve(Launch(model=str(folder), binary=binary), quiet)
    folder.mkdir()
    with pytest.raises(OptionError, match=r"expected a folder with config\.json"):
        resolve(Launch(model=str(folder), binary=binary), quiet)
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(OptionError, match=r"found an adapter .*--enable-lora"):
        resolve(Launch(model=str(folder), binary=binary), quiet)
    (folder / "config.json").write_text("{}")
    assert resolve(Launch(model=str(folder), binary=binary), quiet).model == str(folder)


def test_a_taken_port_is_told_with_the_server_that_may_be_there(binary: str) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        with pytest.raises(OptionError, match=f"found {port} taken .*vllm@http://127.0.0.1:{port}"):
            resolve(Launch(model="m", binary=binary, port=port), quiet)


def test_a_family_that_is_not_known_is_told_what_it_means(binary: str) -> None:
    told: list[str] = []
    assert resolve(Launch(model="acme/roadrunner-7b", binary=binary), told.append).tool_parser == ""
    assert "its tool calls will not be read" in told[0]
    assert "react/vllm:acme/roadrunner-7b" in told[0]
    assert "?tool_parser=" in told[0]


def test_a_parser_that_is_named_is_taken_whatever_the_family(binary: str) -> None:
    told: list[str] = []
    found = resolve(Launch(model="Qwen/Qwen3-8B", binary=binary, tool_parser="xlam"), told.append)
    assert (found.tool_parser, found.reasoning_parser) == ("xlam", "qwen3")
    found = resolve(Launch(model="Qwen/Qwen3-8B", binary=binary, args=("--tool-call-parser", "xlam")), told.append)
    assert found.tool_parser == "none"
    assert told == []


# --- parsers by family ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "tool", "reasoning"),
    [
        ("Qwen/Qwen3-8B", "hermes", "qwen3"),
        ("Qwen/Qwen3-4B-Instruct-2507", "hermes", ""),
        ("Qwen/Qwen3-30B-A3B-Thinking-2507", "hermes", "qwen3"),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "qwen3_coder", ""),
        ("Qwen/Qwen2.5-7B-Instruct", "hermes", ""),
        ("Qwen/QwQ-32B", "hermes", "deepseek_r1"),
        ("meta-llama/Llama-3.1-8B-Instruct", "llama3_json", ""),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", "llama4_pythonic", ""),
        ("mistralai/Mistral-Small-3.2-24B-Instruct-2506", "mistral", ""),
        ("mistralai/Magistral-Small-2509", "mistral", "mistral"),
        ("deepseek-ai/DeepSeek-V3-0324", "deepseek_v3", ""),
        ("deepseek-ai/DeepSeek-V3.1", "deepseek_v31", "deepseek_v3"),
        ("deepseek-ai/DeepSeek-R1-0528", "deepseek_v3", "deepseek_r1"),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", "", "deepseek_r1"),
        ("openai/gpt-oss-20b", "openai", "openai_gptoss"),
        ("google/gemma-3-27b-it", "", ""),
        ("microsoft/Phi-4-mini-instruct", "phi4_mini_json", ""),
        ("ibm-granite/granite-3.3-8b-instruct", "granite", "granite"),
        ("ibm-granite/granite-4.0-h-small", "granite4", ""),
        ("moonshotai/Kimi-K2-Instruct", "kimi_k2", ""),
        ("moonshotai/Kimi-K2-Thinking", "kimi_k2", "kimi_k2"),
        ("zai-org/GLM-4.5-Air", "glm45", "glm45"),
        ("NousResearch/Hermes-3-Llama-3.1-8B", "hermes", ""),
        ("internlm/internlm2_5-7b-chat", "internlm", ""),
        ("MiniMaxAI/MiniMax-M2", "minimax_m2", "minimax_m2"),
        ("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", "qwen3_coder", "nemotron_v3"),
        ("acme/roadrunner-7b", "", ""),
    ],
)
def test_a_family_is_known_by_its_name(model: str, tool: str, reasoning: str) -> None:
    found = parsers_for(model)
    assert (found.tool, found.reasoning) == (tool, reasoning)


def folder(path: Path, template: str, **config: object) -> str:
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config))
    (path / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
    return str(path)


def test_a_folder_is_known_by_its_own_name_and_not_by_those_above_it(tmp_path: Path) -> None:
    (tmp_path / "qwen3").mkdir()
    found = parsers_for(folder(tmp_path / "qwen3" / "gpt-oss-20b", "{{ tools }}", model_type="gpt_oss"))
    assert (found.tool, found.by) == ("openai", "its name")


def test_a_folder_of_any_name_is_known_by_its_template_and_its_model_type(tmp_path: Path) -> None:
    plain = folder(tmp_path / "a", "{{ tools }}<tool_call>{% if enable_thinking %}", model_type="qwen3")
    coder = folder(tmp_path / "b", "{{ tools }}<tool_call>\n<function=", model_type="qwen3_moe")
    assert parsers_for(plain) == Parsers("hermes", "qwen3", "its chat template and its model type qwen3")
    assert parsers_for(coder).tool == "qwen3_coder"
    assert parsers_for(coder).reasoning == ""  # its template knows no thinking
    assert parsers_for(folder(tmp_path / "c", "{{ tools }}", model_type="gemma3")) == Parsers()


def test_a_template_that_takes_no_tools_gets_no_parser(tmp_path: Path) -> None:
    found = parsers_for(folder(tmp_path / "qwen3-mine", "{{ messages }}", model_type="qwen3"))
    assert found.tool == ""
    assert "takes no tools" in found.by


def test_the_tables_name_something() -> None:
    tools, reasoning = names()
    assert {"hermes", "openai"} <= tools
    assert {"qwen3", "openai_gptoss"} <= reasoning
    assert "" not in tools | reasoning


# --- what the log says ------------------------------------------------------------------------------------------


def test_the_last_line_that_tells_is_the_stage() -> None:
    log = (
        "(EngineCore pid=1) INFO 11-21 10:35:32 [core.py:133] Initializing a V1 LLM engine (v0.32.0) with config: …\n"
        "(Worker pid=2) INFO 11-21 10:35:40 [cpu_model_runner.py:68] Starting to load model /m...\n"
        "Loading safetensors checkpoint shards:   0% Completed | 0/3\r"
        "Loading safetensors checkpoint shards:  33% Completed | 1/3 [00:04<00:08,  4.2s/it]\r"
        "(Worker pid=2) WARNING of no interest\n"
    )
    assert stage(log) == "loading weights (33 %)"
    assert stage("nothing that is known") == ""


@pytest.mark.parametrize(
    ("line", "error", "part"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", OptionError, "?tensor_parallel="),
        (
            "ValueError: Free memory on device cuda:0 (3.1/79.2 GiB) on startup is less than desired GPU memory "
            "utilization (0.92, 72.9 GiB). Decrease GPU memory",
            OptionError,
            "(3.1/79.2 GiB) on startup, less than the share of 0.92",
        ),
        (
            "ValueError: To serve at least one request with the model's max seq len (131072), (16.0 GiB KV cache is "
            "needed, which is larger than the available KV cache memory (5.5 GiB). Based on the available memory, the "
            "estimated maximum model length is 45056. Try",
            OptionError,
            "enough for 45056 tokens",
        ),
        ("ValueError: World size (8) is larger than the number of available GPUs (2) in this node.", OptionError, "2"),
        ("RuntimeError: Failed to infer device type, please set", ModelError, "nvidia-smi"),
        ("huggingface_hub.errors.GatedRepoError: 401 Client Error.", ModelError, "export HF_TOKEN"),
        ("huggingface_hub.errors.RepositoryNotFoundError: 404 Client Error.", ModelError, "ORGANISATION/NAME"),
        ("OSError: We couldn't connect to 'https://hub' to load the files", ModelError, "hf download acme/m"),
        ("OSError: [Errno 98] Address already in use", OptionError, "without ?port="),
        ("vllm serve: error: argument --seed: invalid int value: 'x'", OptionError, "invalid int value: 'x'"),
    ],
)
def test_a_known_cause_is_told_with_what_mends_it(line: str, error: type[Exception], part: str) -> None:
    log = f"(EngineCore pid=1) ERROR 11-21 11:04:51 [core.py:1510] {line}\nRuntimeError: Engine core failed\n"
    found = cause(log, "acme/m", log_name="/tmp/x.log", code=1)
    assert isinstance(found, error)
    assert part in str(found)
    assert "/tmp/x.log" in str(found)


def test_a_cause_that_is_not_known_is_told_by_the_first_process_that_failed() -> None:
    log = (
        "(Worker pid=3) ERROR 11-21 11:00:32 [multiproc_executor.py:953] ValueError: the dog ate the weights\n"
        "Exception: WorkerProc initialization failed. See stack trace for root cause.\n"
        "RuntimeError: Engine core initialization failed. See root cause above.\n"
    )
    found = cause(log, "m", log_name="x.log", code=1)
    assert isinstance(found, ModelError)
    assert found.stops_run
    assert "with status 1" in str(found)
    assert "ValueError: the dog ate the weights (see x.log)" in str(found)


def test_a_server_that_the_kernel_ended_is_told_to_want_memory() -> None:
    assert "want of memory" in str(cause("", "m", log_name="x.log", code=137))


# --- life and death ---------------------------------------------------------------------------------------------


def test_a_server_is_up_when_start_returns_and_gone_when_stop_does(binary: str) -> None:
    told: list[str] = []

    async def life() -> Server:
        server = await start(Launch(model="serve", binary=binary), progress=told.append)
        assert server.running
        assert alive(server.pid)
        await server.stop()
        return server

    server = asyncio.run(life())
    assert not server.running
    assert not alive(server.pid)
    assert not server.log.exists()
    assert told[-1].endswith(server.url)


def test_a_server_is_no_member_of_our_process_group_so_that_ctrl_c_is_ours(binary: str) -> None:
    async def life() -> tuple[int, int]:
        server = await start(Launch(model="serve", binary=binary), progress=quiet)
        found = os.getpgid(server.pid), os.getsid(server.pid)
        server.kill()
        return found

    group, session = asyncio.run(life())
    assert group != os.getpgid(0)
    assert session != os.getsid(0)


def test_kill_ends_a_server_that_heeds_no_signal(binary: str) -> None:
    async def life() -> Server:
        server = await start(Launch(model="stubborn", binary=binary), progress=quiet)
        server.kill()
        return server

    server = asyncio.run(life())
    assert not server.running
    assert ends(server.pid)


def test_a_log_that_was_asked_for_stays(binary: str, tmp_path: Path) -> None:
    async def life() -> None:
        server = await start(Launch(model="serve", binary=binary, log=str(tmp_path / "log")), progress=quiet)
        await server.stop()

    asyncio.run(life())
    assert "Starting to load model" in (tmp_path / "log").read_text()


def test_a_server_that_fails_leaves_its_log_and_its_reason(binary: str) -> None:
    with pytest.raises(ModelError, match=r"with status 1.*the dog ate the weights") as caught:
        asyncio.run(start(Launch(model="fail", binary=binary), progress=quiet))
    log = Path(str(caught.value).rpartition("(see ")[2].rstrip(")"))
    assert log.exists()
    log.unlink()


def test_a_server_that_does_not_answer_in_time_is_ended_and_told(binary: str, tmp_path: Path) -> None:
    launch = Launch(model="slow", binary=binary, startup_seconds=0.2, log=str(tmp_path / "log"))
    with pytest.raises(ModelError, match=r"did not answer within 0 s; .*\?startup="):
        asyncio.run(start(launch, progress=quiet))
    assert not still_serving(binary)


def test_a_start_that_is_cancelled_leaves_nothing(binary: str) -> None:
    async def life() -> None:
        task = asyncio.create_task(start(Launch(model="slow", binary=binary), progress=quiet))
        while not still_serving(binary):
            await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(life())
    assert not still_serving(binary)


@pytest.mark.parametrize("then", ["os.kill(os.getpid(), 9)", "sys.exit(0)", "raise KeyboardInterrupt", "1 / 0"])
def test_a_server_ends_with_its_run_however_that_ends(binary: str, tmp_path: Path, then: str) -> None:
    code = RUN.format(then=f"import os; {then}")
    launch = msgspec.json.encode(Launch(model="serve", binary=binary, log=str(tmp_path / "log"))).decode()
    run = subprocess.run([sys.executable, "-c", code, launch], capture_output=True, text=True)
    assert ends(int(run.stdout))


def test_a_run_that_has_forked_does_not_keep_its_server_alive_through_its_children(binary: str, tmp_path: Path) -> None:
    then = "import os, time\n    if os.fork():\n        os.kill(os.getpid(), 9)\n    time.sleep(3600)"
    launch = msgspec.json.encode(Launch(model="serve", binary=binary, log=str(tmp_path / "log"))).decode()
    run = subprocess.Popen(
        [sys.executable, "-c", RUN.format(then=then), launch],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert run.stdout is not None
    with run, run.stdout:
        server = int(run.stdout.readline())
        try:
            assert ends(server)
        finally:
            os.killpg(run.pid, signal.SIGKILL)


def test_a_command_that_cannot_be_run_is_told(tmp_path: Path) -> None:
    file = tmp_path / "vllm"
    file.write_text("#!/no/such/python\n")
    file.chmod(0o755)
    with pytest.raises(ModelError, match=r"cannot be run: .*No such file"):
        asyncio.run(start(Launch(model="serve", binary=str(file), log=str(tmp_path / "log")), progress=quiet))
