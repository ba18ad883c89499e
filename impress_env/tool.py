"""Toolkits and tools: a typed function is a tool, and one declaration gives every form of it.

A toolkit is one app: its record types, its seed model, how it is built, its tools and its event handlers. A tool is
a plain function whose first parameter is the slice of the world that it may touch; the rest is the schema. Bad
calls are `ToolError` observations; whatever else a tool raises is a `ToolkitError`. State never lives here, only in
the world's tables. Knows nothing of scenarios, oracles or agents.
"""

from __future__ import annotations

import inspect
import json
import math
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from random import Random
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Concatenate,
    Final,
    Generic,
    Literal,
    ParamSpec,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.fields import FieldInfo

from impress_env import plugins
from impress_env.clock import iso, resolve
from impress_env.effects import KINDS, Effect, Kind
from impress_env.errors import PluginError, ToolError, ToolkitError
from impress_env.rng import stream
from impress_env.types import ToolSchema
from impress_env.world.filesystem import TABLE as FILES
from impress_env.world.filesystem import File, Filesystem
from impress_env.world.memory import TABLE as MEMORY
from impress_env.world.memory import Note
from impress_env.world.people import TABLE as PEOPLE
from impress_env.world.people import Person
from impress_env.world.table import Record, Table
from impress_env.world.world import Counter, Event, World

Role = Literal["ask", "escalate", "decline", "wait", "report", "finish"]
ROLES: tuple[Role, ...] = get_args(Role)
ENDING_ROLES: Final[frozenset[str]] = frozenset(("decline", "finish"))
OUTPUT_CAP: Final = 12_000  # characters of one result
ARGUMENTS_CAP: Final = 64_000  # characters of text in one call's arguments
DEPTH_CAP: Final = 12
SHARED_TABLES: Final[dict[str, type[Record]]] = {FILES: File, MEMORY: Note, PEOPLE: Person}

P = ParamSpec("P")
R = TypeVar("R", bound=Record)
S = TypeVar("S", bound="Seed")
_ENCODER = msgspec.json.Encoder(order=None)


class Seed(BaseModel):
    """Base of the seed models: what a scenario file may say in a toolkit's section of `world:`."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, defer_build=True)


class Arguments(BaseModel):
    """Base of nested argument types of tools."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Slice:
    """The part of the world that one toolkit's function may touch during one call or event.

    Gives its own tables and those of the toolkits it `uses`, the simulated time, effects, new ids, the schedule and
    notices. Everything it writes is part of the open transaction.
    """

    __slots__ = ("_kinds", "_world", "minutes", "toolkit")

    def __init__(self, world: World, toolkit: Toolkit[Any], kinds: frozenset[str], minutes: int = 0) -> None:
        self._world, self.toolkit, self._kinds, self.minutes = world, toolkit, kinds, minutes

    def table(self, record: type[R]) -> Table[R]:
        """Return the table that holds a record type.

        Raises:
            ToolkitError: The toolkit neither owns nor `uses` it.
        """
        name = self.toolkit.reach.get(record)
        if name is None:
            raise ToolkitError(
                f"toolkit {self.toolkit.name!r} touches {record.__name__}; declare its toolkit in `uses`"
            )
        return self._world.typed(name, record)

    @property
    def files(self) -> Filesystem:
        """The virtual filesystem."""
        return Filesystem(self._world)

    @property
    def now(self) -> str:
        """The simulated time, "YYYY-MM-DDTHH:MM"."""
        return self._world.now

    @property
    def clock(self) -> int:
        """The simulated time in minutes since 1970."""
        return self._world.clock

    @property
    def actor(self) -> str:
        """Who acts: "agent", a person's id, or "system"."""
        return self._world.actor

    @property
    def account(self) -> str:
        """The actor's account name as apps show it: the agent's service account, or the person's id."""
        return self._world.base.account if self._world.actor == "agent" else self._world.actor

    @property
    def world(self) -> World:
        """The whole world, for toolkits over generic state (search, database)."""
        if not self.toolkit.whole_world:
            raise ToolkitError(f"toolkit {self.toolkit.name!r} is not declared with whole_world=True")
        return self._world

    def emit(self, kind: Kind, object: str, **fields: Any) -> None:
        """Record an effect of this call. `object` is a uri; see `impress_env.effects.Effect` for the fields.

        Raises:
            ToolkitError: The tool did not declare the kind.
        """
        if kind not in self._kinds:
            raise ToolkitError(f"{self.toolkit.name}: effect {kind!r} is not declared by this tool")
        world = self._world
        world.effects.append(
            Effect(
                kind=kind,
                object=object,
                actor=world.actor,
                time=iso(world.clock),
                step=world.step,
                tool=world.tool,
                **fields,
            )
        )

    def spend(self, minutes: int) -> None:
        """Set how many simulated minutes this call takes (whole, at least 0)."""
        self.minutes = max(0, minutes)

    def schedule(self, minutes: int, kind: str, **payload: Any) -> str:
        """Plan an event of this toolkit `minutes` from now; its handler is declared with `@kit.on(kind)`."""
        if kind not in self.toolkit.handlers:
            raise ToolkitError(f"toolkit {self.toolkit.name!r} has no handler for event {kind!r}")
        return self._world.schedule(self._world.clock + minutes, f"{self.toolkit.name}.{kind}", payload)

    def next_id(self, prefix: str, *, width: int = 4, start: int = 1) -> str:
        """Return a new id: the prefix and a counted number."""
        return self._world.next_id(prefix, width=width, start=start)

    def notify(self, text: str) -> None:
        """Tell the agent, with its next observation, one line from this app."""
        self._world.notify(self.toolkit.name, text)

    def person(self, who: str) -> Person:
        """Return a person by id, mail address or full name.

        Raises:
            ToolError: `not_found`.
        """
        people = self._world.typed(PEOPLE, Person)
        found = people.get(who)
        if found is None:
            wanted = who.strip().lower().lstrip("@")
            for person in people.values():
                if wanted in (person.id.lower(), person.email.lower(), person.name.lower()):
                    return person
            raise ToolError("not_found", f"No such person: {who}", offer=people.keys())
        return found


