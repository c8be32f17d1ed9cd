"""Stage `train`: one run, from prepared scans to a model with the record of its training."""

from pathlib import Path
from typing import Any

from lassl.data.label_split import UNLABELED, LabelSplit, choose_cases
from lassl.data.patches import PatchSource
from lassl.data.prepared import Prepared, open_prepared
from lassl.images.geometry import orientation
from lassl.methods import check, check_network, module_of
from lassl.model.placement import Placement, place
from lassl.model.record import Cohort, Settings, Trained, Training
from lassl.model.start import read_start
from lassl.model.trained import TrainedModel, save_model
from lassl.paths import Run
from lassl.plumbing.files import text_hash
from lassl.plumbing.machine import keep_memory, machine, peak_memory_mib
from lassl.plumbing.plugins import plugin
from lassl.plumbing.provenance import fingerprint, named_modules
from lassl.settings.config import Config
from lassl.settings.sections import Method
from lassl.training.checkpoints import Checkpoints
from lassl.training.loop import fit, write_curves
from lassl.training.step import State

ROOT = Path(__file__).parents[2]


def train(config: Config, run: Run) -> None:
    """Train one run on the prepared cohort, from its last checkpoint if there is one; writes its model and curves.

    Raises LasslError; checkpoints written so far stay valid in any case.
    """
    method = config.methods[run.method]
    check({run.method: method})
    check_network({run.method: method}, config.network, config.patches.size)
    prepared = open_prepared(config.data.prepared, config.cases.tuning)
    placement = place(config.compute, config.patches.size, config.network.halvings)
    placement.check_patch(config.patches.size, config.network.width, config.network.halvings)
    named = named_modules(config.settings(run.method))
    code = fingerprint("lassl.training.train", module_of(method.algorithm), *named, root=ROOT)
    checkpoints = Checkpoints(run.checkpoints, shaped_by(config, run, prepared.manifest_hash, code, placement))
    keep_memory()
    with checkpoints.held():
        label_split = cases_of(config, method, prepared, run.label_split)
        source = PatchSource(prepared, label_split, config.patches, method.batch, run.seed)
        source.bring_to(placement.device)
        board = run.tensorboard if config.running.tensorboard else None
        state = fit(config, method, source, placement, run.seed, checkpoints, run.curves, board)
        write_curves(run.curves, state.curves)
        record = record_of(config, run, prepared, label_split, state, placement)
        save_model(run.model, TrainedModel(config.network, state.algorithm.networks, record, state.snapshots))
        checkpoints.remove()


def shaped_by(config: Config, run: Run, cohort: str, code: str, placement: Placement) -> dict[str, str]:
    """Everything that determines the bits of a run's weights, as text; a checkpoint is used only if all are equal."""
    computer = machine(placement.device)
    return {
        "run": f"{run.profile}/{run.name}",
        "settings": repr(config.settings(run.method)),
        "cohort": cohort,
        "code": text_hash(code),
        "precision": placement.name,
        **{key: str(computer[key]) for key in ("device", "threads", "torch", "numpy")},
        **start_of(config),
    }


def start_of(config: Config) -> dict[str, Any]:
    """The hash of the model that the training starts from, if it starts from one. Raises LasslError."""
    if config.train.start is None:
        return {}
    return {"start_sha256": read_start(config.train.start, config.network).sha256}


def cases_of(config: Config, method: Method, prepared: Prepared, label_split: int) -> LabelSplit:
    """Choose the cases for a label split of a method. Raises LasslError."""
    others = plugin("cases.unlabeled", config.cases.unlabeled, UNLABELED)
    counts = (method.labeled, method.unlabeled, label_split, config.cases.held_out)
    split = prepared.split
    return choose_cases(split.train, prepared.with_label, *counts, others, split.patients)


def record_of(
    config: Config, run: Run, prepared: Prepared, label_split: LabelSplit, state: State, placement: Placement
) -> Trained:
    """The record of what was trained, on which data, where, and how it went."""
    grid = prepared.geometry(next(iter(prepared.cases)))
    x, y, z = grid.spacing_mm
    beside: dict[str, Any] = {key: getattr(prepared, key) for key in ("structures", "clip", "channels")}
    return Trained(
        **run.model_dump(),
        settings=Settings.of(config, run.method),
        cohort=Cohort(
            name=config.data.cohort,
            hash=prepared.manifest_hash,
            spacing_mm=(x, y, z),
            orientation=orientation(grid),
            **{key: value for key, value in beside.items() if value},
        ),
        labeled=label_split.labeled,
        held_out=label_split.held_out,
        training=Training(
            seconds=round(state.seconds, 1),
            resumed=state.resumed,
            peak_memory_mib=peak_memory_mib(placement.device),
            precision=placement.name,
            precision_reason=placement.reason,
            **machine(placement.device),
            **start_of(config),
        ),
    )
