"""A folder of phantoms: the names of its files, and how it is told from a folder of somebody's scans."""

from pathlib import Path

from lassl.data.raw import CHALLENGE_SPACING_MM

IMAGE, LABEL = "lgemri.nrrd", "laendo.nrrd"


def only_phantoms(folder: Path) -> bool:
    """Whether a folder holds nothing else than what `phantom` writes: its names, and images on its grid."""
    paths = [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]
    return all(path.parent.parent == folder and path.name in (IMAGE, LABEL) and _on_our_grid(path) for path in paths)


def _on_our_grid(path: Path) -> bool:
    """Whether an image has the spacing of phantoms and begins at 0 mm, which no scanner writes."""
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return False
    return (reader.GetSpacing(), reader.GetOrigin()) == (CHALLENGE_SPACING_MM, (0.0, 0.0, 0.0))
