"""The repository's own shape: what other packages must not trip over, and what importing costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "ray", "openai", "anthropic", "vllm", "transformers", "fastapi", "starlette", "scipy", "pandas")


@pytest.mark.parametrize("folder", ["tools", "agents", "scenarios"])
def test_a_top_level_folder_never_becomes_a_package(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists()


def test_importing_the_package_loads_no_provider_sdk_torch_or_web_framework() -> None:
    code = f"import sys, impress_env, impress_env.env; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_listing_loads_no_toolkit_scenario_or_agent() -> None:
    code = (
        "import sys, impress_env; from impress_env import plugins; plugins.family_files(); "
        "[plugins.announced(g) for g in ('tools', 'agents', 'scenarios')]; "
        "print([m for m in sys.modules if m.startswith(('impress_tools', 'impress_agents', 'impress_scenarios'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_module_nears_a_thousand_lines() -> None:
    folders = ("impress_env", "tools", "agents", "scenarios")
    long = {
        str(path.relative_to(ROOT)): lines
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 900
    }
    assert not long
