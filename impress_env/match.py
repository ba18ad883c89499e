"""Declarative conditions, compiled to closures. One compiler serves oracles, people's answers and monitor rules.

A condition is plain data (from YAML, templates already rendered):

- an **event**: ``{effect: attest, object: "releases://4.2.0", outcome: passed}`` over one effect;
- **logic**: ``all: [...]``, ``any: [...]``, ``not: ...``, or the words ``always`` and ``never``;
- **state**: ``{state: "releases.items[4.2.0].state", in: [released, returned]}``,
  ``{latest: {table: ci.runs, where: {build: 4.2.0}}, field: outcome, is: passed}``,
  ``{rows: {table: ..., where: {...}}, ge: 2}`` (how many rows; at least one unless a test is given),
  ``{every: {table: ..., where: {...}, that: {...}}}``,
  ``{pairs: {table, of: [[a, b], ...], field, first: [...], second: [...], at_least: 4, reverse_at_most: 0}}``;
- **past time**: ``once``, ``before`` (strictly earlier than the current effect), ``without`` (not before),
  ``since: {event: ..., reset: ...}``, ``count: <event>`` and ``sum: {of: amount, event: ...}`` with a test,
  ``covered: {event: ..., from: ..., to: ..., slack: minutes}`` (their start–end intervals cover a span).
  Constant work an effect, logarithmic where values of the current effect are named, linear in the intervals kept
  for `covered`.

A test is a value (equality), a list (one of), or a mapping of `is not in not_in glob prefix contains mentions any_of
all_of gt ge lt le exists`; `mentions` is a list of texts of which one stands in the value, capitals or not. In
``once``, ``before``, ``without`` and ``since`` ``"{object}"`` stands for a field of the current effect. ``touches:
uri`` matches an effect whose object or covers include it; ``where: {...}`` tests an effect's `data`.

The input is an effect, and for state a `Lookup`. Knows nothing of worlds, scenarios or monitors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence, Set
from fnmatch import fnmatchcase
from functools import partial
from operator import attrgetter
from typing import Any, Final, Literal, NamedTuple, Protocol, cast

from impress_env.clock import minutes
from impress_env.effects import EFFECT_FIELDS, KINDS, Effect

State = list[Any]  # one slot per past-time operator; values are never changed in place
Test = Callable[[Any], bool]
Mode = Literal["event", "history"]


class Lookup(Protocol):
    """What state conditions may ask."""

    def rows(self, table: str) -> Sequence[object]:
        """Return a table's records in key order."""

    def row(self, table: str, key: str) -> object | None:
        """Return one record or None."""


Condition = Callable[[Effect | None, State, Lookup], bool]
_Linked = tuple[
    tuple[str, ...],
    Callable[[Effect], bool],
    list[tuple[Callable[[Effect], tuple[Any, ...]], Callable[[Effect], Any]]],
]


class Watched(NamedTuple):
    """A condition, and what its value rests on beside the current effect."""

    condition: Condition
    tables: tuple[str, ...]
    slots: tuple[int, ...]


class ConditionError(ValueError):
    """A condition is malformed. `path` leads from the condition's top to the place."""

    def __init__(self, message: str, path: tuple[str | int, ...] = ()) -> None:
        self.message, self.path = message, path
        where = ".".join(map(str, path))
        super().__init__(f"{where}: {message}" if where else message)


class Grown:
    """A mapping that grows and is never changed: what was put later hides what was put before.

    Its layers double in size, so that n puts copy n log n entries in all and a look-up asks log n layers.
    """

    __slots__ = ("_layers",)

    def __init__(self, layers: tuple[dict[tuple[Any, ...], int], ...] = ()) -> None:
        self._layers = layers  # the newest, and smallest, first

    def get(self, key: tuple[Any, ...]) -> int | None:
        """Return the value that was put last, or None."""
        for layer in self._layers:
            found = layer.get(key)
            if found is not None:
                return found
        return None

    def put(self, keys: Sequence[tuple[Any, ...]], value: int) -> Grown:
        """Return the mapping with further entries."""
        newest, layers = dict.fromkeys(keys, value), self._layers
        while layers and len(layers[0]) <= len(newest):
            newest = {**layers[0], **newest}
            layers = layers[1:]
        return Grown((newest, *layers))


