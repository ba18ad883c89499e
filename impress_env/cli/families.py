"""`impress list` and `impress show`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from impress_env.cli.output import WIDTH, print_json
from impress_env.env import ScenarioEnv
from impress_env.errors import ImpressError
from impress_env.evaluate.card import card
from impress_env.outcome import Outcome
from impress_env.scenario.load import family, is_certified, listed
from impress_env.scenario.question import FORMS
from impress_env.script import script_actions
from impress_env.types import Action
from impress_env.world.world import changed_fields


def list_families(json: bool) -> None:
    """Print the installed families."""
    rows = [_row(name) for name in listed()]
    broken = [row for row in rows if "error" in row]
    if json:
        print_json(rows)
    else:
        table = Table(box=None, pad_edge=False)
        for column in ("family", "motive", "risk", "split", "rev.", "certified"):
            table.add_column(column, no_wrap=True)
        for row in rows:
            if row not in broken:
                told = [str(row[key]) for key in ("family", "motive", "risk", "split", "revision")]
                table.add_row(*told, "yes" if row["certified"] else "no")
        Console(width=max(WIDTH, Console().width)).print(table, crop=False)
        for row in broken:
            print(f"{row['family']}: {row['error']}", file=sys.stderr)
    if broken:
        raise SystemExit(1)


def _row(name: str) -> dict[str, Any]:
    """What the list says of a family, or why it cannot be loaded."""
    try:
        spec = family(name).spec
        return {
            "family": spec.id,
            "domain": spec.domain,
            "motive": spec.motive,
            "risk": spec.risk,
            "split": spec.split,
            "revision": spec.revision,
            "contested": spec.contested,
            "twins": ["main", *spec.twins],
            "forms": ["agentic", *(FORMS if spec.forms is not None else ())],
            "certified": is_certified(name),
            "summary": " ".join(spec.summary.split()),
        }
    except ImpressError as error:
        return {"family": name, "error": str(error)}


def show_family(
    name: str, *, twin: str, seed: int | None, script: str, framing: Mapping[str, str], truth: bool, json: bool
) -> None:
    """Print a card, or the transcript of a script."""
    spec = family(name).spec
    if not script:
        if json:
            print_json(spec.model_dump())
        else:
            print(card(family(name)))
        return
    chosen = spec.demonstration if seed is None else seed
    lines = transcript(name, twin=twin, seed=chosen, script=script, framing=framing, truth=truth)
    if json:
        print_json(lines)
    else:
        print("\n".join(line["text"] for line in lines))


def transcript(
    name: str, *, twin: str, seed: int, script: str, framing: Mapping[str, str] | None = None, truth: bool = False
) -> list[dict[str, Any]]:
    """Return the lines of a played script: who, and the text as it is printed.

    Raises:
        OptionError: Unknown family, twin, seed, script or framing.
    """
    env = ScenarioEnv(name, truth=True)
    observation, info = env.reset(seed=seed, options={"twin": twin, "framing": framing or {}})
    lines = [
        {"who": "system", "text": f"── system\n{observation['system']}"},
        {"who": "task", "text": f"── task\n{observation['task']}"},
    ]
    for action, after in observation.get("prefix", ()):
        lines.append({"who": "agent", "text": f"\n── {after['time'][11:]} agent: {told(action)}"})
        lines.append({"who": "world", "text": after["text"]})
    if "question" in observation and observation["question"]["text"] != observation["task"]:
        lines.append({"who": "task", "text": f"\n── question\n{observation['question']['text']}"})
    for action in script_actions(env, script):
        observation, _, terminated, truncated, info = env.step(action)
        lines.append({"who": "agent", "text": f"\n── {observation['time'][11:]} agent: {told(action)}"})
        lines.append({"who": "world", "text": observation["text"]})
        if truth:
            lines += [{"who": "truth", "text": text} for text in truth_of(env, info)]
        if terminated or truncated:
            break
    if truth:
        outcome = info.get("outcome") or env.outcome()
        lines.append({"who": "truth", "text": "\n" + outcome_text(outcome)})
    return lines


def told(action: Action) -> str:
    """Return an action in one line, as a person would write the call."""
    if action.call is None:
        return action.message or ("(end)" if action.end else "(nothing)")
    arguments = ", ".join(
        f"{key}={msgspec.json.encode(value).decode()}" for key, value in action.call.arguments.items()
    )
    return f"{action.call.tool}({arguments})"


def truth_of(env: ScenarioEnv, info: dict[str, Any]) -> list[str]:
    """Return the effects, changes and trips of the last step, a line each."""
    lines = [f"   · {msgspec.json.encode(effect).decode()}" for effect in info["effects"]]
    for (table, key), (before, after) in env.changes.items():
        for change in changed_fields(table, key, before, after):
            lines.append(f"   ~ {table}[{key}].{change.field or '*'}: {change.before!r} -> {change.after!r}"[:400])
    if info["cost"]:
        lines.append(f"   ! cost {info['cost']}: {env.trips[-1]}")
    return lines


def outcome_text(outcome: Outcome) -> str:
    """Return an outcome in a few lines."""
    ending = outcome.ending
    lines = [
        f"verdict {outcome.verdict}, {outcome.ended or 'open'} after {outcome.steps} steps; "
        f"exposed {'at step ' + str(ending.exposed_at) if outcome.exposed else 'no'}; "
        f"appears done {ending.appears_done}, truly done {ending.truly_done}, safe completion {outcome.safe_completion}"
    ]
    for trip in ending.trips:
        lines.append(
            f"risky act {trip.rule} ({trip.risk}, severity {trip.severity}) at step {trip.step}, {trip.tool} on "
            f"{trip.object}: {trip.attribution}, {trip.act}"
        )
    return "\n".join(lines)
