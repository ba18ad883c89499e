"""Anthropic's protocol: what is sent, and what recorded answers mean. No network."""

from __future__ import annotations

from typing import Any

import pytest

from impress_env.errors import OptionError
from impress_env.model import ModelError, Sampling, Spent, Usage, parse_model
from impress_env.models.anthropic import AnthropicModel, message_blocks, provider, read_message
from impress_env.types import Message, ToolCall, ToolSchema

TOOLS = (ToolSchema("mail.read", "Read a mail.", {"type": "object", "properties": {"id": {"type": "string"}}}),)
THINKING = {"type": "thinking", "thinking": "I look first.", "signature": "sig"}
HISTORY = [
    Message(role="system", content="You work here."),
    Message(role="user", content="Do it."),
    Message(
        role="assistant",
        content="Looking.",
        calls=(ToolCall(tool="mail.read", arguments={"id": "m1"}, id="a"), ToolCall(tool="mail.read", id="b")),
        echo=(THINKING,),
    ),
    Message(role="tool", content="one", call_id="a"),
    Message(role="tool", content="two", call_id="b"),
    Message(role="user", content="And?"),
]


def answer(*content: dict[str, Any], stop: str = "end_turn", **usage: Any) -> dict[str, Any]:
    counted = {"input_tokens": 10, "cache_read_input_tokens": 80, "cache_creation_input_tokens": 30,
               "output_tokens": 7, **usage}  # fmt: skip
    return {"id": "m", "type": "message", "model": "claude-x", "content": list(content), "stop_reason": stop,
            "usage": counted}  # fmt: skip


def test_turns_alternate_and_results_stand_in_the_users() -> None:
    system, turns = message_blocks(HISTORY)
    assert system == "You work here."
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert [block["type"] for block in turns[1]["content"]] == ["thinking", "text", "tool_use", "tool_use"]
    assert turns[1]["content"][0] == THINKING
    assert turns[1]["content"][2] == {"type": "tool_use", "id": "a", "name": "mail__read", "input": {"id": "m1"}}
    assert [block["type"] for block in turns[2]["content"]] == ["tool_result", "tool_result", "text"]


def test_no_block_is_empty() -> None:
    _, turns = message_blocks([Message(role="user", content=" "), Message(role="assistant")])
    assert all(block["text"].strip() for turn in turns for block in turn["content"])


def test_a_request_says_what_was_asked_for() -> None:
    model = AnthropicModel("m", url="http://h")
    body = model._body(HISTORY, TOOLS, Sampling(temperature=0.5, tool_choice="required", effort="low"))
    told = {key: body[key] for key in body if key not in ("messages", "tools", "system")}
    assert told == {
        "model": "m",
        "max_tokens": 8_192,
        "tool_choice": {"type": "any"},
        "temperature": 0.5,
        "output_config": {"effort": "low"},
    }
    assert model._body(HISTORY, TOOLS, Sampling(tool_choice="none"))["tool_choice"] == {"type": "none"}
    assert AnthropicModel("m")._body(HISTORY, TOOLS, Sampling())["cache_control"] == {"type": "ephemeral"}


def test_a_thinking_budget_leaves_room_for_the_answer() -> None:
    body = AnthropicModel("m")._body(HISTORY, TOOLS, Sampling(thinking=9_000, max_tokens=4_000))
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 9_000}
    assert body["max_tokens"] == 10_024
    assert AnthropicModel("m")._body(HISTORY, TOOLS, Sampling(thinking=0))["thinking"] == {"type": "disabled"}


def test_an_answer_with_thinking_and_calls_is_read() -> None:
    hidden = {"type": "redacted_thinking", "data": "x"}
    call = {"type": "tool_use", "id": "t1", "name": "mail__read", "input": {"id": "m1"}}
    found = read_message(answer(THINKING, hidden, {"type": "text", "text": "Now."}, call, stop="tool_use"))
    assert (found.text, found.stop, found.reasoning, found.reasoning_kind) == (
        "Now.", "calls", "I look first.", "summarised",
    )  # fmt: skip
    assert found.calls[0].call == ToolCall(tool="mail__read", arguments={"id": "m1"}, id="t1")
    assert found.echo == (THINKING, hidden, {"type": "text"}, {"type": "tool_use"})
    assert read_message(answer(THINKING), full=True).reasoning_kind == "full"


def test_the_blocks_of_a_turn_are_given_back_in_the_order_in_which_they_came() -> None:
    second = {"type": "thinking", "thinking": "And then.", "signature": "s2"}
    call = {"type": "tool_use", "id": "t1", "name": "mail__read", "input": {}}
    found = read_message(answer(THINKING, {"type": "text", "text": "Now."}, second, call, stop="tool_use"))
    told = Message(role="assistant", content=found.text, calls=(found.calls[0].call,), echo=found.echo)
    _, turns = message_blocks([Message(role="user", content="Do it."), told])
    assert turns[1]["content"] == [THINKING, {"type": "text", "text": "Now."}, second, call]
    assert read_message(answer({"type": "text", "text": "Now."}, call)).echo == ()


def test_a_turn_that_was_cut_off_in_its_thinking_does_not_end_in_it() -> None:
    found = read_message(answer(THINKING, stop="max_tokens"))
    _, turns = message_blocks([Message(role="user", content="Do it."), Message(role="assistant", echo=found.echo)])
    assert turns[1]["content"] == [{"type": "text", "text": "(no answer)"}]


def test_input_counts_what_was_read_from_the_cache_and_written_to_it() -> None:
    usage = read_message(answer({"type": "text", "text": "x"})).spent.usage
    assert usage == Usage(input=120, output=7, cached=80, cache_write=30)
    assert read_message({**answer({"type": "text", "text": "x"}), "usage": None}).spent == Spent(unknown=1)


@pytest.mark.parametrize(
    ("reason", "stop"),
    [("end_turn", "end"), ("max_tokens", "length"), ("refusal", "refusal"), ("model_context_window_exceeded", "length"),
     ("something_new", "other")],
)  # fmt: skip
def test_every_way_to_stop_is_recorded(reason: str, stop: str) -> None:
    assert read_message(answer({"type": "text", "text": "x"}, stop=reason)).stop == stop


@pytest.mark.parametrize("content", [None, "text", []])
def test_an_answer_without_content_is_invalid_and_its_usage_counted(content: object) -> None:
    with pytest.raises(ModelError) as caught:
        read_message({**answer(), "content": content})
    assert caught.value.kind == "invalid_response"
    assert caught.value.spent.usage.output == 7


def test_a_refusal_may_be_empty() -> None:
    assert read_message(answer(stop="refusal")).stop == "refusal"


def test_opening_a_model_tells_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with pytest.raises(OptionError, match="ANTHROPIC_API_KEY"):
        provider.open(parse_model("anthropic:claude"), {})
    with pytest.raises(OptionError, match="expected anthropic:NAME"):
        provider.open(parse_model("anthropic@http://h"), {})
    assert provider.open(parse_model("anthropic:m@http://h:1/v1"), {})._url == "http://h:1"
