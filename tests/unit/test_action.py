"""Whatever an agent sends, read as an action."""

from __future__ import annotations

import json
from collections import UserDict
from typing import Any

import pytest

from impress_env.action import TEXT_CAP, parse_action, parse_typed
from impress_env.types import Action, ToolCall

CALL = Action(call=ToolCall(tool="files.read", arguments={"path": "/a"}))


class Dumped:
    """An SDK's object."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def model_dump(self) -> Any:
        if isinstance(self.data, Exception):
            raise self.data
        return self.data


# ---- calls


@pytest.mark.parametrize(
    "raw",
    [
        CALL,
        CALL.call,
        {"tool": "files.read", "arguments": {"path": "/a"}},
        {"name": "files.read", "arguments": {"path": "/a"}},
        {"name": "files.read", "input": {"path": "/a"}},
        {"tool": "files.read", "arguments": '{"path": "/a"}'},
        {"function": {"name": "files.read", "arguments": {"path": "/a"}}},
        '{"tool": "files.read", "arguments": {"path": "/a"}}',
        '  {"name": "files.read", "arguments": "{\\"path\\": \\"/a\\"}"}\n',
        UserDict({"tool": "files.read", "arguments": UserDict({"path": "/a"})}),
        Dumped({"name": "files.read", "arguments": {"path": "/a"}}),
    ],
)
def test_a_call_is_read_in_every_form(raw):
    assert parse_action(raw) == CALL


def test_the_callers_id_is_kept():
    openai = {"type": "function", "id": "call_7", "function": {"name": "a.b", "arguments": "{}"}}
    anthropic = {"type": "tool_use", "id": "toolu_7", "name": "a.b", "input": {}}
    responses = {"type": "function_call", "id": "fc_1", "call_id": "call_9", "name": "a.b", "arguments": "{}"}
    ids = [parse_action(raw).call.id for raw in (openai, anthropic, responses)]
    assert ids == ["call_7", "toolu_7", "call_9"]


@pytest.mark.parametrize(
    "empty", [{"tool": "a.b"}, {"tool": "a.b", "arguments": None}, {"tool": "a.b", "arguments": " "}]
)
def test_missing_arguments_are_none_at_all(empty):
    assert parse_action(empty) == Action(call=ToolCall(tool="a.b"))


def test_reasoning_beside_a_call_is_kept():
    raw = {"tool": "a.b", "arguments": {}, "reasoning": "First look."}
    assert parse_action(raw).reasoning == "First look."
    assert parse_action({**raw, "reasoning": 5}).reasoning == ""


def test_names_and_ids_have_a_length():
    call = parse_action({"tool": "x" * 5000, "id": "y" * 5000}).call
    assert (len(call.tool), len(call.id)) == (200, 200)


# ---- messages and the end


@pytest.mark.parametrize(
    "text", ["Good morning.", "  two\nlines ", "[1, 2]", "null", "5", '"quoted"', "tool files.read"]
)
def test_any_other_text_is_a_message(text):
    assert parse_action(text) == Action(message=text)


def test_a_message_may_come_as_a_mapping():
    assert parse_action({"message": "Hello", "reasoning": "Politeness."}) == Action(
        message="Hello", reasoning="Politeness."
    )
    assert len(parse_action({"message": "x" * (TEXT_CAP + 5)}).message) == TEXT_CAP


def test_a_tool_called_with_a_message_is_still_a_call():
    assert parse_action({"name": "mail.send", "message": "Hello"}).call == ToolCall(tool="mail.send")


def test_the_end_is_said_with_true_and_nothing_else():
    assert parse_action({"end": True}) == Action(end=True)
    assert parse_action('{"end": true, "reasoning": "Done."}') == Action(end=True, reasoning="Done.")
    assert parse_action({"end": 1}).malformed
    assert parse_action({"end": "true"}).malformed


# ---- what cannot be read


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("", "the action is empty"),
        (" \n", "the action is empty"),
        (Action(), "the action is empty"),
        ({"message": "  "}, "the message is empty"),
        ({}, "expected a call {tool, arguments} or a message {message}; found keys "),
        ({"a": 1, "b": 2}, "found keys a, b"),
        ({1: 2}, "found keys 1"),
        ({"tool": ""}, "found keys tool"),
        ({"tool": 5}, "found keys tool"),
        ({"message": 5}, "found keys message"),
        ('{"tool": ', "not JSON"),
        ("{'tool': 'a.b'}", "not JSON"),
        ({"tool": "a.b", "arguments": "{"}, "arguments of a.b: not JSON"),
        ({"tool": "a.b", "arguments": "[1]"}, "arguments of a.b: expected an object, found list"),
        ({"tool": "a.b", "arguments": [1]}, "arguments of a.b: expected an object, found list"),
        ({"tool": "a.b", "arguments": 5}, "expected an object, found int"),
        (None, "expected a call or a message, found NoneType"),
        (b"{}", "found bytes"),
        (5, "found int"),
        ([{"tool": "a.b"}], "found list"),
        (Dumped("text"), "found Dumped"),
        (Dumped(RuntimeError("x")), "Dumped cannot be read: RuntimeError"),
        (Dumped, "cannot be read: TypeError"),
        ("{" + " " * TEXT_CAP, f"expected at most {TEXT_CAP} characters, found {TEXT_CAP + 1}"),
        ({"tool": "a.b", "arguments": " " * (TEXT_CAP + 1)}, f"expected at most {TEXT_CAP} characters of arguments"),
        ('{"a":' * 39_000, "not JSON"),
        ({"tool": "a.b", "arguments": '{"a":' * 40_000}, "not JSON"),
        ('{"tool": "a.b", "arguments": {"n": ' + "1" * 5000 + "}}", "not JSON"),
    ],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
def test_what_cannot_be_read_is_marked_and_says_why(raw, message):
    action = parse_action(raw)
    assert message in action.malformed
    assert action.call is None
    assert not action.message
    assert not action.end


def test_numbers_that_json_does_not_have_are_left_to_the_border():
    assert parse_action('{"tool": "a.b", "arguments": {"n": Infinity}}').call.arguments == {"n": float("inf")}


@pytest.mark.parametrize(
    "raw",
    [
        "Hello \ud800",
        {"message": "Hello \ud800"},
        {"tool": "a\ud800", "id": "\udc00", "reasoning": "\ud800"},
        {"tool": "a\ud800", "arguments": "{"},
        {"\ud800": 1},
        '{"\\ud800": 1}',
        '{"tool": "a\\ud800", "arguments": "["}',
        Action(message="\ud800", reasoning="\ud800"),
        Action(malformed="\ud800"),
        ToolCall(tool="a\ud800", id="\udc00"),
        Action(call=ToolCall(tool="a\ud800", id="\udc00")),
    ],
    ids=ascii,
)
def test_lone_surrogates_never_pass_in_names_and_texts(raw):
    action = parse_action(raw)
    call = action.call
    texts = (action.message, action.reasoning, action.malformed, *((call.tool, call.id) if call else ()))
    assert "".join(texts).encode()  # a lone surrogate cannot be encoded
    assert any("\ufffd" in text for text in texts)


# ---- typed lines


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("files.read path=/a", CALL),
        ("  files.read   path='/a'  ", CALL),
        ("files.list", Action(call=ToolCall(tool="files.list"))),
        ("a.b n=5 on=true text='two words' raw=x=y", {"n": 5, "on": True, "text": "two words", "raw": "x=y"}),
        ("a.b list=[1,2] quoted='\"5\"'", {"list": [1, 2], "quoted": "5"}),
        ("a.b n=", {"n": ""}),
        ('{"tool": "files.read", "arguments": {"path": "/a"}}', CALL),
        ("Hello there", Action(message="Hello there")),
        ("Done. It closed", Action(message="Done. It closed")),
        ("e.g. this one", Action(message="e.g. this one")),
    ],
)
def test_a_typed_line_is_a_call_with_pairs_or_json_or_a_message(line, expected):
    if isinstance(expected, dict):
        expected = Action(call=ToolCall(tool="a.b", arguments=expected))
    assert parse_typed(line) == expected


def test_an_open_quote_in_a_typed_line_is_told():
    assert parse_typed("files.read path='/a").malformed == "cannot be read: No closing quotation"


def test_json_goes_there_and_back():
    raw = {"tool": "a.b", "arguments": {"n": 5, "deep": {"list": [1, None, "é"]}}}
    assert parse_action(json.dumps(raw)).call.arguments == raw["arguments"]
