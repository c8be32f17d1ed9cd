"""A folder of phantoms: the names of its files, and how to distinguish it from a folder of real scans."""

from pathlib import Path

from lassl.data.raw import CHALLENGE_SPACING_MM

IMAGE, LABEL = "lgemri.nrrd", "laendo.nrrd"


def only_phantoms(folder: Path) -> bool:
    """Whether a folder contains only files as written by `phantom`, with their names and grid."""
    paths = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    return all(path.parent.parent == folder and path.name in (IMAGE, LABEL) and _on_our_grid(path) for path in paths)


def _on_our_grid(path: Path) -> bool:
    """Whether an image has the spacing of phantoms and the origin 0, which no scanner writes."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return False
    return (reader.GetSpacing(), reader.GetOrigin()) == (CHALLENGE_SPACING_MM, (0.0, 0.0, 0.0))
