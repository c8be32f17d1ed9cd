"""Runs as an evaluation writes them, with scores that can be followed by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd
import yaml

from helpers.project import PARAMS_FILE, ROOT, committed
from lassl.evaluation.evaluate import published_texts
from lassl.evaluation.scores import Scores
from lassl.evaluation.snapshots import COLUMNS
from lassl.model.record import Evaluation, Trained
from lassl.paths import Run
from lassl.plumbing.files import write_text
from lassl.results import table
from lassl.results.document import Table
from lassl.settings.config import load
from lassl.settings.statistics import Statistics

CONFIG = load(PARAMS_FILE)
PROFILE = CONFIG.name
PUBLISHED = yaml.safe_load((ROOT / "metrics/published.yaml").read_text())
RECORDS = sorted((committed() / "metrics").glob("*/records/*-d*-s*.yaml"))  # of the committed runs
STATISTICS = Statistics(
    baseline="vnet_16", matched="vnet_16_matched", resamples=2000, seed=0, scans="synthetic", published=True
)
MACHINE = {"threads": 1, "cores": 2, "python": "3.11", "torch": "2.6", "numpy": "2.0", "peak_memory_mib": 512}
NAN = float("nan")


def case(dice: float, asd: float, diagonal: float) -> Scores:
    """One case, whose other scores are multiples of these; without a distance it is a failed one."""
    distances = ("asd", "hd95", "assd", "hd95_max")
    return Scores(
        dice_percent=dice,
        jaccard_percent=dice / 2,
        **{f"{name}_voxel": times * asd for times, name in enumerate(distances, 1)},
        **{f"{name}_mm": 10 * times * asd for times, name in enumerate(distances, 1)},
        surface_dice_1mm_percent=dice / 10,
        volume_error_percent=-dice / 5,
        diagonal_voxel=diagonal,
        diagonal_mm=10 * diagonal,
        failed=asd != asd,
    )


def cases(
    dice: Sequence[float] = (80, 90), asd: Sequence[float] | None = None, network: str = "network", parts: str = "all"
) -> pd.DataFrame:
    """Cases A, B, ... of a variant, in volumes with diagonals of 100, 110, ... voxels; distances 1 unless given."""
    given = zip(dice, [1.0] * len(dice) if asd is None else asd, strict=True)
    scored = [case(float(d), float(a), 100.0 + 10 * i) for i, (d, a) in enumerate(given)]
    rows = [{"case": chr(65 + i), "network": network, "parts": parts, **asdict(s)} for i, s in enumerate(scored)]
    return pd.DataFrame(rows)


def several(**dice: Sequence[float]) -> pd.DataFrame:
    """Dice of cases A, B, ... by structure: NaN for one that the reference lacks, 0 for an empty prediction."""
    frames = []
    for name, values in dice.items():
        frame = cases(values, [NAN if not value > 0 else value / 10 for value in values])
        lacking = pd.isna(frame["dice_percent"])
        frame.loc[lacking, "failed"] = False
        frame.insert(3, "structure", name)
        frames.append(frame)
    return pd.concat(frames).sort_values("case", kind="stable", ignore_index=True)


def write_run(
    method: str = "cps",
    label_split: int = 0,
    seed: int = 0,
    scores: pd.DataFrame | None = None,
    *,
    variant: str = "",
    cohort: tuple[str, str] = ("synthetic", "aa"),
    evaluation: Mapping[str, Any] | None = None,
    snapshots: pd.DataFrame | None = None,
    options: Mapping[str, Any] | None = None,
    seconds: float = 60.0,
    tuning: int = 0,
    device: str = "cpu: Test",
    **train: Any,
) -> Run:
    """Write a run; evaluation, options and further arguments replace values of the record, the method and train.

    With `tuning` its cases are training cases. A method that params.yaml does not have has the settings of cps.
    """
    run = Run(profile=f"{PROFILE}{variant}", method=method, label_split=label_split, seed=seed)
    settings = CONFIG.settings(method if method in CONFIG.methods else "cps")
    settings["method"] |= options or {}
    settings["train"] |= train
    settings["cases"] |= {"tuning": tuning}
    record = {
        **{"profile": run.profile, "method": method, "label_split": label_split, "seed": seed, "settings": settings},
        "cohort": {"name": cohort[0], "hash": cohort[1], "spacing_mm": (0.625, 0.625, 0.625), "orientation": "LPS"},
        **{"labeled": ["L"], "held_out": []},
        "training": {"seconds": seconds, "device": device, "resumed": 0, **MACHINE},
    }
    evaluated = {
        **CONFIG.evaluate.model_dump(mode="json"),
        **{"network": "network", "snapshot": {"use": "last", "step": None}},
        **{"seconds": 1.5, "device": "cpu: Test", **MACHINE},
        **(evaluation or {}),
    }
    none = pd.DataFrame(columns=list(COLUMNS))
    frames = cases() if scores is None else scores, none if snapshots is None else snapshots
    parts = Trained.model_validate(record), Evaluation.model_validate(evaluated)
    for name, text in published_texts(*frames, *parts).items():
        write_text(run.published[name], text)
    return run


def built(settings: Statistics = STATISTICS, published: Mapping[str, Any] = PUBLISHED) -> Table:
    """The table of the runs that were written."""
    return table.build(PROFILE, settings, published)


def plain(settings: Statistics = STATISTICS, published: Mapping[str, Any] = PUBLISHED) -> dict[str, Any]:
    """What a table.json holds of the runs that were written."""
    return built(settings, published).plain()