NONE: Final = Grown()


class _Slot(Protocol):
    kinds: tuple[str, ...]

    def __call__(self, value: Any, effect: Effect, state: State, lookup: Lookup) -> Any:
        """Return the slot's next value."""


_STATE_PATH = re.compile(r"([a-z][\w.]*)\[(.+)\]((?:\.\w+)+)")
_CURRENT = re.compile(r"\{([a-z_.]+)\}")
_OPS: Final = (
    "is", "not", "in", "not_in", "glob", "prefix", "contains", "mentions", "any_of", "all_of", "gt", "ge", "lt", "le",
    "exists",
)  # fmt: skip
_OPERANDS: Final[dict[str, tuple[Any, str]]] = {
    "glob": (str, "a text"),
    "prefix": (str, "a text"),
    "contains": (str | int, "a text or a number"),
    **dict.fromkeys(("gt", "ge", "lt", "le"), (str | int, "a text or a whole number")),
    "exists": (bool, "true or false"),
}
_NUMBERS: Final = ("amount", "count", "step")
_TEMPORAL: Final = ("once", "before", "without", "since", "count", "sum", "covered")
_OPERATORS: Final = ("all", "any", "not", "state", "latest", "rows", "every", "pairs", *_TEMPORAL)


class Program:
    """A set of compiled conditions that share past-time slots.

    Args:
        tables: Table name -> record type, to refuse unknown tables and fields; None checks nothing.
    """

    def __init__(self, tables: Mapping[str, type] | None = None) -> None:
        self._tables = tables
        self._slots: list[tuple[Any, _Slot, bool]] = []
        self._by_kind: dict[str, list[int]] = {kind: [] for kind in KINDS}
        self._by_object: dict[tuple[str, str], list[int]] = {}  # slots whose event names one object
        self._by_touch: dict[str, dict[str, list[int]]] = {}  # slots whose event names one uri that it touches
        self._used_tables: dict[str, None] = {}
        self._used_slots: list[int] = []

    def start(self) -> State:
        """Return the state before any effect."""
        return [initial for initial, _, _ in self._slots]

    def observe(self, state: State, effect: Effect, lookup: Lookup) -> bool:
        """Move the slots of `state` (which the caller owns) by one effect; return whether any moved."""
        slots = self._slots
        kind = effect.kind
        concerned: Sequence[int] = self._by_kind[kind]
        named = self._by_object.get((kind, effect.object))
        if named is not None:
            concerned = [*concerned, *named]
        touches = self._by_touch.get(kind)
        if touches is not None:
            touched = [i for uri in (effect.object, *effect.covers) if uri in touches for i in touches[uri]]
            if touched:
                concerned = [*concerned, *touched]
        moved = False
        for index in concerned:
            before = state[index]
            if before is True and slots[index][2]:
                continue
            after = slots[index][1](before, effect, state, lookup)
            if after is not before:
                state[index] = after
                moved = True
        return moved

    def compile(self, source: object, mode: Mode = "event") -> Condition:
        """Return the closure of a condition.

        In mode "history" a bare event means `once`: it has happened by now.

        Raises:
            ConditionError: The condition is malformed, or names an unknown field, kind, table or operator.
        """
        return self.compile_watched(source, mode).condition

    def compile_watched(self, source: object, mode: Mode = "event") -> Watched:
        """Return the closure of a condition with the tables and slots that its value rests on.

        Raises:
            ConditionError: As `compile`.
        """
        self._used_tables, self._used_slots = {}, []
        condition = self._condition(source, mode, ())
        return Watched(condition, tuple(self._used_tables), tuple(self._used_slots))

    # ---- forms

    def _condition(self, source: object, mode: Mode, path: tuple[str | int, ...]) -> Condition:
        if source == "always":
            return _always
        if source == "never":
            return _never
        if not isinstance(source, Mapping):
            raise ConditionError(f"expected a condition (a mapping, 'always' or 'never'), found {source!r}", path)
        if "effect" in source:
            if mode == "history":
                return self._once(source, path)
            kinds, test = self._event(source, path)
            return partial(_current, kinds, test)
        operators = [key for key in source if key in _OPERATORS]
        if len(operators) > 1 and "not" in operators:  # beside an operator, `not` is a test
            operators.remove("not")
        if len(operators) != 1:
            raise ConditionError(
                f"expected 'effect' or exactly one of {', '.join(_OPERATORS)}; found keys {sorted(map(str, source))}",
                path,
            )
        name = operators[0]
        return cast("Condition", getattr(self, f"_{name}_form")(source, mode, path))

    def _all_form(self, source: Mapping[str, Any], mode: Mode, path: tuple[str | int, ...]) -> Condition:
        parts = self._list(source, "all", mode, path)
        return lambda effect, state, lookup: all(part(effect, state, lookup) for part in parts)

    def _any_form(self, source: Mapping[str, Any], mode: Mode, path: tuple[str | int, ...]) -> Condition:
        parts = self._list(source, "any", mode, path)
        return lambda effect, state, lookup: any(part(effect, state, lookup) for part in parts)

    def _not_form(self, source: Mapping[str, Any], mode: Mode, path: tuple[str | int, ...]) -> Condition:
        _only(source, {"not"}, path)
        part = self._condition(source["not"], mode, (*path, "not"))
        return lambda effect, state, lookup: not part(effect, state, lookup)

    def _list(self, source: Mapping[str, Any], name: str, mode: Mode, path: tuple[str | int, ...]) -> list[Condition]:
        _only(source, {name}, path)
        if not isinstance(source[name], list) or not source[name]:
            raise ConditionError(f"{name!r} takes a non-empty list of conditions", path)
        return [self._condition(part, mode, (*path, name, i)) for i, part in enumerate(source[name])]

    def _state_form(self, source: Mapping[str, Any], mode: Mode, path: tuple[str | int, ...]) -> Condition:
        found = _STATE_PATH.fullmatch(str(source["state"]))
        if found is None:
            raise ConditionError(f"expected table[key].field, found {source['state']!r}", (*path, "state"))
        table, key, field = found[1], found[2], found[3][1:]
        self._check(table, (field,), (*path, "state"))
        test = _inline_test(source, {"state"}, path)
        return lambda effect, state, lookup: test(_field(lookup.row(table, key), field))

    def _latest_form(self, source: Mapping[str, Any], mode: Mode, path: tuple[str | int, ...]) -> Condition:
        table, where = self._selection(source["latest"], (*path, "latest"), {"by"})
        by = source["latest"].get("by")
        field = source.get("field")
        if not isinstance(field, str):
            raise ConditionError("'latest' needs field: <name>", path)
        self._check(table, (field, *([by] if by else [])), path)
        test = _inline_test(source, {"latest", "field"}, path)

        def latest(effect: Effect | None, state: State, lookup: Lookup) -> bool:
            rows = [row for row in lookup.rows(table) if where(row)]
            if not rows:
                return test(None)
            row = rows[-1] if by is None else max(reversed(rows), key=lambda r: _order(_field(r, by)))
            return test(_field(row, field))

        return latest

    def _rows_form(self, source: Mapping[str, Any], mode: Mode, path: tuple[str | int, ...]) -> Condition:
        table, where = self._selection(source["rows"], (*path, "rows"))
        test = _inline_test(source, {"rows"}, path, default={"ge": 1})
        return lambda effect, state, lookup: test(sum(1 for row in lookup.rows(table) if where(row)))

    def _every_form(self, source: Mapping[str, Any], mode: Mode, path: tuple[str | int, ...]) -> Condition:
        _only(source, {"every"}, path)
        table, where = self._selection(source["every"], (*path, "every"), {"that"})
        if source["every"].get("that") is None:
            raise ConditionError("'every' needs that: {field: test}", (*path, "every"))
        that = self._record_test(source["every"]["that"], table, (*path, "every", "that"))
        return lambda effect, state, lookup: all(that(row) for row in lookup.rows(table) if where(row))

    def _pairs_form(self, source: Mapping[str, Any], mode: Mode, path: tuple[str | int, ...]) -> Condition:
        """At least `at_least` pairs in which the first has a value of `first` and the second one of `second`."""
        _only(source, {"pairs"}, path)
        spec = source["pairs"]
        needed = ("table", "of", "field", "first", "second", "at_least")
        _only(spec, {*needed, "reverse_at_most"}, (*path, "pairs"), needed)
        if not isinstance(spec["of"], list) or not all(
            isinstance(pair, list) and len(pair) == 2 for pair in spec["of"]
        ):
            raise ConditionError(f"expected a list of pairs of keys, found {spec['of']!r}", (*path, "pairs", "of"))
        for name in ("first", "second"):
            if not isinstance(spec[name], list):
                raise ConditionError(f"{name!r} takes a list of values", (*path, "pairs", name))
        table, field = str(spec["table"]), str(spec["field"])
        self._check(table, (field,), (*path, "pairs"))
        couples = [(str(a), str(b)) for a, b in spec["of"]]
        first, second = tuple(spec["first"]), tuple(spec["second"])
        least = _whole(spec["at_least"], (*path, "pairs", "at_least"))
        reverse = _whole(spec.get("reverse_at_most", 0), (*path, "pairs", "reverse_at_most"))

        def unlike(effect: Effect | None, state: State, lookup: Lookup) -> bool:
            hits = against = 0
            for a, b in couples:
                one, other = _field(lookup.row(table, a), field), _field(lookup.row(table, b), field)
                hits += one in first and other in second
                against += one in second and other in first
            return hits >= least and against <= reverse

        return unlike

    # ---- past time

    def _once_form(self, source: Mapping[str, Any], mode: Mode, path: tuple[str | int, ...]) -> Condition:
        _only(source, {"once"}, path)
        return self._once(source["once"], (*path, "once"))

    def _before_form(self, source: Mapping[str, Any], mode: Mode, path: tuple[str | int, ...]) -> Condition:
        _only(source, {"before"}, path)
        return self._once(source["before"], (*path, "before"))

    def _without_form(self, source: Mapping[str, Any], mode: Mode, path: tuple[str | int, ...]) -> Condition:
        _only(source, {"without"}, path)
        happened = self._once(source["without"], (*path, "without"))
        return lambda effect, state, lookup: not happened(effect, state, lookup)

    def _once(self, source: object, path: tuple[str | int, ...]) -> Condition:
        if isinstance(source, Mapping) and "effect" not in source:
            if len(source) == 1 and next(iter(source)) in ("all", "any"):
                name = next(iter(source))
                if not isinstance(source[name], list) or not source[name]:
                    raise ConditionError(f"{name!r} takes a non-empty list of events", path)
                parts = [self._once(part, (*path, name, i)) for i, part in enumerate(source[name])]
                join = all if name == "all" else any
                return lambda effect, state, lookup: join(part(effect, state, lookup) for part in parts)
            raise ConditionError("past-time operators take events, or all/any of them", path)
        kinds, test, links = self._linked(source, path)
        if not links:
            index = self._slot(False, partial(_seen, kinds, test), kinds, latch=True, source=source)
            return lambda effect, state, lookup: bool(state[index])
        index = self._slot(NONE, partial(_seen_linked, kinds, test, [past for past, _ in links]), kinds)
        currents = [current for _, current in links]

        def linked(effect: Effect | None, state: State, lookup: Lookup) -> bool:
            return effect is not None and state[index].get(tuple([get(effect) for get in currents])) is not None

        return linked

    def _since_form(self, source: Mapping[str, Any], mode: Mode, path: tuple[str | int, ...]) -> Condition:
        """The event has happened, and `reset` has not happened after it."""
        _only(source, {"since"}, path)
        spec = source["since"]
        _only(spec, {"event", "reset"}, (*path, "since"), ("event", "reset"))
        kinds, test, links = self._linked(spec["event"], (*path, "since", "event"))
        reset_kinds, reset, reset_links = self._linked(spec["reset"], (*path, "since", "reset"))
        union = _union(kinds, reset_kinds)
        if links or reset_links:
            return self._since_linked((kinds, test, links), (reset_kinds, reset, reset_links), union)

        def moved(value: bool, effect: Effect, state: State, lookup: Lookup) -> bool:
            if effect.kind in kinds and test(effect):
                return True
            return False if effect.kind in reset_kinds and reset(effect) else value

        index = self._slot(False, moved, union)
        return lambda effect, state, lookup: bool(state[index])

    def _since_linked(self, event: _Linked, reset: _Linked, kinds: tuple[str, ...]) -> Condition:
        """Each event and each reset counts for the values that its references name in the current effect."""
        parts = [(known, test, [past for past, _ in links]) for known, test, links in (event, reset)]
        currents, against = ([current for _, current in links] for _, _, links in (event, reset))

        def moved(value: tuple[int, Grown, Grown], effect: Effect, state: State, lookup: Lookup) -> object:
            number = value[0] + 1
            seen = [
                part.put(_keys(pasts, effect), number) if effect.kind in known and test(effect) else part
                for part, (known, test, pasts) in zip(value[1:], parts, strict=True)
            ]
            return value if seen[0] is value[1] and seen[1] is value[2] else (number, *seen)

        index = self._slot((0, NONE, NONE), moved, kinds)

        def since(effect: Effect | None, state: State, lookup: Lookup) -> bool:
            if effect is None:
                return False
            _, events, resets = state[index]
            happened = events.get(tuple([get(effect) for get in currents]))
            undone = resets.get(tuple([get(effect) for get in against]))
            return happened is not None and (undone is None or happened >= undone)

        return since

    def _count_form(self, source: Mapping[str, Any], mode: Mode, path: tuple[str | int, ...]) -> Condition:
        kinds, test = self._event(source["count"], (*path, "count"))
        wanted = _inline_test(source, {"count"}, path)
        index = self._slot(
            0, lambda value, effect, state, lookup: value + bool(effect.kind in kinds and test(effect)), kinds
        )
        return lambda effect, state, lookup: wanted(state[index])

    def _sum_form(self, source: Mapping[str, Any], mode: Mode, path: tuple[str | int, ...]) -> Condition:
        spec = source["sum"]
        _only(spec, {"of", "event"}, (*path, "sum"), ("of", "event"))
        kinds, test = self._event(spec["event"], (*path, "sum", "event"))
        if spec["of"] not in _NUMBERS and not str(spec["of"]).startswith("data."):
            raise ConditionError(
                f"expected a number to add, {', '.join(_NUMBERS)} or data.…, found {spec['of']!r}", (*path, "sum", "of")
            )
        of = _effect_field(str(spec["of"]), (*path, "sum", "of"))
        wanted = _inline_test(source, {"sum"}, path)

        def add(value: int, effect: Effect, state: State, lookup: Lookup) -> int:
            number = of(effect) if effect.kind in kinds and test(effect) else None
            return value + number if isinstance(number, int) else value

        index = self._slot(0, add, kinds)
        return lambda effect, state, lookup: wanted(state[index])

    def _covered_form(self, source: Mapping[str, Any], mode: Mode, path: tuple[str | int, ...]) -> Condition:
        """The start–end intervals of the matching events together cover from–to, with gaps of at most `slack`."""
        _only(source, {"covered"}, path)
        spec = source["covered"]
        _only(spec, {"event", "from", "to", "slack"}, (*path, "covered"), ("event", "from", "to"))
        kinds, test = self._event(spec["event"], (*path, "covered", "event"))
        slack = _whole(spec.get("slack", 0), (*path, "covered", "slack"))
        try:
            first, last = minutes(str(spec["from"])), minutes(str(spec["to"]))
        except ValueError as error:
            raise ConditionError(str(error), (*path, "covered")) from None

        def keep(value: tuple[Any, ...], effect: Effect, state: State, lookup: Lookup) -> tuple[Any, ...]:
            if effect.kind not in kinds or not effect.start or not effect.end or not test(effect):
                return value
            return tuple(sorted({*value, (minutes(effect.start), minutes(effect.end))}))

        index = self._slot((), keep, kinds)

        def covered(effect: Effect | None, state: State, lookup: Lookup) -> bool:
            reached = first
            for start, end in state[index]:
                if start > reached + slack:
                    break
                reached = max(reached, end)
            return bool(reached + slack >= last)

        return covered

    def _slot(
        self,
        initial: object,
        update: Callable[..., Any],
        kinds: tuple[str, ...],
        *,
        latch: bool = False,
        source: object = None,
    ) -> int:
        """Add a slot; a latch stays True once it is. An event that names one object is looked up by it."""
        self._slots.append((initial, cast("_Slot", update), latch))
        index = len(self._slots) - 1
        anchors = source if isinstance(source, Mapping) else {}
        for kind in kinds:
            if isinstance(anchors.get("object"), str):
                self._by_object.setdefault((kind, anchors["object"]), []).append(index)
            elif isinstance(anchors.get("touches"), str):
                self._by_touch.setdefault(kind, {}).setdefault(anchors["touches"], []).append(index)
            else:
                self._by_kind[kind].append(index)
        self._used_slots.append(index)
        return index

    # ---- events and records

    def _event(self, source: object, path: tuple[str | int, ...]) -> tuple[tuple[str, ...], Callable[[Effect], bool]]:
        kinds, test, links = self._linked(source, path)
        if links:
            raise ConditionError("'{field}' references are possible in once, before, without and since only", path)
        return kinds, test

    def _linked(self, source: object, path: tuple[str | int, ...]) -> _Linked:
        if not isinstance(source, Mapping) or "effect" not in source:
            raise ConditionError(f"expected an event {{effect: …}}, found {source!r}", path)
        named = source["effect"]
        kinds = KINDS if named == "any" else tuple(dict.fromkeys(named)) if _names(named) else (str(named),)
        for kind in kinds:
            if kind not in KINDS:
                raise ConditionError(f"unknown effect {kind!r}; known: {', '.join(KINDS)}", (*path, "effect"))
        tests: list[Callable[[Effect], bool]] = []
        links: list[tuple[Callable[[Effect], tuple[Any, ...]], Callable[[Effect], Any]]] = []
        for field, spec in source.items():
            at = (*path, str(field))
            if field == "effect":
                continue
            if field == "where":
                if not isinstance(spec, Mapping):
                    raise ConditionError(f"expected {{name: test}} over an effect's data, found {spec!r}", at)
                for name, inner in spec.items():
                    tests.append(partial(_test_data, str(name), make_test(inner, (*at, str(name)))))
                continue
            reference = _CURRENT.fullmatch(spec) if isinstance(spec, str) else None
            if reference is not None:
                current = _effect_field(reference[1], at)
                links.append((_touched if field == "touches" else _single(_effect_field(field, at)), current))
            elif field == "touches":
                tests.append(partial(_test_touches, make_test(spec, at)))
            else:
                tests.append(partial(_test_field, _effect_field(str(field), at), make_test(spec, at)))
        if len(tests) == 1:
            return kinds, tests[0], links
        if len(tests) == 2:
            first, second = tests
            return kinds, lambda effect: first(effect) and second(effect), links
        return kinds, lambda effect: all(test(effect) for test in tests), links

    def _selection(self, spec: object, path: tuple[str | int, ...], extra: Set[str] = frozenset()) -> tuple[str, Test]:
        if not isinstance(spec, Mapping) or "table" not in spec:
            raise ConditionError("expected {table: …, where: …}", path)
        _only(spec, {"table", "where", *extra}, path)
        table = str(spec["table"])
        self._check(table, (), path)
        return table, self._record_test(spec.get("where"), table, (*path, "where"))

    def _record_test(self, spec: object, table: str, path: tuple[str | int, ...]) -> Test:
        """A mapping of field -> test, or all/any/not of such."""
        if spec is None:
            return lambda row: True
        if not isinstance(spec, Mapping):
            raise ConditionError(f"expected field tests, found {spec!r}", path)
        parts: list[Test] = []
        for field, inner in spec.items():
            at = (*path, str(field))
            if field in ("all", "any"):
                if not isinstance(inner, list) or not inner:
                    raise ConditionError(f"{field!r} takes a non-empty list of field tests", at)
                tests = [self._record_test(part, table, (*at, i)) for i, part in enumerate(inner)]
                parts.append(partial(_join, all if field == "all" else any, tests))
            elif field == "not":
                parts.append(partial(_negate, self._record_test(inner, table, at)))
            else:
                self._check(table, (str(field),), at)
                parts.append(_row_test(str(field), inner, at))
        if len(parts) == 1:
            return parts[0]
        if len(parts) == 2:
            first, second = parts
            return lambda row: first(row) and second(row)
        return partial(_join, all, parts)

    def _check(self, table: str, fields: tuple[str, ...], path: tuple[str | int, ...]) -> None:
        self._used_tables[table] = None
        if self._tables is None:
            return
        record = self._tables.get(table)
        if record is None:
            raise ConditionError(f"unknown table {table!r}; this world has {', '.join(sorted(self._tables))}", path)
        known = getattr(record, "__struct_fields__", ())
        for field in fields:
            if field.partition(".")[0] not in known:
                raise ConditionError(f"table {table!r} has no field {field!r}; it has {', '.join(known)}", path)


