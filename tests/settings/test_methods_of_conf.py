"""The methods of conf/method/: a file says all of one, or what it has other than the one that it builds on."""

import shutil
from collections.abc import Iterator
from contextlib import chdir
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml

from helpers.project import ROOT, default_params
from lassl.learning.ramps import ClimbingWeight
from lassl.methods import algorithms, build
from lassl.model.vnet import VNet
from lassl.settings.compose import compose
from lassl.settings.config import Config, load
from lassl.settings.sections import Method, Network

pytestmark = pytest.mark.slow

PARAMS = default_params()
PUBLISHED = yaml.safe_load((ROOT / "metrics/published.yaml").read_text())
FILES = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((ROOT / "conf/method").glob("*.yaml"))}
LISTS = ("core", "field", "registered", "table", "table_8")
ROWS = [name for name in FILES if name not in LISTS]
EIGHT = {str(each).split("@methods.")[-1] for each in FILES["table_8"]["defaults"]} - {"_self_", "vnet_80"}
TITLES = {row: figures["title"] for part in ("rows", "field") for row, figures in PUBLISHED[part].items()}
PAIRS, FOURS = {"labeled": 2, "unlabeled": 2}, {"labeled": 4, "unlabeled": 0}
SHARED = {
    "supervised": {"batch": FOURS, "weight_decay": 1e-4, "schedule": "step"},
    "cps": {"batch": PAIRS, "weight_decay": 5e-4, "schedule": "poly"},
    "mean_teacher": {"batch": PAIRS, "weight_decay": 1e-4, "schedule": "step"},
    "bcp": {"batch": {"labeled": 4, "unlabeled": 4}, "weight_decay": 1e-4, "schedule": "poly"},
}
OTHERS = {"batch": PAIRS, "weight_decay": 1e-4, "schedule": "poly"}  # algorithms that SHARED does not name
PLAIN, ADAPTIVE = {"weight": 0.1, "adaptive": False}, {"weight": 0.1, "adaptive": True}
MASKED = {"weight": 0.1, "passes": 8, "consistency": "mse", "lovasz": 0.0}
UNCL = {"weight": 0.25, "passes": 0, "mask": "all", "weighting": "uncertainty", "patches": "all", "ramp": 0.0}
OWN_SCHEDULE = {"uncl": "constant"}
STRONG = {"weight": 1.0, "threshold": 0.95, "decay": 0.99, "ramp": 0.0}
MUTUAL = {"weight": 1.0, "temperature": 0.1, "detach": False, "ramp": 0.4}
EXPECTED = {  # row -> algorithm, labeled and unlabeled cases, options; those of metrics/ as their trainings had them
    "vnet_16": ("supervised", 16, 0, {}),
    "vnet_80": ("supervised", 80, 0, {}),
    "cps": ("cps", 16, 64, PLAIN),
    "cps_32": ("cps", 32, 48, PLAIN),
    "mt_un": ("mean_teacher", 16, 64, MASKED),
    "mt_un_lovasz": ("mean_teacher", 16, 64, MASKED | {"lovasz": 1.0}),
    "cps_alw": ("cps", 16, 64, ADAPTIVE),
    "vnet_8": ("supervised", 8, 0, {}),
    "cps_8": ("cps", 8, 72, PLAIN),
    "mt_un_8": ("mean_teacher", 8, 72, MASKED),
    "mt_un_lovasz_8": ("mean_teacher", 8, 72, MASKED | {"lovasz": 1.0}),
    "cps_alw_8": ("cps", 8, 72, ADAPTIVE),
    "vnet_8_matched": ("supervised", 8, 0, {}),
    "vnet_bn_8": ("supervised", 8, 72, {}),
    "mt_8": ("mean_teacher", 8, 72, MASKED | {"passes": 0, "mask": "all"}),
    "acmt_8": ("mean_teacher", 8, 72, MASKED | {"passes": 0, "mask": "ambiguous"}),
    "fixmatch_8": ("fixmatch", 8, 72, STRONG | {"mix": "none", "intensity": True, "teacher": "student"}),
    "cutmix_mt_8": ("fixmatch", 8, 72, STRONG | {"mix": "cutmix", "intensity": False, "teacher": "ema"}),
    "urpc_8": ("urpc", 8, 72, {"weight": 0.1, "scales": 3, "rectify": True, "ramp": 1.0}),
    "vnet_16_matched": ("supervised", 16, 0, {}),
    "vnet_32": ("supervised", 32, 0, {}),
    "vnet_bn": ("supervised", 16, 64, {}),
    "entropy": ("entropy", 16, 64, {"weight": 0.1, "patches": "all", "ramp": 1.0}),
    "ict": ("ict", 16, 64, {"weight": 0.1, "alpha": 0.2, "decay": 0.99, "ramp": 1.0}),
    "mt": ("mean_teacher", 16, 64, MASKED | {"passes": 0, "mask": "all"}),
    "acmt": ("mean_teacher", 16, 64, MASKED | {"passes": 0, "mask": "ambiguous"}),
    "uncl": ("mean_teacher", 16, 64, MASKED | UNCL),
    "fixmatch": ("fixmatch", 16, 64, STRONG | {"mix": "none", "intensity": True, "teacher": "student"}),
    "cutmix_mt": ("fixmatch", 16, 64, STRONG | {"mix": "cutmix", "intensity": False, "teacher": "ema"}),
    "cps_cutmix": ("cps", 16, 64, PLAIN | {"mix": "cutmix"}),
    "cps_lovasz_alw": ("cps", 16, 64, ADAPTIVE | {"lovasz": 1.0}),
    "bcp": (
        *("bcp", 16, 64),
        {"weight": 0.5, "box": 0.667, "pretrain": 0.118, "largest_component": True, "decay": 0.99},
    ),
    "mcnet": ("mcnet", 16, 64, MUTUAL | {"decoders": 2}),
    "mcnet_plus": ("mcnet", 16, 64, MUTUAL | {"decoders": 3}),
    "dtc": ("dtc", 16, 64, {"weight": 1.0, "distance": 0.3, "steepness": 1500, "ramp": 1.0}),
    "urpc": ("urpc", 16, 64, {"weight": 0.1, "scales": 3, "rectify": True, "ramp": 1.0}),
    "cct": ("cct", 16, 64, {"weight": 0.1, "form": "ssl4mis", "ramp": 1.0}),
    "vat": ("vat", 16, 64, {"weight": 1.0, "xi": 10.0, "epsilon": 10.0, "ramp": 0.4}),
    "rdrop": ("rdrop", 16, 64, {"weight": 4.0, "patches": "all"}),
    "unimatch": ("unimatch", 16, 64, {"weight": 1.0, "threshold": 0.95, "feature_dropout": 0.5, "ramp": 0.0}),
    "admt": (
        *("admt", 16, 64),
        {"weight": 2.0, "threshold": 0.8, "period": 19, "decay": 0.99, "ramp": 0.4},
    ),
}
TWO = {"labeled": 2, "unlabeled": 0}
OWN_BATCH = {"vnet_16_matched": TWO, "vnet_8_matched": TWO, "vnet_bn": PAIRS, "vnet_bn_8": PAIRS}
MINE = """\
# @package methods.mine
# A row of one's own.
defaults:
  - cps@_here_
  - _self_
labeled: ${labels.more.labeled}
unlabeled: 7
"""


