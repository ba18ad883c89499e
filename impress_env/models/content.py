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
    return Growing().key(messages, tools, sampling)


class Growing:
    """The hash of requests whose history grows: what was hashed before is not hashed again."""

    def __init__(self) -> None:
        self._hashed: list[Message] = []
        self._text = blake2b(digest_size=SIZE)

    def key(self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling) -> bytes:
        """Return what `content_key` returns."""
        known = self._hashed
        if len(messages) < len(known) or any(a is not b for a, b in zip(known, messages, strict=False)):
            known.clear()
            self._text = blake2b(digest_size=SIZE)
        for message in messages[len(known) :]:
            _add(self._text, _encode(message))
            known.append(message)
        text = self._text.copy()
        _add(text, b"")  # no message is empty: the history ends here
        _add(text, _tools(tools))
        _add(text, _encode(sampling))
        return text.digest()


def _add(text: blake2b, part: bytes) -> None:
    text.update(len(part).to_bytes(8, "big"))
    text.update(part)


def _tools(tools: Sequence[ToolSchema]) -> bytes:
    """Return the hash of tools; they are the same objects in every episode of a family."""
    known = _HASHES.get(id(tools))
    if known is None or known[0] is not tools:
        if len(_HASHES) >= 64:
            _HASHES.clear()
        known = _HASHES[id(tools)] = (tools, blake2b(_encode(tools), digest_size=16).digest())
    return known[1]
