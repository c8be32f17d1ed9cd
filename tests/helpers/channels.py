"""A prepared cohort whose cases have two channels, and runs on it."""

from pathlib import Path
from typing import Any

import numpy as np

from helpers.trainings import settings
from lassl.data.prepare import prepare
from lassl.images.geometry import Array, Geometry, Volume
from lassl.images.volumes import write_volume
from lassl.seeds import stream
from lassl.settings.config import Config
from lassl.settings.sections import Data

CHANNELS = ("t1", "flair")
SIZE = (24, 20, 18)
PLACE = Geometry((1.0, 1.0, 1.0), (3.0, -4.0, 5.0))
TRAINING, TEST = ("A", "B", "C", "D", "E", "F"), ("T", "U")


def scan(case: str) -> tuple[Array, Array, Array]:
    """The channels t1 and flair, int16 and float32, of noise around a ball that is bright in one and dark in the other.

    Then the label of the ball.
    """
    chance = stream(0, "channels", case)
    grid = np.stack(np.meshgrid(*map(np.arange, SIZE), indexing="ij"), -1)
    inside = np.linalg.norm(grid - (np.array(SIZE) - 1) / 2 - chance.uniform(-1, 1, 3), axis=-1) < 6
    t1, flair = (chance.normal(size=SIZE) for _ in range(2))
    return (100 * t1 + 300 * inside).astype(np.int16), (flair - 2 * inside).astype(np.float32), inside.astype(np.uint8)


def write_case(folder: Path, case: str) -> None:
    """Write t1.nii.gz, flair.nrrd and label.nrrd of a case."""
    t1, flair, label = scan(case)
    for name, array in {"t1.nii.gz": t1, "flair.nrrd": flair, "label.nrrd": label}.items():
        write_volume(folder / case / name, Volume(array, PLACE))


def data_of(root: Path, **changes: Any) -> Data:
    """Write six training and two test cases; gives the settings that prepare them, with absolute paths."""
    for case in (*TRAINING, *TEST):
        write_case(root / "raw", case)
    lines = [f"{case},{'test' if case in TEST else 'train'}" for case in (*TRAINING, *TEST)]
    (root / "split.csv").write_text("\n".join(["case,split", *lines]) + "\n")
    values = {
        "cohort": str(root / "prepared"), "folder": root / "raw", "split": root / "split.csv", "channels": CHANNELS,
        "crop": "none", "crop_z": True, "margin": (0, 1), "margins": "seeded", "min_size": (16, 16, 16), "seed": 0,
    }  # fmt: skip
    return Data.model_validate(values | changes)


def two_channels(root: Path, **changes: Any) -> Data:
    """The cohort, prepared."""
    data = data_of(root, **changes)
    prepare(data)
    return data


def config_of(data: Data, **changes: Any) -> Config:
    """The settings of trainings of three steps on it."""
    config = settings(data, **changes)
    return config.model_copy(update={"fields_of_view": ()})
