"""Named random streams."""

import os
import subprocess
import sys

from impress_env.rng import stream


def draws(*names: str, seed: int = 7) -> list[int]:
    rng = stream(seed, *names)
    return [rng.randrange(1_000_000) for _ in range(5)]


def test_the_same_seed_and_names_give_the_same_draws():
    assert draws("slots", "lead") == draws("slots", "lead")


def test_another_seed_or_name_gives_others():
    found = [draws("slots", "lead"), draws("slots", "leads"), draws("slots"), draws("slots", "lead", seed=8), draws()]
    assert len({tuple(one) for one in found}) == len(found)


def test_names_are_a_path_and_do_not_run_together():
    assert draws("a", "bc") != draws("ab", "c")
    assert draws("a", "b") != draws("b", "a")


def test_a_stream_is_fresh_and_shifts_nobody_elses_draws():
    expected = draws("b")
    used = stream(7, "a")
    used.random()
    assert draws("b") == expected
    assert stream(7, "a").random() != used.random()


def test_draws_depend_neither_on_the_process_nor_on_the_hash_seed():
    code = "from impress_env.rng import stream; print(stream(7, 'slots', 'lead').getrandbits(64))"
    env = {**os.environ, "PYTHONHASHSEED": "4711"}
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert int(other.stdout) == stream(7, "slots", "lead").getrandbits(64)


def test_draws_are_those_of_the_first_version():
    """A change here changes every instance of every family."""
    assert stream(7, "slots", "lead").getrandbits(64) == 5073783618953862357
