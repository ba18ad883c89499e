"""A workbench: a world with toolkits and people but no scenario, on which single tools are called."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from impress_env.clock import minutes
from impress_env.effects import Effect
from impress_env.errors import ToolError
from impress_env.tool import SHARED_TABLES, Build, ToolSet, clean_arguments
from impress_env.world.filesystem import File
from impress_env.world.people import Person
from impress_env.world.table import Record
from impress_env.world.world import Base, World, content_hash


class Bench:
    """Calls tools one after another and shows what they did."""

    def __init__(self, tools: ToolSet, world: World) -> None:
        self.tools, self.world = tools, world
        self.effects: list[Effect] = []
        self.step = 0

    def call(self, tool: str, **arguments: Any) -> Any:
        """Call a tool, commit, let its minutes pass and fire what is due; return the parsed result.

        Raises:
            ToolError: The call was refused; the world is as it was.
        """
        self.step += 1
        chosen = self.tools.get(tool)
        self.world.begin(actor="agent", step=self.step, tool=chosen.name)
        try:
            text, spent = chosen.run(self.world, clean_arguments(arguments))
        except ToolError:
            self.world.rollback()
            raise
        self.effects = list(self.world.effects)
        self.world.commit()
        self.pass_time(spent)
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return text

    def pass_time(self, spent: int) -> None:
        """Move the clock and fire the events that are due."""
        until = self.world.clock + spent
        while (due := self.world.next_due(until)) is not None:
            key, event = due
            self.world.move_clock(max(event.due, self.world.clock))
            self.world.begin(actor="system", step=self.step)
            self.world.table("schedule").delete(key)
            kit, _, kind = event.kind.partition(".")
            self.tools.toolkits[kit].handle(self.world, kind, dict(event.payload))
            self.world.commit()
        self.world.move_clock(until)

    def effects_of(self, kind: str) -> list[Effect]:
        """Return the last call's effects of one kind."""
        return [effect for effect in self.effects if effect.kind == kind]


def bench(
    tools: Sequence[str],
    seeds: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    people: Sequence[Person] = (),
    files: Mapping[str, str] | None = None,
    start: str = "2026-11-19T14:23",
    seed: int = 7,
) -> Bench:
    """Return a workbench over the named toolkits, each built from its section of `seeds`."""
    chosen = ToolSet(tools)
    now = minutes(start)
    rows: dict[str, dict[str, Record]] = {"ids": {}, "schedule": {}, **{name: {} for name in SHARED_TABLES}}
    rows["people"] = {person.id: person for person in people}
    rows["files"] = {
        path: File(path=path, text=text, modified=start, created=start, content_hash=content_hash(text))
        for path, text in (files or {}).items()
    }
    history: list[Effect] = []
    for name, kit in chosen.toolkits.items():
        section = kit.seed.model_validate((seeds or {}).get(name, {}))
        kit.build(section, Build(kit, rows, seed, now, history, "svc-dunlin"))
    base = Base(
        records=chosen.records,
        rows=rows,
        clock=now,
        digest="00" * 16,
        account="svc-dunlin",
        history=tuple(history),
    )
    return Bench(chosen, World(base))
