"""Files that are either whole or absent, even after a power cut."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lassl.plumbing.errors import FULL, LasslError, in_words, system_error

PROBE = 2**16  # bytes, which a disk has to spare that is not full


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a temporary name next to `path` to write a file under; it takes its real name when the block ends well.

    The content is on the disk before the name changes. The temporary name keeps the suffix, since libraries choose the
    format by it. Raises LasslError when the disk is full; the file that was there before stays.
    """
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)
        _flush(path.parent)
    except (OSError, RuntimeError) as error:
        _tell_full(path, error)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def _tell_full(path: Path, error: Exception) -> None:
    """Raise LasslError if an error while `path` was made is that of a full disk, which may not be said in its text."""
    if system_error(error) in FULL or (isinstance(error, RuntimeError) and _is_full(path.parent)):
        raise LasslError(
            f"{path}: no space left to write it; free some on that disk and run the same command again "
            "(what was saved before is whole)"
        ) from None


def _is_full(folder: Path) -> bool:
    """Whether a folder takes no further file of PROBE bytes."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(PROBE))
            file.flush()
    except OSError as error:
        return system_error(error) in FULL
    return False


def _flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give an empty temporary folder next to `path`, which it replaces if the block ends well; else it is removed.

    Raises LasslError when the disk is full.
    """
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        _tell_full(path, error)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file that is whole or absent. Raises LasslError when the disk is full."""
    with whole(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file that is whole or absent. Raises LasslError when the disk is full."""
    write_bytes(path, text.encode())


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, with or without a byte order mark. Raises LasslError for another encoding."""
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LasslError(
            f"{path}: found byte 0x{error.object[error.start]:02x} at position {error.start}, expected text in UTF-8; "
            "save it with that encoding"
        ) from None


def unreadable(folders: Iterable[Path]) -> Iterator[str]:
    """Give a line for each folder that is there and may not be looked into; `glob` takes it for an empty one."""
    for folder in folders:
        try:
            next(os.scandir(folder), None)
        except PermissionError as error:
            yield str(in_words(error))
        except OSError:
            continue  # whoever needs it says what is wrong


def text_hash(text: str) -> str:
    """The sha256 of a text, in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()
