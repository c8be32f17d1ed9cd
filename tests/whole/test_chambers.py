"""Several structures from end to end: phantoms of three chambers, trained, scored, tabled, shown and predicted."""

import importlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from helpers.command import lassl
from helpers.project import ROOT
from lassl.images.volumes import read_volume
from lassl.settings.compose import compose

STRUCTURES = {"atrium": 1, "left_ventricle": 2, "right_heart": 3}
RUNS = (("vnet_16", "0", "0"), ("mt_un", "0", "0"))
SMALL = (
    *("method=[vnet_16,mt_un]", "phantom.size=[40,36,24]", "data.split=small.csv", "data.min_size=[32,32,16]"),
    *("patches.pool=1", "patches.size=[16,16,16]", "evaluate.stride=[16,16,16]", "network.width=2", "train.steps=3"),
    *("labels.few.labeled=2", "labels.few.unlabeled=2", "data.margin=[1,3]"),
)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder in which every stage of the profile `chambers` was run, at a small scale."""
    folder = tmp_path_factory.mktemp("chambers")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        shutil.copytree(ROOT / "conf", "conf")
        Path("metrics").mkdir()
        shutil.copy(ROOT / "metrics/published.yaml", "metrics/published.yaml")
        cases = [f"P{n:03},{'train' if n < 4 else 'test'}" for n in range(6)]
        Path("small.csv").write_text("\n".join(["case,split", *cases]) + "\n")
        compose(Path("params.yaml"), "profile=chambers", *SMALL)
        stages = [("phantom",), ("prepare",)]
        stages += [(stage, *run) for run in RUNS for stage in ("train", "evaluate", "publish")]
        for stage, *words in [*stages, ("table",), ("report",)]:
            patch.setattr(sys, "argv", [stage, *words])
            importlib.import_module(f"pipeline.{stage}").main()
        yield folder


@pytest.mark.slow
def test_each_structure_is_scored_and_a_case_has_their_mean(project):
    for method, *_ in RUNS:
        summary = json.loads((project / f"metrics/chambers/{method}-d0-s0.json").read_text())
        assert list(summary["structures"]) == list(STRUCTURES)
        table = pd.read_csv(project / f"metrics/chambers/{method}-d0-s0.csv")
        chosen = table[(table["network"] == table["network"].iloc[0]) & (table["parts"] == "all")]
        assert sorted(chosen["structure"].unique()) == sorted(STRUCTURES) and len(chosen) == 2 * len(STRUCTURES)
        means = chosen.groupby("case")["dice_percent"].mean()
        assert summary["dice"] == pytest.approx(means.mean(), abs=1e-3)
    details = (project / "metrics/chambers/details.md").read_text()
    assert "## By structure" in details and "right_heart" in details
    assert (project / "report/chambers/index.html").stat().st_size > 1e6


@pytest.mark.slow
def test_masks_and_predictions_have_the_values_of_the_labels(project, monkeypatch):
    monkeypatch.chdir(project)
    for case in ("P004", "P005"):
        mask = read_volume(project / f"predictions/chambers/vnet_16-d0-s0/{case}.nrrd").array
        assert set(np.unique(mask)) <= {0, *STRUCTURES.values()}
    models = "chambers/vnet_16-d0-s0,chambers/mt_un-d0-s0"  # their mean
    assert lassl("predict", models, "data/raw/chambers/P004/lgemri.nrrd", "-o", "masks") == 0
    raw = read_volume(Path("data/raw/chambers/P004/laendo.nrrd"))
    mask = read_volume(Path("masks/P004.nrrd"))
    assert mask.array.shape == raw.array.shape and set(np.unique(raw.array)) == {0, *STRUCTURES.values()}
    head = Path("masks/volumes.csv").read_text().splitlines()[0]
    assert all(f"volume_ml_{name}" in head for name in STRUCTURES)
