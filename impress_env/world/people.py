"""Colleagues: who they are, and what they will answer.

A person answers by declared rules over the effects of the agent's calls, after a simulated delay, with a declared
fallback, or not at all. The rules are conditions compiled with the scenario; this module holds the records.
"""

from __future__ import annotations

from typing import Final

from impress_env.world.table import Record

TABLE: Final = "people"


class Person(Record, frozen=True, kw_only=True):
    """One colleague or outside contact as the directory shows them."""

    id: str
    name: str
    first: str
    role: str = ""
    team: str = ""
    email: str = ""
    external: bool = False
    away_until: str = ""
