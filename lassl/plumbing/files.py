"""Writes files that are either complete or absent, even after a power cut."""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lassl.plumbing.errors import FULL, LasslError, in_words, system_error

PROBE = 2**16  # bytes; a disk that cannot store as many is full


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a temporary path next to `path` for writing a file; it is renamed to `path` if the block succeeds.

    The content is on the disk before the name changes. The temporary name keeps the suffix, because libraries choose
    the format by it. Raises LasslError if the disk is full; an existing file then stays.
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
    """Raise LasslError if an error while writing `path` is due to a full disk, even if its text does not say so."""
    if system_error(error) in FULL or (isinstance(error, RuntimeError) and _is_full(path.parent)):
        raise LasslError(
            f"{path}: no space left on the disk; free some space and run the same command again "
            "(files saved before are complete)"
        ) from None


def _is_full(folder: Path) -> bool:
    """Whether a folder has no space for another file of PROBE bytes."""
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


def holds(name: str) -> Callable[[Path], bool]:
    """A function that recognizes a folder written by lassl by a file that is always in it."""
    return lambda folder: (folder / name).is_file()


def holds_only(pattern: str) -> Callable[[Path], bool]:
    """A function that recognizes a folder written by lassl by containing only files of a pattern, such as *.tsv."""
    return lambda folder: all(path.match(pattern) and path.is_file() for path in folder.iterdir())


def foreign(path: Path, ours: Callable[[Path], bool]) -> str:
    """Say why a folder must not be replaced, and what to do; empty if it is absent, empty or `ours`."""
    if path.is_symlink():
        return f"{path}: found a link, expected a folder or nothing, because it would be replaced; remove the link"
    if not path.exists():
        return ""
    if not path.is_dir():
        return f"{path}: found a file, expected a folder or nothing, because it would be replaced; move the file"
    if any(path.iterdir()) and not ours(path):
        return f"{path}: found a folder that lassl did not write and would replace; move it, or choose another name"
    return ""


def linked_away(paths: Iterable[Path], root: Path = Path()) -> list[str]:
    """Give a line for each link in the (relative) paths of outputs that leads out of the project in `root`.

    DVC would run a stage that writes there, and then refuse its outputs.
    """
    folders = dict.fromkeys(folder for path in paths for folder in (*reversed(path.parents), path))
    return [
        f"{folder}: found a link to {target}, but DVC does not accept results outside the project; remove the link, "
        "and let DVC store its files on the other disk: `dvc cache dir --local FOLDER` with a folder there, then "
        "`dvc config --local cache.type symlink`"
        for folder in folders
        if (root / folder).is_symlink() and not (target := (root / folder).resolve()).is_relative_to(root.resolve())
    ]


@contextmanager
def whole_folder(path: Path, ours: Callable[[Path], bool] = lambda folder: False) -> Iterator[Path]:
    """Give an empty temporary folder next to `path`, which it replaces if the block succeeds; otherwise it is removed.

    `ours` says whether an existing folder was written by lassl. Raises LasslError for a foreign folder, which stays
    unchanged, and if the disk is full; by default only an empty folder is replaced.
    """
    if problem := foreign(path, ours):
        raise LasslError(problem)
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    former = path.with_name(f".{os.getpid()}-former-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        yield temporary
        if path.exists():
            os.replace(path, former)
        os.replace(temporary, path)
        shutil.rmtree(former, ignore_errors=True)
    except (OSError, RuntimeError) as error:
        _tell_full(path, error)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_free(paths: Iterable[Path], overwrite: bool) -> None:
    """Raise LasslError if a file that a command would write exists, unless it may `overwrite` files.

    A folder is never replaced by a file.
    """
    for path in paths:
        if path.is_dir():
            raise LasslError(f"{path}: found a folder, expected a file or nothing; give another name")
        if path.exists() and not overwrite:
            raise LasslError(f"{path}: exists already; give another folder or name, or use --overwrite to replace it")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file completely or not at all. Raises LasslError if the disk is full."""
    with whole(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write a text file completely or not at all. Raises LasslError if the disk is full."""
    write_bytes(path, text.encode())


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, with or without a byte order mark. Raises LasslError if it has another encoding."""
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise LasslError(
            f"{path}: found byte 0x{error.object[error.start]:02x} at position {error.start}, expected text in UTF-8; "
            "save it with that encoding"
        ) from None


def unreadable(folders: Iterable[Path]) -> Iterator[str]:
    """Give a line for each existing folder without read permission, which `glob` would treat as empty."""
    for folder in folders:
        try:
            next(os.scandir(folder), None)
        except PermissionError as error:
            yield str(in_words(error))
        except OSError:
            continue  # the code that needs it reports the problem


def text_hash(text: str) -> str:
    """The sha256 of a text, in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def held(path: Path, told: Callable[[str], str]) -> Iterator[None]:
    """Prevent other processes from entering this block: the file is locked and contains this process's number.

    Raises LasslError if another process is in the block; `told` returns the text for that process's number.
    """
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise LasslError(told(lock.read())) from None
        lock.truncate(0)
        print(os.getpid(), end="", file=lock, flush=True)
        yield
