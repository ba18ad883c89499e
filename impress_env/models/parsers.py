"""Which of vLLM's parsers reads the tool calls and the reasoning of a model, by the model's family.

A family is known by the model's name or, for a folder, by its chat template and config.json. The names are those of
vLLM 0.32 (a test compares them with the installed one). A model that is known to write no calls of its own, and one
that is not known, get none. Knows nothing of servers.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import msgspec

NONE: Final = "none"  # as an option: no parser, whatever the family


class Parsers(msgspec.Struct, frozen=True):
    """vLLM's names of a family's parsers, "" for none. `by` says how the family was known, "" if it was not."""

    tool: str = ""
    reasoning: str = ""
    by: str = ""


# (pattern searched in the lower-cased name, tool parser, reasoning parser); the first that is found holds. Sources:
# vLLM's pages "Tool Calling" and "Reasoning Outputs", the docstrings under vllm/parser, vllm/tool_parsers and
# vllm/reasoning. A model that never thinks gets no reasoning parser: some read all text up to </think> as reasoning.
_BY_NAME: Final[tuple[tuple[str, str, str], ...]] = (
    (r"r1-distill|r1-0528-qwen3", "", "deepseek_r1"),
    (r"deepseek-v4\.1", "deepseek_v41", "deepseek_v41"),
    (r"deepseek-v4", "deepseek_v4", "deepseek_v4"),
    (r"deepseek-v3\.2", "deepseek_v32", "deepseek_v3"),
    (r"deepseek-v3\.1", "deepseek_v31", "deepseek_v3"),
    (r"deepseek-r1", "deepseek_v3", "deepseek_r1"),
    (r"deepseek-v3", "deepseek_v3", ""),
    (r"xlam", "xlam", ""),
    (r"toolace", "pythonic", ""),
    (r"nemotron-3-", "qwen3_coder", "nemotron_v3"),
    (r"nemotron", "", ""),  # Llama-Nemotron has a format, and a parser plugin, of its own
    (r"hermes-[2-9]", "hermes", ""),
    (r"qwen3-coder", "qwen3_coder", ""),
    (r"qwen3\.[5-9]", "qwen3_coder", "qwen3"),
    (r"qwen3.*(instruct|embedding|reranker)", "hermes", ""),
    (r"qwen-?3", "hermes", "qwen3"),
    (r"qwq", "hermes", "deepseek_r1"),
    (r"qwen2\.5", "hermes", ""),
    (r"llama-?4", "llama4_pythonic", ""),
    (r"llama-?3\.[1-3]", "llama3_json", ""),
    (r"magistral|ministral.*reasoning", "mistral", "mistral"),
    (r"mi[sx]tral|ministral|devstral", "mistral", ""),
    (r"gpt-oss", "openai", "openai_gptoss"),
    (r"functiongemma", "functiongemma", ""),
    (r"gemma-?4", "gemma4", "gemma4"),
    (r"gemma", "", ""),  # up to Gemma 3 there is no format of calls
    (r"phi-4.*reasoning", "", "deepseek_r1"),
    (r"phi-4-mini", "phi4_mini_json", ""),
    (r"granite-20b-functioncalling", "granite-20b-fc", ""),
    (r"granite-4\.2", "qwen3_coder", "granite_thinking_parser"),
    (r"granite-4", "granite4", ""),
    (r"granite-3\.[2-9]", "granite", "granite"),
    (r"granite-3", "granite", ""),
    (r"kimi-k3", "kimi_k3", "kimi_k3"),
    (r"kimi-k2(\.[5-9]|.*thinking)", "kimi_k2", "kimi_k2"),
    (r"kimi-k2", "kimi_k2", ""),
    (r"k2-horizon", "k2_horizon", "k2_horizon"),
    (r"glm-(4\.7|5)", "glm47", "glm47"),
    (r"glm-4\.[56]", "glm45", "glm45"),
    (r"minimax-m3", "minimax_m3", "minimax_m3"),
    (r"minimax-m2", "minimax_m2", "minimax_m2"),
    (r"internlm(2_5|2\.5|3)", "internlm", ""),
    (r"jamba", "jamba", ""),
    (r"lfm2", "lfm2", ""),
    (r"olmo-3.*think", "olmo3", "olmo3"),
    (r"olmo-3", "olmo3", ""),
    (r"seed-oss", "seed_oss", "seed_oss"),
    (r"step-?3[.p][5-9]", "step3p5", "step3p5"),
    (r"step-?3", "step3", "step3"),
    (r"hunyuan-a13b", "hunyuan_a13b", "hunyuan_a13b"),
    (r"ernie-4\.5.*thinking", "ernie45", "ernie45"),
    (r"longcat-flash", "longcat", ""),
    (r"gigachat-?3", "gigachat3", ""),
    (r"apertus", "apertus", ""),
    (r"command-a-reasoning", "cohere_command3", "cohere_command3"),
    (r"mimo-v2", "mimo", "mimo"),
    (r"plamo-?3", "plamo3", "plamo3"),
    (r"minicpm-?5", "minicpm5", ""),
)

# (text in a chat template, tool parser): what the template shows is what the model was taught to write.
_BY_TEMPLATE: Final[tuple[tuple[str, str], ...]] = (
    ("<seed:tool_call>", "seed_oss"),
    ("<minimax:tool_call>", "minimax_m2"),
    ("<function=", "qwen3_coder"),
    ("<arg_key>", "glm47"),
    ("<function_calls>", "olmo3"),
    ("[TOOL_CALLS]", "mistral"),
    ("<|tool_calls_section_begin|>", "kimi_k2"),
    ("<|python_start|>", "llama4_pythonic"),
    ("<|tool_call_start|>", "lfm2"),
    ("<tool_call>", "hermes"),
)

# config.json's model_type -> (tool parser, reasoning parser)
_BY_TYPE: Final[dict[str, tuple[str, str]]] = {
    "deepseek_v4": ("deepseek_v4", "deepseek_v4"),
    "deepseek_v32": ("deepseek_v32", "deepseek_v3"),
    "deepseek_v3": ("deepseek_v3", ""),
    "qwen2": ("hermes", ""),
    "qwen2_moe": ("hermes", ""),
    "qwen3": ("hermes", "qwen3"),
    "qwen3_moe": ("hermes", "qwen3"),
    "qwen3_next": ("hermes", "qwen3"),
    "qwen3_5": ("qwen3_coder", "qwen3"),
    "qwen3_5_moe": ("qwen3_coder", "qwen3"),
    "llama4": ("llama4_pythonic", ""),
    "llama": ("llama3_json", ""),
    "mistral": ("mistral", ""),
    "mistral3": ("mistral", ""),
    "ministral3": ("mistral", ""),
    "mixtral": ("mistral", ""),
    "gpt_oss": ("openai", "openai_gptoss"),
    "gemma4": ("gemma4", "gemma4"),
    "granite": ("granite", ""),
    "granitemoehybrid": ("granite4", ""),
    "kimi_k2": ("kimi_k2", ""),
    "kimi_k3": ("kimi_k3", "kimi_k3"),
    "glm4_moe": ("glm45", "glm45"),
    "glm4_moe_lite": ("glm47", "glm47"),
    "minimax_m2": ("minimax_m2", "minimax_m2"),
    "minimax_m3": ("minimax_m3", "minimax_m3"),
    "internlm2": ("internlm", ""),
    "internlm3": ("internlm", ""),
    "jamba": ("jamba", ""),
    "lfm2": ("lfm2", ""),
    "lfm2_moe": ("lfm2", ""),
    "olmo3": ("olmo3", ""),
    "seed_oss": ("seed_oss", "seed_oss"),
    "step3_text": ("step3", "step3"),
    "step3p5": ("step3p5", "step3p5"),
    "hunyuan_v1_moe": ("hunyuan_a13b", "hunyuan_a13b"),
    "longcat_flash": ("longcat", ""),
    "apertus": ("apertus", ""),
    "mimo_v2_flash": ("mimo", "mimo"),
    "plamo3": ("plamo3", "plamo3"),
}


def names() -> tuple[set[str], set[str]]:
    """Return every tool parser and every reasoning parser that the tables name."""
    pairs = [(tool, reasoning) for _, tool, reasoning in _BY_NAME] + list(_BY_TYPE.values())
    tools = {tool for tool, _ in pairs} | {tool for _, tool in _BY_TEMPLATE}
    return tools - {""}, {reasoning for _, reasoning in pairs} - {""}


def parsers_for(model: str) -> Parsers:
    """Return the parsers of a model, from its name on the hub or its folder."""
    folder = Path(model).expanduser()
    local = folder.is_dir()
    name = (folder.resolve().name if local else model).lower()
    by_name = _named(name)
    if not local:
        return by_name
    template = _template(folder)
    if template and "tools" not in template:
        return Parsers(reasoning=by_name.reasoning, by="its chat template, which takes no tools")
    found = by_name if by_name.by else _typed(folder, template)
    thinks = not template or "think" in template
    return Parsers(tool=found.tool, reasoning=found.reasoning if thinks else "", by=found.by)


def _named(name: str) -> Parsers:
    for pattern, tool, reasoning in _BY_NAME:
        if re.search(pattern, name):
            return Parsers(tool=tool, reasoning=reasoning, by="its name")
    return Parsers()


def _typed(folder: Path, template: str) -> Parsers:
    kind = str(_json(folder / "config.json").get("model_type", ""))
    tool, reasoning = _BY_TYPE.get(kind, ("", ""))
    shown = next((parser for text, parser in _BY_TEMPLATE if text in template), "")
    if not (shown or kind in _BY_TYPE):
        return Parsers()
    by = " and ".join(["its chat template"] * bool(shown) + [f"its model type {kind}"] * (kind in _BY_TYPE))
    return Parsers(tool=shown or tool, reasoning=reasoning, by=by)


def _template(folder: Path) -> str:
    """The folder's chat template, "" if there is none in a place we know; of several named ones, all."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8", errors="replace")
    found = _json(folder / "tokenizer_config.json").get("chat_template", "")
    return found if isinstance(found, str) else json.dumps(found)


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
