"""The faulty endpoint: what it answers, how it fails, and that its account adds up."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Coroutine, Iterable
from pathlib import Path
from random import Random
from typing import Any, TypeVar, get_args

import aiohttp
import msgspec
import pytest

from impress_env.errors import ImpressError, OptionError
from impress_env.model import Usage
from impress_env.testing.endpoint import (
    KINDS,
    REFUSING,
    UNTOLD,
    Asked,
    FaultKind,
    Faults,
    FaultyEndpoint,
    Reply,
    body_hash,
    call_tools,
    fixed,
    read_log,
)
from impress_env.testing.endpoint.policy import Flavour, plausible

PATH = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}
FLAVOURS: tuple[Flavour, ...] = get_args(Flavour)
STREAMED: tuple[Flavour, ...] = ("chat", "messages")
KEY = "sk-canary-2f91c0de"
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"folder": {"type": "string", "enum": ["inbox", "sent"]}, "limit": {"type": "integer", "minimum": 1}},
    "required": ["folder"],
}


T = TypeVar("T")


class Seen(msgspec.Struct):
    """What a plain client saw: `broke` names the error that ended the answer."""

    status: int = 0
    headers: dict[str, str] = {}
    body: bytes = b""
    broke: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[Any]:
        lines = [line[6:] for line in self.body.decode().splitlines() if line.startswith("data: ")]
        return [line if line == "[DONE]" else json.loads(line) for line in lines]


def body(flavour: Flavour, text: str = "What is in my inbox?", *, stream: bool = False, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    found: dict[str, Any] = {"model": "small", "input" if flavour == "responses" else "messages": messages}
    tool: dict[str, Any] = {"name": "mail__list", "description": "List mail."}
    if flavour == "messages":
        found |= {"max_tokens": 100, "tools": [{**tool, "input_schema": SCHEMA}]}
    elif flavour == "responses":
        found["tools"] = [{**tool, "type": "function", "parameters": SCHEMA}]
    else:
        found["tools"] = [{"type": "function", "function": {**tool, "parameters": SCHEMA}}]
    if stream:
        found["stream"] = True
        if flavour == "chat":
            found["stream_options"] = {"include_usage": True}
    return found | more


async def ask(server: FaultyEndpoint, flavour: Flavour, asked: dict[str, Any], *, key: str = KEY) -> Seen:
    headers = {"x-api-key": key} if flavour == "messages" else {"Authorization": f"Bearer {key}"}
    seen = Seen()
    async with aiohttp.ClientSession() as session:
        try:
            async with session.post(server.url + PATH[flavour], json=asked, headers=headers) as response:
                seen.status = response.status
                seen.headers = {name.lower(): value for name, value in response.headers.items()}
                async for part in response.content.iter_any():
                    seen.body += part
        except aiohttp.ClientError as error:
            seen.broke = type(error).__name__
    return seen


def run(main: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(main)


def once(
    fault: FaultKind, flavour: Flavour, *, stream: bool = False, hang: float = 0.01
) -> tuple[Seen, FaultyEndpoint]:
    """Ask once with a fault that is sure to come."""

    async def main() -> tuple[Seen, FaultyEndpoint]:
        faults = Faults(rate=1.0, kinds=(fault,), hang=hang)
        async with FaultyEndpoint(call_tools(), faults) as server:
            return await ask(server, flavour, body(flavour, stream=stream)), server

    return run(main())


def calls(flavour: Flavour, answer: Any) -> list[tuple[str, str, Any]]:
    """Return (id, name, arguments as they came) of an answer's calls."""
    if flavour == "chat":
        told = answer["choices"][0]["message"].get("tool_calls", [])
        return [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in told]
    if flavour == "responses":
        told = [item for item in answer["output"] if item["type"] == "function_call"]
        return [(item["call_id"], item["name"], item["arguments"]) for item in told]
    return [(one["id"], one["name"], one["input"]) for one in answer["content"] if one["type"] == "tool_use"]


