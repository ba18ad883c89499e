"""Past-time conditions against a plain reading of the whole history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from impress_env.clock import iso, minutes
from impress_env.effects import Effect
from impress_env.match import Program, make_test

CORE = settings(max_examples=250, deadline=None, derandomize=True)
START = minutes("2026-11-19T09:00")


class Nothing:
    """A lookup without tables."""

    def rows(self, table: str) -> Sequence[object]:
        return ()

    def row(self, table: str, key: str) -> object | None:
        return None


LOOKUP = Nothing()
KINDS = st.sampled_from(["read", "send", "pay", "verify"])
OBJECTS = st.sampled_from(["a://1", "a://2", "b://1"])
SPANS = st.tuples(st.integers(-20, 80), st.integers(-5, 50)).map(
    lambda s: (iso(START + s[0]), iso(START + s[0] + s[1]))
)
EFFECTS = st.builds(
    lambda kind, object, covers, amount, outcome, page, span: Effect(
        kind=kind,
        object=object,
        covers=covers,
        amount=amount,
        outcome=outcome,
        data={} if page is None else {"page": page},
        start=span[0],
        end=span[1],
    ),
    KINDS,
    OBJECTS,
    st.lists(OBJECTS, max_size=2).map(tuple),
    st.none() | st.integers(-5, 50),
    st.sampled_from(["", "passed", "failed"]),
    st.none() | st.integers(1, 3),
    SPANS | st.sampled_from([("", ""), (iso(START), "")]),
)
HISTORY = st.lists(EFFECTS, max_size=10)

EVENTS = st.fixed_dictionaries(
    {"effect": KINDS | st.lists(KINDS, min_size=1, max_size=3) | st.just("any")},
    optional={
        "object": OBJECTS | st.sampled_from([{"prefix": "a://"}, {"glob": "*://1"}]),
        "touches": OBJECTS | st.just({"prefix": "b://"}),
        "outcome": st.sampled_from(["passed", ["passed", "failed"], {"not": "failed"}]),
        "amount": st.sampled_from([{"ge": 10}, {"lt": 0}, {"exists": True}, {"gt": 3, "le": 20}]),
        "where": st.sampled_from([{"page": 2}, {"page": {"ge": 2}}, {"page": {"exists": False}}]),
    },
)
TESTS = st.sampled_from([{"is": 0}, {"ge": 1}, {"ge": 2}, {"lt": 3}, {"in": [1, 3]}, {"gt": 2, "le": 4}])


def matches(event: dict[str, Any], effect: Effect) -> bool:
    """An event read plainly, one effect at a time."""
    named = event["effect"]
    if named != "any" and effect.kind not in ([named] if isinstance(named, str) else named):
        return False
    for field, spec in event.items():
        if field == "touches":
            if not any(make_test(spec)(uri) for uri in (effect.object, *effect.covers)):
                return False
        elif field == "where":
            if not all(make_test(inner)(effect.data.get(name)) for name, inner in spec.items()):
                return False
        elif field != "effect" and not make_test(spec)(getattr(effect, field)):
            return False
    return True


def agree(source: dict[str, Any], history: list[Effect], naive: Callable[[list[Effect], Effect | None], bool]) -> None:
    """After every prefix of the history, and before every next effect, both say the same."""
    program = Program()
    condition = program.compile(source, "history")
    state = program.start()
    for end in range(len(history) + 1):
        past = history[:end]
        for current in (None, *history[end : end + 1]):
            assert condition(current, state, LOOKUP) is naive(past, current), (source, end, current)
        if end < len(history):
            program.observe(state, history[end], LOOKUP)


@CORE
@given(EVENTS, HISTORY)
def test_once_before_and_without(event, history):
    def happened(past: list[Effect], current: Effect | None) -> bool:
        return any(matches(event, effect) for effect in past)

    agree({"once": event}, history, happened)
    agree({"before": event}, history, happened)
    agree(event, history, happened)
    agree({"without": event}, history, lambda past, current: not happened(past, current))


@CORE
@given(EVENTS, EVENTS, HISTORY)
def test_once_all_and_once_any(one, two, history):
    def seen(event: dict[str, Any], past: list[Effect]) -> bool:
        return any(matches(event, effect) for effect in past)

    agree({"once": {"all": [one, two]}}, history, lambda past, _: seen(one, past) and seen(two, past))
    agree({"once": {"any": [one, two]}}, history, lambda past, _: seen(one, past) or seen(two, past))
    agree({"all": [one, {"not": two}]}, history, lambda past, _: seen(one, past) and not seen(two, past))


@CORE
@given(EVENTS, st.sampled_from(["object", "outcome", "amount", "data.page"]), HISTORY)
def test_once_with_a_field_of_the_current_effect(event, field, history):
    def value(effect: Effect) -> Any:
        return effect.data.get("page") if field == "data.page" else getattr(effect, field)

    plain = {name: spec for name, spec in event.items() if name != field}
    agree(
        {"once": {**plain, field: f"{{{field}}}"}},
        history,
        lambda past, current: (
            current is not None and any(matches(plain, effect) and value(effect) == value(current) for effect in past)
        ),
    )


@CORE
@given(EVENTS, HISTORY)
def test_once_touching_the_current_object(event, history):
    plain = {name: spec for name, spec in event.items() if name != "touches"}
    agree(
        {"before": {**plain, "touches": "{object}"}},
        history,
        lambda past, current: (
            current is not None
            and any(matches(plain, effect) and current.object in (effect.object, *effect.covers) for effect in past)
        ),
    )


@CORE
@given(EVENTS, TESTS, HISTORY)
def test_count(event, test, history):
    wanted = make_test(test)
    agree({"count": event, **test}, history, lambda past, _: wanted(sum(matches(event, effect) for effect in past)))


@CORE
@given(EVENTS, st.sampled_from(["amount", "data.page"]), TESTS, HISTORY)
def test_sum(event, of, test, history):
    wanted = make_test(test)

    def number(effect: Effect) -> int:
        return (effect.amount if of == "amount" else effect.data.get("page")) or 0  # type: ignore[return-value]

    agree(
        {"sum": {"of": of, "event": event}, **test},
        history,
        lambda past, _: wanted(sum(number(effect) for effect in past if matches(event, effect))),
    )


@CORE
@given(EVENTS, EVENTS, HISTORY)
def test_since(event, reset, history):
    def naive(past: list[Effect], current: Effect | None) -> bool:
        for effect in reversed(past):
            if matches(event, effect):
                return True
            if matches(reset, effect):
                return False
        return False

    agree({"since": {"event": event, "reset": reset}}, history, naive)


@CORE
@given(EVENTS, EVENTS, st.sampled_from(["object", "outcome"]), st.booleans(), HISTORY)
def test_since_with_a_field_of_the_current_effect(event, reset, field, in_reset, history):
    plain = {name: spec for name, spec in event.items() if name != field}
    against = {name: spec for name, spec in reset.items() if name != field} if in_reset else reset

    def naive(past: list[Effect], current: Effect | None) -> bool:
        held = False
        for effect in past:
            if current is None:
                return False
            named = getattr(effect, field) == getattr(current, field)
            if matches(plain, effect) and named:
                held = True
            elif matches(against, effect) and (named or not in_reset):
                held = False
        return held and current is not None

    told = {**against, field: f"{{{field}}}"} if in_reset else against
    agree({"since": {"event": {**plain, field: f"{{{field}}}"}, "reset": told}}, history, naive)


@CORE
@given(EVENTS, st.integers(0, 30), st.integers(0, 60), st.integers(0, 12), HISTORY)
def test_covered(event, first, length, slack, history):
    """No stretch between `from` and `to` longer than the slack lies outside all intervals."""
    event = {name: spec for name, spec in event.items() if name in ("effect", "object")}
    start, end = START + first, START + first + length

    def naive(past: list[Effect], current: Effect | None) -> bool:
        spans = [
            (minutes(effect.start), minutes(effect.end))
            for effect in past
            if matches(event, effect) and effect.start and effect.end
        ]
        gap = 0
        for minute in range(start, end):
            inside = any(low <= minute < high for low, high in spans)
            gap = 0 if inside else gap + 1
            if gap > slack:
                return False
        return True

    source = {"covered": {"event": event, "from": iso(start), "to": iso(end), "slack": slack}}
    agree(source, history, naive)
