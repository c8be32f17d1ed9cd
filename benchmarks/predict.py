"""`python -m benchmarks.predict MODEL`: real scans in other people's formats through `lassl predict`.

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

from benchmarks.series import write_series
from lassl import config
from lassl.data.prepared import Prepared, open_prepared
from lassl.images import volumes
from lassl.images.geometry import Volume, orientation
from lassl.images.grids import covering, resampled, turned
from lassl.paths import Run
from lassl.plumbing.errors import command
from lassl.plumbing.machine import machine
from lassl.plumbing.tables import grid
from lassl.predict import model_file as exported
from lassl.predict.settings import run_of
from lassl.results.runs import read_scores

Form = Callable[[Volume], Volume]
SLOPE = 0.001  # of the DICOM files: normalized intensities as whole numbers


def spaced(spacing_mm: tuple[float, float, float]) -> Form:
    """Give a resampling to a spacing, linear."""

    def resample(volume: Volume) -> Volume:
        code = orientation(volume.geometry)
        grid = covering(volume.array.shape, volume.geometry, code, spacing_mm)
        return Volume(resampled(volume, grid), grid.geometry)

    return resample


FORMS: dict[str, tuple[str, Form]] = {
    "NRRD as it is": (".nrrd", lambda volume: volume),
    "NIfTI, axes turned": (".nii.gz", lambda volume: turned(volume, "ASR")),
    "NIfTI, 1 mm": (".nii.gz", spaced((1.0, 1.0, 1.0))),
    "NIfTI, 0.8 x 0.8 x 2.5 mm": (".nii.gz", spaced((0.8, 0.8, 2.5))),
    "DICOM series": ("", lambda volume: volume),
}


def write_scan(path: Path, image: Volume) -> Path:
    """Write a scan, as a DICOM folder where the name has no suffix."""
    if not path.suffix:
        return write_series(path, image, slope=SLOPE)
    volumes.write_volume(path, Volume(image.array.astype(np.float32), image.geometry))
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


def measure(case: str, form: str, model: str, prepared: Prepared, folder: Path) -> tuple[float, float, float]:
    """Dice in percent, seconds and peak GiB of one scan in one form."""
    suffix, change = FORMS[form]
    place = prepared.geometry(case)
    reference = change(Volume(prepared.read_label(case).astype(np.float32), place)).array > 0.5
    image = change(Volume(prepared.read_image(case), place))
    mask, seconds, gib = predicted(write_scan(folder / f"scan{suffix}", image), model, folder / "masks")
    return 100 * binary.dc(volumes.read_volume(mask).array > 0, reference), seconds, gib


def evaluated(run: Run, cases: Sequence[str]) -> float:
    """Mean Dice in percent that the evaluation gave these cases."""
    scores = read_scores(run.cases)
    first = scores[(scores["network"] == scores["network"].iloc[0]) & (scores["parts"] == "all")]
    return float(first.set_index("case")["dice_percent"][list(cases)].mean())


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is asked for and print a table. Raises LasslError."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.predict", description=__doc__)
    parser.add_argument("model", metavar="MODEL", help="a run as profile/method-d0-s0")
    parser.add_argument("--cases", type=int, default=3, help="the first so many test cases (default: 3)")
    asked = parser.parse_args(arguments)
    run = run_of(exported.read(exported.find(asked.model)).model.record)
    prepared = open_prepared(config.load().data.prepared)
    cases = prepared.split.test[: asked.cases]
    print(", ".join(f"{key} {value}" for key, value in machine(torch.device("cpu")).items()))
    print(f"{asked.model}, test cases {', '.join(cases)}; the evaluation gave Dice {evaluated(run, cases):.2f} %.\n")
    rows = []
    for form in tqdm(FORMS, desc="forms", unit="form"):
        with TemporaryDirectory() as folder:
            found = np.array([measure(case, form, asked.model, prepared, Path(folder)) for case in cases])
        dice, seconds = found[:, :2].mean(0)
        rows.append([form, f"{dice:.2f}", f"{seconds:.1f}", f"{found[:, 2].max():.2f}"])
    print(grid(["form", "mean Dice [%]", "mean s", "peak GiB"], rows))


if __name__ == "__main__":
    command(main)
