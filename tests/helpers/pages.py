"""The report's page of runs on the tiny cohort."""

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from helpers.project import ROOT
from helpers.runs import PROFILE, STATISTICS, cases, write_run
from lassl.data.prepared import Prepared
from lassl.images.volumes import write_volume
from lassl.paths import Run
from lassl.report.report import report
from lassl.results.table import table
from lassl.training.train import write_curves

CURVES = [{"loss": 3.0 / (n + 1), "dice": n / 500, "mask_share": 0.5} for n in range(500)]


def scored(prepared: Prepared, *dice: float) -> pd.DataFrame:
    """Scores of the test cases of the tiny cohort."""
    return cases(dice).assign(case=list(prepared.split.test))


def write_masks(run: Run, prepared: Prepared, shift: int) -> None:
    """Predictions: the reference, moved along x."""
    for case in prepared.split.test:
        mask = np.roll(prepared.read_label(case), shift, axis=0)
        write_volume(run.predictions / f"{case}.nrrd", prepared.paste(case, mask))


def written_page(prepared: Prepared) -> Path:
    """The page of two runs with masks and curves and one without, in the working directory."""
    cohort = ("synthetic", prepared.manifest_hash)
    for shift, method in enumerate(("vnet_16", "cps"), 1):
        run = write_run(method, scores=scored(prepared, 70 + 10 * shift, 85 - shift), cohort=cohort)
        write_masks(run, prepared, shift)
        write_curves(run.curves, CURVES)
    write_run("mt_un", scores=scored(prepared, 60, 50), cohort=cohort)
    table(PROFILE, STATISTICS, ROOT / "metrics/published.yaml")
    return report(PROFILE, prepared.folder)


def unpacked(page: str, name: str) -> str:
    """A text that the page's script unpacks: data or plotly."""
    (packed,) = re.findall(rf'<script type="application/octet-stream" id="{name}">(.*?)</script>', page, re.DOTALL)
    return gzip.decompress(base64.b64decode(packed)).decode()


def page_view(page: str, case: str) -> dict[str, Any]:
    """What the page's script shows of a case."""
    names = [each["case"] for each in page_data(page)["cases"]]
    view: dict[str, Any] = json.loads(unpacked(page, f"view-{names.index(case)}"))
    return view


def unrolled(runs: list[int], size: tuple[int, ...]) -> np.ndarray:
    """A mask (X, Y, Z) from the lengths of its runs."""
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(size, order="F")


def page_data(page: str) -> dict[str, Any]:
    """What the page's script shows."""
    data: dict[str, Any] = json.loads(unpacked(page, "data"))
    return data


def numbers(packed: dict[str, str]) -> list[float]:
    """Values that plotly packed."""
    return np.frombuffer(base64.b64decode(packed["bdata"]), packed["dtype"]).tolist()