@cache
def composed(*overrides: str, project: Path = ROOT) -> Config:
    """Compose the conf/ of a project with overrides."""
    with TemporaryDirectory() as folder, chdir(project):
        compose(Path(folder) / "params.yaml", *overrides)
        return load(Path(folder) / "params.yaml")


def row(name: str) -> Method:
    """A method as it is composed alone, or among those with 8 labels."""
    return composed(f"method={'table_8' if name in EIGHT else name}").methods[name]


def test_the_rows_with_a_title_of_ours_are_all_there():
    assert {*ROWS, *EIGHT} >= set(EXPECTED) == set(TITLES)  # others may be somebody's own


@pytest.mark.parametrize("name", EXPECTED)
def test_a_row_has_the_values_that_are_expected_of_it(name):
    algorithm, labeled, unlabeled, options = EXPECTED[name]
    counts = {"labeled": labeled, "unlabeled": unlabeled}
    assert name in EIGHT or list(composed(f"method={name}").methods) == [name]
    shared = SHARED.get(algorithm, OTHERS)
    expected = {"algorithm": algorithm, **counts, **shared, "options": options}
    own = {"batch": OWN_BATCH.get(name, shared["batch"]), "schedule": OWN_SCHEDULE.get(name, shared["schedule"])}
    assert row(name).model_dump() == expected | own


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_rows_has_them_in_its_order_each_as_it_is_alone(name):
    found = composed(f"method={name}").methods
    listed = [each.split("@methods.")[-1] for each in FILES[name]["defaults"] if each != "_self_"]
    assert list(found) == listed
    assert found == {each: row(each) for each in listed}


