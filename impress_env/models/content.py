"""What was asked of a model, as a hash: messages, tools and sampling, and nothing of who asked or where."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import msgspec

from impress_env.model import Sampling
from impress_env.types import Message, ToolSchema

SIZE: Final = 16
_encode = msgspec.json.Encoder(order="deterministic").encode
_HASHES: dict[int, tuple[Sequence[ToolSchema], bytes]] = {}


def content_key(messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling) -> bytes:
    """Return the hash of a request, `SIZE` bytes; equal requests have equal ones in every process."""
    text = blake2b(digest_size=SIZE)
    for part in (_encode(messages), _hashed(tools), _encode(sampling)):
        text.update(len(part).to_bytes(8, "big"))
        text.update(part)
    return text.digest()


def _hashed(tools: Sequence[ToolSchema]) -> bytes:
    """Return the hash of tools; they are the same objects in every episode of a family."""
    known = _HASHES.get(id(tools))
    if known is None or known[0] is not tools:
        if len(_HASHES) >= 64:
            _HASHES.clear()
        known = _HASHES[id(tools)] = (tools, blake2b(_encode(tools), digest_size=16).digest())
    return known[1]
