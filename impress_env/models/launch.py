"""A vLLM server that a run starts for itself: its command, its start with progress, its end.

`start` returns when the server answers, or raises what mends it, read out of the server's log. The server listens on
127.0.0.1 alone and is a process group of its own, so that a Ctrl-C in the terminal reaches the run and not it. It ends
with `stop`, with `kill`, when this process exits, and when this process is killed: `impress_env.models.guard` sees to
that. Knows nothing of requests, agents or runs.
"""

from __future__ import annotations

import asyncio
import atexit
import http.client
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import IO, Final

import msgspec

from impress_env.errors import ImpressError, OptionError, PluginError
from impress_env.model import ModelError
from impress_env.models import guard
from impress_env.models.parsers import NONE, parsers_for
from impress_env.models.startup import cause, stage

HOST: Final = "127.0.0.1"
GRACE: Final = 15.0  # seconds from SIGTERM to SIGKILL
_SAY_AGAIN: Final = 20.0  # seconds after which the same progress is told again
_OURS: Final = ("--host", "--port", "--served-model-name")  # arguments that would part the server from its run


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """How to start a server.

    Args:
        model: A name on the hub or a folder with a checkpoint.
        binary: The vllm command; "" finds it on PATH.
        port: 0 for a free one.
        served_name: The name that requests ask for; "" for `model`.
        tool_parser: vLLM's --tool-call-parser; "" by the model's family, "none" for none.
        reasoning_parser: vLLM's --reasoning-parser, likewise.
        tensor_parallel: GPUs that share a copy of the model.
        data_parallel: Copies of the model.
        max_model_len: Context in tokens; 0 for the model's own.
        dtype: "" leaves it to vLLM.
        args: Further arguments of vllm serve.
        env: Further environment variables of the server.
        startup_seconds: How long it may take until the server answers.
        log: File for what the server prints; "" for a temporary one, kept if the server fails.
    """

    model: str
    binary: str = ""
    port: int = 0
    served_name: str = ""
    tool_parser: str = ""
    reasoning_parser: str = ""
    tensor_parallel: int = 1
    data_parallel: int = 1
    max_model_len: int = 0
    dtype: str = ""
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    startup_seconds: float = 1800.0
    log: str = ""


def command(launch: Launch) -> list[str]:
    """Return the command that starts a server. Takes the launch as it stands: no parser is looked up."""
    parts = [launch.binary or "vllm", "serve", launch.model, "--host", HOST, "--port", str(launch.port)]
    parts += ["--served-model-name", launch.served_name or launch.model]
    if launch.tool_parser not in ("", NONE):
        parts += ["--enable-auto-tool-choice", "--tool-call-parser", launch.tool_parser]
    if launch.reasoning_parser not in ("", NONE):
        parts += ["--reasoning-parser", launch.reasoning_parser]
    if launch.tensor_parallel > 1:
        parts += ["--tensor-parallel-size", str(launch.tensor_parallel)]
    if launch.data_parallel > 1:
        parts += ["--data-parallel-size", str(launch.data_parallel)]
    if launch.max_model_len:
        parts += ["--max-model-len", str(launch.max_model_len)]
    if launch.dtype:
        parts += ["--dtype", launch.dtype]
    return [*parts, "--disable-uvicorn-access-log", *launch.args]


def find_binary(binary: str) -> str:
    """Return the path of the vllm command, of the one on PATH for "", and "" if there is none."""
    return shutil.which(str(Path(binary).expanduser()) if binary else "vllm") or ""


def environment(launch: Launch, base: dict[str, str]) -> dict[str, str]:
    """Return the server's environment: the base less keys of APIs, with the command's folder on PATH.

    The server needs no key of another service, and VLLM_API_KEY would make it ask for one.
    """
    kept = {name: value for name, value in base.items() if not name.endswith("_API_KEY")}
    folder = str(Path(launch.binary).absolute().parent)
    kept["PATH"] = os.pathsep.join([folder, *filter(None, [kept.get("PATH", "")])])
    return {"VLLM_HOST_IP": HOST, "VLLM_NO_USAGE_STATS": "1", **kept, **launch.env}


