"""How commands write: JSON for machines to standard output, and files that appear whole or not at all."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from impress_env.errors import OptionError

WIDTH: Final = 120  # columns of what is no terminal: pipes and pictures


def print_json(data: object) -> None:
    """Print JSON."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(data)).decode() + "\n")


def wide_console() -> Console:
    """Return a console on standard output: as wide as the terminal, or 120 columns where there is none."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH)


def write_whole(path: Path, chunks: Iterable[bytes], *, option: str, source: Path | None = None) -> int:
    """Write a file, replacing what is there once all of it is written; return the number of chunks.

    Args:
        path: The file.
        chunks: What to write.
        option: The option that asked for it, for messages.
        source: What the chunks are read from: never replaced.

    Raises:
        OptionError: It cannot be written.
    """
    if source is not None and path.exists() and path.samefile(source):
        raise OptionError(f"{option} {path}: is the file that is read; give another")
    part = path.with_name(path.name + ".part")
    count = 0
    try:
        with part.open("wb") as file:
            for chunk in chunks:
                file.write(chunk)
                count += 1
        part.replace(path)
    except OSError as error:
        raise OptionError(f"{option} {path}: cannot be written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
    return count
