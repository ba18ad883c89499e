"""The faulty endpoint through the official SDKs: its answers, streams and refusals read as those of the real ones."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from impress_env.model import Usage
from impress_env.testing.endpoint import Call, Faults, FaultyEndpoint, Reply, fixed

KEY = "sk-canary-2f91c0de"
SCHEMA = {"type": "object", "properties": {"folder": {"type": "string"}}, "required": ["folder"]}
TOOL = {"name": "mail__list", "description": "List mail."}
REPLIES = (
    Reply(text="I look.", reasoning="They want a list.", calls=(Call("mail__list", {"folder": "inbox"}),)),
    Reply(calls=(Call("mail__list", {"folder": "sent"}), Call("mail__list", {"folder": "inbox"}, "mine_2"))),
    Reply(text="There are two messages."),
)


def asked_by(user: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": user}]


def chat() -> dict[str, Any]:
    tools = [{"type": "function", "function": {**TOOL, "parameters": SCHEMA}}]
    return {"model": "small", "messages": asked_by("What is in my inbox?"), "tools": tools}


def responses() -> dict[str, Any]:
    tools = [{**TOOL, "type": "function", "parameters": SCHEMA}]
    return {"model": "small", "input": asked_by("What is in my inbox?"), "tools": tools}


def messages() -> dict[str, Any]:
    tools = [{**TOOL, "input_schema": SCHEMA}]
    return {"model": "small", "messages": asked_by("What is in my inbox?"), "tools": tools, "max_tokens": 100}


def with_openai(talk: Callable[[Any, FaultyEndpoint], Awaitable[None]]) -> None:
    openai = pytest.importorskip("openai", reason="needs the openai SDK")

    async def main() -> None:
        async with (
            FaultyEndpoint(fixed(REPLIES), key=KEY) as server,
            openai.AsyncOpenAI(api_key=KEY, base_url=f"{server.url}/v1", max_retries=0) as client,
        ):
            await talk(client, server)

    asyncio.run(main())


def with_anthropic(talk: Callable[[Any, FaultyEndpoint], Awaitable[None]]) -> None:
    anthropic = pytest.importorskip("anthropic", reason="needs the anthropic SDK")

    async def main() -> None:
        async with (
            FaultyEndpoint(fixed(REPLIES), key=KEY) as server,
            anthropic.AsyncAnthropic(api_key=KEY, base_url=server.url, max_retries=0) as client,
        ):
            await talk(client, server)

    asyncio.run(main())


def test_the_openai_sdk_holds_a_conversation_with_tools() -> None:
    async def talk(client: Any, server: FaultyEndpoint) -> None:
        asked = chat()
        usage = Usage()
        for reply in REPLIES:
            answer = await client.chat.completions.create(**asked)
            choice = answer.choices[0]
            made = choice.message.tool_calls or []
            assert (choice.message.content or "") == reply.text
            assert [(call.function.name, json.loads(call.function.arguments)) for call in made] == [
                (call.name, call.arguments) for call in reply.calls
            ]
            assert choice.finish_reason == ("tool_calls" if reply.calls else "stop")
            usage = usage + Usage(
                input=answer.usage.prompt_tokens,
                output=answer.usage.completion_tokens,
                cached=answer.usage.prompt_tokens_details.cached_tokens,
                reasoning=answer.usage.completion_tokens_details.reasoning_tokens,
            )
            asked["messages"].append(choice.message.model_dump(exclude_none=True))
            asked["messages"] += [{"role": "tool", "tool_call_id": call.id, "content": "2 found"} for call in made]
        assert usage == server.account.usage
        assert usage.cached
        assert [model.id async for model in client.models.list()] == ["faulty"]

    with_openai(talk)


def test_the_openai_sdk_reads_streams() -> None:
    async def talk(client: Any, server: FaultyEndpoint) -> None:
        text, reasoning, arguments, usage = "", "", "", None
        async for chunk in await client.chat.completions.create(
            **chat(), stream=True, stream_options={"include_usage": True}
        ):
            usage = chunk.usage or usage
            for choice in chunk.choices:
                text += choice.delta.content or ""
                reasoning += getattr(choice.delta, "reasoning", None) or ""
                for call in choice.delta.tool_calls or ():
                    arguments += call.function.arguments
        assert (text, reasoning) == (REPLIES[0].text, REPLIES[0].reasoning)
        assert json.loads(arguments) == {"folder": "inbox"}
        assert usage is not None
        assert usage.completion_tokens == server.account.usage.output

    with_openai(talk)


def test_the_openai_sdk_holds_a_conversation_through_responses() -> None:
    async def talk(client: Any, server: FaultyEndpoint) -> None:
        asked = responses()
        tokens_out = 0
        for reply in REPLIES:
            answer = await client.responses.create(**asked)
            made = [item for item in answer.output if item.type == "function_call"]
            thought = [item.summary[0].text for item in answer.output if item.type == "reasoning"]
            assert answer.output_text == reply.text
            assert [json.loads(item.arguments) for item in made] == [call.arguments for call in reply.calls]
            assert "".join(thought) == reply.reasoning
            tokens_out += answer.usage.output_tokens
            asked["input"] += [item.model_dump(exclude_none=True) for item in answer.output]
            asked["input"] += [
                {"type": "function_call_output", "call_id": item.call_id, "output": "2 found"} for item in made
            ]
        assert tokens_out == server.account.usage.output
        assert server.account.requests == {"responses": 3}

    with_openai(talk)


def test_the_anthropic_sdk_holds_a_conversation_with_tools_and_thinking() -> None:
    async def talk(client: Any, server: FaultyEndpoint) -> None:
        asked = messages()
        usage = Usage()
        for reply in REPLIES:
            answer = await client.messages.create(**asked)
            made = [block for block in answer.content if block.type == "tool_use"]
            assert "".join(block.text for block in answer.content if block.type == "text") == reply.text
            assert "".join(block.thinking for block in answer.content if block.type == "thinking") == reply.reasoning
            assert [(block.name, block.input) for block in made] == [
                (call.name, call.arguments) for call in reply.calls
            ]
            assert answer.stop_reason == ("tool_use" if reply.calls else "end_turn")
            usage = usage + Usage(
                input=answer.usage.input_tokens + answer.usage.cache_read_input_tokens,
                output=answer.usage.output_tokens,
                cached=answer.usage.cache_read_input_tokens,
                reasoning=answer.usage.output_tokens_details.thinking_tokens,
            )
            content = [block.model_dump(exclude_none=True) for block in answer.content]
            asked["messages"].append({"role": "assistant", "content": content})
            results = [{"type": "tool_result", "tool_use_id": block.id, "content": "2 found"} for block in made]
            asked["messages"].append({"role": "user", "content": results or "Thanks."})
        assert usage == server.account.usage
        assert [model.id async for model in client.models.list()] == ["faulty"]

    with_anthropic(talk)


def test_the_anthropic_sdk_reads_streams() -> None:
    async def talk(client: Any, server: FaultyEndpoint) -> None:
        asked = messages()
        async with client.messages.stream(**asked) as stream:
            answer = await stream.get_final_message()
        thinking, text, use = answer.content
        assert (thinking.thinking, text.text, use.input) == (REPLIES[0].reasoning, REPLIES[0].text, {"folder": "inbox"})
        assert thinking.signature
        assert answer.usage.output_tokens == server.account.usage.output

    with_anthropic(talk)


def test_the_sdks_tell_refusals_apart() -> None:
    async def openai_talk(client: Any, server: FaultyEndpoint) -> None:
        import openai

        server.faults = Faults(rate=1.0, kinds=("overloaded",))
        with pytest.raises(openai.InternalServerError, match="Overloaded"):
            await client.chat.completions.create(**chat())
        server.faults = Faults(rate=1.0, kinds=("rate_limit",))
        with pytest.raises(openai.RateLimitError) as caught:
            await client.chat.completions.create(**chat())
        assert caught.value.response.headers["retry-after"] == "0.05"

    async def anthropic_talk(client: Any, server: FaultyEndpoint) -> None:
        import anthropic

        server.faults = Faults(rate=1.0, kinds=("overloaded",))
        with pytest.raises(anthropic.OverloadedError):
            await client.messages.create(**messages())
        server.faults = Faults(rate=1.0, kinds=("server_error",))
        with pytest.raises(anthropic.InternalServerError):
            await client.messages.create(**messages())

    with_openai(openai_talk)
    with_anthropic(anthropic_talk)
