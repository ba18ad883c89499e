"""How a reply is written in the three protocols: whole, or as the events of a stream.

Everything follows from the request and the reply: ids from the body's hash, times are one constant, tokens are four
characters each. Knows nothing of connections or accounts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from impress_env.model import Stop, Usage
from impress_env.testing.endpoint.policy import Asked, Call, Reply

CREATED: Final = 1_790_000_000
HUGE: Final = 5_000_000  # characters
_PIECE: Final = 24  # characters of a streamed delta
_FINISH: Final[dict[Stop, str]] = {
    "end": "stop",
    "calls": "tool_calls",
    "length": "length",
    "refusal": "stop",
    "filter": "content_filter",
    "other": "stop",
}
_REASON: Final[dict[Stop, str]] = {
    "end": "end_turn",
    "calls": "tool_use",
    "length": "max_tokens",
    "refusal": "refusal",
    "filter": "refusal",
    "other": "end_turn",
}


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be written: the reply, its usage, whether that is told, and whether there is any content at all."""

    asked: Asked
    reply: Reply
    usage: Usage
    tell: bool = True
    empty: bool = False


def count(asked: Asked, reply: Reply) -> Usage:
    """Return the tokens of an answer: a quarter of the bytes asked and of the characters answered.

    From the second turn on, half of what was asked is counted as read from a cache.
    """
    before = max(1, asked.size // 4)
    reasoning = len(reply.reasoning) // 4
    calls = sum(len(call.name) + len(written(call)) for call in reply.calls)
    return Usage(
        input=before,
        output=max(1, reasoning + (len(reply.text) + calls) // 4),
        cached=before // 2 if asked.turns else 0,
        reasoning=reasoning,
    )


def written(call: Call) -> str:
    """Return a call's arguments as text."""
    return call.arguments if isinstance(call.arguments, str) else msgspec.json.encode(call.arguments).decode()


def faulted(asked: Asked, reply: Reply, fault: str | None) -> Reply:
    """Return the reply as a fault of the model changes it, or as it is."""
    match fault:
        case "broken_arguments":
            call = _some_call(asked, reply)
            return msgspec.structs.replace(reply, calls=(Call(call.name, '{"path": "/notes/plan.md", "li'),))
        case "unknown_tool":
            return msgspec.structs.replace(reply, calls=(Call("no_such_tool", {"id": "7"}),))
        case "duplicate_ids":
            call = _some_call(asked, reply)
            other = reply.calls[1] if len(reply.calls) > 1 else call
            twice = tuple(Call(one.name, one.arguments, "call_same") for one in (call, other))
            return msgspec.structs.replace(reply, calls=twice)
        case "huge":
            return Reply(text="word " * (HUGE // 5))
        case "length":
            call = _some_call(asked, reply)
            text = written(call)
            return msgspec.structs.replace(reply, calls=(Call(call.name, text[: len(text) // 2]),), stop="length")
        case "content_filter":
            return Reply(text="To do this, one would first", stop="filter")
        case "refusal":
            return Reply(text="I cannot help with that.", stop="refusal")
        case "empty_choices":
            return Reply()
        case _:
            return reply


def _some_call(asked: Asked, reply: Reply) -> Call:
    return reply.calls[0] if reply.calls else Call(asked.tools[0] if asked.tools else "no_tool", {"text": "some words"})


def whole(answer: Answered) -> bytes:
    """Return an answer that is not streamed."""
    match answer.asked.flavour:
        case "chat":
            return _chat(answer)
        case "responses":
            return _response(answer)
        case "messages":
            return _message(answer)


def events(answer: Answered) -> list[bytes]:
    """Return a stream's events, of chat completions or messages; the last one says that it is over."""
    return _chat_events(answer) if answer.asked.flavour == "chat" else _message_events(answer)


def _ids(answer: Answered, prefix: str) -> list[str]:
    digest = answer.asked.digest[:20]
    return [call.id or f"{prefix}_{digest}{number:02d}" for number, call in enumerate(answer.reply.calls)]


def _chat_usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning, "audio_tokens": 0},
    }


def _chat_calls(answer: Answered) -> list[dict[str, Any]]:
    return [
        {"id": call_id, "type": "function", "function": {"name": call.name, "arguments": written(call)}}
        for call, call_id in zip(answer.reply.calls, _ids(answer, "call"), strict=True)
    ]


def _chat_head(answer: Answered, kind: str) -> dict[str, Any]:
    asked = answer.asked
    return {"id": f"chatcmpl-{asked.digest}", "object": kind, "created": CREATED, "model": asked.model}


def _chat(answer: Answered) -> bytes:
    reply = answer.reply
    refused = reply.ends == "refusal"
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if refused else reply.text or None,
        "refusal": reply.text if refused else None,
    }
    if reply.reasoning:
        message["reasoning"] = reply.reasoning
    if reply.calls:
        message["tool_calls"] = _chat_calls(answer)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _FINISH[reply.ends]}
    body = _chat_head(answer, "chat.completion")
    body["choices"] = [] if answer.empty else [choice]
    if answer.tell:
        body["usage"] = _chat_usage(answer.usage)
    return msgspec.json.encode(body)


def _pieces(text: str) -> list[str]:
    size = max(_PIECE, len(text) // 50)
    return [text[start : start + size] for start in range(0, len(text), size)]


def _chat_events(answer: Answered) -> list[bytes]:
    reply, head = answer.reply, _chat_head(answer, "chat.completion.chunk")
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning": piece} for piece in _pieces(reply.reasoning)]
    deltas += [{"refusal" if reply.ends == "refusal" else "content": piece} for piece in _pieces(reply.text)]
    for number, entry in enumerate(_chat_calls(answer)):
        function = {"name": entry["function"]["name"], "arguments": ""}
        deltas.append({"tool_calls": [{**entry, "index": number, "function": function}]})
        deltas += [
            {"tool_calls": [{"index": number, "function": {"arguments": piece}}]}
            for piece in _pieces(entry["function"]["arguments"])
        ]
    chunks = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": _FINISH[reply.ends]}]})
    if answer.empty:
        chunks = []
    if answer.tell:
        chunks.append({**head, "choices": [], "usage": _chat_usage(answer.usage)})
    return [b"data: " + msgspec.json.encode(chunk) + b"\n\n" for chunk in chunks] + [b"data: [DONE]\n\n"]


def _response(answer: Answered) -> bytes:
    asked, reply, usage = answer.asked, answer.reply, answer.usage
    digest = asked.digest
    cut = reply.ends in ("length", "filter")
    output: list[dict[str, Any]] = []
    if reply.reasoning:
        summary = [{"type": "summary_text", "text": reply.reasoning}]
        output.append({"type": "reasoning", "id": f"rs_{digest}", "summary": summary})
    if reply.text:
        refused = reply.ends == "refusal"
        part = {"type": "refusal", "refusal": reply.text} if refused else _output_text(reply.text)
        state = "incomplete" if cut and not reply.calls else "completed"
        message = {"type": "message", "id": f"msg_{digest}", "role": "assistant", "status": state, "content": [part]}
        output.append(message)
    for number, (call, call_id) in enumerate(zip(reply.calls, _ids(answer, "call"), strict=True)):
        output.append(
            {
                "type": "function_call",
                "id": f"fc_{digest}{number:02d}",
                "call_id": call_id,
                "name": call.name,
                "arguments": written(call),
                "status": "incomplete" if cut else "completed",
            }
        )
    body: dict[str, Any] = {
        "id": f"resp_{digest}",
        "object": "response",
        "created_at": CREATED,
        "status": "incomplete" if cut else "completed",
        "error": None,
        "incomplete_details": _incomplete(reply.ends),
        "instructions": asked.body.get("instructions"),
        "metadata": {},
        "model": asked.model,
        "output": [] if answer.empty else output,
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": asked.body.get("tool_choice", "auto"),
        "tools": asked.body.get("tools", []),
        "top_p": None,
    }
    if answer.tell:
        body["usage"] = {
            "input_tokens": usage.input,
            "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
            "output_tokens": usage.output,
            "output_tokens_details": {"reasoning_tokens": usage.reasoning},
            "total_tokens": usage.input + usage.output,
        }
    return msgspec.json.encode(body)


def _output_text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def _incomplete(stop: Stop) -> dict[str, str] | None:
    if stop == "length":
        return {"reason": "max_output_tokens"}
    return {"reason": "content_filter"} if stop == "filter" else None


def _blocks(answer: Answered) -> list[dict[str, Any]]:
    reply = answer.reply
    blocks: list[dict[str, Any]] = []
    if reply.reasoning:
        signature = f"sig-{answer.asked.digest}"
        blocks.append({"type": "thinking", "thinking": reply.reasoning, "signature": signature})
    if reply.text:
        blocks.append({"type": "text", "text": reply.text})
    for call, call_id in zip(reply.calls, _ids(answer, "toolu"), strict=True):
        blocks.append({"type": "tool_use", "id": call_id, "name": call.name, "input": _input(reply, call)})
    return [] if answer.empty else blocks


def _input(reply: Reply, call: Call) -> dict[str, Any] | str:
    """Return a call's input: an object where the text is one; of a call that was cut off, what was whole by then."""
    if isinstance(call.arguments, dict):
        return call.arguments
    if reply.ends == "length":
        return {}
    try:
        found = json.loads(call.arguments)
    except ValueError:
        return call.arguments
    return found if isinstance(found, dict) else call.arguments


def _message_usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input - usage.cached,  # theirs leaves out what was read from the cache
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output,
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
    }


def _message_head(answer: Answered) -> dict[str, Any]:
    asked = answer.asked
    return {"id": f"msg_{asked.digest}", "type": "message", "role": "assistant", "model": asked.model}


def _message(answer: Answered) -> bytes:
    body = _message_head(answer)
    body |= {"content": _blocks(answer), "stop_reason": _REASON[answer.reply.ends], "stop_sequence": None}
    if answer.tell:
        body["usage"] = _message_usage(answer.usage)
    return msgspec.json.encode(body)


def _message_events(answer: Answered) -> list[bytes]:
    usage = _message_usage(answer.usage)
    begun = _message_head(answer) | {"content": [], "stop_reason": None, "stop_sequence": None}
    ended: dict[str, Any] = {"delta": {"stop_reason": _REASON[answer.reply.ends], "stop_sequence": None}}
    if answer.tell:
        begun["usage"] = {**usage, "output_tokens": 1, "output_tokens_details": None}
        ended["usage"] = usage
    found = [_event("message_start", message=begun)]
    calls = iter(answer.reply.calls)
    for index, block in enumerate(_blocks(answer)):
        start, deltas = _streamed(block, calls)
        found.append(_event("content_block_start", index=index, content_block=start))
        found += [_event("content_block_delta", index=index, delta=delta) for delta in deltas]
        found.append(_event("content_block_stop", index=index))
    return [*found, _event("message_delta", **ended), _event("message_stop")]


def _streamed(block: dict[str, Any], calls: Iterator[Call]) -> tuple[dict[str, Any], Sequence[dict[str, Any]]]:
    """Return a block as its stream begins it, and the deltas that fill it."""
    if block["type"] == "text":
        deltas = [{"type": "text_delta", "text": piece} for piece in _pieces(block["text"])]
        return {**block, "text": ""}, deltas
    if block["type"] == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in _pieces(block["thinking"])]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
        return {**block, "thinking": "", "signature": ""}, deltas
    pieces = _pieces(written(next(calls)))
    return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]


def _event(kind: str, **fields: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), msgspec.json.encode({"type": kind, **fields}))
