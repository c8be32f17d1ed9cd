"""Finds the files of the cases of an nnU-Net or Decathlon folder: imagesTr, labelsTr and imagesTs."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lassl.images.names import SUFFIXES, case_problem
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import unreadable

IMAGES, LABELS, FURTHER = "imagesTr", "labelsTr", "imagesTs"
READ = tuple(suffix for suffix in SUFFIXES if suffix != ".mhd")  # through a link, .mhd would not find its voxels
CHANNEL = re.compile(r"(.+)_\d{4}")  # nnU-Net's name of an image: case and channel


@dataclass(frozen=True)
class Files:
    """The files of a case: an image for each channel, or one with all of them; the label, if there is one."""

    images: tuple[Path, ...]
    label: Path | None = None


Cases = dict[str, Files]


def find_cases(path: Path, values: Mapping[str, Any], channels: Sequence[str]) -> tuple[Cases, Cases]:
    """Find the cases with a label and those of imagesTs, from the content of dataset.json (`path`).

    Hidden files, as macOS leaves them, are ignored. Raises LasslError with a line for each problem.
    """
    if locked := list(unreadable(path.parent / name for name in (IMAGES, LABELS, FURTHER))):
        raise LasslError("\n".join(locked))
    labeled, problems = _labeled(path, values)
    numbered = any(len(f.images) > 1 or _is_channel(f.images[0], case) for case, f in labeled.items())
    unlabeled, more = _unlabeled(path, values, numbered)
    problems += [*more, *_left_over(path.parent, labeled)]
    for case, files in [*labeled.items(), *unlabeled.items()]:
        problems += _channel_problems(path, case, files, channels)
        if wrong := case_problem(case):
            problems.append(f"{files.images[0]}: case {case!r} {wrong}")
    problems += [
        f"{unlabeled[case].images[0]}: case {case} is also in {IMAGES}; keep one of the two, or rename it"
        for case in sorted(labeled.keys() & unlabeled.keys())
    ]
    if problems:
        raise LasslError("\n".join(problems))
    return labeled, unlabeled


def stem(path: Path | str) -> str:
    """The name of an image file without its suffix."""
    name = Path(path).name
    return name[: len(name) - len(next((suffix for suffix in READ if name.lower().endswith(suffix)), ""))]


def _labeled(path: Path, values: Mapping[str, Any]) -> tuple[dict[str, Files], list[str]]:
    """The training cases by name, and problems of what dataset.json says of them."""
    folder = path.parent
    if not (folder / LABELS).is_dir() and "dataset" not in values:
        raise LasslError(f"{folder / LABELS}: not found, expected the labels of {IMAGES}; copy the complete folder")
    images, entries = _by_case(folder / IMAGES), list(_entries(path, values))
    problems = _wrong_number(path, "numTraining", values, len(entries), "training cases")
    if not entries:
        problems.append(f"{folder / LABELS}: found no label ({', '.join(READ)}); copy the complete folder")
    cases: dict[str, Files] = {}
    for case, names, label in entries:
        if case in cases:
            problems.append(f"{path}: case {case} is listed twice; keep one of the two")
        found = tuple(folder / name for name in names)
        if not all(image.is_file() for image in found):  # the Decathlon's lists name images without a channel
            found = images.get(stem(names[0]), found)
        cases[case] = Files(found, folder / label)
    files = [file for case in cases.values() for file in (*case.images, case.label) if file]
    return cases, problems + _absent(path, files)


def _entries(path: Path, values: Mapping[str, Any]) -> Iterator[tuple[str, list[str], str]]:
    """Case, images and label: of `training` (Decathlon), of `dataset` (nnU-Net), or of the files in labelsTr."""
    training = values.get("training")
    if isinstance(training, list):
        for entry in training:
            images, name = _entry(path, entry)
            yield stem(name), images, name
    elif isinstance(values.get("dataset"), dict):
        for case, entry in values["dataset"].items():
            yield case, *_entry(path, entry)
    else:
        for case, label in _stems(path.parent / LABELS).items():
            yield case, [f"{IMAGES}/{label.name}"], f"{LABELS}/{label.name}"


def _entry(path: Path, entry: Any) -> tuple[list[str], str]:
    """The images and the label of a case in dataset.json."""
    if isinstance(entry, dict) and isinstance(label := entry.get("label"), str):
        images = entry.get("images", [entry.get("image")])
        if isinstance(images, list) and images and all(isinstance(image, str) for image in images):
            return images, label
    raise LasslError(f"{path}: found {json.dumps(entry)}, expected the image and the label of a case; correct it")


def _unlabeled(path: Path, values: Mapping[str, Any], numbered: bool) -> tuple[dict[str, Files], list[str]]:
    """The cases of imagesTs, whose names end in a channel if `numbered`, and problems of the list `test`."""
    images, stems = _by_case(path.parent / FURTHER), _stems(path.parent / FURTHER)
    listed = values.get("test")
    entries = [e.get("image") if isinstance(e, dict) else e for e in listed] if isinstance(listed, list) else []
    problems = _wrong_number(path, "numTest", values, len(entries), "entries of test") if entries else []
    problems += _absent(path, [path.parent / str(name) for name in entries if stem(str(name)) not in images])
    cases = dict.fromkeys(CHANNEL.sub(r"\1", name) if numbered else name for name in stems)
    return {case: Files(images[case]) for case in cases}, problems


def _absent(path: Path, files: Sequence[Path]) -> list[str]:
    """A line if some of the files are missing."""
    absent = [file for file in files if not file.is_file()]
    many = f" ({len(absent)} files are missing in all)" if len(absent) > 1 else ""
    return [f"{absent[0]}: not found{many}, but {path} expects it; add it, or correct dataset.json"] if absent else []


def _wrong_number(path: Path, key: str, values: Mapping[str, Any], found: int, what: str) -> list[str]:
    """A line if dataset.json gives another number than there is."""
    if values.get(key, found) == found:
        return []
    return [f"{path}: {key} is {json.dumps(values[key])}, but found {found} {what}; correct it, or add what is missing"]


def _stems(folder: Path) -> dict[str, Path]:
    """The image files of a folder by their names without suffix. Raises LasslError if two have the same."""
    stems: dict[str, Path] = {}
    for path in sorted(folder.glob("[!.]*")):
        if not path.name.lower().endswith(READ):
            continue
        if (name := stem(path)) in stems:
            raise LasslError(f"{path}: {stems[name].name} is the same case; keep only one of the two")
        stems[name] = path
    return stems


def _by_case(folder: Path) -> dict[str, tuple[Path, ...]]:
    """The images of a folder by case: the file of that name, or those with a channel at the end of it, in order."""
    found: dict[str, tuple[Path, ...]] = {}
    stems = _stems(folder)
    for name, path in stems.items():
        case = CHANNEL.sub(r"\1", name)
        found[case] = (*found.get(case, ()), path)
    return found | {name: (path,) for name, path in stems.items()}


def _left_over(folder: Path, labeled: Cases) -> Iterator[str]:
    """A line for images and one for labels of the training folders that belong to no case."""
    used = {file for files in labeled.values() for file in (*files.images, files.label)}
    for name, cure in ((IMAGES, f"add the label, or move it to {FURTHER}"), (LABELS, "name it in dataset.json")):
        if others := [path for path in _stems(folder / name).values() if path not in used]:
            many = f" (nor do {len(others) - 1} others)" if len(others) > 1 else ""
            yield f"{others[0]}: does not belong to a training case{many}; {cure}, or remove it"


def _channel_problems(path: Path, case: str, files: Files, channels: Sequence[str]) -> Iterator[str]:
    """A line if a case has several files, or one of a channel, but not one for each channel."""
    names = [stem(image) for image in files.images]
    expected = [f"{case}_{i:04}" for i in range(len(channels))]
    if len(names) not in (1, len(channels)) or (_is_channel(files.images[0], case) and names != expected):
        yield (
            f"{files.images[0]}: found {', '.join(names)}, but {path} names {len(channels)} channel(s), expected "
            f"{', '.join(expected)}; add or remove files, or correct channel_names"
        )


def _is_channel(image: Path, case: str) -> bool:
    """Whether an image is named after its case and a channel."""
    match = CHANNEL.fullmatch(stem(image))
    return match is not None and match[1] == case
