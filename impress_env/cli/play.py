"""`impress play`: a person steps a scenario and sees what an agent would see.

`Session` holds the episode and its branches and knows no terminal; the loop below prints and reads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.syntax import Syntax

from impress_env.action import parse_typed
from impress_env.cli.eval import analyzer_of
from impress_env.cli.families import outcome_text, told, truth_of
from impress_env.cli.output import write_whole
from impress_env.env import ScenarioEnv, Snapshot
from impress_env.outcome import Outcome
from impress_env.scenario.load import family as load_family
from impress_env.types import Action, Finding, Observation, Review

HELP: Final = """\
tool key=value …  call a tool, e.g.  files.read path=/handbook/a.md
                  (values are JSON where they parse)
{"tool": …}       the same as JSON; any other text is a message to the requester
:tools            the tools             :schema TOOL  a tool's arguments
:task             the brief again       :history      what was done so far
:undo             take back a step      :fork         go on in a copy
:branches         the copies            :switch N     go to copy N
:watch            state changes, effects and the oracle, on or off
:end              end the work          :quit         leave"""


class Branch(msgspec.Struct, kw_only=True):
    """One line of play: its env, and a snapshot before every step."""

    env: ScenarioEnv
    past: list[tuple[Snapshot, Action, Observation, dict[str, Any]]] = []
    outcome: Outcome | None = None


class Session:
    """One person's play of one instance."""

    def __init__(
        self, family: str, *, twin: str, seed: int, framing: Mapping[str, str], start: str, analyzer: str | None
    ) -> None:
        env = ScenarioEnv(family, truth=True, analyzer=analyzer)
        self.reset, self.info = env.reset(seed=seed, options={"twin": twin, "framing": framing, "start": start})
        self.branches = [Branch(env=env)]
        self.current = 0

    @property
    def branch(self) -> Branch:
        """The line of play that is stepped."""
        return self.branches[self.current]

    @property
    def env(self) -> ScenarioEnv:
        """Its env."""
        return self.branch.env

    def step(self, action: Action, ask: Callable[[Review], bool]) -> tuple[Observation, dict[str, Any]]:
        """Take a step and remember how to take it back; where the gate asks, `ask` says whether it goes."""
        branch = self.branch
        before = branch.env.snapshot()
        proposal, review = branch.env.propose_reviewed(action)
        decision = review.decision
        if decision == "ask":
            decision = "allow" if ask(review) else "block"
        observation, _, _, _, info = branch.env.settle(proposal, decision, review)
        branch.past.append((before, action, observation, info))
        branch.outcome = info.get("outcome", branch.outcome)
        return observation, info

    def undo(self) -> bool:
        """Take back the last step; False where there is none."""
        if not self.branch.past:
            return False
        snapshot, *_ = self.branch.past.pop()
        self.branch.env.restore(snapshot)
        self.branch.outcome = None
        return True

    def fork(self) -> int:
        """Copy this line of play, go on in the copy, and return its number."""
        branch = self.branch
        self.branches.append(Branch(env=branch.env.fork(), past=list(branch.past), outcome=branch.outcome))
        self.current = len(self.branches) - 1
        return self.current

    def history(self) -> list[str]:
        """Return the steps so far, a line each."""
        return [f"{number}. {told(action)}" for number, (_, action, _, _) in enumerate(self.branch.past, 1)]


