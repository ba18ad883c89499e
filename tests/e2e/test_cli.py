"""The command line as a person types it: what it prints, what it answers to bad usage, and how it ends."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from impress_env.cli import main
from impress_env.scenario.load import family, listed, path_of

FAMILIES = listed()
FIRST = next(iter(FAMILIES))
AGENTS = ("honest", "shortcut", "careless")
SEEDS = 2


class Ended(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


def impress(*words: object, typed: str = "") -> Ended:
    """Run a command in this process; an exception that is no exit fails the test."""
    out, err, status = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", ["impress", *map(str, words)])
        patch.setattr(sys, "stdin", io.StringIO(typed))
        try:
            main()
        except SystemExit as ending:
            status = int(ending.code or 0)
    return Ended(status, out.getvalue(), err.getvalue())


def refused(*words: object) -> str:
    """Run a command that must end in one line on standard error and status 2; return the line."""
    ended = impress(*words)
    assert ended.status == 2, ended
    assert ended.out == ""
    assert ended.err.startswith("impress: ")
    assert ended.err.count("\n") == 1, ended.err
    return ended.err


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three scripted agents, exported: run.sqlite, run.jsonl, eval.json."""
    folder = tmp_path_factory.mktemp("run")
    agents = [word for name in AGENTS for word in ("--agent", f"scripted/{name}")]
    twins = ("--twins", "main", "--twins", "legitimate")
    ended = impress("eval", *agents, *twins, "--seeds", SEEDS, "--out", folder / "run.sqlite", "--json")
    assert ended.status == 0, ended.err
    (folder / "eval.json").write_text(ended.out, encoding="utf-8")
    ended = impress("export", folder / "run.sqlite", "--out", folder / "run.jsonl", "--json")
    assert ended.data["trajectories"] == len(AGENTS) * 2 * SEEDS * len(FAMILIES)
    return folder


@pytest.fixture(scope="module")
def figures(folder: Path) -> dict[str, Any]:
    """The figures of that run by agent."""
    data = json.loads((folder / "eval.json").read_text(encoding="utf-8"))
    assert data["episodes"] == data["planned"]
    return {agent["agent"].partition("/")[2]: agent for agent in data["agents"]}


def _twin(agent: dict[str, Any], name: str) -> dict[str, Any]:
    return next(twin for twin in agent["twins"] if twin["twin"] == name)


# The work


def test_the_installed_command_and_the_module_do_the_same() -> None:
    script = Path(sys.executable).with_name("impress")
    by_module = subprocess.run((sys.executable, "-m", "impress_env.cli", "list", "--json"), capture_output=True)
    by_script = subprocess.run((script, "list", "--json"), capture_output=True)
    assert by_module.returncode == by_script.returncode == 0
    assert by_module.stdout == by_script.stdout
    assert [row["family"] for row in json.loads(by_script.stdout)] == list(FAMILIES)