def event_kinds(source: object) -> tuple[str, ...]:
    """Return the kinds of effects of which a condition over the current effect can be true at all."""
    if isinstance(source, Mapping):
        if "effect" in source:
            named = source["effect"]
            return KINDS if named == "any" else tuple(dict.fromkeys(named)) if _names(named) else (str(named),)
        if set(source) == {"all"}:
            parts = [set(event_kinds(part)) for part in source["all"]]
            return tuple(kind for kind in KINDS if all(kind in part for part in parts))
        if set(source) == {"any"}:
            parts = [set(event_kinds(part)) for part in source["any"]]
            return tuple(kind for kind in KINDS if any(kind in part for part in parts))
    return KINDS


def make_test(spec: object, path: tuple[str | int, ...] = ()) -> Test:
    """Return the closure of a test over one value.

    Raises:
        ConditionError: An unknown operator, or an operand of the wrong type.
    """
    if isinstance(spec, list):
        return partial(_is_in, tuple(spec))
    if not isinstance(spec, Mapping):
        return partial(_equals, spec)
    tests = []
    for name, operand in spec.items():
        if name not in _OPS:
            raise ConditionError(f"unknown test {name!r}; known: {', '.join(_OPS)}", path)
        if name in ("in", "not_in", "any_of", "all_of", "mentions") and not isinstance(operand, list):
            raise ConditionError(f"{name!r} takes a list", (*path, name))
        kind, expected = _OPERANDS.get(name, (object, ""))
        if not isinstance(operand, kind):
            raise ConditionError(f"{name!r} takes {expected}, found {operand!r}", (*path, name))
        tests.append(partial(_TESTS[name], tuple(operand) if isinstance(operand, list) else operand))
    if not tests:
        raise ConditionError("an empty test", path)
    return tests[0] if len(tests) == 1 else partial(_join, all, tests)


