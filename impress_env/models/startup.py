"""What vLLM's log says while a server starts: what it is doing, and why it ended.

The words are those of vLLM 0.32, read off its source and off the logs of failed starts; a line that is not known says
nothing, and a cause that is not known is told by the log's last errors. Knows nothing of processes.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from impress_env.errors import ImpressError, OptionError
from impress_env.model import Failure, ModelError

_STAGES: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (r"(?:Downloading|Fetching \d+ files).*?(\d+)%", "downloading the model ({0} %)"),
        (r"Resolved architecture: (\w+)", "configuring ({0})"),
        (r"Initializing a V1 LLM engine", "starting the engine"),
        (r"Starting to load model", "loading weights"),
        (r"Loading \w+ checkpoint shards:\s+(\d+)% Completed", "loading weights ({0} %)"),
        (r"Loading weights took", "weights loaded"),
        (r"Starting torch\.compile|Dynamo bytecode transform|Compiling a graph", "compiling"),
        (r"Profiling CUDA graph memory|Initial profiling", "profiling memory"),
        (r"KV cache size: ([\d,]+) tokens", "reserving the cache ({0} tokens)"),
        (r"Capturing CUDA graphs.*?(\d+)%", "capturing CUDA graphs ({0} %)"),
        (r"Capturing", "capturing CUDA graphs"),
        (r"[Ww]arming up|warmup starting", "warming up"),
        (r"Starting vLLM server on", "opening the port"),
    )
)


def stage(text: str) -> str:
    """Return what the server is doing by the last line of a piece of its log that tells, or ""."""
    for line in reversed(re.split(r"[\r\n]+", text)):
        for pattern, words in _STAGES:
            if found := pattern.search(line):
                return words.format(*found.groups())
    return ""


class _Cause(NamedTuple):
    """A pattern, and what it means: `kind` is a failure of the model, or "" for an option out of range.

    `told` is a format of the pattern's groups, in order, and of `model`.
    """

    pattern: str
    kind: Failure | str
    told: str


_LESS_MEMORY: Final = (
    "ask for a shorter context (?max_model_len=N), share the model among more GPUs (?tensor_parallel=N), or give "
    "vLLM more of the memory (--vllm-args '--gpu-memory-utilization 0.95')"
)

# The first that is found holds: what is narrow stands before what is wide.
_CAUSES: Final[tuple[_Cause, ...]] = (
    _Cause(
        r"invalid tool call parser: (\S+) \(chose from \{\s*(.*?)\s*\}\)",
        "",
        "tool_parser: expected one of this vLLM's parsers ({1}) or none, found {0}. Name one of these; or use the "
        "agent react/vllm:{model}, which needs none",
    ),
    _Cause(
        r"Reasoning parser '([^']+)' not found\. Available parsers: ([\w, -]+)",
        "",
        "reasoning_parser: expected one of this vLLM's parsers ({1}) or none, found {0}",
    ),
    _Cause(
        r"invalid reasoning parser: (\S+) \(chose from \{\s*(.*?)\s*\}\)",
        "",
        "reasoning_parser: expected one of this vLLM's parsers ({1}) or none, found {0}",
    ),
    _Cause(
        r"(--(?:tool-call|reasoning)-parser.*? cannot be used with the tokenizer of .*)",
        "",
        "vllm:{model}: {0}. Choose other parsers: ?tool_parser=NAME&reasoning_parser=NAME, either may be none",
    ),
    _Cause(
        r"max_model_len \((\d+)\) is greater than the derived max_model_len \((\w+)=(\d+)",
        "",
        "max_model_len: expected at most {2} (the model's {1}), found {0}. Ask for ?max_model_len={2} or less",
    ),
    _Cause(
        r"max_num_batched_tokens \((\d+)\) is smaller than max_model_len \((\d+)\)",
        "",
        "without chunked prefill the batch must hold the context of {1} tokens, found {0}. Give --vllm-args "
        "'--max-num-batched-tokens {1}' or ask for ?max_model_len={0}",
    ),
    _Cause(
        r"max seq len \((\d+)\), \(([\d.]+) GiB KV cache is needed, which is larger than the available KV cache memory "
        r"\(([\d.]+) GiB\)\.(?: Based on the available memory, the estimated maximum model length is (\d+))?",
        "",
        "too little memory: a context of {0} tokens takes {1} GiB of cache, {2} GiB are left (enough for {3} tokens). "
        "Either " + _LESS_MEMORY,
    ),
    _Cause(
        r"No available memory for the cache blocks",
        "",
        "too little memory: the weights leave none for the cache. Either " + _LESS_MEMORY + ", or take a smaller model",
    ),
    _Cause(
        r"(Free memory on device .*? on startup) is less than desired GPU memory utilization \(([\d.]+)",
        "",
        "too little memory: {0}, less than the share of {1} that vLLM takes. End what else uses the GPU (nvidia-smi "
        "lists it), or take less: --vllm-args '--gpu-memory-utilization 0.5'",
    ),
    _Cause(
        r"(Available memory on node .*?) is less than (?:desired CPU memory utilization|requested memory for kv)",
        "",
        "too little memory: {0}, less than vLLM's CPU build takes. Free some, or have it take less: export "
        "VLLM_CPU_KVCACHE_SPACE=1 (GiB of cache), --vllm-args '--gpu-memory-utilization 0.3'",
    ),
    _Cause(
        r"(?:OutOfMemoryError|CUDA error): ((?:CUDA )?out of memory[^\n]{0,200})",
        "",
        "too little memory: {0}. Share the model among more GPUs (?tensor_parallel=N), ask for a shorter context "
        "(?max_model_len=N), or take a smaller or quantised model",
    ),
    _Cause(
        r"World size \((\d+)\) is larger than the number of available GPUs \((\d+)\)",
        "",
        "tensor_parallel: expected at most the GPUs at hand, {1}, found {0}",
    ),
    _Cause(
        r"(Total number of attention heads \(\d+\) must be divisible by tensor parallel size \(\d+\))",
        "",
        "tensor_parallel: {0}. Choose a number that divides it",
    ),
    _Cause(
        r"Failed to infer device type",
        "unreachable",
        "vLLM finds no GPU. Check nvidia-smi and the driver; on a machine without one install vLLM's CPU build",
    ),
    _Cause(
        r"(Bfloat16 is only supported on GPUs[^\n]{0,120})",
        "",
        "dtype: {0}. Ask for ?dtype=float16",
    ),
    _Cause(
        r"Model architectures (\[.*?\]) are not supported",
        "not_found",
        "this vLLM cannot serve {model}: its architectures {0} are not supported. Upgrade vLLM",
    ),
    _Cause(
        r"(?:setting|argument) `trust_remote_code=True`",
        "",
        "vllm:{model}: the model brings code of its own. If you trust it: --vllm-args '--trust-remote-code'",
    ),
    _Cause(
        r"GatedRepoError|[Gg]ated repo",
        "authentication",
        "{model} is gated. Accept its terms on its page on the hub and export HF_TOKEN",
    ),
    _Cause(
        r"RepositoryNotFoundError|Repository Not Found|is not a valid model identifier",
        "not_found",
        "the hub has no model {model}, or none for you. Check the spelling (vllm:ORGANISATION/NAME), or export "
        "HF_TOKEN for a private one",
    ),
    _Cause(
        r"outgoing traffic has been disabled",
        "not_found",
        "{model} is not in the cache of models, and HF_HUB_OFFLINE forbids to fetch it. Unset HF_HUB_OFFLINE, or name "
        "a folder: vllm:/PATH/TO/MODEL",
    ),
    _Cause(
        r"LocalEntryNotFoundError|couldn't connect to 'https|Please check your connection",
        "not_found",
        "{model} is not in the cache of models, and the hub cannot be reached. Fetch it where there is a network "
        "(hf download {model} --local-dir MODEL) and name its folder: vllm:/PATH/TO/MODEL",
    ),
    _Cause(
        r"HFValidationError: (.*)|Invalid repository ID or local directory specified: (.*)",
        "not_found",
        "expected the name of a model on the hub or its folder, found {model}",
    ),
    _Cause(r"No space left on device", "unreachable", "the disk is full; the cache of models is $HF_HOME"),
    _Cause(
        r"Address already in use",
        "",
        "port: taken between our look and vLLM's. Start again, without ?port= to have a free one chosen",
    ),
    _Cause(r"vllm(?: serve)?: error: (.*)", "", "vLLM refuses its arguments: {0}. See vllm serve --help=all"),
)
_PREFIX: Final = re.compile(r"^\((?:\w|-)+ pid=\d+\) |(?:INFO|WARNING|ERROR) [\d-]+ [\d:]+ \[[\w.]+:\d+\] ")
_ERROR: Final = re.compile(r"^(?:[\w.]*(?:Error|Exception)\b|Value error, |.*Segmentation fault)")
_FOLLOWS: Final = re.compile(r"root cause|\d+ validation errors? for ")  # of another error, told elsewhere


def cause(log: str, model: str, *, log_name: str, code: int | None = None) -> ImpressError:
    """Return why a server ended in its start, as an error that says what mends it.

    Args:
        log: All that it printed.
        model: What it was to serve.
        log_name: Where the log lies.
        code: Its exit status.
    """
    for pattern, kind, told in _CAUSES:
        if found := re.search(pattern, log):
            text = told.format(*(group or "?" for group in found.groups()), model=model)
            text = f"{text} ({log_name} has the server's log)"
            return ModelError(kind, text) if kind else OptionError(text)  # type: ignore[arg-type]
    ended = "" if code is None else f" with status {code}"
    hint = "; the kernel may have ended it for want of memory" if code == 137 else ""
    return ModelError(
        "unreachable", f"vLLM ended{ended} while it started{hint}. Its last errors: {_errors(log)} (see {log_name})"
    )


def _errors(log: str) -> str:
    """Return the last lines that name an error, those of the process that failed first, or else the last lines."""
    lines = [_PREFIX.sub("", line).strip() for line in re.split(r"[\r\n]+", log)]
    lines = [line for line in dict.fromkeys(lines) if line]
    errors = [line for line in lines if _ERROR.match(line)]
    roots = [line for line in errors if not _FOLLOWS.search(line)]
    return " | ".join(line[:300] for line in (roots or errors or lines)[-3:]) or "none"
