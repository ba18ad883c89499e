"""`impress probe`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from impress_env.agent import parse_agent
from impress_env.cli.output import print_json, wide_console
from impress_env.errors import OptionError
from impress_env.evaluate.probe import ProbeConfig, Probed, ProbeReport, probe
from impress_env.evaluate.probe_file import ProbeFile
from impress_env.evaluate.probe_table import table
from impress_env.model import ModelRef
from impress_env.models.launch import start
from impress_env.models.openai import parse_extra, parse_timeout
from impress_env.models.scorer import Scorer, ScorerPool, VLLMScorer
from impress_env.models.vllm import LAUNCH_OPTIONS, launch_of

OPTIONS: Final = ("template", "timeout")


def probe_model(config: ProbeConfig, *, agent: str, out: Path | None, json: bool) -> None:
    """Probe with a progress display and print the table, or the report as JSON."""
    ref, options = scored_model(agent)
    planned = config.plan()
    console = Console(stderr=True, highlight=False)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("instances", total=len(planned))
        try:
            found = asyncio.run(_probe(config, ref, options, out, lambda: progress.advance(task), console))
        except KeyboardInterrupt:
            told = (
                f"stopped; run the same command to go on with {out}"
                if out
                else "stopped; --out FILE keeps what is done"
            )
            console.print(told, markup=False, soft_wrap=True)
            raise SystemExit(130) from None
    if out is not None:
        console.print(f"report: {out}", markup=False, soft_wrap=True)
    if json:
        print_json(found)
    else:
        wide_console().print(table(found))
    if found.failed == len(found.instances):
        raise SystemExit(1)


def scored_model(agent: str) -> tuple[ModelRef, dict[str, Any]]:
    """Return the parts of a model's name as the probe takes it: vllm:NAME, vllm@URL[,URL…] or vllm:NAME@URL[,URL…].

    Raises:
        OptionError: Another provider, or an unknown option.
    """
    spec = parse_agent(agent)
    ref = spec.model
    if spec.name != "chat" or ref is None or ref.provider != "vllm":
        raise OptionError(f"--agent {agent}: expected vllm:NAME, vllm@URL or vllm:NAME@URL, since the probe needs the "
                          "log-probabilities of a prompt, which vLLM's servers give")  # fmt: skip
    known = OPTIONS if ref.urls else (*OPTIONS, *LAUNCH_OPTIONS)
    unknown = sorted(set(spec.options) - set(known))
    if unknown:
        raise OptionError(f"--agent {agent}: unknown options {', '.join(unknown)}; the probe takes {', '.join(known)}")
    options: dict[str, Any] = {"template": parse_extra(spec.options.get("template", ""))}
    if "timeout" in spec.options:
        options["timeout"] = parse_timeout(spec.options["timeout"])
    if not ref.urls:
        options["launch"] = launch_of(ref.name, spec.options)
    return ref, options


async def _probe(
    config: ProbeConfig,
    ref: ModelRef,
    options: Mapping[str, Any],
    out: Path | None,
    advance: Callable[[], None],
    console: Console,
) -> ProbeReport:
    def tell(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    async with AsyncExitStack() as stack:
        scorers, urls, left = [], ref.urls, dict(options)
        launch = left.pop("launch", None)
        if launch is not None:
            server = await start(launch, progress=tell)
            stack.push_async_callback(server.stop)
            urls = (server.url,)
        for url in urls:
            scorer = VLLMScorer(ref.name, url=url, **left)
            stack.push_async_callback(scorer.aclose)
            await scorer.start(tell)
            scorers.append(scorer)
        names = sorted({scorer.name for scorer in scorers})
        if len(names) > 1:
            raise OptionError(
                f"{ref}: the servers serve different models ({', '.join(names)}); name one: vllm:NAME@URLs"
            )
        chosen: Scorer = scorers[0] if len(scorers) == 1 else ScorerPool(scorers)
        if out is None:
            return await probe(config, chosen, progress=lambda row: advance())
        file = ProbeFile(out, model=chosen.name, template=dict(chosen.template), planned=config.plan())
        stack.callback(file.close)

        def measured(row: Probed) -> None:
            file.add(row)
            advance()

        found = await probe(config, chosen, known=file.known, progress=measured)
        file.finish(found)
        return found
