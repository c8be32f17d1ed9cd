"""Image files: whether one holds all the voxels that its header tells of, undamaged.

SimpleITK fills what a cut NIfTI lacks with zeros, and verifies neither the gzip checksum of a NRRD nor the zlib
checksum of a MetaImage. Only what it leaves out is checked here; it does check the size of an uncompressed NRRD.
"""

import io
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from lassl.images import nifti
from lassl.plumbing.errors import LasslError

SIZES = {  # bytes of a voxel in MetaImage; others SimpleITK refuses
    **{"MET_CHAR": 1, "MET_UCHAR": 1, "MET_SHORT": 2, "MET_USHORT": 2, "MET_INT": 4, "MET_UINT": 4, "MET_LONG": 4},
    **{"MET_ULONG": 4, "MET_LONG_LONG": 8, "MET_ULONG_LONG": 8, "MET_FLOAT": 4, "MET_DOUBLE": 8},
}
PIECE = 2**16  # bytes read at a time; they may unpack to a thousand times as many


def check_nifti(path: Path) -> nifti.Header:
    """Check a NIfTI file, gzipped or not, and give its header. Raises LasslError if it is cut or damaged."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        head, size = b"", 0
        for piece in _unpacked(path, file) if packed else iter(lambda: file.read(PIECE), b""):
            head += piece[: max(nifti.BYTES - len(head), 0)]
            size += len(piece)
    header = nifti.parse(path, head)
    _check_size(path, size - header.offset, header.voxel_bytes)
    return header


def check_nrrd(path: Path) -> None:
    """Check the gzip stream of a NRRD file, or of the file in its folder that has its voxels.

    Raises LasslError if it is damaged.
    """
    with path.open("rb") as file:
        fields = {}
        while (line := file.readline()).strip():  # the header ends with an empty line
            name, _, value = line.decode("latin-1").partition(": ")
            fields[name.lower().replace(" ", "")] = value.strip()
        if not line and "datafile" not in fields:
            raise _damaged(path, "its header has no end")  # which SimpleITK does not survive
        if fields.get("encoding", "").lower() not in ("gzip", "gz"):
            return
        skipped = int(fields.get("lineskip", 0))
        if "datafile" not in fields:
            _unpacked_size(path, file, skipped)
            return
    with _voxel_file(path, fields["datafile"]).open("rb") as file:
        _unpacked_size(path, file, skipped)


def check_metaimage(path: Path) -> None:
    """Check a MetaImage, whose voxels are in the file or in another of its folder. Raises LasslError if it is damaged.

    Voxels that are written as text are left to SimpleITK.
    """
    with path.open("rb") as file:
        fields: dict[str, str] = {}
        while not fields.get("ElementDataFile"):  # the last one, always
            line = file.readline()
            if not line:
                raise _damaged(path, "its header has no end")
            name, _, value = line.decode("latin-1").partition("=")
            fields[name.strip()] = value.strip()
        if _false(fields.get("BinaryData", "True")):
            return  # a text, which SimpleITK reads to its end
        data_file = fields["ElementDataFile"]
        if data_file.upper() == "LOCAL":
            _check_voxels(path, file, fields)
            return
    with _voxel_file(path, data_file).open("rb") as file:
        _check_voxels(path, file, fields)


def _check_voxels(path: Path, file: BinaryIO, fields: dict[str, str]) -> None:
    """Check the voxels of a MetaImage from where the file stands."""
    voxel = SIZES.get(fields.get("ElementType", ""), 0) * int(fields.get("ElementNumberOfChannels", 1))
    expected = voxel * math.prod(int(n) for n in fields.get("DimSize", "").split())
    start, skipped, packed = file.tell(), int(fields.get("HeaderSize", 0)), int(fields.get("CompressedDataSize", 0))
    if _false(fields.get("CompressedData", "False")):
        size = file.seek(0, 2) - (0 if skipped < 0 else start + skipped)  # -1: the voxels are the end of the file
        _check_size(path, size, expected)
        return
    if start and not packed:
        raise _damaged(path, "its header has no CompressedDataSize")  # without it SimpleITK gives zeros
    size = _unpacked_size(path, io.BytesIO(file.read(packed or -1)))  # no more than SimpleITK reads
    if expected and size != expected:
        raise _wrong_size(path, size, expected)


def _false(word: str) -> bool:
    """Whether a word of a MetaImage's header says no."""
    return word[:1] in ("F", "f", "0")


def _voxel_file(path: Path, name: str) -> Path:
    """The file with the voxels of a header, `name` in its folder. Raises LasslError for several, or an absent one."""
    if name.upper().startswith("LIST") or "%" in name:
        raise LasslError(f"{path}: its voxels are in several files, expected one: write it as one image file")
    voxel_file = path.parent / name
    if not voxel_file.is_file():
        raise LasslError(f"{path}: its voxels are in {name}, which is not there; copy both files, side by side")
    return voxel_file


def _unpacked_size(path: Path, file: BinaryIO, lines: int = 0) -> int:
    """Bytes that a stream unpacks to, after `lines` lines that are skipped. Raises LasslError if it is damaged."""
    for _ in range(lines):
        file.readline()
    return sum(map(len, _unpacked(path, file)))


def _unpacked(path: Path, file: BinaryIO) -> Iterator[bytes]:
    """Unpack gzip or zlib to the end, all members of it, with their checksums. Raises LasslError if it is damaged."""
    packed = file.read(PIECE)
    while packed:
        member = zlib.decompressobj(zlib.MAX_WBITS + 32)  # gzip or zlib, by its first bytes
        while not member.eof:
            if not packed:
                raise _damaged(path, "its compressed voxels end early")
            try:
                yield member.decompress(packed)
            except zlib.error as error:
                raise _damaged(path, f"its compressed voxels are damaged, {error}") from None
            packed = member.unused_data if member.eof else file.read(PIECE)
        packed += file.read(PIECE)
        if packed[:2] != b"\x1f\x8b":  # no further member of a gzip; readers ignore what else follows
            return


def _check_size(path: Path, size: int, expected: int) -> None:
    if size < expected:
        raise _wrong_size(path, size, expected)


def _wrong_size(path: Path, size: int, expected: int) -> LasslError:
    return _damaged(path, f"it has {max(size, 0)} bytes of voxels, its header tells of {expected}")


def _damaged(path: Path, reason: str) -> LasslError:
    return LasslError(f"{path}: cannot be read ({reason}); expected a whole image file: copy it again")
