"""A model that gives back what another answered in an earlier run: `replay:RUN.sqlite`.

Equal requests get the stored answers in the order in which they came; a request that was never made has none. With it
a run is made again without a server, under another gate or another scaffold that asks the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from impress_env.errors import OptionError
from impress_env.evaluate.store import RunFile
from impress_env.model import Completion, ModelError, ModelRef, Sampling, Spent, Tell
from impress_env.models.content import content_key
from impress_env.types import Message, ToolSchema


class ReplayedModel:
    """Answers out of a run file."""

    def __init__(self, store: RunFile) -> None:
        self.name = f"replay:{store.path}"
        self._store = store
        self._given: dict[bytes, int] = {}

    async def start(self, tell: Tell) -> None:
        """Nothing to start."""

    async def complete(
        self, messages: Sequence[Message], tools: Sequence[ToolSchema], sampling: Sampling
    ) -> Completion:
        """Return the next stored answer to this request; after the last one, the first again.

        Raises:
            ModelError: The request was not made in that run.
        """
        key = content_key(messages, tools, sampling)
        stored = self._store.completions(key)
        if not stored:
            told = "this request was not made there; expected the same families, framings, agents and sampling"
            raise ModelError("bad_request", f"{self._store.path}: {told}", spent=Spent(requests=0))
        number = self._given.get(key, 0)
        self._given[key] = number + 1
        return msgspec.structs.replace(stored[number % len(stored)], spent=Spent(requests=0))

    async def aclose(self) -> None:
        """Close the run file."""
        self._store.close()


class ReplayProvider:
    """Opens `replay:RUN.sqlite`."""

    launches = False
    options: Mapping[str, str] = {}

    def open(self, ref: ModelRef, options: Mapping[str, str]) -> ReplayedModel:
        """Return a model that answers from a run file.

        Raises:
            OptionError: No file is named.
            RunFileError: It cannot be read.
        """
        if not ref.name or ref.urls:
            raise OptionError(f"{ref}: expected replay:RUN.sqlite")
        return ReplayedModel(RunFile.open(Path(ref.name)))

    def missing(self) -> str:
        """Nothing is."""
        return ""


provider = ReplayProvider()
