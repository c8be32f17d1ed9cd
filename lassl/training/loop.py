"""The only training loop, for all algorithms. It can stop at any moment and resume as if it had not stopped."""

import signal
import time
from pathlib import Path

import pandas as pd
import torch

from lassl.data.patches import PatchSource, loader
from lassl.learning.base import Algorithm, Progress
from lassl.methods import build
from lassl.model.network import build_network
from lassl.model.placement import Placement
from lassl.model.start import read_start
from lassl.plumbing.errors import LasslError, Stopped, note
from lassl.plumbing.files import holds_only, whole_folder
from lassl.plumbing.plugins import plugin
from lassl.plumbing.progress import bar, live_curves, recent
from lassl.seeds import stream_seed
from lassl.settings.config import Config
from lassl.settings.sections import Method
from lassl.training.checkpoints import Checkpoints
from lassl.training.interrupt import stop_request
from lassl.training.schedules import SCHEDULES
from lassl.training.step import NotFinite, State, sgd


def fit(
    config: Config,
    method: Method,
    source: PatchSource,
    placement: Placement,
    seed: int,
    checkpoints: Checkpoints | None = None,
    curves: Path | None = None,
    board: Path | None = None,
    algorithm: type[Algorithm] | None = None,
) -> State:
    """Train an algorithm for config.train.steps on a source of patches and return its last state. Raises LasslError.

    With `checkpoints` it goes on from the last one and writes one every few minutes, and the curves so far with it.
    SIGTERM and Ctrl-C write one, too, after the step that is being made. Curves go to `board` as well, step by step. A
    class given as `algorithm` trains in the place of the one that the method names.
    """
    steps = config.train.steps
    schedule = plugin("schedule", config.train.schedule or method.schedule, SCHEDULES)
    keep = snapshot_steps(steps, config.snapshots.count)
    check_classes(source, config.network.classes)
    state = first_state(config, method, placement, seed, algorithm)
    if checkpoints:
        resume(state, checkpoints, steps)
    batches = loader(source, range(state.step, steps), config.running.workers, placement.device)
    began, saved = time.monotonic() - state.seconds, time.monotonic()
    with live_curves(board) as follow, stop_request() as asked:
        shown = bar(batches, "train", "step", steps, state.step)
        try:
            for batch in shown:
                groups = range(len(state.optimizer.param_groups))
                rates = [config.train.lr * schedule(state.step, steps, network) for network in groups]
                state.advance(batch, Progress(state.step, steps, source.epoch(state.step), seed), rates, placement)
                shown.set_postfix_str(recent(state.curves), refresh=False)
                follow(state.curves)
                if state.step in keep:
                    state.take_snapshot()
                state.seconds = time.monotonic() - began
                if state.step == steps:
                    continue  # let the loader end and the bar fill up
                stop = asked()
                if checkpoints and (stop or time.monotonic() - saved >= 60 * config.running.checkpoint_minutes):
                    checkpoints.save(state.step, state.state_dict())
                    if curves:
                        write_curves(curves, state.curves)
                    saved = time.monotonic()
                if stop:
                    raise stopped(stop, state.step, steps, saved=checkpoints is not None)
        except NotFinite as error:
            raise explained(error, state, source, checkpoints) from None
    return state


def check_classes(source: PatchSource, classes: int) -> None:
    """Raise LasslError for labels with more classes than the network, whose losses would be wrong without a word."""
    if (highest := max(int(label.max()) for label in source.labels)) >= classes:
        raise LasslError(
            f"data.structures: found class {highest} in the labels of the prepared cohort, expected {classes - 1} at "
            "most; give the structures that it was prepared with"
        )


def resume(state: State, checkpoints: Checkpoints, steps: int) -> None:
    """Load the last checkpoint into a state, if there is one."""
    if saved := checkpoints.load():
        state.load_state_dict(saved)
        state.resumed += 1
        note(f"resuming from step {state.step} of {steps}")


def snapshot_steps(steps: int, count: int) -> set[int]:
    """Steps after which a snapshot is kept: evenly spaced from the middle of training, without the last step."""
    return {(steps * (count + i)) // (2 * count) for i in range(count)}


def first_state(
    config: Config, method: Method, placement: Placement, seed: int, algorithm: type[Algorithm] | None = None
) -> State:
    """Make the algorithm with its initial weights, and its optimizer; `algorithm` as in `fit`."""
    torch.manual_seed(stream_seed(seed, "weights"))
    built = build(algorithm or method.algorithm, lambda: build_network(config.network), method.options)
    module = placement.module(built).train()
    if config.train.start:
        read_start(config.train.start, config.network).into(module.networks.values())
    placement.compile(module.networks.values())
    optimizer = sgd(module, config.train.lr, config.train.momentum, method.weight_decay)
    scaler = torch.amp.GradScaler(placement.device.type, enabled=placement.dtype == torch.float16)
    return State(module, optimizer, scaler)


def stopped(by: int, step: int, steps: int, saved: bool) -> Stopped:
    """Say which signal stopped a training, and whether it can resume."""
    kept = "it is saved, and the same command resumes from there" if saved else "nothing is saved"
    return Stopped(f"stopped by {signal.Signals(by).name} after step {step} of {steps}; {kept}", by)


def explained(error: NotFinite, state: State, source: PatchSource, checkpoints: Checkpoints | None) -> LasslError:
    """Save the state and the batch that gave a non-finite loss, and say where they are and what to do."""
    advice = "try a lower train.lr or compute.precision=fp32, and look at the curves before this step"
    if not checkpoints:
        return LasslError(f"{error}; {advice}")
    batch = source[error.step]
    seen = {"image": batch.image, "label": batch.label}
    path = checkpoints.keep(f"not-finite-{error.step:08d}", {**state.state_dict(), "batch": seen})
    later = "" if state.step == error.step else f", the state after {state.step} steps"
    return LasslError(f"{error}; state and batch are saved in {path}{later}; {advice}")


def write_curves(folder: Path, curves: list[dict[str, float]]) -> None:
    """Write a table of step and value for each name to `folder`, in the format of `dvc plots show`."""
    frame = pd.DataFrame(curves).rename_axis("step")
    with whole_folder(folder, holds_only("*.tsv")) as temporary:
        for name, values in frame.items():
            values.dropna().to_csv(temporary / f"{name}.tsv", sep="\t", float_format="%.7g")
