"""What forking a world costs where the world is plain Python objects and a fork is a deep copy.

Two forms of the same 100 files of about 1 kB with their metadata: a dict of dataclasses, and a pydantic
model as AgentDojo's cloud drive has it, copied as AgentDojo copies (`model_copy(deep=True)`). Texts are
shared by a deep copy, since strings are immutable, so this is the price of the objects alone. It knows
nothing of our world.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import BaseModel, Field

FILES = 100
CHANGED = 20

START = datetime(2026, 3, 2, 8, 14)  # noqa: DTZ001 - a plain world's times are naive
LINE = "2026-03-02 08:14 pool-b node 17 drained, 41 pods moved, 3 pending on disk pressure\n"


def path_of(number: int) -> str:
    """The path of one file, ten to a folder."""
    return f"/shared/team-{number // 10}/notes-{number:03d}.md"


def body_of(number: int, revision: int = 0) -> str:
    """About 1 kB of text, different for every file and revision."""
    return f"# Notes {number}, revision {revision}\n\n" + LINE * 12


@dataclass
class PlainFile:
    path: str
    body: str
    owner: str
    mode: int
    labels: list[str]
    created: datetime
    modified: datetime
    shared_with: dict[str, str] = field(default_factory=dict)


class ModelFile(BaseModel):
    path: str
    body: str
    owner: str
    mode: int
    labels: list[str]
    created: datetime
    modified: datetime
    shared_with: dict[str, str] = Field(default_factory=dict)


class ModelWorld(BaseModel):
    files: dict[str, ModelFile]


def plain_world() -> dict[str, PlainFile]:
    """100 files, 20 of them changed since the start, as dataclasses."""
    files = {}
    for number in range(FILES):
        changed = number % (FILES // CHANGED) == 0
        files[path_of(number)] = PlainFile(
            path=path_of(number),
            body=body_of(number, int(changed)),
            owner=f"person-{number % 7}",
            mode=0o640,
            labels=["internal"],
            created=START - timedelta(days=number),
            modified=START + timedelta(minutes=number if changed else 0),
            shared_with={f"person-{(number + 1) % 7}": "r"},
        )
    return files


def model_world() -> ModelWorld:
    """The same files as a pydantic model."""
    return ModelWorld(files={path: ModelFile(**vars(file)) for path, file in plain_world().items()})


def plain_fork() -> Callable[[], object]:
    """A function that forks the plain world by a deep copy."""
    world = plain_world()
    return lambda: copy.deepcopy(world)


def model_fork() -> Callable[[], object]:
    """A function that forks the pydantic world as AgentDojo does."""
    world = model_world()
    return lambda: world.model_copy(deep=True)
