"""Where families are found and kept: scenario packages, their listing, loaded families, built instances.

Listing reads names of files and nothing else. A family is `<package>/data/<domain>/<name>.yaml`, its id
`<domain>.<name>`. Loaded families and the last 256 built instances are kept per process.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

from impress_env import plugins
from impress_env.errors import OptionError, ScenarioError
from impress_env.scenario.family import Family, read_family
from impress_env.scenario.framing import Framing
from impress_env.scenario.instance import Instance, build_instance


def listed() -> dict[str, Path]:
    """Return family id -> file for every installed scenario package, sorted. Loads nothing.

    Raises:
        PluginError: Two packages hold the same id.
    """
    return plugins.family_files()


def path_of(name: str) -> Path:
    """Return the file of a family: an installed id, or the path of a YAML file.

    Raises:
        OptionError: Neither; the message names what is near.
    """
    if name in listed():
        return listed()[name]
    if name.endswith(".yaml") and Path(name).is_file():
        return Path(name).resolve()
    near = [known for known in listed() if name and (name in known or known.partition(".")[2] == name)]
    raise OptionError(f"no family {name!r}; {'did you mean' if near else 'there are'} {', '.join(near or listed())}")


@cache
def family(name: str) -> Family:
    """Load a family by id or path; kept per process.

    Raises:
        OptionError: There is none.
        ScenarioError: Its file is wrong.
    """
    path = path_of(name)
    with _no_collection():
        return read_family(path, path.parents[2])


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector out of what builds and throws nothing away.

    The many new objects set off a full pass over all that is imported, 12 of the 70 ms of a first load. It comes later
    or, in a short process, never.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@lru_cache(maxsize=256)
def instance(name: str, twin: str = "main", seed: int = 0, framing: Framing | None = None) -> Instance:
    """Return a built instance; the last 256 are kept.

    Raises:
        OptionError: Unknown family, twin, framing or seed.
        ScenarioError: The family's data do not hold together.
    """
    loaded = family(name)
    with _no_collection():
        return build_instance(loaded, twin=twin, seed=seed, framing=framing)


def forget() -> None:
    """Drop every kept family and instance (benchmarks, and writers who change files)."""
    for kept in (instance, family, plugins.family_files):
        kept.cache_clear()


def certificates(package: Path) -> dict[str, dict[str, Any]]:
    """Return the certificates of a scenario package by family id; empty where there are none.

    Raises:
        ScenarioError: The file is no JSON object.
    """
    path = package / "certificates.json"
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ScenarioError(f"not JSON: {error}", file=str(path), next_step="Run impress certify.") from None
    return dict(found["families"]) if isinstance(found, dict) and "families" in found else {}


def certificate_hash(family: Family) -> str:
    """Return the hash that a certificate is for: the file, its texts, the banks, and every toolkit that it uses."""
    digest = blake2b(family.hash.encode(), digest_size=16)
    domain = family.spec.domain
    for name in ("names", "organisations", "ids", f"filler/{domain}", "filler/common"):
        path = family.bank.file(name)
        if path.is_file():
            digest.update(name.encode() + path.read_bytes())
    for name, kit in sorted(family.tools.toolkits.items()):
        source = Path(kit.build.__code__.co_filename)
        digest.update(name.encode() + source.read_bytes())
        for helper in sorted(source.parent.glob("_[a-z]*.py")):
            if f"{source.parent.name}.{helper.stem}" in source.read_text(encoding="utf-8"):
                digest.update(helper.name.encode() + helper.read_bytes())
    return digest.hexdigest()


def is_certified(name: str) -> bool:
    """Return whether a family has a certificate for exactly what is installed now."""
    path = path_of(name)
    held = certificates(path.parents[2]).get(f"{path.parent.name}.{path.stem}")
    return held is not None and held.get("hash") == certificate_hash(family(name))


def write_certificates(package: Path, name: str, certificate: Mapping[str, Any]) -> None:
    """Keep a family's certificate in its package, or remove it where it says `certified: false`."""
    held = certificates(package)
    if certificate["certified"]:
        held[name] = {key: certificate[key] for key in ("revision", "hash", "seeds", "episodes", "figures")}
    else:
        held.pop(name, None)
    text = json.dumps({"format": 1, "families": dict(sorted(held.items()))}, indent=2) + "\n"
    (package / "certificates.json").write_text(text, encoding="utf-8")