def tokens(flavour: Flavour, usage: dict[str, Any]) -> tuple[int, int]:
    if flavour == "chat":
        return usage["prompt_tokens"], usage["completion_tokens"]
    return usage["input_tokens"] + usage.get("cache_read_input_tokens", 0), usage["output_tokens"]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_call_of_an_offered_tool_is_answered_and_billed(flavour: Flavour) -> None:
    async def main() -> None:
        async with FaultyEndpoint() as server:
            seen = await ask(server, flavour, body(flavour))
            assert (seen.status, seen.broke) == (200, "")
            ((_, name, arguments),) = calls(flavour, seen.json)
            assert name == "mail__list"
            told = arguments if flavour == "messages" else json.loads(arguments)
            assert told["folder"] in ("inbox", "sent")
            account = server.account
            assert account.requests == {flavour: 1}
            assert (account.billed, account.unknown, account.refused, account.answered) == (1, 0, 0, 1)
            assert (account.usage.input, account.usage.output) == tokens(flavour, seen.json["usage"])
            assert account.usage.output == (len("mail__list") + len(json.dumps(told, separators=(",", ":")))) // 4

    run(main())


def test_the_same_question_gets_the_same_bytes_from_another_endpoint() -> None:
    async def main() -> bytes:
        async with FaultyEndpoint() as server:
            return (await ask(server, "chat", body("chat"))).body

    assert run(main()) == run(main())


def test_call_tools_finishes_after_so_many_turns_or_says_so_where_it_cannot() -> None:
    def asked(turns: int, *tools: str) -> Asked:
        return Asked(
            flavour="chat", model="small", messages=({"role": "user", "content": f"{turns}"},), tools=tools,
            schemas=dict.fromkeys(tools, SCHEMA), turns=turns, stream=False, body={}, digest="00", size=4,
        )  # fmt: skip

    policy = call_tools("mail.list", finish="finish", after=2)
    names = [policy(asked(turns, "files__read", "mail__list", "finish")).calls[0].name for turns in range(4)]
    assert names == ["mail__list", "mail__list", "finish", "finish"]
    assert policy(asked(2, "mail__list")).ends == "end"
    assert policy(asked(0, "files__read")).text


def test_plausible_arguments_are_allowed_by_their_schema() -> None:
    schema = {
        "type": "object",
        "properties": {
            "kind": {"const": "note"},
            "day": {"type": "string", "format": "date"},
            "name": {"type": "string", "minLength": 30, "maxLength": 40},
            "share": {"type": "number", "minimum": 0.25, "maximum": 0.5},
            "who": {"type": "array", "items": {"$ref": "#/$defs/person"}, "minItems": 2},
            "maybe": {"anyOf": [{"type": "integer", "exclusiveMinimum": 3, "maximum": 4}, {"type": "null"}]},
        },
        "required": ["kind", "day", "name", "share", "who", "maybe"],
        "$defs": {"person": {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]}},
    }
    for seed in range(20):
        found = plausible(schema, Random(seed))
        assert set(found) == set(schema["properties"])
        assert (found["kind"], found["day"], found["maybe"]) == ("note", "2026-11-20", 4)
        assert 30 <= len(found["name"]) <= 40
        assert 0.25 <= found["share"] <= 0.5
        assert len(found["who"]) >= 2
        assert all(isinstance(person["on"], bool) for person in found["who"])


def test_fixed_replies_go_by_the_turn_and_the_last_one_stays() -> None:
    async def main() -> None:
        replies = [Reply(text="one"), Reply(text="two", reasoning="because of that"), Reply(text="three")]
        async with FaultyEndpoint(fixed(replies)) as server:
            history = body("chat")
            for expected in ("one", "two", "three", "three"):
                message = (await ask(server, "chat", history)).json["choices"][0]["message"]
                assert message["content"] == expected
                assert message.get("reasoning", "") == ("because of that" if expected == "two" else "")
                history["messages"] += [message, {"role": "user", "content": "And?"}]

    run(main())


def test_fixed_without_replies_is_refused() -> None:
    with pytest.raises(OptionError, match="expected at least one reply"):
        fixed([])


