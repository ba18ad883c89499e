"""Macro-actions: what one could do in an instance, as a finite list of concrete calls.

They are the calls of every reference script of every twin, the same calls aimed at other objects of the world,
listings, and one of each role. The set rests on family and seed alone, so it is the same in every twin; which script a
call came from is not kept. Reads that always stand together are one macro-action. Knows nothing of episodes' outcomes
or rewards.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from typing import Any, Final

import msgspec

from impress_env.errors import OptionError
from impress_env.rng import stream
from impress_env.scenario.instance import Instance
from impress_env.scenario.template import SlotError, render_deep
from impress_env.script import _pluck, _trimmed
from impress_env.tool import ROLES, Tool
from impress_env.types import Action, ToolCall

WAIT_MINUTES: Final = 15
SIBLINGS: Final = 2  # other objects that one call is aimed at
LISTINGS: Final = 4
_KEPT: Final = ("ids", "schedule", "people", "work", "memory")  # tables whose keys are no objects of the work
_TEXT: Final = "Please have a look at this before I go on."
# A name: a word with a digit or an @ that is neither date, time nor amount.
_NAME: Final = re.compile(r"(?=\S{3,}$)(?=.*[\d@])(?!\d{4}-\d\d(-\d\d)?(T|$))(?![\d.,:%]+$)\S+")
_PROSE: Final = re.compile(r"\S+(\s+\S+){3,}", re.DOTALL)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call, or a message where `tool` is empty.

    `arguments` holds marks where parts of earlier results belong; `template` and `slots` then make the real ones, and
    `needs` says for each name of which call's result (its key) it is what part.
    """

    tool: str
    arguments: dict[str, Any] = {}
    message: str = ""
    needs: tuple[tuple[str, str, str], ...] = ()
    template: dict[str, Any] = {}
    slots: dict[str, Any] = {}

    @property
    def key(self) -> str:
        """What makes it another call than others."""
        return msgspec.json.encode([self.tool, self.arguments, self.message], order="deterministic").decode()

    def action(self, results: Mapping[str, str | None]) -> Action | None:
        """Return the action, or None where it needs a result that is not there yet.

        Args:
            results: Key of a call -> its last result.
        """
        if not self.tool:
            return Action(message=self.message)
        arguments = self.arguments
        if self.needs:
            try:
                found = {name: _pluck(results.get(source), path) for name, source, path in self.needs}
                if any(value == "" for value in found.values()):
                    return None
                arguments = _trimmed(render_deep(self.template, {**self.slots, **found}))
            except (SlotError, ValueError):  # another result than the author's: it holds no such part
                return None
        return Action(call=ToolCall(tool=self.tool, arguments=arguments))


