"""Writes a volume as a DICOM series."""

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from lassl.images.geometry import Volume
from lassl.images.volumes import to_image


def write_series(
    folder: Path,
    volume: Volume,
    series: str = "1.2.3.4",
    name: str = "LGE",
    slope: float = 1,
    intercept: float = 0,
    skip: Collection[int] = (),
    decimals: int = 12,
    more: Mapping[str, str] | None = None,
) -> Path:
    """Write a volume slice by slice as DICOM, 16 bits a voxel, under names that do not tell the slices' order.

    A voxel's value is slope times its whole number plus intercept. Slices in `skip` are left out; positions (mm) are
    rounded to `decimals`; `more` tags are the same in each slice. Gives the folder back.
    """
    image = to_image(Volume(volume.array.astype(np.float32), volume.geometry))
    d = volume.geometry.direction
    folder.mkdir(parents=True, exist_ok=True)
    for i in set(range(image.GetSize()[2])) - set(skip):
        tags = {
            "0008|0016": "1.2.840.10008.5.1.4.1.1.2",  # CT: GDCM writes no rescaled MR with its place
            "0008|0018": f"{series}.{i + 1}",
            "0008|0060": "CT",
            "0008|103e": name,
            "0020|000d": "1.2.3",
            "0020|000e": series,
            "0020|0013": str(i + 1),
            "0020|0032": "\\".join(str(round(x, decimals)) for x in image.TransformIndexToPhysicalPoint((0, 0, i))),
            "0020|0037": "\\".join(map(str, (d[0], d[3], d[6], d[1], d[4], d[7]))),
            "0028|1052": str(intercept),
            "0028|1053": str(slope),
            "0028|0100": "16",
            "0028|0101": "16",
            "0028|0102": "15",
            "0028|0103": "1",
            **(more or {}),
        }
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(str(folder / f"{series}-{(37 * i) % 97:02d}.dcm"))
        slice_ = image[:, :, i]
        for key, value in tags.items():
            slice_.SetMetaData(key, value)
        writer.Execute(slice_)
    return folder
