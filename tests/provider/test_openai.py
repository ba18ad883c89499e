"""OpenAI's protocol, both forms: what is sent, and what recorded answers mean. No network."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from impress_env.errors import OptionError
from impress_env.model import Completion, ModelError, Sampling, Spent, Usage, parse_model
from impress_env.models.http import _refused, decoded, masked, read_arguments, wire
from impress_env.models.openai import (
    OpenAIModel,
    at_v1,
    called,
    chat_messages,
    provider,
    read_chat,
    read_responses,
    response_items,
)
from impress_env.types import Message, ToolCall, ToolSchema

TOOLS = (ToolSchema("mail.read", "Read a mail.", {"type": "object", "properties": {"id": {"type": "string"}}}),)
HISTORY = [
    Message(role="system", content="You work here."),
    Message(role="user", content="Do it."),
    Message(
        role="assistant",
        content="Looking.",
        calls=(
            ToolCall(tool="mail.read", arguments={"id": "m1"}, id="a"),
            ToolCall(tool="mail.read", arguments={"id": "m2"}, id="b"),
        ),
        reasoning="I look first.",
        echo=({"type": "reasoning", "id": "rs_1", "encrypted_content": "xyz", "summary": []},),
    ),
    Message(role="tool", content="one", call_id="a"),
    Message(role="tool", content="two", call_id="b"),
]


def chat(message: dict[str, Any], finish: str = "stop", **more: Any) -> dict[str, Any]:
    usage = {
        "prompt_tokens": 120,
        "completion_tokens": 30,
        "prompt_tokens_details": {"cached_tokens": 100},
        "completion_tokens_details": {"reasoning_tokens": 12},
    }
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return {"id": "c", "model": "m-2026", "choices": [choice], "usage": usage, **more}


def test_calls_made_together_are_one_turn_with_their_results_after_it() -> None:
    told = chat_messages(HISTORY)
    assert [item["role"] for item in told] == ["system", "user", "assistant", "tool", "tool"]
    assert [call["function"] for call in told[2]["tool_calls"]] == [
        {"name": "mail__read", "arguments": '{"id":"m1"}'},
        {"name": "mail__read", "arguments": '{"id":"m2"}'},
    ]
    assert [item["tool_call_id"] for item in told[3:]] == ["a", "b"]
    assert "reasoning" not in told[2]
    assert chat_messages(HISTORY, reasoning=True)[2]["reasoning"] == "I look first."


def test_turns_of_a_user_that_follow_each_other_are_one() -> None:
    told = chat_messages([*HISTORY[:2], Message(role="user", content="A or B?")])
    assert [item["role"] for item in told] == ["system", "user"]
    assert told[1]["content"] == "Do it.\n\nA or B?"


def test_a_request_says_what_was_asked_for_and_nothing_else() -> None:
    model = OpenAIModel("m", url="http://h/v1", extra={"top_k": 5})
    body = model._chat_body(HISTORY, TOOLS, Sampling(temperature=0.0, max_tokens=9, seed=3, tool_choice="required"))
    assert {key: body[key] for key in body if key not in ("messages", "tools")} == {
        "model": "m",
        "tool_choice": "required",
        "temperature": 0.0,
        "seed": 3,
        "max_tokens": 9,
    }
    assert "tools" not in model._chat_body(HISTORY, (), Sampling())
    assert "max_completion_tokens" in OpenAIModel("m")._chat_body(HISTORY, (), Sampling(max_tokens=9))


def test_an_answer_with_calls_is_read_with_its_usage() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "mail__read", "arguments": '{"id": "m1"}'}}
    found = read_chat(chat({"content": None, "tool_calls": [call], "reasoning": "first"}, "tool_calls"))
    assert found.calls[0].call == ToolCall(tool="mail__read", arguments={"id": "m1"}, id="c1")
    assert (found.stop, found.reasoning, found.reasoning_kind, found.model) == ("calls", "first", "full", "m-2026")
    assert found.spent == Spent(usage=Usage(input=120, output=30, cached=100, reasoning=12))


@pytest.mark.parametrize(
    ("message", "finish", "stop", "text"),
    [
        ({"content": "hello"}, "stop", "end", "hello"),
        ({"content": [{"type": "text", "text": "he"}, {"type": "text", "text": "y"}]}, "stop", "end", "hey"),
        ({"content": "hal"}, "length", "length", "hal"),
        ({"content": None}, "content_filter", "filter", ""),
        ({"content": None, "refusal": "I can't."}, "stop", "refusal", "I can't."),
        ({"content": "x", "tool_calls": None}, "abort", "other", "x"),
        ({"content": None, "tool_calls": "nonsense"}, "stop", "end", ""),
    ],
)
def test_every_way_to_stop_is_recorded(message: dict[str, Any], finish: str, stop: str, text: str) -> None:
    found = read_chat(chat(message, finish))
    assert (found.stop, found.text) == (stop, text)


@pytest.mark.parametrize("choices", [[], None, [None], [{"message": None}], "no"])
def test_an_answer_without_a_choice_is_invalid_and_its_usage_is_counted(choices: object) -> None:
    with pytest.raises(ModelError) as caught:
        read_chat({**chat({"content": ""}), "choices": choices})
    assert caught.value.kind == "invalid_response"
    assert caught.value.spent.usage.input == 120


def test_an_answer_without_usage_is_read_and_counted_as_unknown() -> None:
    assert read_chat(chat({"content": "x"}, usage=None)).spent == Spent(unknown=1)


@pytest.mark.parametrize(
    ("raw", "problem"),
    [('{"a": 1', "not JSON"), ("[1]", "expected an object"), ('"x"', "expected an object"), ("[" * 5_000, "not JSON")],
)
def test_arguments_that_cannot_be_read_are_kept_as_they_came(raw: str, problem: str) -> None:
    arguments, text, told = read_arguments(raw)
    assert arguments == {}
    assert text == raw[:2_000]
    assert problem in told


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ('{"text": "cut \\ud83d"}', "not JSON"),
        ('{"\\ud83d": 1}', "not JSON"),
        ('{"a": 1e999}', "out of range"),
        ('{"a": ' + "[" * 300 + "]" * 300 + "}", "64 levels"),
    ],
)
def test_arguments_that_could_not_be_stored_are_told_and_not_passed_on(raw: str, problem: str) -> None:
    found = called("mail__read", raw, "c")
    assert found.call.arguments == {}
    assert problem in found.problem
    msgspec.json.encode(found)


def test_deep_arguments_that_come_as_an_object_are_told() -> None:
    deep: dict[str, Any] = {}
    for _ in range(300):
        deep = {"a": deep}
    assert "64 levels" in read_arguments(deep)[2]
    assert read_arguments({"a": [{"b": [1]}]})[2] == ""


@pytest.mark.parametrize(
    ("tool", "sent"),
    [("mail.read", "mail__read"), ("?", "_"), ("my tool!", "my_tool_"), ("x" * 200, "x" * 64), ("", "_")],
)
def test_a_name_that_a_model_made_up_is_given_back_as_endpoints_allow_it(tool: str, sent: str) -> None:
    assert wire(tool) == sent


def test_arguments_may_be_empty_or_an_object() -> None:
    assert [read_arguments(raw)[0] for raw in ("", None, " ", {"a": 1}, '{"a": 1}')] == [{}, {}, {}, {"a": 1}, {"a": 1}]


def test_a_history_goes_to_responses_with_the_reasoning_items_as_they_came() -> None:
    items = response_items(HISTORY)
    assert [item.get("type", item.get("role")) for item in items] == [
        "system", "user", "reasoning", "assistant", "function_call", "function_call",
        "function_call_output", "function_call_output",
    ]  # fmt: skip
    assert items[2] == HISTORY[2].echo[0]
    assert items[4] == {"type": "function_call", "call_id": "a", "name": "mail__read", "arguments": '{"id":"m1"}'}


def responses(*output: dict[str, Any], **more: Any) -> dict[str, Any]:
    usage = {"input_tokens": 50, "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 20,
             "output_tokens_details": {"reasoning_tokens": 16}}  # fmt: skip
    return {"id": "r", "status": "completed", "model": "gpt-x", "output": list(output), "usage": usage, **more}


CUT = {"type": "reasoning"}


def test_an_answer_of_responses_is_read() -> None:
    thought = {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "Hm."}], "status": None,
               "encrypted_content": "e"}  # fmt: skip
    call = {"type": "function_call", "call_id": "c1", "name": "mail__read", "arguments": "{}", "id": "fc"}
    text = {"type": "message", "content": [{"type": "output_text", "text": "Now."}]}
    found = read_responses(responses(thought, text, call))
    assert (found.text, found.reasoning, found.reasoning_kind, found.stop) == ("Now.", "Hm.", "summarised", "calls")
    assert found.calls[0].call.id == "c1"
    kept = {"type": "reasoning", "id": "rs", "summary": thought["summary"], "encrypted_content": "e"}
    assert found.echo == (kept, {"type": "message"}, {"type": "function_call"})
    assert found.spent.usage == Usage(input=50, output=20, reasoning=16)


def turn_of(*output: dict[str, Any], drop: bool = False) -> list[dict[str, Any]]:
    """Return how an answer of Responses stands in the next request."""
    found = read_responses(responses(*output))
    calls = () if drop else tuple(called.call for called in found.calls)
    return response_items([Message(role="assistant", content=found.text, calls=calls, echo=found.echo)])


def thought(number: int) -> dict[str, Any]:
    return {"type": "reasoning", "id": f"rs_{number}", "summary": [], "encrypted_content": f"e{number}"}


def test_the_items_of_a_turn_are_given_back_in_the_order_in_which_they_came() -> None:
    words = {"type": "message", "phase": "commentary", "content": [{"type": "output_text", "text": "Now."}]}
    call = {"type": "function_call", "call_id": "c1", "name": "mail__read", "arguments": "{}"}
    items = turn_of(thought(1), words, thought(2), call)
    assert items == [
        thought(1),
        {"role": "assistant", "content": "Now.", "phase": "commentary"},
        thought(2),
        {"type": "function_call", "call_id": "c1", "name": "mail__read", "arguments": "{}"},
    ]
    assert turn_of(thought(1), call, drop=True) == [{"role": "assistant", "content": "(no answer)"}]


def test_reasoning_that_nothing_follows_is_not_given_back() -> None:
    assert turn_of(thought(1)) == [{"role": "assistant", "content": "(no answer)"}]


def test_reasoning_that_the_endpoint_did_not_hand_out_is_not_given_back_by_its_id() -> None:
    words = {"type": "message", "content": [{"type": "output_text", "text": "Now."}]}
    assert turn_of({"type": "reasoning", "id": "rs", "summary": []}, words) == [
        {"role": "assistant", "content": "Now."}
    ]


def test_a_content_of_another_form_does_no_harm() -> None:
    odd = responses({"type": "message", "content": "text"}, {"type": "reasoning", "summary": 3, "content": ["x"]})
    assert read_responses(odd).text == ""


def test_only_a_reasoning_model_is_asked_for_reasoning() -> None:
    def asked(name: str, url: str | None = None) -> set[str]:
        return set(OpenAIModel(name, api="responses", url=url)._responses_body(HISTORY, (), Sampling()))

    plain = {"model", "input", "store"}
    assert asked("gpt-5-mini") == plain | {"include", "reasoning"}
    assert asked("o3") == plain | {"include", "reasoning"}
    assert asked("gpt-4.1") == plain
    assert asked("gpt-5-chat-latest") == plain
    assert asked("gpt-5", "http://h/v1") == plain | {"include"}


def test_a_budget_of_thinking_tokens_is_refused_where_there_is_none() -> None:
    with pytest.raises(ModelError, match="effort"):
        asyncio.run(OpenAIModel("m", url="http://h/v1").complete(HISTORY, TOOLS, Sampling(thinking=0)))


def test_what_an_endpoint_hands_around_with_its_turns_is_given_back() -> None:
    found = read_chat(chat({"content": "x", "reasoning_details": [{"type": "reasoning.encrypted", "data": "e"}]}))
    told = chat_messages([Message(role="assistant", content="x", echo=found.echo)])
    assert msgspec.json.decode(msgspec.json.encode(told))[0]["reasoning_details"] == [
        {"type": "reasoning.encrypted", "data": "e"}
    ]


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://h", "http://h/v1"),
        ("http://h/v1", "http://h/v1"),
        ("https://h/v1beta/openai", "https://h/v1beta/openai"),
        ("https://h/api/paas/v4", "https://h/api/paas/v4"),
        ("https://h/very", "https://h/very/v1"),
    ],
)
def test_a_url_with_a_version_in_it_is_taken_as_it_is(url: str, base: str) -> None:
    assert at_v1(url) == base


def test_hidden_reasoning_is_recorded_as_hidden_and_still_given_back() -> None:
    found = read_responses(responses({"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "e"}))
    assert (found.reasoning, found.reasoning_kind) == ("", "hidden")
    assert found.echo[0]["encrypted_content"] == "e"


@pytest.mark.parametrize(
    ("data", "stop"),
    [
        (responses({"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}), "refusal"),
        (responses(CUT, status="incomplete", incomplete_details={"reason": "max_output_tokens"}), "length"),
        (responses(CUT, status="incomplete", incomplete_details={"reason": "content_filter"}), "filter"),
    ],
)  # fmt: skip
def test_every_way_to_stop_of_responses_is_recorded(data: dict[str, Any], stop: str) -> None:
    assert read_responses(data).stop == stop


@pytest.mark.parametrize("data", [responses(), responses(status="failed", error={"message": "broke"})])
def test_an_answer_of_responses_without_output_is_invalid(data: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="invalid_response"):
        read_responses(data)


@pytest.mark.parametrize("content", [b"", b"<html>", b'{"a": ', b"[1]", b"\xff\xfe"])
def test_a_body_that_is_no_object_is_invalid_and_its_usage_unknown(content: bytes) -> None:
    with pytest.raises(ModelError) as caught:
        decoded(content, kind="text/html")
    assert (caught.value.kind, caught.value.spent.unknown) == ("invalid_response", 1)


def refused(status: int, message: str, secrets: tuple[str, ...] = (), **headers: str) -> ModelError:
    body = json.dumps({"error": {"type": "some_error", "message": message}}).encode()
    return _refused(status, {key.replace("_", "-"): text for key, text in headers.items()}, body, "http://h", secrets)


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (401, "Incorrect API key", "authentication"),
        (404, "no such model", "not_found"),
        (429, "slow down", "rate_limited"),
        (429, "insufficient_quota", "authentication"),
        (400, "This model's maximum context length is 4096 tokens", "too_long"),
        (400, "temperature is not supported", "bad_request"),
        (500, "oops", "server"),
        (503, "busy", "overloaded"),
        (529, "overloaded", "overloaded"),
    ],
)
def test_refusals_are_told_apart(status: int, message: str, kind: str) -> None:
    found = refused(status, message)
    assert (found.kind, found.status) == (kind, status)


def test_how_long_to_wait_is_read_in_every_form() -> None:
    waits = [
        refused(429, "x", **headers).retry_after
        for headers in ({"retry_after": "2.5"}, {"retry_after_ms": "40"}, {"retry_after": "soon"}, {},
                        {"retry_after": "Wed, 21 Oct 2015 07:28:00 GMT"}, {"retry_after": "99999"})
    ]  # fmt: skip
    assert waits == [2.5, 0.04, None, None, 0.0, 600.0]
    assert refused(429, "x", retry_after_ms="nan").retry_after is None
    assert refused(429, "x", retry_after_ms="-5").retry_after == 0.0


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "Your credit balance is too low to access the Anthropic API", "authentication"),
        (429, "You have reached your enforced_spend_limit_reached", "authentication"),
        (429, "You exceeded your current quota: insufficient_quota", "authentication"),
        (400, "input length and `max_tokens` exceed context limit: 199000 + 8192 > 200000", "too_long"),
        (400, "Your input exceeds the context window of this model", "too_long"),
        (400, "Invalid 'messages[2].tool_calls[0].id': string too long. Expected at most 40", "bad_request"),
        (504, "upstream timed out", "timeout"),
    ],
)
def test_a_refusal_is_told_by_what_helps_against_it(status: int, message: str, kind: str) -> None:
    found = refused(status, message)
    assert found.kind == kind
    assert found.spent.unknown == (kind == "timeout")


def test_the_code_within_a_refusal_is_told() -> None:
    body = {"error": {"type": "rate_limit_error", "details": {"error_code": "contract_spend_limit_reached"}}}
    found = _refused(429, {}, json.dumps(body).encode(), "http://h", ())
    assert (found.kind, found.stops_run) == ("authentication", True)
    assert "credit" in str(found)


def test_a_proxys_page_is_told_as_text() -> None:
    found = _refused(502, {}, b"<html>  Bad   gateway </html>", "http://h", ())
    assert str(found) == "server: http://h answered 502: <html> Bad gateway </html>"


def test_no_message_holds_a_key_or_the_beginning_of_one() -> None:
    key = "sk-canary-0123456789"
    assert "sk-" not in str(refused(500, "x" * 380 + key, (key,)))
    with pytest.raises(ModelError) as caught:
        decoded(b"<" + b"x" * 100 + key.encode(), secrets=(key,))
    assert "sk-" not in str(caught.value)
    assert masked("bad key sk-123456 given", ("sk-123456",)) == "bad key *** given"
    assert "sk-123456" not in str(refused(401, "Incorrect key sk-123456", ("sk-123456",)))


def test_opening_a_model_tells_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(OptionError, match="OPENAI_API_KEY"):
        provider.open(parse_model("openai:gpt-5"), {})
    for options, told in (({"api": "x"}, "chat or responses"), ({"extra": "["}, "JSON"), ({"timeout": "0"}, "timeout")):
        with pytest.raises(OptionError, match=told):
            provider.open(parse_model("openai:m@http://h:1"), options)
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert provider.open(parse_model("openai:gpt-5-mini"), {})._api == "responses"
    assert provider.open(parse_model("openai:gpt-4.1"), {})._api == "chat"
    assert provider.open(parse_model("openai:gpt-5@http://h:1"), {})._api == "chat"


def test_the_text_of_an_answer_has_an_end() -> None:
    found: Completion = read_chat(chat({"content": "x" * 5_000_000}))
    assert len(found.text) == 200_001
