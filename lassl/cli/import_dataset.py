"""Reads dataset.json of an nnU-Net or Decathlon folder: the channels, the structures, and the cases."""

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lassl.cli.import_files import Cases, Files, find_cases
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import read_text

Structures = dict[str, tuple[int, ...]]  # name -> values in a label


@dataclass(frozen=True)
class Dataset:
    """What dataset.json (`path`) names: channels, structures without the background, cases with and without label."""

    path: Path
    channels: tuple[str, ...]
    structures: Structures
    labeled: Cases
    unlabeled: Cases

    def together(self, files: Files) -> bool:
        """Whether the only image of a case has all of several channels."""
        return len(files.images) == 1 < len(self.channels)

    def image(self, files: Files, channel: int) -> Path:
        """The file that has a channel of a case."""
        return files.images[0 if self.together(files) else channel]


def read_dataset(folder: Path) -> Dataset:
    """Read dataset.json, of either style, and find its cases. Raises LasslError."""
    path = folder / "dataset.json"
    values = _read(path)
    channels, structures = _channels(path, values), _structures(path, values.get("labels"))
    return Dataset(path, channels, structures, *find_cases(path, values, channels))


def chosen_channels(dataset: Dataset, asked: str | None) -> dict[str, int]:
    """The channel with a number or a name, or all: the name of its file in a cohort -> its number. Raises LasslError.

    A single one is called image. Several have their names in dataset.json, in lower case and made safe; where these are
    not different, they are called channel_0, channel_1, ...
    """
    names = [name.lower() for name in dataset.channels]
    if asked is None and len(names) > 1:
        safe = [re.sub(r"[^\w-]+", "_", name).strip("_-") for name in names]
        if "" in safe or "label" in safe or len(set(safe)) < len(safe):
            safe = [f"channel_{i}" for i in range(len(names))]
        return {name: i for i, name in enumerate(safe)}
    shown = ", ".join(f"{i} ({name})" for i, name in enumerate(dataset.channels))
    if asked is None or (asked.isdecimal() and int(asked) < len(names)):
        return {"image": int(asked or 0)}
    if names.count(asked.lower()) == 1:
        return {"image": names.index(asked.lower())}
    raise LasslError(f"--channel: found '{asked}', expected one of {shown}; give its number or its name")


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise LasslError(
            f"{path}: not found, expected the description of a folder of nnU-Net or of the Medical Segmentation "
            "Decathlon; give the folder that has it"
        )
    try:
        values = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise LasslError(f"{path}: not valid JSON ({error}); correct it, or copy it again") from None
    if not isinstance(values, dict):
        raise LasslError(f"{path}: found no keys, expected channel_names (or modality) and labels; copy it again")
    return values


def _channels(path: Path, values: dict[str, Any]) -> tuple[str, ...]:
    """The names of the channels in order: `channel_names` of nnU-Net, `modality` of the Decathlon."""
    names = values.get("channel_names", values.get("modality"))
    if not isinstance(names, dict) or not names or set(names) != {str(i) for i in range(len(names))}:
        raise LasslError(
            f"{path}: channel_names (or modality): found {json.dumps(names)}, expected a name for each number from 0, "
            'as in {"0": "MRI"}; correct it'
        )
    return tuple(str(names[str(i)]) for i in range(len(names)))


def _structures(path: Path, labels: Any) -> Structures:
    """The structures in `labels`: {"1": "liver"} of the Decathlon, {"liver": 1} or {"liver": [1, 2]} of nnU-Net."""
    if not isinstance(labels, dict):
        form = '{"background": 0, "liver": 1}'
        raise LasslError(f"{path}: labels: found {json.dumps(labels)}, expected names and values, as in {form}")
    numbers_first = all(key.isdecimal() and not isinstance(value, int | list) for key, value in labels.items())
    structures: Structures = {}
    for key, value in labels.items():
        label, number = (value, int(key)) if numbers_first else (key, value)
        values = number if isinstance(number, list) else [number]
        if values == [0]:
            continue
        name = re.sub(r"[^\w-]+", "_", label if isinstance(label, str) else "").strip("_-")
        if problem := _problem(name, values):
            raise LasslError(f"{path}: labels: found {json.dumps({key: value})}, {problem}")
        if name in structures:
            raise LasslError(f"{path}: labels: two structures are called {name}; rename one")
        structures[name] = tuple(values)
    counts = Counter(value for values in structures.values() for value in values)
    if shared := [value for value, count in counts.items() if count > 1]:
        names = " and of ".join(name for name, values in structures.items() if shared[0] in values)
        raise LasslError(
            f"{path}: labels: value {shared[0]} is one of {names}, but regions that overlap cannot be learned here; "
            "give each value to one structure"
        )
    if not structures:
        raise LasslError(f"{path}: labels: found only background, expected a structure; name it with its value")
    return structures


def _problem(name: str, values: list[Any]) -> str:
    """Say what is wrong with a structure, and what to do; empty if nothing is."""
    if not name:
        return "a value without a name; name the structure"
    if not values or not all(type(value) is int and value > 0 for value in values):
        return "expected whole numbers above 0; correct it"
    if name.lower() == "background":
        return "expected background to be 0; correct it"
    if name.lower() == "ignore":
        return (
            "which marks voxels that nobody labeled, but all voxels of a label are learned; leave this value out if "
            "no label has it, else keep such cases in imagesTs"
        )
    return ""
