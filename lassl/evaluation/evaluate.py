"""Stage `evaluate`: a trained model -> predicted masks, scores and the record of a run."""

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from lassl.data.prepared import Prepared, open_prepared
from lassl.evaluation.inference import Windows, decided, foregrounds
from lassl.evaluation.snapshots import CHOICES, COLUMNS, recorded
from lassl.evaluation.structures import check_structures, mean_dice, rows_of
from lassl.evaluation.summary import summary_text
from lassl.images.components import largest_of_each
from lassl.images.geometry import Array, Volume
from lassl.images.grids import shifted
from lassl.images.structures import with_values
from lassl.images.volumes import write_volume
from lassl.model.placement import Placement, place
from lassl.model.record import Evaluated, Evaluation, Scored, Trained, record_text
from lassl.model.trained import TrainedModel, load_model
from lassl.paths import CASES, RECORD, SUMMARY, Run, probability_files
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import holds, text_hash, whole_folder
from lassl.plumbing.machine import keep_memory, machine, peak_memory_mib
from lassl.plumbing.plugins import plugin
from lassl.plumbing.progress import bar
from lassl.settings.config import Config

SCORERS = 4  # number of cases scored in parallel


def evaluate(config: Config, run: Run) -> None:
    """Score a run's model on the test cases in all variants: each network and their ensemble, all components or one.

    Writes to `run.predictions`, completely or not at all: masks, probabilities and summary of the variant set in
    params.yaml, the scores of all variants, and the record with the Dice of the snapshots. Raises LasslError.
    """
    prepared = open_prepared(config.data.prepared, config.cases.tuning)
    model = load_model(run.model)
    check_structures(model.record, prepared)
    network = model.named(config.evaluate.network, "params.yaml: evaluate.network")
    placement = place(config.compute, config.patches.size, config.network.halvings)
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
    """Score all variants of all test cases; writes masks and probabilities of the reported variant to `folder`.

    Returns a row per case, variant and structure: case, network, parts (all components or the largest), structure if
    there are several, then the fields of Scores.
    """
    structures = prepared.structures
    placed = {name: placement.module(network).eval() for name, network in networks.items()}
    tables: list[Future[list[dict[str, Any]]]] = []
    with ThreadPoolExecutor(SCORERS) as scorers:  # meanwhile the networks process the next case
        for case in bar(prepared.split.test, "evaluate", "case", len(prepared.split.test)):
            maps = foregrounds(placed, prepared.read_image(case), Windows.of(config), placement)
            masks = {name: decided(prepared.to_reference(case, probabilities)) for name, probabilities in maps.items()}
            tables.append(scorers.submit(case_scores, case, masks, prepared))
            mask = masks[reported]
            chosen = largest_of_each(mask, len(maps[reported])) if config.evaluate.largest_component else mask
            write_volume(folder / f"{case}.nrrd", with_values(prepared.on_raw(case, chosen), structures))
            for path, probability in zip(probability_files(folder, case, structures), maps[reported], strict=True):
                write_volume(path, in_percent(probability, case, prepared))
            if len(tables) > SCORERS:
                tables[-1 - SCORERS].result()  # limit the number of waiting volumes
    return pd.DataFrame([row for table in tables for row in table.result()])


def in_percent(probability: Array, case: str, prepared: Prepared) -> Volume:
    """Round a probability (X, Y, Z) in [0, 1] of a prepared case to whole percent, uint8, in the case's own place."""
    place = shifted(prepared.geometry(case), prepared.crop_start(case))
    return Volume(np.rint(100 * probability).astype(np.uint8), place)


def case_scores(case: str, masks: Mapping[str, Array], prepared: Prepared) -> list[dict[str, Any]]:
    """The rows of all variants of a case, from the classes of all networks with its reference's voxels."""
    reference, spacing = prepared.reference(case), prepared.scored_mm(case)
    return [
        row
        for name, parts, mask in variants(masks, len(prepared.structures or [None]))
        for row in rows_of(
            {"case": case, "network": name, "parts": parts}, mask, reference, spacing, prepared.structures
        )
    ]


def scored_step(snapshots: pd.DataFrame, use: str) -> int:
    """Choose the step whose weights are scored, by the rule `use`, from the Dice of all snapshots.

    Raises LasslError if there are no weights for the chosen step.
    """
    step, steps = plugin("snapshots.use", use, CHOICES)(snapshots), sorted(set(snapshots["step"]))
    if step not in steps:
        raise LasslError(
            f"params.yaml: snapshots.use: '{use}' chose step {step}, expected one of {steps}; fix the function"
        )
    return int(step)


def variants(masks: Mapping[str, Array], count: int) -> Iterator[tuple[str, str, Array]]:
    """Give the mask of each network with all connected components, and with only the largest of each structure.

    Each as (network, all or largest, classes (X, Y, Z)); `count` is the number of structures.
    """
    for name, mask in masks.items():
        yield name, "all", mask
        yield name, "largest", largest_of_each(mask, count)


def score_snapshots(model: TrainedModel, prepared: Prepared, config: Config, placement: Placement) -> pd.DataFrame:
    """Dice in percent of each snapshot, and of the last weights, on each held-out and each test case.

    Columns: step, part (held_out or test), case, dice_percent (of several structures their mean). Empty if no snapshot
    was kept. Masks of a scan that was resampled are compared where the network sees it, with the label that was
    resampled, too.
    """
    cases = [("held_out", case) for case in model.record.held_out] + [("test", case) for case in prepared.split.test]
    if not model.snapshots:
        return pd.DataFrame(columns=list(COLUMNS))
    steps = [*sorted(model.snapshots), model.steps]
    networks = {str(step): placement.module(model.after(step)[model.default]).eval() for step in steps}
    rows = []
    for subset, case in bar(cases, "snapshots", "case", len(cases)):
        maps = foregrounds(networks, prepared.read_image(case), Windows.of(config), placement)
        label, found = prepared.read_label(case), {step: maps[str(step)] for step in steps}
        rows += [(step, subset, case, mean_dice(decided(p), label, len(p))) for step, p in found.items()]
    return pd.DataFrame(rows, columns=list(COLUMNS)).sort_values("step", kind="stable", ignore_index=True)


def published_texts(
    cases: pd.DataFrame, snapshots: pd.DataFrame, trained: Trained, evaluation: Evaluation
) -> dict[str, str]:
    """File name -> text of a run's published files: the summary, the scores of cases, the record."""
    case_table = cases.to_csv(index=False, float_format="%.6f")
    told = trained.plain() | ({"snapshot_dice": recorded(snapshots)} if len(snapshots) else {})
    record = Evaluated(**told, evaluation=evaluation, cases_sha256=text_hash(case_table))
    return {
        SUMMARY: summary_text(cases, evaluation),
        CASES: case_table,
        RECORD: record_text(record),
    }