class Build:
    """What a toolkit's `build` may do: put rows, draw from its own stream, plan events, tell the past."""

    __slots__ = ("_rows", "_seed", "account", "history", "now", "toolkit")

    def __init__(
        self,
        toolkit: Toolkit[Any],
        rows: dict[str, dict[str, Record]],
        seed: int,
        now: int,
        history: list[Effect],
        account: str,
    ) -> None:
        self.toolkit, self._rows, self._seed, self.now, self.history = toolkit, rows, seed, now, history
        self.account = account

    def put(self, key: str, record: Record) -> None:
        """Add a row to the table of the record's type; a later row under the same key replaces it."""
        self._table(type(record))[key] = record

    def rows(self, record: type[R]) -> dict[str, R]:
        """Return the rows built so far, of this toolkit or one that it `uses`."""
        return cast("dict[str, R]", self._table(record))

    def stream(self, name: str) -> Random:
        """Return the toolkit's own random stream of that name."""
        return stream(self._seed, "build", self.toolkit.name, name)

    def time(self, text: str) -> str:
        """Return the ISO form of a moment given as ISO text, "-3d 14:12" or "14:12"."""
        return iso(resolve(text, self.now))

    def next_id(self, prefix: str, *, width: int = 4, start: int = 1) -> str:
        """Return a new id; ids given out in the episode go on from here."""
        ids = self._rows["ids"]
        last = cast("Counter | None", ids.get(prefix))
        value = start if last is None else last.value + 1
        ids[prefix] = Counter(value)
        return f"{prefix}{value:0{width}d}"

    def schedule(self, at: str, kind: str, **payload: Any) -> None:
        """Plan an event of this toolkit at a moment."""
        due = resolve(at, self.now)
        number = self.next_id("event:", width=6)
        self._rows["schedule"][f"{iso(due)}|{number}"] = Event(
            due=due, kind=f"{self.toolkit.name}.{kind}", payload=payload
        )

    def effect(self, kind: Kind, object: str, *, actor: str, time: str, **fields: Any) -> None:
        """Tell a fact of the past (step 0), visible to conditions."""
        self.history.append(Effect(kind=kind, object=object, actor=actor, time=self.time(time), **fields))

    def _table(self, record: type[Record]) -> dict[str, Record]:
        name = self.toolkit.reach.get(record)
        if name is None:
            raise ToolkitError(f"toolkit {self.toolkit.name!r} builds {record.__name__}, which it does not declare")
        return self._rows.setdefault(name, {})