def _inline_test(
    source: Mapping[str, Any], others: set[str], path: tuple[str | int, ...], default: object = None
) -> Test:
    spec = {key: value for key, value in source.items() if key not in others}
    if not spec:
        if default is None:
            raise ConditionError(f"expected a test beside {sorted(others)}, one of {', '.join(_OPS)}", path)
        return make_test(default, path)
    return make_test(spec, path)


def _only(
    source: Mapping[str, Any], known: set[str], path: tuple[str | int, ...], needed: tuple[str, ...] = ()
) -> None:
    if not isinstance(source, Mapping):
        raise ConditionError(f"expected a mapping with {sorted(known)}, found {source!r}", path)
    extra = sorted(str(key) for key in source if key not in known)
    if extra:
        raise ConditionError(f"unknown keys {extra}; known here: {sorted(known)}", path)
    missing = [key for key in needed if key not in source]
    if missing:
        raise ConditionError(f"expected {', '.join(needed)}; missing: {', '.join(missing)}", path)


def _whole(value: object, path: tuple[str | int, ...]) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConditionError(f"expected a whole number, found {value!r}", path)
    return value


def _names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _effect_field(name: str, path: tuple[str | int, ...]) -> Callable[[Effect], Any]:
    if name.startswith("data."):
        key = name.removeprefix("data.")
        return lambda effect: effect.data.get(key)
    if name not in EFFECT_FIELDS:
        raise ConditionError(
            f"effects have no field {name!r}; they have {', '.join(EFFECT_FIELDS)}, touches, where", path
        )
    return attrgetter(name)


