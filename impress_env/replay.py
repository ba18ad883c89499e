"""Replay: a stored trajectory executed again, and the first step that differs named."""

from __future__ import annotations

import msgspec

from impress_env.env import ScenarioEnv
from impress_env.records import Trajectory
from impress_env.scenario.framing import parse_framing


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """The first difference: at which step (0 is the start), in what, what was stored and what came now."""

    step: int
    field: str
    stored: str
    now: str

    def __str__(self) -> str:
        return f"step {self.step}: {self.field} differs: stored {self.stored[:200]!r}, now {self.now[:200]!r}"


def replay(trajectory: Trajectory, *, scenario: str | None = None) -> Divergence | None:
    """Execute a trajectory's actions again and return the first divergence, or None.

    Args:
        trajectory: What was stored.
        scenario: Family id or path to use instead of the stored id.

    Raises:
        OptionError: The family is not installed.
        ToolkitError: A toolkit fails now.
    """
    header = trajectory.header
    env = ScenarioEnv(scenario or header.family, truth=True)
    framing = dict(part.split("=", 1) for part in header.framing.split(",") if part)
    parse_framing(framing)
    _, info = env.reset(seed=header.seed, options={"twin": header.twin, "framing": framing, "start": header.start})
    if env.instance.family.hash != header.content_hash:
        return Divergence(step=0, field="content_hash", stored=header.content_hash, now=env.instance.family.hash)
    if info["digest"] != header.digest:
        return Divergence(step=0, field="digest", stored=header.digest, now=info["digest"])
    for step in trajectory.steps:
        proposal = env.propose(step.action)
        observation, reward, _, _, info = env.settle(proposal, step.decision)
        for field, stored, now in (
            ("result", step.result, observation["result"]),
            ("error", step.error, observation["error"]),
            ("events", step.events, observation["events"]),
            ("time", step.time, observation["time"]),
            ("effects", step.effects, info["effects"]),
            ("digest", step.digest, info["digest"]),
            ("cost", step.cost, info["cost"]),
            ("reward", step.reward, reward),
        ):
            if stored != now:
                return Divergence(step=step.step, field=field, stored=str(stored), now=str(now))
    outcome = env.outcome()
    if trajectory.end.verdict not in (outcome.verdict, "error"):
        return Divergence(step=env.outcome().steps, field="verdict", stored=trajectory.end.verdict, now=outcome.verdict)
    return None
