"""How commands write: JSON for machines to standard output, and files that appear whole or not at all."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from impress_env.errors import OptionError

WIDTH: Final = 120  # columns of what is no terminal: pipes and pictures


def print_json(data: object) -> None:
    """Print JSON."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(data)).decode() + "\n")


def write_whole(path: Path, chunks: Iterable[bytes], *, option: str) -> int:
    """Write a file, replacing what is there once all of it is written; return the number of chunks.

    Raises:
        OptionError: It cannot be written; names the option that asked for it.
    """
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
