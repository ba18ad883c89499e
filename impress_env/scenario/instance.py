"""Instances: a family built for one twin, seed and framing. The same four give the same bytes every time.

An instance is immutable and shared by every env over it: base world, compiled oracle, people's answers,
texts, tools, limits, and the oracle's first state. Building renders slots, fills in the data, applies framing and
twin, and lets each toolkit put its rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from hashlib import blake2b
from typing import Any, Final, cast

import msgspec
from pydantic import ValidationError

from impress_env.clock import iso, minute_of_day, minutes, on_weekday, resolve
from impress_env.effects import EFFECT_FIELDS, Effect
from impress_env.errors import OptionError, ScenarioError
from impress_env.match import Condition, ConditionError
from impress_env.rng import stream
from impress_env.scenario.family import Family
from impress_env.scenario.framing import Framing, sentences
from impress_env.scenario.oracle import Oracle, OracleState
from impress_env.scenario.patch import Expansion, Path, apply_add, apply_set
from impress_env.scenario.schema import OracleSpec, Step, TwinSpec
from impress_env.scenario.slots import Drawing
from impress_env.scenario.template import SlotError, render, render_deep
from impress_env.taxonomy import TWINS, Twin
from impress_env.tool import Build, ToolSet
from impress_env.world.people import Person
from impress_env.world.table import Record
from impress_env.world.world import Base, World

FIRST_WEEK: Final = date(2026, 3, 2)
WEEKS: Final = 38
SEED_RANGES: Final[dict[str, tuple[int, int]]] = {
    "demonstration": (0, 99),
    "evaluation": (100, 9_999),
    "validation": (10_000, 99_999),
    "train": (100_000, 2**31 - 1),
}
CORE_SECTIONS: Final = ("clock", "people", "history")


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a person does when a condition over the agent's effects holds."""

    who: str
    index: int
    when: Condition
    kinds: tuple[str, ...]
    after_minutes: int
    text: str
    via: str = ""
    times: int = 1
    fallback: bool = False
    then: tuple[dict[str, Any], ...] = ()


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """A fully determined scenario."""

    family: Family
    twin: Twin
    seed: int
    framing: Framing
    digest: str
    slots: dict[str, Any]
    tools: ToolSet
    base: Base
    oracle: Oracle
    answers: tuple[Answer, ...]
    system: str
    task: str
    requester: str
    changed: tuple[Path, ...]
    start: OracleState
    progress: float

    @property
    def max_calls(self) -> int:
        """Steps after which an episode is cut off."""
        return self.family.spec.agent.max_calls

    @property
    def ends_at(self) -> int:
        """Simulated minute at which an episode is cut off."""
        return self.base.clock + self.family.spec.agent.max_minutes

    def script(self, name: str) -> tuple[Step, ...]:
        """Return a reference script; "honest" may have a version of its own for this twin.

        Raises:
            OptionError: There is none of that name.
        """
        scripts = self.family.spec.scripts
        for key in (f"{name}@{self.twin}", name):
            if key in scripts:
                return scripts[key]
        names = sorted({key.partition("@")[0] for key in scripts})
        raise OptionError(f"{self.family.spec.id} has no script {name!r}; there are {', '.join(names)}")


def seed_range(seed: int) -> str:
    """Return the name of the reserved range that a seed lies in.

    Raises:
        OptionError: It lies in none.
    """
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise OptionError(f"seed: expected a whole number, found {seed!r}")
    for name, (low, high) in SEED_RANGES.items():
        if low <= seed <= high:
            return name
    raise OptionError(f"seed: expected 0 to {2**31 - 1}, found {seed}")


def build_instance(family: Family, *, twin: str = "main", seed: int = 0, framing: Framing | None = None) -> Instance:
    """Build an instance. `impress_env.scenario.load.instance` keeps built ones.

    Raises:
        OptionError: Unknown twin, seed out of range, or a framing that this family does not offer.
        ScenarioError: The family's data do not hold together for this seed; with file and line.
    """
    framing = framing or Framing()
    seed_range(seed)
    spec = family.spec
    if twin not in TWINS or (twin != "main" and twin not in spec.twins):
        raise OptionError(f"{spec.id} has no twin {twin!r}; there are main, {', '.join(spec.twins)}")
    try:
        return _build(family, twin, seed, framing)
    except ConditionError as error:
        raise family.error(error.message, error.path) from None
    except SlotError as error:
        raise ScenarioError(f"seed {seed}, twin {twin}: {error}", file=family.file) from None


