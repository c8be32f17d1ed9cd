"""Options are checked against the constructor that takes them, before anything is trained."""

import inspect
from contextlib import chdir
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
import yaml

from helpers.project import ROOT, composed
from lassl import methods
from lassl.cli.check_project import options as doctors
from lassl.methods import algorithms, check, class_of, findings
from lassl.plumbing.errors import LasslError
from lassl.settings.config import load
from pipeline import ready

pytestmark = pytest.mark.slow


def kinds(algorithm: str) -> dict[str, object]:
    """The options of an algorithm and what they have to be."""
    constructor = class_of(algorithm)
    names = [p.name for p in inspect.signature(constructor).parameters.values() if p.kind is p.KEYWORD_ONLY]
    told = get_type_hints(constructor.__init__, include_extras=True)
    return {name: told[name] for name in names}


def settings(algorithm: str) -> dict[str, object]:
    """The options in the file of conf/ that names an algorithm, each reference to a weight as a number."""
    files = (yaml.safe_load(path.read_text()) for path in sorted((ROOT / "conf/method").glob("*.yaml")))
    options = next(content["options"] for content in files if content.get("algorithm") == algorithm)
    return {name: 0.1 if str(value).startswith("${") else value for name, value in options.items()}


OPTIONS = [(algorithm, name) for algorithm in algorithms() for name in kinds(algorithm)]
NUMBERS = [(a, name) for a, name in OPTIONS if get_args(kinds(a)[name])[:1] in ((float,), (int,))]


@pytest.mark.parametrize("algorithm", algorithms())
def test_the_options_of_conf_are_right_and_each_has_a_kind(algorithm):
    assert findings(class_of(algorithm), settings(algorithm)) == []
    bare = [name for name, kind in kinds(algorithm).items() if kind in (float, int)]
    assert bare == [], "say which numbers, as Weight and Ramp do"


@pytest.mark.parametrize("value", [-1, "1e-1", True, None, float("nan"), float("inf"), [0.1]])
@pytest.mark.parametrize(("algorithm", "name"), NUMBERS)
def test_a_number_is_neither_negative_nor_a_text_nor_true_nor_endless(algorithm, name, value):
    (found,) = findings(class_of(algorithm), settings(algorithm) | {name: value})
    assert found.startswith(f"{name}: Input should be ") and found.endswith(f"(found {value!r})")


WORDS = [(a, name) for a, name in OPTIONS if get_origin(kinds(a)[name]) is Literal or kinds(a)[name] is bool]


@pytest.mark.parametrize("value", ["other", 1, None])
@pytest.mark.parametrize(("algorithm", "name"), WORDS)
def test_a_word_is_one_of_those_and_a_switch_is_true_or_false(algorithm, name, value):
    (found,) = findings(class_of(algorithm), settings(algorithm) | {name: value})
    assert found.startswith(f"{name}: Input should be ")


@pytest.mark.parametrize(
    ("algorithm", "option", "message"),
    [
        ("cps", {"ramp": 1.5}, "ramp: Input should be less than or equal to 1"),
        ("bcp", {"box": 1.0}, "box: Input should be less than 1"),
        ("bcp", {"pretrain": 1.0}, "pretrain: Input should be less than 1"),
        ("ict", {"alpha": 0.0}, "alpha: Input should be greater than 0"),
        ("ict", {"decay": 1.1}, "decay: Input should be less than or equal to 1"),
        ("vat", {"xi": 0.0}, "xi: Input should be greater than 0"),
        ("vat", {"epsilon": 0}, "epsilon: Input should be greater than 0"),
        ("dtc", {"steepness": 0}, "steepness: Input should be greater than 0"),
        ("urpc", {"scales": 5}, "scales: Input should be less than or equal to 4"),
        ("urpc", {"scales": 2.0}, "scales: Input should be a valid integer"),
        ("mcnet", {"decoders": 4}, "decoders: Input should be less than or equal to 3"),
        ("mcnet", {"temperature": 0}, "temperature: Input should be greater than 0"),
        ("admt", {"threshold": 0.4}, "threshold: Input should be greater than or equal to 0.5"),
        ("admt", {"period": 0}, "period: Input should be greater than or equal to 1"),
        ("fixmatch", {"threshold": 1.0}, "threshold: Input should be less than 1"),
        ("unimatch", {"feature_dropout": 1.0}, "feature_dropout: Input should be less than 1"),
        ("mean_teacher", {"passes": 1.5}, "passes: Input should be a valid integer"),
        ("mean_teacher", {"wieght": 1}, "wieght: unknown; expected weight, passes, "),
    ],
)
def test_what_an_option_cannot_be_is_told(algorithm, option, message):
    (found,) = findings(class_of(algorithm), settings(algorithm) | option)
    assert found.startswith(message)


