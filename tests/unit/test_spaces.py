"""Spaces of calls and observations."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from impress_env.spaces import ActionSpace, ObservationSpace, sample_arguments
from impress_env.tool import ToolSet
from impress_env.types import Action, ToolCall, ToolSchema

TOOLS = ToolSet(["files", "tickets", "people", "work", "mail", "chat"])


def space(seed: int | None = 7) -> ActionSpace:
    return ActionSpace(TOOLS.schemas, seed=seed)


def test_samples_are_calls_that_the_tools_own_models_accept():
    actions = space()
    drawn = [actions.sample() for _ in range(600)]
    for call in drawn:
        TOOLS.get(call["tool"]).model.model_validate(call["arguments"])
    assert {call["tool"] for call in drawn} == set(TOOLS.tools)
    assert any(len(call["arguments"]) > 2 for call in drawn)


def test_the_same_seed_gives_the_same_samples():
    first, second = space(), space()
    other = space(8)
    runs = [[s.sample() for _ in range(20)] for s in (first, second, other)]
    assert runs[0] == runs[1] != runs[2]


def test_samples_draw_from_the_space_alone():
    random.seed(1)
    np.random.seed(1)
    first = [space().sample() for _ in range(5)]
    random.seed(2)
    np.random.seed(2)
    assert [space().sample() for _ in range(5)] == first


def test_a_mask_limits_the_tools():
    actions = space()
    assert {actions.sample(mask={"work.wait", "files.list"})["tool"] for _ in range(60)} == {"work.wait", "files.list"}


@pytest.mark.parametrize("action", ["Hello", "", {"tool": "x"}, {}, Action(message="x"), ToolCall(tool="x")])
def test_whatever_step_reads_is_contained(action):
    assert space().contains(action)


@pytest.mark.parametrize("action", [None, 5, b"x", ["x"]])
def test_what_step_cannot_read_is_not(action):
    assert not space().contains(action)


def test_spaces_of_the_same_tools_are_equal():
    assert space(1) == space(2)
    assert space() != ActionSpace(TOOLS.schemas[1:])
    assert space() != ObservationSpace()
    assert ObservationSpace() == ObservationSpace()


def test_texts_and_calls_have_no_fixed_size():
    assert not space().is_np_flattenable
    assert not ObservationSpace().is_np_flattenable


def test_an_observation_has_its_fields_and_their_types():
    observations = ObservationSpace()
    whole = observations.sample()
    assert observations.contains(whole)
    assert observations.contains({**whole, "result": None, "error": {"code": "not_found"}, "task": "x"})
    for field, wrong in [("text", 5), ("result", {}), ("error", "x"), ("events", ()), ("time", None)]:
        assert not observations.contains({**whole, field: wrong}), field
        assert not observations.contains({key: value for key, value in whole.items() if key != field}) or field in (
            "result",
            "error",
        )
    assert not observations.contains("text")


def samples(schema: dict[str, Any], count: int = 200) -> list[Any]:
    whole = {"properties": {"x": schema}, "required": ["x"]}
    return [sample_arguments(whole, np.random.default_rng(seed))["x"] for seed in range(count)]


@pytest.mark.parametrize(
    ("schema", "fits"),
    [
        ({"type": "integer"}, lambda x: type(x) is int and x >= 1),
        ({"type": "integer", "minimum": 5}, lambda x: x >= 5),
        ({"type": "integer", "maximum": 0}, lambda x: x <= 0),
        ({"type": "integer", "exclusiveMaximum": 3}, lambda x: x < 3),
        ({"type": "integer", "exclusiveMinimum": 9}, lambda x: x > 9),
        ({"type": "integer", "minimum": -3, "maximum": -2}, lambda x: x in (-3, -2)),
        ({"type": "integer", "minimum": 10, "maximum": 10**12}, lambda x: 10 <= x <= 10**12),
        ({"type": "number"}, lambda x: type(x) is float),
        ({"type": "number", "minimum": 30, "maximum": 31}, lambda x: 30 <= x <= 31),
        ({"type": "boolean"}, lambda x: type(x) is bool),
        ({"type": "null"}, lambda x: x is None),
        ({"type": "string"}, lambda x: type(x) is str and x),
        ({"type": "string", "minLength": 12}, lambda x: len(x) >= 12),
        ({"type": "string", "maxLength": 2}, lambda x: len(x) <= 2),
        ({"enum": ["a", "b"]}, lambda x: x in ("a", "b")),
        ({"const": "a"}, lambda x: x == "a"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, lambda x: x is None or type(x) is int),
        ({"type": "array", "items": {"enum": ["a"]}}, lambda x: set(x) <= {"a"}),
        ({"type": "array", "minItems": 4}, lambda x: len(x) >= 4),
        ({"type": "array", "maxItems": 1}, lambda x: len(x) <= 1),
        ({"type": "object", "properties": {"a": {"const": 1}, "b": {"const": 2}}, "required": ["a"]},
         lambda x: x == {"a": 1}),
    ],
)  # fmt: skip
def test_a_sampled_value_is_valid_under_its_schema(schema, fits):
    assert [value for value in samples(schema) if not fits(value)] == []


def test_required_arguments_are_always_there_and_others_now_and_then():
    schema = {"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a"]}
    drawn = [sample_arguments(schema, np.random.default_rng(seed)) for seed in range(300)]
    assert all("a" in arguments for arguments in drawn)
    assert 50 < sum("b" in arguments for arguments in drawn) < 150


def test_a_schema_that_nests_without_end_is_cut():
    schema: dict[str, Any] = {"type": "object", "required": ["x"]}
    schema["properties"] = {"x": schema}
    tool = ToolSchema("a.b", "", {"properties": {"x": schema}, "required": ["x"]})
    assert ActionSpace([tool], seed=1).sample()["tool"] == "a.b"
