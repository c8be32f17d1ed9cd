"""Names of files and cases: which ones the libraries for images and the file systems take."""

from pathlib import Path

from lassl.paths import is_folder_name
from lassl.plumbing.errors import LasslError

SUFFIXES = (".nrrd", ".nii.gz", ".nii", ".mha", ".mhd")  # of image files, also in capitals
NIFTI = (".nii.gz", ".nii")


def utf8(path: Path | str) -> str:
    """Give a path as the libraries for images take it, in UTF-8 whatever the locale. Raises LasslError for others."""
    try:
        return str(path).encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:
        raise LasslError(f"{path}: found a name that is not in UTF-8, expected one that is: rename it") from None


def case_problem(case: str) -> str:
    """What keeps a case's name from being that of a folder, and what to do; nothing if it will do."""
    if "\N{REPLACEMENT CHARACTER}" in case:
        return "is not in UTF-8; save the file as UTF-8"
    if case and not is_folder_name(case):
        return "is no folder's name; write one without slash, line break or dot in front, and name its folder so, too"
    return ""
