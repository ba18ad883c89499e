"""Rules as a monitor: conditions over effects, compiled by the scenario matcher, watched incrementally.

A rule is a YAML file: `when` (an event over the current effect) without `unless` (what has happened by now) is a
finding. Rules speak effects and never tools or families, so that one serves every toolkit. Work is constant a step.
Each file holds tests of its own, its false-positive notes and its status. Knows nothing of oracles.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, Self

import msgspec

from impress_env.effects import EFFECT_FIELDS, KINDS, Effect
from impress_env.errors import ScenarioError
from impress_env.match import Condition, ConditionError, Program, State, event_kinds
from impress_env.monitor import QUIET, Contract, Report, Scored
from impress_env.scenario.source import Lines, line_of, read_yaml
from impress_env.types import Action, Decision, Finding, ProposalView

PACK: Final = Path(__file__).with_name("rules")
Group = Literal["deception", "privacy", "corruption", "shortcuts", "oversight"]
_FIELD: Final = re.compile(r"\{([a-z_]+(?:\.[a-z_]+)?)\}")
_LEAST: Final = 3  # tests that fire, and that do not


class Check(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An inline test: the effects of each step, committed before the next; the last step is judged."""

    name: str
    fires: bool
    steps: tuple[tuple[dict[str, Any], ...], ...]


class RuleSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule file.

    category: the risk it is about. asks: the decision that it finds fit. needs: fields of the effect (or data.…)
    without which it abstains. why, allow_if: texts in which "{field}" stands for the effect's.
    """

    id: str
    version: int
    group: Group
    category: str
    severity: int
    status: Literal["experimental", "test", "stable", "deprecated"]
    asks: Decision
    when: Any
    unless: Any = "never"
    needs: tuple[str, ...] = ()
    why: str
    allow_if: str
    notes: str
    tests: tuple[Check, ...]


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A compiled rule."""

    spec: RuleSpec
    when: Condition
    unless: Condition


class _Nothing:
    """A lookup without tables: a monitor sees no state but what was told to it."""

    def rows(self, table: str) -> Sequence[object]:
        return ()

    def row(self, table: str, key: str) -> object | None:
        return None


_LOOKUP: Final = _Nothing()


class Pack:
    """Compiled rules, stateless and shared.

    Raises:
        ScenarioError: Two rules of one id, or a rule that is malformed.
    """

    def __init__(self, specs: Sequence[RuleSpec]) -> None:
        self.program = Program({})
        self.rules: list[Rule] = []
        self.by_kind: dict[str, list[Rule]] = {kind: [] for kind in KINDS}
        for spec in specs:
            if any(rule.spec.id == spec.id for rule in self.rules):
                raise ScenarioError(f"two rules are called {spec.id!r}; expected ids of their own")
            rule = Rule(spec=spec, when=self._compile(spec, "when"), unless=self._compile(spec, "unless"))
            self.rules.append(rule)
            for kind in event_kinds(spec.when):
                self.by_kind[kind].append(rule)

    def _compile(self, spec: RuleSpec, part: Literal["when", "unless"]) -> Condition:
        try:
            return self.program.compile(getattr(spec, part), "event" if part == "when" else "history")
        except ConditionError as error:
            raise ConditionError(error.message, (part, *error.path)) from None

    def judge(self, effects: Sequence[Effect], state: State) -> Scored:
        """Return what the rules find in the effects of a proposal; `state` (the caller's copy) moves with them."""
        findings: list[Finding] = []
        abstained: list[tuple[str, str]] = []
        for effect in effects:
            if effect.actor == "agent":
                for rule in self.by_kind[effect.kind]:
                    if not rule.when(effect, state, _LOOKUP):
                        continue
                    missing = [name for name in rule.spec.needs if _value(effect, name) in (None, "", ())]
                    if missing:
                        abstained.append((rule.spec.id, f"{effect.object}: no {', '.join(missing)}"))
                    elif not rule.unless(effect, state, _LOOKUP):
                        findings.append(_finding(rule.spec, effect))
            self.program.observe(state, effect, _LOOKUP)
        return Scored(tuple(findings), tuple(abstained)) if findings or abstained else QUIET


def _finding(spec: RuleSpec, effect: Effect) -> Finding:
    return Finding(
        rule=spec.id,
        version=spec.version,
        category=spec.category,
        severity=spec.severity,
        score=1.0,
        step=effect.step,
        steps=(effect.step,),
        why=_filled(spec.why, effect),
        allow_if=_filled(spec.allow_if, effect),
        asks=spec.asks,
        basis="effect",
    )


def _filled(text: str, effect: Effect) -> str:
    return _FIELD.sub(lambda found: str(_value(effect, found[1])), text)


def _value(effect: Effect, name: str) -> Any:
    return effect.data.get(name.removeprefix("data.")) if name.startswith("data.") else getattr(effect, name, None)


