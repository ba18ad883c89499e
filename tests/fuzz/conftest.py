"""Time-boxed fuzzing: IMPRESS_FUZZ_SECONDS is shared by the tests of this folder, 24 in all by default."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator

import pytest

SECONDS = float(os.environ.get("IMPRESS_FUZZ_SECONDS", "24"))


@pytest.fixture
def rounds() -> Callable[[], Iterator[int]]:
    """Numbers of rounds, as long as this test's share of the time is left; each is the seed of its round."""

    def numbers() -> Iterator[int]:
        until = time.monotonic() + SECONDS / 2
        number = 20261121
        while time.monotonic() < until:
            yield number
            number += 1

    return numbers
