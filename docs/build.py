"""Writes the pages that are made from the code: command line, family cards, toolkits, errors, transcripts.

    python docs/build.py           write what is stale
    python docs/build.py --check   write nothing; name what is stale and exit with 1

Pages hold no times, no certificates and no counts of runs, so that they change only where what they tell changes.
"""

from __future__ import annotations

import dataclasses
import inspect
import io
import re
import sys
from pathlib import Path
from typing import Any, Final

import yaml
from rich.console import Console

from impress_env import errors, plugins
from impress_env.cli.app import app
from impress_env.cli.families import transcript
from impress_env.errors import ERROR_CODES, ImpressError
from impress_env.evaluate.card import card
from impress_env.evaluate.probe import ProbeConfig
from impress_env.evaluate.run import EvalConfig, Means
from impress_env.scenario.load import family, listed
from impress_env.tool import Tool, toolkit

DOCS: Final = Path(__file__).parent
WIDTH: Final = 100
HEAD: Final = 300  # a call longer than this stands in a block of its own
CODES: Final = {
    "unknown_tool": "no such tool; tools of the same app are offered",
    "invalid_arguments": "an argument is missing, unknown, mistyped or out of range, or the call cannot be read",
    "not_found": "the record, file or person does not exist; what is near is offered",
    "forbidden": "the account may not do this",
    "conflict": "the state of the record does not allow it now",
    "too_large": "the call, its text or what it would change is over a limit",
    "over": "the episode has ended",
}


def pages() -> dict[str, str]:
    """Return every made page: path below `docs/` -> text."""
    found = {"cli.md": cli(), "toolkits.md": toolkits(), "errors.md": error_page(), "families/index.md": index()}
    found |= {f"families/{name}.md": card(family(name)) for name in listed()}
    found |= transcripts()
    return {path: text.rstrip() + "\n" for path, text in sorted(found.items())}


def cli() -> str:
    """Return the help of every command, and the configuration of a run."""
    commands = sorted(name for name in app if not name.startswith("-"))
    parts = ["# Command line", *(_help(*names) for names in ((), *((name,) for name in commands)))]
    parts.append(
        "## The same from Python\n\n`impress eval` makes an `EvalConfig` (what is run) and `Means` (how), and calls "
        "`evaluate(config, path, means=means)`, all of `impress_env.evaluate.run`. The fields are the command's "
        "options; `agents` is `--agent`.\n\n" + _fields(EvalConfig)
    )
    parts.append(_fields(Means))
    parts.append(
        "`impress probe` makes a `ProbeConfig` and calls `probe(config, scorer)`, both of "
        "`impress_env.evaluate.probe`.\n\n" + _fields(ProbeConfig)
    )
    return "\n\n".join(parts)


def _fields(config: type) -> str:
    rows = [
        (f"`{field.name}`", f"`{field.type}`", "" if _default(field) is None else f"`{_default(field)!r}`")
        for field in dataclasses.fields(config)
    ]
    return _table((f"field of `{config.__name__}`", "type", "default"), rows)


def toolkits() -> str:
    """Return every installed toolkit with its tools."""
    parts = [
        "# Toolkits",
        "A family names the toolkits, or the single tools, that its agent has. In a table: the arguments (those in "
        "brackets may be left out), the [effects](concepts.md#effects) that a call may have, and the role, where the "
        "core knows the tool as one of ask, escalate, decline, wait, report, finish.",
    ]
    for name in plugins.announced("tools"):
        kit = toolkit(name)
        rows = [
            (f"`{tool.name}`", _arguments(tool), " ".join(tool.effects), tool.role or "", tool.description)
            for tool in kit.tools.values()
        ]
        parts.append(f"## {kit.title} (`{name}`)")
        if kit.uses:
            parts.append("Stands on " + ", ".join(f"`{other}`" for other in kit.uses) + ".")
        parts.append(_table(("tool", "arguments", "effects", "role", "what it does"), rows))
    return "\n\n".join(parts)


def error_page() -> str:
    """Return the error classes and the stable codes of error observations."""
    if set(CODES) != set(ERROR_CODES):
        raise SystemExit(f"docs/build.py: CODES tells {sorted(CODES)}, impress_env.errors has {sorted(ERROR_CODES)}")
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, ImpressError)]
    parts = [
        "# Errors",
        "What an agent does wrong is an observation with a code; what a caller does wrong, or a part of ours that "
        "breaks, is an exception of `impress_env.errors`. The command line prints an `ImpressError` as one line on "
        "standard error and exits with 2; findings of `certify` and `replay` exit with 1.",
        "## Codes of error observations",
        'A refused call is answered with `{"code", "message"}` and, where they help, `expected`, `found` and '
        "`available`. The codes are stable:",
        _table(("code", "when"), [(f"`{code}`", CODES[code]) for code in ERROR_CODES]),
        "## Exceptions",
        *(_class(value) for value in classes),
    ]
    return "\n\n".join(parts)


