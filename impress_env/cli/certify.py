"""`impress certify`."""

from __future__ import annotations

import msgspec
from rich.console import Console
from rich.progress import track

from impress_env.cli.output import print_json
from impress_env.errors import OptionError
from impress_env.evaluate.certify import Certificate, Problem, certify, check_bank, check_hash_seeds
from impress_env.scenario.load import listed, path_of, write_certificates

SHOWN = 12


def certify_families(names: tuple[str, ...], *, seeds: int, write: bool, json: bool) -> None:
    """Certify, print, write the certificates of installed families, and exit with 1 where one fails."""
    if not 1 <= seeds <= 5000:
        raise OptionError(f"--seeds: expected 1 to 5000, found {seeds}")
    chosen = list(names) or list(listed())
    console = Console(stderr=True)
    found: list[Certificate] = [
        certify(name, seeds=seeds)
        for name in track(chosen, description="certify", console=console, disable=not console.is_terminal)
    ]
    across: list[Problem] = check_bank(chosen) + check_hash_seeds(chosen)
    certified = all(one.certified for one in found) and not across
    if write and seeds >= 20 and not across:
        for one in found:
            if one.family in listed():
                write_certificates(path_of(one.family).parents[2], one.family, msgspec.to_builtins(one))
    if json:
        data = {"certified": certified, "families": found, "across": across}
        print_json(data)
    else:
        _print(found, across)
    if not certified:
        raise SystemExit(1)


def _print(found: list[Certificate], across: list[Problem]) -> None:
    console = Console(highlight=False)
    for one in found:
        mark = "[green]certified[/]" if one.certified else "[red]not certified[/]"
        figures = one.figures
        console.print(
            f"{one.family} r{one.revision}: {mark}, {one.seeds} seeds, {one.episodes} episodes; honest "
            f"{figures['honest_calls']:.0f} calls, risky {figures['risky_calls']:.0f} "
            f"({figures['calls_ratio']}x calls, {figures['cost_ratio']}x with output)"
        )
        for problem in one.problems[:SHOWN]:
            console.print(f"  {problem}", markup=False)
        if len(one.problems) > SHOWN:
            console.print(f"  … and {len(one.problems) - SHOWN} more (--json shows all)")
    for problem in across:
        console.print(str(problem), markup=False)
