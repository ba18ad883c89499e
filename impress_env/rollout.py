"""A rollout: one agent in one instance, recorded.

Failures are data: an agent's or a toolkit's failure ends the episode with verdict `error` and says why. Knows nothing
of stores, many episodes, or statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import msgspec

from impress_env.agent import Agent, Briefing
from impress_env.env import ScenarioEnv
from impress_env.errors import AgentError, ToolkitError
from impress_env.model import Model, ModelError, Sampling
from impress_env.outcome import Outcome
from impress_env.records import End, Header, RiskyCall, StepRecord, Trajectory
from impress_env.scenario.oracle import Ending, Trip

PACKAGE_VERSION = version("impress-env")
Watch = Callable[[StepRecord], None]


class Episode(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """What identifies an episode of a run."""

    agent: str
    family: str
    twin: str = "main"
    framing: tuple[tuple[str, str], ...] = ()
    seed: int = 100
    attempt: int = 0
    start: str = "task"

    @property
    def key(self) -> str:
        """A stable text of it."""
        told = ",".join(f"{factor}={level}" for factor, level in self.framing)
        return "|".join((self.agent, self.family, self.twin, told, str(self.seed), str(self.attempt), self.start))


async def rollout(
    episode: Episode,
    agent: Agent,
    *,
    env: ScenarioEnv | None = None,
    options: Mapping[str, Any] | None = None,
    watch: Watch | None = None,
    model: Model | None = None,
    sampling: Sampling | None = None,
    extra: str = "",
    analyzer: str = "",
) -> Trajectory:
    """Run one episode and return its trajectory.

    Args:
        episode: What to run.
        agent: A fresh agent.
        env: An env of the same family with `truth=True` to use again; None makes one.
        options: Further keyword arguments for a new env.
        watch: Called with every step as it is recorded.
        model: What an agent around a model is handed.
        sampling: How that model is to draw.
        extra: Text that such an agent adds to the system text.
        analyzer: What the gate of `env` is called, for the record.

    Raises:
        ModelError: No episode with this model can go on (`stops_run`).
        OptionError: The family, twin, framing or seed does not exist.
        ScenarioError: The family's data do not hold together.
    """
    if env is None:
        env = ScenarioEnv(episode.family, truth=True, **(options or {}))
    observation, info = env.reset(
        seed=episode.seed,
        options={"twin": episode.twin, "framing": dict(episode.framing), "start": episode.start},
    )
    instance = env.instance
    prefix = len(observation.get("prefix", ()))
    header = Header(
        package=PACKAGE_VERSION,
        family=instance.family.spec.id,
        revision=instance.family.spec.revision,
        content_hash=instance.family.hash,
        twin=instance.twin,
        seed=instance.seed,
        framing=instance.framing.key(),
        start=episode.start,
        attempt=episode.attempt,
        agent=episode.agent,
        model=model.name if model is not None else "",
        sampling=msgspec.to_builtins(sampling) if sampling is not None else {},
        agent_version=int(getattr(agent, "version", 0)),
        system_extra=extra,
        analyzer=analyzer,
        max_calls=instance.max_calls,
        digest=info["digest"],
        system=instance.system,
        task=instance.task,
        tools=tuple(tool.name for tool in instance.schemas),
        question=instance.question.text if instance.question is not None else "",
        prefix=prefix,
    )
    steps: list[StepRecord] = []
    failure = ""
    outcome: Outcome | None = None
    agent.begin(
        Briefing(
            seed=episode.seed,
            attempt=episode.attempt,
            env=env if agent.privileged else None,
            model=model,
            sampling=sampling or Sampling(),
            extra=extra,
        )
    )
    while outcome is None and not failure:
        try:
            action = await agent.act(observation)
            proposal, review = env.propose_reviewed(action)
            observation, reward, _, _, info = env.settle(proposal, review.decision, review)
        except (AgentError, ToolkitError) as error:
            if isinstance(error, ModelError) and error.stops_run:
                raise
            failure = f"{type(error).__name__}: {error}"
            break
        record = StepRecord(
            step=prefix + len(steps) + 1,
            time=observation["time"],
            action=proposal.action,
            tool=proposal.tool,
            result=observation["result"],
            error=observation["error"],
            events=observation["events"],
            effects=info["effects"],
            digest=info["digest"],
            decision=info["decision"],
            findings=info["findings"],
            abstained=review.abstained,
            failed=review.failed,
            reward=reward,
            cost=info["cost"],
            exposed=info["exposed"],
        )
        steps.append(record)
        if watch is not None:
            watch(record)
        outcome = info.get("outcome")
    if outcome is None:
        outcome = env.outcome()
    return Trajectory(header=header, steps=tuple(steps), end=_end(outcome, steps, failure))


def _end(outcome: Outcome, steps: list[StepRecord], failure: str) -> End:
    ending = outcome.ending
    verdict = outcome.verdict
    if failure and verdict != "risky":  # a committed risky act stays risky whatever fails later
        verdict = "error"
    codes = [step.error["code"] for step in steps if step.error is not None]
    return End(
        verdict=verdict,
        ended=outcome.ended or "failed",
        steps=outcome.steps,
        exposed=outcome.exposed,
        exposed_at=ending.exposed_at,
        appears_done=ending.appears_done,
        truly_done=ending.truly_done,
        safe_completion=outcome.safe_completion and not failure,
        over_refusal=outcome.over_refusal,
        needless_escalations=ending.needless_escalations,
        malformed_calls=sum(code in ("invalid_arguments", "unknown_tool", "too_large") for code in codes),
        refused_calls=sum(code in ("not_found", "forbidden", "conflict") for code in codes),
        risky_calls=tuple(_risky(trip, ending) for trip in ending.trips),
        lucky=tuple(_risky(trip, ending) for trip in ending.lucky),
        prevented=tuple(_risky(trip, ending) for trip in ending.prevented),
        withdrawn=ending.withdrawn,
        reward=round(sum(step.reward for step in steps), 9),
        cost=sum(step.cost for step in steps),
        output_characters=sum(len(step.result or "") for step in steps),
        failure=failure,
    )


def _risky(trip: Trip, ending: Ending) -> RiskyCall:
    return RiskyCall(
        rule=trip.rule,
        risk=trip.risk,
        severity=trip.severity,
        step=trip.step,
        tool=trip.tool,
        object=trip.object,
        attribution=trip.attribution,
        act=trip.act,
        norm_known=trip.norm_known,
        fact_known=trip.fact_known,
        own_known=trip.own_known,
        cured=trip.rule in ending.cured,
        told_in_prose=trip.rule in ending.told_in_prose,
    )
