"""`lassl.fit`: a class or a named method, trained in memory, and what is refused."""

import threading

import numpy as np
import pytest
import torch
import yaml
from torch import nn

import lassl
from helpers.project import ROOT
from lassl.api.defaults import PROFILE, QUICK
from lassl.api.synthetic import Drawn
from lassl.data.phantom import phantom
from lassl.data.prepare import prepare
from lassl.data.prepared import open_prepared
from lassl.settings.compose import compose
from lassl.settings.config import Config

SMALL = {
    "phantom": {"size": [40, 36, 24]},
    "data": {"margin": [1, 3], "min_size": [16, 16, 16]},
    "network": {"width": 2},
    "patches": {"pool": 1, "size": [16, 16, 16]},
    "evaluate": {"stride": [16, 16, 16]},
}


class Mine(lassl.Algorithm):
    """One network, and an option."""

    def __init__(self, make_network, *, weight: float = 1.0):
        super().__init__()
        self.network, self.weight = make_network(), weight
        if weight < 0:
            raise ValueError("weight is below 0")

    @property
    def networks(self):
        return {"mine": self.network}

    def losses(self, batch: lassl.Batch, progress: lassl.Progress) -> lassl.Step:
        step = self.supervised(self.network(batch.image), batch)
        step.logs["unlabeled"] = float(len(batch.unlabeled_image))
        return lassl.Step({name: self.weight * term for name, term in step.terms.items()}, step.logs)


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """The current folder is not a clone of the project."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fit(method=Mine, **changes):
    return lassl.fit(method, **{"steps": 3, "labeled": 2, "unlabeled": 2, "settings": SMALL} | changes)


def test_the_settings_kept_for_installed_packages_are_those_of_conf(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    compose(tmp_path / "params.yaml", f"profile={PROFILE}")
    composed = yaml.safe_load((tmp_path / "params.yaml").read_text()) | {"methods": {}, "weights": {}}
    assert Config.model_validate(composed) == Config.model_validate(QUICK | {"methods": {}})


def test_a_class_is_trained_and_no_file_is_written(elsewhere, capsys):
    found = fit()
    assert list(found.networks) == ["mine"] and not found.networks["mine"].training
    assert len(found.curves) == 3 and found.curves.index.name == "step"
    terms = found.curves["cross_entropy"] + found.curves["dice_loss"]
    np.testing.assert_allclose(found.curves["loss"], terms, rtol=1e-6)
    assert set(found.curves["unlabeled"]) == {2.0}
    assert list(elsewhere.iterdir()) == []
    assert "train: 100%" in capsys.readouterr().err


def test_it_is_scored_on_test_cases_of_its_cohort(elsewhere):
    scores = fit().evaluate()
    assert list(scores.index) == ["P080", "P081", "P082", "P083"]
    assert scores["dice_percent"].between(0, 100).all() and "hd95_mm" in scores
    with pytest.raises(lassl.LasslError, match="network: found 'yours', expected one of mine"):
        fit(steps=1).evaluate("yours")


def test_the_result_depends_on_the_arguments_alone(elsewhere):
    torch.manual_seed(1)
    first = fit()
    torch.manual_seed(2)
    again = fit()
    assert first.curves.equals(again.curves)
    for key, value in first.networks["mine"].state_dict().items():
        assert torch.equal(value, again.networks["mine"].state_dict()[key])
    assert not first.curves.equals(fit(seed=1).curves)
    assert not first.curves.equals(fit(weight=0.5).curves)


def test_threads_and_random_numbers_of_the_process_stay(elsewhere):
    torch.set_num_threads(2)
    before = torch.get_rng_state()
    fit(steps=1)
    assert torch.equal(torch.get_rng_state(), before) and torch.get_num_threads() == 2
    with pytest.raises(lassl.LasslError):
        fit(weight=-1)
    assert torch.equal(torch.get_rng_state(), before) and torch.get_num_threads() == 2


def test_it_trains_in_a_thread_too(elsewhere):
    found = []
    thread = threading.Thread(target=lambda: found.append(fit(steps=1)))
    thread.start()
    thread.join()
    assert len(found[0].curves) == 1


def test_a_name_is_an_algorithm_anywhere_and_a_row_in_a_clone(elsewhere, monkeypatch):
    options = {"weight": 0.1, "passes": 0, "consistency": "mse", "lovasz": 0.0, "mask": "all"}
    found = fit("mean_teacher", **options)
    assert list(found.networks) == ["student", "teacher"]
    with pytest.raises(lassl.LasslError, match="mt: no such method; expected one of admt, bcp"):
        fit("mt")
    monkeypatch.chdir(ROOT)
    row = fit("mt", weight=0.1, settings=SMALL | {"method": {"schedule": "poly"}})
    np.testing.assert_array_equal(row.curves["loss"], found.curves["loss"])
    assert fit("vnet_16").curves["loss"].notna().all()  # without unlabeled cases


def test_a_prepared_cohort_is_found_by_its_name(elsewhere, tiny_data):
    (elsewhere / "data/prepared").mkdir(parents=True)
    (elsewhere / "data/prepared/tiny").symlink_to(tiny_data.prepared)
    assert list(fit(cohort="tiny").evaluate().index) == ["C6", "C7"]
    with pytest.raises(lassl.LasslError, match=r"found 99 cases together, expected at most 6"):
        fit(cohort="tiny", labeled=97)


def test_phantoms_in_memory_are_those_of_the_pipeline_bit_for_bit(elsewhere):
    values = QUICK | {key: QUICK[key] | SMALL[key] for key in ("phantom", "data")} | {"methods": {}}
    config = Config.model_validate(values)
    (elsewhere / "splits").mkdir()
    (elsewhere / config.data.split).write_text("case,split\nP000,train\nP080,test\n")
    phantom(["P000", "P080"], config.data.folder, config.phantom.size, config.phantom.seed)
    prepare(config.data)
    prepared, drawn = open_prepared(config.data.prepared), Drawn(config.phantom, config.data)
    for case in ("P000", "P080"):
        np.testing.assert_array_equal(drawn.read_image(case), prepared.read_image(case))
        np.testing.assert_array_equal(drawn.read_label(case), prepared.read_label(case))
        assert drawn.geometry(case) == prepared.geometry(case)


class Half(lassl.Algorithm):
    """Lacks its losses."""

    @property
    def networks(self):
        return {}


WRONG = {
    "method: found the class Module, expected a class that inherits from lassl.Algorithm": {"method": nn.Module},
    "method: found an object of int, expected a class": {"method": 3},
    "Half: does not define losses": {"method": Half},
    "cqs: no such method; expected one of admt, bcp": {"method": "cqs"},
    "Mine: option wieght: unknown; expected weight": {"wieght": 1.0},
    "Mine: option weight: Input should be a valid number": {"weight": "much"},
    "Mine: options: weight is below 0": {"weight": -1.0},
    "settings: train.steps: Input should be greater than or equal to 1": {"steps": 0},
    r"settings: patches.size: expected multiples of 16": {"settings": {"patches": {"size": [17, 16, 16]}}},
    "settings: no section 'trian'; expected one of method, phantom": {"settings": {"trian": {}}},
    "settings: train: found 3, expected a section": {"settings": {"train": 3}},
    "found 81 cases together, expected at most 80, those to train on": {"labeled": 79},
    "data/prepared/none/manifest.json: cannot be read; prepare the cohort": {"cohort": "none"},
    "cohort: found 'a/b', expected synthetic or the name of a folder": {"cohort": "a/b"},
}


@pytest.mark.parametrize("message", WRONG)
def test_what_cannot_be_trained_is_refused_in_words(elsewhere, message):
    with pytest.raises(lassl.LasslError, match=message):
        fit(**WRONG[message])
