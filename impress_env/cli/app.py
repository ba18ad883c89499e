"""The commands and their options. What they do stands in the modules beside this one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

app = App(
    name="impress",
    help="""Benign office work that tempts an agent, and an exact oracle that sees what it does.

    An error is one line on standard error and exit status 2; findings of certify and replay end in 1.
    """,
    default_parameter=Parameter(negative="", show_default=lambda value: value or None),
)

Json = Annotated[bool, Parameter(name="--json", help="Print JSON for machines.")]


@app.command(name="list")
def list_(*, json: Json = False) -> None:
    """List the installed scenario families."""
    from impress_env.cli.families import list_families

    list_families(json)


@app.command
def show(
    family: str,
    /,
    *,
    twin: str = "main",
    seed: int | None = None,
    script: str = "",
    framing: Annotated[tuple[str, ...], Parameter(help="factor=level; repeat for several.")] = (),
    truth: bool = False,
    json: Json = False,
) -> None:
    """Show a family: its card, or the transcript of a script.

    Args:
        family: Family id, or the path of a family file.
        twin: Which twin.
        seed: Instance seed; the demonstration seed if not given.
        script: Print the transcript of this script (honest, risky, …) instead of the card. With a framing form=…
            that is the question, what came before it, and the script's reply.
        truth: With a transcript, also the effects, state changes and the oracle.
    """
    from impress_env.cli.families import show_family

    told = dict(part.partition("=")[::2] for part in framing)
    show_family(family, twin=twin, seed=seed, script=script, framing=told, truth=truth, json=json)


@app.command
def certify(
    *families: str,
    seeds: int = 20,
    write: Annotated[bool, Parameter(negative="--no-write")] = True,
    json: Json = False,
) -> None:
    """Prove families without any model: every twin, script and seed.

    Args:
        families: Family ids, or paths of family files; all installed families if none is named.
        seeds: How many seeds; a certificate needs 20.
        write: Write certificates.json of the package.
    """
    from impress_env.cli.certify import certify_families

    certify_families(families, seeds=seeds, write=write, json=json)


@app.command
def audit(*families: str, instances: int = 1000, seeds: int = 10, json: Json = False) -> None:
    """Check the families together: names that come back, structures, what a brief gives away by its words.

    Args:
        families: Family ids, or paths of family files; all installed families if none is named.
        instances: How many instances are searched for names.
        seeds: Seeds per family and twin from which words are learned.
    """
    from impress_env.cli.audit import audit_families

    audit_families(families, instances=instances, seeds=seeds, json=json)


@app.command(name="eval")
def eval_(
    *,
    agent: Annotated[tuple[str, ...], Parameter(help="Agent to run; repeat for several.")] = (),
    families: Annotated[tuple[str, ...], Parameter(help="Families; all if not given.")] = (),
    twins: Annotated[tuple[str, ...], Parameter(help="Twins; all if not given.")] = (),
    framing: Annotated[tuple[str, ...], Parameter(help="factor=level; repeat for several.")] = (),
    seeds: int = 20,
    first_seed: int = 100,
    attempts: int = 1,
    start: str = "task",
    system_extra: Path | None = None,
    analyzer: Annotated[str, Parameter(help="off, watch or gate.")] = "off",
    protocol: Path | None = None,
    concurrency: int | None = None,
    timeout: float | None = None,
    max_tokens: Annotated[int | None, Parameter(help="Stop, resumable, before this many tokens are passed.")] = None,
    max_usd: Annotated[float | None, Parameter(help="Stop, resumable, before this many US dollars are passed.")] = None,
    max_minutes: Annotated[float | None, Parameter(help="Stop, resumable, after this many minutes.")] = None,
    retries: int = 8,
    vllm_bin: str = "",
    vllm_args: Annotated[str, Parameter(allow_leading_hyphen=True)] = "",
    out: Path | None = None,
    resume: Annotated[bool, Parameter(help="Go on with --out where it stopped.")] = False,
    retry_errors: Annotated[bool, Parameter(help="Go on with --out, episodes that ended in an error again.")] = False,
    forecast: Annotated[bool, Parameter(help="Only print what the run is likely to take.")] = False,
    json: Json = False,
) -> None:
    """Run agents over families, twins and seeds into one run file, and print the report.

    Args:
        seeds: How many seeds of the evaluation range.
        first_seed: The first of them.
        attempts: Attempts at each instance.
        start: "task", or "decision_point" (the honest way played up to there).
        system_extra: File whose text agents around a model add to the system text, such as a safety prompt.
        protocol: File (YAML) with the policy of the analyzer.
        concurrency: Episodes under way at once: 16, or with vLLM as many as keep the server busy.
        timeout: Seconds that a request to a model may take.
        retries: Requests that are sent for one call of a model, at most.
        vllm_bin: The vllm command that vllm:NAME starts; the one on PATH if not given.
        vllm_args: Further arguments of vllm serve, as in a shell.
        out: Run file; runs/TIME.sqlite if not given.
    """
    from impress_env.cli.eval import analyzer_of, evaluate_agents, protocol_of, read_extra
    from impress_env.evaluate.run import EvalConfig, Means
    from impress_env.models.wrappers import Patience

    config = EvalConfig(
        agents=agent,
        families=families,
        twins=twins,
        framing=dict(part.partition("=")[::2] for part in framing),
        seeds=seeds,
        first_seed=first_seed,
        attempts=attempts,
        start=start,
        system_extra=read_extra(system_extra),
        analyzer=analyzer_of(analyzer),
        protocol=protocol_of(protocol),
    )
    given = {"timeout": "" if timeout is None else f"{timeout:g}", "bin": vllm_bin, "args": vllm_args}
    means = Means(
        concurrency=concurrency,
        max_tokens=max_tokens,
        max_usd=max_usd,
        max_seconds=None if max_minutes is None else max_minutes * 60,
        patience=Patience(requests=retries),
        model_options={key: value for key, value in given.items() if value},
    )
    evaluate_agents(config, means, out=out, resume=resume, retry_errors=retry_errors, only_forecast=forecast, json=json)


@app.command
def probe(
    *,
    agent: Annotated[str, Parameter(help="vllm:NAME, vllm@URL[,URL…] or vllm:NAME@URL.")],
    families: Annotated[tuple[str, ...], Parameter(help="Families; all if not given.")] = (),
    twins: Annotated[tuple[str, ...], Parameter(help="Twins; main, null_motive, legitimate if not given.")] = (),
    framing: Annotated[tuple[str, ...], Parameter(help="factor=level; repeat for several.")] = (),
    seeds: int = 20,
    first_seed: int = 100,
    samples: int = 0,
    temperature: float = 1.0,
    max_tokens: int = 1024,
    concurrency: int = 8,
    out: Path | None = None,
    json: Json = False,
) -> None:
    """Measure how likely an open-weight model finds the risky call at the decision point, by log-likelihood.

    Args:
        seeds: How many seeds of the evaluation range.
        first_seed: The first of them.
        samples: Completions to draw at each decision point, as a check.
        temperature: Of these draws.
        max_tokens: Of one draw.
        concurrency: Instances under way at once.
        out: Report file (JSON); the same command goes on with it.
    """
    from impress_env.cli.probe import probe_model
    from impress_env.evaluate.probe import ProbeConfig

    config = ProbeConfig(
        families=families,
        twins=twins,
        framing=dict(part.partition("=")[::2] for part in framing),
        seeds=seeds,
        first_seed=first_seed,
        samples=samples,
        temperature=temperature,
        max_tokens=max_tokens,
        concurrency=concurrency,
    )
    probe_model(config, agent=agent, out=out, json=json)


@app.command
def report(run: Path, /, *, svg: Path | None = None, json: Json = False) -> None:
    """Print the report of a run file.

    Args:
        run: The run file.
        svg: Also draw the report as a picture into this file.
    """
    from impress_env.cli.eval import print_report

    print_report(run, svg=svg, json=json)


@app.command
def export(run: Path, /, *, format: str = "jsonl", out: Path, json: Json = False) -> None:
    """Write the trajectories of a run file.

    Args:
        run: The run file.
        format: Only "jsonl" so far.
        out: File to write; what is there is replaced.
    """
    from impress_env.cli.eval import export_run

    export_run(run, format=format, out=out, json=json)


@app.command
def replay(source: Path, /, *, family: str = "", json: Json = False) -> None:
    """Execute stored trajectories again and name the first step that differs.

    Args:
        source: A run file or a JSONL file of trajectories.
        family: Use this family (id or path) for all of them.
    """
    from impress_env.cli.replay import replay_source

    replay_source(source, family=family, json=json)


@app.command
def play(
    family: str,
    /,
    *,
    twin: str = "main",
    seed: int | None = None,
    framing: Annotated[tuple[str, ...], Parameter(help="factor=level; repeat for several.")] = (),
    start: str = "task",
    watch: Annotated[bool, Parameter(help="Show state changes, effects and the oracle.")] = False,
    analyzer: Annotated[str, Parameter(help="off, watch or gate.")] = "off",
    out: Path | None = None,
) -> None:
    """Step a scenario by hand: see what the agent sees, call its tools, undo, fork.

    Args:
        family: Family id, or the path of a family file.
        twin: Which twin.
        seed: Instance seed; the demonstration seed if not given.
        start: "task" or "decision_point".
        out: Write the actions taken here on leaving, one a line as JSON.
    """
    from impress_env.cli.play import play_family

    play_family(
        family,
        twin=twin,
        seed=seed,
        framing=dict(part.partition("=")[::2] for part in framing),
        start=start,
        watch=watch,
        analyzer=analyzer,
        out=out,
    )


@app.command
def agents(*, json: Json = False) -> None:
    """List the installed agents."""
    from impress_env.cli.eval import list_agents

    list_agents(json)


@app.command
def models(*, json: Json = False) -> None:
    """List the providers of models, their options, and what is missing to use them."""
    from impress_env.cli.eval import list_models

    list_models(json)


@app.command
def rules(*files: Path, json: Json = False) -> None:
    """List the analyzer's rules and run their own tests, with one clause at a time taken away.

    Args:
        files: Rule files; those that ship if none is named.
    """
    from impress_env.cli.rules import check_rules

    check_rules(files, json=json)
