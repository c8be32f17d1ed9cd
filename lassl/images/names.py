"""Names of files and cases that image libraries and file systems accept."""

from collections.abc import Iterable
from difflib import SequenceMatcher
from pathlib import Path

from lassl.paths import is_folder_name
from lassl.plumbing.errors import LasslError

ALIKE = 0.7  # SequenceMatcher's ratio above which a name counts as misspelled
SUFFIXES = (".nrrd", ".nii.gz", ".nii", ".mha", ".mhd")  # of image files, also in capitals
NIFTI = (".nii.gz", ".nii")


def utf8(path: Path | str) -> str:
    """Return a path in UTF-8, as image libraries need it in any locale. Raises LasslError if it is not UTF-8."""
    try:
        return str(path).encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:
        raise LasslError(f"{path}: the name is not valid UTF-8; rename the file") from None


def case_problem(case: str) -> str:
    """Say why a case's name cannot be a folder name, and what to do; empty if it can."""
    if "\N{REPLACEMENT CHARACTER}" in case:
        return "is not valid UTF-8; save the file as UTF-8"
    if case and not is_folder_name(case):
        return "cannot be a folder name: remove slashes, line breaks and leading dots, and rename its folder to match"
    return ""


def similar(names: Iterable[str], *words: str) -> str:
    """Find the first name that contains one of the words or begins almost like it; ignores hidden files."""
    for name in names:
        start = name.lower().split(".")[0]
        near = any(word in name.lower() or SequenceMatcher(None, start, word).ratio() > ALIKE for word in words)
        if near and not name.startswith("."):
            return name
    return ""