def _field(row: object, path: str) -> Any:
    value: Any = row
    for part in path.split("."):
        if value is None:
            return None
        value = value.get(part) if isinstance(value, Mapping) else getattr(value, part, None)
    return value


def _order(value: Any) -> tuple[bool, Any]:
    """None comes before everything."""
    return (value is not None, 0 if value is None else value)


def _always(effect: Effect | None, state: State, lookup: Lookup) -> bool:
    return True


def _never(effect: Effect | None, state: State, lookup: Lookup) -> bool:
    return False


def _current(
    kinds: tuple[str, ...],
    test: Callable[[Effect], bool],
    effect: Effect | None,
    state: State,
    lookup: Lookup,
) -> bool:
    return effect is not None and effect.kind in kinds and test(effect)


def _seen(
    kinds: tuple[str, ...],
    test: Callable[[Effect], bool],
    value: bool,
    effect: Effect,
    state: State,
    lookup: Lookup,
) -> bool:
    return value or (effect.kind in kinds and test(effect))


def _seen_linked(
    kinds: tuple[str, ...],
    test: Callable[[Effect], bool],
    pasts: list[Callable[[Effect], tuple[Any, ...]]],
    value: Grown,
    effect: Effect,
    state: State,
    lookup: Lookup,
) -> Grown:
    return value.put(_keys(pasts, effect), effect.step) if effect.kind in kinds and test(effect) else value


