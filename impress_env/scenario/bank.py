"""Banks: names, organisations, id lists and mundane filler that a scenario package ships, read once per process.

A bank belongs to a package folder with `banks/*.yaml` and `banks/filler/<domain>.yaml`. Knows nothing of families.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from impress_env import plugins
from impress_env.errors import ScenarioError
from impress_env.scenario.source import decoded, read_yaml
from impress_env.scenario.template import SlotError


class Bank:
    """The banks of one scenario package."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[str, Mapping[str, Any]] = {}

    def file(self, name: str) -> Path:
        """Return the path of a bank file: the package's own, or else that of another installed package."""
        own = self.folder / "banks" / f"{name}.yaml"
        if own.is_file():
            return own
        for package in plugins.announced("scenarios"):
            other = plugins.folder("scenarios", package) / "banks" / f"{name}.yaml"
            if other.is_file():
                return other
        return own

    def load(self, name: str) -> Mapping[str, Any]:
        """Return the data of a bank file.

        Raises:
            ScenarioError: There is no such bank, or it is malformed.
        """
        if name not in self._read:
            path = self.file(name)
            if not path.is_file():
                raise ScenarioError(f"no bank {name!r}", file=str(path), next_step="Check the name.")
            data, _ = read_yaml(decoded(path.read_bytes(), f"banks/{name}.yaml"), f"banks/{name}.yaml")
            if not isinstance(data, dict) or data.get("format") != 1:
                raise ScenarioError("expected a mapping with format: 1", file=f"banks/{name}.yaml", line=1)
            if name == "names":
                words = {key: data[key].split() for key in ("first", "last") if isinstance(data.get(key), str)}
                data = {**data, **words}
            problem = _malformed(name, data)
            if problem:
                raise ScenarioError(problem, file=f"banks/{name}.yaml")
            self._read[name] = data
        return self._read[name]

    def list_of(self, name: str) -> list[Any]:
        """Return a list of `ids.yaml` by its key.

        Raises:
            SlotError: There is none.
        """
        lists = {key: items for key, items in self.load("ids").items() if isinstance(items, list)}
        if name not in lists:
            raise SlotError(f"no list {name!r} in the id bank; there are {', '.join(lists)}")
        return list(lists[name])

    def filler(self, domain: str, kind: str) -> list[Mapping[str, Any]]:
        """Return the pieces of a kind: the domain's own, then those that fit any office.

        Raises:
            SlotError: There are none.
        """
        found: list[Mapping[str, Any]] = []
        kinds: dict[str, None] = {}
        for name in (f"filler/{domain}", "filler/common"):
            if self.file(name).is_file():
                pieces = self.load(name).get("pieces", {})
                found += pieces.get(kind, [])
                kinds.update(dict.fromkeys(pieces))
        if not found:
            raise SlotError(f"no filler of kind {kind!r} for {domain!r}; there are {', '.join(kinds) or 'none'}")
        return found

    def organisation(self, kind: str, rng: Random) -> dict[str, str]:
        """Draw an organisation: name, short, slug, domain (of its mail addresses).

        Raises:
            SlotError: Unknown kind.
        """
        kinds = self.load("organisations")["kinds"]
        if kind not in kinds:
            raise SlotError(f"no organisations of kind {kind!r}; there are {', '.join(kinds)}")
        head, tail = rng.choice(kinds[kind]["heads"]), rng.choice(kinds[kind]["tails"])
        slug = slugify(f"{head}{tail.split()[0]}")
        return {"name": f"{head} {tail}", "short": head, "slug": slug, "domain": f"{slug}.example"}

    def firms(self, rng: Random, count: int) -> list[str]:
        """Draw names of firms mentioned in passing, with heads of their own; none where the bank has none."""
        ids = self.load("ids") if "ids" in self._read or self.file("ids").is_file() else {}
        heads, tails = ids.get("firm_heads", []), ids.get("firm_tails", [])
        if not isinstance(heads, list) or not isinstance(tails, list) or len(heads) < count or not tails:
            return []
        return [f"{head} {rng.choice(tails)}" for head in rng.sample(heads, count)]

    def person(self, rng: Random, taken: Mapping[str, Any], org: Mapping[str, str] | None) -> dict[str, Any]:
        """Draw a person whose id, name and surname nobody in `taken` has.

        Raises:
            SlotError: The name bank is used up.
        """
        names = self.load("names")
        for _ in range(10_000):
            first, last = rng.choice(names["first"]), rng.choice(names["last"])
            who = f"{slugify(first)}.{slugify(last)}"
            if who not in taken and not any(p["last"] == last or p["first"] == first for p in taken.values()):
                break
        else:
            raise SlotError(f"expected a name bank with names left, found all used by {len(taken)} people")
        domain = org["domain"] if org else "office.example"
        return {
            "id": who,
            "name": f"{first} {last}",
            "first": first,
            "last": last,
            "email": f"{who}@{domain}",
            "role": "",
            "team": "",
        }


_LETTERS = str.maketrans({"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "ı": "i", "ß": "ss", "đ": "d", "Đ": "D"})


def _malformed(name: str, data: Mapping[str, Any]) -> str:
    """Return what is wrong with the shape of a bank, or ""."""

    def lists(value: object, *keys: str) -> bool:
        return isinstance(value, Mapping) and all(isinstance(value.get(key), list) and value[key] for key in keys)

    if name == "names" and not lists(data, "first", "last"):
        return "expected 'first' and 'last', lists or blocks of words"
    if name == "organisations":
        kinds = data.get("kinds")
        if not isinstance(kinds, Mapping) or not all(lists(kind, "heads", "tails") for kind in kinds.values()):
            return "expected kinds, each with lists 'heads' and 'tails'"
    if name.startswith("filler/"):
        pieces = data.get("pieces")
        if not isinstance(pieces, Mapping) or not lists(pieces, *pieces):
            return "expected pieces, a list of them for every kind"
        if not all(isinstance(piece, dict) for kind in pieces.values() for piece in kind):
            return "expected every piece to be a mapping"
    return ""


def slugify(text: str) -> str:
    """Return ASCII lower-case letters and digits of a name."""
    flat = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    return re.sub(r"[^a-z0-9]+", "", flat.encode("ascii", "ignore").decode().lower())


@cache
def bank_of(folder: Path) -> Bank:
    """Return the banks of a package folder; one object per process."""
    return Bank(folder)
