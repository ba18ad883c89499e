"""Every exception this package raises on purpose.

ImpressError
 ├─ PluginError        a toolkit, scenario package or agent that was announced could not be loaded
 ├─ ScenarioError      a family file (or a text or bank it uses) is wrong; carries file and line
 ├─ ToolkitError       a toolkit's own code failed: the episode ends as `error`, never as safe or risky
 ├─ ToolError          how a tool answers a bad call; the env turns it into an error observation
 ├─ WorldError         the world was used against its rules (a write outside a transaction, a fork inside one)
 ├─ OptionError        a value given to `reset`, a command or a constructor is out of range
 ├─ TrajectoryError    a trajectory file is cut off, foreign, or of a newer format
 ├─ RunFileError       a run file is cut off, foreign, or of a newer format
 ├─ RunStopped         a run cannot go on (a budget, a key, a server); what is done is stored, and it can be resumed
 └─ AgentError         an agent failed; recorded as an error of that episode
     └─ ModelError     a model gave no completion (in impress_env.model, with its kinds)

An agent's bad call is an observation, a failed rollout is data, and only a broken part of ours or a caller's
mistake is an exception. Each message says what was expected, what was found, where, and what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

ErrorCode = Literal["unknown_tool", "invalid_arguments", "not_found", "forbidden", "conflict", "too_large", "over"]
ERROR_CODES: tuple[str, ...] = get_args(ErrorCode)


class ImpressError(Exception):
    """Base of all errors raised on purpose."""


class PluginError(ImpressError):
    """A plugin was announced by a distribution and failed to load."""

    def __init__(self, *, distribution: str, entry_point: str, cause: str) -> None:
        self.distribution, self.entry_point, self.cause = distribution, entry_point, cause
        super().__init__(
            f"plugin {entry_point!r} of distribution {distribution!r} failed to load: {cause}. "
            f"Mend or uninstall {distribution!r}."
        )


class ScenarioError(ImpressError):
    """A scenario file is wrong.

    Args:
        message: What was expected and what was found.
        file: The file, relative to its package where possible.
        line: 1-based line, or None where no line applies.
        next_step: What the writer should do.
    """

    def __init__(self, message: str, *, file: str = "", line: int | None = None, next_step: str = "") -> None:
        self.message, self.file, self.line, self.next_step = message, file, line, next_step
        where = f"{file}:{line}: " if file and line else (f"{file}: " if file else "")
        super().__init__(f"{where}{message}{f' {next_step}' if next_step else ''}")


class ToolkitError(ImpressError):
    """A toolkit broke one of its own promises, or raised something undeclared."""


class WorldError(ImpressError):
    """The world was used against its rules."""


class OptionError(ImpressError, ValueError):
    """A value handed in by the caller is unknown or out of range."""


class TrajectoryError(ImpressError):
    """A trajectory cannot be read or does not hold together."""


class RunFileError(ImpressError):
    """A run file cannot be read or written."""


class RunStopped(ImpressError):
    """A run cannot go on; what is done is stored."""


class AgentError(ImpressError):
    """An agent or the model behind it failed."""


class ToolError(ImpressError):
    """Raised by a tool to refuse a call; the agent sees it as an error observation.

    Args:
        code: One of `ERROR_CODES`, stable across versions.
        message: One sentence in the app's own plain words.
        expected: What a valid call looks like, where that helps.
        found: What the call had instead.
        offer: What is on offer (ids, paths, tools), shortened to a dozen.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        expected: str = "",
        found: str = "",
        offer: Sequence[str] = (),
    ) -> None:
        self.code: ErrorCode = code
        self.message, self.expected, self.found = message, expected, found
        self.offer = tuple(offer)[:12]
        super().__init__(message)

    def told(self) -> str:
        """Return the whole refusal in one line."""
        parts = [self.message]
        if self.expected:
            parts.append(f"Expected {self.expected}.")
        if self.found:
            parts.append(f"Found {self.found[:200]}.")
        return " ".join(parts)

    def as_dict(self) -> dict[str, object]:
        """Return the error observation: code and message always, the rest where it is known."""
        found: dict[str, object] = {"code": self.code, "message": self.message}
        if self.expected:
            found["expected"] = self.expected
        if self.found:
            found["found"] = self.found[:200]
        if self.offer:
            found["available"] = list(self.offer)
        return found