def flat(values: dict, before: str = "") -> Iterator[tuple[str, object]]:
    """Give the values by their dotted keys."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{before}{key}.")
        elif key != "defaults":
            yield f"{before}{key}", value


@pytest.mark.parametrize("name", [name for name in ROWS if name in EXPECTED])
def test_a_row_says_nothing_that_the_one_it_builds_on_says_already(name):
    defaults = FILES[name].get("defaults", ["_self_"])
    *base, last = [each for each in defaults if isinstance(each, str)]
    assert last == "_self_" and len(base) <= 1
    for choice in (each for each in defaults if not isinstance(each, str)):
        ((group, file),) = choice.items()  # what the row has at profile paper alone
        assert group == "optional /authors@_here_"
        assert (ROOT / f"conf/authors/{file.replace('${profile}', 'paper')}.yaml").is_file()
    own = dict(flat(FILES[name]))
    shared = dict(flat(FILES[base[0].removesuffix("@_here_")])) if base else {}
    assert (shared or own)["algorithm"] == row(name).algorithm
    assert all(value != shared.get(key) for key, value in own.items())


def test_every_algorithm_is_that_of_a_row():
    assert {FILES[name]["algorithm"] for name in ROWS if "algorithm" in FILES[name]} == set(algorithms())


def test_the_table_has_exactly_the_published_rows_in_their_order():
    assert FILES["table"]["defaults"] == list(PUBLISHED["rows"]) == list(PARAMS["methods"])


def test_the_rows_of_eight_labels_have_a_folder_of_their_own_and_baselines_with_as_many():
    config = composed("profile=compact", "method=table_8")
    assert config.name == "compact-8"
    for row in (config.statistics.baseline, config.statistics.matched):
        assert config.methods[row].labeled == 8 and config.methods[row].algorithm == "supervised"
    assert composed("profile=compact", "method=table_8", "mode=tuning").name == "compact-tuning"


def test_the_field_has_the_table_and_then_exactly_the_other_rows_that_have_as_many_labels():
    field = [row for row in PUBLISHED["field"] if EXPECTED[row][1] == 16]
    assert FILES["field"]["defaults"] == [*PUBLISHED["rows"], *field]


def test_pairs_are_counted_and_tested_as_the_registered_experiment_says():
    config = composed("profile=compact", "mode=pairs", "method=registered", "label_splits=[3]")
    assert (config.name, config.label_splits, config.seeds, config.fields_of_view) == ("compact-pairs", (3,), (3,), ())
    statistics, pairs = config.statistics, config.statistics.pairs
    assert (statistics.baseline, statistics.family) == ("vnet_16", ("mt_un", "cps_alw", "cutmix_mt", "mcnet_plus"))
    assert set(pairs.rows) == set(config.methods) == {"vnet_16", "vnet_32", *statistics.family}
    assert (pairs.planned, pairs.least) == (tuple(range(1, 10)), 6)
    for profile in ("compact", "repeats", "quick"):
        assert (composed(f"profile={profile}").statistics.family, composed().statistics.pairs) == (None, None)


def test_dvc_shows_the_metrics_of_the_same_rows():
    dvc = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    assert dvc["metrics"] == [f"metrics/${{profile}}${{variant}}/{row}-d0-s0.json" for row in PUBLISHED["rows"]]


@pytest.mark.parametrize("name", EXPECTED)
def test_every_row_takes_four_patches_a_step_but_two_and_its_cases_are_those_of_its_title(name):
    method = row(name)
    patches = {
        "bcp": 8,
        "vnet_16_matched": 2,
        "vnet_8_matched": 2,
    }  # pairs that are mixed into one; as many labeled ones as in the others
    assert method.batch.labeled + method.batch.unlabeled == patches.get(name, 4)
    counts = f"{method.labeled}L" + (f"+{method.unlabeled}UL" if method.unlabeled else "")
    assert TITLES[name].endswith(f"& {counts}")


@pytest.mark.parametrize("name", EXPECTED)
def test_semi_supervised_rows_use_all_eighty_training_cases(name):
    assert row(name).labeled + row(name).unlabeled == 80 or row(name).algorithm == "supervised"


@pytest.mark.parametrize("name", ROWS)
def test_the_options_of_a_row_are_those_of_its_algorithm(name):
    network = Network(width=2, residual=False, dropout=0.5)
    options = dict(row(name).options)
    algorithm = build(row(name).algorithm, lambda: VNet(network), options)
    climbing = getattr(algorithm, "weight", None)
    if isinstance(climbing, ClimbingWeight):
        assert climbing.full == options.pop("weight") and climbing.end == options.pop("ramp", climbing.end)
    parts = {  # options that a network or a list of them stands for
        "teacher": lambda: "ema" if algorithm.average else "student",
        "decoders": lambda: 1 + len(algorithm.others),
        "scales": lambda: 1 + len(algorithm.heads),
    }
    found = {option: parts[option]() if option in parts else getattr(algorithm, option) for option in options}
    assert found == options


def test_label_counts_of_the_seven_rows_are_set_in_one_place_that_fills_no_row_that_is_not_asked_for():
    few, more = "labels.few={labeled: 3, unlabeled: 9}", "labels.more={labeled: 5, unlabeled: 7}"
    counts = (few, more, "labels.all=11")
    found = {m: (v.labeled, v.unlabeled) for m, v in composed(*counts).methods.items()}
    assert (found.pop("vnet_16"), found.pop("vnet_80"), found.pop("cps_32")) == ((3, 0), (11, 0), (5, 7))
    assert set(found.values()) == {(3, 9)} and len(found) == 4
    assert list(composed("method=mt_un", *counts).methods) == ["mt_un"]


def test_an_option_of_one_row_moves_no_other_and_a_shared_weight_moves_all_that_refer_to_it():
    before = composed().methods
    own = composed("methods.cps.options.weight=0.3").methods
    assert own["cps"].options == PLAIN | {"weight": 0.3}
    assert {name for name in before if own[name] != before[name]} == {"cps"}
    shared = composed("weights.cps=0.3").methods
    assert {name for name in before if shared[name] != before[name]} == {"cps", "cps_32", "cps_alw"}
    assert {shared[name].options["weight"] for name in ("cps", "cps_32", "cps_alw")} == {0.3}


@pytest.fixture
def project(tmp_path):
    """A copy of conf/ to add rows to."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    return tmp_path


def test_a_row_of_ones_own_is_a_file_of_its_counts(project):
    (project / "conf/method/mine.yaml").write_text(MINE)
    found = composed("method=mine", "methods.mine.options.adaptive=true", project=project).methods
    assert found == {"mine": row("cps").model_copy(update={"labeled": 32, "unlabeled": 7, "options": ADAPTIVE})}
    (project / "conf/method/both.yaml").write_text("# @package methods\ndefaults: [vnet_16, mine]\n")
    assert list(composed("method=both", project=project).methods) == ["vnet_16", "mine"]


def test_a_row_may_also_say_everything_itself(project):
    whole = {"mine": row("mt_un").model_dump()}
    (project / "conf/method/mine.yaml").write_text(f"# @package methods\n{yaml.safe_dump(whole)}")
    assert composed("method=mine", project=project).methods == {"mine": row("mt_un")}
