"""Checks across all cases of a cohort: duplicate scans, labels used for two scans, outliers."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lassl.data.case import Case
from lassl.data.label_split import Split
from lassl.images.geometry import Array, Volume, channels_of
from lassl.images.grids import turned, unlike
from lassl.settings.sections import Data

Fingerprint = NDArray[np.float32]  # (2, SIDE**3), each of length 1
SIDE = 16  # voxels of the small copy along each axis
SAME = 0.99  # two scans correlate above this if they are one; the 100 of the challenge have 0.91 at most
COPY = 0.9999  # two scans of one patient, who was scanned twice, correlate less than this; two of the brains have 0.994
ORIENTATION = "LPS"
NAMED = 5  # how many cases of one kind a remark names
BLOCK = 1024  # rows of the table of correlations that are in memory at a time


@dataclass(frozen=True)
class Outcome:
    """A worker's result: the problems of a case, or its description.

    For comparison with other cases, if they could be read: the fingerprint of its raw image, the hash of its label,
    and a description of outlying intensities (see lassl/images/intensities.py).
    """

    problems: tuple[str, ...]
    case: Case | None = None
    scan: Fingerprint | None = None
    label_sha256: str | None = None
    apart: str = ""


def scans_twice(folder: Path, outcomes: dict[str, Outcome], patients: Mapping[str, str]) -> Iterator[str]:
    """Give a line for each case with the same scan as another case, which could leak from training to test.

    Similar scans of one of the `patients` (case -> patient) are not the same scan.
    """
    prints = {name: outcome.scan for name, outcome in outcomes.items() if outcome.scan is not None}
    for first, other, correlation in same_scans(prints, patients):
        cure = "delete one of the two from the split file"
        if correlation < COPY:
            cure += ", or name the patient of both in its column patient if one was scanned twice"
        yield f"{folder / other}: same image as case {first} (correlation of small copies: {correlation:.4f}); {cure}"


def remarks(data: Data, split: Split, outcomes: dict[str, Outcome]) -> Iterator[str]:
    """Give a line for each property of a valid cohort that may be unintended."""
    cases = {name: outcome.case for name, outcome in outcomes.items() if outcome.case}
    for line in unlike({name: case.geometry for name, case in cases.items()}):
        yield f"{line}, or leave these cases out of {data.split}"
    if absent := [name for name, case in cases.items() if not case.labeled and name not in split.withheld]:
        yield (
            f"{len(absent)} of {len(split.train)} training cases have no label and are used as unlabeled cases "
            f"({_some(absent)}); add the missing labels, or write none in the column label of {data.split}"
        )
    patients = [split.patients[case] for case in split.test if case in split.patients]
    if len(set(patients)) < len(patients):
        yield (
            f"{len(patients)} test cases are of {len(set(patients))} patients; intervals and tests take cases for "
            "independent, so keep one test case of each patient"
        )
    hashes = {name: outcome.label_sha256 for name, outcome in outcomes.items() if outcome.label_sha256}
    for first, other in same_labels(hashes):
        yield f"case {other} has exactly the same label as case {first}; check to which scan it belongs"
    if apart := [name for name, outcome in outcomes.items() if outcome.apart]:
        yield (
            f"{len(apart)} of {len(cases)} scans have outlying intensities ({_some(apart)}), for example {apart[0]}: "
            f"{outcomes[apart[0]].apart}; they distort normalization: replace padding with the value of air, or set "
            "data.normalize to {clip: [lo, hi]}"
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + ", ..." * (len(names) > NAMED)


def fingerprint(scan: Volume) -> Fingerprint | None:
    """Make a small normalized copy of a scan in two orientations; None if it has no contrast.

    It does not depend on the number format, on scale, sign or offset of the intensities, or on swapped or flipped axes.
    The first copy is oriented by the header. The second is oriented by its content alone: order and direction of its
    axes follow the first moments, which noise may swap. Of several channels only the first is looked at.
    """
    array = means(clipped(channels_of(scan.array)[0]))
    small = turned(Volume(array, scan.geometry), ORIENTATION).array.astype(np.float64)
    small -= small.mean()
    if not 0 < (length := np.linalg.norm(small)) < np.inf:
        return None
    small /= length * (np.sign(np.power(small / length, 3).sum()) or 1)
    moments = np.array([np.linspace(-1, 1, SIDE) @ np.moveaxis(small, axis, 0).sum((1, 2)) for axis in range(3)])
    backwards = tuple(axis for axis in range(3) if moments[axis] < 0)
    by_content = np.flip(small, backwards).transpose(np.argsort(np.abs(moments)))
    return np.stack([small.ravel(), by_content.ravel()]).astype(np.float32)


def clipped(array: Array) -> Array:
    """Clip an array to the 1st and 99th percentile of the values strictly between its minimum and maximum.

    Otherwise padding, or one very bright voxel, would make any two scans similar.
    """
    inner = array[(array > array.min()) & (array < array.max())]
    if inner.size == 0:
        return array
    low, high = np.percentile(inner, (1, 99)).astype(array.dtype)
    result: Array = np.clip(array, low, high)
    return result


def means(array: Array) -> Array:
    """Shrink an array (X, Y, Z) to (SIDE, SIDE, SIDE); each voxel is the mean of the region that it covers."""
    small = array.astype(np.promote_types(array.dtype, np.float32))
    for axis in range(3):
        n = small.shape[axis]
        ends, places = np.linspace(0, n, SIDE + 1), np.arange(n)
        shares = np.minimum(ends[1:, None], places + 1) - np.maximum(ends[:-1, None], places)  # (SIDE, n), in voxels
        weights = (np.clip(shares, 0, None) * SIDE / n).astype(small.dtype)
        small = np.moveaxis(np.tensordot(weights, small, (1, axis)), 0, axis)
    return small


def label_sha256(mask: Volume) -> str:
    """Hash (sha256) a mask of 0 and 1 in a standard orientation, independent of number format and axes."""
    array = np.ascontiguousarray(turned(mask, ORIENTATION).array)
    return hashlib.sha256(f"{array.shape}".encode() + array.tobytes()).hexdigest()


def same_scans(prints: Mapping[str, Fingerprint], patients: Mapping[str, str]) -> Iterator[tuple[str, str, float]]:
    """Give each case with the scan of an earlier case: the earlier case, the case, and their correlation.

    Cases of one of the `patients` (case -> patient) must correlate above COPY, all others above SAME. All pairs are
    compared in blocks; 4,000 cases took 5 to 9 seconds on one core of a busy machine.
    """
    if not prints:
        return
    names = list(prints)
    found: dict[int, tuple[int, float]] = {}
    vectors = np.stack(list(prints.values()), 1)  # (2, cases, SIDE**3)
    for start in range(0, len(names), BLOCK):
        by_header, by_content = (np.abs(v[start : start + BLOCK] @ v[start:].T) for v in vectors)  # or its negative
        correlations = np.maximum(by_header, by_content)
        for i, j in np.argwhere(np.triu(correlations, 1) > SAME):
            first, other = names[start + i], names[start + j]
            one_patient = first in patients and patients[first] == patients.get(other)
            if not one_patient or correlations[i, j] > COPY:
                found.setdefault(start + j, (start + i, float(correlations[i, j])))
    for j, (i, correlation) in sorted(found.items()):
        yield names[i], names[j], correlation


def same_labels(hashes: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Give each case with the label of an earlier case: the earlier case, and the case."""
    first: dict[str, str] = {}
    for case, digest in hashes.items():
        if (other := first.setdefault(digest, case)) != case:
            yield other, case
