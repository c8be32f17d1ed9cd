"""Folders as of the Medical Segmentation Decathlon and of nnU-Net, with phantoms."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lassl.images.geometry import Array, Geometry, Volume
from lassl.images.volumes import write_volume
from lassl.seeds import stream

SIZE = (24, 22, 18)
HEART = Geometry((1.25, 1.25, 1.37), (20.0, -30.0, 5.0))


def phantom(case: str, size: tuple[int, int, int] = SIZE, structures: int = 1) -> tuple[Array, Array]:
    """Noise around a bright ball, and its label, whose upper parts are of further structures."""
    chance = stream(0, "imported case", case)
    center = np.array(size) / 2 + chance.uniform(-1, 1, 3)
    grid = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), -1)
    inside = np.square((grid - center) / 5).sum(-1) < 1
    parts = np.clip(1 + (grid[..., 2] - center[2]) // 2, 1, structures)
    image = 40 + 30 * chance.random(size) + 100 * inside
    return image.astype(np.int16), (inside * parts).astype(np.uint8)


def write(path: Path, array: Array, geometry: Geometry = HEART) -> None:
    write_volume(path, Volume(array, geometry))


def decathlon(folder: Path, labeled: Sequence[str], unlabeled: Sequence[str] = (), **changes: Any) -> Path:
    """Task02_Heart: one channel, the left atrium, files of macOS beside the scans."""
    for case in labeled:
        image, label = phantom(case)
        write(folder / f"imagesTr/{case}.nii.gz", image)
        write(folder / f"labelsTr/{case}.nii.gz", label)
    for case in unlabeled:
        write(folder / f"imagesTs/{case}.nii.gz", phantom(case)[0])
    for hidden in ("imagesTr/._a.nii.gz", "labelsTr/._a.nii.gz", "imagesTs/._a.nii.gz", "._dataset.json"):
        (folder / hidden).parent.mkdir(exist_ok=True)
        (folder / hidden).write_text("of a Mac")
    content = {
        "name": "LeftAtrium",
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "left atrium"},
        "numTraining": len(labeled),
        "numTest": len(unlabeled),
        "training": [{"image": f"./imagesTr/{c}.nii.gz", "label": f"./labelsTr/{c}.nii.gz"} for c in labeled],
        "test": [f"./imagesTs/{c}.nii.gz" for c in unlabeled],
    }
    return describe(folder, content | changes)


def nnunet(
    folder: Path, labeled: Sequence[str], unlabeled: Sequence[str] = (), ending: str = ".nii.gz", **changes: Any
) -> Path:
    """A dataset of nnU-Net, version 2: names end in a channel, and dataset.json does not list the cases."""
    channels: Mapping[str, str] = changes.get("channel_names", {"0": "T1"})
    labels = changes.get("labels", {"background": 0, "body": 1, "top": 2})
    for case in (*labeled, *unlabeled):
        image, label = phantom(case, structures=len(labels) - 1)
        part = "Tr" if case in labeled else "Ts"
        for number in channels:
            write(folder / f"images{part}/{case}_{int(number):04}{ending}", image + int(number))
        if case in labeled:
            write(folder / f"labelsTr/{case}{ending}", label)
    content = {"channel_names": channels, "labels": labels, "numTraining": len(labeled), "file_ending": ending}
    return describe(folder, content | changes)


def describe(folder: Path, content: Mapping[str, Any]) -> Path:
    """Write dataset.json, without the keys whose value is None; gives the folder."""
    values = {key: value for key, value in content.items() if value is not None}
    (folder / "dataset.json").write_text(json.dumps(values))
    return folder


def edit(folder: Path, **changes: Any) -> None:
    """Change keys of dataset.json; None removes one."""
    describe(folder, json.loads((folder / "dataset.json").read_text()) | changes)
