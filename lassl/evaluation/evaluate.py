"""A trained model -> predicted masks, scores and the record of a run."""

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
import yaml
from medpy.metric import binary
from torch import nn

from lassl.config import Config, Run
from lassl.data.prepared import Prepared, open_prepared
from lassl.evaluation import metrics
from lassl.evaluation.inference import foregrounds, largest_component
from lassl.evaluation.snapshots import CHOICES, COLUMNS
from lassl.evaluation.summary import headline
from lassl.images.volumes import Array, write
from lassl.model import placement
from lassl.model import trained as model
from lassl.model.placement import Placement
from lassl.model.trained import Model
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import text_hash, whole_folder
from lassl.plumbing.machine import keep_memory, machine, peak_memory_mib
from lassl.plumbing.plugins import part
from lassl.plumbing.progress import bar


def evaluate(config: Config, run: Run) -> None:
    """Score a run's model on the test cases, in all variants: each network and their ensemble, parts all or largest.

    Writes to `run.predictions`, all or nothing, the masks and headline figures of the variant that params.yaml asks
    for, the scores of all variants, those of the snapshots, and the record. Raises LasslError.
    """
    prepared = open_prepared(config.data.prepared)
    trained = model.load(run.model)
    scored = trained.named(config.evaluate.network)
    where = placement.choose(config.compute, config.patches.size)
    keep_memory()
    started = time.perf_counter()
    trajectory = follow(trained, prepared, config, where)
    step = choose(trajectory, config.snapshots.use) if len(trajectory) else None
    networks = {name: where.module(network).eval() for name, network in trained.after(step).items()}
    rows = []
    with whole_folder(run.predictions) as folder:
        for case in bar(prepared.split.test, "evaluate", "case", len(prepared.split.test)):
            probabilities = foregrounds(networks, prepared.read_image(case), config, where)
            reference = prepared.read_label(case) > 0
            for name, parts, mask in variants(probabilities):
                scores = metrics.score(mask, reference, prepared.geometry(case).spacing_mm)
                rows.append({"case": case, "network": name, "parts": parts, **vars(scores)})
                if (name, parts) == (scored, "largest" if config.evaluate.largest_component else "all"):
                    write(folder / f"{case}.nrrd", prepared.paste(case, mask))
        told = {
            **config.evaluate.model_dump(mode="json"),
            "network": scored,
            "snapshot": {"use": config.snapshots.use, "step": step},
            "seconds": round(time.perf_counter() - started, 1),
            "peak_memory_mib": peak_memory_mib(where.device),
            "precision": where.name,
            **machine(where.device),
        }
        for name, text in results(pd.DataFrame(rows), trajectory, trained.record | {"evaluation": told}).items():
            (folder / name).write_text(text, "utf-8")


def choose(trajectory: pd.DataFrame, use: str) -> int:
    """Choose the weights to score from the Dice of all snapshots. Raises LasslError for steps that are not there."""
    step, known = part("snapshots.use", use, CHOICES)(trajectory), sorted(set(trajectory["step"]))
    if step not in known:
        raise LasslError(f"params.yaml: snapshots.use: '{use}' chose step {step}; expected one of {known}: mend it")
    return int(step)


def variants(probabilities: Mapping[str, Array]) -> Iterator[tuple[str, str, Array]]:
    """Give the masks of each network with all of their parts, and with the largest alone: (network, parts, mask)."""
    for name, probability in probabilities.items():
        mask: Array = probability > 0.5
        yield name, "all", mask
        yield name, "largest", largest_component(mask)


def predict(network: nn.Module, image: Array, config: Config, where: Placement) -> Array:
    """Segment an image (X, Y, Z): the voxels whose probability at native resolution is above one half."""
    (probability,) = foregrounds({"network": network}, image, config, where).values()
    mask: Array = probability > 0.5
    return mask


def follow(trained: Model, prepared: Prepared, config: Config, where: Placement) -> pd.DataFrame:
    """Dice in percent of each snapshot, and of the last weights, on each held-out and each test case.

    Columns: step, part (held_out or test), case, dice_percent. Empty if no snapshot was kept.
    """
    parts = {"held_out": trained.record["held_out"], "test": prepared.split.test}
    steps = [*sorted(trained.snapshots), trained.steps] if trained.snapshots else []
    rows = []
    for step in bar(steps, "snapshots", "snapshot", len(steps)):
        network = where.module(next(iter(trained.after(step).values()))).eval()
        for name, cases in parts.items():
            for case in cases:
                mask = predict(network, prepared.read_image(case), config, where)
                dice = 100 * binary.dc(mask, prepared.read_label(case))
                rows.append((step, name, case, dice))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def results(cases: pd.DataFrame, trajectory: pd.DataFrame, record: dict[str, Any]) -> dict[str, str]:
    """The texts of a run's published files, by name: headline figures, scores of cases and snapshots, the record."""
    table, followed = (frame.to_csv(index=False, float_format="%.6f") for frame in (cases, trajectory))
    hashes = {"cases_sha256": text_hash(table), "snapshots_sha256": text_hash(followed)}
    return {
        "headline.json": json.dumps(headline(cases, record["evaluation"]), indent=2) + "\n",
        "cases.csv": table,
        "snapshots.csv": followed,
        "record.yaml": yaml.safe_dump(record | hashes, sort_keys=False),
    }
