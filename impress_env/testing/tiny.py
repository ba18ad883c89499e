"""Makes a tiny model with random weights, in seconds and without a network: a whole checkpoint that vLLM serves.

``python tiny.py FOLDER`` writes a Qwen3 of some 200,000 parameters, a byte-level BPE tokenizer trained on the Python
standard library's own text, and a chat template with Hermes tool calls. It says nothing sensible; that it is complete
and equal for equal arguments is all that a test of the machinery asks. Run as a script by an interpreter that has
torch and transformers, such as vLLM's; imports nothing of IMPRESS Env.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

FILES: Final = 120  # of the standard library, for the tokenizer
HEAD: Final = 32  # width of an attention head: vLLM's CPU kernels want a multiple of 32
SPECIAL: Final = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MARKS: Final = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>")
WORDS: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
TEMPLATE: Final = r"""
{%- set first = messages[0] -%}
{%- if tools -%}
  {{- '<|im_start|>system\n' -}}
  {%- if first.role == 'system' -%}{{- first.content + '\n\n' -}}{%- endif -%}
  {{- '# Tools\n\nYou may call one or more functions. Their signatures stand within <tools></tools>:\n<tools>' -}}
  {%- for tool in tools -%}{{- '\n' -}}{{- tool | tojson -}}{%- endfor -%}
  {{- '\n</tools>\n\nFor each call return a JSON object within <tool_call></tool_call>:\n<tool_call>\n' -}}
  {{- '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call><|im_end|>\n' -}}
{%- elif first.role == 'system' -%}
  {{- '<|im_start|>system\n' + first.content + '<|im_end|>\n' -}}
{%- endif -%}
{%- for message in messages -%}
  {%- if message.role == 'user' or (message.role == 'system' and not loop.first) -%}
    {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' -}}
  {%- elif message.role == 'assistant' -%}
    {{- '<|im_start|>assistant\n' -}}
    {%- generation -%}
      {%- set thought = message.reasoning or message.reasoning_content -%}
      {%- if thought -%}{{- '<think>\n' + thought + '\n</think>\n\n' -}}{%- endif -%}
      {%- if message.content -%}{{- message.content -}}{%- endif -%}
      {%- for call in message.tool_calls or [] -%}
        {%- if not loop.first or message.content -%}{{- '\n' -}}{%- endif -%}
        {%- set function = call.function or call -%}
        {{- '<tool_call>\n{"name": "' + function.name + '", "arguments": ' -}}
        {%- if function.arguments is string -%}{{- function.arguments -}}
        {%- else -%}{{- function.arguments | tojson -}}{%- endif -%}
        {{- '}\n</tool_call>' -}}
      {%- endfor -%}
      {{- '<|im_end|>' -}}
    {%- endgeneration -%}
    {{- '\n' -}}
  {%- elif message.role == 'tool' -%}
    {%- if loop.first or messages[loop.index0 - 1].role != 'tool' -%}{{- '<|im_start|>user' -}}{%- endif -%}
    {{- '\n<tool_response>\n' + message.content + '\n</tool_response>' -}}
    {%- if loop.last or messages[loop.index0 + 1].role != 'tool' -%}{{- '<|im_end|>\n' -}}{%- endif -%}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}
"""


def make(folder: Path, *, hidden: int, layers: int, vocabulary: int, context: int, seed: int) -> int:
    """Write a checkpoint, whole or not at all, and return the number of its parameters.

    Args:
        folder: Where; what is there stays.
        hidden: Width; a multiple of 64.
        layers: Number of layers.
        vocabulary: Tokens, of which 9 are marks.
        context: Longest context, in tokens.
        seed: Of the weights.
    """
    import torch  # type: ignore[import-not-found, unused-ignore]  # vLLM's environment has these, ours has not
    from transformers import Qwen3Config, Qwen3ForCausalLM  # type: ignore[import-not-found, unused-ignore]

    words = tokenizer(vocabulary, context)
    config = Qwen3Config(
        vocab_size=-(-len(words) // 64) * 64,
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=max(2, hidden // HEAD),
        num_key_value_heads=max(1, hidden // HEAD // 2),
        head_dim=HEAD,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
        bos_token_id=None,
        dtype="float32",
    )
    torch.manual_seed(seed)
    model = Qwen3ForCausalLM(config).float()
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    words.save_pretrained(part)
    model.save_pretrained(part)
    try:
        part.rename(folder)
    except OSError:  # another process was faster, with the same
        shutil.rmtree(part)
    return sum(weights.numel() for weights in model.parameters())


def tokenizer(vocabulary: int, context: int) -> Any:
    """Return a byte-level BPE tokenizer with the chat template, as transformers has them."""
    from tokenizers import (  # type: ignore[import-not-found, unused-ignore]
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        pre_tokenizers,
        trainers,
    )
    from transformers import PreTrainedTokenizerFast

    pieces = Tokenizer(models.BPE())
    pieces.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    pieces.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(MARKS),
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    pieces.train_from_iterator(texts(), trainer)
    pieces.add_tokens([AddedToken(mark, normalized=False, special=False) for mark in MARKS])
    found = PreTrainedTokenizerFast(
        tokenizer_object=pieces,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )
    found.chat_template = TEMPLATE.strip()
    return found


def texts() -> Iterator[str]:
    """Yield the standard library's first files."""
    for file in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[:FILES]:
        yield file.read_text(encoding="utf-8", errors="ignore")


def main() -> None:
    """Read the arguments and write the checkpoint, unless it is there."""
    parser = argparse.ArgumentParser(description="Make a tiny random model that vLLM serves.")
    parser.add_argument("folder", type=Path)
    for name, value, told in (
        ("hidden", 64, "width, a multiple of 64"),
        ("layers", 2, "number of layers"),
        ("vocabulary", 2048, "tokens"),
        ("context", 40960, "longest context in tokens"),
        ("seed", 0, "of the weights"),
    ):
        parser.add_argument(f"--{name}", type=int, default=value, help=f"{told} ({value})")
    given = vars(parser.parse_args())
    folder: Path = given.pop("folder")
    if (folder / "config.json").is_file():
        print(f"{folder} is there")
        return
    print(f"{folder}: {make(folder, **given):,} parameters")


if __name__ == "__main__":
    main()
