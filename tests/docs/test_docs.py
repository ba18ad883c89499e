"""The documents say what the code does: made pages are fresh, examples run, everything public is named, links lead."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

from impress_env import errors, plugins
from impress_env.cli.app import app
from impress_env.evaluate.probe import ProbeConfig
from impress_env.evaluate.run import EvalConfig, Means
from impress_env.model import SAMPLING_OPTIONS, Failure
from impress_env.models.vllm import LAUNCH_OPTIONS
from impress_env.scenario.schema import FamilySpec

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
COMMANDS = sorted(name for name in app if not name.startswith("-"))
# in pieces, so that this file does not name them
OUTSIDE = ["/".join(("", "work", "shared")), "/".join(("..", "shared")), ".".join(("", "library")) + "/"]
HOSTS = [".".join(parts) for parts in (
    ("pypi", "org"), ("files", "pythonhosted", "org"), ("crates", "io"), ("registry", "npmjs", "org"),
    ("conda", "anaconda", "org"), ("proxy", "golang", "org"), ("rubygems", "org"),
)]  # fmt: skip


def _named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_build", DOCS / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _prose(page: Path) -> str:
    """The text of a page without its fenced blocks and code spans."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "", text)


def _fenced(page: Path) -> list[str]:
    return re.findall(r"^```[a-z]*\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def _files() -> list[Path]:
    """The files of the repository, or of the folder where it is no checkout."""
    listing = subprocess.run(
        ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"), cwd=ROOT, capture_output=True
    )
    if listing.returncode:
        return [path for path in ROOT.rglob("*") if path.is_file() and path.relative_to(ROOT).parts[0][0] != "."]
    return [path for name in listing.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def test_the_made_pages_are_what_the_code_makes_now() -> None:
    done = subprocess.run((sys.executable, DOCS / "build.py", "--check"), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_check_names_what_is_stale_and_build_mends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = _builder()
    made = {"cli.md": build.cli(), "errors.md": build.error_page(), "families/index.md": build.index()}
    monkeypatch.setattr(build, "DOCS", tmp_path)
    build.write(made)
    assert build.stale(made) == []
    (tmp_path / "cli.md").write_text("old", encoding="utf-8")
    (tmp_path / "families" / "gone.md").write_text("a family that is no more", encoding="utf-8")
    assert build.stale(made) == ["cli.md", "families/gone.md"]
    build.write(made)
    assert build.stale(made) == []


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_the_python_blocks_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for example in Sybil(parsers=[PythonCodeBlockParser()], path=str(page.parent)).parse(page):
        example.evaluate()


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_the_commands_of_a_page_are_commands(page: Path) -> None:
    for block in _fenced(page):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True) if line.startswith("impress ") else []
            if words:
                app.parse_args(words[1:], exit_on_error=False, print_error=False)


def test_every_command_is_documented() -> None:
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"## impress {name}\n" not in text] == []


@pytest.mark.parametrize(
    ("page", "names"),
    [
        *(("cli.md", [field.name for field in dataclasses.fields(kind)]) for kind in (EvalConfig, Means, ProbeConfig)),
        ("models.md", [f"?{name}=" for name in (*SAMPLING_OPTIONS, *LAUNCH_OPTIONS)]),
        ("models.md", [*get_args(Failure), *plugins.announced("models")]),
        ("writing-a-scenario.md", list(FamilySpec.model_fields)),
        ("errors.md", [*errors.ERROR_CODES, *(c.__name__ for c in errors.ImpressError.__subclasses__())]),
    ],
)
def test_every_field_and_error_is_named_on_its_page(page: str, names: list[str]) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    assert names
    assert [
        name for name in names if not re.search(rf"`{re.escape(name)}|^#+ {re.escape(name)}$", text, flags=re.MULTILINE)
    ] == []


@pytest.mark.parametrize("page", PAGES, ids=_named)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", _prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, heading = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{_named(page)}: {target}"
        if heading:
            titles = re.findall(r"^#+ (.+)$", found.read_text(encoding="utf-8"), flags=re.MULTILINE)
            assert heading in [re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles], target


def test_no_file_names_what_lies_outside_the_repository_or_a_registry() -> None:
    found = []
    for path in _files():
        data = path.read_bytes().lower()
        found += [f"{_named(path)}: {word}" for word in (*OUTSIDE, *HOSTS) if word.encode() in data]
    assert found == []


def test_the_picture_of_a_run_is_small_and_asks_no_other_host() -> None:
    picture = DOCS / "run.svg"
    assert picture.stat().st_size < 300_000
    assert "@font-face" not in picture.read_text(encoding="utf-8")


def test_make_docs_builds_the_pages() -> None:
    make = shutil.which("make")
    if make is None:
        pytest.skip("no make")
    told = subprocess.run((make, "--dry-run", "docs"), cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "docs/build.py" in told