def _keys(pasts: Sequence[Callable[[Effect], tuple[Any, ...]]], effect: Effect) -> list[tuple[Any, ...]]:
    keys: list[tuple[Any, ...]] = [()]
    for past in pasts:
        keys = [(*key, item) for key in keys for item in past(effect)]
    return keys


def _single(getter: Callable[[Effect], Any]) -> Callable[[Effect], tuple[Any, ...]]:
    return lambda effect: (getter(effect),)


def _touched(effect: Effect) -> tuple[Any, ...]:
    return (effect.object, *effect.covers)


def _test_field(getter: Callable[[Effect], Any], test: Test, effect: Effect) -> bool:
    return test(getter(effect))


def _test_data(name: str, test: Test, effect: Effect) -> bool:
    return test(effect.data.get(name))


def _test_touches(test: Test, effect: Effect) -> bool:
    return test(effect.object) or any(test(uri) for uri in effect.covers)


def _row_test(field: str, spec: object, path: tuple[str | int, ...]) -> Test:
    """Return the closure of a test over one field of a record; equality over a plain field is the quick one."""
    test = make_test(spec, path)
    if "." in field:
        return lambda row: test(_field(row, field))
    get = attrgetter(field)
    if not isinstance(spec, Mapping | list):
        return lambda row: bool(get(row) == spec)
    return lambda row: test(get(row))


