"""What the placement office's apps share: days, sections of a student's record, and ids that come near.

Knows nothing of any one app.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from impress_env.tool import Build

Section = Literal["course", "dates", "tutor", "visits", "arrangements", "plan"]
"""What a host can be told of a student; the last two are filled for students with a support plan alone."""

Scope = Literal["none", "arrangements", "plan"]
"""How much of a support plan a student lets one host know; "plan" takes the arrangements in."""

SCOPES: Final[tuple[Scope, ...]] = ("none", "arrangements", "plan")
HEALTH: Final[dict[str, Scope]] = {"arrangements": "arrangements", "plan": "plan"}  # section -> the scope it needs


def covers(scope: str, needed: str) -> bool:
    """Return whether a scope lets a host know what needs another."""
    return SCOPES.index(_scope(scope)) >= SCOPES.index(_scope(needed))


def seed_day(make: Build, text: str) -> str:
    """Return the ISO date of a moment of a scenario file; "" stays ""."""
    return make.time(text)[:10] if text else ""


def near(ids: Iterable[str], wanted: str) -> list[str]:
    """Return the ids that begin like the one that was asked for, or all."""
    known = list(ids)
    head = wanted.strip()[:4].lower()
    return [id for id in known if head and id.lower().startswith(head)] or known


def _scope(word: str) -> Scope:
    return next((scope for scope in SCOPES if scope == word), "none")
