"""Toolkits and tools: from a typed function to schemas, validation and results."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest

from impress_env import plugins
from impress_env.clock import iso, minutes
from impress_env.effects import Effect
from impress_env.errors import OptionError, ToolError, ToolkitError
from impress_env.tool import (
    ARGUMENTS_CAP,
    DEPTH_CAP,
    OUTPUT_CAP,
    ROLES,
    Arguments,
    Build,
    Seed,
    Slice,
    Tool,
    Toolkit,
    ToolSet,
    clean_arguments,
    cut,
    paged,
    toolkit,
)
from impress_env.world.filesystem import File
from impress_env.world.memory import Note
from impress_env.world.people import Person
from impress_env.world.table import Record
from impress_env.world.world import Base, Event, World

START = minutes("2026-11-19T14:23")
ADA = Person(id="ada.brook", name="Ada Brook", first="Ada", email="ada.brook@mill.example")


class Loan(Record, frozen=True, kw_only=True):
    who: str
    days: int
    tags: tuple[str, ...] = ()


class Line(Arguments):
    """One line of a form."""

    item: str
    count: int = 1


class ShelfSeed(Seed):
    loans: dict[str, int] = {}


def build(seed: ShelfSeed, make: Build) -> None:
    for key, days in seed.loans.items():
        make.put(key, Loan(who="ada.brook", days=days))


def shelf() -> Toolkit[ShelfSeed]:
    """A toolkit with one tool of every sort."""
    kit = Toolkit("shelf", title="Shelf", seed=ShelfSeed, tables={"shelf.loans": Loan}, build=build)

    @kit.tool(effects=["create"], minutes=4)
    def lend(
        at: Slice,
        item: str,
        days: int = 14,
        state: Literal["new", "used"] | None = None,
        lines: list[Line] | None = None,
        from_: str = "",
    ) -> object:
        """Lend an item.

        The second paragraph is for people.

        Args:
            item: Which one,
                by its number.
            days: For how long.
            state: How it looks.
            lines: What belongs to it.
            from_: Whose it is.
        """
        at.table(Loan).put(item, Loan(who=from_, days=days))
        at.emit("create", f"shelf://{item}", count=days)
        told = [line.model_dump() for line in lines] if lines is not None else None
        return {"item": item, "days": days, "state": state, "lines": told, "from": from_}

    @kit.tool(effects=["read", "verify"], role="ask")
    def look(at: Slice) -> object:
        """Look at the shelf."""
        return sorted(at.table(Loan).keys())

    @kit.tool(effects=["delete"])
    def wipe(at: Slice, item: str) -> object:
        """Take an item off the shelf.

        Args:
            item: Which one.

        Raises:
            ToolError: There is none.
        """
        at.table(Loan).delete(item)
        return "gone"

    @kit.tool(effects=[], role="finish")
    def close(at: Slice) -> object:
        """Close the shelf."""
        return {"closed": True}

    @kit.on("due")
    def due(at: Slice, payload: dict[str, Any]) -> None:
        at.notify(f"{payload['item']} is due")

    return kit


def world_of(kit: Toolkit[Any], **rows: Any) -> World:
    people = {"people": {ADA.id: ADA}, **rows}
    records = {"files": File, "memory": Note, "people": Person, **kit.tables}
    return World(Base(records=records, rows=people, clock=START, digest="00" * 16, account="svc-mill"))


def call(kit: Toolkit[Any], name: str, arguments: dict[str, Any], world: World | None = None) -> Any:
    world = world or world_of(kit)
    world.begin(actor="agent", step=3, tool=f"{kit.name}.{name}")
    text, _ = kit.tools[f"{kit.name}.{name}"].run(world, arguments)
    return json.loads(text)


# ---- declaration


def test_a_function_becomes_a_tool_with_its_names_and_first_paragraph():
    tool = shelf().tools["shelf.lend"]
    assert (tool.name, tool.wire_name) == ("shelf.lend", "shelf__lend")
    assert tool.description == "Lend an item."
    assert shelf().tools["shelf.wipe"].description == "Take an item off the shelf."


def test_the_schema_is_whole_without_references_or_titles():
    schema = shelf().tools["shelf.lend"].parameters
    assert json.dumps(schema).count("$ref") == 0
    assert "title" not in json.dumps(schema)
    assert schema["required"] == ["item"]
    assert schema["additionalProperties"] is False
    properties = schema["properties"]
    assert list(properties) == ["item", "days", "state", "lines", "from"]
    assert properties["item"] == {"description": "Which one, by its number.", "type": "string"}
    assert properties["days"] == {"default": 14, "description": "For how long.", "type": "integer"}
    assert properties["state"]["anyOf"] == [{"enum": ["new", "used"], "type": "string"}, {"type": "null"}]
    line = properties["lines"]["anyOf"][0]["items"]
    assert (line["required"], list(line["properties"]), line["additionalProperties"]) == (
        ["item"],
        ["item", "count"],
        False,
    )


def test_a_tool_without_arguments_has_an_empty_object_as_schema():
    schema = shelf().tools["shelf.look"].parameters
    assert (schema["type"], schema["properties"], schema["additionalProperties"]) == ("object", {}, False)


def test_the_three_wire_forms_carry_the_same_schema():
    tool = shelf().tools["shelf.lend"]
    openai, anthropic, mcp = tool.openai(), tool.anthropic(), tool.mcp()
    assert openai["type"] == "function"
    assert openai["function"]["name"] == anthropic["name"] == mcp["name"] == "shelf__lend"
    assert openai["function"]["parameters"] == anthropic["input_schema"] == mcp["inputSchema"] == tool.parameters
    assert openai["function"]["description"] == anthropic["description"] == mcp["description"] == "Lend an item."


def test_hints_come_from_the_declared_effects():
    tools = shelf().tools
    hints = {name.partition(".")[2]: tool.mcp()["annotations"] for name, tool in tools.items()}
    assert [name for name, hint in hints.items() if hint["readOnlyHint"]] == ["look"]
    assert [name for name, hint in hints.items() if hint["destructiveHint"]] == ["wipe"]
    assert not tools["shelf.close"].read_only  # it ends the work


def test_a_tool_without_a_docstring_or_with_an_unknown_effect_is_refused():
    kit = shelf()

    def bare(at: Slice) -> object:
        return None

    with pytest.raises(ToolkitError, match=r"shelf.bare has no docstring"):
        kit.tool(effects=[])(bare)
    bare.__doc__ = "Do it."
    with pytest.raises(ToolkitError, match=r"unknown effects \['reed'\]; known: read"):
        kit.tool(effects=["reed"])(bare)  # type: ignore[list-item]


def test_an_argument_that_the_docstring_leaves_out_is_refused():
    kit = shelf()

    @kit.tool(effects=[])
    def move(at: Slice, item: str) -> object:
        """Move an item."""
        return None

    with pytest.raises(ToolkitError, match="argument 'item' is not in the docstring's Args"):
        _ = kit.tools["shelf.move"].parameters


@pytest.mark.parametrize("name", ["Shelf", "s", "shelf.x", "2shelf", "shelf-x", ""])
def test_a_toolkits_name_is_a_lower_case_word(name):
    with pytest.raises(ToolkitError, match="expected a lower-case word"):
        Toolkit(name, title="", seed=ShelfSeed, tables={}, build=build)


def test_a_toolkits_tables_begin_with_its_name():
    with pytest.raises(ToolkitError, match="table 'loans' must be called 'shelf' or 'shelf"):
        Toolkit("shelf", title="", seed=ShelfSeed, tables={"loans": Loan}, build=build)


# ---- calls


def test_a_call_gives_its_result_its_minutes_and_its_effects():
    kit = shelf()
    world = world_of(kit)
    world.begin(actor="agent", step=3, tool="shelf.lend")
    text, spent = kit.tools["shelf.lend"].run(world, {"item": "B-7", "days": 3, "from": "ada"})
    assert json.loads(text) == {"item": "B-7", "days": 3, "state": None, "lines": None, "from": "ada"}
    assert spent == 4
    assert world.effects == [
        Effect(
            kind="create",
            object="shelf://B-7",
            actor="agent",
            time="2026-11-19T14:23",
            step=3,
            tool="shelf.lend",
            count=3,
        )
    ]
    assert world.table("shelf.loans")["B-7"] == Loan(who="ada", days=3)


def test_nested_arguments_are_validated_into_their_types():
    result = call(shelf(), "lend", {"item": "B-7", "lines": [{"item": "cable"}, {"item": "bag", "count": 2}]})
    assert result["lines"] == [{"item": "cable", "count": 1}, {"item": "bag", "count": 2}]


@pytest.mark.parametrize(
    ("arguments", "where", "found"),
    [
        ({}, "item", "{}"),
        ({"item": 5}, "item", "5"),
        ({"item": "B", "days": "soon"}, "days", '"soon"'),
        ({"item": "B", "state": "old"}, "state", '"old"'),
        ({"item": "B", "lines": [{"count": 2}]}, "lines.0.item", '{"count": 2}'),
        ({"item": "B", "lines": [{"item": "c", "colour": "red"}]}, "lines.0.colour", '"red"'),
    ],
)
def test_invalid_arguments_are_refused_with_the_place_and_what_was_found(arguments, where, found):
    with pytest.raises(ToolError) as caught:
        call(shelf(), "lend", arguments)
    error = caught.value
    assert error.code == "invalid_arguments"
    assert error.message.startswith(f"{where}: ")
    assert error.expected == "shelf.lend(item, days, state, lines, from)"
    assert error.found == found


def test_an_unknown_argument_is_refused_with_those_that_there_are():
    with pytest.raises(ToolError) as caught:
        call(shelf(), "lend", {"item": "B", "from_": "ada"})
    assert caught.value.as_dict()["available"] == ["item", "days", "state", "lines", "from"]


def test_a_long_name_of_an_unknown_argument_is_shortened():
    with pytest.raises(ToolError) as caught:
        call(shelf(), "lend", {"item": "B", "x" * 5000: 1})
    assert len(caught.value.message) < 200


def test_a_long_found_value_is_shortened():
    with pytest.raises(ToolError) as caught:
        call(shelf(), "lend", {"item": ["x" * 5000]})
    assert len(caught.value.found) == 121
    assert caught.value.found.endswith("…")


def test_a_refusal_passes_and_any_other_exception_is_a_fault_of_the_toolkit():
    with pytest.raises(ToolkitError, match=r"tool shelf.wipe failed: KeyError: 'B-9'"):
        call(shelf(), "wipe", {"item": "B-9"})


def test_an_undeclared_effect_is_a_fault_of_the_toolkit():
    kit = shelf()

    @kit.tool(effects=["read"])
    def burn(at: Slice) -> object:
        """Burn it."""
        at.emit("delete", "shelf://")
        return None

    with pytest.raises(ToolkitError, match="effect 'delete' is not declared"):
        call(kit, "burn", {})


def test_a_result_that_is_no_json_is_a_fault_of_the_toolkit():
    kit = shelf()

    @kit.tool(effects=[])
    def peek(at: Slice) -> object:
        """Peek."""
        return object()

    with pytest.raises(ToolkitError, match=r"shelf.peek failed: TypeError"):
        call(kit, "peek", {})


def test_a_tool_touches_its_own_tables_and_the_shared_ones_only():
    class Foreign(Record, frozen=True):
        x: str

    kit = shelf()

    @kit.tool(effects=[])
    def pry(at: Slice, own: bool) -> object:
        """Pry.

        Args:
            own: Whether in its own things.
        """
        return len(at.table(Person if own else Foreign))

    assert call(kit, "pry", {"own": True}) == 1
    with pytest.raises(ToolkitError, match="touches Foreign; declare its toolkit in `uses`"):
        call(kit, "pry", {"own": False})


def test_the_whole_world_is_for_those_who_declare_it():
    world = world_of(shelf())
    with pytest.raises(ToolkitError, match="not declared with whole_world"):
        _ = Slice(world, shelf(), frozenset()).world
    searching = Toolkit("search2", title="", seed=ShelfSeed, tables={}, build=build, whole_world=True)
    assert Slice(world, searching, frozenset()).world is world


def test_a_slice_knows_the_time_the_actor_and_their_account():
    kit = shelf()
    world = world_of(kit)
    world.begin(actor="agent", step=1)
    at = Slice(world, kit, frozenset())
    assert (at.now, at.clock, at.actor, at.account) == ("2026-11-19T14:23", START, "agent", "svc-mill")
    world.rollback()
    world.begin(actor="ada.brook", step=1)
    assert (at.actor, at.account) == ("ada.brook", "ada.brook")


@pytest.mark.parametrize("who", ["ada.brook", "ADA.BROOK@mill.example", " Ada Brook ", "@ada.brook"])
def test_a_person_is_found_by_id_address_or_name(who):
    assert Slice(world_of(shelf()), shelf(), frozenset()).person(who) == ADA


def test_an_unknown_person_is_not_found_and_those_there_are_offered():
    with pytest.raises(ToolError) as caught:
        Slice(world_of(shelf()), shelf(), frozenset()).person("ada")
    assert (caught.value.code, caught.value.offer) == ("not_found", ("ada.brook",))


def test_minutes_spent_are_whole_and_never_negative():
    at = Slice(world_of(shelf()), shelf(), frozenset(), 4)
    at.spend(-5)
    assert at.minutes == 0


def test_events_are_scheduled_for_handlers_that_there_are():
    kit = shelf()
    world = world_of(kit)
    world.begin(actor="agent", step=1)
    at = Slice(world, kit, frozenset())
    at.schedule(90, "due", item="B-7")
    _, event = world.next_due(START + 90) or ("", None)
    assert event is not None
    assert (iso(event.due), event.kind, event.payload) == ("2026-11-19T15:53", "shelf.due", {"item": "B-7"})
    with pytest.raises(ToolkitError, match="no handler for event 'lost'"):
        at.schedule(1, "lost")
    kit.handle(world, "due", event.payload)
    assert [notice.text for notice in world.take_notices()] == ["B-7 is due"]
    with pytest.raises(ToolkitError, match="no handler for event 'lost'"):
        kit.handle(world, "lost", {})
    with pytest.raises(ToolkitError, match=r"shelf.due failed: KeyError"):
        kit.handle(world, "due", {})


# ---- build


def making(kit: Toolkit[Any], seed: int = 7) -> tuple[Build, dict[str, dict[str, Record]], list[Effect]]:
    rows: dict[str, dict[str, Record]] = {"ids": {}, "schedule": {}}
    history: list[Effect] = []
    return Build(kit, rows, seed, START, history, "svc-mill"), rows, history


def test_building_puts_rows_reads_times_and_counts_ids():
    make, rows, _ = making(shelf())
    make.put("B-1", Loan(who="x", days=1))
    make.put("B-1", Loan(who="x", days=2))
    assert make.rows(Loan) == {"B-1": Loan(who="x", days=2)}
    assert make.time("-3d 14:12") == "2026-11-16T14:12"
    assert [make.next_id("B-"), make.next_id("B-"), make.next_id("C-", width=1, start=40)] == [
        "B-0001",
        "B-0002",
        "C-40",
    ]
    make.schedule("16:00", "due", item="B-1")
    assert list(rows["schedule"]) == ["2026-11-19T16:00|event:000001"]


def test_ids_given_out_while_building_go_on_in_the_episode():
    kit = shelf()
    make, rows, _ = making(kit)
    make.next_id("B-")
    world = world_of(kit, **rows)
    world.begin(actor="agent", step=1)
    assert world.next_id("B-") == "B-0002"


def test_a_toolkit_builds_no_records_of_others():
    make, _, _ = making(shelf())
    with pytest.raises(ToolkitError, match="builds Event, which it does not declare"):
        make.put("x", Event(due=1, kind="x", payload={}))


def test_a_streams_draws_depend_on_seed_toolkit_and_name():
    def draw(seed: int, kit: Toolkit[Any], name: str) -> int:
        return making(kit, seed)[0].stream(name).getrandbits(60)

    other = Toolkit("rack", title="", seed=ShelfSeed, tables={}, build=build)
    assert draw(7, shelf(), "a") == draw(7, shelf(), "a")
    assert len({draw(7, shelf(), "a"), draw(8, shelf(), "a"), draw(7, shelf(), "b"), draw(7, other, "a")}) == 4


def test_the_past_is_told_at_step_nought():
    make, _, history = making(shelf())
    make.effect("approve", "shelf://B-1", actor="ada.brook", time="-1d 09:00", outcome="yes")
    (told,) = history
    assert (told.step, told.time, told.actor, told.outcome) == (0, "2026-11-18T09:00", "ada.brook", "yes")


# ---- tool sets


def test_a_tool_set_holds_whole_toolkits_and_single_tools_in_the_order_given():
    tools = ToolSet(["work.finish", "tickets"])
    assert next(iter(tools.tools)) == "work.finish"
    assert [name for name in tools.tools if name.startswith("work.")] == ["work.finish"]
    assert list(toolkit("tickets").tools) == [name for name in tools.tools if name.startswith("tickets.")]
    assert {"work", "tickets.items", "files", "people", "memory"} <= set(tools.records)


def test_tools_are_found_by_name_and_by_wire_name():
    tools = ToolSet(["tickets", "work"])
    assert tools.get("tickets.get") is tools.get("tickets__get")
    assert isinstance(tools.get("tickets.get"), Tool)


def test_an_unknown_tool_is_refused_with_those_of_the_same_app_or_all():
    tools = ToolSet(["tickets", "work"])
    with pytest.raises(ToolError) as caught:
        tools.get("tickets.gett")
    assert caught.value.code == "unknown_tool"
    assert caught.value.offer == tuple(name for name in tools.tools if name.startswith("tickets."))
    with pytest.raises(ToolError) as caught:
        tools.get("x" * 300)
    assert len(caught.value.message) < 120
    assert caught.value.offer == tuple(tools.tools)[:12]


def test_an_unknown_toolkit_or_tool_cannot_be_given():
    with pytest.raises(OptionError, match=r"no tools plugin called 'tikets' is installed; installed: .*tickets"):
        ToolSet(["tikets"])
    with pytest.raises(ToolkitError, match=r"no tool 'tickets.gett'; tickets has tickets.search, tickets.get"):
        ToolSet(["tickets.gett"])


def test_the_desk_has_a_tool_for_every_role():
    tools = ToolSet(["work", "people"])
    assert [role for role in ROLES if not tools.by_role(role)] == []
    assert [tool.name for tool in tools.by_role("finish")] == ["work.finish"]


def test_the_agents_schemas_are_made_once():
    tools = ToolSet(["work"])
    assert tools.schemas is tools.schemas
    assert [schema.name for schema in tools.schemas] == list(tools.tools)
    assert [schema.parameters for schema in tools.schemas] == [tool.parameters for tool in tools.tools.values()]


# ---- the border


@pytest.mark.parametrize(
    "arguments",
    [{}, {"a": "x", "b": 1, "c": True, "d": None}, {"a": {"b": [1, 2.5, "x", None]}}, {"é": "Ørsted 😀"}],
)
def test_clean_arguments_pass_as_they_are(arguments):
    assert clean_arguments(arguments) == arguments


def test_lone_surrogates_become_replacement_characters_everywhere():
    dirty = {"a\ud800": "x\udfff", "b": ["\ud83d", {"c\udc00": "\ud83d\ude00"}]}
    assert clean_arguments(dirty) == {"a\ufffd": "x\ufffd", "b": ["\ufffd", {"c\ufffd": "😀"}]}
    assert clean_arguments({"a": "\ud800"}) == {"a": "\ufffd"}


@pytest.mark.parametrize("arguments", [[], "x", None, 5, [["a", 1]]])
def test_arguments_are_an_object(arguments):
    with pytest.raises(ToolError, match="must be a JSON object") as caught:
        clean_arguments(arguments)
    assert caught.value.found == type(arguments).__name__


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**400])
def test_integers_fit_64_bits(number):
    edge = {"a": 2**63 - 1, "b": -(2**63), "c": [2**63 - 1]}
    assert clean_arguments(edge) == edge
    for arguments in ({"a": number}, {"a": [number]}):
        with pytest.raises(ToolError, match="out of range"):
            clean_arguments(arguments)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_are_finite(number):
    for arguments in ({"a": number}, {"a": {"b": number}}):
        with pytest.raises(ToolError, match="not finite"):
            clean_arguments(arguments)


def nested(depth: int) -> dict[str, Any]:
    value: Any = "x"
    for _ in range(depth - 1):
        value = [value]
    return {"a": value}


def test_nesting_has_a_limit():
    assert clean_arguments(nested(DEPTH_CAP)) == nested(DEPTH_CAP)
    with pytest.raises(ToolError, match="nested too deeply"):
        clean_arguments(nested(DEPTH_CAP + 1))
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(ToolError, match="nested too deeply"):
        clean_arguments({"a": circle})


@pytest.mark.parametrize("wrap", [lambda text: {"a": text}, lambda text: {"a": [text]}, lambda text: {text: 1}])
def test_text_has_a_limit_before_any_parsing(wrap):
    assert clean_arguments(wrap("x" * (ARGUMENTS_CAP - 10)))
    with pytest.raises(ToolError) as caught:
        clean_arguments(wrap("x" * (ARGUMENTS_CAP + 1)))
    assert caught.value.code == "too_large"


def test_many_small_values_count_as_text_too():
    with pytest.raises(ToolError, match="too large"):
        clean_arguments({"a": [None] * (ARGUMENTS_CAP + 1)})


def test_what_is_no_json_is_refused():
    with pytest.raises(ToolError, match="not JSON") as caught:
        clean_arguments({"a": {1, 2}})
    assert caught.value.found == "set"


# ---- results


def test_a_text_result_goes_through_as_it_is_and_the_rest_as_json():
    kit = shelf()

    @kit.tool(effects=[])
    def say(at: Slice, text: str) -> object:
        """Say.

        Args:
            text: What.
        """
        return text if text != "record" else Loan(who="a", days=1, tags=("x",))

    world = world_of(kit)
    assert kit.tools["shelf.say"].run(world, {"text": "plain\ntext"})[0] == "plain\ntext"
    assert kit.tools["shelf.say"].run(world, {"text": "record"})[0] == '{"who":"a","days":1,"tags":["x"]}'
    long = kit.tools["shelf.say"].run(world, {"text": "x" * (OUTPUT_CAP + 1)})[0]
    assert len(long) == OUTPUT_CAP


def test_a_long_text_is_cut_the_way_a_machine_does():
    assert cut("x" * 100, 100) == "x" * 100
    shortened = cut("x" * 101, 100)
    assert len(shortened) == 100
    assert shortened.endswith("\n[output truncated: 101 characters]")


def test_rows_come_in_pages():
    rows = list(range(45))
    assert paged(rows, 1) == {"items": rows[:20], "page": 1, "pages": 3, "total": 45}
    assert paged(rows, 3)["items"] == rows[40:]
    assert paged([], 1) == {"items": [], "page": 1, "pages": 1, "total": 0}
    assert paged(rows[:40], 2)["pages"] == 2
    for page in (0, 4, -1):
        with pytest.raises(ToolError) as caught:
            paged(rows, page)
        assert (caught.value.code, caught.value.expected) == ("not_found", "1 to 3")


@pytest.mark.parametrize("name", plugins.announced("tools"))
def test_the_quick_way_to_a_schema_gives_what_pydantic_gives(name: str):
    for tool in toolkit(name).tools.values():
        assert tool.parameters == tool.model_parameters(), tool.name
