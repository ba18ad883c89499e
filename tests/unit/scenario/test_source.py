"""YAML as scenario files use it; what is refused stands in `test_bad_files.py`."""

from __future__ import annotations

import pytest

from impress_env.errors import ScenarioError
from impress_env.scenario.source import MAX_CHARS, decoded, line_of, read_yaml


def data_of(text: str) -> object:
    return read_yaml(text, "x.yaml")[0]


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("16:00", "16:00"),
        ("09:40", "09:40"),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("Off", "Off"),
        ("2026-11-19", "2026-11-19"),
        ("1e3", "1e3"),
        ("010", "010"),
        ("0x1F", "0x1F"),
        ("0o17", "0o17"),
        ("1.2.3", "1.2.3"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("1.0e999", "1.0e999"),
        ("'5'", "5"),
        ('"true"', "true"),
        ("'~'", "~"),
        ('"a\\u00e9b"', "aéb"),
        ("=", "="),
        ("<<", "<<"),
        ("true", True),
        ("TRUE", True),
        ("False", False),
        ("null", None),
        ("NULL", None),
        ("~", None),
        ("", None),
        ("0", 0),
        ("-0", 0),
        ("+7", 7),
        ("21_840", 21840),
        ("-12", -12),
        ("9999999999999999999", 9999999999999999999),
        ("99999999999999999999", "99999999999999999999"),
        ("1.5", 1.5),
        ("-.5e1", -5.0),
        ("3.", 3.0),
    ],
)
def test_scalars_are_those_of_yaml_1_2(scalar, value):
    found = data_of(f"a: {scalar}\n")["a"]
    assert found == value
    assert type(found) is type(value)


def test_keys_are_always_text():
    assert data_of("1: a\ntrue: b\n~: c\n2026-11-19: d\n") == {"1": "a", "true": "b", "~": "c", "2026-11-19": "d"}


def test_block_texts_keep_their_lines():
    text = "a: |\n  one\n\n  two\nb: >\n  one\n  two\nc: |-\n  5\n"
    assert data_of(text) == {"a": "one\n\ntwo\n", "b": "one two\n", "c": "5"}


def test_lists_and_mappings_nest():
    assert data_of("a: [1, {b: [x, []]}, {}]\nc:\n- d: 1\n  e: 2\n- f\n") == {
        "a": [1, {"b": ["x", []]}, {}],
        "c": [{"d": 1, "e": 2}, "f"],
    }


def test_every_value_keeps_its_line():
    _, lines = read_yaml(
        "a: 1\nb:\n  - x\n  - c: |\n      long\n      text\n    d: [1,\n      2]\ne: {f: 1}\n", "x.yaml"
    )
    expected = {
        (): 1,
        ("a",): 1,
        ("b",): 2,
        ("b", 0): 3,
        ("b", 1): 4,
        ("b", 1, "c"): 4,
        ("b", 1, "d"): 7,
        ("b", 1, "d", 0): 7,
        ("b", 1, "d", 1): 8,
        ("e",): 9,
        ("e", "f"): 9,
    }
    assert lines == expected


def test_a_path_without_a_line_has_that_of_its_nearest_parent():
    _, lines = read_yaml("a:\n  b: 1\n", "x.yaml")
    assert line_of(lines, ("a", "b")) == 2
    assert line_of(lines, ("a", "c", 4)) == 1
    assert line_of(lines, ("z",)) == 1
    assert line_of({}, ("z",)) is None


def test_comments_document_marks_and_a_byte_order_mark_are_no_data():
    assert data_of("\ufeff# head\n---\na: 1  # why\n...\n") == {"a": 1}


def test_a_file_is_utf_8():
    assert decoded("a: é\n".encode(), "x.yaml") == "a: é\n"
    with pytest.raises(ScenarioError, match=r"^x.yaml:3: expected UTF-8, found byte 0xff$"):
        decoded(b"a: 1\nb: 2\nc: \xff\n", "x.yaml")


def test_a_file_has_a_size():
    assert data_of("a: " + "x" * (MAX_CHARS - 3)) == {"a": "x" * (MAX_CHARS - 3)}
    with pytest.raises(
        ScenarioError, match=rf"^x.yaml: expected at most {MAX_CHARS} characters, found {MAX_CHARS + 1}$"
    ):
        data_of("a: " + "x" * (MAX_CHARS - 2))
    with pytest.raises(ScenarioError, match=r"^x.yaml: expected at most 1000000 characters, found 4000001 bytes$"):
        decoded(b"x" * (4 * MAX_CHARS + 1), "x.yaml")