class Server:
    """A server that runs. `pid` leads the process group of all of its processes."""

    def __init__(self, launch: Launch, guard_process: subprocess.Popen[bytes], pid: int, *, log: Path) -> None:
        self.launch, self.pid = launch, pid
        self.url = f"http://{HOST}:{launch.port}"
        self.log = log
        self.keep_log = bool(launch.log)  # otherwise it goes with a server that was stopped
        self._guard = guard_process
        atexit.register(self.kill)

    @property
    def running(self) -> bool:
        """Whether the server has not ended."""
        return self._guard.poll() is None

    @property
    def exit_status(self) -> int | None:
        """The server's exit status, 128 + N for one that signal N ended, or None while it runs."""
        return self._guard.poll()

    async def stop(self) -> None:
        """End the server: SIGTERM, and SIGKILL to all of its processes after `GRACE` seconds. Twice is no harm."""
        self._let_go()
        try:
            await asyncio.to_thread(self._guard.wait, GRACE + 10.0)
        except subprocess.TimeoutExpired:
            self.kill()
        atexit.unregister(self.kill)

    def kill(self) -> None:
        """End the server at once."""
        if self.running:
            self._let_go()
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            try:
                self._guard.wait(5.0)
            except subprocess.TimeoutExpired:
                self._guard.kill()
        atexit.unregister(self.kill)

    def _let_go(self) -> None:
        """Close the guard's standard input, at which it ends the server; drop a log that nobody needs."""
        if self.running and not self.keep_log:
            self.log.unlink(missing_ok=True)
        if self._guard.stdin is not None:
            with suppress(BrokenPipeError):
                self._guard.stdin.close()


async def start(launch: Launch, *, progress: Callable[[str], None]) -> Server:
    """Start a server and wait until it answers.

    Args:
        launch: What to start.
        progress: Told what the server is doing, in one line, with the seconds since its start.

    Raises:
        OptionError: The model, a parser, the port or a size is not one that can be had; says which can.
        PluginError: There is no vllm command.
        ModelError: The server ended or did not answer in time; says why, as far as its log does.
    """
    resolved = resolve(launch, progress)
    progress("vLLM: " + shlex.join(command(resolved)))
    server = _spawn(resolved)  # in one go: nothing may be cancelled between start and try
    try:
        await _ready(server, progress)
    except ImpressError:
        server.keep_log = True  # the message names it
        server.kill()
        raise
    except BaseException:
        server.kill()
        raise
    return server


def resolve(launch: Launch, progress: Callable[[str], None]) -> Launch:
    """Return a launch with binary, model, port and parsers filled in and checked before anything is started.

    Raises:
        OptionError, PluginError: As `start`.
    """
    binary = find_binary(launch.binary)
    if not binary:
        raise PluginError(
            distribution="vllm",
            entry_point="vllm",
            cause=f"expected the command {launch.binary or 'vllm'}, found none{'' if launch.binary else ' on PATH'}. "
            "Install it in an environment of its own (python -m venv vllm-env && vllm-env/bin/pip install vllm) and "
            "name it: --vllm-bin vllm-env/bin/vllm; a server that runs already is used by vllm@http://HOST:PORT",
        )
    taken = [name for name in _OURS if any(part.partition("=")[0] == name for part in launch.args)]
    if taken:
        raise OptionError(f"arguments of vllm serve: {', '.join(taken)} is set by the run; leave it out")
    for name in ("tensor_parallel", "data_parallel"):
        if getattr(launch, name) < 1:
            raise OptionError(f"{name}: expected 1 or more, found {getattr(launch, name)}")
    model = _checked_model(launch.model)
    tool, reasoning = _choose_parsers(launch, progress)
    return msgspec.structs.replace(
        launch,
        model=model,
        served_name=launch.served_name or launch.model,
        binary=binary,
        port=_checked_port(launch.port),
        tool_parser=tool,
        reasoning_parser=reasoning,
    )


def _checked_model(model: str) -> str:
    """Return the model as vLLM is to be given it; of a folder, the path, if a checkpoint is in it."""
    folder = Path(model).expanduser()
    if folder.is_dir():
        if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
            raise OptionError(
                f"vllm:{model}: expected a whole model, found an adapter (adapter_config.json). Serve its base with "
                f"it: vllm serve BASE --enable-lora --lora-modules NAME={model}, and use vllm:NAME@http://HOST:PORT"
            )
        if not any((folder / name).is_file() for name in ("config.json", "params.json")):
            raise OptionError(
                f"vllm:{model}: expected a folder with config.json (or params.json), found one without. Name the "
                "folder into which save_pretrained or `hf download` wrote"
            )
        return str(folder.resolve())
    if not folder.exists() and (model.startswith(("/", ".", "~")) or model.count("/") > 1):
        raise OptionError(f"vllm:{model}: expected a folder with a model, found none at {folder.absolute()}")
    return model


