"""Stage `evaluate`: a trained model -> predicted masks, scores and the record of a run."""

import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from medpy.metric import binary
from torch import nn

from lassl.data.prepared import Prepared, open_prepared
from lassl.evaluation import metrics
from lassl.evaluation.inference import Windows, predicted_mask, predicted_masks
from lassl.evaluation.snapshots import CHOICES, COLUMNS
from lassl.evaluation.summary import headline
from lassl.images.components import largest_component
from lassl.images.geometry import Array
from lassl.images.volumes import write_volume
from lassl.model.placement import Placement, place
from lassl.model.record import Evaluated, Evaluation, Scored, Trained, record_text
from lassl.model.trained import TrainedModel, load_model
from lassl.paths import RECORD, Run
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import holds, text_hash, whole_folder
from lassl.plumbing.machine import keep_memory, machine, peak_memory_mib
from lassl.plumbing.plugins import plugin
from lassl.plumbing.progress import bar
from lassl.settings.config import Config

SCORERS = 4  # cases that are scored side by side


def evaluate(config: Config, run: Run) -> None:
    """Score a run's model on the test cases in all variants: each network and their ensemble, all components or one.

    Writes to `run.predictions`, all or nothing, the masks and headline figures of the variant that params.yaml asks
    for, the scores of all variants, those of the snapshots, and the record. Raises LasslError.
    """
    prepared = open_prepared(config.data.prepared, config.cases.tuning)
    model = load_model(run.model)
    network = model.named(config.evaluate.network, "params.yaml: evaluate.network")
    placement = place(config.compute, config.patches.size)
    keep_memory()
    started = time.perf_counter()
    snapshots = score_snapshots(model, prepared, config, placement)
    step = scored_step(snapshots, config.snapshots.use) if len(snapshots) else None
    with whole_folder(run.predictions, holds(RECORD)) as folder:
        cases = score_cases(config, model.after(step), network, prepared, placement, folder)
        evaluation = Evaluation(
            **config.evaluate.model_dump(exclude={"network"}),
            network=network,
            snapshot=Scored(use=config.snapshots.use, step=step),
            seconds=round(time.perf_counter() - started, 1),
            peak_memory_mib=peak_memory_mib(placement.device),
            precision=placement.name,
            **machine(placement.device),
        )
        for name, text in published_texts(cases, snapshots, model.record, evaluation).items():
            (folder / name).write_text(text, "utf-8")


def score_cases(
    config: Config,
    networks: Mapping[str, nn.Module],
    reported: str,
    prepared: Prepared,
    placement: Placement,
    folder: Path,
) -> pd.DataFrame:
    """Score all variants of all test cases; writes the masks of the variant that is reported to `folder`.

    A row for each case and variant: case, network, parts (all components or the largest), then the fields of Scores.
    """
    placed = {name: placement.module(network).eval() for name, network in networks.items()}
    tables: list[Future[list[dict[str, Any]]]] = []
    with ThreadPoolExecutor(SCORERS) as scorers:  # the networks go on with the next case meanwhile
        for case in bar(prepared.split.test, "evaluate", "case", len(prepared.split.test)):
            masks = predicted_masks(placed, prepared.read_image(case), Windows.of(config), placement)
            tables.append(scorers.submit(case_scores, case, masks, prepared))
            mask = masks[reported]
            chosen = largest_component(mask) if config.evaluate.largest_component else mask
            write_volume(folder / f"{case}.nrrd", prepared.paste(case, chosen))
            if len(tables) > SCORERS:
                tables[-1 - SCORERS].result()  # not too many volumes wait
    return pd.DataFrame([row for table in tables for row in table.result()])


def case_scores(case: str, masks: Mapping[str, Array], prepared: Prepared) -> list[dict[str, Any]]:
    """The rows of all variants of a case, whose masks by all networks are given. Raises LasslError."""
    reference, spacing = prepared.read_label(case) > 0, prepared.geometry(case).spacing_mm
    return [
        {"case": case, "network": name, "parts": parts, **asdict(metrics.score(mask, reference, spacing))}
        for name, parts, mask in variants(masks)
    ]


def scored_step(snapshots: pd.DataFrame, use: str) -> int:
    """Choose the step whose weights are scored, as `use` says, from the Dice of all snapshots.

    Raises LasslError for a step of which there are no weights.
    """
    step, steps = plugin("snapshots.use", use, CHOICES)(snapshots), sorted(set(snapshots["step"]))
    if step not in steps:
        raise LasslError(f"params.yaml: snapshots.use: '{use}' chose step {step}; expected one of {steps}: mend it")
    return int(step)


def variants(masks: Mapping[str, Array]) -> Iterator[tuple[str, str, Array]]:
    """Give the mask of each network with all connected components and with the largest alone.

    Each as (network, all or largest, boolean mask (X, Y, Z)).
    """
    for name, mask in masks.items():
        yield name, "all", mask
        yield name, "largest", largest_component(mask)


def score_snapshots(model: TrainedModel, prepared: Prepared, config: Config, placement: Placement) -> pd.DataFrame:
    """Dice in percent of each snapshot, and of the last weights, on each held-out and each test case.

    Columns: step, part (held_out or test), case, dice_percent. Empty if no snapshot was kept.
    """
    cases = [("held_out", case) for case in model.record.held_out] + [("test", case) for case in prepared.split.test]
    steps = [*sorted(model.snapshots), model.steps] if model.snapshots else []
    rows = []
    for step in bar(steps, "snapshots", "snapshot", len(steps)):
        network = placement.module(model.after(step)[model.default]).eval()
        for subset, case in cases:
            mask = predicted_mask(network, prepared.read_image(case), Windows.of(config), placement)
            rows.append((step, subset, case, 100 * binary.dc(mask, prepared.read_label(case))))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def published_texts(
    cases: pd.DataFrame, snapshots: pd.DataFrame, trained: Trained, evaluation: Evaluation
) -> dict[str, str]:
    """The texts of a run's published files, by name: headline figures, scores of cases and snapshots, the record."""
    case_table, snapshot_table = (frame.to_csv(index=False, float_format="%.6f") for frame in (cases, snapshots))
    record = Evaluated(
        **trained.plain(),
        evaluation=evaluation,
        cases_sha256=text_hash(case_table),
        snapshots_sha256=text_hash(snapshot_table),
    )
    return {
        "headline.json": json.dumps(headline(cases, evaluation), indent=2) + "\n",
        "cases.csv": case_table,
        "snapshots.csv": snapshot_table,
        RECORD: record_text(record),
    }