def play_family(
    name: str,
    *,
    twin: str,
    seed: int | None,
    framing: Mapping[str, str],
    start: str,
    watch: bool,
    analyzer: str,
    out: Path | None,
) -> None:
    """Play in the terminal until the person leaves."""
    chosen = load_family(name).spec.demonstration if seed is None else seed
    gate = analyzer_of(analyzer) or None
    session = Session(name, twin=twin, seed=chosen, framing=framing, start=start, analyzer=gate)
    console = Console(highlight=False)

    def ask(review: Review) -> bool:
        _found(console, review.findings, "ask")
        try:
            return console.input("[bold yellow]carry it out? y/n>[/] ").strip().lower().startswith("y")
        except EOFError:
            return False

    _brief(console, session)
    for action, observation in session.reset.get("prefix", ()):
        console.print(f"[bold]{escape(told(action))}[/]\n{escape(observation['text'])}", soft_wrap=True)
    if "question" in session.reset and session.reset["question"]["text"] != session.reset.get("task"):
        console.print(f"\n{escape(session.reset['question']['text'])}", soft_wrap=True)
    console.print("[dim]:help for help[/]")
    while True:
        try:
            line = console.input(f"[bold cyan]{session.env.world.now[11:]} step {len(session.branch.past) + 1}>[/] ")
        except EOFError:
            break
        command, _, rest = line.strip().partition(" ")
        if not command:
            continue
        if command in (":quit", ":q"):
            break
        if command == ":watch":
            watch = not watch
            console.print(f"watch {'on' if watch else 'off'}")
        elif command.startswith(":") and command != ":end":
            _command(console, session, command, rest.strip())
        else:
            action = Action(end=True) if command == ":end" else parse_typed(line)
            observation, info = session.step(action, ask)
            _found(console, info["findings"], info["decision"])
            _show(console, session, observation, info, watch)
    if out is not None:
        actions = [action for _, action, _, _ in session.branch.past]
        write_whole(out, (msgspec.json.encode(action) + b"\n" for action in actions), option="--out")
        console.print(f"{len(actions)} actions in {out}", soft_wrap=True, markup=False)


def _command(console: Console, session: Session, command: str, rest: str) -> None:
    match command:
        case ":help" | ":h":
            console.print(HELP, markup=False)
        case ":task":
            _brief(console, session)
        case ":tools":
            for tool in session.env.instance.tools.tools.values():
                console.print(
                    f"[bold]{tool.name}[/]({', '.join(tool.parameters['properties'])})  {escape(tool.description)}"
                )
        case ":schema":
            named = session.env.instance.tools.tools.get(rest)
            if named is None:
                console.print(f"expected :schema TOOL, found {rest!r}; :tools lists them", markup=False)
            else:
                console.print(named.description, markup=False)
                schema = json.dumps(named.parameters, indent=2)
                console.print(Syntax(schema, "json", background_color="default", word_wrap=True))
        case ":history":
            console.print("\n".join(session.history()) or "nothing yet", markup=False, soft_wrap=True)
        case ":undo":
            console.print("taken back" if session.undo() else "nothing to take back")
        case ":fork":
            console.print(f"copy {session.fork()}; :switch 0 goes back to the first")
        case ":branches":
            for number, branch in enumerate(session.branches):
                mark = "*" if number == session.current else " "
                console.print(f"{mark} {number}: {len(branch.past)} steps, {branch.env.world.now}")
        case ":switch":
            if rest.isdigit() and int(rest) < len(session.branches):
                session.current = int(rest)
                console.print(f"copy {rest}, {len(session.branch.past)} steps")
            else:
                console.print(f"expected 0 to {len(session.branches) - 1}, found {rest!r}", markup=False)
        case _:
            console.print(f"unknown command {command}; :help lists them", markup=False)


def _found(console: Console, findings: Sequence[Finding], decision: str) -> None:
    for finding in findings:
        console.print(f"{decision}: {finding.rule}: {finding.why}", style="magenta", markup=False, soft_wrap=True)
        if finding.allow_if:
            console.print(f"  right with: {finding.allow_if}", style="magenta", markup=False, soft_wrap=True)


def _brief(console: Console, session: Session) -> None:
    console.print(Panel(escape(session.reset.get("system", "")), title="system", title_align="left"))
    console.print(Panel(escape(session.reset.get("task", "")), title="task", title_align="left"))
    names = ", ".join(session.env.instance.tools.tools)
    console.print(f"[dim]tools: {names}[/]")


def _show(console: Console, session: Session, observation: Observation, info: Mapping[str, Any], watch: bool) -> None:
    style = "red" if observation["error"] else "default"
    console.print(escape(observation["text"]) or "[dim](nothing)[/]", style=style, soft_wrap=True)
    if watch:
        for text in truth_of(session.env, dict(info)):
            console.print(text, style="yellow", markup=False, soft_wrap=True)
    if "outcome" in info:
        console.print("[dim]the work has ended; :undo takes the last step back, :quit leaves[/]")
        if watch:
            console.print(outcome_text(info["outcome"]), style="yellow", markup=False)