def _checked_port(port: int) -> int:
    """Return the port, or a free one for 0."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise OptionError(
                f"port: expected a free one, found {port} taken or forbidden ({error}). Leave ?port= out to have one "
                f"chosen; to use the server that listens there: vllm@http://{HOST}:{port}"
            ) from error
        return int(sock.getsockname()[1])


def _choose_parsers(launch: Launch, progress: Callable[[str], None]) -> tuple[str, str]:
    """Return the parsers as asked for, or by family; tell which were chosen, and what it means to have none."""
    given = {part.partition("=")[0] for part in launch.args}
    family = parsers_for(launch.model)
    own_tool = launch.tool_parser or (NONE if "--tool-call-parser" in given else "")
    own_reasoning = launch.reasoning_parser or (NONE if "--reasoning-parser" in given else "")
    tool, reasoning = own_tool or family.tool, own_reasoning or family.reasoning
    if not own_tool:
        if tool:
            progress(f"vLLM: tool parser {tool}, reasoning parser {reasoning or 'none'}, chosen by {family.by}")
        else:
            why = f"{family.by} tells that it has none" if family.by else "its family is not known"
            progress(
                f"vLLM: no tool parser for {launch.model} ({why}): its tool calls will not be read. Use the agent "
                f"react/vllm:{launch.model}, or name one of vLLM's: vllm:{launch.model}?tool_parser=NAME"
            )
    return tool, reasoning


def _spawn(launch: Launch) -> Server:
    head = [sys.executable, "-I", "-S", guard.__file__, str(os.getpid()), str(GRACE)]
    log = _open_log(launch.log)
    with log:
        process = subprocess.Popen(
            [*head, *command(launch)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment(launch, dict(os.environ)),
            start_new_session=True,
        )
    assert process.stdout is not None
    with process.stdout as told:
        line = told.readline()
    if not line:
        process.wait()
        raise ModelError("unreachable", f"{launch.binary} cannot be run: {_last_line(log.name)}")
    return Server(launch, process, int(line), log=Path(log.name).absolute())


def _open_log(path: str) -> IO[bytes]:
    try:
        if path:
            return open(path, "wb")
        return tempfile.NamedTemporaryFile(prefix="impress-vllm-", suffix=".log", delete=False)
    except OSError as error:
        raise OptionError(f"log: expected a file that can be written, found {path} ({error.strerror})") from error


async def _ready(server: Server, progress: Callable[[str], None]) -> None:
    """Wait until the server answers; read its log meanwhile."""
    began = told_at = monotonic()
    doing, said, offset = "starting", "", 0
    while not await asyncio.to_thread(_answers, server.launch.port):
        passed = monotonic() - began
        text = await asyncio.to_thread(_read, server.log)
        if not server.running:
            raise _cause(server)
        if passed > server.launch.startup_seconds:
            raise ModelError(
                "timeout",
                f"vLLM did not answer within {server.launch.startup_seconds:.0f} s; it was {doing}. Give it longer "
                f"(?startup=SECONDS) or see {server.log}. Its last line: {_last_line(str(server.log))}",
            )
        doing, offset = stage(text[offset:]) or doing, len(text)
        if doing != said or monotonic() - told_at > _SAY_AGAIN:
            progress(f"vLLM: {doing}, {passed:.0f} s")
            said, told_at = doing, monotonic()
        await asyncio.sleep(0.5)
    if not server.running:  # another server answered on the port
        raise _cause(server)
    progress(f"vLLM: ready after {monotonic() - began:.0f} s, {server.url}")


def _cause(server: Server) -> ImpressError:
    return cause(_read(server.log), server.launch.model, log_name=str(server.log), code=server.exit_status)


def _answers(port: int) -> bool:
    """Whether /health says that the server is ready. No proxy is asked, whatever the environment says."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5.0)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _read(log: Path) -> str:
    try:
        return log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _last_line(log: str) -> str:
    lines = [line for line in _read(Path(log)).splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else "(it printed nothing)"
