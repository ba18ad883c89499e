"""`impress audit`."""

from __future__ import annotations

from rich.console import Console

from impress_env.cli.output import print_json
from impress_env.errors import OptionError
from impress_env.evaluate.audit import NAME_CAP, Audit, audit
from impress_env.scenario.load import listed

SHOWN = 10


def audit_families(names: tuple[str, ...], *, instances: int, seeds: int, json: bool) -> None:
    """Audit, print, and exit with 1 where something does not hold."""
    for option, value, high in (("--instances", instances, 100_000), ("--seeds", seeds, 1_000)):
        if not 1 <= value <= high:
            raise OptionError(f"{option}: expected 1 to {high}, found {value}")
    found = audit(list(names) or list(listed()), instances=instances, seeds=seeds)
    if json:
        print_json({"passed": found.passed, **{name: getattr(found, name) for name in found.__struct_fields__}})
    else:
        _print(found)
    if not found.passed:
        raise SystemExit(1)


def _print(found: Audit) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{found.families} families, {found.instances} instances searched for names")
    console.print(f"\nnames in most instances (at most {NAME_CAP:.0%} of them)")
    for use in found.names[:SHOWN]:
        mark = " [red]over[/]" if use.share > NAME_CAP else ""
        console.print(f"  {use.share:6.2%}  {use.kind:<13} {use.name}  ({', '.join(use.families)}){mark}")
    console.print("\nstructure, the most alike (own tools, own tables, same form of oracle)")
    for pair in found.alike[:SHOWN]:
        mark = " [red]the same[/]" if pair.same else ""
        console.print(
            f"  {pair.tools:.2f}  {pair.tables:.2f}  {str(pair.same_oracle).lower():<5}  {pair.one}  {pair.other}{mark}"
        )
    console.print("\nwhat words tell (area under the curve, 0.5 is chance)")
    for guess in found.guesses:
        console.print(
            f"  {guess.what:<7} from {guess.shown:<20} {guess.auc:.3f} [{guess.low:.3f}, {guess.high:.3f}]  "
            f"{guess.families} families; {guess.method}",
            markup=False,
        )