def _build(family: Family, twin: Twin, seed: int, framing: Framing) -> Instance:
    spec = family.spec
    now = _clock(family, seed)
    slots = _draw(family, seed, now)
    people: dict[str, Any] = slots.pop("_people")
    expansion = Expansion(family.bank, spec.domain, seed, slots)
    data: dict[str, Any] = {
        name: expansion.expand(section, slots, (name,)) for name, section in spec.world.items() if name != "clock"
    }
    data.setdefault("files", [])
    data["files"] = {str(entry.get("path")): entry for entry in data["files"]}
    system = str(render(spec.agent.system, slots)).strip()
    extra = _apply_framing(family, framing, data, slots)
    changed = _apply(spec.twins[twin], data, slots) if twin != "main" else []

    tools = family.tools
    rows: dict[str, dict[str, Record]] = {"ids": {}, "schedule": {}, "people": {}, "memory": {}, "files": {}}
    rows["people"] = {who: _person(entry) for who, entry in people.items()}
    requester = str(render(spec.task[0].sender, slots))
    directory = data.pop("people", [])
    for entry in directory:
        _settle_person(family, entry, rows["people"], now)
    work = data.setdefault("work", {})
    work["settings"] = {"requester": requester, **work.get("settings", {})}
    history = [_past(family, entry, now) for entry in data.pop("history", [])]
    for name, kit in tools.toolkits.items():
        section = data.pop(name, {})
        if name == "files":
            section = list(section.values())
        if isinstance(section, list):
            section = {"items": section}
        try:
            kit.build(kit.seed.model_validate(section), Build(kit, rows, seed, now, history, slots["account"]))
        except ValidationError as error:
            raise _seed_error(family, name, error) from None
        except (KeyError, ValueError) as error:
            raise family.error(f"{name}: {error}", ("world", name)) from None
    left = [name for name, section in data.items() if section]
    if left:
        raise family.error(f"no toolkit of this family is called {left[0]!r}", ("world", left[0]))

    digest = blake2b(f"{family.hash}|{twin}|{seed}|{framing.key()}".encode(), digest_size=16).hexdigest()
    base = Base(
        records=tools.records,
        rows=rows,
        clock=now,
        digest=digest,
        account=slots["account"],
        history=tuple(history),
    )
    oracle_spec = OracleSpec.model_validate(render_deep(family.oracle_data, slots))
    oracle = Oracle(oracle_spec, render_deep(spec.decision_point, slots), base.records)
    world = World(base)
    start = oracle.start(base.history, world)
    return Instance(
        family=family,
        twin=twin,
        seed=seed,
        framing=framing,
        digest=digest,
        slots=slots,
        tools=tools,
        base=base,
        oracle=oracle,
        answers=_answers(family, directory, oracle),
        system="\n".join([system, *extra]),
        task=_task(family, slots, rows["people"], now),
        requester=requester,
        changed=tuple(changed),
        start=start,
        progress=oracle.progress(start, world),
    )


def _clock(family: Family, seed: int) -> int:
    spec = family.spec.world.get("clock")
    if not isinstance(spec, Mapping) or sorted(spec) not in (
        ["at", "weekday"],
        ["at", "between", "weekday"],
        ["at", "date"],
    ):
        raise family.error(
            "world.clock: expected {weekday: tue, at: '09:40'}, with between: [date, date] where the season matters, "
            "or {date: …, at: …}",
            ("world", "clock"),
        )
    rng = stream(seed, "clock")
    try:
        at = spec["at"] if isinstance(spec["at"], list) else [spec["at"]]
        moment = minute_of_day(str(rng.choice(at)))
        if "date" in spec:
            return minutes(str(spec["date"])) + moment
        days = spec["weekday"] if isinstance(spec["weekday"], list) else [spec["weekday"]]
        first, weeks = FIRST_WEEK, WEEKS
        if "between" in spec:
            first, last = (date.fromisoformat(str(day)) for day in spec["between"])
            weeks = (last - first).days // 7 + 1
        day = on_weekday(first, rng.randrange(weeks), str(rng.choice(days)))
        return minutes(day.isoformat()) + moment
    except ValueError as error:
        raise family.error(f"world.clock: {error}", ("world", "clock")) from None


def _draw(family: Family, seed: int, now: int) -> dict[str, Any]:
    spec = family.spec
    drawing = Drawing(family.bank, seed, now)
    drawing.draw(spec.slots)
    org = drawing.slots.get("org")
    if not isinstance(org, Mapping):
        raise family.error("slots: a slot 'org' of form {organisation: kind} is needed", ("slots",))
    rng = stream(seed, "staff")
    roles = ("coordinator", "analyst", "specialist", "team lead", "assistant", "officer")
    drawing.slots["staff"] = [drawing.colleague(rng, rng.choice(roles)) for _ in range(12)]
    drawing.slots["account"] = str(render(spec.agent.account, drawing.slots))
    return {**drawing.slots, "_people": drawing.people}


def _apply(change: TwinSpec, data: dict[str, Any], slots: Mapping[str, Any]) -> list[Path]:
    touched = apply_set(data, render_deep(change.set, slots))
    touched += apply_add(data, render_deep(change.add, slots))
    touched += [tuple(str(render(text, slots)).split(".")) for text in change.reaches]
    return touched


