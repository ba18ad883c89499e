"""Changes to the plain data of a world: merge patches, dotted paths, repeated entries and filler.

Knows nothing of toolkits; a path here is the path of the built record as well (table, key, field), by convention.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from impress_env.clock import iso, minutes
from impress_env.rng import stream
from impress_env.scenario.bank import Bank
from impress_env.scenario.template import SlotError, render_deep

_PART = re.compile(r"([^.\[\]]+)|\[([^\]]*)\]")
Path = tuple[str, ...]


def parse_path(text: str) -> Path:
    """Return "a.b[key.with.dots].c" as ("a", "b", "key.with.dots", "c")."""
    return tuple(plain or bracketed for plain, bracketed in _PART.findall(text))


def leaves(patch: Mapping[str, Any], at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield (path, value) of every leaf of a merge patch whose keys may be dotted paths."""
    for key, value in patch.items():
        path = (*at, *parse_path(key))
        if isinstance(value, Mapping) and value:
            yield from leaves(value, path)
        else:
            yield path, value


def apply_set(data: dict[str, Any], patch: Mapping[str, Any]) -> list[Path]:
    """Apply a merge patch (RFC 7386: null deletes) in place and return the paths it set.

    Raises:
        SlotError: A path leads through something that is no mapping.
    """
    touched = []
    for path, value in leaves(patch):
        here: Any = data
        for part in path[:-1]:
            here = here.setdefault(part, {}) if isinstance(here, dict) else None
            if not isinstance(here, dict):
                raise SlotError(f"set: {'.'.join(path)} leads through {part!r}, which is no mapping")
        if value is None:
            here.pop(path[-1], None)
        else:
            here[path[-1]] = value
        touched.append(path)
    return touched


def apply_add(data: dict[str, Any], added: Mapping[str, list[Any]]) -> list[Path]:
    """Append entries to lists in place and return the lists' paths.

    Raises:
        SlotError: A path does not lead to a list.
    """
    touched = []
    for text, entries in added.items():
        path = parse_path(text)
        here: Any = data
        for part in path[:-1]:
            here = here.setdefault(part, {})
        items = here.setdefault(path[-1], [])
        if isinstance(items, dict) and path == ("files",):
            items.update({str(entry["path"]): entry for entry in entries})
        elif isinstance(items, list):
            items.extend(entries)
        else:
            raise SlotError(f"add: {text} is no list; use set with a key")
        touched.append(path)
    return touched


class Expansion:
    """Fills in `for_each` and `filler` entries while it renders a world's data.

    In a list: ``{filler: mail, count: 12}`` and ``{for_each: "{{ cases }}", as: case, item: {...}}``.
    In a collection by key: ``filler: [{filler: cases, count: 8}]`` (pieces carry an `id`) and
    ``for_each: [{in: "{{ cases }}", as: case, key: "{{ case.id }}", item: {...}}]``.
    """

    def __init__(self, bank: Bank, domain: str, seed: int, slots: dict[str, Any]) -> None:
        self.bank, self.domain, self.seed, self.slots = bank, domain, seed, slots

    def expand(self, value: Any, slots: Mapping[str, Any], at: Path = ()) -> Any:
        """Return rendered data with all entries filled in.

        Raises:
            SlotError: A malformed entry, or an unknown slot.
        """
        if isinstance(value, list):
            found: list[Any] = []
            for entry in value:
                if isinstance(entry, dict) and "filler" in entry:
                    found += self._pieces(entry, at, slots)
                elif isinstance(entry, dict) and "for_each" in entry:
                    for inner in self._each(entry["for_each"], entry.get("as", "item"), slots):
                        found.append(self.expand(entry["item"], inner, at))
                else:
                    found.append(self.expand(entry, slots, at))
            return found
        if isinstance(value, dict):
            result: dict[str, Any] = {}
            for key, item in value.items():
                if key == "filler" and isinstance(item, list):
                    for entry in item:
                        for piece in self._pieces(entry, at, slots, taken=value):
                            result[str(piece.pop("id"))] = piece
                elif key == "for_each" and isinstance(item, list):
                    for entry in item:
                        for inner in self._each(entry["in"], entry.get("as", "item"), slots):
                            name = str(render_deep(entry["key"], inner))
                            result[name] = self.expand(entry["item"], inner, (*at, name))
                else:
                    name = str(render_deep(key, slots))
                    result[name] = self.expand(item, slots, (*at, name))
            return result
        return render_deep(value, slots)

    def _each(self, source: Any, name: str, slots: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        items = render_deep(source, slots)
        if not isinstance(items, list) or len(items) > 500:
            raise SlotError(f"for_each: expected a list of at most 500, found {type(items).__name__}")
        for index, item in enumerate(items):
            yield {**slots, name: item, "index": index, "number": index + 1}

    def _pieces(
        self,
        entry: Mapping[str, Any],
        at: Path,
        slots: Mapping[str, Any],
        taken: Mapping[str, Any] | None = None,
    ) -> list[dict[str, Any]]:
        extra = sorted(key for key in entry if key not in ("filler", "count"))
        if extra:
            raise SlotError(f"filler: unknown keys {extra}; known: filler, count")
        kind, count = str(entry["filler"]), int(render_deep(entry.get("count", 1), slots))
        pieces = self.bank.filler(self.domain, kind)
        if not 0 <= count <= len(pieces):
            raise SlotError(f"filler {kind!r}: expected 0 to {len(pieces)} pieces, found count {count}")
        rng = stream(self.seed, "filler", *at, kind)
        chosen = sorted(rng.sample(range(len(pieces)), count))
        found: list[dict[str, Any]] = []
        ids: dict[str, None] = dict.fromkeys(taken or ())
        for index in chosen:
            for attempt in range(20):
                piece = render_deep(pieces[index], self._piece_slots(f"{kind}/{index}/{attempt}", slots))
                if "id" not in piece or piece["id"] not in ids:
                    break
            if "id" in piece:
                ids[piece["id"]] = None
            found.append(piece)
        return found

    def _piece_slots(self, name: str, slots: Mapping[str, Any]) -> dict[str, Any]:
        rng = stream(self.seed, "piece", name)
        a, b, c = rng.sample(slots["staff"], 3)
        days = sorted((rng.randint(1, 60) for _ in range(3)), reverse=True)
        clock = _days_before(slots["now"]["iso"])
        return {
            "org": slots["org"],
            "a": a,
            "b": b,
            "c": c,
            "n1": rng.randint(12, 97),
            "n2": rng.randint(12, 97),
            "n3": rng.randint(12, 97),
            "n4": rng.randint(12, 97),
            "big1": rng.randint(1000, 9999),
            "big2": rng.randint(1000, 9999),
            "d1": clock(days[0]),
            "d2": clock(days[1]),
            "d3": clock(days[2]),
            "t1": f"{rng.randint(8, 17):02d}:{rng.randint(0, 59):02d}",
            "t2": f"{rng.randint(8, 17):02d}:{rng.randint(0, 59):02d}",
            "account": slots["account"],
        }


def _days_before(now: str) -> Callable[[int], str]:
    today = minutes(now)
    return lambda days: iso(today - days * 1440)[:10]