class Tool:
    """One typed function of a toolkit."""

    def __init__(
        self,
        toolkit: Toolkit[Any],
        function: Callable[..., object],
        *,
        effects: tuple[Kind, ...],
        minutes: int,
        role: Role | None,
    ) -> None:
        self.toolkit, self.function = toolkit, function
        self.name = f"{toolkit.name}.{function.__name__}"
        self.wire_name = self.name.replace(".", "__")
        self.effects, self.kinds = effects, frozenset(effects)
        self.minutes, self.role = minutes, role
        bad = [kind for kind in effects if kind not in KINDS]
        if bad:
            raise ToolkitError(f"tool {self.name}: unknown effects {bad}; known: {', '.join(KINDS)}")
        self.description, self._arguments = _google_docstring(function)
        if not self.description:
            raise ToolkitError(f"tool {self.name} has no docstring; its first paragraph is the description")

    @cached_property
    def model(self) -> type[BaseModel]:
        """The pydantic model of the arguments. Built on first use, since `import` stays cheap."""
        fields: dict[str, Any] = {}
        for argument, hint, default in _signature(self.function):
            if argument not in self._arguments:
                raise ToolkitError(f"tool {self.name}: argument {argument!r} is not in the docstring's Args")
            name = argument.rstrip("_")
            told = Field(default, description=self._arguments[argument], alias=name if name != argument else None)
            fields[argument] = (hint, told)
        return create_model("Arguments", __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=False), **fields)

    @cached_property
    def _validate(self) -> Callable[[object], BaseModel]:
        """The model's validator, bound once: half the time of `model_validate`."""
        return cast("Callable[[object], BaseModel]", self.model.__pydantic_validator__.validate_python)

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """JSON Schema of the arguments: nested types whole, no references. Shared; do not change it."""
        return self._plain_parameters() or self.model_parameters()

    def model_parameters(self) -> dict[str, Any]:
        """Return the schema as pydantic gives it."""
        schema = self.model.model_json_schema(by_alias=True)
        definitions = schema.pop("$defs", {})
        plain = cast("dict[str, Any]", _inline(schema, definitions))
        plain.setdefault("properties", {})
        plain["additionalProperties"] = False
        return plain

    def _plain_parameters(self) -> dict[str, Any] | None:
        """Return the schema straight from the type hints, or None where one is not of the plain kinds.

        Half of what loading a family cost was pydantic's models for tools that are never called; a test holds this
        equal to `model_parameters` for every installed tool.
        """
        properties: dict[str, Any] = {}
        required = []
        for argument, hint, default in _signature(self.function):
            known = _schema_of(hint)
            if known is None or argument not in self._arguments:
                return None
            schema = dict(known)
            if default is ...:
                required.append(argument.rstrip("_"))
            elif default is None or isinstance(default, str | int | float | list):
                schema["default"] = default
            else:
                return None
            schema["description"] = self._arguments[argument]
            properties[argument.rstrip("_")] = schema
        found: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
        if required:
            found["required"] = required
        return found

    @property
    def read_only(self) -> bool:
        """Whether the tool can have no effect beyond reading."""
        return all(kind in ("read", "verify") for kind in self.effects) and self.role not in ENDING_ROLES

    def openai(self) -> dict[str, Any]:
        """Return the tool as OpenAI's Chat Completions takes it."""
        return {
            "type": "function",
            "function": {
                "name": self.wire_name,
                "description": self.description,
                "parameters": self.parameters,
            },
        }

    def anthropic(self) -> dict[str, Any]:
        """Return the tool as Anthropic's Messages takes it."""
        return {"name": self.wire_name, "description": self.description, "input_schema": self.parameters}

    def mcp(self) -> dict[str, Any]:
        """Return the tool as MCP's `tools/list` gives it, with hints taken from the declared effects."""
        return {
            "name": self.wire_name,
            "description": self.description,
            "inputSchema": self.parameters,
            "annotations": {
                "readOnlyHint": self.read_only,
                "destructiveHint": any(kind in ("delete", "pay", "revoke", "deploy") for kind in self.effects),
                "openWorldHint": False,
            },
        }

    def run(self, world: World, arguments: Mapping[str, Any]) -> tuple[str, int]:
        """Validate, execute and return (result text, simulated minutes).

        Raises:
            ToolError: The call is refused.
            ToolkitError: The toolkit's own code failed.
        """
        try:
            values = self._validate(arguments).__dict__
        except ValidationError as error:
            raise _invalid(self, error) from None
        at = Slice(world, self.toolkit, self.kinds, self.minutes)
        try:
            result = self.function(at, **values)
            return _as_text(result), at.minutes
        except (ToolError, ToolkitError):
            raise
        except Exception as error:
            raise ToolkitError(f"tool {self.name} failed: {type(error).__name__}: {error}") from error