class RuleMonitor:
    """Rules over one episode."""

    name = "rules"

    def __init__(self, pack: Pack | None = None) -> None:
        self._pack = pack if pack is not None else shipped()
        self._state: State = self._pack.program.start()

    def start(self, contract: Contract) -> None:
        """Begin an episode."""
        self._state = self._pack.program.start()

    def review(self, view: ProposalView) -> Report:
        """Judge a proposal's effects."""
        return self._pack.judge(view.effects, list(self._state)) if view.effects else QUIET

    def settled(self, view: ProposalView, committed: bool) -> None:
        """Take in what happened."""
        if committed:
            for effect in view.effects:
                self._pack.program.observe(self._state, effect, _LOOKUP)

    def fork(self) -> Self:
        """Return an independent monitor in the same state."""
        other = type(self)(self._pack)
        other._state = list(self._state)
        return other


# ---- files


def read_rule(path: Path) -> tuple[RuleSpec, Lines]:
    """Return a rule, checked and compiled once, with the lines of its parts.

    Raises:
        ScenarioError: With file and line: an unknown field, kind, operator or effect field, or too few tests.
    """
    try:
        data, lines = read_yaml(path.read_text(encoding="utf-8"), path.name)
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"cannot be read: {error}", file=path.name) from None
    try:
        spec = msgspec.convert(data, RuleSpec)
        for check in spec.tests:
            check_steps(check)
        Pack([spec])
    except msgspec.ValidationError as error:
        raise ScenarioError(str(error), file=path.name, line=1) from None
    except ConditionError as error:
        raise ScenarioError(error.message, file=path.name, line=line_of(lines, error.path)) from None
    for name in spec.needs:
        if not name.startswith("data.") and name not in EFFECT_FIELDS:
            known = ", ".join(EFFECT_FIELDS)
            raise ScenarioError(
                f"needs: effects have no field {name!r}; they have {known}, data.…",
                file=path.name,
                line=line_of(lines, ("needs",)),
            )
    for fires in (True, False):
        count = sum(check.fires is fires for check in spec.tests)
        if count < _LEAST:
            raise ScenarioError(
                f"expected at least {_LEAST} tests with fires: {str(fires).lower()}, found {count}",
                file=path.name,
                line=line_of(lines, ("tests",)),
            )
    if spec.id != path.stem:
        raise ScenarioError(
            f"expected the id {path.stem}, as the file is called, found {spec.id!r}", file=path.name, line=1
        )
    return spec, lines


@cache
def shipped() -> Pack:
    """Return the rules that ship, compiled.

    Raises:
        ScenarioError: One is malformed.
    """
    return Pack([read_rule(path)[0] for path in sorted(PACK.glob("*.yaml"))])


# ---- tests and mutants


def check_steps(check: Check) -> list[list[Effect]]:
    """Return the steps of an inline test as effects of the agent, numbered from 1.

    Raises:
        msgspec.ValidationError: A field is unknown or of another type.
    """
    known = set(EFFECT_FIELDS)
    found = []
    for number, step in enumerate(check.steps, 1):
        for effect in step:
            unknown = sorted(set(effect) - known)
            if unknown:
                raise msgspec.ValidationError(f"test {check.name!r}: effects have no field {', '.join(unknown)}")
        found.append([msgspec.convert({"actor": "agent", "step": number, **effect}, Effect) for effect in step])
    return found


def failing(spec: RuleSpec) -> list[str]:
    """Return the names of the rule's tests that do not come out as they say."""
    pack = Pack([spec])
    found = []
    for check in spec.tests:
        monitor = RuleMonitor(pack)
        fired = False
        for effects in check_steps(check):
            view = ProposalView(
                step=effects[0].step if effects else 0,
                time="",
                action=Action(),
                effects=tuple(effects),
                result=None,
                error=None,
            )
            report = monitor.review(view)
            fired = isinstance(report, Scored) and bool(report.findings)
            monitor.settled(view, True)
        if fired is not check.fires:
            found.append(check.name)
    return found


def mutants(spec: RuleSpec) -> Iterator[tuple[str, RuleSpec]]:
    """Yield the rule with one clause taken away, each with what was taken."""
    for part in ("when", "unless"):
        source = getattr(spec, part)
        for place, changed in _without_one(source, (part,)):
            yield ".".join(map(str, place)), msgspec.structs.replace(spec, **{part: changed})
    if spec.unless != "never":
        yield "unless", msgspec.structs.replace(spec, unless="never")


def _without_one(value: Any, at: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            removable = "effect" in value and key != "effect"
            if removable:
                yield (*at, str(key)), {name: copy.deepcopy(item) for name, item in value.items() if name != key}
            if key == "where" and isinstance(inner, Mapping) and len(inner) > 1:
                for name in inner:
                    rest = {other: item for other, item in inner.items() if other != name}
                    yield (*at, "where", str(name)), {**value, "where": rest}
            elif isinstance(inner, Mapping | list) and key != "where":
                for place, changed in _without_one(inner, (*at, str(key))):
                    yield place, {**value, key: changed}
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            if isinstance(inner, Mapping):
                if len(value) > 1:
                    yield (*at, index), [item for i, item in enumerate(value) if i != index]
                for place, changed in _without_one(inner, (*at, index)):
                    yield place, [changed if i == index else item for i, item in enumerate(value)]


def survivors(spec: RuleSpec) -> list[str]:
    """Return the clauses whose loss no test of the rule notices."""
    return [place for place, mutant in mutants(spec) if not _killed(mutant)]


def _killed(mutant: RuleSpec) -> bool:
    try:
        return bool(failing(mutant))
    except ConditionError:  # it does not even compile
        return True
