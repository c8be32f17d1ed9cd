"""`python -m benchmarks.whole_scans MODEL`: what a network that learned from crops does in a larger field.

Cases of the prepared cohort, which are crops around the label, are pasted into a field of the size of a whole scan;
what is around them is invented. By default these are the last training cases, so that a way to predict can be chosen
by them: a model that learned from them scores higher than on others, with and without a field. Printed are the mean
Dice of the crop alone, and for each surrounding that of one pass, of its largest component, and of two passes.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from medpy.metric import binary
from scipy import ndimage
from tqdm import tqdm

from lassl.data.prepared import open_prepared
from lassl.images.components import largest_component
from lassl.images.geometry import Array, Geometry, Volume, directions
from lassl.model.record import Trained
from lassl.model.start import find_model
from lassl.paths import prepared_folder
from lassl.plumbing.errors import command
from lassl.plumbing.machine import machine
from lassl.plumbing.tables import grid
from lassl.predict.model_file import read_exported
from lassl.predict.segment import segment
from lassl.predict.task import PROBABILITY, Task, placement_for
from lassl.seeds import stream

SIDE = 576  # voxels in plane of most scans of the challenge
OFF_CENTER = 40  # voxels at most, along x and y, between the middles of crop and field
Surroundings = Callable[[Array, Array, np.random.Generator, Sequence[int]], Array]


def mean(image: Array, label: Array, chance: np.random.Generator, size: Sequence[int]) -> Array:
    """The mean intensity of a normalized scan everywhere, as in the field of view `padded`."""
    return np.zeros(size, np.float32)


def air(image: Array, label: Array, chance: np.random.Generator, size: Sequence[int]) -> Array:
    """The lowest intensity of the crop everywhere."""
    return np.full(size, image.min(), np.float32)


def noise(image: Array, label: Array, chance: np.random.Generator, size: Sequence[int]) -> Array:
    """Blurred noise with mean and standard deviation of the crop."""
    blurred = ndimage.gaussian_filter(chance.standard_normal(size, np.float32), 2)
    result: Array = (blurred / blurred.std() * image.std() + image.mean()).astype(np.float32)
    return result


def anatomy(image: Array, label: Array, chance: np.random.Generator, size: Sequence[int]) -> Array:
    """The slices of the crop below the label, mirrored again and again: liver, ventricles, vessels, and no atrium."""
    below = image[:, :, : max(ndimage.find_objects(label)[0][2].start, 1)]
    return np.pad(below, [(0, max(n - m, 0)) for n, m in zip(size, below.shape, strict=True)], "symmetric")[
        tuple(slice(n) for n in size)
    ]


SURROUNDINGS: dict[str, Surroundings] = {"mean": mean, "air": air, "noise": noise, "anatomy": anatomy}


def pasted(image: Array, label: Array, surroundings: Surroundings, case: str) -> tuple[Array, Array]:
    """Put a crop (X, Y, Z) and its label somewhere near the middle of a field; along z nothing is added."""
    chance = stream(0, "field", case)
    size = [max(SIDE, n) for n in image.shape[:2]] + [image.shape[2]]
    starts = [int(np.clip((n - m) // 2 + chance.integers(-OFF_CENTER, OFF_CENTER + 1), 0, n - m))
              for n, m in zip(size, image.shape, strict=True)]  # fmt: skip
    place = tuple(slice(start, start + n) for start, n in zip(starts, image.shape, strict=True))
    field, whole_label = surroundings(image, label, chance, size), np.zeros(size, np.uint8)
    field[place], whole_label[place] = image, label
    return field, whole_label


def ways(image: Array, label: Array, task: Task, fields: Sequence[str], case: str) -> Iterator[tuple[str, float]]:
    """Give the Dice in percent of each way to segment a case, by the way's name."""
    one_pass = replace(task, settings=task.settings.model_copy(update={"crop": None}))
    code, spacing_mm = task.settings.orientation, task.settings.spacing_mm
    place = Geometry(spacing_mm, direction=directions(code))

    def mask(array: Array, asked: Task) -> Array:
        found: Array = segment(Volume(array, place), asked)[PROBABILITY][0] > 0.5
        return found

    alone = mask(image, one_pass)
    yield "crop alone", 100 * binary.dc(alone, label)
    own = (image - image.mean()) / image.std()
    yield "crop alone, normalized by itself", 100 * binary.dc(mask(own, one_pass), label)
    for name in fields:
        field, whole_label = pasted(image, label, SURROUNDINGS[name], case)
        found = mask(field, one_pass)
        yield f"{name}: one pass", 100 * binary.dc(found, whole_label)
        yield f"{name}: largest component", 100 * binary.dc(largest_component(found), whole_label)
        yield f"{name}: two passes", 100 * binary.dc(mask(field, task), whole_label)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is asked for and print a table. Raises LasslError."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.whole_scans", description=__doc__)
    parser.add_argument("model", metavar="MODEL", help="as for lassl predict")
    parser.add_argument("--cases", type=int, default=16, help="so many (default: 16)")
    parser.add_argument("--test", action="store_true", help="test cases: once all is chosen")
    parser.add_argument("--around", nargs="+", choices=SURROUNDINGS, default=list(SURROUNDINGS), help="default: all")
    asked = parser.parse_args(arguments)
    exported = read_exported(find_model(asked.model))
    model, placement = exported.model, placement_for(exported.settings)
    if not isinstance(model.record, Trained):
        parser.error(f"{asked.model} was trained elsewhere, on scans that are not known here; expected a run of ours")
    network = placement.module(model.networks[model.default]).eval()
    task = Task({model.default: network}, exported.settings, placement, normalized=True)
    prepared = open_prepared(prepared_folder(model.record.cohort.name), 0 if asked.test else asked.cases)
    cases = prepared.split.test[: asked.cases]
    print(", ".join(f"{key} {value}" for key, value in machine(torch.device("cpu")).items()))
    print(f"{asked.model}, {'test' if asked.test else 'training'} cases {', '.join(cases)}\n")
    scores: dict[str, list[float]] = {}
    for case in tqdm(cases, desc="cases", unit="case"):
        for way, dice in ways(prepared.read_image(case), prepared.read_label(case), task, asked.around, case):
            scores.setdefault(way, []).append(dice)
    rows = [[way, f"{np.mean(found):.2f}", f"{min(found):.2f}"] for way, found in scores.items()]
    print(grid(["way", "mean Dice [%]", "lowest"], rows))


if __name__ == "__main__":
    command(main)