class Macro(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One choice: calls that are made one after the other. `kinds` are the effects that their tools declare."""

    calls: tuple[Call, ...]
    role: str
    kinds: tuple[str, ...]
    reads: bool
    minutes: int

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of objects and people in its arguments."""
        found = dict.fromkeys(name for call in self.calls for name in names_in(call.arguments))
        return tuple(found)

    @property
    def tool(self) -> str:
        """The tool that it calls, or "" where it is a message."""
        return self.calls[0].tool

    @property
    def key(self) -> str:
        """What makes it another macro-action than others."""
        return "\n".join(call.key for call in self.calls)


def names_in(value: object) -> Iterator[str]:
    """Yield the names of objects and people in arguments: words with a digit or an @, no dates, times or amounts."""
    if isinstance(value, str):
        if _NAME.fullmatch(value) and "\x02" not in value:
            yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from names_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from names_in(item)


def macros(instance: Instance, main: Instance, *, limit: int) -> tuple[Macro, ...]:
    """Return the macro-actions of a family at a seed; distractors fill up what is left below the limit.

    Args:
        instance: Of any twin.
        main: Of the twin `main`, whose objects are those that distractors are aimed at, in every twin.
        limit: The most there may be.

    Raises:
        OptionError: The scripts' own calls are more than the limit.
    """
    calls, runs = _scripted(instance)
    calls = _worded_once(calls, instance.seed)
    found = _grouped(calls.values(), runs, instance)
    found += [_macro((call,), instance) for call in _roles(instance, found)]
    if len(found) > limit:
        raise OptionError(f"slots: {instance.family.spec.id} needs at least {len(found)} of them, found {limit}")
    held = {call.key for macro in found for call in macro.calls}
    for call in _distractors(instance, main, tuple(found)):
        if len(found) == limit:
            break
        if call.key not in held:
            held.add(call.key)
            found.append(_macro((call,), instance))
    return tuple(found)


def _macro(calls: tuple[Call, ...], instance: Instance) -> Macro:
    tools = [instance.tools.tools[call.tool] for call in calls if call.tool in instance.tools.tools]
    kinds: dict[str, None] = dict.fromkeys(kind for tool in tools for kind in tool.effects)
    if not tools:
        kinds = {"report": None}
    return Macro(
        calls=calls,
        role=(tools[0].role or "") if tools else "message",
        kinds=tuple(kinds),
        reads=bool(tools) and all(tool.read_only and tool.role is None for tool in tools),
        minutes=sum(_minutes(tool, call) for tool, call in zip(tools, calls, strict=False)) if tools else 1,
    )


def _minutes(tool: Tool, call: Call) -> int:
    told = call.arguments.get("minutes")
    return told if tool.role == "wait" and isinstance(told, int) else tool.minutes


# ---- the scripts' calls


def _scripted(instance: Instance) -> tuple[dict[str, Call], dict[str, list[tuple[str, int]]]]:
    """Return the calls of all scripts by key, and for each the runs of reads that it stands in."""
    calls: dict[str, Call] = {}
    runs: dict[str, list[tuple[str, int]]] = {}
    for script, steps in instance.family.spec.scripts.items():
        sources: dict[str, tuple[str, str]] = {}
        last, run = "", 0
        for step in steps:
            marks = {name: f"\x02{_short(source)}.{path}\x03" for name, (source, path) in sources.items()}
            for index in range(_times(step.repeat, {**instance.slots, **marks})):
                slots = {**instance.slots, "index": index, "number": index + 1}
                call = _call(step.call, step.say, step.args, slots, marks, sources)
                if call is None:
                    continue
                tool = instance.tools.tools.get(call.tool)
                run += tool is None or not tool.read_only
                last = call.key
                calls.setdefault(last, call)
                runs.setdefault(last, []).append((script, run))
            for name, path in step.save.items():
                sources[name] = (last, path)
    return calls, runs


def _call(
    tool: str,
    say: str,
    args: Mapping[str, Any],
    slots: dict[str, Any],
    marks: Mapping[str, str],
    sources: Mapping[str, tuple[str, str]],
) -> Call | None:
    try:
        if say:
            return Call(tool="", message=str(render_deep(say, {**slots, **marks})).strip())
        arguments = _trimmed(render_deep(dict(args), {**slots, **marks}))
    except SlotError:  # made of a result in a way that a mark cannot go through
        return None
    text = msgspec.json.encode(arguments).decode()
    needs = tuple(
        (name, *sources[name]) for name, mark in marks.items() if msgspec.json.encode(mark).decode()[1:-1] in text
    )
    if not needs:
        return Call(tool=tool, arguments=arguments)
    return Call(tool=tool, arguments=arguments, needs=needs, template=dict(args), slots=slots)


def _times(repeat: object, slots: Mapping[str, Any]) -> int:
    try:
        return int(render_deep(repeat, slots))
    except (SlotError, TypeError, ValueError):  # as often as an earlier result says
        return 1


def _worded_once(calls: Mapping[str, Call], seed: int) -> dict[str, Call]:
    """Keep one of the calls that differ in their wording alone: the one that needs least, else any.

    A closing report or a question in other words is no other act, and words would tell whose script it was.
    """
    kept: dict[str, Call] = {}
    for key, call in calls.items():
        bare = msgspec.json.encode([call.tool, _bare(call.arguments), bool(call.message)], order="deterministic")
        name = bare.decode()
        other = kept.get(name)
        if other is None or (len(call.needs), _short(f"{seed}{key}")) < (
            len(other.needs),
            _short(f"{seed}{other.key}"),
        ):
            kept[name] = call
    return {call.key: call for call in kept.values()}


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _bare(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_bare(item) for item in value]
    return "…" if isinstance(value, str) and _PROSE.fullmatch(value.strip()) else value


def _grouped(calls: Iterable[Call], runs: Mapping[str, Sequence[tuple[str, int]]], instance: Instance) -> list[Macro]:
    """Join reads with one tool that stand in the same runs of reads wherever they stand: one look at one list."""
    groups: dict[Any, list[Call]] = {}
    for number, call in enumerate(calls):
        tool = instance.tools.tools.get(call.tool)
        alone = tool is None or not tool.read_only or tool.role is not None or bool(call.needs)
        shape = number if alone else (call.tool, tuple(sorted(call.arguments)), tuple(runs.get(call.key, ())))
        groups.setdefault(shape, []).append(call)
    return [_macro(tuple(group), instance) for group in groups.values()]


# ---- what no script does


def _roles(instance: Instance, found: Sequence[Macro]) -> Iterator[Call]:
    """Yield a call for each role that no script plays: every family has asking, handing up, waiting and declining."""
    held = {macro.role for macro in found}
    about = next(
        (str(call.arguments["about"]) for macro in found for call in macro.calls if "about" in call.arguments), ""
    )
    known = {"text": _TEXT, "reason": _TEXT, "report": _TEXT, "about": about, "to": instance.requester}
    known |= {"minutes": WAIT_MINUTES}  # type: ignore[dict-item]
    for role in ROLES:
        for tool in instance.tools.by_role(role) if role not in held else ():
            required = tool.parameters.get("required", ())
            if all(name in known for name in required):
                yield Call(tool=tool.name, arguments={name: known[name] for name in required})
                break


def _distractors(instance: Instance, main: Instance, found: Sequence[Macro]) -> Iterator[Call]:
    """Yield listings, then the same calls aimed at other objects of the world, in an order drawn from the seed."""
    rng = stream(instance.seed, "distractors")
    listings = [
        Call(tool=tool.name)
        for tool in instance.tools.tools.values()
        if tool.read_only and tool.role is None and not tool.parameters.get("required")
    ]
    rng.shuffle(listings)
    yield from listings[:LISTINGS]
    rows = main.base.rows
    homes = {key: table for table in sorted(rows) if table not in _KEPT for key in rows[table]}
    aimed = []
    for macro in found:
        for call in macro.calls:
            if call.needs or not call.tool:
                continue
            for name in dict.fromkeys(names_in(call.arguments)):
                others = sorted(key for key in rows[homes[name]] if key != name) if name in homes else []
                for other in rng.sample(others, min(SIBLINGS, len(others))):
                    aimed.append(Call(tool=call.tool, arguments=_swapped(call.arguments, name, other)))
    rng.shuffle(aimed)
    yield from aimed


def _swapped(value: Any, name: str, other: str) -> Any:
    if isinstance(value, dict):
        return {key: _swapped(item, name, other) for key, item in value.items()}
    if isinstance(value, list):
        return [_swapped(item, name, other) for item in value]
    return other if value == name else value


def _short(text: str) -> str:
    return blake2b(text.encode(), digest_size=6).hexdigest()
