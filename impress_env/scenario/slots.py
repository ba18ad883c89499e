"""Slots: what differs between the seeds of a family, drawn in order from named random streams.

Forms of a slot (`slots.<name>:` in a family file); texts may use earlier slots:

| form | gives |
|---|---|
| `{organisation: kind}` | name, short, slug, domain |
| `{person: role, team: …, external: …}` | id, name, first, last, email, role, team |
| `{pick: [a, b, …]}` or `{pick: bank_list}` | one of them (any data, rendered) |
| `{sample: n, from: [..] or bank_list}` | n distinct ones |
| `{shuffle: [..]}` | all, in a drawn order |
| `{int: [low, high], step: s}` | a whole number |
| `{pattern: "CHG-2####"}` | `#` a digit, `?` a lower-case letter, `*` a hex digit |
| `{format: "{a}.{b}", a: slot, b: slot}` | text from slots of its own |
| `{moment: "-3d", between: ["22:10", "23:40"], step: 5}` | an ISO time on the day so many days off |
| `{value: anything}` | data with earlier slots filled in |
| `{by: "{{ slot }}", of: {value: data, …}}` | the entry for an earlier slot's value |
| `{list: n, of: slot}` | n draws of a slot |
| `{record: {field: slot, …}}` | a mapping of slots; later fields may use earlier ones |

Always there: `now` (iso, date, time, weekday), `staff` (twelve colleagues), `account` (the agent's).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from random import Random
from typing import Any

from impress_env.clock import iso, minute_of_day, resolve, weekday
from impress_env.rng import stream
from impress_env.scenario.bank import Bank
from impress_env.scenario.template import SlotError, render_deep

FORMS = (
    "organisation", "person", "pick", "sample", "shuffle", "int", "pattern", "format", "moment", "value", "by",
    "list", "record",
)  # fmt: skip
ALWAYS = ("now", "staff", "account")
LIST_CAP = 1000
_FIELD = re.compile(r"\{(\w+)(?::0(\d)d)?\}")
_EXTRA: dict[str, tuple[str, ...]] = {
    "person": ("team", "external"),
    "sample": ("from",),
    "int": ("step",),
    "moment": ("between", "step"),
    "by": ("of",),
    "list": ("of",),
}


class Drawing:
    """Draws the slots of one instance.

    Args:
        bank: Where names and lists come from.
        seed: The instance's seed; each slot has a stream of its own under it.
        now: Start of the episode, minutes since 1970.
    """

    def __init__(self, bank: Bank, seed: int, now: int) -> None:
        self.bank, self.seed, self.now = bank, seed, now
        self.people: dict[str, dict[str, Any]] = {}
        stamp = iso(now)
        self.slots: dict[str, Any] = {
            "now": {"iso": stamp, "date": stamp[:10], "time": stamp[11:], "weekday": weekday(now)}
        }

    def draw(self, specs: Mapping[str, Any]) -> dict[str, Any]:
        """Draw all slots in the order of the file.

        Raises:
            SlotError: A malformed slot; the message names it.
        """
        for name, spec in specs.items():
            if name in ALWAYS or name.startswith("_") or not name.isidentifier():
                raise SlotError(
                    f"slot {name!r}: expected a name of letters, digits and _ that is none of {', '.join(ALWAYS)}",
                    (name,),
                )
            try:
                self.slots[name] = self._value(spec, stream(self.seed, "slots", name), self.slots)
            except SlotError as error:
                raise SlotError(f"slot {name!r}: {error}", (name,)) from None
            except (TypeError, ValueError, KeyError, IndexError, OverflowError) as error:
                raise SlotError(f"slot {name!r}: {type(error).__name__}: {error}", (name,)) from None
        return self.slots

    def colleague(self, rng: Random, role: str, team: str = "", external: bool = False) -> dict[str, Any]:
        """Draw a person and enter them in the directory."""
        org = self.slots.get("org") if not external else None
        person = self.bank.person(rng, self.people, org if isinstance(org, Mapping) else None)
        person.update(role=role, team=team, external=external)
        self.people[person["id"]] = person
        return person

    def _value(self, spec: Any, rng: Random, slots: Mapping[str, Any]) -> Any:
        if not isinstance(spec, Mapping):
            return render_deep(spec, slots)
        forms = [form for form in FORMS if form in spec]
        if "format" in forms:
            forms = ["format"]
        if len(forms) != 1:
            raise SlotError(f"expected exactly one of {', '.join(FORMS)}; found {sorted(spec)}")
        form = forms[0]
        if form != "format":
            extra = [key for key in spec if key != form and key not in _EXTRA.get(form, ())]
            if extra:
                raise SlotError(f"unknown keys {extra} beside {form!r}; known: {_EXTRA.get(form, ())}")
        return getattr(self, "_value_form" if form == "value" else f"_{form}")(spec, rng, slots)

    def _organisation(self, spec: Mapping[str, Any], rng: Random, slots: Mapping[str, Any]) -> Any:
        return self.bank.organisation(str(render_deep(spec["organisation"], slots)), rng)

    def _person(self, spec: Mapping[str, Any], rng: Random, slots: Mapping[str, Any]) -> Any:
        role = str(render_deep(spec["person"], slots)).replace("_", " ")
        return self.colleague(rng, role, str(spec.get("team", "")), bool(spec.get("external", False)))

    def _pick(self, spec: Mapping[str, Any], rng: Random, slots: Mapping[str, Any]) -> Any:
        return render_deep(rng.choice(self._options(spec["pick"], slots)), slots)

    def _sample(self, spec: Mapping[str, Any], rng: Random, slots: Mapping[str, Any]) -> Any:
        count = int(render_deep(spec["sample"], slots))
        return render_deep(rng.sample(self._options(spec["from"], slots), count), slots)

    def _shuffle(self, spec: Mapping[str, Any], rng: Random, slots: Mapping[str, Any]) -> Any:
        items = list(self._options(spec["shuffle"], slots))
        rng.shuffle(items)
        return render_deep(items, slots)

    def _int(self, spec: Mapping[str, Any], rng: Random, slots: Mapping[str, Any]) -> Any:
        low, high = (int(bound) for bound in render_deep(spec["int"], slots))
        return rng.randrange(low, high + 1, int(spec.get("step", 1)))

    def _pattern(self, spec: Mapping[str, Any], rng: Random, slots: Mapping[str, Any]) -> Any:
        alphabets = {"#": "0123456789", "?": "abcdefghjkmnpqrstuvwxyz", "*": "0123456789abcdef"}
        text = str(render_deep(spec["pattern"], slots))
        return "".join(rng.choice(alphabets[c]) if c in alphabets else c for c in text)

    def _format(self, spec: Mapping[str, Any], rng: Random, slots: Mapping[str, Any]) -> Any:
        """`{a}` and `{a:03d}` only: Python's own format would reach attributes and any width."""
        parts = {key: self._value(part, rng, slots) for key, part in spec.items() if key != "format"}
        text = str(spec["format"])
        unknown = [name for name, _ in _FIELD.findall(text) if name not in parts]
        if unknown or re.search(r"[{}]", _FIELD.sub("", text)):
            raise SlotError(f"format: expected {{name}} or {{name:03d}} with names {sorted(parts)}, found {text!r}")
        return _FIELD.sub(lambda m: f"{parts[m[1]]:0{m[2]}d}" if m[2] else str(parts[m[1]]), text)

    def _moment(self, spec: Mapping[str, Any], rng: Random, slots: Mapping[str, Any]) -> Any:
        early, late = (minute_of_day(str(t)) for t in render_deep(spec["between"], slots))
        chosen = rng.randrange(early, late + 1, int(spec.get("step", 1)))
        day = str(render_deep(spec["moment"], slots))
        return iso(resolve(f"{day} {chosen // 60:02d}:{chosen % 60:02d}", self.now))

    def _value_form(self, spec: Mapping[str, Any], rng: Random, slots: Mapping[str, Any]) -> Any:
        return render_deep(spec["value"], slots)

    def _by(self, spec: Mapping[str, Any], rng: Random, slots: Mapping[str, Any]) -> Any:
        chosen = str(render_deep(spec["by"], slots))
        if chosen not in spec["of"]:
            raise SlotError(f"no entry for {chosen!r}; there are {', '.join(spec['of'])}")
        return self._nested(spec["of"][chosen], rng, slots)

    def _list(self, spec: Mapping[str, Any], rng: Random, slots: Mapping[str, Any]) -> Any:
        count = int(render_deep(spec["list"], slots))
        if not 0 <= count <= LIST_CAP:
            raise SlotError(f"list: expected 0 to {LIST_CAP}, found {count}")
        return [self._value(spec["of"], rng, {**slots, "index": i, "number": i + 1}) for i in range(count)]

    def _record(self, spec: Mapping[str, Any], rng: Random, slots: Mapping[str, Any]) -> Any:
        found: dict[str, Any] = {}
        for name, part in spec["record"].items():
            found[name] = self._nested(part, rng, {**slots, **found})
        return found

    def _nested(self, spec: Any, rng: Random, slots: Mapping[str, Any]) -> Any:
        """A slot where it has a slot's form, else data."""
        if isinstance(spec, Mapping) and len([form for form in FORMS if form in spec]) == 1:
            return self._value(spec, rng, slots)
        return render_deep(spec, slots)

    def _options(self, source: Any, slots: Mapping[str, Any]) -> list[Any]:
        if isinstance(source, str) and "{" not in source:
            return self.bank.list_of(source)
        options = source if isinstance(source, list) else render_deep(source, slots)
        if not isinstance(options, list) or not options:
            raise SlotError(f"expected a non-empty list or the name of a bank list, found {source!r}")
        return options