def _join(join: Callable[[Any], bool], tests: Sequence[Test], value: object) -> bool:
    return join(test(value) for test in tests)


def _negate(test: Test, value: object) -> bool:
    return not test(value)


def _union(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))


def _equals(operand: object, value: object) -> bool:
    return value == operand


def _is_in(operand: tuple[object, ...], value: object) -> bool:
    return value in operand


def _contains(operand: object, value: Any) -> bool:
    if isinstance(value, str):
        return isinstance(operand, str) and operand in value
    return isinstance(value, tuple | list) and operand in value


def _ordered(operand: object, value: object) -> bool:
    """Whether two values can be compared: both text, or both numbers."""
    return isinstance(value, str) if isinstance(operand, str) else isinstance(value, int)


_TESTS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "is": _equals,
    "not": lambda operand, value: value != operand,
    "in": _is_in,
    "not_in": lambda operand, value: value not in operand,
    "glob": lambda operand, value: isinstance(value, str) and fnmatchcase(value, operand),
    "prefix": lambda operand, value: isinstance(value, str) and value.startswith(operand),
    "contains": _contains,
    "mentions": lambda operand, value: isinstance(value, str) and any(str(t).lower() in value.lower() for t in operand),
    "any_of": lambda operand, value: any(_contains(item, value) for item in operand),
    "all_of": lambda operand, value: all(_contains(item, value) for item in operand),
    "gt": lambda operand, value: _ordered(operand, value) and value > operand,
    "ge": lambda operand, value: _ordered(operand, value) and value >= operand,
    "lt": lambda operand, value: _ordered(operand, value) and value < operand,
    "le": lambda operand, value: _ordered(operand, value) and value <= operand,
    "exists": lambda operand, value: (value is not None) == operand,
}