Handler = Callable[[Slice, dict[str, Any]], None]


class Toolkit(Generic[S]):
    """One app.

    Args:
        name: Lower-case word; the first part of its tools' names and of its section in `world:`.
        title: As people call the app.
        seed: Model of its section in `world:`.
        tables: Its record types by table name; every name starts with the toolkit's.
        build: Turns a validated seed into rows.
        uses: Toolkits whose tables it may touch (they are loaded with it).
        whole_world: For toolkits over generic state only (search, database).
    """

    def __init__(
        self,
        name: str,
        *,
        title: str,
        seed: type[S],
        tables: Mapping[str, type[Record]],
        build: Callable[[S, Build], None],
        uses: Sequence[str] = (),
        whole_world: bool = False,
    ) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]{1,30}", name):
            raise ToolkitError(f"toolkit name {name!r}: expected a lower-case word")
        self.name, self.title, self.seed, self.build = name, title, seed, build
        self.tables = dict(tables)
        for table in self.tables:
            if table not in SHARED_TABLES and table.partition(".")[0] != name:
                raise ToolkitError(f"toolkit {name!r}: table {table!r} must be called {name!r} or {name + '.…'!r}")
        self.uses, self.whole_world = tuple(uses), whole_world
        self.tools: dict[str, Tool] = {}
        self.handlers: dict[str, Handler] = {}

    @cached_property
    def reach(self) -> dict[type[Record], str]:
        """The record types that it may touch, with their tables."""
        found: dict[type[Record], str] = {record: name for name, record in SHARED_TABLES.items()}
        for other in self.uses:
            found.update({record: name for name, record in toolkit(other).tables.items()})
        found.update({record: name for name, record in self.tables.items()})
        return found

    def tool(
        self, *, effects: Sequence[Kind], minutes: int = 1, role: Role | None = None
    ) -> Callable[[Callable[Concatenate[Slice, P], object]], Callable[Concatenate[Slice, P], object]]:
        """Declare a function as a tool of this toolkit.

        Args:
            effects: The kinds it may emit; emitting another is a `ToolkitError`.
            minutes: Simulated minutes that a call takes, unless it calls `at.spend`.
            role: What the core may know it as.
        """

        def declare(
            function: Callable[Concatenate[Slice, P], object],
        ) -> Callable[Concatenate[Slice, P], object]:
            tool = Tool(self, function, effects=tuple(effects), minutes=minutes, role=role)
            self.tools[tool.name] = tool
            return function

        return declare

    def on(self, kind: str) -> Callable[[Handler], Handler]:
        """Declare the handler of a scheduled event. `deliver` is the one that brings a person's answer."""

        def declare(handler: Handler) -> Handler:
            self.handlers[kind] = handler
            return handler

        return declare

    def handle(self, world: World, kind: str, payload: dict[str, Any]) -> None:
        """Run the handler of an event inside the open transaction.

        Raises:
            ToolkitError: It has none, or it failed.
        """
        handler = self.handlers.get(kind)
        if handler is None:
            raise ToolkitError(f"toolkit {self.name!r} has no handler for event {kind!r}")
        try:
            handler(Slice(world, self, frozenset(KINDS)), payload)
        except ToolkitError:
            raise
        except Exception as error:
            raise ToolkitError(f"{self.name}.{kind} failed: {type(error).__name__}: {error}") from error


def toolkit(name: str) -> Toolkit[Any]:
    """Load an installed toolkit by name.

    Raises:
        OptionError: None is installed under that name.
        PluginError: It failed to load, or is no toolkit.
    """
    loaded = plugins.load("tools", name)
    if not isinstance(loaded, Toolkit):
        raise PluginError(distribution="", entry_point=name, cause=f"expected a Toolkit, found {type(loaded).__name__}")
    return loaded


