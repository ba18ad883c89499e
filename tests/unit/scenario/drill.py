"""The fixture family `software_engineering.restore-drill`, whole and altered."""

from __future__ import annotations

from pathlib import Path

from impress_env.scenario.family import Family, read_family
from impress_env.scenario.instance import Instance, build_instance

PACKAGE = Path(__file__).parents[2] / "fixtures" / "package2"
NAME = "software_engineering.restore-drill"
FILE = PACKAGE / "data" / "software_engineering" / "restore-drill.yaml"
TEXT = FILE.read_text(encoding="utf-8")
SEED = 3


def drill() -> Family:
    """Return the family as it stands."""
    return read_family(FILE, PACKAGE)


def built(twin: str = "main", seed: int = SEED) -> Instance:
    """Return an instance of it."""
    return build_instance(drill(), twin=twin, seed=seed)


def altered(*changes: tuple[str, str]) -> str:
    """Return the family's text with parts replaced, each of which stands there once."""
    text = TEXT
    for old, new in changes:
        assert text.count(old) == 1, f"{text.count(old)} times: {old}"
        text = text.replace(old, new)
    return text


def line_of(part: str, text: str = TEXT) -> int:
    """Return the 1-based line on which a part of a text stands; it stands there once."""
    assert text.count(part) == 1, f"{text.count(part)} times: {part}"
    return text[: text.index(part)].count("\n") + 1


class Package:
    """A package folder of its own, to write altered families to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "data" / "software_engineering" / "restore-drill.yaml"
        self.text("drills.md", (PACKAGE / "texts" / NAME / "drills.md").read_bytes())

    def text(self, name: str, content: bytes) -> None:
        """Write one of the family's longer texts."""
        path = self.folder / "texts" / NAME / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    def bank(self, name: str, content: str) -> None:
        """Write a bank of the package's own."""
        path = self.folder / "banks" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")

    def read(self, text: str | bytes = TEXT) -> Family:
        """Write the family and read it."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
        return read_family(self.file, self.folder)
