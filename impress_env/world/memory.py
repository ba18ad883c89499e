"""The agent's own notes, kept across turns, and across episodes where a study says so."""

from __future__ import annotations

from typing import Final

from impress_env.world.table import Record

TABLE: Final = "memory"


class Note(Record, frozen=True, kw_only=True):
    """One note of the agent."""

    id: str
    text: str
    at: str
    tags: tuple[str, ...] = ()
