"""Whatever a family file holds, loading it gives a family or a `ScenarioError` that names the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from impress_env.errors import OptionError, ScenarioError
from impress_env.scenario.family import read_family
from impress_env.scenario.instance import build_instance
from impress_env.scenario.load import listed

NAMES = list(listed())
INSERTS = st.sampled_from(
    ["&a ", "*a", "!!python/object/apply:os.system ['true']\n", "{{ x }}", "{% for i in y %}", "{{ 9 ** 9 }}", "\t",
     "\x00", "- ", ": ", "[", "{", "|\n", "? ", "no", "16:00", "{{ lead.__class__ }}", "~",
     "\n  ", "texts/../../x.md", "a: 1\na: 1\n"]
)  # fmt: skip


def test_any_mutation_of_a_family_file_is_refused_clearly_or_loads(
    tmp_path: Path, rounds: Callable[[], Iterator[int]]
) -> None:
    sources = {name: path.read_text(encoding="utf-8") for name, path in listed().items()}
    folders = {name: path.parents[2] for name, path in listed().items()}
    tried = refused = unnamed = 0

    def load(data: st.DataObject) -> None:
        nonlocal tried, refused, unnamed
        name = data.draw(st.sampled_from(NAMES))
        text = sources[name]
        for _ in range(data.draw(st.integers(1, 3))):
            at = data.draw(st.integers(0, len(text)))
            end = data.draw(st.integers(at, min(len(text), at + 60)))
            text = text[:at] + data.draw(INSERTS | st.text(max_size=6) | st.just(text[at:end] * 2)) + text[end:]
        path = tmp_path / "mutant.yaml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        tried += 1
        try:
            loaded = read_family(path, folders[name])
        except ScenarioError as error:
            refused += 1
            unnamed += "mutant.yaml" not in str(error)
            return
        try:
            build_instance(loaded, twin="main", seed=100)
        except (ScenarioError, OptionError):
            refused += 1

    for number in rounds():
        run = seed(number)(given(st.data())(load))
        settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))(run)()
    print(f"{tried} mutants, {refused} refused")
    assert tried > 20
    assert refused > 5
    assert unnamed == 0
