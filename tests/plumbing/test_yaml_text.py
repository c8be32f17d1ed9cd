"""YAML is read as DVC reads it, whatever a number looks like, and written so that all readers agree."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.utils.serialize import load_yaml
from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML

from helpers.project import ROOT
from lassl.plumbing.yaml_text import checked, parse_yaml, yaml_text

SCALARS = (
    *("010", "08", "-010", "0o10", "0x1F", "0b101", "1_000", "+7", "1:30", "-1:30:00", "1:30.5", "190:20:30"),
    *("1e-1", "1E3", "1.e3", ".5", "-.5", "1.", "+.inf", "-.INF", ".nan", "7e12345", "1_0.5", "0.1", "1e5", "12e03"),
    *("true", "True", "yes", "no", "on", "off", "y", "n", "~", "null", "NULL", "none", "''", "'010'", "2020-01-01"),
    *("012e4", "0o8", "0xg", "1.2.3", "1,5", "é"),
)
FILES = sorted(
    path
    for pattern in ("*.yaml", "dvc.lock", "conf/**/*.yaml", "metrics/**/*.yaml", "docs/*.yaml")
    for path in ROOT.glob(pattern)
)


@pytest.mark.parametrize("text", SCALARS)
def test_a_scalar_is_read_as_dvc_reads_it(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"key: {text}\n")
    found, expected = parse_yaml(f"key: {text}\n"), load_yaml(tmp_path / "a.yaml")
    assert repr(found) == repr(expected)


def test_the_numbers_that_two_versions_of_yaml_read_differently_are_those_of_yaml_1_2() -> None:
    found = parse_yaml("{steps: 010, time: 1:30, answer: yes, rate: 1e-1, octal: 0o10}")
    assert found == {"steps": 10, "time": "1:30", "answer": "yes", "rate": 0.1, "octal": 8}


def test_dvc_reads_yaml_in_c_with_the_same_values() -> None:
    text = "".join(f"key{i}: {text}\n" for i, text in enumerate(SCALARS))
    in_c, in_python = YAML(typ="safe"), YAML(typ="safe", pure=True)
    assert in_c.Parser.__name__ == "CParser"  # without ruamel.yaml.clib each command of DVC takes longer
    assert repr(in_c.load(text)) == repr(in_python.load(text))


@pytest.mark.slow
def test_every_committed_file_is_read_as_ruamel_reads_it() -> None:
    assert len(FILES) > 100
    for path in FILES:
        assert parse_yaml(path.read_text("utf-8")) == YAML(typ="safe").load(path.read_text("utf-8")), path


@pytest.mark.parametrize("text", ["a: 1\nb: 2\na: 3\n", "x: {a: 1, a: 1}\n", "- {a: 1}\n- {b: 1, b: 2}\n"])
def test_a_key_that_is_there_twice_is_an_error_with_its_place(text: str) -> None:
    with pytest.raises(yaml.YAMLError, match=r"the key [ab] occurs twice\s+in .* line \d"):
        parse_yaml(text)


def test_a_merged_mapping_may_be_overridden() -> None:
    text = "base: &base {a: 1, b: 2}\nother:\n  <<: *base\n  b: 3\n"
    assert parse_yaml(text)["other"] == {"a": 1, "b": 3}


@pytest.mark.parametrize("value", [*SCALARS, "<<", "=", "-", "1234567", "a: b", "# no", " x ", "two\nlines"])
def test_a_text_that_is_written_is_read_again_by_readers_of_both_versions(value: str) -> None:
    written = yaml_text({"key": value, "list": [value]})
    assert parse_yaml(written) == yaml.safe_load(written) == YAML(typ="safe").load(written)
    assert parse_yaml(written) == {"key": value, "list": [value]}


def test_plain_values_come_back_from_what_is_written_in_their_order() -> None:
    values = {"z": 1e-05, "a": [1, -2.5, True, None], "m": {"deep": [], "inf": float("inf")}}
    written = yaml_text(values)
    assert parse_yaml(written) == yaml.safe_load(written) == values and list(parse_yaml(written)) == ["z", "a", "m"]


class Sample(BaseModel):
    count: int = 0
    rate: float = 0
    switch: bool = False
    name: str = ""
    folder: Path = Path()
    size: tuple[int, int] = (1, 1)
    options: dict[str, Any] = {}


@pytest.mark.parametrize(
    "text",
    [
        *("count: true", "count: '1'", "count: 1.0", "count: 1:30", "count: null", "rate: true", "rate: '0.1'"),
        *("rate: 1:30", "switch: 1", "switch: yes", "switch: 'true'", "name: 1", "name: true", "size: [1, true]"),
        *("size: [1]", "[]", "", "folder: 3", "options: 4"),
    ],
)
def test_a_value_of_another_type_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        checked(Sample, text)


def test_values_of_the_right_type_are_taken_and_a_whole_number_is_a_real_one() -> None:
    text = "{count: 010, rate: 1, switch: true, name: '1', folder: a/b, size: [2, 3], options: {w: 1e-1}}"
    found = checked(Sample, text)
    assert (found.count, found.rate, found.switch, found.name) == (10, 1.0, True, "1")
    assert (found.folder, found.size, found.options) == (Path("a/b"), (2, 3), {"w": 0.1})
    assert isinstance(found.rate, float)
