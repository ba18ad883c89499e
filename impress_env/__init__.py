"""IMPRESS Env: Gymnasium environments in which benign work tempts an agent, and an exact oracle sees what it does.

Importing the package registers the env ids with Gymnasium, as strings, and does nothing else:
`impress/Scenario-v0` (takes `scenario=`), `impress/Discrete-v0` (likewise, or several: numbered choices, for trainers)
and one id for each installed family, e.g. `impress/devops.signal-tuning-v0`.
"""

from gymnasium.envs.registration import register, registry

from impress_env.plugins import family_files

_ENV, _VECTOR = "impress_env.env:ScenarioEnv", "impress_env.vector:ScenarioVectorEnv"
_DISCRETE = "impress_env.discrete:DiscreteScenarioEnv"


def _register() -> None:
    if "impress/Scenario-v0" not in registry:
        register("impress/Scenario-v0", entry_point=_ENV, vector_entry_point=_VECTOR)
    if "impress/Discrete-v0" not in registry:
        register("impress/Discrete-v0", entry_point=_DISCRETE)
    for name in family_files():
        if f"impress/{name}-v0" not in registry:
            known = {"scenario": name}
            register(f"impress/{name}-v0", entry_point=_ENV, vector_entry_point=_VECTOR, kwargs=known)


_register()
