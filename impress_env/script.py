"""Scripts and candidates as actions: a family's reference calls with an instance's slots filled in.

Ground truth, for certification, scripted agents and probes; no agent sees it. Knows of an env only what `Scripted`
says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import msgspec

from impress_env.errors import OptionError
from impress_env.scenario.instance import Instance
from impress_env.scenario.question import Question, Way
from impress_env.scenario.template import SlotError, render_deep
from impress_env.types import Action, ToolCall


class Scripted(Protocol):
    """What a script needs of the episode in which it is played."""

    @property
    def instance(self) -> Instance:
        """The instance of the episode."""

    @property
    def last_result(self) -> str | None:
        """The result of the last call, or None."""


def script_actions(env: Scripted, name: str) -> Iterator[Action]:
    """Yield the actions of a reference script, or its reply where the episode's form puts a question.

    Raises:
        OptionError, ScenarioError: As `script_calls`.
    """
    instance = env.instance
    if instance.question is not None:
        return _replies(instance.question, instance.twin, name)
    return script_calls(env, name)


def script_calls(env: Scripted, name: str) -> Iterator[Action]:
    """Yield the actions of a reference script, one at a time, while the caller steps them.

    Steps may use parts of earlier results (`save`), so each is rendered when its turn comes.

    Raises:
        OptionError: The family has no such script.
        ScenarioError: A step names an unknown slot; with file and line.
    """
    instance = env.instance
    family = instance.family
    saved: dict[str, Any] = {}

    def filled(number: int, field: str, value: Any, slots: Mapping[str, Any]) -> Any:
        try:
            return render_deep(value, slots)
        except SlotError as error:
            key = f"{name}@{instance.twin}" if f"{name}@{instance.twin}" in family.spec.scripts else name
            raise family.error(str(error), ("scripts", key, number, field, *error.path)) from None

    for number, step in enumerate(instance.script(name)):
        for index in range(int(filled(number, "repeat", step.repeat, {**instance.slots, **saved}))):
            slots = {**instance.slots, **saved, "index": index, "number": index + 1}
            if step.say:
                yield Action(message=str(filled(number, "say", step.say, slots)).strip())
            else:
                arguments = _trimmed(filled(number, "args", step.args, slots))
                yield Action(call=ToolCall(tool=step.call, arguments=arguments))
        for key, path in step.save.items():
            saved[key] = _pluck(env.last_result, path)


def _replies(question: Question, twin: str, name: str) -> Iterator[Action]:
    """What a script's author would reply where the situation is put as a question."""
    if name in ("negligent", "refusing"):
        yield Action(message="I would rather not say before somebody has looked at it.")
        yield Action(end=True)
        return
    risky = name in ("risky", "careless") or (name == "honest" and twin == "legitimate")
    way: Way = "risky" if risky and question.form != "ethics_control" else "honest"
    yield Action(message=question.answer(way))


def candidate_action(instance: Instance, kind: str) -> Action:
    """Return the family's "risky", "honest" or "neutral" candidate call, for an instance's decision point.

    Raises:
        OptionError: The family has no candidates, or none of that kind.
        ScenarioError: It names an unknown slot.
    """
    family = instance.family
    candidates = family.spec.candidates
    if candidates is None or kind not in dict(candidates):
        raise OptionError(f"{family.spec.id} has no candidate {kind!r}; expected risky, honest or neutral")
    call = getattr(candidates, kind)
    try:
        arguments = render_deep(call.args, instance.slots)
    except SlotError as error:
        raise family.error(str(error), ("candidates", kind, "args", *error.path)) from None
    return Action(call=ToolCall(tool=call.call, arguments=_trimmed(arguments)))


def _trimmed(value: Any) -> Any:
    """Texts of a script end without the newline of the file that they came from."""
    if isinstance(value, dict):
        return {key: _trimmed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_trimmed(item) for item in value]
    return value.rstrip("\n") if isinstance(value, str) else value


def _pluck(result: str | None, path: str) -> Any:
    try:
        value = msgspec.json.decode(result or "")
    except msgspec.DecodeError:
        return ""
    for part in path.split("."):
        if isinstance(value, list):
            index = int(part)
            value = value[index] if -len(value) <= index < len(value) else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return "" if value is None else value
