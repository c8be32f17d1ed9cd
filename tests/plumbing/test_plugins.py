"""Plugins: words of ours, functions elsewhere, and names that lead nowhere."""

import copy
import math
from pathlib import Path

import pandas as pd
import pytest
import yaml

from helpers.project import default_params
from lassl.data.label_split import UNLABELED
from lassl.data.prepare import MARGINS
from lassl.evaluation.snapshots import CHOICES
from lassl.evaluation.summary import FAILURES, counted
from lassl.methods import build
from lassl.plumbing.errors import LasslError
from lassl.plumbing.plugins import plugin
from lassl.settings.config import load
from lassl.training.schedules import SCHEDULES, poly

PARAMS = default_params()
SEAMS = {
    "data.margins": MARGINS,
    "train.schedule": SCHEDULES,
    "methods.cps.schedule": SCHEDULES,
    "cases.unlabeled": UNLABELED,
    "snapshots.use": CHOICES,
    "evaluate.failures": FAILURES,
}  # key of params.yaml -> our functions there


def double(x: float) -> float:
    return 2 * x


def test_a_word_of_ours_gives_our_function():
    assert plugin("train.schedule", "poly", SCHEDULES) is poly


def test_a_function_elsewhere_is_found_by_module_and_name():
    assert plugin("key", "math:hypot", {}) is math.hypot
    assert plugin("key", f"{__name__}:double", SCHEDULES)(3.5) == 7
    assert plugin("train.schedule", "lassl.training.schedules:poly", {}) is poly


@pytest.mark.parametrize("name", ["cosine", "math:hypotenuse", "nowhere.at_all:f", "two words", ""])
def test_a_name_that_leads_nowhere_is_refused_with_its_key_and_what_there_is(name):
    with pytest.raises(LasslError) as error:
        plugin("train.schedule", name, SCHEDULES)
    assert str(error.value).startswith(f"params.yaml: train.schedule: cannot find '{name}' (")
    assert str(error.value).endswith("); write step, poly, constant, or package.module:function")


@pytest.mark.parametrize(("name", "found"), [("math:pi", "3.14"), ("math", "<module 'math'")])
def test_a_name_of_what_is_no_function_is_refused_with_what_it_is(name, found):
    with pytest.raises(
        LasslError, match=rf"params.yaml: key: found '{name}', which is {found}.*expected a function; name one"
    ):
        plugin("key", name, {})


def test_the_measure_behind_the_adaptive_weight_is_a_plugin(make_network):
    options = {"weight": 0.1, "adaptive": True}
    assert build("cps", make_network, {**options, "measure": f"{__name__}:double"}).measure is double
    with pytest.raises(LasslError, match=r"options\.measure: cannot find 'jaccard' .*; write dice, or"):
        build("cps", make_network, {**options, "measure": "jaccard"})


def test_the_policy_for_failures_is_a_plugin():
    assert counted(pd.DataFrame({"hd95_mm": [21.0]}), f"{__name__}:double")["hd95_mm"].tolist() == [42]
    with pytest.raises(LasslError, match=r"evaluate\.failures: cannot find 'nil' .*; write excluded, diagonal, or"):
        counted(pd.DataFrame(), "nil")


def accepted(folder: Path, key: str, name: str) -> bool:
    """Write params.yaml with a name at a key, snapshots kept, and read it; raises the error of reading it."""
    values = copy.deepcopy(PARAMS)
    values["snapshots"]["count"] = values["cases"]["held_out"] = 3
    *sections, last = key.split(".")
    place = values
    for section in sections:
        place = place[section]
    place[last] = name
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    found = load(folder / "params.yaml").model_dump()
    for section in sections:
        found = found[section]
    return found[last] == name


@pytest.mark.parametrize("key", SEAMS)
def test_params_yaml_takes_each_of_our_words_or_a_functions_name(tmp_path, key):
    for name in (*SEAMS[key], "module:function", "some.deep_module.of2:function"):
        assert accepted(tmp_path, key, name)


@pytest.mark.parametrize("key", SEAMS)
@pytest.mark.parametrize("name", ["cosine", "some.module", "some.module:", ":f", "a:b:c", "a.:f", "a b:c", "a/b:c"])
def test_params_yaml_refuses_any_other_name_and_tells_our_words(tmp_path, key, name):
    with pytest.raises(LasslError) as error:
        accepted(tmp_path, key, name)
    words = f"expected {', '.join(SEAMS[key])}, or a function such as package.module:function"
    assert str(error.value) == f"{tmp_path / 'params.yaml'}: {key}: {words} (found {name!r})"
