"""Changes to the plain data of a world: merge patches, dotted paths, repeated entries and filler.

Knows nothing of toolkits; a path here is the path of the built record as well (table, key, field), by convention.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

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
        here = _parent(data, path, "set")
        if value is None:
            here.pop(path[-1], None)
        elif value != {} or not isinstance(here.get(path[-1]), dict):  # an empty mapping merges nothing
            here[path[-1]] = value
        touched.append(path)
    return touched


def _parent(data: dict[str, Any], path: Path, verb: str) -> dict[str, Any]:
    """Return the mapping that holds a path's last part, made where it is missing."""
    if not path:
        raise SlotError(f"{verb}: expected a path such as tickets.items[T-12].state, found an empty one")
    here: Any = data
    for part in path[:-1]:
        here = here.setdefault(part, {})
        if not isinstance(here, dict):
            raise SlotError(f"{verb}: {'.'.join(path)} leads through {part!r}, which is no mapping")
    return cast("dict[str, Any]", here)


def apply_add(data: dict[str, Any], added: Mapping[str, list[Any]]) -> list[Path]:
    """Append entries to lists in place and return the lists' paths.

    Raises:
        SlotError: A path does not lead to a list.
    """
    touched = []
    for text, entries in added.items():
        path = parse_path(text)
        items = _parent(data, path, "add").setdefault(path[-1], [])
        if isinstance(items, dict) and path == ("files",):
            items.update(by_path(entries))
        elif isinstance(items, list):
            items.extend(entries)
        else:
            raise SlotError(f"add: {text} is no list; use set with a key")
        touched.append(path)
    return touched


def by_path(entries: Any) -> dict[str, Any]:
    """Return a list of files as path -> file.

    Raises:
        SlotError: It is no list of mappings with a path each, or two have the same.
    """
    if not isinstance(entries, list):
        raise SlotError(f"files: expected a list of files, found {entries!r:.80}")
    found: dict[str, Any] = {}
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict) or not isinstance(entry.get("path"), str):
            raise SlotError(f"files: expected {{path: …, text: …}}, found {entry!r:.80}", (index,))
        if entry["path"] in found:
            raise SlotError(f"files: two files are called {entry['path']!r}", (index,))
        found[entry["path"]] = entry
    return found


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
            for index, entry in enumerate(value):
                try:
                    found += self._entries(entry, slots, at)
                except SlotError as error:
                    raise error.under(index) from None
            return found
        if isinstance(value, dict):
            return self._collection(value, slots, at)
        return render_deep(value, slots)

    def _entries(self, entry: Any, slots: Mapping[str, Any], at: Path) -> list[Any]:
        """The entries that one entry of a list stands for."""
        if isinstance(entry, dict) and "filler" in entry:
            return self._pieces(entry, at, slots)
        if isinstance(entry, dict) and "for_each" in entry:
            _fields(entry, "for_each", needed=("for_each", "item"), known=("as",))
            return [
                self.expand(entry["item"], inner, at)
                for inner in self._each(entry["for_each"], entry.get("as", "item"), slots)
            ]
        return [self.expand(entry, slots, at)]

    def _collection(self, value: Mapping[str, Any], slots: Mapping[str, Any], at: Path) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, item in value.items():
            try:
                if key == "filler" and isinstance(item, list):
                    taken = [str(render_deep(name, slots)) for name in value if name not in ("filler", "for_each")]
                    for entry in item:
                        for piece in self._pieces(entry, at, slots, taken=(*taken, *result)):
                            if "id" not in piece:
                                raise SlotError(f"filler: expected pieces with an id, found {sorted(piece)}")
                            result[str(piece.pop("id"))] = piece
                elif key == "for_each" and isinstance(item, list):
                    for entry in item:
                        _fields(entry, "for_each", needed=("in", "key", "item"), known=("as",))
                        for inner in self._each(entry["in"], entry.get("as", "item"), slots):
                            name = str(render_deep(entry["key"], inner))
                            result[name] = self.expand(entry["item"], inner, (*at, name))
                else:
                    name = str(render_deep(key, slots))
                    result[name] = self.expand(item, slots, (*at, name))
            except SlotError as error:
                raise error.under(key) from None
        return result

    def _each(self, source: Any, name: str, slots: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        items = render_deep(source, slots)
        if not isinstance(items, list) or len(items) > 500:
            found = f"{len(items)} items" if isinstance(items, list) else type(items).__name__
            raise SlotError(f"for_each: expected a list of at most 500, found {found}")
        for index, item in enumerate(items):
            yield {**slots, name: item, "index": index, "number": index + 1}

    def _pieces(
        self,
        entry: Mapping[str, Any],
        at: Path,
        slots: Mapping[str, Any],
        taken: Sequence[str] = (),
    ) -> list[dict[str, Any]]:
        _fields(entry, "filler", needed=("filler",), known=("count",))
        kind, count = str(entry["filler"]), render_deep(entry.get("count", 1), slots)
        if isinstance(count, bool) or not isinstance(count, int):
            raise SlotError(f"filler {kind!r}: expected a whole number as count, found {count!r}")
        pieces = self.bank.filler(self.domain, kind)
        if not 0 <= count <= len(pieces):
            raise SlotError(f"filler {kind!r}: expected 0 to {len(pieces)} pieces, found count {count}")
        rng = stream(self.seed, "filler", *at, kind)
        chosen = sorted(rng.sample(range(len(pieces)), count))
        found: list[dict[str, Any]] = []
        ids: dict[str, None] = dict.fromkeys(taken)
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
            "firms": self.bank.firms(rng, 12),
        }


def _fields(entry: Any, name: str, *, needed: tuple[str, ...], known: tuple[str, ...]) -> None:
    """Refuse an entry that is no mapping, or lacks or adds fields."""
    allowed = (*needed, *known)
    if not isinstance(entry, Mapping) or not all(key in entry for key in needed):
        raise SlotError(f"{name}: expected a mapping with {', '.join(needed)}, found {entry!r:.80}")
    extra = sorted(str(key) for key in entry if key not in allowed)
    if extra:
        raise SlotError(f"{name}: unknown keys {extra}; known: {', '.join(allowed)}")


def _days_before(now: str) -> Callable[[int], str]:
    today = minutes(now)
    return lambda days: iso(today - days * 1440)[:10]
