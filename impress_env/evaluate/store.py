"""The run file: one SQLite file that can be queried, copied and killed.

An episode is either wholly in it or not at all. The file knows its plan, so that a resumed run does exactly what is
missing. Wall-clock seconds stand beside an episode, never inside its trajectory. Knows nothing of how episodes are
run or what their numbers mean.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

import msgspec

from impress_env.errors import RunFileError, TrajectoryError
from impress_env.model import Completion, Spent
from impress_env.records import End, Trajectory, from_jsonl, to_jsonl
from impress_env.rollout import Episode

try:
    import fcntl
except ImportError:  # a system without it: nothing is locked
    fcntl = None  # type: ignore[assignment]

FORMAT: Final = 2
APPLICATION_ID: Final = 0x494D5052  # "IMPR"
_SCHEMA: Final = """
CREATE TABLE run (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE plan (position INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, episode TEXT NOT NULL);
CREATE TABLE episodes (
  key TEXT PRIMARY KEY REFERENCES plan(key),
  agent TEXT NOT NULL, family TEXT NOT NULL, domain TEXT NOT NULL, motive TEXT NOT NULL, risk TEXT NOT NULL,
  split TEXT NOT NULL, revision INTEGER NOT NULL, twin TEXT NOT NULL, framing TEXT NOT NULL, seed INTEGER NOT NULL,
  attempt INTEGER NOT NULL, verdict TEXT NOT NULL, exposed INTEGER NOT NULL, appears_done INTEGER NOT NULL,
  truly_done INTEGER NOT NULL, safe_completion INTEGER NOT NULL, over_refusal INTEGER NOT NULL,
  risky_step INTEGER, risky_tool TEXT, attribution TEXT, severity INTEGER, steps INTEGER NOT NULL,
  reward REAL NOT NULL, cost REAL NOT NULL, failure TEXT NOT NULL, ending TEXT NOT NULL, trajectory BLOB NOT NULL,
  seconds REAL NOT NULL
);
CREATE TABLE calls (
  id INTEGER PRIMARY KEY, key BLOB NOT NULL, episode TEXT NOT NULL, model TEXT NOT NULL, requests INTEGER NOT NULL,
  unknown INTEGER NOT NULL, input INTEGER NOT NULL, output INTEGER NOT NULL, cached INTEGER NOT NULL,
  cache_write INTEGER NOT NULL, reasoning INTEGER NOT NULL, nano_usd INTEGER, stop TEXT NOT NULL, error TEXT NOT NULL,
  seconds REAL NOT NULL, completion BLOB
);
CREATE UNIQUE INDEX calls_key ON calls(key) WHERE completion IS NOT NULL;
CREATE INDEX calls_episode ON calls(episode)
"""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One finished episode as reports need it."""

    agent: str
    family: str
    domain: str
    motive: str
    risk: str
    split: str
    twin: str
    framing: str
    seed: int
    attempt: int
    end: End
    seconds: float


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """What the model calls of a run, or of one agent in it, took.

    `calls` were answered, `failed` were not; `requests` counts all that was sent for them, `unknown` those whose usage
    never arrived. `nano_usd` is the cost of the calls whose price is known, `unpriced` how many it leaves out.
    """

    calls: int = 0
    failed: int = 0
    requests: int = 0
    unknown: int = 0
    input: int = 0
    output: int = 0
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0
    nano_usd: int = 0
    unpriced: int = 0
    seconds: float = 0.0


class RunFile:
    """An open run file.

    Use `create` or `open`; both are context managers. While it is written, and after a kill, FILE-wal and FILE-shm
    beside it belong to it.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path, self._db, self._ahead = path, connection, False
        self._lock: IO[bytes] | None = None

    @classmethod
    def create(cls, path: Path, episodes: Sequence[Episode], config: str) -> Self:
        """Make a new run file with its plan, in one transaction.

        Raises:
            RunFileError: The path is taken or cannot be written.
        """
        if path.is_dir():
            raise RunFileError(f"{path} is a folder; expected a file to write")
        if path.exists() and path.stat().st_size > 0:
            raise RunFileError(f"{path} exists already; give --resume to go on with it, or another --out")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            db = sqlite3.connect(path, isolation_level=None)
            db.execute("BEGIN IMMEDIATE")
            for statement in filter(str.strip, _SCHEMA.split(";")):
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {FORMAT}")
            db.execute("INSERT INTO run VALUES ('config', ?)", (config,))
            db.executemany(
                "INSERT INTO plan VALUES (?, ?, ?)",
                ((i, episode.key, msgspec.json.encode(episode).decode()) for i, episode in enumerate(episodes)),
            )
            db.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            raise RunFileError(f"{path}: cannot be written: {error}") from None
        return cls(path, db)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open an existing run file.

        Raises:
            RunFileError: It is missing, no run file, damaged, or of a newer format; says which.
        """
        if not path.exists():
            raise RunFileError(f"{path}: no such run file; make one with impress eval --out {path}")
        if not path.is_file() or path.stat().st_size == 0:
            found = "an empty file" if path.is_file() else "a folder"
            raise RunFileError(f"{path}: expected a run file, found {found}; make one with impress eval")
        with _reading(path):
            db = sqlite3.connect(path, isolation_level=None)
            application = db.execute("PRAGMA application_id").fetchone()[0]
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if application != APPLICATION_ID:
                raise RunFileError(f"{path}: not a run file of impress (an SQLite file of another program)")
            if version > FORMAT:
                raise RunFileError(
                    f"{path}: run file of format {version}, this version reads up to {FORMAT}; update impress-env"
                )
            if version < FORMAT:
                raise RunFileError(f"{path}: run file of format {version}, this version reads {FORMAT}; run it again")
            expected = db.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").fetchone()[
                0
            ]
            size = path.stat().st_size
            if size < expected and not _wal(path):  # a last page that is cut reads as zeros
                raise sqlite3.DatabaseError(f"expected {expected} bytes, found {size}")
            problem = db.execute("PRAGMA quick_check(1)").fetchone()[0]
            if problem != "ok":
                raise sqlite3.DatabaseError(problem)
        return cls(path, db)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; all of it is in one file then, unless another process has it open."""
        if self._ahead:
            with suppress(sqlite3.Error):
                self._db.execute("PRAGMA journal_mode = DELETE")
        self._db.close()
        if self._lock is not None:
            self.path.with_name(self.path.name + ".lock").unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def write_ahead(self) -> None:
        """Prepare for many small writes: a commit then costs tens of microseconds and survives a kill of the process.

        No other process may do the same until this one closes the file or ends: FILE.lock beside it is held.

        Raises:
            RunFileError: The file cannot be written, or another process works on it.
        """
        self._hold()
        with _writing(self.path):
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._ahead = True

    def _hold(self) -> None:
        if fcntl is None or self._lock is not None:
            return
        beside = self.path.with_name(self.path.name + ".lock")
        try:
            lock = beside.open("wb")
        except OSError as error:
            raise RunFileError(f"{self.path}: cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            raise RunFileError(f"{self.path}: another process works on it; wait for it, or end it") from None
        self._lock = lock

    @property
    def config(self) -> str:
        """The configuration that the run was planned with, as JSON."""
        with _reading(self.path):
            return str(self._db.execute("SELECT value FROM run WHERE key = 'config'").fetchone()[0])

    def plan(self) -> list[Episode]:
        """Return all episodes of the plan, in order."""
        return self._episodes("SELECT episode FROM plan ORDER BY position")

    def missing(self) -> list[Episode]:
        """Return the planned episodes that are not there yet, in order."""
        return self._episodes("SELECT episode FROM plan WHERE key NOT IN (SELECT key FROM episodes) ORDER BY position")

    def _episodes(self, query: str) -> list[Episode]:
        with _reading(self.path):
            return [msgspec.json.decode(text, type=Episode) for (text,) in self._db.execute(query)]

    def counts(self) -> tuple[int, int]:
        """Return (episodes there, episodes planned)."""
        with _reading(self.path):
            there = self._db.execute("SELECT count(*) FROM episodes").fetchone()[0]
            return int(there), int(self._db.execute("SELECT count(*) FROM plan").fetchone()[0])

    def add(self, episode: Episode, trajectory: Trajectory, labels: dict[str, str], seconds: float) -> None:
        """Store a finished episode, wholly.

        Args:
            episode: Which of the plan.
            trajectory: What happened.
            labels: domain, motive, risk and split of its family.
            seconds: Wall-clock time that it took.

        Raises:
            RunFileError: It is there already, is not of the plan, or the file cannot be written.
        """
        header, end = trajectory.header, trajectory.end
        worst = max(end.risky_calls, key=lambda call: call.severity, default=None)
        first = end.risky_calls[0] if end.risky_calls else None
        values = {
            "key": episode.key,
            "agent": episode.agent,
            "family": header.family,
            **{name: labels[name] for name in ("domain", "motive", "risk", "split")},
            "revision": header.revision,
            "twin": header.twin,
            "framing": header.framing,
            "seed": header.seed,
            "attempt": header.attempt,
            "verdict": end.verdict,
            "exposed": end.exposed,
            "appears_done": end.appears_done,
            "truly_done": end.truly_done,
            "safe_completion": end.safe_completion,
            "over_refusal": end.over_refusal,
            "risky_step": first.step if first else None,
            "risky_tool": first.tool if first else None,
            "attribution": first.attribution if first else None,
            "severity": worst.severity if worst else None,
            "steps": end.steps,
            "reward": end.reward,
            "cost": end.cost,
            "failure": end.failure,
            "ending": msgspec.json.encode(end).decode(),
            "trajectory": zlib.compress(to_jsonl(trajectory), 6),
            "seconds": seconds,
        }
        names = ", ".join(values)
        marks = ", ".join("?" * len(values))
        try:
            if self._db.execute("SELECT 1 FROM plan WHERE key = ?", (episode.key,)).fetchone() is None:
                raise RunFileError(f"{self.path}: episode {episode.key!r} is not of this run's plan")
            self._db.execute(f"INSERT INTO episodes ({names}) VALUES ({marks})", tuple(values.values()))
        except sqlite3.IntegrityError:
            raise RunFileError(f"{self.path}: episode {episode.key!r} is there already") from None
        except sqlite3.Error as error:
            raise RunFileError(f"{self.path}: cannot be written: {error}") from None

    def drop_errors(self) -> int:
        """Take out the episodes that ended in an error, so that they are missing again; return how many.

        Raises:
            RunFileError: The file cannot be written.
        """
        with _writing(self.path):
            return self._db.execute("DELETE FROM episodes WHERE verdict = 'error'").rowcount

    def completion(self, key: bytes) -> Completion | None:
        """Return the stored answer to a request, or None."""
        with _reading(self.path):
            row = self._db.execute(
                "SELECT completion FROM calls WHERE key = ? AND completion IS NOT NULL", (key,)
            ).fetchone()
            return None if row is None else msgspec.json.decode(_unpacked(row[0]), type=Completion)

    def completions(self, content: bytes) -> list[Completion]:
        """Return the stored answers to all requests of a content, in the order in which they came."""
        query = "SELECT completion FROM calls WHERE key >= ? AND key < ? AND completion IS NOT NULL ORDER BY id"
        with _reading(self.path):
            rows = self._db.execute(query, (content, content + b"\xff" * 16)).fetchall()
            return [msgspec.json.decode(_unpacked(blob), type=Completion) for (blob,) in rows]

    def answered(self, episode: str) -> set[bytes]:
        """Return the keys of the requests of an episode to which the answer is stored."""
        query = "SELECT key FROM calls WHERE episode = ? AND completion IS NOT NULL"
        with _reading(self.path):
            return {key for (key,) in self._db.execute(query, (episode,))}

    def add_call(
        self,
        key: bytes,
        episode: str,
        *,
        model: str,
        spent: Spent,
        nano_usd: int | None,
        seconds: float,
        completion: Completion | None = None,
        error: str = "",
    ) -> None:
        """Store a model call: its answer, or that there was none; durable against a kill when this returns.

        Raises:
            RunFileError: The file cannot be written.
        """
        usage = spent.usage
        blob = None if completion is None else _packed(msgspec.json.encode(completion))
        stop = "" if completion is None else completion.stop
        values = (key, episode, model, spent.requests, spent.unknown, usage.input, usage.output, usage.cached,
                  usage.cache_write, usage.reasoning, nano_usd, stop, error, seconds, blob)  # fmt: skip
        with _writing(self.path):
            self._db.execute(
                "INSERT INTO calls (key, episode, model, requests, unknown, input, output, cached, cache_write, "
                f"reasoning, nano_usd, stop, error, seconds, completion) VALUES ({', '.join('?' * 15)})",
                values,
            )

    def spending(self) -> Spending:
        """Return what all model calls took."""
        return next(iter(self._spending("''").values()), Spending())

    def spending_by_agent(self) -> dict[str, Spending]:
        """Return what each agent's model calls took."""
        return self._spending("substr(episode, 1, instr(episode, '|') - 1)")

    def _spending(self, group: str) -> dict[str, Spending]:
        query = (
            f"SELECT {group}, count(completion), sum(completion IS NULL), sum(requests), sum(unknown), sum(input), "
            "sum(output), sum(cached), sum(cache_write), sum(reasoning), coalesce(sum(nano_usd), 0), "
            "sum(nano_usd IS NULL), sum(seconds) FROM calls GROUP BY 1"
        )
        with _reading(self.path):
            return {
                row[0]: Spending(**dict(zip(Spending.__struct_fields__, row[1:], strict=True)))
                for row in self._db.execute(query)
            }

    def rows(self) -> list[Row]:
        """Return every finished episode, in the order of the plan.

        Raises:
            RunFileError: A stored ending is damaged.
        """
        names = (
            "agent",
            "family",
            "domain",
            "motive",
            "risk",
            "split",
            "twin",
            "framing",
            "seed",
            "attempt",
            "seconds",
        )
        query = f"SELECT {', '.join(names)}, ending FROM episodes JOIN plan USING (key) ORDER BY position"
        with _reading(self.path):
            return [
                Row(**dict(zip(names, values, strict=True)), end=msgspec.json.decode(ending, type=End))
                for *values, ending in self._db.execute(query)
            ]

    def trajectories(self) -> Iterator[tuple[Episode, Trajectory]]:
        """Yield every stored episode with its trajectory, in the order of the plan.

        Raises:
            RunFileError: A stored trajectory is damaged.
        """
        query = "SELECT episode, trajectory FROM episodes JOIN plan USING (key) ORDER BY position"
        with _reading(self.path):
            for text, blob in self._db.execute(query):
                episode = msgspec.json.decode(text, type=Episode)
                yield episode, from_jsonl(zlib.decompress(blob), name=str(self.path))[0]


def _wal(path: Path) -> bool:
    beside = path.with_name(path.name + "-wal")
    return beside.exists() and beside.stat().st_size > 0


def _packed(text: bytes) -> bytes:
    """Return JSON as it is stored: short ones, which most answers are, as they stand."""
    return text if len(text) < 2_000 else zlib.compress(text, 1)


def _unpacked(blob: bytes) -> bytes:
    return blob if blob[:1] == b"{" else zlib.decompress(blob)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise RunFileError(f"{path}: cannot be written: {error}") from None


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Tell in one line that a file cannot be read, whatever noticed it."""
    try:
        yield
    except (sqlite3.Error, zlib.error, msgspec.DecodeError, UnicodeDecodeError, TrajectoryError) as error:
        told = " ".join(str(error).split())
        raise RunFileError(f"{path}: no run file, cut off or damaged: {told}; copy it again, or make another") from None
