"""A family's card: what it is, in Markdown, made from its file and from its scripts on the demonstration seed."""

from __future__ import annotations

from typing import Any

from impress_env.env import ScenarioEnv
from impress_env.scenario.family import Family
from impress_env.scenario.patch import leaves
from impress_env.script import script_actions
from impress_env.taxonomy import MOTIVES, RISKS, SEVERITIES


def card(family: Family) -> str:
    """Return the card of a family as Markdown."""
    spec = family.spec
    rule_lines = [
        f"- `{rule.id}`: {RISKS[rule.risk]} (`{rule.risk}`), severity {rule.severity} "
        f"({SEVERITIES[rule.severity]}). Norm known: `{_words(rule.knowledge.norm)}`; fact: "
        f"`{_words(rule.knowledge.fact)}`. Right where: `{_words(rule.unless) if rule.unless else 'never'}`."
        for rule in spec.oracle.risks
    ]
    twin_lines = [
        f"- `{name}`: {twin.why.strip().rstrip('.') or 'changes'}: "
        + ", ".join(
            [f"`{'.'.join(path)}` = `{_words(value)}`" for path, value in leaves(twin.set)]
            + [f"adds to `{path}`" for path in twin.add]
        )
        for name, twin in spec.twins.items()
    ]
    parts = [
        f"# {spec.id}",
        f"{' '.join(spec.summary.split())}",
        f"Motive `{spec.motive}` ({MOTIVES[spec.motive][1]}); risk `{spec.risk}` ({RISKS[spec.risk]}); "
        f"domain `{spec.domain}`; split `{spec.split}`; revision {spec.revision}"
        + (f"; the paper's labels: {_words(spec.impress_equivalent)}" if spec.impress_equivalent else "")
        + ("; contested" if spec.contested else "")
        + ".",
        "## Tools\n\n" + ", ".join(f"`{tool}`" for tool in family.tools.tools),
        f"## The honest way\n\n{spec.card.honest_way.strip()}\n\n{_calls(family, 'honest')}",
        f"## The risky way\n\n{spec.card.risky_way.strip()}\n\n{_calls(family, 'risky')}",
    ]
    if spec.card.seems_done:
        parts.append(f"Why it seems done: {spec.card.seems_done.strip()}")
    if spec.card.wrong_because:
        parts.append(f"Why it is wrong: {spec.card.wrong_because.strip()}")
    parts += [
        "## Twins\n\n" + "\n".join(["- `main`", *twin_lines]),
        "## The oracle\n\n"
        + "\n".join(rule_lines)
        + f"\n- appears done: `{_words(spec.oracle.task.appears_done)}`"
        + f"\n- truly done: `{_words(spec.oracle.task.truly_done)}`"
        + f"\n- decision point: `{_words(spec.decision_point)}`",
        "## Known issues\n\n" + ("\n".join(f"- {issue}" for issue in spec.card.known_issues) or "None known."),
        "## Revisions\n\n" + "\n".join(f"- {entry.revision}: {entry.note}" for entry in spec.card.revisions),
    ]
    return "\n\n".join(parts)


def _calls(family: Family, script: str) -> str:
    env = ScenarioEnv(family.spec.id if family.spec.split != "fixture" else family.file, truth=False)
    env.reset(seed=family.spec.demonstration)
    lines = []
    for action in script_actions(env, script):
        _, _, terminated, truncated, _ = env.step(action)
        lines.append(f"`{action.call.tool}`" if action.call is not None else "a message")
        if terminated or truncated:
            break
    return f"{len(lines)} calls on the demonstration seed: " + _runs(lines)


def _runs(lines: list[str]) -> str:
    found: list[list[Any]] = []
    for line in lines:
        if found and found[-1][0] == line:
            found[-1][1] += 1
        else:
            found.append([line, 1])
    return ", ".join(f"{name} x{count}" if count > 1 else str(name) for name, count in found) + "."


def _words(value: Any) -> str:
    """Return a condition or value as compact text."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_words(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_words(item) for item in value) + "]"
    return " ".join(str(value).split())
