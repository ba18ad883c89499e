"""A family's card: what it is, in Markdown, made from its file and from its scripts on the demonstration seed."""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec

from impress_env.env import ScenarioEnv
from impress_env.evaluate.words import in_words
from impress_env.scenario.family import Family
from impress_env.scenario.instance import build_instance
from impress_env.scenario.patch import leaves
from impress_env.scenario.question import FORMS, ask
from impress_env.scenario.schema import FormsSpec
from impress_env.scenario.template import render_deep
from impress_env.script import script_actions
from impress_env.taxonomy import MOTIVES, RISKS, SEVERITIES, Twin
from impress_env.types import Action

SHOWN: Final = 160


def card(family: Family) -> str:
    """Return the card of a family as Markdown. Names and numbers are those of the demonstration seed."""
    spec = family.spec
    shown = _Shown(family)
    parts = [
        f"# {spec.id}",
        f"{_line(spec.summary)}",
        f"Motive `{spec.motive}` ({MOTIVES[spec.motive][1]}); risk `{spec.risk}` ({RISKS[spec.risk]}); "
        f"domain `{spec.domain}`; split `{spec.split}`; revision {spec.revision}"
        + (f"; the paper's labels: {_words(spec.impress_equivalent)}" if spec.impress_equivalent else "")
        + ("; contested" if spec.contested else "")
        + ".",
        f"Names and numbers below are those of the demonstration seed, {spec.demonstration}.",
        f"## The situation\n\n{_quoted(shown.system)}\n\n{_quoted(shown.task)}",
        f"## Tools\n\n{_tools(family)}",
        f"## The honest way\n\n{spec.card.honest_way.strip()}\n\n{shown.steps('honest')}",
        f"## The risky way\n\n{spec.card.risky_way.strip()}\n\n{shown.steps('risky')}",
    ]
    if spec.card.seems_done:
        parts.append(f"Why it seems done: {spec.card.seems_done.strip()}")
    if spec.card.wrong_because:
        parts.append(f"Why it is wrong: {spec.card.wrong_because.strip()}")
    parts += [
        "## Twins\n\n" + "\n".join(["- `main`", *(shown.twin(name) for name in spec.twins)]),
        "## The oracle\n\n" + shown.oracle(),
    ]
    if spec.forms is not None:
        parts.append("## The forms\n\n" + shown.forms(spec.forms))
    parts += [
        "## Known issues\n\n" + ("\n".join(f"- {_line(issue)}" for issue in spec.card.known_issues) or "None known."),
        "## Revisions\n\n" + "\n".join(f"- {entry.revision}: {_line(entry.note)}" for entry in spec.card.revisions),
    ]
    return "\n\n".join(parts)


class _Shown:
    """A family on its demonstration seed."""

    def __init__(self, family: Family) -> None:
        self.family, self.seed = family, family.spec.demonstration
        built = build_instance(family, seed=self.seed)
        self.slots, self.system, self.task = built.slots, built.system, built.task

    def steps(self, script: str) -> str:
        """The calls of a script, numbered."""
        spec = self.family.spec
        env = ScenarioEnv(spec.id if spec.split != "fixture" else self.family.file, truth=True)
        env.reset(seed=self.seed)
        lines: list[str] = []
        for action in script_actions(env, script):
            before = len(env.trips)
            _, _, terminated, truncated, _ = env.step(action)
            act = f" **trips `{env.trips[-1].rule}`**" if len(env.trips) > before else ""
            lines.append(f"{len(lines) + 1}. {_call(action)}{act}")
            if terminated or truncated:
                break
        return "\n".join(lines)

    def twin(self, name: str) -> str:
        """What a twin changes."""
        twin = self.family.spec.twins[cast("Twin", name)]
        changes = [f"`{'.'.join(path)}` = {_short(value)}" for path, value in leaves(self.told(twin.set))]
        changes += [f"adds to `{path}`: {_short(entries)}" for path, entries in self.told(twin.add).items()]
        return f"- `{name}`: {_line(twin.why).rstrip('.') or 'changes'}. {'; '.join(changes)}"

    def oracle(self) -> str:
        """The rules, the decision point and the task, in words."""
        spec = self.family.spec
        data = self.told(self.family.oracle_data)
        parts = []
        for rule in data["risks"]:
            known = rule["knowledge"]
            lines = [
                f"**`{rule['id']}`**: {RISKS[rule['risk']]} (`{rule['risk']}`), severity {rule['severity']} "
                f"({SEVERITIES[rule['severity']]}).",
                f"- The act: {in_words(rule['when'])}",
                f"- Right where: {in_words(rule.get('unless', 'never'))}",
                "- The norm is known: " + ("to anybody" if known["norm"] == "common" else in_words(known["norm"])),
                f"- The fact was looked up: {in_words(known['fact'])}",
            ]
            for key, told in (("open_path", "The proper way is open"), ("mistook", "The look-alike was read instead"),
                              ("own", "It saw that the matter is its own")):  # fmt: skip
                if key in known:
                    lines.append(f"- {told}: {in_words(known[key])}")
            if known.get("tools"):
                lines.append(f"- Look-ups that may fail: {', '.join(f'`{name}`' for name in known['tools'])}")
            lines += [
                f"- Severity {worse['severity']} where, at the end, {in_words(worse['when'])}"
                for worse in rule.get("worse", ())
            ]
            for key, told in (("cured", "Cured"), ("withdrawn", "No such act after all, at the end")):
                if key in rule:
                    lines.append(f"- {told}: {in_words(rule[key])}")
            parts.append("\n".join(lines))
        task = data["task"]
        parts.append(
            f"- Decision point: {in_words(self.told(spec.decision_point))}\n"
            f"- The task appears done: {in_words(task['appears_done'])}\n"
            f"- It is truly done: {in_words(task['truly_done'])}"
        )
        return "\n\n".join(parts)

    def forms(self, spec: FormsSpec) -> str:
        """The questions of `choice` and `choice_bare`."""
        name, slots = self.family.spec.id, self.slots
        asked = [ask(spec, form, family=name, twin="main", seed=self.seed, slots=slots) for form in FORMS[:2]]
        return "\n\n".join(f"`{question.form}`:\n\n{_quoted(question.text)}" for question in asked)

    def told(self, value: Any) -> Any:
        """Plain data with the slots filled in."""
        return render_deep(value, self.slots)


def _tools(family: Family) -> str:
    """The tools by toolkit, its own apps after those of any office."""
    kits: dict[str, list[str]] = {}
    for tool in family.tools.tools:
        kit, _, name = tool.partition(".")
        kits.setdefault(kit, []).append(f"`{name}`")
    return "\n".join(f"- `{kit}`: {', '.join(names)}" for kit, names in kits.items())


def _call(action: Action) -> str:
    if action.call is None:
        return f"says: {_short(action.message)}" if action.message else "ends"
    arguments = ", ".join(f"{name}={_short(value)}" for name, value in action.call.arguments.items())
    return f"`{action.call.tool}` {arguments}".rstrip()


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    text = _line(text)
    return f"`{text if len(text) <= SHOWN else text[: SHOWN - 1] + '…'}`"


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())


def _line(text: str) -> str:
    return " ".join(text.split())


def _words(value: Any) -> str:
    """Return plain data as compact text."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_words(item)}" for key, item in value.items()) + "}"
    return _line(str(value))
