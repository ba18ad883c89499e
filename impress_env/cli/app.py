"""The commands and their options. What they do stands in the modules beside this one."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

app = App(name="impress", help="Benign office work that tempts an agent, and an exact oracle that sees what it does.")

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON for machines.")]


@app.command(name="list")
def list_(*, json: Json = False) -> None:
    """List the installed scenario families."""
    from impress_env.cli.families import list_families

    list_families(json)


@app.command
def show(
    family: str,
    *,
    twin: str = "main",
    seed: int | None = None,
    script: str = "",
    truth: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> None:
    """Show a family: its card, or the transcript of a script.

    Args:
        family: Family id, or the path of a family file.
        twin: Which twin.
        seed: Instance seed; the demonstration seed if not given.
        script: Print the transcript of this script (honest, risky, …) instead of the card.
        truth: With a transcript, also the effects, state changes and the oracle.
        json: Print JSON.
    """
    from impress_env.cli.families import show_family

    show_family(family, twin=twin, seed=seed, script=script, truth=truth, json=json)


@app.command
def certify(
    *families: str,
    seeds: int = 20,
    write: Annotated[bool, Parameter(help="Write certificates.json of the package.")] = True,
    json: Json = False,
) -> None:
    """Prove families without any model: every twin, script and seed. All installed ones if none is named."""
    from impress_env.cli.certify import certify_families

    certify_families(families, seeds=seeds, write=write, json=json)
