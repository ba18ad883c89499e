"""Gymnasium spaces of text and tool calls: cheap to make, cheap to check, with short schema-valid samples.

`gymnasium.spaces.Text` takes seconds to build over Unicode and milliseconds to check a long text, so these are our
own. Knows nothing of the env.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np
from gymnasium.spaces import Space

from impress_env.types import Action, ToolCall, ToolSchema

_WORDS: Final = ("note", "report", "status", "open", "today", "list", "update", "check", "review", "plan")


class ActionSpace(Space[Any]):
    """Everything `step` takes; a sample is the JSON-able dict of a schema-valid call.

    Args:
        schemas: The tools (name, description, parameters).
    """

    def __init__(self, schemas: Sequence[ToolSchema], seed: int | None = None) -> None:
        super().__init__(None, None, seed)
        self.schemas = tuple(schemas)

    def sample(self, mask: Collection[str] | None = None, probability: None = None) -> dict[str, Any]:
        """Return a random call of one of the tools (of those named in `mask`, where given)."""
        chosen = [tool for tool in self.schemas if mask is None or tool.name in mask]
        tool = chosen[int(self.np_random.integers(len(chosen)))] if chosen else self.schemas[0]
        return {"tool": tool.name, "arguments": sample_arguments(tool.parameters, self.np_random)}

    def contains(self, x: object) -> bool:
        """Return whether `step` reads it as an action at all: text, a mapping, an `Action` or a `ToolCall`."""
        return isinstance(x, str | Mapping | Action | ToolCall)

    @property
    def is_np_flattenable(self) -> bool:
        """Calls have no fixed size."""
        return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActionSpace) and [t.name for t in self.schemas] == [t.name for t in other.schemas]

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"ActionSpace({len(self.schemas)} tools)"


class ObservationSpace(Space[Any]):
    """The observations of a scenario."""

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(None, None, seed)

    def sample(self, mask: None = None, probability: None = None) -> dict[str, Any]:
        """Return an observation of no content."""
        return {"text": "", "result": "", "error": None, "events": [], "time": "1970-01-01T00:00"}

    def contains(self, x: object) -> bool:
        """Return whether it has an observation's fields and types."""
        return (
            isinstance(x, Mapping)
            and isinstance(x.get("text"), str)
            and isinstance(x.get("result"), str | None)
            and isinstance(x.get("error"), Mapping | None)
            and isinstance(x.get("events"), list)
            and isinstance(x.get("time"), str)
        )

    @property
    def is_np_flattenable(self) -> bool:
        """Texts have no fixed size."""
        return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObservationSpace)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return "ObservationSpace()"


def sample_arguments(schema: Mapping[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Return arguments valid under a tool's schema: the required ones, and each other one with chance 0.3."""
    required = schema.get("required", ())
    return {
        name: _sample(part, rng, 0)
        for name, part in schema.get("properties", {}).items()
        if name in required or rng.random() < 0.3
    }


def _sample(schema: Mapping[str, Any], rng: np.random.Generator, depth: int) -> Any:
    for key in ("enum", "anyOf"):
        if key in schema:
            chosen = schema[key][int(rng.integers(len(schema[key])))]
            return chosen if key == "enum" else _sample(chosen, rng, depth)
    if "const" in schema:
        return schema["const"]
    match schema.get("type"):
        case "string":
            word = _WORDS[int(rng.integers(len(_WORDS)))]
            return word.ljust(int(schema.get("minLength", 0)), "x")[: schema.get("maxLength")]
        case "integer":
            highest = schema.get("maximum", schema.get("exclusiveMaximum", 2**63) - 1)
            low = int(schema.get("minimum", schema.get("exclusiveMinimum", min(1, highest) - 1) + 1))
            return int(rng.integers(low, max(min(low + 20, int(highest)), low) + 1))
        case "number":
            low, high = schema.get("minimum", 0.0), schema.get("maximum", schema.get("minimum", 0.0) + 20)
            return min(round(low + float(rng.random()) * (high - low), 1), high)
        case "boolean":
            return bool(rng.integers(2))
        case "array":
            count = max(int(schema.get("minItems", 0)), int(rng.integers(0, 3)))
            count = min(count, int(schema.get("maxItems", count)))
            return [_sample(schema.get("items", {"type": "string"}), rng, depth + 1) for _ in range(count)]
        case "object" if depth < 6:
            required = schema.get("required", ())
            return {k: _sample(v, rng, depth + 1) for k, v in schema.get("properties", {}).items() if k in required}
        case "null":
            return None
        case _:
            return {}
