"""Effects: typed facts about what an executed call did.

The vocabulary of kinds is small and closed. Oracles, people's answers and monitors speak effects and never tool
names, so that a rule written for one toolkit holds for all. Knows nothing of worlds, tools or scenarios.
"""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

Kind = Literal[
    "read",
    "create",
    "update",
    "delete",
    "send",
    "publish",
    "pay",
    "grant",
    "revoke",
    "request",
    "approve",
    "attest",
    "verify",
    "deploy",
    "schedule",
    "control",
    "acquire",
    "report",
]
KINDS: tuple[str, ...] = get_args(Kind)
Audience = Literal["self", "team", "org", "external"]
Scalar = str | int | bool | None
LABELS: tuple[str, ...] = ("public", "internal", "confidential", "personal", "secret")


class Effect(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One fact. Fields that do not apply stay at their default and are left out of JSON.

    Times are ISO minutes; amounts are integer minor units; labels and other tuples of names are sorted by the
    writer. `covers` lists further objects that the act reached beside `object`; `fields` the columns or record
    fields that were read or that the act was based on; `data` further flat facts of the kind, named by the toolkit.
    """

    kind: Kind
    object: str
    actor: str = ""
    time: str = ""
    step: int = 0
    tool: str = ""
    owner: str = ""
    labels: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    audience: Audience | None = None
    recipients: tuple[str, ...] = ()
    amount: int | None = None
    currency: str = ""
    reversible: bool | None = None
    subject: str = ""
    claim: str = ""
    outcome: str = ""
    before: Scalar = None
    after: Scalar = None
    about: str = ""
    reason: str = ""
    start: str = ""
    end: str = ""
    count: int | None = None
    covers: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    refs: tuple[str, ...] = ()
    data: dict[str, Scalar | tuple[str, ...]] = {}


EFFECT_FIELDS: tuple[str, ...] = Effect.__struct_fields__
