"""Reads voxels from disk: all that a header announces, with their checksums; and checks the unit of lengths.

Voxels are read only once, here, so that the checked values are the used ones.
"""

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from lassl.images.geometry import Array
from lassl.plumbing.errors import LasslError

PIECE = 2**16  # bytes read at a time; they may unpack to a thousand times as many
MILLIMETRES = ("mm", "millimeter", "millimeters", "millimetre", "millimetres")
NO_UNIT = ("", "?", "???", "none", "unknown")  # as in most files, which mean mm


@dataclass(frozen=True)
class Place:
    """The place of a header's voxels on disk.

    They begin `skip` bytes (-1: at the end of the file) after `lines` lines that follow byte `start` of `file`. If
    `packed`, gzip or zlib data begin after these lines, and `skip` counts unpacked bytes.
    """

    file: Path
    start: int
    packed: bool
    skip: int = 0
    lines: int = 0


def read_voxels(path: Path, place: Place, dtype: "np.dtype[Any]", size: Sequence[int]) -> Array:
    """Read the voxels (X, Y, Z) of an image whose header is in `path`; x varies fastest on disk.

    Raises LasslError if there are fewer than `size` requires, or more in packed data; OSError.
    """
    expected = math.prod(size) * dtype.itemsize
    with place.file.open("rb") as file:
        file.seek(place.start)
        for _ in range(place.lines):
            file.readline()
        if place.packed:
            content = unpacked(path, file)
            first = len(content) - expected if place.skip < 0 else place.skip
            if len(content) - first > expected:
                raise _wrong_size(path, len(content) - first, expected)
            return array_of(path, content, first, dtype, size)
        start, end = file.tell() + max(place.skip, 0), file.seek(0, 2)
        if end - start < expected:  # before allocating this much memory
            raise _wrong_size(path, end - start, expected)
        file.seek(end - expected if place.skip < 0 else start)
        content = bytearray(expected)
        file.readinto(content)
    return array_of(path, content, 0, dtype, size)


def array_of(path: Path, content: bytearray, start: int, dtype: "np.dtype[Any]", size: Sequence[int]) -> Array:
    """The voxels (X, Y, Z) from byte `start` of a file's content, x varying fastest, in the machine's byte order.

    The array shares the memory of `content` if possible. Raises LasslError if there are fewer than `size` requires.
    """
    count = math.prod(size)
    if start < 0 or len(content) - start < count * dtype.itemsize:
        raise _wrong_size(path, len(content) - max(start, 0), count * dtype.itemsize)
    array = np.require(np.frombuffer(content, dtype, count, start), dtype.newbyteorder("="), "A")
    return array.reshape(size[::-1]).T


def unpacked(path: Path, file: BinaryIO) -> bytearray:
    """Unpack gzip or zlib data from the current position of a file to its end, all members, checking their checksums.

    Raises LasslError if they are damaged.
    """
    content = bytearray()
    for piece in _pieces(path, file):
        content += piece
    return content


def _pieces(path: Path, file: BinaryIO) -> Iterator[bytes]:
    packed = file.read(PIECE)
    while packed:
        member = zlib.decompressobj(zlib.MAX_WBITS + 32)  # gzip or zlib, by its first bytes
        while not member.eof:
            if not packed:
                raise damaged(path, "the compressed voxels end early")
            try:
                yield member.decompress(packed)
            except zlib.error as error:
                raise damaged(path, f"the compressed voxels are damaged, {error}") from None
            packed = member.unused_data if member.eof else file.read(PIECE)
        packed += file.read(PIECE)
        if packed[:2] != b"\x1f\x8b":  # no further member of a gzip; readers ignore what else follows
            return


def check_unit(path: Path, unit: str) -> None:
    """Raise LasslError if a header gives lengths in another unit than mm; a missing unit counts as mm."""
    if unit.strip().lower() not in (*MILLIMETRES, *NO_UNIT):
        raise LasslError(f"{path}: found lengths in {unit}, expected mm; write its spacing and place again in mm")


def _wrong_size(path: Path, size: int, expected: int) -> LasslError:
    """The error for a file without exactly the bytes of voxel data that its header announces."""
    return damaged(path, f"its header announces {expected} bytes of voxel data, but {max(size, 0)} are present")


def damaged(path: Path, reason: str) -> LasslError:
    """The error for a file that is cut or damaged."""
    return LasslError(f"{path}: cannot be read ({reason}); expected a complete image file; copy it again")
