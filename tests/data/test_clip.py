"""CT: intensities are clipped to limits, then normalized, in preparation as in prediction."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from helpers.trainings import predicting
from lassl.data.prepare import prepare
from lassl.data.prepared import Prepared, open_prepared
from lassl.images.geometry import Array, Geometry, Volume
from lassl.images.intensities import normalize
from lassl.images.volumes import write_volume
from lassl.model.placement import Placement
from lassl.model.record import Cohort
from lassl.plumbing.errors import LasslError
from lassl.predict.model import spoiling
from lassl.predict.segment import segment
from lassl.predict.settings import CLIPPED, NORMALIZATION, PredictSettings
from lassl.predict.slabs import needed_bytes
from lassl.predict.task import PROBABILITY, Task
from lassl.settings.sections import Data

RAW, SIZE = Path("raw"), (12, 10, 8)
CLIP = (-100.0, 300.0)
ALL = (slice(None), slice(None), slice(None))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def scan(case: str) -> Array:
    """Hounsfield units of air, tissue and metal, with padding."""
    image = np.random.default_rng(ord(case)).normal(40, 120, SIZE).round().astype(np.int16)
    image[:, :2], image[3, 4, 5] = -4000, 1500
    return image


def prepared(cases: str = "ABT", normalize: Any = None) -> Prepared:
    for case in cases:
        label = np.zeros(SIZE, np.uint8)
        label[4:8, 4:7, 2:5] = 1
        write_volume(RAW / case / "image.nii.gz", Volume(scan(case), Geometry()))
        write_volume(RAW / case / "label.nii.gz", Volume(label, Geometry()))
    lines = [f"{case},{'test' if case == 'T' else 'train'}" for case in cases]
    Path("split.csv").write_text("\n".join(["case,split", *lines]) + "\n")
    options = {"crop": "none", "crop_z": False, "margin": (1, 2), "margins": "seeded", "min_size": (2, 3, 4), "seed": 0}
    place = {"cohort": "ct", "folder": RAW, "split": Path("split.csv")}
    change = {} if normalize is None else {"normalize": normalize}
    prepare(Data.model_validate({**place, **options, **change}))
    return open_prepared(Path("data/prepared/ct"))


def test_the_normalization_by_hand() -> None:
    image = np.array([-1000.0, -100, 0, 300, 2000, 100])[:, None, None]
    clipped = np.array([-100.0, -100, 0, 300, 300, 100])
    expected = (clipped - 500 / 6) / clipped.std()
    found = normalize(image, ALL, CLIP)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, 0, 0], expected, rtol=1e-6)
    assert normalize(image, (slice(2, 3), slice(None), slice(None)), CLIP)[0, 0, 0] == found[2, 0, 0]


def test_prepared_images_are_clipped_and_then_normalized_scan_by_scan() -> None:
    cohort = prepared(normalize={"clip": [-100, 300]})
    for case in "ABT":
        clipped = np.clip(scan(case).astype(np.float64), *CLIP)
        np.testing.assert_allclose(cohort.read_image(case), (clipped - clipped.mean()) / clipped.std(), atol=1e-5)
    assert cohort.clip == CLIP
    assert json.loads(Path("data/prepared/ct/manifest.json").read_text())["options"]["normalize"] == {
        "clip": [-100, 300]
    }


def test_zscore_is_what_it_was_and_leaves_no_trace_in_the_manifest() -> None:
    plain = prepared()
    text = Path("data/prepared/ct/manifest.json").read_text()
    assert prepared(normalize="zscore").manifest == plain.manifest and plain.clip is None
    assert Path("data/prepared/ct/manifest.json").read_text() == text and "normalize" not in text


def test_padding_and_metal_beyond_the_limits_are_not_reported(capsys: Any) -> None:
    prepared()
    assert "outlying intensities" in capsys.readouterr().err
    prepared(normalize={"clip": [-100, 300]})
    assert "outlying intensities" not in capsys.readouterr().err
    placement = Placement(torch.device("cpu"), torch.float32, False)
    plain, clipped = predicting(), predicting(normalization=CLIPPED, clip=CLIP)
    volume = Volume(scan("A"), Geometry())
    assert list(spoiling(volume, Task({}, plain, placement))) and not list(
        spoiling(volume, Task({}, clipped, placement))
    )


def test_limits_that_leave_nothing_are_refused_in_a_line_for_each_scan() -> None:
    with pytest.raises(LasslError) as error:
        prepared(normalize={"clip": [5000, 6000]})
    lines = str(error.value).splitlines()
    assert len(lines) == 3 and not Path("data/prepared/ct").exists()
    assert lines[0].startswith(
        "raw/A/image.nii.gz: all values, -4000 to 1500, become one by clipping to [5000, 6000]; "
    )


class Values(torch.nn.Module):
    """Foreground is what a network is shown, as its log-odds."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.zeros_like(image), image], 1)


def test_predicting_shows_networks_what_preparation_would() -> None:
    cohort = prepared(normalize={"clip": [-100, 300]})
    needs = predicting(normalization=CLIPPED, clip=CLIP, spacing_mm=(1, 1, 1), window=(16, 16, 16))
    task = Task({"net": Values()}, needs, Placement(torch.device("cpu"), torch.float32, False))
    (probability,) = segment(Volume(scan("T"), Geometry()), task)[PROBABILITY].astype(np.float64)
    np.testing.assert_allclose(np.log(probability / (1 - probability)), cohort.read_image("T"), atol=1e-3)
    with pytest.raises(LasslError, match=r"all values, -7 to -1, become one by clipping to \[0, 1\]"):
        other = Task(task.networks, predicting(normalization=CLIPPED, clip=(0, 1)), task.placement)
        segment(Volume(-np.arange(1.0, 8).repeat(49 * 7).reshape(7, 49, 7), Geometry((0.625,) * 3)), other)


def test_clipping_is_counted_in_the_memory_that_a_scan_needs() -> None:
    volume = Volume(np.zeros((64, 64, 64), np.int16), Geometry((0.625,) * 3))
    placement = Placement(torch.device("cpu"), torch.float32, False)
    plain, clipped = (
        Task({}, predicting(**more), placement) for more in ({}, {"normalization": CLIPPED, "clip": CLIP})
    )
    assert needed_bytes(volume, 0, 64, clipped) >= needed_bytes(volume, 0, 64, plain)


def test_the_limits_are_in_what_predicting_needs_only_where_they_are_set() -> None:
    assert "clip" not in predicting().model_dump() and predicting().normalization == NORMALIZATION
    needs = predicting(normalization=CLIPPED, clip=CLIP)
    assert needs.model_dump(mode="json")["clip"] == list(CLIP)
    assert PredictSettings.model_validate(needs.model_dump(mode="json")) == needs
    for wrong in ({"normalization": CLIPPED}, {"clip": CLIP}):
        with pytest.raises(ValueError, match=r"normalization is '.*', but clip is"):
            predicting(**wrong)


def test_a_record_without_limits_is_as_before() -> None:
    assert "clip" not in Cohort(name="ct", hash="0").plain()
    assert Cohort(name="ct", hash="0", clip=CLIP).clip == CLIP
