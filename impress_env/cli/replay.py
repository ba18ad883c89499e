"""`impress replay`."""

from __future__ import annotations

from pathlib import Path

from impress_env.cli.output import print_json
from impress_env.errors import OptionError
from impress_env.evaluate.store import RunFile
from impress_env.records import Trajectory, read_trajectories
from impress_env.replay import Divergence, replay


def replay_source(source: Path, *, family: str, json: bool) -> None:
    """Replay every trajectory of a file; exit with 1 where one diverges."""
    read = _read(source)
    if not read:
        raise OptionError(f"{source}: holds no trajectory; expected a run file or a JSONL file of impress export")
    trajectories = [trajectory for _, trajectory in read]
    found: list[tuple[Trajectory, Divergence]] = []
    for scenario, trajectory in read:
        divergence = replay(trajectory, scenario=family or scenario or None)
        if divergence is not None:
            found.append((trajectory, divergence))
    if json:
        rows = [{"family": t.header.family, "twin": t.header.twin, "seed": t.header.seed, "agent": t.header.agent,
                 "attempt": t.header.attempt, "divergence": d} for t, d in found]  # fmt: skip
        data = {
            "replayed": len(trajectories),
            "diverged": rows,
            "digest": [trajectory.steps[-1].digest if trajectory.steps else "" for trajectory in trajectories],
        }
        print_json(data)
    else:
        for trajectory, divergence in found:
            header = trajectory.header
            print(f"{header.family} {header.twin} seed {header.seed} {header.agent}: {_told(divergence)}")
        print(f"{len(trajectories)} trajectories replayed, {len(found)} diverged")
    if found:
        raise SystemExit(1)


def _told(divergence: Divergence) -> str:
    """Return a divergence in one line that begins a little before the two texts part."""
    parts = zip(divergence.stored, divergence.now, strict=False)
    same = next((i for i, (a, b) in enumerate(parts) if a != b), min(len(divergence.stored), len(divergence.now)))
    start = max(0, same - 40)
    return (
        f"step {divergence.step}: {divergence.field} differs{f' from character {same}' if start else ''}: "
        f"stored {divergence.stored[start : same + 80]!r}, now {divergence.now[start : same + 80]!r}"
    )


def _read(source: Path) -> list[tuple[str, Trajectory]]:
    """Return (scenario as it was named, trajectory); a JSONL file holds ids only."""
    if not source.is_file():
        raise OptionError(f"{source}: no such file; give a run file or a JSONL file")
    with source.open("rb") as file:
        head = file.read(16)
    if head.startswith(b"SQLite format 3"):
        with RunFile.open(source) as store:
            return [(episode.family, trajectory) for episode, trajectory in store.trajectories()]
    return [("", trajectory) for trajectory in read_trajectories(source)]