def index() -> str:
    """Return the table of the installed families."""
    rows = []
    for name in listed():
        spec = family(name).spec
        twins = ", ".join(twin for twin in ("main", *spec.twins))
        rows.append((f"[{spec.id}]({spec.id}.md)", spec.motive, spec.risk, spec.split, twins, _line(spec.summary)))
    return "\n\n".join(
        [
            "# Families",
            "Each card is made from the family's file and from its scripts on the demonstration seed. `impress list` "
            "says which are certified as installed.",
            _table(("family", "motive", "risk", "split", "twins", "what it is about"), rows),
        ]
    )


def transcripts() -> dict[str, str]:
    """Return the transcripts that were read, with what was objected to, and a page that lists them."""
    read = yaml.safe_load((DOCS / "transcripts/read.yaml").read_text(encoding="utf-8"))["instances"]
    found, rows = {}, []
    for number, entry in enumerate(read, 1):
        name, twin, seed = entry["family"], entry["twin"], entry["seed"]
        page = f"{number:02d}-{name.partition('.')[2]}-{twin}.md"
        found[f"transcripts/{page}"] = _transcript(name, twin, seed, entry["objections"])
        rows.append((f"[{name}]({page})", twin, str(seed), str(len(entry["objections"]))))
    found["transcripts/index.md"] = "\n\n".join(
        [
            "# Transcripts",
            "Ten instances, drawn over families and twins, each played the honest and the risky way and printed whole. "
            "Above each stands what somebody of the trade objected to, and what became of it. They are scripts and no "
            "models: what is to be judged is the workplace.",
            _table(("family", "twin", "seed", "objections"), rows),
        ]
    )
    return found


def _transcript(name: str, twin: str, seed: int, objections: list[dict[str, str]]) -> str:
    rows = [(objection["objection"], objection["state"], objection["answer"]) for objection in objections]
    parts = [
        f"# {name}, {twin}, seed {seed}",
        f"[The family's card](../families/{name}.md).",
        "## What a practitioner objects to",
        _table(("objection", "state", "what became of it"), rows),
    ]
    for script in ("honest", "risky"):
        lines = transcript(name, twin=twin, seed=seed, script=script, truth=False)
        if script == "honest":
            parts += ["## The brief", *(_fenced(line["text"]) for line in lines[:2])]
        parts.append(f"## The {script} way")
        for line in lines[2:]:
            text = line["text"].strip()
            parts.append(
                f"**{text.removeprefix('── ')}**" if line["who"] == "agent" and len(text) < HEAD else _fenced(text)
            )
    return "\n\n".join(parts)


def _fenced(text: str) -> str:
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"


def _help(*command: str) -> str:
    """Return a command's real help, as it stands in a terminal of fixed width."""
    out = io.StringIO()
    app.help_print(command, console=Console(file=out, width=WIDTH, color_system=None, force_terminal=False))
    lines = "\n".join(line.rstrip() for line in out.getvalue().strip().splitlines())
    return f"## {' '.join(('impress', *command))}\n\n```text\n{lines}\n```"


def _default(field: dataclasses.Field[Any]) -> object:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def _arguments(tool: Tool) -> str:
    needed = tool.parameters.get("required", ())
    return ", ".join(f"`{name}`" if name in needed else f"[`{name}`]" for name in tool.parameters["properties"])


def _class(error: type[ImpressError]) -> str:
    """Return a class with its docstring; arguments as a list."""
    text, _, arguments = inspect.cleandoc(error.__doc__ or "").partition("\n\nArgs:\n")
    found = re.findall(r"^ {4}(\w+): ((?:.|\n {6,})+)", arguments, flags=re.MULTILINE)
    listed_arguments = "".join(f"\n- `{name}`: {_line(what)}" for name, what in found)
    bases = ", ".join(base.__name__ for base in error.__bases__)
    return f"### {error.__name__}\n\n`{error.__name__}({bases})`: {_line(text)}" + (
        f"\n{listed_arguments}" if found else ""
    )


def _line(text: str) -> str:
    return " ".join(text.split())


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(_line(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def stale(made: dict[str, str]) -> list[str]:
    """Return the made pages that differ from what stands in `docs/`, and pages that are made no more."""
    found = {path for path, text in made.items() if _read(DOCS / path) != text}
    there = {f"{folder}/{path.name}" for folder in ("families", "transcripts") for path in (DOCS / folder).glob("*.md")}
    return sorted(found | (there - made.keys()))


def write(made: dict[str, str]) -> None:
    """Write what is stale, and name it."""
    for path in stale(made):
        target = DOCS / path
        if path in made:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(made[path], encoding="utf-8")
        else:
            target.unlink()
        print(f"docs/{path}")


def main(arguments: list[str]) -> None:
    """Write the pages, or check them."""
    try:
        made = pages()
    except ImpressError as error:
        raise SystemExit(f"docs/build.py: {error}") from None
    if arguments == ["--check"]:
        if found := stale(made):
            raise SystemExit(f"stale, run make docs: {', '.join(f'docs/{path}' for path in found)}")
    elif arguments:
        raise SystemExit(f"docs/build.py: expected --check or nothing, found {' '.join(arguments)}")
    else:
        write(made)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


if __name__ == "__main__":
    main(sys.argv[1:])