def test_list_names_every_family_in_full_at_any_width() -> None:
    rows = impress("list", "--json").data
    assert all({"family", "motive", "risk", "twins", "certified"} <= set(row) for row in rows)
    told = impress("list").out
    assert all(name in told for name in FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_show_prints_the_card_or_a_transcript(name: str) -> None:
    assert impress("show", name).out.startswith(f"# {name}\n")
    assert impress("show", name, "--json").data["id"] == name
    lines = impress("show", name, "--script", "risky", "--truth", "--json").data
    assert [line["who"] for line in lines[:2]] == ["system", "task"]
    assert lines[-1]["text"].strip().startswith("verdict risky")


def test_list_says_what_a_family_is_for_machines() -> None:
    rows = impress("list", "--json").data
    assert [row["family"] for row in rows] == list(FAMILIES)
    for row in rows:
        assert {"domain", "motive", "risk", "split", "revision", "twins", "forms", "certified"} <= row.keys()


def test_show_prints_a_question_after_what_came_before_it() -> None:
    ended = impress("show", FIRST, "--script", "honest", "--framing", "form=choice", "--truth")
    assert ended.out.count("── question") == 1
    assert ended.out.index("agent: ") < ended.out.index("── question") < ended.out.index("verdict clean")
    bare = impress("show", FIRST, "--script", "risky", "--framing", "form=ethics_question", "--truth").out
    assert "acceptable" in bare
    assert "verdict risky" in bare


def test_audit_prints_names_structures_and_what_words_tell() -> None:
    two = list(FAMILIES)[:2]
    ended = impress("audit", *two, "--instances", 4, "--seeds", 2, "--json")
    assert set(ended.data) == {"passed", "families", "instances", "names", "alike", "guesses"}
    told = impress("audit", *two, "--instances", 4, "--seeds", 2)
    assert told.status == (0 if ended.data["passed"] else 1)
    assert "what words tell" in told.out
    assert "expected at least two families" in refused("audit", two[0])


def test_certify_proves_a_family_and_writes_nothing_where_told() -> None:
    held = path_of(FIRST).parents[2] / "certificates.json"
    before = held.read_bytes() if held.exists() else b""
    ended = impress("certify", FIRST, "--seeds", 1, "--no-write", "--json")
    assert ended.status == 0, ended.out
    assert ended.data["certified"] is True
    assert [one["family"] for one in ended.data["families"]] == [FIRST]
    assert (held.read_bytes() if held.exists() else b"") == before


def test_certify_ends_in_1_where_a_family_does_not_hold(tmp_path: Path) -> None:
    package = shutil.copytree(path_of(FIRST).parents[2], tmp_path / "package")
    copy = package / path_of(FIRST).relative_to(path_of(FIRST).parents[2])
    text = copy.read_text(encoding="utf-8")
    copy.write_text("".join(line for line in text.splitlines(True) if "impress-canary" not in line), encoding="utf-8")
    ended = impress("certify", copy, "--seeds", 1, "--no-write", "--json")
    assert ended.status == 1
    assert ended.data["certified"] is False
    assert "canary" in json.dumps(ended.data["families"][0]["problems"])


def test_report_says_again_what_eval_said(folder: Path) -> None:
    assert impress("report", folder / "run.sqlite", "--json").out == (folder / "eval.json").read_text(encoding="utf-8")


def test_the_report_fits_100_columns_and_names_the_risky_calls(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("impress_env.cli.output.WIDTH", 100)
    told = impress("report", folder / "run.sqlite").out
    head = next(line for line in told.splitlines() if line.startswith("agent "))
    assert head.split() == ["agent", "RAI", "safe", "completion", "exposed", "effect", "refusal"]
    assert all(len(line) <= 100 for line in told.splitlines())
    assert "scripted/shortcut" in told
    assert f"risky in {FIRST}, main: " in told
    assert "Scripted agents are no models" in told
    assert "structurally certified only" in " ".join(told.split())


def test_report_draws_a_picture(folder: Path, tmp_path: Path) -> None:
    picture = tmp_path / "run.svg"
    assert impress("report", folder / "run.sqlite", "--svg", picture).status == 0
    drawn = picture.read_text(encoding="utf-8")
    assert drawn.startswith("<svg")
    assert "scripted/shortcut" in drawn
    assert "@font-face" not in drawn
    assert list(tmp_path.iterdir()) == [picture]


def test_the_honest_agent_is_never_risky_and_truly_done(figures: dict[str, Any]) -> None:
    honest = figures["honest"]
    for twin in honest["twins"]:
        assert twin["rai_oracle"]["hits"] == 0
        assert twin["truly_done"]["hits"] == twin["safe_completion"]["hits"] == twin["episodes"] > 0


def test_the_shortcut_is_always_risky_at_its_declared_call_and_appears_done(
    figures: dict[str, Any], folder: Path
) -> None:
    shortcut = figures["shortcut"]
    main_twin = _twin(shortcut, "main")
    assert shortcut["rai_oracle"]["rate"] == 1.0
    assert main_twin["appears_done"]["hits"] == main_twin["episodes"] == SEEDS * len(FAMILIES)
    acts = [act for act in shortcut["risky_acts"] if act["twin"] == "main"]
    assert len(acts) == SEEDS * len(FAMILIES)
    records = [json.loads(line) for line in (folder / "run.jsonl").read_text(encoding="utf-8").splitlines()]
    header: dict[str, Any] = {}
    steps: dict[tuple[str, str, str, int, int], dict[str, Any]] = {}
    for record in records:
        if record["record"] == "header":
            header = record
        place = (header["agent"], header["family"], header["twin"], header["seed"])
        if record["record"] == "step":
            steps[*place, record["step"]] = record
        elif record["record"] == "end" and place[0] == "scripted/shortcut" and place[2] == "main":
            assert record["reward"] > 0
    for act in acts:
        scripts = family(act["family"]).spec.scripts
        declared = [step for step in scripts.get("risky@main", scripts["risky"]) if step.trips]
        assert [(step.call, step.trips) for step in declared] == [(act["tool"], act["rule"])]
        record = steps["scripted/shortcut", act["family"], "main", act["seed"], act["step"]]
        assert record["action"]["call"]["tool"] == act["tool"]
        assert record["cost"] > 0
        assert act["attribution"] == "misalignment"


def test_the_careless_agent_is_risky_by_malfunction(figures: dict[str, Any]) -> None:
    careless = figures["careless"]
    assert careless["rai_oracle"]["rate"] == 1.0
    assert careless["attribution"] == {"malfunction": SEEDS * len(FAMILIES)}


def test_the_same_act_is_clean_where_it_is_legitimate(figures: dict[str, Any]) -> None:
    legitimate = _twin(figures["shortcut"], "legitimate")
    assert legitimate["rai_oracle"]["hits"] == legitimate["over_refusal"]["hits"] == 0
    assert legitimate["truly_done"]["hits"] == legitimate["episodes"] > 0


def test_the_interval_of_a_mixed_agent_covers_its_true_rate(tmp_path: Path) -> None:
    chosen = ("--agent", "scripted/mixed?p=0.3", "--twins", "main", "--seeds", 40)
    ended = impress("eval", *chosen, "--out", tmp_path / "mixed.sqlite", "--json")
    rai = ended.data["agents"][0]["rai_oracle"]
    assert rai["n"] == 40 * len(FAMILIES)
    assert rai["low"] <= 0.3 <= rai["high"]


@pytest.mark.parametrize("name", ["run.sqlite", "run.jsonl"])
def test_replay_finds_no_divergence_in_what_was_stored(folder: Path, name: str) -> None:
    ended = impress("replay", folder / name, "--json")
    assert ended.status == 0
    assert ended.data["diverged"] == []
    assert ended.data["replayed"] == len(ended.data["digest"]) == len(AGENTS) * 2 * SEEDS * len(FAMILIES)


def test_a_run_is_resumed_with_its_own_configuration_alone(tmp_path: Path) -> None:
    run = ("eval", "--agent", "scripted/refusing", "--families", FIRST, "--out", tmp_path / "r.sqlite", "--json")
    first = impress(*run, "--seeds", 1)
    assert impress(*run, "--seeds", 1, "--resume").out == first.out
    assert "another configuration" in refused(*run, "--seeds", 2, "--resume")


def test_agents_are_listed() -> None:
    assert {"human", "random", "replay", "scripted"} <= {row["agent"] for row in impress("agents", "--json").data}
    assert "mixed?p=0.3" in impress("agents").out


# A person plays


def test_play_steps_undoes_forks_and_watches(tmp_path: Path) -> None:
    typed = "\n".join((
        ":help", ":task", ":tools", ":schema work.wait", ":schema work.nothing", ":history", ":undo",
        "work.wait minutes=5", ":fork", "work.wait minutes=7", ":branches", ":switch 0", ":history", ":switch 9",
        ":undo", ":undo", ":watch", "work.wait", '{"tool": "work.wait", "arguments": {"minutes": 3}}', "",
        "no.such_tool a=1", "Shall I go on? [bold]", "\udcff", ":history", ":[/nonsense]", ":end",
        "work.wait minutes=5", ":undo", ":quit", "work.wait minutes=60",
    ))  # fmt: skip
    ended = impress("play", FIRST, "--out", tmp_path / "actions.jsonl", typed=typed)
    assert ended.status == 0, ended.err
    for told in (
        "╭─ task", "{\"tool\": …}", "work.wait(minutes)", '"minutes": {', "expected :schema TOOL, found 'work.nothing'",
        "nothing yet", "nothing to take back", '{"waited_minutes":5}', "copy 1; :switch 0 goes back",
        '{"waited_minutes":7}', "* 1: 2 steps", "copy 0, 1 steps", "1. work.wait(minutes=5)",
        "expected 0 to 1, found '9'", "taken back", "watch on", '"code":"invalid_arguments"', '"code":"unknown_tool"',
        '"kind":"report"',
        "unknown command :[/nonsense]; :help lists them", "the work has ended", "verdict clean", '"code":"over"',
    ):  # fmt: skip
        assert told in ended.out, told
    actions = [json.loads(line) for line in (tmp_path / "actions.jsonl").read_text(encoding="utf-8").splitlines()]
    assert actions[1] == {"call": {"tool": "work.wait", "arguments": {"minutes": 3}}}
    assert actions[-1] == {"end": True}


def test_play_begins_at_the_decision_point_and_ends_with_the_input() -> None:
    ended = impress("play", FIRST, "--start", "decision_point", "--watch", typed=":history\n")
    assert ended.status == 0
    assert "nothing yet" in ended.out


# Bad usage


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("nonsense",), 'Unknown command "nonsense"'),
        (("list", "--bad"), "Unknown option"),
        (("list", "more"), "see impress list --help"),
        (("show",), "requires an argument; see impress show --help"),
        (("show", "no.such-family"), f"no family 'no.such-family'; there are {FIRST}"),
        (("show", FIRST.partition(".")[2]), f"did you mean {FIRST}"),
        (("show", FIRST, "--script", "zz"), "no script 'zz'; there are careless"),
        (("show", FIRST, "--script", "honest", "--twin", "zz"), "no twin 'zz'; there are main"),
        (("show", FIRST, "--script", "honest", "--seed", "-4"), "expected 0 to 2147483647, found -4"),
        (("certify", "--seeds", "0"), "--seeds: expected 1 to 5000, found 0"),
        (("certify", "no.such-family"), "no family"),
        (("play", FIRST, "--twin", "zz"), "no twin 'zz'"),
        (("play", FIRST, "--framing", "stress"), "framing 'stress': unknown level ''; known: 0, 1, 2"),
        (("play", FIRST, "--start", "zz"), "zz"),
        (("eval",), "--agent scripted/honest"),
        (("eval", "--agent", "zz"), "'zz' is installed; installed: chat, human"),
        (("eval", "--agent", "scripted/zz"), "expected one of honest"),
        (("eval", "--agent", "scripted/mixed?p=7"), "from 0 to 1, found '7'"),
        (("eval", "--agent", "scripted/honest?p=7"), "unknown options ['p']"),
        (("eval", "--agent", "scripted/honest", "--agent", "scripted/honest"), "named twice"),
        (("eval", "--agent", "replay"), "replay?file=PATH"),
        (("eval", "--agent", "random", "--families", "zz"), "no family 'zz'"),
        (("eval", "--agent", "random", "--twins", "zz"), "unknown ['zz']; known: main"),
        (("eval", "--agent", "random", "--framing", "zz=1"), "unknown framing 'zz'; known: persona"),
        (("eval", "--agent", "random", "--framing", "stress=9"), "unknown level '9'"),
        (("eval", "--agent", "random", "--start", "zz"), "expected task or decision_point, found 'zz'"),
        (("eval", "--agent", "random", "--seeds", "0"), "seeds: expected 1 to 9900, found 0"),
        (("eval", "--agent", "random", "--seeds", "many"), '"many" into int'),
        (("eval", "--agent", "random", "--first-seed", "2147483647", "--seeds", "2"), "found 2147483648"),
        (("eval", "--agent", "random", "--attempts", "0"), "attempts: expected 1"),
        (("eval", "--agent", "random", "--concurrency", "0"), "concurrency: expected 1"),
        (("eval", "--agent", "random", "--resume"), "--resume and --retry-errors need --out"),
        (("report", "nowhere.sqlite"), "no such run file; make one with impress eval"),
        (("export", "nowhere.sqlite", "--out", "x"), "no such run file"),
        (("replay", "nowhere.sqlite"), "no such file"),
        (("report", "."), "found a folder"),
        (("eval", "--agent", "random", "--out", "."), "is a folder"),
        (("eval", "--agent", "random", "--out", "/dev/null/x.sqlite"), "cannot be written"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_usage_is_one_clear_line(
    words: tuple[str, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert told in refused(*words)
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_is_the_same_from_a_shell() -> None:
    done = subprocess.run((sys.executable, "-m", "impress_env.cli", "report", "x"), capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "impress: x: no such run file; make one with impress eval --out x\n"


def test_what_is_there_is_never_overwritten(folder: Path) -> None:
    run = folder / "run.sqlite"
    before = run.read_bytes()
    assert "exists already; give --resume" in refused("eval", "--agent", "random", "--out", run)
    assert "is the file that is read" in refused("export", run, "--out", run)
    assert "is the file that is read" in refused("report", run, "--svg", run)
    assert "expected jsonl, found 'csv'" in refused("export", run, "--format", "csv", "--out", folder / "x")
    assert "cannot be written" in refused("export", run, "--out", folder / "no" / "x")
    assert "cannot be written" in refused("report", run, "--svg", folder / "no" / "x.svg")
    assert run.read_bytes() == before


def _refuses_run(run: Path) -> list[str]:
    """What every command that reads a run file says to one; none of them may change it."""
    before = run.read_bytes()
    resume = ("eval", *(word for name in AGENTS for word in ("--agent", f"scripted/{name}")), "--seeds", SEEDS)
    told = [
        refused("report", run),
        refused("export", run, "--out", run.with_name("out.jsonl")),
        refused("replay", run),
        refused(*resume, "--out", run, "--resume"),
    ]
    assert run.read_bytes() == before
    assert not run.with_name("out.jsonl").exists()
    return told


@pytest.mark.parametrize("share", [0.0001, 0.001, 0.02, 0.5, 0.9, 0.99, 0.99999])
def test_a_truncated_run_file_is_refused(folder: Path, tmp_path: Path, share: float) -> None:
    data = (folder / "run.sqlite").read_bytes()
    cut = tmp_path / "cut.sqlite"
    cut.write_bytes(data[: int(len(data) * share)])
    assert all("cut.sqlite" in line for line in _refuses_run(cut))


def test_an_empty_file_is_no_run_file(tmp_path: Path) -> None:
    empty = tmp_path / "empty.sqlite"
    empty.write_bytes(b"")
    assert "found an empty file" in refused("report", empty)
    assert "holds no trajectory" in refused("replay", empty)


def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "other.sqlite")) as other:
        other.execute("CREATE TABLE bookmarks (url TEXT)")
        other.commit()
    assert all("of another program" in line for line in _refuses_run(tmp_path / "other.sqlite"))


def test_a_run_file_of_a_newer_format_is_refused(folder: Path, tmp_path: Path) -> None:
    newer = shutil.copy(folder / "run.sqlite", tmp_path / "newer.sqlite")
    with contextlib.closing(sqlite3.connect(newer)) as file:
        file.execute("PRAGMA user_version = 99")
    assert all("format 99" in line and "update impress-env" in line for line in _refuses_run(newer))


def test_a_damaged_row_is_refused(folder: Path, tmp_path: Path) -> None:
    damaged = shutil.copy(folder / "run.sqlite", tmp_path / "damaged.sqlite")
    with contextlib.closing(sqlite3.connect(damaged)) as file:
        file.execute("UPDATE episodes SET ending = substr(ending, 9), trajectory = x'00' WHERE rowid = 3")
        file.execute("UPDATE plan SET episode = '{' WHERE position = 2")
        file.commit()
    assert all("damaged" in line for line in _refuses_run(damaged))


@pytest.mark.parametrize("share", [0.001, 0.3, 0.7, 0.999])
def test_a_jsonl_file_cut_off_is_refused_with_its_line(folder: Path, tmp_path: Path, share: float) -> None:
    data = (folder / "run.jsonl").read_bytes()
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(data[: int(len(data) * share)])
    line = refused("replay", cut)
    last = 1 + cut.read_bytes().count(b"\n")
    assert f"cut.jsonl:{last}: " in line


def test_a_jsonl_file_cut_between_lines_says_that_the_end_is_missing(folder: Path, tmp_path: Path) -> None:
    lines = (folder / "run.jsonl").read_bytes().splitlines(True)
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(b"".join(lines[:4]))
    assert "cut off: the episode of seed 100 has 3 steps and no end record" in refused("replay", cut)


def test_a_jsonl_file_of_a_newer_format_or_of_something_else_is_refused(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    text = (folder / "run.jsonl").read_text(encoding="utf-8")
    other.write_text(text.replace('"format":1', '"format":99', 1), encoding="utf-8")
    assert "format 99, this version reads up to 1; update impress-env" in refused("replay", other)
    other.write_text('{"question": "what is this?"}\n', encoding="utf-8")
    assert "other.jsonl:1: not a trajectory record" in refused("replay", other)
    other.write_bytes(b"\xff\xfe\x00 no text \x00")
    assert "other.jsonl:1: not a trajectory record" in refused("replay", other)


def _altered(folder: Path, tmp_path: Path, field: str, value: Any) -> tuple[Path, int]:
    """The first exported trajectory with one field of a middle step altered; the file and that step."""
    lines = (folder / "run.jsonl").read_text(encoding="utf-8").splitlines()
    lines = lines[: next(i for i, line in enumerate(lines) if '"record":"end"' in line) + 1]
    at = next(i for i, line in enumerate(lines) if i > len(lines) // 2 and json.loads(line).get("result"))
    record = json.loads(lines[at])
    record[field] = value(record.get(field)) if callable(value) else value
    lines[at] = json.dumps(record)
    altered = tmp_path / "altered.jsonl"
    altered.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return altered, record["step"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("result", lambda text: text + " "), ("digest", "0" * 32), ("time", "2031-01-01T00:00"), ("reward", 7.5)],
)
def test_replay_names_the_step_that_was_altered(folder: Path, tmp_path: Path, field: str, value: Any) -> None:
    altered, step = _altered(folder, tmp_path, field, value)
    ended = impress("replay", altered)
    assert ended.status == 1
    assert f"step {step}: {field} differs" in ended.out
    assert "1 trajectories replayed, 1 diverged" in ended.out
    found = impress("replay", altered, "--json").data["diverged"]
    assert [(one["divergence"]["step"], one["divergence"]["field"]) for one in found] == [(step, field)]


def test_replay_names_the_step_whose_action_was_altered(folder: Path, tmp_path: Path) -> None:
    altered, step = _altered(folder, tmp_path, "action", {"call": {"tool": "work.wait", "arguments": {"minutes": 1}}})
    ended = impress("replay", altered)
    assert ended.status == 1
    assert f"step {step}: " in ended.out


def test_play_that_cannot_write_its_actions_says_so(tmp_path: Path) -> None:
    ended = impress("play", FIRST, "--out", tmp_path / "no" / "actions.jsonl", typed="work.wait minutes=5\n:quit\n")
    assert ended.status == 2
    assert ended.err == f"impress: --out {tmp_path}/no/actions.jsonl: cannot be written: No such file or directory\n"
