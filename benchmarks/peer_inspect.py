"""What Inspect AI takes for the load of `bench_harness`, as one JSON line.

It runs in an environment of its own (`requirements-inspect.txt`): `.venv-inspect/bin/python -m
benchmarks.peer_inspect`. Inspect is the released one, used as its documentation says: a task with one sample an
episode, its ReAct agent, its OpenAI provider, as many connections and samples at once as the load asks for. Nothing
is on that can be left off without changing what a run gives: no terminal display, no scorer, no live log. The tools'
output is a constant: there is no world behind them. Run by `bench_harness`.
"""

from __future__ import annotations

import tempfile
from typing import Any

from benchmarks import harness_load, measure
from benchmarks.harness_load import Setting


def task_of(setting: Setting) -> Any:
    """The load as an Inspect task."""
    from inspect_ai import Task  # type: ignore[import-not-found]
    from inspect_ai.agent import react  # type: ignore[import-not-found]
    from inspect_ai.dataset import MemoryDataset, Sample  # type: ignore[import-not-found]
    from inspect_ai.model import ChatMessageSystem, ChatMessageUser  # type: ignore[import-not-found]
    from inspect_ai.tool import ToolDef, ToolParams  # type: ignore[import-not-found]

    talk = setting.talk

    async def tool(**arguments: object) -> str:
        return talk.result

    tools = [
        ToolDef(
            tool,
            name=function["name"],
            description=function["description"],
            parameters=ToolParams.model_validate(function["parameters"]),
        )
        for function in (told["function"] for told in talk.tools)
    ]
    samples = [
        Sample(id=number, input=[ChatMessageSystem(content=talk.system), ChatMessageUser(content=talk.task)])
        for number in range(1, setting.episodes + 1)
    ]
    return Task(dataset=MemoryDataset(samples), solver=react(prompt=None, tools=tools))


def main() -> None:
    setting = harness_load.told("Run the load of bench_harness through Inspect AI.")
    from inspect_ai import eval as inspect_eval
    from inspect_ai.model import get_model

    task = task_of(setting)
    model = get_model("openai/mock", base_url=setting.url, api_key="none", responses_api=False)
    logs: list[Any] = []

    with tempfile.TemporaryDirectory() as folder:

        def run() -> None:
            logs[:] = inspect_eval(
                task,
                model=model,
                max_connections=harness_load.AT_ONCE,
                max_samples=harness_load.AT_ONCE,
                display="none",
                log_dir=folder,
                log_realtime=False,
                log_header_only=True,
                score=False,
            )

        found = harness_load.measured(run, episodes=setting.episodes)
    log = logs[0]
    done = log.results.completed_samples if log.results is not None else 0
    if log.status != "success" or done != setting.episodes:
        raise SystemExit(
            f"peer_inspect: expected {setting.episodes} samples with status success, found {done} with {log.status}: "
            f"{log.error.message if log.error is not None else 'no error told'}"
        )
    measure.emit(found)


if __name__ == "__main__":
    main()
