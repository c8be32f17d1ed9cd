"""`lassl.load`: a trained model that segments scans."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, overload

import SimpleITK as sitk

from lassl.images.geometry import Array, Geometry, Volume
from lassl.images.intensities import image_problems
from lassl.images.volumes import stacked, to_image, volume_of
from lassl.plumbing.errors import LasslError
from lassl.predict.model import Ready, doubts_of, maps_of, ready, spoiling
from lassl.predict.scan_files import MASK, read_scan
from lassl.predict.settings import Volumes
from lassl.predict.task import UNCERTAINTY

Channel = str | Path | sitk.Image
Scan = Channel | Sequence[Channel]


@dataclass(frozen=True)
class Maps:
    """The mask of a scan and the maps that were asked for, images of SimpleITK on the scan's grid.

    The mask is as `Model.segment` gives it. Maps are float32 and NaN where nobody looked: a model that learned from
    crops sees a crop of a larger scan. `probability` is that of the foreground, in [0, 1]; of a model of several
    structures it is a dictionary with an image for each name. `uncertainty` is the entropy, in nats, of the mean of
    several passes with dropout, in [0, ln K] for K classes, the background among them.
    """

    mask: sitk.Image
    probability: sitk.Image | dict[str, sitk.Image] | None = None
    uncertainty: sitk.Image | None = None


def load(
    model: str | Path,
    *others: str | Path,
    network: str = "default",
    device: Literal["auto", "cpu", "cuda"] = "auto",
    precision: Literal["bf16", "fp32"] | None = None,
    stride: tuple[int, int, int] | None = None,
    memory_gib: float = 4.0,
) -> "Model":
    """Load a trained model; runs no code from its file.

    `model` is "atrium", which comes with lassl; a run of this folder, such as "quick/cps-d0-s0"; or a file. With
    `others`, such as trainings of other seeds, probabilities are the mean of all models'; these must agree in their
    structures, windows, spacing and whatever else shapes a prediction. `network` is one of the model's by its name, or
    "ensemble", the mean of all. `precision` is by default that of the training, or fp32 on a CPU without bf16. `stride`
    is the window's, in pooled voxels, by default that of the evaluation. `memory_gib` bounds the arrays of a scan; a
    larger scan is segmented piece by piece. On a GPU it sets, for the whole process, that fp32 is not TF32, that cuDNN
    tries which algorithms are fastest, and that they need not be deterministic. Raises LasslError.
    """
    if not memory_gib > 0:
        raise LasslError(f"memory_gib: found {memory_gib}, expected a number above 0")
    found = ready([str(each) for each in (model, *others)], network, device, precision, stride)
    return Model(replace(found, task=replace(found.task, memory_gib=memory_gib)))


class Model:
    """A trained model, ready to segment; `load` makes it."""

    def __init__(self, ready: Ready):
        self._ready = ready

    @property
    def volumes_ml(self) -> Volumes | None:
        """The smallest and the largest volume (mL) of the labels it learned from; None where that is not known.

        Of a model of several structures it is a dictionary of such pairs.
        """
        return self._ready.volumes_ml

    @property
    def channels(self) -> tuple[str, ...] | None:
        """The names of the files of a scan in the training, in their order, if they were set; `segment` takes as many.

        None stands for one file.
        """
        return self._ready.task.settings.channels

    @property
    def structures(self) -> dict[str, int] | None:
        """The names of several structures, and the value of each in masks; None for one structure, whose value is 1."""
        return self._ready.structures

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

        Of several channels it is a list of these, on one grid and in the order of `channels`. Gives the mask, uint8 (0
        and 1), on the scan's own grid; a model of several structures writes their values, see `structures`, into it, in
        the smallest unsigned type that holds them. With `probability` or `uncertainty` the mask and those maps, see
        Maps. The uncertainty takes `passes` further passes, each as long as the segmentation. `largest_component` keeps
        the largest part of each structure alone. A `normalized` scan is taken as it is, others are normalized to mean 0
        and standard deviation 1. Any spacing and orientation will do. A mask that can hardly be right is told by a
        UserWarning: one that is empty, or far from the volumes of the training. Raises LasslError.
        """
        if uncertainty and passes < 1:
            raise LasslError(f"passes: found {passes}, expected 1 or more")
        name, volume = _volume(scan)
        task = replace(self._ready.task, normalized=normalized, passes=passes if uncertainty else 0)
        arrays = maps_of(name, volume, task, largest_component)
        doubts = doubts_of(Volume(arrays[MASK], volume.geometry), self._ready)
        for doubt in [*doubts, *spoiling(volume, task)]:
            warnings.warn(f"{name}: {doubt}", stacklevel=2)
        mask = _image(arrays[MASK], volume.geometry)
        if not probability and not uncertainty:
            return mask
        return Maps(
            mask,
            self._probability(arrays, volume.geometry) if probability else None,
            _image(arrays[UNCERTAINTY], volume.geometry) if uncertainty else None,
        )

    def _probability(self, arrays: Mapping[str, Array], geometry: Geometry) -> sitk.Image | dict[str, sitk.Image]:
        """The probability of the only structure, or those of several by their names."""
        images = [_image(arrays[name], geometry) for name in self._ready.task.probabilities]
        return dict(zip(self.structures, images, strict=True)) if self.structures else images[0]


def _volume(scan: Scan) -> tuple[str, Volume]:
    """Give what messages call a scan, and its voxels, of several channels (C, X, Y, Z). Raises LasslError."""
    if isinstance(scan, list | tuple) and scan:
        channels = [_channel(each, f"scan[{n}]") for n, each in enumerate(scan)]
        names = [name for name, _ in channels]
        return ", ".join(names), stacked(names, [volume for _, volume in channels])
    return _channel(scan, "scan")


def _channel(scan: object, called: str) -> tuple[str, Volume]:
    """Give what messages call a channel, an image of SimpleITK as it is `called`, and its voxels. Raises LasslError."""
    if isinstance(scan, str | Path):
        with _no_warnings_of_simpleitk():
            return str(scan), read_scan(Path(scan))
    if not isinstance(scan, sitk.Image):
        raise LasslError(
            f"{called}: found a {type(scan).__name__}, expected a path or an image of SimpleITK, which says where its "
            "voxels lie; make one with SimpleITK.GetImageFromArray and SetSpacing"
        )
    path = Path(called)
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