# Refusals


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize(
    ("fault", "status"),
    [("rate_limit", 429), ("rate_limit_ms", 429), ("rate_limit_bare", 429), ("server_error", 500), ("overloaded", 0)],
)
def test_a_refusal_has_the_status_and_the_body_of_its_protocol(fault: FaultKind, status: int, flavour: Flavour) -> None:
    seen, server = once(fault, flavour)
    assert seen.status == (status or (529 if flavour == "messages" else 503))
    error = seen.json["error"]
    if flavour == "messages":
        kinds = {429: "rate_limit_error", 500: "api_error", 529: "overloaded_error"}
        assert (seen.json["type"], error["type"]) == ("error", kinds[seen.status])
    else:
        assert {"message", "type", "param", "code"} == set(error)
    assert seen.headers.get("retry-after") == ("0.05" if fault == "rate_limit" else None)
    assert seen.headers.get("retry-after-ms") == ("50" if fault == "rate_limit_ms" else None)
    account = server.account
    assert (account.refused, account.billed, account.unknown, account.unseen) == (1, 0, 0, 0)
    assert account.faults == {fault: 1}


def test_a_proxy_that_shows_the_request_shows_the_key() -> None:
    seen, _ = once("echo", "chat")
    assert seen.status == 502
    assert KEY in seen.body.decode()


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_reset_comes_before_any_byte_and_nobody_can_tell_what_was_done(flavour: Flavour) -> None:
    seen, server = once("reset", flavour)
    assert (seen.status, seen.body) == (0, b"")
    assert seen.broke
    assert (server.account.refused, server.account.unknown, server.account.unseen) == (1, 0, 1)


# Answers that do not arrive


@pytest.mark.parametrize(
    ("flavour", "stream"),
    [("chat", False), ("responses", False), ("messages", False), ("chat", True), ("messages", True)],
)
@pytest.mark.parametrize("fault", ["reset_late", "cut_body"])
def test_an_answer_that_breaks_off_is_unknown(fault: FaultKind, flavour: Flavour, stream: bool) -> None:
    seen, server = once(fault, flavour, stream=stream)
    assert seen.status == 200
    assert seen.broke
    assert seen.body
    if not stream:
        assert len(seen.body) < int(seen.headers["content-length"])
    account = server.account
    assert (account.billed, account.unknown, account.answered, account.usage) == (0, 1, 0, Usage())
    assert not account.answered_bodies


def test_a_late_reset_is_a_reset_on_the_wire() -> None:
    async def main() -> tuple[bytes, type[Exception] | None]:
        async with FaultyEndpoint(faults=Faults(rate=1.0, kinds=("reset_late",))) as server:
            raw = json.dumps(body("chat")).encode()
            reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
            writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(raw) + raw)
            found = b""
            try:
                while part := await reader.read(4096):
                    found += part
            except ConnectionResetError as error:
                return found, type(error)
            finally:
                writer.close()
            return found, None

    found, error = run(main())
    assert found.startswith(b"HTTP/1.1 200 OK\r\n")
    assert error is ConnectionResetError


@pytest.mark.parametrize("flavour", STREAMED)
def test_a_cut_stream_ends_in_order_but_without_its_end(flavour: Flavour) -> None:
    seen, server = once("cut_stream", flavour, stream=True)
    assert (seen.status, seen.broke) == (200, "")
    assert seen.events
    assert b"[DONE]" not in seen.body
    assert b"message_stop" not in seen.body
    assert b"message_delta" not in seen.body
    assert (server.account.billed, server.account.unknown) == (0, 1)


def test_a_cut_stream_of_what_is_not_streamed_is_chunks_without_the_last() -> None:
    seen, server = once("cut_stream", "chat")
    assert seen.headers["transfer-encoding"] == "chunked"
    assert seen.broke
    assert server.account.unknown == 1


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_hang_sends_nothing_and_closes(flavour: Flavour) -> None:
    seen, server = once("hang", flavour)
    assert (seen.status, seen.broke) == (0, "ServerDisconnectedError")
    assert (server.account.billed, server.account.unknown) == (0, 1)


