"""`impress eval` with a model, as a person uses it: forecast, budgets, stops, keys. The endpoint is our own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from impress_env.cli import main
from impress_env.evaluate.store import RunFile

FAMILY = "devops.signal-tuning"
CANARY = "sk-canary-5f2e9a7c1b"
KEYS = {"OPENAI_API_KEY": CANARY, "ANTHROPIC_API_KEY": CANARY}


@contextlib.contextmanager
def endpoint(*more: str, key: str = "") -> Iterator[str]:
    """Serve an endpoint in a process of its own; gives its URL."""
    command = (sys.executable, "-m", "impress_env.testing.endpoint", "--tools", "mail__inbox,files__list", "--finish",
               "work__finish", "--after", "4", *more)  # fmt: skip
    env = {**os.environ, "IMPRESS_ENDPOINT_KEY": key}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with endpoint() as found:
        yield found


class Done(NamedTuple):
    stdout: str
    stderr: str


def impress(*words: object, status: int = 0, **env: str) -> Done:
    """Run a command in this process, without keys but those given."""
    out, err, ended = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        for name in [name for name in os.environ if name.endswith("_API_KEY")]:
            patch.delenv(name)
        for name, value in env.items():
            patch.setenv(name, value)
        patch.setattr(sys, "argv", ["impress", *map(str, words)])
        try:
            main()
        except SystemExit as ending:
            ended = int(ending.code or 0)
    assert ended == status, err.getvalue()
    return Done(out.getvalue(), err.getvalue())


def run_words(agent: str, out: Path, *more: object, seeds: int = 2) -> tuple[object, ...]:
    return ("eval", "--agent", agent, "--families", FAMILY, "--twins", "main", "--seeds", seeds, "--out", out, *more)


def test_a_run_tells_a_forecast_first_and_what_it_took_at_the_end(url: str, tmp_path: Path) -> None:
    out = tmp_path / "run.sqlite"
    done = impress(*run_words(f"openai:m@{url}?price=1,2", out))
    assert "forecast: 2 episodes with a model, about " in done.stderr
    assert "context to have: " in done.stderr
    assert "model calls" in done.stdout
    told = json.loads(impress("report", out, "--json").stdout)
    (spent,) = told["spent"].values()
    assert spent["calls"] == spent["requests"] == 10
    assert spent["nano_usd"] == 1_000 * spent["input"] + 2_000 * spent["output"]


def test_a_forecast_alone_runs_nothing(url: str, tmp_path: Path) -> None:
    out = tmp_path / "run.sqlite"
    told = json.loads(impress(*run_words("openai:gpt-4o-mini", out, "--forecast", "--json")).stdout)["forecast"]
    assert told["episodes"] == 2
    assert told["calls"] > 20
    assert told["context"][FAMILY] > 8_000
    assert told["nano_usd"] > 0
    assert not out.exists()


def test_a_budget_stops_the_run_before_it_is_passed_and_the_run_goes_on_without_asking_again(
    url: str, tmp_path: Path
) -> None:
    out = tmp_path / "run.sqlite"
    words = run_words(f"openai:m@{url}?max_tokens=50", out, seeds=6)
    stopped = impress(*words, "--max-tokens", "200000", status=2)
    assert "budget of 200,000 tokens is reached" in stopped.stderr
    assert "--resume" in stopped.stderr
    with RunFile.open(out) as store:
        before = store.spending()
        assert 0 < before.input + before.output <= 200_000
        assert store.missing()
    assert "budget" in impress(*words, "--resume", "--max-tokens", "200000", status=2).stderr
    impress(*words, "--resume")
    with RunFile.open(out) as store:
        assert store.missing() == []
        assert store.spending().requests == 30


def test_a_budget_in_money_wants_a_price(url: str, tmp_path: Path) -> None:
    done = impress(*run_words(f"openai:m@{url}", tmp_path / "run.sqlite", "--max-usd", "1"), status=2)
    assert "give ?price=INPUT,OUTPUT" in done.stderr


@pytest.mark.parametrize(
    ("agent", "told"),
    [
        ("openai:gpt-5-mini", "expected the key in OPENAI_API_KEY"),
        ("anthropic:claude-x", "expected the key in ANTHROPIC_API_KEY"),
        ("openai:m@http://127.0.0.1:9", "no connection to http://127.0.0.1:9/v1/chat/completions"),
        ("vllm@http://127.0.0.1:9", "no connection to http://127.0.0.1:9/v1/models"),
        ("vllm:/nowhere/at-all?bin=/nowhere/vllm", "/nowhere/vllm"),
        ("chat/openai:m@http://127.0.0.1:9?top_k=3", "unknown options top_k"),
    ],
)
def test_what_is_missing_or_wrong_is_told_in_one_line(agent: str, told: str, tmp_path: Path) -> None:
    done = impress(*run_words(agent, tmp_path / "run.sqlite"), status=2)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("impress: ")
    assert told in last
    assert "Traceback" not in done.stderr


def test_a_request_that_no_episode_gets_through_stops_the_run(tmp_path: Path) -> None:
    with endpoint(key="another") as url:
        done = impress(*run_words(f"openai:m@{url}", tmp_path / "run.sqlite", seeds=20), status=2, **KEYS)
    assert "authentication: " in done.stderr
    with RunFile.open(tmp_path / "run.sqlite") as store:
        assert len(store.missing()) == 20


def test_text_to_add_is_part_of_what_the_run_is(url: str, tmp_path: Path) -> None:
    out, extra = tmp_path / "run.sqlite", tmp_path / "extra.txt"
    extra.write_text("Be careful with what cannot be undone.\n")
    words = run_words(f"openai:m@{url}", out)
    impress(*words, "--system-extra", extra)
    with RunFile.open(out) as store:
        assert {t.header.system_extra for _, t in store.trajectories()} == {"Be careful with what cannot be undone."}
    assert "another configuration" in impress(*words, "--resume", status=2).stderr
    assert "cannot be read" in impress(*words, "--system-extra", tmp_path / "none.txt", status=2).stderr


def test_episodes_that_ended_in_an_error_are_run_again_where_asked(tmp_path: Path) -> None:
    out = tmp_path / "run.sqlite"
    with endpoint("--rate", "1", "--faults", "server_error") as url:
        words = run_words(f"openai:m@{url}", out)
        impress(*words, "--retries", 1)
        port = url.rpartition(":")[2]
    with RunFile.open(out) as store:
        assert [row.end.verdict for row in store.rows()] == ["error", "error"]
    with endpoint("--port", port):
        assert "2 of 2 episodes" in impress(*words, "--resume").stdout
        done = impress(*words, "--retry-errors")
    assert "2 episodes that ended in an error are run again" in done.stderr
    with RunFile.open(out) as store:
        assert [row.end.failure for row in store.rows()] == ["", ""]


def test_ctrl_c_lets_calls_end_and_the_run_goes_on_without_asking_again(tmp_path: Path) -> None:
    out = tmp_path / "run.sqlite"
    with endpoint("--delay", "0.2") as url:
        words = run_words(f"openai:m@{url}", out, "--concurrency", "4", "--resume", seeds=12)
        process = subprocess.Popen(
            [sys.executable, "-m", "impress_env.cli", *map(str, words)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 60
        while _calls(out) < 6 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "the calls under way are let end" in told
        assert f"give --out {out} --resume" in told
        impress(*words)
    with RunFile.open(out) as store:
        assert store.missing() == []
        assert store.spending().requests == 12 * 5


def interrupted(*words: object, when: str) -> tuple[int, str]:
    """Run a command and press Ctrl-C once it has told something; return its status and what it told."""
    process = subprocess.Popen(
        [sys.executable, "-m", "impress_env.cli", *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    told = ""
    for line in process.stderr:
        told += line
        if when in line:
            time.sleep(1.0)
            process.send_signal(signal.SIGINT)
            break
    try:
        rest = process.communicate(timeout=30)[1]
    finally:
        process.kill()
    return process.returncode, told + rest


def test_ctrl_c_while_all_calls_wait_for_the_endpoint_stops_at_once(tmp_path: Path) -> None:
    out = tmp_path / "run.sqlite"
    with endpoint("--rate", "1", "--faults", "rate_limit_bare") as url:
        status, told = interrupted(*run_words(f"openai:m@{url}", out, seeds=4), when="forecast")
    assert status == 130
    assert f"give --out {out} --resume" in told
    with RunFile.open(out) as store:
        assert store.counts() == (0, 4)
        assert 0 < store.spending().failed <= store.spending().requests


def test_ctrl_c_while_a_server_starts_stops_at_once(tmp_path: Path) -> None:
    vllm = tmp_path / "vllm"
    vllm.write_text("#!/bin/sh\nexec sleep 600\n")
    vllm.chmod(0o755)
    words = run_words("vllm:m", tmp_path / "run.sqlite", "--vllm-bin", vllm)
    status, told = interrupted(*words, when="vLLM: starting")
    assert status == 130
    assert "stopped" in told


def test_a_run_in_which_nothing_was_done_leaves_no_file_in_the_way(url: str, tmp_path: Path) -> None:
    out = tmp_path / "run.sqlite"
    impress(*run_words("openai:gpt-4.1", out), status=2)
    assert not out.exists()
    impress(*run_words("vllm@http://127.0.0.1:1", out), status=2)
    assert not out.exists()
    assert "2 of 2 episodes" in impress(*run_words(f"openai:m@{url}", out)).stdout


def test_a_resumed_runs_forecast_is_of_what_is_missing(url: str, tmp_path: Path) -> None:
    words = run_words(f"openai:m@{url}", tmp_path / "run.sqlite")
    assert "forecast: 2 episodes with a model" in impress(*words).stderr
    assert "episodes with a model" not in impress(*words, "--resume").stderr


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_no_proxy_is_asked_for_an_endpoint_on_this_machine(provider: str, url: str, tmp_path: Path) -> None:
    nowhere = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), "http://127.0.0.1:9")
    assert "2 of 2" in impress(*run_words(f"{provider}:m@{url}", tmp_path / "run.sqlite"), **nowhere).stdout


def test_one_model_has_the_price_that_each_agents_name_gives(url: str, tmp_path: Path) -> None:
    out = tmp_path / "run.sqlite"
    impress(*run_words(f"openai:m@{url}", out), "--agent", f"openai:m@{url}?price=1,2")
    with RunFile.open(out) as store:
        unpriced, priced = store.spending_by_agent().values()
    assert (unpriced.unpriced, priced.unpriced) == (10, 0)
    assert priced.nano_usd > 0


def _calls(out: Path) -> int:
    try:
        with RunFile.open(out) as store:
            return store.spending().calls
    except Exception:  # being made
        return 0


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_no_key_is_in_a_run_file_an_error_a_report_or_an_export(provider: str, tmp_path: Path) -> None:
    out, exported = tmp_path / "run.sqlite", tmp_path / "run.jsonl"
    with endpoint("--rate", "0.5", "--faults", "echo,html,invalid_json,server_error", key=CANARY) as url:
        words = run_words(f"{provider}:m@{url}", out, seeds=8)
        told = [impress(*words, "--retries", "2", **KEYS)]
    told += [impress("report", out), impress("report", out, "--json"), impress("models", **KEYS)]
    told += [impress("export", out, "--out", exported, "--format", "jsonl")]
    with endpoint("--rate", "1", "--faults", "echo", key=CANARY) as url:
        told += [impress(*run_words(f"{provider}:m@{url}", tmp_path / "other.sqlite"), "--retries", "1", **KEYS)]
    with RunFile.open(out) as store:
        assert any(row.end.failure for row in store.rows())
    with RunFile.open(tmp_path / "other.sqlite") as store:
        assert all(row.end.failure.startswith("ModelError: server: ") for row in store.rows())
    texts = [part.encode() for done in told for part in (done.stdout, done.stderr)]
    texts += [path.read_bytes() for path in tmp_path.iterdir()]
    assert [text for text in texts if b"sk-canary" in text] == []


def test_a_model_of_an_earlier_run_answers_again_without_a_server(tmp_path: Path) -> None:
    out = tmp_path / "run.sqlite"
    with endpoint() as url:
        impress(*run_words(f"openai:m@{url}", out))
    again = tmp_path / "again.sqlite"
    impress(*run_words(f"replay:{out}", again))
    with RunFile.open(out) as first, RunFile.open(again) as second:
        one, other = ([(t.steps, t.end) for _, t in store.trajectories()] for store in (first, second))
        assert one == other
        assert second.spending().requests == 0
    assert (
        "this request was not made there"
        in impress(
            *run_words(f"replay:{out}", tmp_path / "third.sqlite", "--first-seed", "300", seeds=4), status=2
        ).stderr
    )


def test_the_models_are_listed_with_what_is_missing() -> None:
    told = json.loads(impress("models", "--json").stdout)
    found = {row["provider"]: row for row in told["providers"]}
    assert set(found) >= {"openai", "anthropic", "vllm", "replay", "scripted"}
    assert "OPENAI_API_KEY" in found["openai"]["missing"]
    assert "temperature" in told["sampling"]
    listed = impress("models", OPENAI_API_KEY="k").stdout
    assert "openai       ready" in listed
