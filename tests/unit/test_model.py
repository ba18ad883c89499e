"""Names of models and of agents around them, and the options in them."""

from __future__ import annotations

import pytest

from impress_env.agent import make_agent, model_options, parse_agent
from impress_env.errors import OptionError
from impress_env.model import Sampling, is_model, parse_model


@pytest.mark.parametrize(
    ("text", "provider", "name", "urls"),
    [
        ("openai:gpt-5-mini", "openai", "gpt-5-mini", ()),
        ("vllm:Qwen/Qwen3-8B", "vllm", "Qwen/Qwen3-8B", ()),
        ("vllm@http://127.0.0.1:8000", "vllm", "", ("http://127.0.0.1:8000",)),
        ("vllm@http://a:1,https://b:2/", "vllm", "", ("http://a:1", "https://b:2")),
        ("openai:some/model:free@http://host:11434/v1", "openai", "some/model:free", ("http://host:11434/v1",)),
    ],
)
def test_a_models_name_is_read(text: str, provider: str, name: str, urls: tuple[str, ...]) -> None:
    ref = parse_model(text)
    assert (ref.provider, ref.name, ref.urls) == (provider, name, urls)
    assert parse_model(str(ref)) == ref


@pytest.mark.parametrize(
    "text",
    [
        "gpt-5",
        "openai:",
        "openai:m@127.0.0.1:8000",
        "openai:m@http://user:secret@host",
        "vllm@",
        "vllm@ftp://x",
        ":x",
        "vllm@http://",
    ],
)
def test_what_is_no_models_name_is_told(text: str) -> None:
    with pytest.raises(OptionError, match="expected") as caught:
        parse_model(text)
    assert "secret" not in str(caught.value)


def test_the_agents_of_old_are_no_models() -> None:
    assert not any(is_model(text) for text in ("random", "scripted/honest", "scripted/mixed?p=0.3", "replay?file=a:b"))


@pytest.mark.parametrize(
    ("text", "name", "variant", "told"),
    [
        ("openai:gpt-5", "chat", "openai:gpt-5", "openai:gpt-5"),
        ("chat/openai:gpt-5", "chat", "openai:gpt-5", "openai:gpt-5"),
        ("react/vllm:Qwen/Qwen3-8B", "react", "vllm:Qwen/Qwen3-8B", "react/vllm:Qwen/Qwen3-8B"),
        ("vllm:Qwen/Qwen3-8B?temperature=0.7", "chat", "vllm:Qwen/Qwen3-8B", "vllm:Qwen/Qwen3-8B?temperature=0.7"),
        ("plan/vllm@http://127.0.0.1:8000", "plan", "vllm@http://127.0.0.1:8000", "plan/vllm@http://127.0.0.1:8000"),
        ("scripted/mixed?p=0.3", "scripted", "mixed", "scripted/mixed?p=0.3"),
    ],
)
def test_a_models_name_alone_is_a_chat_agent(text: str, name: str, variant: str, told: str) -> None:
    spec = parse_agent(text)
    assert (spec.name, spec.variant, str(spec)) == (name, variant, told)
    assert parse_agent(told) == spec


def test_options_with_json_and_plus_signs_come_back_as_they_were() -> None:
    spec = parse_agent('openai:x@http://h:1?extra={"top_k": 20, "a+b": "c&d"}'.replace("&", "%26"))
    assert spec.options == {"extra": '{"top_k": 20, "a+b": "c&d"}'}
    assert parse_agent(str(spec)) == spec


def test_the_options_of_sampling_provider_and_agent_are_told_apart() -> None:
    told = model_options(
        parse_agent("openai:x@http://h:1?temperature=0.7&max_tokens=100&timeout=5&sampling_seed=episode&price=1,2")
    )
    assert told.sampling == Sampling(temperature=0.7, max_tokens=100)
    assert told.provider == {"timeout": "5"}
    assert (told.per_episode_seed, told.price, told.agent) == (True, "1,2", {})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("openai:x?temperature=3", "temperature: expected a number from 0 to 2, found '3'"),
        ("openai:x?temperature=nan", "temperature: expected"),
        ("openai:x?tool_choice=none", "tool_choice: expected auto or required"),
        ("openai:x?sampling_seed=some", "sampling_seed: expected"),
        ("openai:x?warmth=1", "unknown options warmth; known: temperature"),
        ("chat/gpt-5", "chat needs a model"),
        ("react", "react needs a model"),
        ("nobody:x", "no models plugin called 'nobody'"),
        ("openai:x?temperature=", "found nothing for temperature"),
        ("openai:x?temperature=1&temperature=0", "found one twice"),
        ("openai:x?sampling_seed=²", "sampling_seed: expected"),
    ],
)
def test_a_wrong_agent_around_a_model_is_told(text: str, told: str) -> None:
    with pytest.raises(OptionError) as caught:
        make_agent(text)
    assert told in str(caught.value)