def _apply_framing(family: Family, framing: Framing, data: dict[str, Any], slots: Mapping[str, Any]) -> list[str]:
    """Patch the world and return the sentences for the system text."""
    offered = family.spec.framings
    extra = sentences(framing)
    for factor in ("oversight", "norm", "cost", "stress"):
        level = getattr(framing, factor)
        if level == getattr(Framing(), factor):
            continue
        own = getattr(offered, factor).get(level)
        if isinstance(own, str):
            if factor == "stress":
                extra = [line for line in extra if line != sentences(Framing(stress=level))[0]]
            extra.append(str(render(own, slots)).strip())
        elif isinstance(own, TwinSpec):
            _apply(own, data, slots)
        elif (factor, level) not in (("oversight", "visible"), ("stress", "1"), ("stress", "2")):
            raise OptionError(f"{family.spec.id} does not offer the framing {factor}={level}")
    return extra


def _person(entry: Mapping[str, Any]) -> Person:
    return Person(
        id=entry["id"],
        name=entry["name"],
        first=entry["first"],
        role=entry["role"],
        team=entry["team"],
        email=entry["email"],
        external=entry["external"],
    )


def _settle_person(family: Family, entry: Mapping[str, Any], people: dict[str, Record], now: int) -> None:
    known = {"who", "answers", "fallback", "away_until", "role", "team"}
    if not isinstance(entry, Mapping) or "who" not in entry or set(entry) - known:
        raise family.error(
            f"people: expected {{who, …}} with {sorted(known)}, found {entry!r:.80}", ("world", "people")
        )
    who = str(entry["who"])
    if who not in people:
        raise family.error(f"people: nobody has the id {who!r}; use a person slot's id", ("world", "people"))
    changes = {key: str(entry[key]) for key in ("role", "team") if key in entry}
    if "away_until" in entry:
        changes["away_until"] = iso(resolve(str(entry["away_until"]), now))
    people[who] = msgspec.structs.replace(people[who], **changes)


def _answers(family: Family, directory: list[Mapping[str, Any]], oracle: Oracle) -> tuple[Answer, ...]:
    found = []
    for entry in directory:
        who = str(entry["who"])
        specs = list(entry.get("answers", []))
        if "fallback" in entry:
            specs.append({"when": {}, "times": 3, "fallback": True, **entry["fallback"]})
        for index, spec in enumerate(specs):
            known = {"when", "after_minutes", "text", "via", "times", "then", "fallback"}
            if set(spec) - known:
                raise family.error(f"answer: unknown keys {sorted(set(spec) - known)}", ("world", "people"))
            when = dict(spec.get("when", {}))
            if when.get("effect") is None and not any(op in when for op in ("all", "any", "not")):
                when = {"effect": ["request", "send"], "recipients": {"contains": who}, **when}
            kinds = when.get("effect", "any")
            try:
                condition = oracle.program.compile(when, "event")
            except ConditionError as error:
                raise family.error(f"answer of {who}: {error}", ("world", "people")) from None
            found.append(
                Answer(
                    who=who,
                    index=index,
                    when=condition,
                    kinds=() if kinds == "any" else tuple(kinds) if isinstance(kinds, list) else (str(kinds),),
                    after_minutes=int(spec.get("after_minutes", 15)),
                    text=str(spec.get("text", "")).strip(),
                    via=str(spec.get("via", "")),
                    times=int(spec.get("times", 1)),
                    fallback=bool(spec.get("fallback", False)),
                    then=tuple(spec.get("then", ())),
                )
            )
    return tuple(found)


def _past(family: Family, entry: Mapping[str, Any], now: int) -> Effect:
    fields = {("kind" if key == "effect" else key): value for key, value in entry.items()}
    unknown = sorted(set(fields) - set(EFFECT_FIELDS))
    if unknown:
        raise family.error(f"history: effects have no fields {unknown}", ("world", "history"))
    fields["time"] = iso(resolve(str(fields.get("time", "-1d 12:00")), now))
    try:
        return msgspec.convert(fields, Effect)
    except msgspec.ValidationError as error:
        raise family.error(f"history: {error}", ("world", "history")) from None


def _task(family: Family, slots: Mapping[str, Any], people: Mapping[str, Record], now: int) -> str:
    parts = []
    for task in family.spec.task:
        who = people.get(str(render(task.sender, slots)))
        if who is None:
            raise family.error("task: 'from' is nobody's id", ("task",))
        person = cast("Person", who)
        where = [f"{name} {render(value, slots)}" for name, value in task.via if value]
        head = f"From: {person.name}" + (f" ({person.role})" if person.role else "")
        stamp = f"{iso(now)[:10]} {iso(now)[11:]}"
        text = str(render(str(render(task.text, slots)), slots)).strip()
        parts.append(f"{head}, {stamp}{', ' + ', '.join(where) if where else ''}\n{text}")
    return "\n\n".join(parts)


def _seed_error(family: Family, toolkit: str, error: ValidationError) -> ScenarioError:
    first = error.errors(include_url=False, include_context=False)[0]
    path = tuple(part for part in first["loc"] if part != "items")
    shown = ".".join(str(part) for part in (toolkit, *first["loc"]))
    return family.error(f"{shown}: {first['msg']}, found {first.get('input')!r:.80}", ("world", toolkit, *path))
