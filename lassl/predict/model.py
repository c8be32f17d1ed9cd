"""A trained model, ready to segment: networks on their device, and what is known of the labels they learned from."""

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from lassl.evaluation.inference import decided
from lassl.images.components import largest_of_each
from lassl.images.geometry import Array, Triple, Volume, channels_of, volume_ml
from lassl.images.intensities import standing_apart
from lassl.images.structures import with_values
from lassl.model.start import find_model
from lassl.plumbing.errors import LasslError
from lassl.plumbing.tables import significant
from lassl.predict.model_file import Exported, read_exported
from lassl.predict.scan_files import MASK
from lassl.predict.segment import segment
from lassl.predict.settings import PredictSettings, Range, Volumes
from lassl.predict.task import PROBABILITY, Task, placement_for

FAR = 2  # times smaller or larger than any label of the training: hardly the same structure
FREE = ("batch", "channels_last")  # settings that may differ in an ensemble


@dataclass(frozen=True)
class Ready:
    """A task that can be done, and the smallest and largest volume (mL) of the labels that the model learned from.

    `volumes_ml` is None where the volumes are not known.
    """

    task: Task
    volumes_ml: Volumes | None

    @property
    def structures(self) -> dict[str, int] | None:
        """The names of several structures, and their values in masks; None: there is one, 1."""
        return self.task.settings.structures


def ready(
    names: Sequence[str],
    network: str = "default",
    device: str = "auto",
    precision: str | None = None,
    stride: Triple | None = None,
) -> Ready:
    """Find models, read them, and bring the networks that were asked for to their device; of several it is the mean.

    `names` are as in `find_model`, `network` as in `TrainedModel.named`, `device` and `precision` as in
    `placement_for`; `stride` is the window's in pooled voxels, by default that of the models' evaluation. Raises
    LasslError, also for models that do not go together.
    """
    models: dict[Path, Exported] = {}
    for name in names:
        if (path := find_model(name).resolve()) in models:
            raise LasslError(f"{name}: is named twice; an ensemble takes different models")
        models[path] = read_exported(path)
    given = {"stride": stride, "precision": precision}
    found = {name: model.settings for name, model in zip(names, models.values(), strict=True)}
    settings = agreed(found, [key for key, value in given.items() if value])
    if stride:
        if any(s > w for s, w in zip(stride, settings.window, strict=True)):
            raise LasslError(f"--stride: found {stride}, the window is {settings.window}; give no more than that")
        settings = settings.model_copy(update={"stride": stride})
    placement = placement_for(settings, device, precision)
    placed = {}
    for name, exported in zip(names, models.values(), strict=True):
        key, before = ("--network", "") if len(names) == 1 else (f"{name}: --network", f"{name}/")
        for member, module in exported.model.members(exported.model.named(network, key)).items():
            placed[before + member] = placement.module(module).eval()
    return Ready(Task(placed, settings, placement), widest([model.volumes_ml for model in models.values()]))


def agreed(models: Mapping[str, PredictSettings], given: Collection[str]) -> PredictSettings:
    """The settings of models that segment together, by their names; those that are `given` may differ.

    Raises LasslError with all that differs from the first model.
    """
    (first, settings), *others = models.items()
    expected = settings.model_dump(mode="json")
    for name, other in others:
        found = other.model_dump(mode="json")
        texts = {key: [json.dumps(each.get(key)) for each in (expected, found)] for key in PredictSettings.model_fields}
        unlike = [key for key, (a, b) in texts.items() if a != b and key not in (*FREE, *given)]
        if unlike:
            told = "; ".join(f"{key} {texts[key][1]}, not {texts[key][0]}" for key in unlike)
            raise LasslError(f"{name}: differs from {first} in {told}; models of an ensemble must agree in these")
    return settings


def widest(volumes: Sequence[Volumes | None]) -> Volumes | None:
    """The range of volumes of several models together, by structure if several; None if one does not know it."""
    known = [each for each in volumes if each is not None]
    if len(known) < len(volumes):
        return None
    of_several = [each for each in known if isinstance(each, dict)]
    if of_several:
        return {name: joined([each[name] for each in of_several]) for name in of_several[0]}
    return joined([each for each in known if not isinstance(each, dict)])


