"""A prepared cohort with three structures, and models of them whose weights nobody trained."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from helpers.trainings import settings
from lassl.data.prepare import prepare
from lassl.images.geometry import Geometry, Volume
from lassl.images.volumes import write_volume
from lassl.model.record import Cohort, Settings, Trained, Training
from lassl.model.trained import TrainedModel, save_model
from lassl.model.vnet import VNet
from lassl.paths import Run
from lassl.seeds import stream
from lassl.settings.config import Config
from lassl.settings.sections import Data

STRUCTURES = {"liver": (40, 41), "left-kidney": (300,), "right-kidney": (7,)}
VALUES = {"liver": 40, "left-kidney": 300, "right-kidney": 7}
SPACING = (0.625, 0.625, 0.625)
SIZE = (24, 20, 18)
COMPUTED = {"seconds": 1.0, "peak_memory_mib": 1, "device": "a", "threads": 1, "cores": 1}
VERSIONS = {"python": "3", "torch": "2", "numpy": "2", "resumed": 0}


def label_of(case: str) -> np.ndarray:
    """The values of three structures in boxes; in case N3 one is missing."""
    label = np.zeros(SIZE, np.int16)
    label[3:9, 3:9, 3:12], label[3:9, 9:12, 3:12] = 40, 41
    label[14:20, 3:8, 4:14] = 300
    if case != "N3":
        label[14:20, 12:17, 4:10] = 7
    label[22:, 18:, 16:] = 99  # of no structure
    return label


def cohort(folder: Path, **changes: Any) -> Data:
    """Prepare cohort `trio` in the current folder from raw scans in `folder`: three training cases and a test case."""
    for case in ("N1", "N2", "N3", "T1"):
        label = label_of(case)
        image = stream(0, "several", case).integers(0, 60, SIZE) + 10 * (label > 0)
        write_volume(folder / case / "image.nrrd", Volume(image.astype(np.int16), Geometry(SPACING)))
        write_volume(folder / case / "label.nrrd", Volume(label, Geometry(SPACING)))
    (folder / "split.csv").write_text("case,split\nN1,train\nN2,train\nN3,train\nT1,test\n")
    options = {"crop": "none", "crop_z": True, "margin": (0, 0), "margins": "seeded", "min_size": (16, 16, 16)}
    place = {"cohort": "trio", "folder": folder, "split": folder / "split.csv", "seed": 0, "structures": STRUCTURES}
    data = Data.model_validate({**place, **options, **changes})
    prepare(data)
    return data


def network(classes: int = 4, seed: int = 0, width: int = 2) -> VNet:
    """A V-Net with random weights that finds every class in noise."""
    torch.manual_seed(seed)
    net = VNet(width=width, residual=True, dropout=0.5, classes=classes).eval()
    with torch.no_grad():
        net.head[1].weight *= 30
        logits = net(torch.randn(1, 1, 32, 32, 32))
        net.head[1].bias -= logits.mean((0, 2, 3, 4))
        net.head[1].bias[0] += logits.std()
    return net


def config_of(data: Data, **changes: Any) -> Config:
    """The settings of small trainings on a cohort."""
    return settings(data, **({"network": {"width": 2, "residual": True, "dropout": 0.5}} | changes))


def save_run(data: Data, manifest_hash: str, seed: int = 0, method: str = "vnet_16", **changes: Any) -> Run:
    """Write the model of a run on a cohort, as training does; gives the run."""
    config = config_of(data, **changes)
    run = config.run(method, 0, seed)
    named = data.structures if data.structures and len(data.structures) > 1 else None
    record = Trained(
        **run.model_dump(),
        settings=Settings.of(config, method),
        cohort=Cohort(
            name=data.cohort,
            hash=manifest_hash,
            spacing_mm=SPACING,
            orientation="LPS",
            **({"structures": named} if named else {}),
        ),
        labeled=("N1", "N2", "N3"),
        held_out=(),
        training=Training.model_validate(COMPUTED | VERSIONS | {"precision": "fp32"}),
    )
    run.model.parent.mkdir(parents=True, exist_ok=True)
    save_model(run.model, TrainedModel(config.network, {"network": network(config.network.classes, seed)}, record))
    return run