def test_a_client_that_gives_up_waiting_is_counted_as_unknown_and_as_gone() -> None:
    async def main() -> None:
        async with FaultyEndpoint(delay=3_600.0) as server:
            waiting = asyncio.ensure_future(ask(server, "chat", body("chat")))
            while not server.account.in_flight:
                await asyncio.sleep(0.001)
            waiting.cancel()
            while server.account.in_flight:
                await asyncio.sleep(0.001)
            assert (server.account.billed, server.account.unknown, server.account.answered) == (0, 1, 0)

    run(main())


def test_an_endpoint_that_stops_counts_what_was_under_way_as_unknown(tmp_path: Path) -> None:
    log = tmp_path / "answers.jsonl"

    async def main() -> None:
        async with FaultyEndpoint(delay=3_600.0, log=log) as server:
            waiting = asyncio.ensure_future(ask(server, "chat", body("chat")))
            while not server.account.in_flight:
                await asyncio.sleep(0.001)
        assert (server.account.in_flight, server.account.unknown, read_log(log).unknown) == (0, 1, 1)
        assert (await waiting).broke

    run(main())


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_invalid_json_says_that_it_is_json(flavour: Flavour) -> None:
    seen, server = once("invalid_json", flavour)
    assert (seen.status, seen.broke, seen.headers["content-type"]) == (200, "", "application/json")
    with pytest.raises(json.JSONDecodeError):
        _ = seen.json
    assert (server.account.billed, server.account.unknown) == (0, 1)


@pytest.mark.parametrize("flavour", STREAMED)
def test_a_stream_can_hold_invalid_json_too(flavour: Flavour) -> None:
    seen, server = once("invalid_json", flavour, stream=True)
    with pytest.raises(json.JSONDecodeError):
        _ = seen.events
    assert server.account.unknown == 1


def test_a_proxys_page_is_html_with_status_200() -> None:
    seen, server = once("html", "messages")
    assert (seen.status, seen.headers["content-type"]) == (200, "text/html")
    assert b"<html>" in seen.body
    assert server.account.unknown == 1


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_without_usage_the_answer_is_whole_and_its_tokens_are_unknown(flavour: Flavour) -> None:
    seen, server = once("no_usage", flavour)
    assert calls(flavour, seen.json)
    assert "usage" not in seen.json
    account = server.account
    assert (account.billed, account.unknown, account.answered, account.usage) == (0, 1, 1, Usage())
    assert sum(account.answered_bodies.values()) == 1


# Answers that arrive and are odd


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_broken_arguments_are_no_json_object(flavour: Flavour) -> None:
    seen, server = once("broken_arguments", flavour)
    ((_, name, arguments),) = calls(flavour, seen.json)
    assert name == "mail__list"
    assert isinstance(arguments, str)
    with pytest.raises(json.JSONDecodeError):
        json.loads(arguments)
    assert server.account.billed == 1


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_an_unknown_tool_was_not_offered(flavour: Flavour) -> None:
    seen, server = once("unknown_tool", flavour)
    assert [name for _, name, _ in calls(flavour, seen.json)] == ["no_such_tool"]
    assert server.account.billed == 1


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_duplicate_ids_are_two_calls_of_one_id(flavour: Flavour) -> None:
    seen, _ = once("duplicate_ids", flavour)
    first, second = calls(flavour, seen.json)
    assert first[0] == second[0]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_an_empty_answer_is_billed_but_nobody_can_go_on_with_it(flavour: Flavour) -> None:
    seen, server = once("empty_choices", flavour)
    assert seen.json[{"chat": "choices", "responses": "output", "messages": "content"}[flavour]] == []
    account = server.account
    assert (account.usage.input, account.usage.output) == tokens(flavour, seen.json["usage"])
    assert (account.billed, account.answered) == (1, 1)
    assert not account.answered_bodies


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_huge_answer_has_five_million_characters_and_usage(flavour: Flavour) -> None:
    seen, server = once("huge", flavour)
    assert len(seen.body) > 5_000_000
    assert tokens(flavour, seen.json["usage"])[1] == server.account.usage.output == 1_250_000


