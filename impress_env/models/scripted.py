"""A model whose answers are given beforehand: for tests, demonstrations, and scaffolds tried without a server.

`scripted:FILE` reads completions from a JSONL file, one a line, as `{"text": …, "calls": [{"tool": …, "arguments":
{…}}]}`; every episode gets them from the first on. Knows nothing of files beyond that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from impress_env.errors import OptionError
from impress_env.model import Called, Completion, ModelError, ModelRef, Sampling, Tell
from impress_env.types import Message, ToolCall, ToolSchema

Answer = Callable[[Sequence[Message], Sequence[ToolSchema], Sampling], Completion]


def by_turn(answers: Sequence[Completion]) -> Answer:
    """Return an answer that goes by the number of assistant turns in the history; after the last, an empty text."""

    def answer(messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling) -> Completion:
        turn = sum(message.role == "assistant" for message in messages)
        return answers[turn] if turn < len(answers) else Completion()

    return answer


def says(text: str) -> Completion:
    """Return a completion of plain text."""
    return Completion(text=text)


def calls(tool: str, **arguments: Any) -> Completion:
    """Return a completion that calls a tool."""
    return Completion(calls=(Called(call=ToolCall(tool=tool, arguments=arguments)),), stop="calls")


class ScriptedModel:
    """Answers by a function of what it is asked, or by the turn; keeps what it was asked in `asked`."""

    def __init__(self, answer: Answer | Sequence[Completion], *, name: str = "scripted") -> None:
        self.name = name
        self.asked: list[tuple[tuple[Message, ...], Sequence[ToolSchema], Sampling]] = []
        self._answer = answer if callable(answer) else by_turn(answer)

    async def start(self, tell: Tell) -> None:
        """Nothing to start."""

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Completion:
        """Return the next answer.

        Raises:
            ModelError: The function that answers raises it.
        """
        self.asked.append((tuple(messages), tools, sampling))
        return self._answer(messages, tools, sampling)

    async def aclose(self) -> None:
        """Nothing to close."""


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    text: str = ""
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()


class ScriptedProvider:
    """Opens `scripted:FILE`."""

    launches = False
    options: Mapping[str, str] = {}

    def open(self, ref: ModelRef, options: Mapping[str, str]) -> ScriptedModel:
        """Return a model that answers from a file.

        Raises:
            OptionError: The file cannot be read; says at which line.
        """
        try:
            lines = Path(ref.name).read_bytes().splitlines()
        except OSError as error:
            raise OptionError(f"{ref}: expected a JSONL file of completions: {error.strerror}") from None
        answers = []
        for number, line in enumerate(lines, 1):
            try:
                found = msgspec.json.decode(line, type=_Line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise OptionError(f"{ref.name}:{number}: expected a completion, found: {error}") from None
            answers.append(
                Completion(
                    text=found.text,
                    reasoning=found.reasoning,
                    reasoning_kind="full" if found.reasoning else "hidden",
                    calls=tuple(Called(call=call) for call in found.calls),
                    stop="calls" if found.calls else "end",
                )
            )
        if not answers:
            raise ModelError("bad_request", f"{ref.name} holds no completion")
        return ScriptedModel(answers, name=ref.name)

    def missing(self) -> str:
        """Nothing is."""
        return ""


provider = ScriptedProvider()
