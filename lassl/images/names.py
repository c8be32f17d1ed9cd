"""Names of files and cases that image libraries and file systems accept."""

from pathlib import Path

from lassl.paths import is_folder_name
from lassl.plumbing.errors import LasslError

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
