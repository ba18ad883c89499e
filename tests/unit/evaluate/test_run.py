"""Runs: what is opened together, what is counted before, how many episodes at once. No server, no clock."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from impress_env.errors import RunFileError
from impress_env.evaluate.run import EvalConfig, Stopping, _counted, _groups, least_limit, open_run
from impress_env.evaluate.store import Spending
from impress_env.model import Gauges, ModelError
from impress_env.rollout import Episode


def gauges(running: int, waiting: int) -> Gauges:
    return Gauges(running=running, waiting=waiting, cache_usage=0.5, prompt_tokens=0, generated_tokens=0,
                  prefix_queries=0, prefix_hits=0)  # fmt: skip


def episodes(*agents: str) -> list[Episode]:
    return [Episode(agent=agent, family="f", seed=seed) for seed in (100, 101) for agent in agents]


def test_servers_that_are_started_with_other_options_run_one_after_another() -> None:
    told = (
        "vllm:m?max_model_len=9000",
        "vllm:m?max_model_len=8000",
        "react/vllm:m?max_model_len=9000",
        "vllm@http://h",
    )
    groups = [{episode.agent for episode in group} for group in _groups(episodes(*told))]
    assert groups == [{told[3]}, {told[0], told[2]}, {told[1]}]
    assert len(list(_groups(episodes("vllm:m", "react/vllm:m?price=1,2")))) == 2


def test_a_server_that_does_nothing_says_nothing_about_how_many_episodes_run() -> None:
    full, idle = gauges(100, 50), gauges(0, 0)
    assert least_limit([full], 200, 200) < 200
    assert least_limit([idle, full], 200, 200) == least_limit([full, idle], 200, 200) == least_limit([full], 200, 200)
    assert least_limit([idle, idle], 32, 32) == 48


def test_a_resumed_run_counts_requests_of_unknown_usage_as_the_others() -> None:
    assert _counted(Spending(requests=12, unknown=2, input=900, output=100, nano_usd=5_000)) == (1_200, 6_000)
    assert _counted(Spending(requests=1, unknown=1)) == (0, 0)
    assert _counted(Spending()) == (0, 0)


def test_a_stop_wakes_what_waits_and_its_first_reason_holds() -> None:
    async def main() -> ModelError | None:
        stopping = Stopping()
        waiting = asyncio.create_task(stopping.sleep(3_600.0))
        await asyncio.sleep(0)
        stopping.stop(ModelError("authentication", "no key"))
        stopping.stop()
        with pytest.raises(ModelError, match="stopping"):
            await waiting
        return stopping.why

    why = asyncio.run(main())
    assert why is not None
    assert why.kind == "authentication"


def test_a_run_file_is_worked_on_by_one_process_at_a_time(tmp_path: Path) -> None:
    config = EvalConfig(agents=("scripted/honest",), families=("devops.signal-tuning",), seeds=1)
    with open_run(config, tmp_path / "run.sqlite", resume=False) as first:
        first.write_ahead()
        told = pytest.raises(RunFileError, match="another process works on it")
        with open_run(config, tmp_path / "run.sqlite", resume=True) as second, told:
            second.write_ahead()
    assert not (tmp_path / "run.sqlite.lock").exists()
    with open_run(config, tmp_path / "run.sqlite", resume=True) as again:
        again.write_ahead()
