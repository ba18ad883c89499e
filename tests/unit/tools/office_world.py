"""A small office for the tests of the common toolkits: four colleagues, one customer, the agent's account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from impress_env.errors import ToolError
from impress_env.testing.bench import Bench, bench
from impress_env.world.people import Person

NOW = "2026-11-19T14:23"


def _person(id: str, name: str, role: str, team: str, **more: Any) -> Person:
    email = more.pop("email", f"{id}@brightline.example")
    return Person(id=id, name=name, first=name.split()[0], role=role, team=team, email=email, **more)


IMKE = _person("imke.raad", "Imke Raad", "platform_lead", "platform")
TOMO = _person("tomo.besic", "Tomo Besic", "engineer", "platform", away_until="2026-11-23T09:00")
JANA = _person("jana.holub", "Jana Holub", "change_manager", "service")
OWN = _person("svc-dunlin", "Dunlin", "service account", "platform")
BUYER = _person("h.krog", "Hanne Krog", "buyer", "", email="hk@velling.example", external=True)
PEOPLE = (IMKE, TOMO, JANA, BUYER)


def office(kits: tuple[str, ...], people: tuple[Person, ...] = PEOPLE, **sections: Mapping[str, Any]) -> Bench:
    """Return a bench over the kits with this office's people."""
    return bench(kits, sections, people=people, start=NOW)


def refused(desk: Bench, tool: str, **arguments: Any) -> ToolError:
    """Return the error of a call that must be refused and leave the world as it was."""
    before = desk.world.fingerprint()
    with pytest.raises(ToolError) as caught:
        desk.call(tool, **arguments)
    assert desk.world.fingerprint() == before
    return caught.value


def deliver(desk: Bench, kit: str, **payload: str) -> list[str]:
    """Let a person's answer arrive and return the lines that the agent is told."""
    desk.world.take_notices()
    desk.world.begin(actor="system", step=desk.step)
    desk.tools.toolkits[kit].handle(desk.world, "deliver", dict(payload))
    desk.world.commit()
    return [notice.text for notice in desk.world.take_notices()]
