"""Parses from headers of NRRD and MetaImage files what SimpleITK, which reads the files, does not report.

SimpleITK treats a spacing that is absent or not a number as 1, and ignores units of length.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lassl.images.whole_files import Place, check_unit, damaged
from lassl.plumbing.errors import LasslError

AXES = 10  # maximum for a MetaImage: SimpleITK crashes with more


@dataclass(frozen=True)
class Header:
    """The content of a header.

    Spacing as in the header (of all axes that have one, or empty), the name of its field, whether voxels have their
    high byte first, and where the voxels are (None: written as text).
    """

    spacing: tuple[float, ...]
    field: str
    high_first: bool
    place: Place | None

    def check_spacing(self, path: Path, spacing_mm: tuple[float, ...]) -> None:
        """Raise LasslError if SimpleITK read another spacing than the header has."""
        same = len(self.spacing) == len(spacing_mm) and np.allclose(self.spacing, spacing_mm, rtol=1e-6, atol=0)
        if not same or min(spacing_mm) <= 0:
            raise self.bad_spacing(path)

    def bad_spacing(self, path: Path) -> LasslError:
        """The error for a header whose spacing does not cover all axes."""
        found = f"{self.field} {' x '.join(f'{n:.4g}' for n in self.spacing)}" if self.spacing else "no spacing"
        return LasslError(
            f"{path}: found {found}, expected the voxel size in mm along each axis; export the file again with its "
            "spacing"
        )


def nrrd(path: Path) -> Header:
    """Parse the header of an NRRD file. Raises LasslError if it has no end or lengths are not in mm."""
    with path.open("rb") as file:
        if not file.readline().startswith(b"NRRD"):
            raise damaged(path, "the first line is not that of an NRRD file")
        fields: dict[str, str] = {}
        while (line := file.readline()).strip():  # the header ends with an empty line
            name, _, value = line.decode("utf-8", "surrogateescape").partition(": ")
            fields[name.lower().replace(" ", "")] = value.strip()
        if not line and "datafile" not in fields:
            raise damaged(path, "the header has no end")  # SimpleITK would crash on it
        start = file.tell()
    for unit in re.findall('"([^"]*)"', fields.get("spaceunits", "") + fields.get("units", "")):
        check_unit(path, unit)
    name = "space directions" if "spacedirections" in fields else "spacings"
    words = re.findall(r"\([^)]*\)|[^\s()]+", fields.get(name.replace(" ", ""), ""))
    spacing = tuple(
        _length(word) for word in words if word.lower() not in ("none", "nan")
    )  # as for an axis of channels
    encoding = fields.get("encoding", "").lower()
    place = None
    if encoding in ("raw", "gzip", "gz"):
        voxel_file = _voxel_file(path, fields["datafile"]) if "datafile" in fields else path
        skip, lines = (int(fields.get(key, 0)) for key in ("byteskip", "lineskip"))
        place = Place(voxel_file, 0 if "datafile" in fields else start, encoding != "raw", skip, lines)
    return Header(spacing, name, fields.get("endian", "").lower() == "big", place)


def metaimage(path: Path) -> Header:
    """Parse the header of a MetaImage. Raises LasslError if it has no end or lengths are not in mm."""
    with path.open("rb") as file:
        fields: dict[str, str] = {}
        while not fields.get("ElementDataFile"):  # always the last field
            line = file.readline()
            if not line:
                raise damaged(path, "the header has no end")
            name, _, value = line.decode("utf-8", "surrogateescape").partition("=")
            fields[name.strip()] = value.strip()
        start = file.tell()
    sides = fields.get("DimSize", "").split()
    if fields.get("NDims") != str(len(sides)) or len(sides) > AXES:
        raise damaged(path, f"the header has {fields.get('NDims')} axes but {len(sides)} sizes")
    check_unit(path, fields.get("DistanceUnits", ""))
    name = "ElementSpacing" if "ElementSpacing" in fields else "ElementSize"
    spacing = tuple(_number(word) for word in fields.get(name, "").split())
    high_first = _true(fields.get("BinaryDataByteOrderMSB", fields.get("ElementByteOrderMSB", "False")))
    place = None
    if _true(fields.get("BinaryData", "True")):
        local = fields["ElementDataFile"].upper() == "LOCAL"
        voxel_file = path if local else _voxel_file(path, fields["ElementDataFile"])
        packed, skip = _true(fields.get("CompressedData", "False")), int(fields.get("HeaderSize", 0))
        place = Place(voxel_file, start if local else 0, packed, 0 if packed else skip)
    header = Header(spacing, name, high_first, place)
    if spacing and len(spacing) != len(sides):
        raise header.bad_spacing(path)  # SimpleITK gives no helpful message for this
    return header


def _length(word: str) -> float:
    """A spacing in an NRRD header: a number, or the length of a vector in brackets."""
    return float(np.linalg.norm([_number(n) for n in word[1:-1].split(",")])) if word[0] == "(" else _number(word)


def _number(word: str) -> float:
    """Parse a number; NaN if the text is not a number."""
    try:
        return float(word)
    except ValueError:
        return float("nan")


def _true(word: str) -> bool:
    """Whether a word in a MetaImage header means true."""
    return word[:1] in ("T", "t", "1")


def _voxel_file(path: Path, name: str) -> Path:
    """The file `name` with the voxels of a header, in its folder. Raises LasslError if there are several or none."""
    if name.upper().startswith("LIST") or "%" in name:
        raise LasslError(f"{path}: its voxels are in several files, expected one; write it as one image file")
    voxel_file = path.parent / name
    if not voxel_file.is_file():
        raise LasslError(f"{path}: its voxels are in {name}, which was not found; copy both files into one folder")
    return voxel_file
