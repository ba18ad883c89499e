"""How the core finds toolkits, scenario packages, agents, models and analyzers: entry points, nothing else.

Groups: `impress_env.tools`, `impress_env.scenarios`, `impress_env.agents`, `impress_env.models`,
`impress_env.analyzers`. Listing loads nothing; a third party's distribution is found in the same way as ours. Knows
nothing of what the loaded objects are.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, cast

from impress_env.errors import OptionError, PluginError

Group = Literal["tools", "scenarios", "agents", "models", "analyzers"]


@cache
def _everything() -> EntryPoints:
    """All entry points of all distributions, read once: each reading costs milliseconds."""
    return cast("EntryPoints", entry_points())


def forget() -> None:
    """Drop what is kept of plugins, so that the next question looks again."""
    for kept in (_everything, announced, load, family_files):
        kept.cache_clear()


@cache
def announced(group: Group) -> dict[str, EntryPoint]:
    """Return the entry points of a group by name, sorted, without loading any.

    Raises:
        PluginError: Two distributions announce the same name.
    """
    found: dict[str, EntryPoint] = {}
    for point in sorted(_everything().select(group=f"impress_env.{group}"), key=lambda p: (p.name, p.value)):
        if point.name in found and found[point.name].value != point.value:
            raise PluginError(
                distribution=_distribution(point),
                entry_point=point.name,
                cause=f"the name is already taken by {found[point.name].value!r}; names must be unique",
            )
        found[point.name] = point
    return found


@cache
def load(group: Group, name: str) -> object:
    """Load one plugin.

    Raises:
        OptionError: Nothing of that name is installed.
        PluginError: Its import failed.
    """
    point = announced(group).get(name)
    if point is None:
        raise OptionError(
            f"no {group} plugin called {name!r} is installed; installed: {', '.join(announced(group)) or 'none'}"
        )
    try:
        loaded: object = point.load()
    except Exception as error:  # whatever a stranger's module raises at import
        raise PluginError(
            distribution=_distribution(point), entry_point=name, cause=f"{type(error).__name__}: {error}"
        ) from error
    return loaded


def folder(group: Group, name: str) -> Path:
    """Return the folder of the package behind an entry point, without importing it.

    Raises:
        PluginError: The package is not importable.
    """
    point = announced(group)[name]
    spec = find_spec(point.module.partition(".")[0])
    if spec is None or not spec.submodule_search_locations:
        raise PluginError(
            distribution=_distribution(point), entry_point=name, cause=f"package {point.module!r} not found"
        )
    return Path(next(iter(spec.submodule_search_locations)))


@cache
def family_files() -> dict[str, Path]:
    """Return family id -> file of every installed scenario package, sorted by id. Reads names of files only.

    Raises:
        PluginError: Two packages hold the same family.
    """
    found: dict[str, Path] = {}
    for name, point in announced("scenarios").items():
        for path in sorted((folder("scenarios", name) / "data").glob("*/*.yaml")):
            family = f"{path.parent.name}.{path.stem}"
            if family in found:
                raise PluginError(
                    distribution=_distribution(point),
                    entry_point=name,
                    cause=f"{family!r} stands in {found[family]} too",
                )
            found[family] = path
    return dict(sorted(found.items()))


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "unknown"
