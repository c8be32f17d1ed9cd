"""A cohort of three structures, and runs on it whose network tells them by how bright they are."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor, nn

from helpers.trainings import settings
from lassl.data.prepare import prepare
from lassl.data.prepared import Prepared, open_prepared
from lassl.images.geometry import Geometry, Volume
from lassl.images.volumes import write_volume
from lassl.model.network import build_network
from lassl.model.placement import place
from lassl.model.trained import TrainedModel, save_model
from lassl.paths import Run
from lassl.seeds import stream
from lassl.settings.config import Config
from lassl.settings.sections import Data
from lassl.training.train import cases_of, record_of

STRUCTURES = {"horns": (47, 48), "core": (300,), "stem": (5,)}  # the two horns touch nothing
SIZE, SPACING = (26, 20, 18), (1.0, 1.0, 1.5)
BALLS = {47: (6, 6, 6), 48: (20, 6, 6), 300: (13, 13, 11), 5: (5, 14, 11)}  # value -> center
BRIGHT = {47: (60, 110), 48: (60, 110), 300: (110, 190), 5: (200, 260)}  # the background's is 40 to 65
UNSEEN, LACKING = "C6", "C7"  # the core of one cannot be seen; the stem of the other is not in its label


def write_structures(folder: Path, case: str) -> None:
    """Write a scan with a ball for each value, and its label, in our own layout."""
    chance = stream(0, "structures", case)
    grid = np.stack(np.meshgrid(*map(np.arange, SIZE), indexing="ij"), -1)
    label = np.zeros(SIZE, np.int16)
    image = 40 + 25 * chance.random(SIZE)
    for value, center in BALLS.items():
        inside = np.square(grid - center - chance.uniform(-1, 1, 3)).sum(-1) < chance.uniform(10, 17)
        label[inside] = 0 if (case, value) == (LACKING, 5) else value
        if (case, value) != (UNSEEN, 300):
            image[inside] = chance.uniform(*BRIGHT[value], inside.sum())
    write_volume(folder / case / "image.nrrd", Volume(image.astype(np.int16), Geometry(SPACING)))
    write_volume(folder / case / "label.nrrd", Volume(label, Geometry(SPACING)))


def structured_data(root: Path, structures: dict[str, tuple[int, ...]] | None = None) -> Data:
    """Six training and two test cases in a folder, prepared with these structures or all three."""
    cases = [f"C{i}" for i in range(8)]
    for case in cases:
        write_structures(root / "raw", case)
    lines = [f"{case},{'train' if i < 6 else 'test'}" for i, case in enumerate(cases)]
    (root / "split.csv").write_text("\n".join(["case,split", *lines]) + "\n")
    data = Data(
        cohort=str(root / "prepared"), folder=root / "raw", split=root / "split.csv",
        structures=structures or STRUCTURES,
        crop="none", crop_z=False, margin=(0, 1), margins="seeded", min_size=(16, 16, 16), seed=0,
    )  # fmt: skip
    prepare(data)
    return data


class Levels(nn.Module):
    """The class of a voxel is that of the nearest of so many levels of brightness."""

    def __init__(self, classes: int = 2):
        super().__init__()
        self.levels = nn.Parameter(torch.zeros(classes))

    def forward(self, image: Tensor) -> Tensor:
        """Compute the logits."""
        return -4 * (image - self.levels[:, None, None, None]).square()


def structured_settings(data: Data, **changes: dict) -> Config:
    """The configuration of runs on such a cohort."""
    network = {"name": "helpers.structured:Levels", "classes": 1 + len(data.structures)}
    return settings(data, network=network, **changes)


def save_run(config: Config, method: str = "vnet_16", blur: float = 0.0, snapshots: int = 0) -> Run:
    """Save a model of `Levels` as a training would; `blur` moves its levels, those of snapshots more."""
    prepared = open_prepared(config.data.prepared)
    network = build_network(config.network)
    levels = brightness(prepared)
    network.load_state_dict({"levels": levels + blur})
    run = config.run(method, 0, 0)
    label_split = cases_of(config, config.methods[method], prepared, 0)
    state = SimpleNamespace(seconds=60.0, resumed=0)
    record = record_of(config, run, prepared, label_split, state, place(config.compute))
    earlier = {step: {"levels": levels + 0.3 * (step + 1)} for step in range(snapshots)}
    save_model(run.model, TrainedModel(config.network, {"network": network}, record, earlier))
    return run


def brightness(prepared: Prepared) -> Tensor:
    """The mean of each class over the training cases."""
    images, labels = zip(*[(prepared.read_image(c), prepared.read_label(c)) for c in prepared.split.train], strict=True)
    image, label = np.stack(images), np.stack(labels)
    return torch.tensor([float(image[label == n].mean()) for n in range(label.max() + 1)])