def test_the_limit_of_tokens_cuts_a_call_in_its_middle() -> None:
    chat, responses, messages = (once("length", flavour)[0].json for flavour in FLAVOURS)
    assert chat["choices"][0]["finish_reason"] == "length"
    for (_, _, arguments), *_ in (calls("chat", chat), calls("responses", responses)):
        with pytest.raises(json.JSONDecodeError):
            json.loads(arguments)
    assert (responses["status"], responses["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert messages["stop_reason"] == "max_tokens"
    assert calls("messages", messages)[0][2] == {}


def test_filters_and_refusals_are_told_as_each_protocol_tells_them() -> None:
    chat, responses, messages = (once("content_filter", flavour)[0].json for flavour in FLAVOURS)
    assert chat["choices"][0]["finish_reason"] == "content_filter"
    assert responses["incomplete_details"] == {"reason": "content_filter"}
    assert messages["stop_reason"] == "refusal"
    chat, responses, messages = (once("refusal", flavour)[0].json for flavour in FLAVOURS)
    assert chat["choices"][0]["message"]["refusal"]
    assert chat["choices"][0]["message"]["content"] is None
    assert responses["output"][0]["content"][0]["type"] == "refusal"
    assert messages["stop_reason"] == "refusal"


@pytest.mark.parametrize("flavour", STREAMED)
@pytest.mark.parametrize("fault", [kind for kind in KINDS if kind not in REFUSING | UNTOLD])
def test_an_odd_answer_streams_to_its_end_with_usage(fault: FaultKind, flavour: Flavour) -> None:
    seen, server = once(fault, flavour, stream=True)
    last = seen.events[-1]
    assert last == "[DONE]" if flavour == "chat" else last["type"] == "message_stop"
    assert tokens(flavour, seen.events[-2]["usage"]) == (server.account.usage.input, server.account.usage.output)
    assert (server.account.billed, server.account.unknown) == (1, 0)


def test_a_stream_that_was_not_asked_for_usage_tells_none() -> None:
    async def main() -> None:
        async with FaultyEndpoint() as server:
            seen = await ask(server, "chat", body("chat", stream=True, stream_options={}))
            assert seen.events[-1] == "[DONE]"
            assert not any("usage" in event for event in seen.events[:-1])
            assert (server.account.billed, server.account.unknown, server.account.answered) == (0, 1, 1)

    run(main())


# Draws, account, log


async def everything(server: FaultyEndpoint, number: int) -> list[tuple[int, str]]:
    """Ask many questions one after another; return what was seen of each."""
    found = []
    for index in range(number):
        flavour = FLAVOURS[index % 3]
        stream = index % 2 == 1 and flavour in STREAMED
        seen = await ask(server, flavour, body(flavour, f"Question {index // 2}", stream=stream))
        found.append((seen.status, seen.broke))
    return found


def faults_of(seed: int, number: int = 60) -> tuple[list[tuple[int, str]], Counter[str]]:
    async def main() -> tuple[list[tuple[int, str]], Counter[str]]:
        kinds: tuple[FaultKind, ...] = tuple(kind for kind in KINDS if kind != "huge")
        async with FaultyEndpoint(faults=Faults(rate=0.5, kinds=kinds, seed=seed, hang=0.0)) as server:
            return await everything(server, number), server.account.faults

    return run(main())


def test_the_same_seed_gives_the_same_faults_and_another_gives_others() -> None:
    assert faults_of(1) == faults_of(1)
    assert faults_of(1) != faults_of(2)


def test_faults_do_not_depend_on_the_order_of_arrival() -> None:
    async def main(numbers: Iterable[int]) -> tuple[set[tuple[int, int]], Counter[str]]:
        async with FaultyEndpoint(faults=Faults(rate=0.5, kinds=("server_error", "rate_limit"), seed=3)) as server:

            async def one(number: int) -> tuple[int, int]:
                return number, (await ask(server, "chat", body("chat", f"Question {number}"))).status

            return set(await asyncio.gather(*(one(number) for number in numbers))), server.account.faults

    forth, back = run(main(range(30))), run(main(reversed(range(30))))
    assert forth == back
    assert {status for _, status in forth[0]} == {200, 429, 500}


def test_a_request_sent_again_meets_another_draw() -> None:
    faults = Faults(rate=0.5, kinds=("reset",), seed=4)
    assert {faults.draw("body", before) for before in range(20)} == {"reset", None}
    assert faults.draw("body", 3) == faults.draw("body", 3)


def test_about_as_many_requests_meet_a_fault_as_the_rate_says() -> None:
    faults = Faults(rate=0.2, seed=1)
    met = Counter(faults.draw(f"body {number}", 0) for number in range(5_000))
    assert 900 <= 5_000 - met[None] <= 1_100
    assert set(met) == {None, *KINDS}


def test_every_request_is_refused_billed_or_unknown_and_tokens_are_those_that_were_told() -> None:
    async def main() -> None:
        kinds: tuple[FaultKind, ...] = tuple(kind for kind in KINDS if kind != "huge")
        async with FaultyEndpoint(faults=Faults(rate=0.7, kinds=kinds, seed=5, hang=0.0)) as server:
            told: list[tuple[int, int]] = []

            async def one(index: int) -> None:
                flavour = FLAVOURS[index % 3]
                seen = await ask(server, flavour, body(flavour, f"Question {index // 2}"))
                if seen.status == 200 and not seen.broke:
                    try:
                        told.append(tokens(flavour, seen.json["usage"]))
                    except (json.JSONDecodeError, KeyError):
                        return

            await asyncio.gather(*(one(index) for index in range(150)))
            account = server.account
            assert sum(account.requests.values()) == 150
            assert account.refused + account.billed + account.unknown == 150
            assert account.in_flight == 0
            assert 1 <= account.most_in_flight <= 150
            assert len(told) == account.billed
            assert (sum(one[0] for one in told), sum(one[1] for one in told)) == (
                account.usage.input,
                account.usage.output,
            )
            worked = {kind: number for kind, number in account.faults.items() if kind not in REFUSING}
            assert account.unknown == sum(number for kind, number in worked.items() if kind in UNTOLD)
            assert account.refused == sum(account.faults.values()) - sum(worked.values())
            assert account.answered == account.billed + account.faults["no_usage"]
            assert sum(account.answered_bodies.values()) == account.answered - account.faults["empty_choices"]

    run(main())


def test_all_that_is_asked_at_once_is_under_way_at_once() -> None:
    async def main() -> None:
        async with FaultyEndpoint(delay=3_600.0) as server:
            waiting = [asyncio.ensure_future(ask(server, "chat", body("chat", f"{number}"))) for number in range(8)]
            while server.account.in_flight < len(waiting):
                await asyncio.sleep(0.001)
            for one in waiting:
                one.cancel()
            while server.account.in_flight:
                await asyncio.sleep(0.001)
            assert server.account.most_in_flight == 8

    run(main())


def test_the_log_holds_the_account_of_every_answer_and_no_key_and_no_text(tmp_path: Path) -> None:
    log = tmp_path / "answers.jsonl"

    async def main() -> FaultyEndpoint:
        kinds: tuple[FaultKind, ...] = tuple(kind for kind in KINDS if kind != "huge")
        faults = Faults(rate=0.5, kinds=kinds, seed=6, hang=0.0)
        async with FaultyEndpoint(faults=faults, key=KEY, log=log) as server:
            await everything(server, 40)
            return server

    server = run(main())
    account, found = server.account, read_log(log)
    assert (found.billed, found.unknown, found.answered) == (account.billed, account.unknown, account.answered)
    assert found.usage == account.usage
    assert found.answered_bodies == account.answered_bodies
    assert found.faults == {kind: number for kind, number in account.faults.items() if kind not in REFUSING}
    text = log.read_text()
    assert KEY not in text + repr(server) + repr(vars(account))
    assert "Question" not in text


def test_an_answer_is_in_the_log_before_it_is_sent(tmp_path: Path) -> None:
    log = tmp_path / "answers.jsonl"

    async def main() -> None:
        async with FaultyEndpoint(log=log) as server:
            for number in range(1, 4):
                asked = body("chat", "The same question")
                await ask(server, "chat", asked)
                assert read_log(log).answered_bodies == {body_hash(json.dumps(asked).encode()): number}

    run(main())


def test_a_torn_line_is_passed_over_and_the_next_process_begins_a_new_one(tmp_path: Path) -> None:
    log = tmp_path / "answers.jsonl"

    async def main() -> None:
        async with FaultyEndpoint(log=log) as server:
            await ask(server, "chat", body("chat"))

    run(main())
    whole = log.read_bytes()
    log.write_bytes(whole + whole[:25])
    run(main())
    assert read_log(log).billed == 2


def test_a_foreign_log_is_refused_with_its_line(tmp_path: Path) -> None:
    log = tmp_path / "other.jsonl"
    log.write_text('{"flavour": 1}\n')
    with pytest.raises(OptionError, match=r"other.jsonl:1: expected an answer"):
        read_log(log)


# Requests that a real endpoint refuses


def test_a_demanded_key_must_be_shown_and_is_never_told() -> None:
    async def main() -> None:
        async with FaultyEndpoint(key=KEY) as server:
            for flavour in FLAVOURS:
                assert (await ask(server, flavour, body(flavour))).status == 200
                seen = await ask(server, flavour, body(flavour), key="sk-wrong")
                assert seen.status == 401
                assert KEY not in seen.body.decode()
            assert server.account.refused == 3

    run(main())


CALL = {"id": "call_1", "type": "function", "function": {"name": "mail__list", "arguments": "{}"}}
USE = {"type": "tool_use", "id": "toolu_1", "name": "mail__list", "input": {}}
ITEM = {"type": "function_call", "call_id": "call_1", "name": "mail__list", "arguments": "{}"}
USER = {"role": "user", "content": "Go on."}


@pytest.mark.parametrize(
    ("flavour", "history", "told"),
    [
        ("chat", [USER, {"role": "assistant", "tool_calls": [CALL]}], "must be followed by tool messages"),
        ("chat", [USER, {"role": "assistant", "tool_calls": [CALL]}, USER], "call_1"),
        ("chat", [USER, {"role": "tool", "tool_call_id": "call_1", "content": ""}], "must be a response"),
        ("chat", [USER, {"role": "assistant", "content": None}], "content"),
        ("chat", [USER, {"role": "assistant", "content": "", "tool_calls": []}], "too short"),
        ("chat", [], "at least one"),
        ("responses", [USER, ITEM], "No tool output found for function call call_1"),
        (
            "responses",
            [USER, {"type": "function_call_output", "call_id": "call_1", "output": ""}],
            "No tool call found",
        ),
        ("responses", [{**ITEM, "name": "mail.list"}], "does not match pattern"),
        ("messages", [{"role": "assistant", "content": "Hello."}], "first message"),
        ("messages", [{"role": "user", "content": " "}], "non-whitespace"),
        ("messages", [USER, {"role": "assistant", "content": [USE]}, USER], "without `tool_result`"),
        ("messages", [USER, {"role": "assistant", "content": [USE, USE]}], "must be unique"),
        ("messages", [USER, {"role": "assistant", "content": [{**USE, "input": "{"}]}], "valid dictionary"),
        ("messages", [USER, {"role": "assistant", "content": [{"type": "thinking", "thinking": "x"}]}], "signature"),
        ("messages", [{"role": "system", "content": "Be kind."}], "first message"),
    ],
)
def test_a_history_that_a_real_endpoint_refuses_is_refused(flavour: Flavour, history: list[Any], told: str) -> None:
    async def main() -> None:
        async with FaultyEndpoint() as server:
            key = "input" if flavour == "responses" else "messages"
            seen = await ask(server, flavour, body(flavour) | {key: history})
            assert seen.status == 400
            assert told in seen.json["error"]["message"]
            assert seen.json["error"]["type"] == "invalid_request_error"
            assert server.account.refused == 1

    run(main())


def test_what_is_not_served_is_said_in_the_form_of_the_protocol() -> None:
    async def main() -> None:
        async with FaultyEndpoint() as server, aiohttp.ClientSession() as session:
            async with session.post(server.url + "/v1/embeddings", json={}) as response:
                assert response.status == 404
                assert "/v1/chat/completions" in (await response.json())["error"]["message"]
            async with session.get(server.url + "/v1/messages") as response:
                assert response.status == 405
                assert (await response.json())["type"] == "error"
            async with session.post(server.url + "/v1/chat/completions", data=b"{") as response:
                assert response.status == 400
            async with session.get(server.url + "/account") as response:
                assert (await response.json())["refused"] == 1

    run(main())


def test_one_connection_serves_many_requests_however_they_are_cut_up() -> None:
    async def main() -> None:
        async with FaultyEndpoint() as server:
            raw = json.dumps(body("chat")).encode()
            request = b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(raw) + raw
            reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
            for size in (1, 7, len(request)):
                for start in range(0, len(request), size):
                    writer.write(request[start : start + size])
                    await asyncio.sleep(0)
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
                assert json.loads(await reader.readexactly(length))["choices"]
            writer.close()
            assert server.account.billed == 3

    run(main())


def test_a_policy_that_fails_breaks_the_connection_and_is_raised_at_the_end() -> None:
    def policy(asked: Asked) -> Reply:
        raise ZeroDivisionError("in the policy")

    async def main() -> None:
        async with FaultyEndpoint(policy) as server:
            assert (await ask(server, "chat", body("chat"))).broke
            assert server.account.unknown == 1

    with pytest.raises(ZeroDivisionError, match="in the policy"):
        run(main())


def test_an_endpoint_that_does_not_run_has_no_url() -> None:
    with pytest.raises(ImpressError, match="async with"):
        _ = FaultyEndpoint().url


@pytest.mark.parametrize(
    "options", [{"rate": 1.5}, {"kinds": ()}, {"kinds": ("flood",)}, {"hang": -1.0}, {"retry_after": -1.0}]
)
def test_faults_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="faults: expected"):
        Faults(**options)


# In a process of its own


def start(*options: str, key: str = "") -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "impress_env.testing.endpoint", *options]
    environment = {**os.environ, "IMPRESS_ENDPOINT_KEY": key}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


