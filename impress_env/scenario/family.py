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
    data = _Texts(folder, file, lines, digest).walked(data, ())
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


class _Texts:
    """Puts texts in the place of their names, hashes them, and reads every template once, in one walk of a file.

    Args:
        folder: The family's `texts/<id>`.
        file, lines: Where the data came from, for messages.
        digest: The family's hash, to which the texts are added.
    """

    def __init__(self, folder: Path, file: str, lines: Lines, digest: Any) -> None:
        self.folder, self.file, self.lines, self.digest = folder, file, lines, digest

    def walked(self, value: Any, at: tuple[str | int, ...]) -> Any:
        """Return plain data with its texts filled in.

        Raises:
            ScenarioError: There is no such text, or a template is malformed.
        """
        if isinstance(value, dict):
            found = {}
            for key, item in value.items():
                if "{" in key:
                    self.checked(key, (*at, key))
                found[key] = self.text(item, at, key) if item.__class__ is str else self.walked(item, (*at, key))
            return found
        if isinstance(value, list):
            return [
                self.text(item, at, i) if item.__class__ is str else self.walked(item, (*at, i))
                for i, item in enumerate(value)
            ]
        return self.text(value, at) if isinstance(value, str) else value

    def text(self, value: str, at: tuple[str | int, ...], *last: str | int) -> str:
        """Return a text, or the content of the file that it names."""
        if value.startswith("texts/") and _TEXT.fullmatch(value):
            path = self.folder / value.removeprefix("texts/")
            if ".." in value or not path.is_file():
                line = line_of(self.lines, (*at, *last))
                raise ScenarioError(f"no text {value!r} in texts/{self.folder.name}/", file=self.file, line=line)
            content = path.read_bytes()
            self.digest.update(value.encode() + b"\x00" + content)
            name = f"texts/{self.folder.name}/{value.removeprefix('texts/')}"
            value = decoded(content, name).rstrip("\n") + "\n"
        if "{" in value:
            self.checked(value, (*at, *last))
        return value

    def checked(self, text: str, at: tuple[str | int, ...]) -> None:
        """Read a template for its syntax."""
        try:
            compiled(text)
        except SlotError as error:
            raise ScenarioError(str(error), file=self.file, line=line_of(self.lines, at)) from None


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
