"""`python -m benchmarks.scan_formats MODEL`: real scans in other people's formats through `lassl predict`.

Test cases of the prepared cohort are written as NRRD, NIfTI with turned axes or another spacing, and DICOM. Each file
goes through a call of its own; printed are the Dice with the reference, brought to the same grid, and the call's time
and peak memory, start of Python included.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from medpy.metric import binary
from tqdm import tqdm

from benchmarks.dicom import write_series
from lassl.data.prepared import Prepared, open_prepared
from lassl.images.geometry import Volume, orientation
from lassl.images.grids import covering, resampled, turned
from lassl.images.volumes import read_volume, write_volume
from lassl.model.trained import load_model
from lassl.paths import Run
from lassl.plumbing.errors import command
from lassl.plumbing.machine import machine
from lassl.plumbing.tables import grid
from lassl.predict.model_file import find_model
from lassl.results.runs import read_scores
from lassl.settings.config import load

Change = Callable[[Volume], Volume]
SLOPE = 0.001  # of the DICOM files: normalized intensities as whole numbers


def spaced(spacing_mm: tuple[float, float, float]) -> Change:
    """Give a linear resampling to a spacing in mm, along the volume's own axes."""

    def resample(volume: Volume) -> Volume:
        code = orientation(volume.geometry)
        grid = covering(volume.array.shape, volume.geometry, code, spacing_mm)
        return Volume(resampled(volume, grid), grid.geometry)

    return resample


FORMATS: dict[str, tuple[str, Change]] = {
    "NRRD as it is": (".nrrd", lambda volume: volume),
    "NIfTI, axes turned": (".nii.gz", lambda volume: turned(volume, "ASR")),
    "NIfTI, 1 mm": (".nii.gz", spaced((1.0, 1.0, 1.0))),
    "NIfTI, 0.8 x 0.8 x 2.5 mm": (".nii.gz", spaced((0.8, 0.8, 2.5))),
    "DICOM series": ("", lambda volume: volume),
}


def write_scan(path: Path, image: Volume) -> Path:
    """Write a scan in float32, or as a DICOM folder in steps of SLOPE where the name has no suffix; gives the path."""
    if not path.suffix:
        return write_series(path, image, slope=SLOPE)
    write_volume(path, Volume(image.array.astype(np.float32), image.geometry))
    return path


def predicted(scan: Path, model: str, folder: Path) -> tuple[Path, float, float]:
    """Segment a scan in a process of its own; gives the mask's path, seconds and peak GiB."""
    call = [sys.executable, "-c", "import sys; from lassl.cli.main import main; sys.exit(main())", "predict", model]
    began = time.perf_counter()
    process = subprocess.Popen(
        [*call, str(scan), "-o", str(folder), "--normalized", "--overwrite"], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status):
        sys.exit(f"{scan}: lassl predict failed")
    name = scan.name if scan.suffix else f"{scan.name}.nrrd"
    return folder / name, time.perf_counter() - began, usage.ru_maxrss / 2**20


def measure(case: str, name: str, model: str, prepared: Prepared, folder: Path) -> tuple[float, float, float]:
    """Dice in percent, seconds and peak GiB of one case in the format of a name. Raises LasslError."""
    suffix, change = FORMATS[name]
    geometry = prepared.geometry(case)
    reference = change(Volume(prepared.read_label(case).astype(np.float32), geometry)).array > 0.5
    image = change(Volume(prepared.read_image(case), geometry))
    mask, seconds, gib = predicted(write_scan(folder / f"scan{suffix}", image), model, folder / "masks")
    return 100 * binary.dc(read_volume(mask).array > 0, reference), seconds, gib


def evaluated(run: Run, cases: Sequence[str]) -> float:
    """Mean Dice in percent that the evaluation gave these cases."""
    scores = read_scores(run.cases)
    first = scores[(scores["network"] == scores["network"].iloc[0]) & (scores["parts"] == "all")]
    return float(first.set_index("case")["dice_percent"][list(cases)].mean())


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is asked for and print a table. Raises LasslError."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scan_formats", description=__doc__)
    parser.add_argument("model", metavar="MODEL", help="a run as profile/method-d0-s0")
    parser.add_argument("--cases", type=int, default=3, help="the first so many test cases (default: 3)")
    asked = parser.parse_args(arguments)
    run = load_model(find_model(asked.model)).record.run
    prepared = open_prepared(load().data.prepared)
    cases = prepared.split.test[: asked.cases]
    print(", ".join(f"{key} {value}" for key, value in machine(torch.device("cpu")).items()))
    print(f"{asked.model}, test cases {', '.join(cases)}; the evaluation gave Dice {evaluated(run, cases):.2f} %.\n")
    rows = []
    for name in tqdm(FORMATS, desc="formats", unit="format"):
        with TemporaryDirectory() as folder:
            measures = np.array([measure(case, name, asked.model, prepared, Path(folder)) for case in cases])
        dice, seconds = measures[:, :2].mean(0)
        rows.append([name, f"{dice:.2f}", f"{seconds:.1f}", f"{measures[:, 2].max():.2f}"])
    print(grid(["format", "mean Dice [%]", "mean s", "peak GiB"], rows))


if __name__ == "__main__":
    command(main)