def joined(ranges: Sequence[Range]) -> Range:
    """The smallest range that has all of these."""
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def maps_of(scan: str | Path, volume: Volume, task: Task, largest: bool) -> dict[str, Array]:
    """Segment a scan; `scan` is its path or another name for messages. Raises LasslError, also for other channels.

    Gives maps (X, Y, Z): the probability of each structure under its name in `Task.probabilities`, the uncertainty if
    it is asked for, and the mask. A voxel of the mask has the value of its most probable class, see `decided`; with
    `largest` the largest part of each structure remains. With one structure it is of 0 and 1, uint8.
    """
    check_channels(scan, volume, task)
    try:
        maps = segment(volume, task)
        probabilities = maps.pop(PROBABILITY)
        classes = decided(probabilities)
        if largest:
            classes = largest_of_each(classes, len(probabilities))
        values = {name: (value,) for name, value in (task.settings.structures or {}).items()}
        mask = with_values(Volume(classes, volume.geometry), values).array
    except (MemoryError, torch.OutOfMemoryError):
        advice = "lower --memory (memory_gib), or use --device cpu"
        raise LasslError(f"{scan}: the memory does not suffice; {advice}") from None
    by_name = dict(zip(task.probabilities, probabilities, strict=True))
    return by_name | {name: array[0] for name, array in maps.items()} | {MASK: mask}


def check_channels(scan: str | Path, volume: Volume, task: Task) -> None:
    """Raise LasslError for a scan with more or fewer channels than the networks see."""
    found, names = len(channels_of(volume.array)), task.settings.channels
    if found != task.channels:
        several = f"{task.channels}: {', '.join(names or ())}, in this order, as in t1.nii.gz,flair.nii.gz"
        raise LasslError(
            f"{scan}: found {found} channel{'s' * (found > 1)}, the model expects "
            f"{several if task.channels > 1 else 'one'}; give a scan's files as the model's training had them"
        )


def volumes_in(mask: Volume, structures: Mapping[str, int] | None) -> dict[str, float]:
    """The volume (mL) of each of several structures in a mask; nothing where there is one."""
    return {name: volume_ml(part) for name, part in parts_in(mask, structures).items() if name}


def parts_in(mask: Volume, structures: Mapping[str, int] | None) -> dict[str, Volume]:
    """The mask of each structure by its name; of the only one, which has no name, the mask itself."""
    if not structures:
        return {"": mask}
    return {name: Volume(mask.array == value, mask.geometry) for name, value in structures.items()}


def doubts_of(mask: Volume, model: Ready) -> Iterator[str]:
    """Say why a mask can hardly be right: it is empty, or far smaller or larger than labels of the training.

    Each of several structures is looked at; one that some labels of the training lack may be empty.
    """
    for name, part in parts_in(mask, model.structures).items():
        ml, what = volume_ml(part), f"{name}: the mask" if name else "the mask"
        known_ml = model.volumes_ml.get(name) if isinstance(model.volumes_ml, dict) else model.volumes_ml
        low, high = known_ml or (0, math.inf)
        known = (
            f"; labels that the model learned from have {significant(low)} to {significant(high)} mL"
            if known_ml
            else ""
        )
        if not ml:
            if low or not known_ml:
                yield f"{what} is empty, 0 mL{known}: check the scan's spacing and what it shows"
        elif not low / FAR <= ml <= high * FAR:
            yield f"{what} has {significant(ml)} mL{known}: check the mask, the scan's spacing and what it shows"


def spoiling(scan: Volume, task: Task) -> Iterator[str]:
    """Say which intensities of a scan spoil its normalization, if it is normalized and not clipped before."""
    if not task.normalized and not task.settings.clip and (apart := standing_apart(scan.array)):
        yield f"made of a scan whose intensities stand far apart: {apart}; replace padding by the value of air, or clip"
