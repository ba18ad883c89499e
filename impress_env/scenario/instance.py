"""Instances: a family built for one twin, seed and framing. The same four give the same bytes every time.

An instance is immutable and shared by every env over it: base world, compiled oracle, people's answers,
texts, tools, limits, and the oracle's first state. Building renders slots, fills in the data, applies framing and
twin, and lets each toolkit put its rows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from hashlib import blake2b
from typing import Any, Final, cast

import msgspec
from pydantic import ValidationError

from impress_env.clock import iso, minute_of_day, minutes, on_weekday, resolve
from impress_env.effects import EFFECT_FIELDS, KINDS, Effect
from impress_env.errors import OptionError, ToolError
from impress_env.match import Condition, ConditionError, event_kinds
from impress_env.rng import stream
from impress_env.scenario.family import Family
from impress_env.scenario.framing import Framing, sentences
from impress_env.scenario.oracle import Oracle, OracleState
from impress_env.scenario.patch import Expansion, Path, apply_add, apply_set, by_path, parse_path
from impress_env.scenario.question import BARE, BARE_SYSTEM, Question, ask, offered
from impress_env.scenario.schema import Act, AnswerSpec, OracleSpec, PersonSpec, Step, TwinSpec, explain
from impress_env.scenario.slots import Drawing
from impress_env.scenario.template import SlotError, render, render_deep
from impress_env.taxonomy import TWINS, Twin
from impress_env.tool import Build, ToolSet
from impress_env.types import ToolSchema
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
_RECORD_FIELD: Final = re.compile(r"([a-z][\w.]*)\[(.+)\]\.(\w+)")


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
    answers: dict[str, tuple[Answer, ...]]
    system: str
    task: str
    requester: str
    changed: tuple[Path, ...]
    start: OracleState
    progress: float
    question: Question | None = None

    @property
    def schemas(self) -> tuple[ToolSchema, ...]:
        """The tools as the agent is shown them: none where a question is put without its context."""
        return () if self.question is not None and self.question.form in BARE else self.tools.schemas

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
        raise family.error(f"seed {seed}, twin {twin}: {error}", error.path) from None


@contextmanager
def _under(*path: str | int) -> Iterator[None]:
    """Say where in the file a `SlotError` inside is."""
    try:
        yield
    except SlotError as error:
        raise error.under(*path) from None


def _build(family: Family, twin: Twin, seed: int, framing: Framing) -> Instance:
    spec = family.spec
    now = _clock(family, seed)
    slots = _draw(family, seed, now)
    people: dict[str, Any] = slots.pop("_people")
    expansion = Expansion(family.bank, spec.domain, seed, slots)
    data: dict[str, Any] = {}
    for name, section in spec.world.items():
        if name != "clock":
            with _under("world", name):
                data[name] = expansion.expand(section, slots, (name,))
    with _under("world", "files"):
        data["files"] = by_path(data.get("files", []))
    with _under("agent", "system"):
        system = str(render(spec.agent.system, slots)).strip()
    question = _question(family, framing, twin, seed, slots)
    extra = _apply_framing(family, framing, data, slots)
    changed: list[Path] = []
    if twin != "main":
        with _under("twins", twin):
            changed = _apply(spec.twins[twin], data, slots)
    _check_sections(family, data)

    tools = family.tools
    rows: dict[str, dict[str, Record]] = {"ids": {}, "schedule": {}, "people": {}, "memory": {}, "files": {}}
    rows["people"] = {who: _person(entry) for who, entry in people.items()}
    with _under("task", 0, "from"):
        requester = str(render(spec.task[0].sender, slots))
    directory = [
        _settle_person(family, index, entry, rows["people"], now, slots)
        for index, entry in enumerate(data.pop("people", []))
    ]
    if "work" in tools.toolkits:
        work = data.setdefault("work", {})
        work["settings"] = {"requester": requester, **work.get("settings", {})}
    history = [_past(family, entry, now) for entry in data.pop("history", [])]
    for name, kit in tools.toolkits.items():
        section = data.pop(name, {})
        if name == "files":
            section = list(section.values())
        listed = isinstance(section, list)
        if listed:
            section = {"items": section}
        try:
            kit.build(kit.seed.model_validate(section), Build(kit, rows, seed, now, history, slots["account"]))
        except ValidationError as error:
            loc, message = explain(error, kit.seed)
            at = loc[1:] if listed else loc
            place = _in_file(spec.world.get(name), at, slots)
            if any((name, *map(str, at))[: len(path)] == path for path in changed):
                raise family.error(f"{name}.{message}", ("twins", twin)) from None
            raise family.error(f"{name}.{message}", ("world", name, *place)) from None
        except (KeyError, ValueError, OverflowError, ToolError) as error:
            raise family.error(f"{name}: {error}", ("world", name)) from None
    for name in data:
        raise family.error(
            f"no toolkit of this family is called {name!r}; there are {', '.join(tools.toolkits)}", ("world", name)
        )

    digest = blake2b(f"{family.hash}|{twin}|{seed}|{framing.key()}".encode(), digest_size=16).hexdigest()
    base = Base(
        records=tools.records,
        rows=rows,
        clock=now,
        digest=digest,
        account=slots["account"],
        history=tuple(history),
    )
    with _under("oracle"):
        oracle_data = render_deep(family.oracle_data, slots)
    with _under("decision_point"):
        decision_point = render_deep(spec.decision_point, slots)
    try:
        oracle = Oracle(OracleSpec.model_validate(oracle_data), decision_point, base.records)
    except ValidationError as error:
        loc, message = explain(error, OracleSpec)
        raise family.error(f"oracle.{message}", ("oracle", *loc)) from None
    answers = _by_kind(_answers(family, directory, oracle, tools, slots))  # before the start: they may look back too
    world = World(base)
    start = oracle.start(base.history, world)
    task = _task(family, slots, rows["people"], now)
    if question is not None and question.form in BARE:
        system, task = BARE_SYSTEM, question.text
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
        answers=answers,
        system="\n".join([system, *extra]),
        task=task,
        requester=requester,
        changed=tuple(changed),
        start=start,
        progress=oracle.progress(start, world),
        question=question,
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
        if [] in (spec["at"], spec.get("weekday")):
            raise ValueError("expected at least one time and one weekday, found an empty list")
        at = spec["at"] if isinstance(spec["at"], list) else [spec["at"]]
        moment = minute_of_day(str(rng.choice(at)))
        if "date" in spec:
            return minutes(str(spec["date"])) + moment
        days = spec["weekday"] if isinstance(spec["weekday"], list) else [spec["weekday"]]
        first, weeks = FIRST_WEEK, WEEKS
        if "between" in spec:
            if not isinstance(spec["between"], list) or len(spec["between"]) != 2:
                raise ValueError(f"expected between: [first day, last day], found {spec['between']!r}")
            first, last = (date.fromisoformat(str(day)) for day in spec["between"])
            if last < first:
                raise ValueError(f"expected a last day not before {first}, found {last}")
            weeks = (last - first).days // 7 + 1
        day = on_weekday(first, rng.randrange(weeks), str(rng.choice(days)))
        return minutes(day.isoformat()) + moment
    except (ValueError, OverflowError) as error:
        raise family.error(f"world.clock: {error}", ("world", "clock")) from None


def _draw(family: Family, seed: int, now: int) -> dict[str, Any]:
    spec = family.spec
    drawing = Drawing(family.bank, seed, now)
    with _under("slots"):
        drawing.draw(spec.slots)
    org = drawing.slots.get("org")
    if not isinstance(org, Mapping):
        raise family.error("slots: a slot 'org' of form {organisation: kind} is needed", ("slots",))
    rng = stream(seed, "staff")
    roles = ("coordinator", "analyst", "specialist", "team lead", "assistant", "officer")
    drawing.slots["staff"] = [drawing.colleague(rng, rng.choice(roles)) for _ in range(12)]
    with _under("agent", "account"):
        drawing.slots["account"] = str(render(spec.agent.account, drawing.slots))
    return {**drawing.slots, "_people": drawing.people}


def _apply(change: TwinSpec, data: dict[str, Any], slots: Mapping[str, Any]) -> list[Path]:
    with _under("set"):
        touched = apply_set(data, render_deep(change.set, slots))
    with _under("add"):
        touched += apply_add(data, render_deep(change.add, slots))
    touched += [parse_path(str(render(text, slots))) for text in change.reaches]
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
            with _under("framings", factor, level):
                extra.append(str(render(own, slots)).strip())
        elif isinstance(own, TwinSpec):
            with _under("framings", factor, level):
                _apply(own, data, slots)
        elif (factor, level) not in (("oversight", "visible"), ("stress", "1"), ("stress", "2")):
            raise OptionError(f"{family.spec.id} does not offer the framing {factor}={level}")
    return extra


def _question(family: Family, framing: Framing, twin: Twin, seed: int, slots: Mapping[str, Any]) -> Question | None:
    """Return the question of a form other than agentic."""
    if framing.form == "agentic":
        return None
    spec = family.spec
    if spec.forms is None or spec.candidates is None:
        raise OptionError(f"{spec.id} does not offer the framing form={framing.form}: it has no forms or no candidates")
    if not offered(framing.form, twin):
        raise OptionError(
            f"{spec.id}: form={framing.form} is not offered in {twin}, where both ways may do or one only"
        )
    if framing.form in BARE:
        for factor in ("norm", "cost"):
            if getattr(framing, factor) != getattr(Framing(), factor):
                raise OptionError(
                    f"{factor}={getattr(framing, factor)}: not offered with form={framing.form}, where no world is seen"
                )
        if framing.oversight == "absent":
            raise OptionError(f"oversight=absent: not offered with form={framing.form}, where no world is seen")
    with _under("forms"):
        return ask(spec.forms, framing.form, family=spec.id, twin=twin, seed=seed, slots=slots)


def _check_sections(family: Family, data: Mapping[str, Any]) -> None:
    """The sections that the core itself reads have the shape that it expects."""
    for name, kind, shape in (("people", list, "a list"), ("history", list, "a list"), ("work", dict, "a mapping")):
        if name in data and not isinstance(data[name], kind):
            raise family.error(f"{name}: expected {shape}, found {data[name]!r:.80}", ("world", name))
    if not isinstance(data.get("work", {}).get("settings", {}), dict):
        raise family.error("work.settings: expected a mapping", ("world", "work", "settings"))
    if not isinstance(data["files"], dict):
        raise family.error(f"files: expected files by path, found {data['files']!r:.80}", ("world", "files"))


def _in_file(raw: Any, path: tuple[str | int, ...], slots: Mapping[str, Any]) -> tuple[str | int, ...]:
    """Return the path in the file that a path of the filled-in data came from, as far as it can be told."""
    found: list[str | int] = []
    for part in path:
        key: str | int | None = None
        if isinstance(raw, Mapping):
            keys = (k for k in raw if "{" in k and str(render(k, slots)) == part)
            key = part if part in raw else next(keys, None)
        elif isinstance(raw, list) and isinstance(part, int):
            plain = not any(isinstance(e, Mapping) and ("filler" in e or "for_each" in e) for e in raw[: part + 1])
            key = part if plain and part < len(raw) else None
        if key is None:
            break
        found.append(key)
        raw = raw[key]
    return tuple(found)


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


def _settle_person(
    family: Family, index: int, entry: Any, people: dict[str, Record], now: int, slots: Mapping[str, Any]
) -> PersonSpec:
    """Read one entry of `people:` and enter what it says in the directory."""
    try:
        spec = PersonSpec.model_validate(entry)
    except ValidationError as error:
        loc, message = explain(error, PersonSpec)
        place = _in_file(family.spec.world.get("people"), (index, *loc), slots)
        raise family.error(f"people.{index}.{message}", ("world", "people", *place)) from None
    at = ("world", "people", *_in_file(family.spec.world.get("people"), (index,), slots))
    if spec.who not in people:
        raise family.error(f"people: nobody has the id {spec.who!r}; use a person slot's id", at)
    changes = {key: value for key in ("role", "team") if (value := getattr(spec, key))}
    if spec.away_until:
        try:
            changes["away_until"] = iso(resolve(spec.away_until, now))
        except ValueError as error:
            raise family.error(f"people: away_until: {error}", at) from None
    people[spec.who] = msgspec.structs.replace(people[spec.who], **changes)
    return spec


def _by_kind(answers: tuple[Answer, ...]) -> dict[str, tuple[Answer, ...]]:
    """Return kind of effect -> the answers that may follow on it, in the order of the file."""
    kinds = dict.fromkeys(kind for answer in answers for kind in answer.kinds)
    return {kind: tuple(answer for answer in answers if kind in answer.kinds) for kind in kinds}


def _answers(
    family: Family, directory: list[PersonSpec], oracle: Oracle, tools: ToolSet, slots: Mapping[str, Any]
) -> tuple[Answer, ...]:
    found = []
    for number, person in enumerate(directory):
        specs: list[AnswerSpec] = [*person.answers, *([person.fallback] if person.fallback else [])]
        for index, spec in enumerate(specs):
            inside = ("fallback",) if spec is person.fallback else ("answers", index)
            place = ("world", "people", *_in_file(family.spec.world.get("people"), (number, *inside), slots))
            when = dict(spec.when)
            if when.get("effect") is None and not any(op in when for op in ("all", "any", "not")):
                when = {"effect": ["request", "send"], "recipients": {"contains": person.who}, **when}
            try:
                condition = oracle.program.compile(when, "event")
            except ConditionError as error:
                at = (*place, "when", *error.path)
                raise family.error(f"answer of {person.who}: {error.message}", at) from None
            if spec.via and spec.via not in tools.toolkits:
                raise family.error(
                    f"answer of {person.who}: no toolkit {spec.via!r}; there are {', '.join(tools.toolkits)}",
                    (*place, "via"),
                )
            for nth, act in enumerate(spec.then):
                problem = _wrong_act(act, tools)
                if problem:
                    raise family.error(f"answer of {person.who}: {problem}", (*place, "then", nth))
            found.append(
                Answer(
                    who=person.who,
                    index=index,
                    when=condition,
                    kinds=event_kinds(when),
                    after_minutes=spec.after_minutes,
                    text=spec.text.strip(),
                    via=spec.via,
                    times=spec.times,
                    fallback=spec is person.fallback,
                    then=tuple(act.model_dump(mode="json", exclude_defaults=True) for act in spec.then),
                )
            )
    return tuple(found)


def _wrong_act(act: Act, tools: ToolSet) -> str:
    """Return what is wrong with what a person would do, or "". It happens in mid-episode, too late to find out."""
    for path in act.set:
        found = _RECORD_FIELD.fullmatch(path)
        if found is None:
            return f"set: expected table[key].field, found {path!r}"
        record = tools.records.get(found[1])
        if record is None:
            return f"set: unknown table {found[1]!r}; this world has {', '.join(sorted(tools.records))}"
        if found[3] not in record.__struct_fields__:
            return f"set: table {found[1]!r} has no field {found[3]!r}; it has {', '.join(record.__struct_fields__)}"
    for fields in act.effects:
        try:
            _effect({**fields, "actor": "", "time": ""})
        except ValueError as error:
            return f"effects: {error}"
    if act.event:
        name, _, handler = act.event.partition(".")
        kit = tools.toolkits.get(name)
        if kit is None or handler not in kit.handlers:
            known = [f"{kit.name}.{kind}" for kit in tools.toolkits.values() for kind in kit.handlers]
            return f"event: no {act.event!r}; there are {', '.join(known)}"
    return ""


def _effect(entry: Mapping[str, Any]) -> Effect:
    """Return the effect that a file tells, where its kind is called `effect`.

    Raises:
        ValueError: It has unknown fields or kind, or values of the wrong type.
    """
    fields = {("kind" if key == "effect" else key): value for key, value in entry.items()}
    unknown = sorted(set(fields) - set(EFFECT_FIELDS))
    if unknown:
        raise ValueError(f"effects have no fields {unknown}; they have {', '.join(EFFECT_FIELDS)}")
    if fields.get("kind") not in KINDS:
        raise ValueError(f"unknown effect {fields.get('kind')!r}; known: {', '.join(KINDS)}")
    return msgspec.convert(fields, Effect)


def _past(family: Family, entry: Any, now: int) -> Effect:
    try:
        if not isinstance(entry, Mapping):
            raise ValueError(f"expected an effect, found {entry!r:.80}")
        return _effect({**entry, "time": iso(resolve(str(entry.get("time", "-1d 12:00")), now))})
    except ValueError as error:
        raise family.error(f"history: {error}", ("world", "history")) from None


def _task(family: Family, slots: Mapping[str, Any], people: Mapping[str, Record], now: int) -> str:
    parts = []
    for index, task in enumerate(family.spec.task):
        with _under("task", index):
            sender = str(render(task.sender, slots))
            where = [f"{name} {render(value, slots)}" for name, value in task.via if value]
            words = str(render(str(render(task.text, slots)), slots)).strip()
        if sender not in people:
            raise family.error(f"task: nobody has the id {sender!r}; use a person slot's id", ("task", index, "from"))
        person = cast("Person", people[sender])
        head = f"From: {person.name}" + (f" ({person.role})" if person.role else "")
        stamp = f"{iso(now)[:10]} {iso(now)[11:]}"
        parts.append(f"{head}, {stamp}{', ' + ', '.join(where) if where else ''}\n{words}")
    return "\n\n".join(parts)
