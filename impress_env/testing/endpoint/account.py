"""What an endpoint did, counted exactly: in memory, and one JSON line an answer on disk.

Every request that arrived ends as one of three: `refused` (no work was done), `billed` (answered, its usage told) or
`unknown` (work was done, its usage did not arrive whole). Holds no keys and no texts. Knows nothing of protocols.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import msgspec

from impress_env.errors import OptionError
from impress_env.model import Usage


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One answer worked on.

    `body` is the request's hash. `complete`: all of it was sent, in the protocol. `told`: its usage with it. `kept`:
    a client can go on with it, so that asking again would be a repeat.
    """

    flavour: str
    body: str
    usage: Usage
    fault: str = ""
    complete: bool = True
    told: bool = True
    kept: bool = True


class Account:
    """The sum of what happened since the start.

    requests: requests for completions that arrived, by flavour (chat, responses, messages). bodies: the same by the
    hash of the body. refused, billed, unknown: what became of them. answered: complete answers, told or not. usage:
    tokens of the billed ones. answered_bodies: complete answers that a client can go on with, by the hash of the body.
    faults: those injected, by kind. in_flight, most_in_flight: requests under way now, and at most.
    """

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.bodies: Counter[str] = Counter()
        self.refused = self.billed = self.unknown = self.answered = 0
        self.usage = Usage()
        self.answered_bodies: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.in_flight = self.most_in_flight = 0

    @property
    def unseen(self) -> int:
        """Requests whose usage a client cannot know: `unknown`, and resets, which tell it nothing of the work."""
        return self.unknown + self.faults["reset"]

    def arrive(self, flavour: str, body: str) -> int:
        """Count a request in; return how often its body came before."""
        before = self.bodies[body]
        self.requests[flavour] += 1
        self.bodies[body] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        return before

    def refuse(self) -> None:
        """Count a request out that was not worked on."""
        self.in_flight -= 1
        self.refused += 1

    def settle(self, answer: Answer) -> None:
        """Count a request out that was worked on."""
        self.in_flight -= 1
        self.add(answer)

    def add(self, answer: Answer) -> None:
        """Count an answer."""
        if answer.complete and answer.told:
            self.billed += 1
            self.usage = self.usage + answer.usage
        else:
            self.unknown += 1
        self.answered += answer.complete
        if answer.complete and answer.kept:
            self.answered_bodies[answer.body] += 1

    def as_dict(self) -> dict[str, object]:
        """Return it as JSON writes it; the bodies as the number of different ones."""
        return {
            "requests": dict(self.requests),
            "refused": self.refused,
            "billed": self.billed,
            "unknown": self.unknown,
            "unseen": self.unseen,
            "answered": self.answered,
            "answered_bodies": len(self.answered_bodies),
            "usage": msgspec.structs.asdict(self.usage),
            "faults": dict(self.faults),
            "in_flight": self.in_flight,
            "most_in_flight": self.most_in_flight,
        }


class Log:
    """An append-only file of answers: a line is with the operating system when `write` returns.

    A process killed later loses none of them; a machine that loses its power may.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        size = os.fstat(self._file).st_size
        if size and os.pread(self._file, 1, size - 1) != b"\n":
            os.write(self._file, b"\n")  # the line before was torn by a kill

    def write(self, answer: Answer) -> None:
        """Append an answer."""
        os.write(self._file, msgspec.json.encode(answer) + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def read_log(path: str | os.PathLike[str]) -> Account:
    """Return the account that a log holds, over all processes that wrote it.

    What a log does not hold stays 0: requests that arrived, were refused, or were in flight when a process was killed.

    Raises:
        OptionError: A line is none of ours. The torn one of a killed process is passed over.
    """
    account = Account()
    for number, line in enumerate(Path(path).read_bytes().split(b"\n"), 1):
        if not line:
            continue
        try:
            answer = msgspec.json.decode(line, type=Answer)
        except msgspec.ValidationError as error:
            raise OptionError(f"{path}:{number}: expected an answer, found {line[:80]!r} ({error})") from None
        except msgspec.DecodeError:
            continue
        account.add(answer)
        if answer.fault:
            account.faults[answer.fault] += 1
    return account
