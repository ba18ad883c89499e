"""Log-likelihoods of tool calls by transformers, in float32: a second opinion on what vLLM says.

Runs in the environment of vLLM (torch, transformers), without IMPRESS Env: `python transformers_scorer.py MODEL_DIR`
answers each line of JSON ({messages, tools, turns}, as Chat Completions writes them) with a line: for each turn its
tokens' log-probabilities and the number of tokens before it. The seam is found here in the text, not in the tokens.
"""

import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def readable(message):
    """Return a message as templates expect it: arguments as objects, no content as no text."""
    calls = [
        {**call, "function": {**call["function"], "arguments": json.loads(call["function"]["arguments"])}}
        for call in message.get("tool_calls", ())
    ]
    return {**message, "content": message.get("content") or "", **({"tool_calls": calls} if calls else {})}


def main():
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
    model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
    for line in sys.stdin:
        asked = json.loads(line)
        messages = [readable(message) for message in asked["messages"]]

        def text(messages, asked=asked, **options):
            return tokenizer.apply_chat_template(messages, tools=asked["tools"], tokenize=False, **options)

        def tokens(text):
            return tokenizer(text, add_special_tokens=False)["input_ids"]

        context = text(messages, add_generation_prompt=True)
        found = []
        for turn in asked["turns"]:
            whole = text([*messages, readable(turn)], add_generation_prompt=False).rstrip()
            assert whole.startswith(context), "the template rewrites the history"
            ids, before = tokens(whole), len(tokens(context))
            assert ids[:before] == tokens(context), "the tokens of the history change"
            n = len(ids) - before
            with torch.no_grad():
                logits = model(torch.tensor([ids]), logits_to_keep=n + 1).logits[0, :-1].float()
            log_ps = torch.log_softmax(logits, -1).gather(-1, torch.tensor(ids[before:])[:, None])[:, 0]
            found.append({"log_ps": log_ps.tolist(), "context": before})
        print(json.dumps(found), flush=True)


main()
