"""`lassl.load`: a trained model that segments scans."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, overload

import SimpleITK as sitk

from lassl.data.raw import image_problems
from lassl.images.geometry import Array, Geometry, Volume
from lassl.images.volumes import to_image, volume_of
from lassl.plumbing.errors import LasslError
from lassl.predict.model import Ready, doubts_of, maps_of, ready, spoiling
from lassl.predict.scan_files import MASK, read_scan
from lassl.predict.task import PROBABILITY, UNCERTAINTY

Scan = str | Path | sitk.Image


@dataclass(frozen=True)
class Maps:
    """The mask of a scan and the maps that were asked for, images of SimpleITK on the scan's grid.

    The mask is uint8, 0 and 1. Maps are float32 and NaN where nobody looked: a model that learned from crops sees a
    crop of a larger scan. `probability` is that of the foreground, in [0, 1]. `uncertainty` is the entropy, in nats, of
    the mean of several passes with dropout, in [0, ln 2].
    """

    mask: sitk.Image
    probability: sitk.Image | None = None
    uncertainty: sitk.Image | None = None


def load(
    model: str | Path,
    *,
    network: str = "default",
    device: Literal["auto", "cpu", "cuda"] = "auto",
    precision: Literal["bf16", "fp32"] | None = None,
    stride: tuple[int, int, int] | None = None,
    memory_gib: float = 4.0,
) -> "Model":
    """Load a trained model; runs no code from its file.

    `model` is "atrium", which comes with lassl; a run of this folder, such as "quick/cps-d0-s0"; or a file. `network`
    is one of the model's by its name, or "ensemble", the mean of all. `precision` is by default that of the training,
    or fp32 on a CPU without bf16. `stride` is the window's, in pooled voxels, by default that of the evaluation.
    `memory_gib` bounds the arrays of a scan; a larger scan is segmented piece by piece. On a GPU it sets, for the whole
    process, that fp32 is not TF32, that cuDNN tries which algorithms are fastest, and that they need not be
    deterministic. Raises LasslError.
    """
    if not memory_gib > 0:
        raise LasslError(f"memory_gib: found {memory_gib}, expected a number above 0")
    found = ready(str(model), network, device, precision, stride)
    return Model(replace(found, task=replace(found.task, memory_gib=memory_gib)))


class Model:
    """A trained model, ready to segment; `load` makes it."""

    def __init__(self, ready: Ready):
        self._ready = ready

    @property
    def volumes_ml(self) -> tuple[float, float] | None:
        """The smallest and the largest volume (mL) of the labels it learned from; None where that is not known."""
        return self._ready.volumes_ml

    @overload
    def segment(
        self,
        scan: Scan,
        *,
        probability: Literal[False] = False,
        uncertainty: Literal[False] = False,
        passes: int = 8,
        largest_component: bool = False,
        normalized: bool = False,
    ) -> sitk.Image: ...

    @overload
    def segment(
        self,
        scan: Scan,
        *,
        probability: bool = False,
        uncertainty: bool = False,
        passes: int = 8,
        largest_component: bool = False,
        normalized: bool = False,
    ) -> Maps: ...

    def segment(
        self,
        scan: Scan,
        *,
        probability: bool = False,
        uncertainty: bool = False,
        passes: int = 8,
        largest_component: bool = False,
        normalized: bool = False,
    ) -> sitk.Image | Maps:
        """Segment a scan: a path (NRRD, NIfTI, MetaImage, or a folder with a DICOM series) or an image of SimpleITK.

        Gives the mask, uint8 (0 and 1), on the scan's own grid; with `probability` or `uncertainty` the mask and those
        maps, see Maps. The uncertainty takes `passes` further passes, each as long as the segmentation.
        `largest_component` keeps the largest part of the mask alone. A `normalized` scan is taken as it is, others are
        normalized to mean 0 and standard deviation 1. Any spacing and orientation will do. A mask that can hardly be
        right is told by a UserWarning: one that is empty, or far from the volumes of the training. Raises LasslError.
        """
        if uncertainty and passes < 1:
            raise LasslError(f"passes: found {passes}, expected 1 or more")
        name, volume = _volume(scan)
        task = replace(self._ready.task, normalized=normalized, passes=passes if uncertainty else 0)
        arrays = maps_of(name, volume, task, largest_component)
        doubts = doubts_of(Volume(arrays[MASK], volume.geometry), self.volumes_ml)
        for doubt in [*doubts, *spoiling(volume, task)]:
            warnings.warn(f"{name}: {doubt}", stacklevel=2)
        mask = _image(arrays[MASK], volume.geometry)
        if not probability and not uncertainty:
            return mask
        return Maps(
            mask,
            _image(arrays[PROBABILITY], volume.geometry) if probability else None,
            _image(arrays[UNCERTAINTY], volume.geometry) if uncertainty else None,
        )


def _volume(scan: Scan) -> tuple[str, Volume]:
    """Give what messages call a scan, and its voxels. Raises LasslError."""
    if isinstance(scan, str | Path):
        with _no_warnings_of_simpleitk():
            return str(scan), read_scan(Path(scan))
    if not isinstance(scan, sitk.Image):
        raise LasslError(
            f"scan: found a {type(scan).__name__}, expected a path or an image of SimpleITK, which says where its "
            "voxels lie; make one with SimpleITK.GetImageFromArray and SetSpacing"
        )
    path = Path("scan")
    volume = volume_of(path, scan)
    if problems := list(image_problems(path, volume.array)):
        raise LasslError("\n".join(problems))
    return str(path), volume


def _image(array: Array, geometry: Geometry) -> sitk.Image:
    return to_image(Volume(array, geometry))


@contextmanager
def _no_warnings_of_simpleitk() -> Iterator[None]:
    """Keep SimpleITK from writing to stderr: what matters of it is checked and told in one line."""
    before = sitk.ProcessObject.GetGlobalWarningDisplay()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalWarningDisplay(before)