async def post(url: str, asked: dict[str, Any]) -> tuple[int, bytes]:
    headers = {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession() as session, session.post(url, json=asked, headers=headers) as response:
        return response.status, await response.read()


def test_killed_and_started_again_on_its_port_it_gives_equal_answers_and_the_log_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "answers.jsonl"
    process, url = start("--log", str(log), "--after", "2")
    try:
        first = run(post(f"{url}/v1/chat/completions", body("chat")))
        assert first[0] == 200
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    port = url.rpartition(":")[2]
    process, again = start("--log", str(log), "--after", "2", "--port", port)
    try:
        assert again == url
        assert run(post(f"{url}/v1/chat/completions", body("chat"))) == first
    finally:
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate()
    assert process.returncode == 0
    assert json.loads(out)["billed"] == 1
    assert list(read_log(log).answered_bodies.values()) == [2]


def test_its_options_choose_faults_and_its_key_comes_from_the_environment() -> None:
    process, url = start("--rate", "1", "--faults", "overloaded", "--seed", "1", key="sk-another-key")
    try:
        assert run(post(f"{url}/v1/chat/completions", body("chat")))[0] == 401
    finally:
        process.send_signal(signal.SIGINT)
        out, error = process.communicate()
    assert json.loads(out)["refused"] == 1
    assert "sk-another-key" not in out + error


def test_a_wrong_fault_is_told_without_a_traceback() -> None:
    process, url = start("--faults", "flood")
    _, error = process.communicate()
    assert (process.returncode, url) == (2, "")
    assert "expected some of rate_limit" in error
    assert "Traceback" not in error
