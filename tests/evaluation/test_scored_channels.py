"""Cases of two channels through training, evaluation, larger fields of view, and the page."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from helpers.channels import CHANNELS, SIZE, TEST, config_of, scan, two_channels
from helpers.project import ROOT
from helpers.runs import STATISTICS
from helpers.trainings import trained
from lassl.api.fitting import fit
from lassl.data.prepared import Prepared, open_prepared
from lassl.data.raw import find_layout
from lassl.evaluation.evaluate import evaluate
from lassl.evaluation.fields_of_view import fields_of_view, view, whole_case
from lassl.evaluation.inference import Windows, foregrounds, sliding_window
from lassl.evaluation.metrics import score
from lassl.evaluation.publish import publish
from lassl.evaluation.structures import check_structures
from lassl.images.volumes import read_volume
from lassl.model.placement import Placement
from lassl.plumbing.errors import LasslError
from lassl.report.report import report
from lassl.results.table import table
from lassl.settings.config import Config

CPU = Placement(torch.device("cpu"), torch.float32, False)


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Config:
    """The settings of a run that was trained, evaluated and published in the folder of its cohort."""
    home = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        config = config_of(two_channels(home))
        trained(config)
        evaluate(config, config.run("vnet_16", 0, 0))
        publish(config.run("vnet_16", 0, 0))
    return config


@pytest.fixture
def prepared(config, monkeypatch) -> Prepared:
    monkeypatch.chdir(config.data.folder.parent)
    return open_prepared(config.data.prepared)


def test_the_record_names_the_channels_and_the_network_has_as_many(config, prepared):
    from lassl.model.trained import load_model

    model = load_model(config.run("vnet_16", 0, 0).model)
    assert model.record.cohort.channels == CHANNELS and model.record.settings.network.channels == 2
    assert model.networks["network"].encoder[0].convolutions[0].weight.shape == (2, 2, 3, 3, 3)
    check_structures(model.record, prepared)


def test_masks_are_scored_on_the_raw_grid(config, prepared):
    run = config.run("vnet_16", 0, 0)
    rows = pd.read_csv(run.predictions / "cases.csv").query("parts == 'all'").set_index("case")
    for case in TEST:
        mask = read_volume(run.predictions / f"{case}.nrrd").array
        assert mask.shape == SIZE
        expected = score(mask > 0, scan(case)[2] > 0, (1.0, 1.0, 1.0))
        assert rows.loc[case, "dice_percent"] == pytest.approx(expected.dice_percent, abs=1e-6)


def test_a_field_of_view_has_all_channels(config, prepared):
    layout = find_layout(config.data.folder, CHANNELS)
    image, label = whole_case(config.data, layout, "T")
    np.testing.assert_array_equal(image, prepared.read_image("T"))
    np.testing.assert_array_equal(label, scan("T")[2])
    box = (slice(-2, SIZE[0] + 3), slice(4, 10), slice(0, SIZE[2]))
    for found, channel in zip(view(image, box), image, strict=True):
        np.testing.assert_array_equal(found, view(channel, box))
    run = config.run("vnet_16", 0, 0)
    fields_of_view(config, run, "whole")
    whole = pd.read_csv(run.field("whole")).set_index("case")
    rows = pd.read_csv(run.predictions / "cases.csv").query("parts == 'all'").set_index("case")
    np.testing.assert_allclose(whole["dice_percent"], rows.loc[whole.index, "dice_percent"], atol=1e-6)


class Difference(nn.Module):
    """Logits that show both channels: their difference is that of the two classes."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        one, other = image[:, :1], image[:, 1:]
        return torch.cat([one, other], 1)


@pytest.mark.parametrize("pool", [1, 2])
def test_windows_see_all_channels_and_small_scans_are_padded_alike(pool):
    image = np.random.default_rng(0).normal(size=(2, 21, 12, 17)).astype(np.float32)
    windows = Windows(pool, (8, 16, 8), (4, 8, 8), 3)
    (found,) = foregrounds({"n": Difference()}, image, windows, CPU).values()
    difference = image[1] - image[0]
    if pool == 1:
        np.testing.assert_allclose(found[0], 1 / (1 + np.exp(-difference)), atol=1e-6)
    assert found.shape == (1, 21, 12, 17)
    swapped = sliding_window(
        Difference(), torch.from_numpy(image[::-1].copy()), Windows(1, (8, 16, 8), (4, 8, 8), 3), CPU
    )
    plain = sliding_window(Difference(), torch.from_numpy(image), Windows(1, (8, 16, 8), (4, 8, 8), 3), CPU)
    torch.testing.assert_close(swapped, 1 - plain)


def test_a_model_of_other_channels_than_the_cohort_is_refused(config, prepared):
    from lassl.model.trained import load_model

    record = load_model(config.run("vnet_16", 0, 0).model).record
    other = record.model_copy(update={"cohort": record.cohort.model_copy(update={"channels": None})})
    with pytest.raises(LasslError) as error:
        check_structures(other, prepared)
    assert str(error.value) == (
        f"models/quick/vnet_16-d0-s0.pt: sees the channels image, but {prepared.folder} has t1, flair; train it again "
        "with `dvc repro`"
    )


def test_the_page_shows_the_first_channel_and_says_so(config, prepared):
    table("quick", STATISTICS, ROOT / "metrics/published.yaml")
    report("quick", prepared.folder)
    page = Path("report/quick/index.html").read_text("utf-8")
    assert "A scan has the channels t1, flair; the first is shown." in page


def test_fit_takes_the_channels_of_the_cohort(prepared, monkeypatch):
    monkeypatch.setattr("lassl.api.fitting.prepared_folder", lambda name: prepared.folder)
    small = {
        "patches": {"pool": 1, "size": [16, 16, 16]},
        "network": {"width": 2},
        "evaluate": {"stride": [16, 16, 16]},
    }
    fitted = fit("supervised", cohort="two", steps=1, labeled=2, unlabeled=2, settings=small)
    assert fitted.networks["network"].channels == 2
    assert set(fitted.evaluate().index) == set(TEST)
    with pytest.raises(LasslError, match=r"^settings: data\.channels: found \['t1', 'x'\], but .* was prepared with"):
        fit(
            "supervised",
            cohort="two",
            steps=1,
            labeled=2,
            unlabeled=2,
            settings=small | {"data": {"channels": ["t1", "x"]}},
        )
    with pytest.raises(LasslError, match=r"^settings: data\.channels: phantoms have one channel; leave the key out"):
        fit("supervised", steps=1, settings={"data": {"channels": ["t1", "flair"]}})
