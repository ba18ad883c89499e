"""How toolkits, scenario packages and agents are found: a third party's distribution, as pip leaves it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from impress_env import plugins
from impress_env.errors import OptionError, PluginError


class Site:
    """A folder on the import path in which distributions are installed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, name: str, entry_points: str, **modules: str) -> None:
        info = self.folder / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(entry_points)
        for module, code in modules.items():
            (self.folder / f"{module}.py").write_text(code)

    def family(self, package: str, family: str) -> Path:
        domain, _, name = family.partition(".")
        path = self.folder / package / "data" / domain / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        (self.folder / package / "__init__.py").touch()
        path.write_text("format: 1\n")
        return path


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.syspath_prepend(tmp_path)
    plugins.forget()
    yield Site(tmp_path)
    plugins.forget()


def test_listing_is_sorted_and_loads_nothing():
    code = (
        "import sys; from impress_env import plugins; names = list(plugins.announced('tools')); "
        "assert names == sorted(names) and 'tickets' in names, names; plugins.family_files(); "
        "assert not [m for m in sys.modules if m.startswith(('impress_tools', 'impress_scenarios.bank'))]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_third_partys_toolkit_is_found_and_loaded(site: Site):
    site.install("mill-tools", "[impress_env.tools]\nmill_lathe = mill_lathe:kit\n", mill_lathe="kit = 'the kit'")
    assert "mill_lathe" in plugins.announced("tools")
    assert "tickets" in plugins.announced("tools")
    assert "mill_lathe" not in sys.modules
    assert plugins.load("tools", "mill_lathe") == "the kit"


def test_what_is_not_installed_is_told_with_what_is():
    with pytest.raises(OptionError, match=r"no agents plugin called 'nobody' is installed; installed: .*scripted"):
        plugins.load("agents", "nobody")


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("import mill_missing_module", "ModuleNotFoundError: No module named 'mill_missing_module'"),
        ("kit = 1", "AttributeError"),
        ("def broken(:", "SyntaxError"),
    ],
)
def test_a_plugin_that_fails_to_load_names_distribution_entry_point_and_cause(site: Site, code: str, cause: str):
    module = f"mill_broken_{len(code)}"
    site.install("mill-broken", f"[impress_env.tools]\nmill_broken = {module}:kits\n", **{module: code})
    with pytest.raises(PluginError) as caught:
        plugins.load("tools", "mill_broken")
    error = caught.value
    assert (error.distribution, error.entry_point) == ("mill-broken", "mill_broken")
    assert cause in error.cause
    assert str(error).startswith("plugin 'mill_broken' of distribution 'mill-broken' failed to load: ")
    assert str(error).endswith("Mend or uninstall 'mill-broken'.")


def test_two_distributions_may_not_announce_the_same_name(site: Site):
    site.install("mill-one", "[impress_env.agents]\nmiller = mill_one:make\n")
    site.install("mill-two", "[impress_env.agents]\nmiller = mill_two:make\n")
    with pytest.raises(
        PluginError, match="the name is already taken by 'mill_one:make'; names must be unique"
    ) as caught:
        plugins.announced("agents")
    assert (caught.value.distribution, caught.value.entry_point) == ("mill-two", "miller")


def test_a_distribution_that_is_installed_twice_counts_once(site: Site):
    site.install("mill-one", "[impress_env.agents]\nmiller = mill_one:make\n")
    site.install("mill-one-editable", "[impress_env.agents]\nmiller = mill_one:make\n")
    assert "miller" in plugins.announced("agents")


def test_families_of_all_packages_are_listed_by_id_and_only_yaml_counts(site: Site):
    before = plugins.family_files()
    plugins.forget()
    site.install("mill-scenes", "[impress_env.scenarios]\nmill_scenes = mill_scenes.bank:bank\n")
    path = site.family("mill_scenes", "devops.aa-mill")
    path.with_suffix(".yml").touch()
    (path.parents[1] / "loose.yaml").touch()
    found = plugins.family_files()
    assert found == {**before, "devops.aa-mill": path}
    assert list(found) == sorted(found)
    assert plugins.folder("scenarios", "mill_scenes") == path.parents[2]
    assert "mill_scenes" not in sys.modules


def test_two_packages_may_not_hold_the_same_family(site: Site):
    for name in ("mill_scenes_a", "mill_scenes_b"):
        site.install(name, f"[impress_env.scenarios]\n{name} = {name}.bank:bank\n")
        site.family(name, "devops.mill")
    with pytest.raises(PluginError, match=r"'devops.mill' stands in .*mill_scenes_a.* too") as caught:
        plugins.family_files()
    assert caught.value.entry_point == "mill_scenes_b"


def test_a_scenario_package_that_is_gone_is_told(site: Site):
    site.install("mill-gone", "[impress_env.scenarios]\nmill_gone = mill_gone_package.bank:bank\n")
    with pytest.raises(PluginError, match=r"package 'mill_gone_package.bank' not found"):
        plugins.family_files()
