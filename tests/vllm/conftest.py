"""Tests with a real vLLM on the CPU, serving a tiny model made on the spot.

They run where its environment is: in the folder named by IMPRESS_VLLM, or in .venv-vllm (`make test-vllm` makes it).
Without one they are skipped; with IMPRESS_VLLM set and no vLLM there, they fail. They themselves run in ours.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from impress_env.models.launch import Launch, start
from impress_env.testing import tiny

CONTEXT = 40_960  # a family's tools are 10,000 to 18,000 tokens of the tiny model's vocabulary


@dataclass(frozen=True, kw_only=True)
class Serving:
    """A server that runs: its URL without /v1, the name under which it serves the model in `directory`.

    `python` is the interpreter of vLLM's environment, which has torch and transformers.
    """

    url: str
    model: str
    directory: Path
    python: Path
    pid: int


@pytest.fixture(scope="session", autouse=True)
def vllm_environment() -> Path:
    """The folder of vLLM's environment."""
    named = os.environ.get("IMPRESS_VLLM", "")
    folder = Path(named or Path(__file__).parents[2] / ".venv-vllm").absolute()
    if (folder / "bin" / "vllm").is_file():
        return folder
    if named:
        raise FileNotFoundError(f"IMPRESS_VLLM: expected {folder}/bin/vllm; make it with tests/vllm/install.sh {named}")
    pytest.skip(f"no vLLM in {folder.name}: `make test-vllm` installs it (2.5 GB) and runs these tests")


@pytest.fixture(scope="session")
def tiny_model(vllm_environment: Path) -> Path:
    """The folder of the tiny model; kept in vLLM's environment until the program that makes it changes."""
    program = Path(tiny.__file__)
    folder = vllm_environment / f"tiny-{sha256(program.read_bytes()).hexdigest()[:12]}"
    python = vllm_environment / "bin" / "python"
    arguments = [str(folder), "--context", str(CONTEXT)]
    subprocess.run([python, "-P", program, *arguments], check=True, capture_output=True, text=True)
    return folder


@pytest.fixture(scope="session")
def tiny_launch(vllm_environment: Path, tiny_model: Path) -> Launch:
    """How the tiny model is served. A test that ends its server starts its own: `msgspec.structs.replace` varies it.

    Random weights never close a thought, never stop writing JSON whitespace, and call a tool only when made to
    (tool_choice="required"): hence no reasoning parser, and the flags on structured outputs. Seeded requests end the
    CPU engine where a prompt is read in chunks: hence a batch as long as the context.
    """
    openmp = vllm_environment / "lib" / "libiomp5.so"
    return Launch(
        model=str(tiny_model),
        served_name="tiny",
        binary=str(vllm_environment / "bin" / "vllm"),
        tool_parser="hermes",
        reasoning_parser="none",
        max_model_len=CONTEXT,
        dtype="float32",
        args=(
            *("--enforce-eager", "--seed", "0", "--max-num-seqs", "32", "--enable-prefix-caching"),
            *("--no-enable-chunked-prefill", "--max-num-batched-tokens", str(CONTEXT)),
            *("--structured-outputs-config", '{"backend": "xgrammar", "disable_any_whitespace": true}'),
        ),
        env={
            "HF_HUB_OFFLINE": "1",
            "TORCH_COMPILE_DISABLE": "1",
            "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB: two million tokens of this model
            "VLLM_ENFORCE_STRICT_TOOL_CALLING": "0",
            "VLLM_SERVER_DEV_MODE": "1",  # /reset_prefix_cache
            **({"LD_PRELOAD": str(openmp)} if openmp.is_file() else {}),
        },
        startup_seconds=300.0,
    )


@pytest.fixture(scope="session")
def server(vllm_environment: Path, tiny_model: Path, tiny_launch: Launch) -> Iterator[Serving]:
    """The tiny model's server, one for all tests: leave it running."""
    running = asyncio.run(start(tiny_launch, progress=print))
    try:
        yield Serving(
            url=running.url,
            model=tiny_launch.served_name,
            directory=tiny_model,
            python=vllm_environment / "bin" / "python",
            pid=running.pid,
        )
    finally:
        asyncio.run(running.stop())
