"""Where this package's scenario data lie."""

from __future__ import annotations

from pathlib import Path


def bank() -> Path:
    """Return the folder that holds `data/`, `texts/` and `banks/`."""
    return Path(__file__).parent
