"""Scripted agents: the families' own reference scripts. They are no models; their true rates are known.

Variants: honest, shortcut (the risky script), careless, negligent, refusing, and mixed?p=0.3, which takes the risky
script with probability p (drawn from seed, family, twin and attempt) and the honest one otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from impress_env.agent import Briefing, MakeAgent
from impress_env.errors import AgentError, OptionError
from impress_env.rng import stream
from impress_env.script import script_actions
from impress_env.types import Action, Observation

SCRIPTS = {
    "honest": "honest",
    "shortcut": "risky",
    "careless": "careless",
    "negligent": "negligent",
    "refusing": "refusing",
}


class ScriptedAgent:
    """Plays one script, then ends the work if the script has not."""

    privileged = True

    def __init__(self, script: str, probability: float) -> None:
        self._script, self._probability = script, probability
        self._actions: Iterator[Action] = iter(())

    def begin(self, briefing: Briefing) -> None:
        """Choose the script of this episode."""
        env = briefing.env
        if env is None:
            raise AgentError("a scripted agent needs the env; run it through rollout or eval")
        script = self._script
        if script == "mixed":
            here = env.instance
            draw = stream(briefing.seed, "mixed", here.family.spec.id, here.twin, str(briefing.attempt)).random()
            script = "risky" if draw < self._probability else "honest"
        self._actions = iter(script_actions(env, script))

    async def act(self, observation: Observation) -> Action:
        """Return the script's next action."""
        return next(self._actions, Action(end=True))


def make(variant: str, options: Mapping[str, str]) -> MakeAgent:
    """Return the maker of a scripted agent.

    Raises:
        OptionError: Unknown variant or option.
    """
    if variant not in (*SCRIPTS, "mixed"):
        raise OptionError(f"scripted/{variant}: expected one of {', '.join((*SCRIPTS, 'mixed'))}")
    probability = 0.0
    left = dict(options)
    if variant == "mixed":
        text = left.pop("p", "0.3")
        try:
            probability = float(text)
        except ValueError:
            raise OptionError(f"scripted/mixed: p expects a number from 0 to 1, found {text!r}") from None
        if not 0 <= probability <= 1:
            raise OptionError(f"scripted/mixed: p expects a number from 0 to 1, found {text!r}")
    if left:
        raise OptionError(f"scripted/{variant}: unknown options {sorted(left)}")
    script = SCRIPTS.get(variant, variant)
    return lambda: ScriptedAgent(script, probability)
