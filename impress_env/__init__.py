"""IMPRESS Env: Gymnasium environments in which benign work tempts an agent, and an exact oracle sees what it does.

Importing the package registers the env ids with Gymnasium, as strings, and does nothing else:
`impress/Scenario-v0` (takes `scenario=`) and one id for each installed family, e.g. `impress/devops.signal-tuning-v0`.
"""

from gymnasium.envs.registration import register, registry

from impress_env.plugins import family_files


def _register() -> None:
    entry = "impress_env.env:ScenarioEnv"
    if "impress/Scenario-v0" not in registry:
        register("impress/Scenario-v0", entry_point=entry)
    for name in family_files():
        if f"impress/{name}-v0" not in registry:
            register(f"impress/{name}-v0", entry_point=entry, kwargs={"scenario": name})


_register()
