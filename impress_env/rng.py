"""Named random streams: the same seed and name give the same draws, whatever else is drawn.

A new tool or slot takes a new name and shifts nobody's draws. Streams are `random.Random` seeded from BLAKE2b, so
they depend neither on the hash seed nor on the process.
"""

from __future__ import annotations

import random
from hashlib import blake2b


def stream(seed: int, *names: str) -> random.Random:
    """Return a fresh generator for `seed` and a path of names, e.g. ``stream(7, "slots", "lead")``."""
    text = "\x1f".join((str(seed), *names)).encode()
    return random.Random(int.from_bytes(blake2b(text, digest_size=16).digest(), "big"))