def test_a_missing_option_is_told():
    assert findings(class_of("bcp"), {"weight": 1, "box": 0.5, "pretrain": 0.1, "decay": 0.9}) == [
        "largest_component: missing"
    ]


def test_a_list_serves_where_a_constructor_has_a_tuple():
    class Mine:
        def __init__(self, make_network, *, sides: tuple[int, int] = (1, 2), free=None):
            pass

    assert findings(Mine, {"sides": [3, 4], "free": {"anything": 1}}) == []
    assert findings(Mine, {"sides": [3, 4.5]}) == ["sides: Input should be a valid integer (found [3, 4.5])"]


ROW = "methods.cps.options"
CHANGES = {
    f"{ROW}.weight=-1": f"{ROW}.weight: Input should be greater than or equal to 0 (found -1)",
    f"{ROW}.weight='1e-1'": f"{ROW}.weight: Input should be a valid number (found '1e-1')",
    f"+{ROW}.ramp=-0.5": f"{ROW}.ramp: Input should be greater than or equal to 0 (found -0.5)",
    f"+{ROW}.measure=no.such:thing": f"{ROW}.measure: cannot find 'no.such:thing' (",
    "methods.mt_un.options.passes=0": "methods.mt_un.options: passes is 0 and mask is 'certain'; expected passes ",
    "methods.cps.algorithm=crossed": "unknown algorithm 'crossed', expected one of lassl/methods: ",
}


@pytest.mark.parametrize("change", CHANGES)
def test_ready_and_doctor_tell_file_row_and_option(tmp_path, monkeypatch, change):
    monkeypatch.chdir(tmp_path)
    params = composed("profile=tiny", change)
    params.rename("params.yaml")
    with pytest.raises(LasslError) as told:
        ready.main()
    assert str(told.value).startswith(f"params.yaml: {CHANGES[change]}") and "\n" not in str(told.value)
    assert [finding.found for finding in doctors(load())] == [str(told.value)]


def test_every_wrong_row_is_told_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = load(composed("profile=tiny", "methods.cps.options.weight=-1", "methods.mt_un.options.lovasz=-2")).methods
    with pytest.raises(LasslError) as told:
        check(rows)
    assert [line.split(": ")[1] for line in str(told.value).splitlines()] == [
        *("methods.cps.options.weight", "methods.mt_un.options.lovasz")
    ]


@pytest.mark.parametrize("profile", ["tiny", "quick", "compact", "repeats", "paper"])
def test_the_options_of_all_rows_are_right_at_every_profile(profile, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check(load(composed(f"profile={profile}", "method=field")).methods)
    check(load(composed(f"profile={profile}", "method=table_8")).methods)
    check(load(composed(f"profile={profile}", "method=admt")).methods)


def test_a_row_has_its_authors_settings_at_paper_and_those_it_was_trained_with_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paper, compact = (load(composed(f"profile={name}", "method=field")).methods for name in ("paper", "compact"))
    assert [paper[row].schedule for row in ("mt", "acmt", "dtc")] == ["poly", "poly", "step"]
    assert [compact[row].schedule for row in ("mt", "acmt", "dtc")] == ["step", "step", "poly"]
    assert paper["acmt"].options["ramp"] == 0.75 and "ramp" not in compact["acmt"].options
    alone = load(composed("profile=paper", "method=acmt")).methods["acmt"]
    assert alone == paper["acmt"]
    groups = {path.stem.split("_", 1)[1] for path in (ROOT / "conf/authors").iterdir()}
    with chdir(ROOT):
        asked = [path.stem for path in (ROOT / "conf/method").iterdir() if "/authors@" in path.read_text()]
    assert {row.removesuffix("_8") for row in asked} == groups


def test_an_option_of_a_method_without_kinds_is_not_checked_but_must_be_known():
    class Free:
        def __init__(self, make_network, *, weight=1.0):
            pass

    assert findings(Free, {"weight": "heavy"}) == []
    assert findings(Free, {"weigth": 1}) == ["weigth: unknown; expected weight"]
    assert methods.findings(type("None", (), {"__init__": lambda self, make_network: None}), {"a": 1}) == [
        "a: unknown; expected none"
    ]
