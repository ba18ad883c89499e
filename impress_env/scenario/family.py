"""Families: a file read, checked and held with its texts, bank, tools and content hash."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from impress_env.errors import ScenarioError
from impress_env.scenario.bank import Bank, bank_of
from impress_env.scenario.schema import FamilySpec, explain
from impress_env.scenario.source import Lines, decoded, line_of, read_yaml
from impress_env.scenario.template import SlotError, compiled
from impress_env.tool import ROLES, ToolSet

_TEXT: Final = re.compile(r"texts/[\w./-]+\.(?:md|txt|csv|log|yaml|json)")


class Family:
    """One loaded family.

    Args:
        spec: The validated file.
        file: Its path relative to the package, for messages.
        lines: Where each part stands.
        bank: The package's banks.
        hash: Hex content hash over the file and its texts.
        oracle_data: The oracle section as plain data, to be rendered with slots.
    """

    def __init__(
        self,
        spec: FamilySpec,
        *,
        file: str,
        lines: Lines,
        bank: Bank,
        hash: str,
        oracle_data: Mapping[str, Any],
    ) -> None:
        self.spec, self.file, self.lines, self.bank = spec, file, lines, bank
        self.hash, self.oracle_data = hash, dict(oracle_data)

    @cached_property
    def tools(self) -> ToolSet:
        """The tools that the agent has."""
        try:
            return ToolSet(self.spec.agent.tools)
        except Exception as error:
            raise self.error(f"agent.tools: {error}", ("agent", "tools")) from error

    def error(self, message: str, path: tuple[str | int, ...]) -> ScenarioError:
        """Return an error that points at a place of the file."""
        return ScenarioError(message, file=self.file, line=line_of(self.lines, path))


def read_family(path: Path, package: Path) -> Family:
    """Read one family file.

    Args:
        path: The YAML file.
        package: Folder of the scenario package (holds `banks/` and `texts/`).

    Raises:
        ScenarioError: With file and line, for anything that does not hold.
    """
    file = str(path.relative_to(package)) if path.is_relative_to(package) else str(path)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ScenarioError(f"cannot be read: {error.strerror}", file=file) from None
    data, lines = read_yaml(decoded(raw, file), file)
    if not isinstance(data, dict):
        raise ScenarioError("expected a mapping", file=file, line=1)
    digest = blake2b(raw, digest_size=16)
    folder = package / "texts" / str(data.get("id", ""))
    data = _with_texts(data, folder, file, lines, digest, ())
    try:
        spec = FamilySpec.model_validate(data)
    except ValidationError as error:
        place, message = explain(error, FamilySpec)
        raise ScenarioError(message, file=file, line=line_of(lines, place)) from None
    if path.parents[1].name == "data" and spec.id != f"{path.parent.name}.{path.stem}":
        raise ScenarioError(
            f"expected the id {path.parent.name}.{path.stem}, as the file is called, found {spec.id!r}",
            file=file,
            line=line_of(lines, ("id",)),
        )
    for place, message in spec.check_words():
        raise ScenarioError(message, file=file, line=line_of(lines, place))
    _check_templates(data, file, lines, ())
    family = Family(
        spec,
        file=file,
        lines=lines,
        bank=bank_of(package),
        hash=digest.hexdigest(),
        oracle_data=data["oracle"],
    )
    _check_tools(family)
    return family


def _with_texts(value: Any, folder: Path, file: str, lines: Lines, digest: Any, at: tuple[str | int, ...]) -> Any:
    """Replace every value `texts/x.md` by the file's content, and hash it."""
    if isinstance(value, str) and _TEXT.fullmatch(value):
        path = folder / value.removeprefix("texts/")
        if ".." in value or not path.is_file():
            raise ScenarioError(f"no text {value!r} in texts/{folder.name}/", file=file, line=line_of(lines, at))
        content = path.read_bytes()
        digest.update(value.encode() + b"\x00" + content)
        return decoded(content, f"texts/{folder.name}/{value.removeprefix('texts/')}").rstrip("\n") + "\n"
    if isinstance(value, dict):
        return {k: _with_texts(v, folder, file, lines, digest, (*at, k)) for k, v in value.items()}
    if isinstance(value, list):
        return [_with_texts(v, folder, file, lines, digest, (*at, i)) for i, v in enumerate(value)]
    return value


def _check_templates(value: Any, file: str, lines: Lines, at: tuple[str | int, ...]) -> None:
    if value.__class__ is str:
        if "{" not in value:
            return
        try:
            compiled(value)
        except SlotError as error:
            raise ScenarioError(str(error), file=file, line=line_of(lines, at)) from None
    elif isinstance(value, dict):
        for key, item in value.items():
            if "{" in key:
                _check_templates(key, file, lines, at)
            _check_templates(item, file, lines, (*at, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            _check_templates(item, file, lines, (*at, i))


def _check_tools(family: Family) -> None:
    """Every call names a tool that the agent has, and there is a tool for every role."""
    tools = family.tools
    for role in ROLES:
        if not tools.by_role(role):
            raise family.error(f"agent.tools: no tool for the role {role!r}", ("agent", "tools"))
    for name, steps in family.spec.scripts.items():
        for i, step in enumerate(steps):
            if step.call and step.call not in tools.tools and step.expect != "unknown_tool":
                raise family.error(
                    f"no tool {step.call!r}; the agent has {', '.join(tools.tools)}",
                    ("scripts", name, i, "call"),
                )
    for i, rule in enumerate(family.spec.oracle.risks):
        for j, name in enumerate(rule.knowledge.tools):
            if name not in tools.tools:
                raise family.error(
                    f"no tool {name!r}; the agent has {', '.join(tools.tools)}",
                    ("oracle", "risks", i, "knowledge", "tools", j),
                )
    if family.spec.candidates is not None:
        for kind, call in family.spec.candidates:
            if call.call not in tools.tools:
                raise family.error(f"no tool {call.call!r}", ("candidates", kind, "call"))
