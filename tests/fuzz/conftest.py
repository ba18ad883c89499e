"""Time-boxed fuzzing: IMPRESS_FUZZ_SECONDS is shared by the tests of this folder, half a minute each by default."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

SECONDS = float(os.environ.get("IMPRESS_FUZZ_SECONDS", "40"))


@pytest.fixture
def in_time() -> Callable[[], bool]:
    """Whether this test's share of the time is left."""
    until = time.monotonic() + SECONDS / 2
    return lambda: time.monotonic() < until