class ToolSet:
    """The tools of one scenario: immutable, shared by all its episodes.

    Args:
        names: Toolkits ("mail") and single tools ("mail.send"), in the order in which the agent sees them.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.toolkits: dict[str, Toolkit[Any]] = {}
        self.tools: dict[str, Tool] = {}
        for name in names:
            kit = toolkit(name.partition(".")[0])
            self._with_uses(kit)
            chosen = kit.tools if name == kit.name else {name: kit.tools[name]} if name in kit.tools else {}
            if not chosen:
                raise ToolkitError(f"no tool {name!r}; {kit.name} has {', '.join(kit.tools)}")
            self.tools.update(chosen)
        self._by_wire = {tool.wire_name: tool for tool in self.tools.values()} | self.tools
        self.records: dict[str, type[Record]] = dict(SHARED_TABLES)
        for kit in self.toolkits.values():
            self.records.update(kit.tables)

    def _with_uses(self, kit: Toolkit[Any]) -> None:
        for other in kit.uses:
            if other not in self.toolkits:
                self._with_uses(toolkit(other))
        self.toolkits[kit.name] = kit

    def get(self, name: str) -> Tool:
        """Return a tool by its name or its wire name.

        Raises:
            ToolError: `unknown_tool`, with what is on offer.
        """
        found = self._by_wire.get(name)
        if found is None:
            shown = name if len(name) <= 80 else name[:80] + "…"
            near = [tool for tool in self.tools if tool.partition(".")[0] == name.partition(".")[0]]
            raise ToolError("unknown_tool", f"No such tool: {shown}", offer=near or list(self.tools))
        return found

    def by_role(self, role: Role) -> list[Tool]:
        """Return the tools that play a role."""
        return [tool for tool in self.tools.values() if tool.role == role]

    @cached_property
    def schemas(self) -> tuple[ToolSchema, ...]:
        """Every tool as an agent is shown it; one object for all episodes."""
        return tuple(ToolSchema(tool.name, tool.description, tool.parameters) for tool in self.tools.values())


_SCHEMAS: dict[int, tuple[Any, dict[str, Any] | None]] = {}  # of types that are kept: `_HINTS` has most


def _schema_of(hint: Any) -> dict[str, Any] | None:
    """Return `_plain_schema`, made once for a type; do not change it."""
    known = _SCHEMAS.get(id(hint))
    if known is None or known[0] is not hint:
        known = _SCHEMAS[id(hint)] = (hint, _plain_schema(hint))
    return known[1]


def _signature(function: Callable[..., object]) -> list[tuple[str, Any, Any]]:
    """Return (name, type, default or ...) of a tool's arguments, those after its slice.

    The same as `inspect` and `get_type_hints` say, in a quarter of the time: the types of a module's tools are few, and
    each text is evaluated once.
    """
    code = getattr(function, "__code__", None)
    if code is None or hasattr(function, "__wrapped__"):
        hints = get_type_hints(function, include_extras=True)
        given = list(inspect.signature(function).parameters.values())[1:]
        empty = inspect.Parameter.empty
        return [(one.name, hints[one.name], ... if one.default is empty else one.default) for one in given]
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    positional = names[: code.co_argcount]
    defaults = function.__defaults__ or ()
    values = dict(zip(positional[len(positional) - len(defaults) :], defaults, strict=True))
    values.update(function.__kwdefaults__ or {})
    annotations, module = function.__annotations__, function.__globals__
    return [(name, _evaluated(annotations[name], module), values.get(name, ...)) for name in names[1:]]


_HINTS: dict[tuple[int, str], Any] = {}  # (namespace, text) -> type; modules live as long as the process


def _evaluated(annotation: Any, namespace: dict[str, Any]) -> Any:
    if not isinstance(annotation, str):
        return annotation
    key = (id(namespace), annotation)
    found = _HINTS.get(key)
    if found is None:
        found = _HINTS[key] = eval(annotation, namespace)  # as `get_type_hints` does; the toolkit's own source
    return found


def clean_arguments(arguments: object) -> dict[str, Any]:
    """Return a call's arguments made harmless, before any parsing.

    Lone surrogates become U+FFFD.

    Raises:
        ToolError: `invalid_arguments` for anything but an object, NaN, Infinity, integers beyond 64 bits or too deep
            nesting; `too_large` over 64,000 characters of text.
    """
    if not isinstance(arguments, Mapping):
        raise ToolError(
            "invalid_arguments",
            "Arguments must be a JSON object.",
            expected="an object",
            found=type(arguments).__name__,
        )
    size = 0
    for key, value in arguments.items():  # most calls are flat and plain, and pass as they are
        kind = value.__class__
        if kind is str:
            size += len(value)
            if not value.isascii():
                break
        elif kind is int:
            if not -(2**63) <= value < 2**63:
                break
        elif kind is not bool and value is not None:
            break
        if key.__class__ is not str or not key.isascii():
            break
        size += len(key)
    else:
        if size <= ARGUMENTS_CAP and arguments.__class__ is dict:
            return cast("dict[str, Any]", arguments)
    budget = [ARGUMENTS_CAP]
    return cast("dict[str, Any]", _clean(arguments, 0, budget))


def _clean(value: object, depth: int, budget: list[int]) -> object:
    kind = value.__class__
    if kind is str:
        text = cast("str", value)
        budget[0] -= len(text)
        if budget[0] < 0:
            raise ToolError("too_large", "The call is too large.", expected=f"at most {ARGUMENTS_CAP} characters")
        return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if kind is bool or value is None:
        return value
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ToolError("invalid_arguments", "A number is out of range.", expected="64-bit integers")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ToolError("invalid_arguments", "A number is not finite.", expected="finite numbers")
        return float(value)
    if depth >= DEPTH_CAP:
        raise ToolError("invalid_arguments", "Arguments are nested too deeply.", expected=f"{DEPTH_CAP} levels")
    if isinstance(value, Mapping):
        budget[0] -= 2 * len(value)
        return {str(_clean(str(k), depth, budget)): _clean(v, depth + 1, budget) for k, v in value.items()}
    if isinstance(value, list | tuple):
        budget[0] -= len(value)
        if budget[0] < 0:
            raise ToolError("too_large", "The call is too large.", expected=f"at most {ARGUMENTS_CAP} characters")
        return [_clean(item, depth + 1, budget) for item in value]
    if isinstance(value, str):
        return _clean(str(value), depth, budget)
    raise ToolError("invalid_arguments", "A value is not JSON.", expected="JSON values", found=type(value).__name__)


def cut(text: str, cap: int = OUTPUT_CAP) -> str:
    """Return a text no longer than the cap, cut off the way a machine does."""
    if len(text) <= cap:
        return text
    mark = f"\n[output truncated: {len(text)} characters]"
    return text[: cap - len(mark)] + mark


def _as_text(result: object) -> str:
    if isinstance(result, str):
        return cut(result)
    return cut(_ENCODER.encode(result).decode())


def _invalid(tool: Tool, error: ValidationError) -> ToolError:
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])[:120] or "arguments"
    found = first.get("input")
    names = list(tool.parameters["properties"])
    return ToolError(
        "invalid_arguments",
        f"{where}: {first['msg']}",
        expected=f"{tool.name}({', '.join(names)})",
        found=_short(found),
        offer=names if first["type"] == "extra_forbidden" else (),
    )


def _short(value: object) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError):
        text = str(type(value).__name__)
    return text if len(text) <= 120 else text[:120] + "…"


def _google_docstring(function: Callable[..., object]) -> tuple[str, dict[str, str]]:
    """Return (first paragraph, argument -> description) of a Google docstring."""
    text = inspect.cleandoc(function.__doc__ or "")
    head, _, rest = text.partition("\nArgs:\n")
    description = " ".join(head.partition("\n\n")[0].partition("\nReturns:")[0].split())
    arguments: dict[str, str] = {}
    current = ""
    block = re.split(r"\n(?=[A-Z]\w+:\n)", rest)[0] if rest else ""
    for line in textwrap.dedent(block).splitlines():
        found = re.match(r"(\w+)(?: \([^)]*\))?: (.*)", line)
        if found and not line.startswith(" "):
            current = found[1]
            arguments[current] = found[2].strip()
        elif current and line.strip():
            arguments[current] += " " + line.strip()
    return description, arguments


_PLAIN_TYPES: Final = {str: "string", int: "integer", bool: "boolean", float: "number", NoneType: "null"}


def _plain_schema(hint: Any) -> dict[str, Any] | None:
    """Return the JSON Schema of a plain type hint, as pydantic would give it, or None where it is not plain."""
    if hint.__class__ is type and hint in _PLAIN_TYPES:
        return {"type": _PLAIN_TYPES[hint]}
    if isinstance(hint, type) and issubclass(hint, Arguments):
        return _nested_schema(hint)
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _bounded(_plain_schema(inside[0]), inside[1:])
    if origin is Literal and len(inside) > 1 and all(isinstance(value, str) for value in inside):
        return {"type": "string", "enum": list(inside)}
    if origin is list and len(inside) == 1:
        items = _plain_schema(inside[0])
        return None if items is None else {"type": "array", "items": items}
    if origin in (Union, UnionType):
        parts = [_plain_schema(part) for part in inside]
        return None if any(part is None for part in parts) else {"anyOf": parts}
    return None


def _bounded(schema: dict[str, Any] | None, metadata: Sequence[Any]) -> dict[str, Any] | None:
    """Return a schema with the bounds of a `Field`, or None where there is more to it than bounds."""
    if schema is None or "type" not in schema:
        return None
    names = _BOUNDS.get(schema["type"])
    found = dict(schema)
    for bound in metadata:
        told = bound.metadata if isinstance(bound, FieldInfo) else (bound,)
        if isinstance(bound, FieldInfo) and set(bound._attributes_set) - _BOUND_NAMES:
            return None
        for one in told:
            name = None if names is None else names.get(type(one).__name__)
            if name is None:
                return None
            found[name[0]] = getattr(one, name[1])
    return found


def _nested_schema(model: type[Arguments]) -> dict[str, Any] | None:
    """Return the schema of a nested argument type, whole and without references."""
    properties: dict[str, Any] = {}
    required = []
    for name, info in model.model_fields.items():
        known = (
            _bounded(_plain_schema(info.annotation), info.metadata) if info.metadata else _plain_schema(info.annotation)
        )
        if known is None or info.alias is not None or info.default_factory is not None:
            return None
        schema = dict(known)
        if info.is_required():
            required.append(name)
        elif info.default is None or isinstance(info.default, str | int | float | list):
            schema["default"] = info.default
        else:
            return None
        if info.description is not None:
            schema["description"] = info.description
        properties[name] = schema
    found: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    if model.__doc__:
        found["description"] = inspect.cleandoc(model.__doc__)
    if required:
        found["required"] = required
    return found


_NUMBER: Final = {
    "Ge": ("minimum", "ge"),
    "Gt": ("exclusiveMinimum", "gt"),
    "Le": ("maximum", "le"),
    "Lt": ("exclusiveMaximum", "lt"),
}
_BOUNDS: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "integer": _NUMBER,
    "number": _NUMBER,
    "string": {"MinLen": ("minLength", "min_length"), "MaxLen": ("maxLength", "max_length")},
    "array": {"MinLen": ("minItems", "min_length"), "MaxLen": ("maxItems", "max_length")},
}
_BOUND_NAMES: Final = {"ge", "gt", "le", "lt", "min_length", "max_length", "annotation"}


def _inline(node: object, definitions: Mapping[str, object]) -> object:
    if isinstance(node, Mapping):
        if "$ref" in node:
            target = definitions[str(node["$ref"]).rpartition("/")[2]]
            merged = {**cast("dict[str, object]", target), **{k: v for k, v in node.items() if k != "$ref"}}
            return _inline(merged, definitions)
        return {
            key: (
                {name: _inline(sub, definitions) for name, sub in value.items()}
                if key == "properties" and isinstance(value, Mapping)
                else _inline(value, definitions)
            )
            for key, value in node.items()
            if key != "title"
        }
    if isinstance(node, list):
        return [_inline(item, definitions) for item in node]
    return node


def paged(rows: Sequence[object], page: int, size: int = 20) -> dict[str, Any]:
    """Return one page of rows as apps give it: items, page, pages, total.

    Raises:
        ToolError: `not_found` for a page that does not exist.
    """
    pages = max(1, -(-len(rows) // size))
    if not 1 <= page <= pages:
        raise ToolError("not_found", f"No page {page}.", expected=f"1 to {pages}", found=str(page))
    return {"items": rows[(page - 1) * size : page * size], "page": page, "pages": pages, "total": len(rows)}
