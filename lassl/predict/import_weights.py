"""Checkpoints of the field's V-Net: made into model files, and scored on the test cases as the field scores them."""

import time
from dataclasses import replace
from pathlib import Path

import pandas as pd

from lassl.data.prepared import Prepared
from lassl.data.raw import CHALLENGE_SPACING_MM
from lassl.evaluation.evaluate import case_scores
from lassl.evaluation.external_masks import digest
from lassl.evaluation.external_record import REPORTED, Imported, ScoredFolder, Segmented
from lassl.images.geometry import Volume
from lassl.model.placement import place
from lassl.model.record import Cohort
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import text_hash
from lassl.plumbing.machine import machine, peak_memory_mib
from lassl.plumbing.progress import bar
from lassl.predict.imported_model import ImportedModel, read_checkpoint
from lassl.predict.model_file import Exported, read_exported, write_exported
from lassl.predict.segment import segment
from lassl.predict.settings import NORMALIZATION, PredictSettings
from lassl.predict.task import PROBABILITY, Task
from lassl.settings.config import Config

AS_PUBLISHED = PredictSettings(  # how the code of UA-MT and its descendants tests, and on which scans it trains
    pool=1,
    window=(112, 112, 80),
    stride=(18, 18, 4),
    batch=4,
    precision="fp32",
    channels_last=True,
    spacing_mm=CHALLENGE_SPACING_MM,
    orientation="LPS",
    normalization=NORMALIZATION,
)


def import_weights(checkpoint: Path, name: str, title: str, target: Path) -> Imported:
    """Write a model file with the weights of a checkpoint; gives the record of their origin. Raises LasslError.

    Several structures, whose names the file does not have, are called class_1, class_2, ...
    """
    model = read_checkpoint(checkpoint, name, title)
    structures = {f"class_{value}": value for value in range(1, model.config.classes)}
    settings = AS_PUBLISHED.model_copy(update={"structures": structures}) if len(structures) > 1 else AS_PUBLISHED
    write_exported(target, Exported(model, settings, None))
    return model.record


def read_imported(path: Path) -> tuple[ImportedModel, PredictSettings]:
    """Read a file that `import_weights` wrote. Raises LasslError, also for a model that was trained by lassl."""
    if not path.is_file():
        raise LasslError(f"{path}: no such file, expected a model of `lassl import-weights`, which comes first")
    exported = read_exported(path)
    if not isinstance(exported.model, ImportedModel):
        raise LasslError(
            f"{path}: was trained by lassl, expected a model of `lassl import-weights`; `dvc repro` evaluates a run, "
            "and masks of `lassl predict` are scored as a folder"
        )
    return exported.model, exported.settings


def score_imported(model: ImportedModel, needs: PredictSettings, prepared: Prepared, config: Config) -> ScoredFolder:
    """Score a model on a prepared cohort's test cases with the windows that it needs and with the stride of `config`.

    The former are what is reported, each with all parts of a mask and the largest alone. `config` also says where and
    in which number format the network runs. Raises LasslError, also for several structures.
    """
    found, expected = model.config.classes - 1, len(prepared.structures or [None])
    if found > 1 or expected > 1:
        raise LasslError(
            f"{model.record.name}: {found} structures, {expected} in {prepared.folder}; expected one in both: write "
            "masks of the raw scans with `lassl predict`, and score their folder"
        )
    if prepared.channels and len(prepared.channels) > 1:
        raise LasslError(
            f"{prepared.folder}: found the channels {', '.join(prepared.channels)}, but {model.record.name} sees one; "
            "prepare the cohort with one channel"
        )
    placement = place(config.compute)
    networks = {name: placement.module(network).eval() for name, network in model.networks.items()}
    as_needed = Task(networks, needs, placement, normalized=True)
    ways = {REPORTED.network: as_needed}
    if (stride := profile_stride(needs, config)) != needs.stride:
        name = f"{REPORTED.network}, stride {' '.join(map(str, stride))}"
        ways[name] = replace(as_needed, settings=needs.model_copy(update={"stride": stride}))
    started, rows, masks, labels = time.perf_counter(), [], "", ""
    for case in bar(prepared.split.test, "evaluate", "case", len(prepared.split.test)):
        image = Volume(prepared.read_image(case), prepared.geometry(case))
        maps = {name: segment(image, task)[PROBABILITY] for name, task in ways.items()}
        segmented_by = {name: prepared.to_reference(case, each)[0] > 0.5 for name, each in maps.items()}
        rows += case_scores(case, segmented_by, prepared)
        masks += f"{case} {digest(prepared.on_raw(case, segmented_by[REPORTED.network]))}\n"
        labels += f"{case} {digest(prepared.on_raw(case, prepared.reference(case)))}\n"
    segmented = Segmented(
        weights=model.record,
        cohort=Cohort(name=prepared.folder.name, hash=prepared.manifest_hash),
        window=needs.window,
        stride=needs.stride,
        seconds=round(time.perf_counter() - started, 1),
        peak_memory_mib=peak_memory_mib(placement.device),
        precision=placement.name,
        **machine(placement.device),
    )
    return ScoredFolder(pd.DataFrame(rows), text_hash(masks), text_hash(labels), segmented=segmented)


def profile_stride(needs: PredictSettings, config: Config) -> tuple[int, int, int]:
    """The stride of a profile's evaluation, in voxels of the scan, in a model's pooled voxels; at most its window."""
    voxels = (step * config.patches.pool // needs.pool for step in config.evaluate.stride)
    x, y, z = (max(1, min(step, side)) for step, side in zip(voxels, needs.window, strict=True))
    return x, y, z
