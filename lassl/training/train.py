"""The training loop: the only one, for every algorithm. It can stop at any instant and go on as if it had not."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pandas as pd
import torch

from lassl.config import Config, Method, Run
from lassl.data.patches import Batch, PatchSource, loader
from lassl.data.prepared import UNLABELED, Draw, Prepared, choose, open_prepared
from lassl.methods import build, module_of, ramps
from lassl.methods.base import Progress
from lassl.model import placement
from lassl.model.placement import Placement
from lassl.model.trained import Model, save
from lassl.model.vnet import VNet
from lassl.plumbing.errors import LasslError, Stopped, note
from lassl.plumbing.files import text_hash, whole_folder
from lassl.plumbing.machine import keep_memory, machine, peak_memory_mib
from lassl.plumbing.plugins import part
from lassl.plumbing.progress import bar, recent
from lassl.plumbing.provenance import fingerprint, named_modules
from lassl.seeds import stream_seed
from lassl.training.checkpoints import Checkpoints
from lassl.training.step import NotFinite, State, sgd

ROOT = Path(__file__).parents[2]


def train(config: Config, run: Run) -> None:
    """Train one run on the prepared cohort, from its last checkpoint if there is one; writes its model and its curves.

    Raises LasslError; whatever happens, the checkpoints written so far stay good.
    """
    method = config.methods[run.method]
    prepared = open_prepared(config.data.prepared)
    where = placement.choose(config.compute, config.patches.size)
    where.check_patch(config.patches.size)
    settings = config.settings(run.method)
    code = fingerprint("lassl.training.train", module_of(method.algorithm), *named_modules(settings), root=ROOT)
    checkpoints = Checkpoints(run.checkpoints, shaped_by(config, run, prepared.manifest_hash, code, where))
    keep_memory()
    with checkpoints.held():
        draw = drawn(config, method, prepared, run.draw)
        source = PatchSource(prepared, draw, config.patches, method.batch, run.seed)
        state = fit(config, method, source, where, run.seed, checkpoints, run.curves)
        record = {
            "profile": run.profile,
            "method": run.method,
            "draw": run.draw,
            "seed": run.seed,
            "settings": settings,
            "cohort": {"name": config.data.cohort, "hash": prepared.manifest_hash},
            "labeled": list(draw.labeled),
            "held_out": list(draw.held_out),
            "training": {
                "seconds": round(state.seconds, 1),
                "resumed": state.resumed,
                "peak_memory_mib": peak_memory_mib(where.device),
                "precision": where.name,
                "precision_reason": where.reason,
                **machine(where.device),
            },
        }
        write_curves(run.curves, state.curves)
        save(run.model, Model(config.network, state.algorithm.networks, record, state.snapshots))
        checkpoints.remove()


def shaped_by(config: Config, run: Run, cohort: str, code: str, where: Placement) -> dict[str, str]:
    """All that decides the bits of a run's weights, in words: a checkpoint serves only where they are all the same."""
    computer = machine(where.device)
    return {
        "run": f"{run.profile}/{run.name}",
        "settings": repr(config.settings(run.method)),
        "cohort": cohort,
        "code": text_hash(code),
        "precision": where.name,
        **{part: str(computer[part]) for part in ("device", "threads", "torch", "numpy")},
    }


def fit(
    config: Config,
    method: Method,
    source: PatchSource,
    where: Placement,
    seed: int,
    checkpoints: Checkpoints | None = None,
    curves: Path | None = None,
) -> State:
    """Train an algorithm for config.train.steps on a source of patches and give its last state. Raises LasslError.

    With `checkpoints` it goes on from the last one and writes one every few minutes, and the curves so far with it.
    SIGTERM and Ctrl-C write one, too, after the step that is being made.
    """
    steps = config.train.steps
    schedule = part("schedule", config.train.schedule or method.schedule, ramps.SCHEDULES)
    keep = snapshot_steps(steps, config.snapshots.count)
    state = first_state(config, method, where, seed)
    if checkpoints and (content := checkpoints.load()):
        state.restore(content)
        state.resumed += 1
        note(f"going on from step {state.step} of {steps}")
    batches = loader(source, range(state.step, steps), config.running.workers, where.device.type == "cuda")
    began, saved = time.monotonic() - state.seconds, time.monotonic()
    with stop_request() as asked:
        shown = bar(batches, "train", "step", steps, state.step)
        for batch in shown:
            groups = range(len(state.optimizer.param_groups))
            rates = [config.train.lr * schedule(state.step, steps, network) for network in groups]
            try:
                state.advance(batch, Progress(state.step, steps, source.epoch(state.step), seed), rates, where)
            except NotFinite as error:
                raise explained(error, state, batch, checkpoints) from None
            shown.set_postfix_str(recent(state.curves), refresh=False)
            if state.step in keep:
                state.take_snapshot()
            state.seconds = time.monotonic() - began
            if state.step == steps:
                continue  # the loader ends here, and the bar is full
            stop = asked()
            if checkpoints and (stop or time.monotonic() - saved >= 60 * config.running.checkpoint_minutes):
                checkpoints.save(state.step, state.content())
                if curves:
                    write_curves(curves, state.curves)
                saved = time.monotonic()
            if stop:
                kept = "it is saved, and the same command goes on from there" if checkpoints else "nothing is saved"
                name = signal.Signals(stop).name
                raise Stopped(f"stopped by {name} after step {state.step} of {steps}; {kept}", stop)
    return state


def drawn(config: Config, method: Method, prepared: Prepared, draw: int) -> Draw:
    """Choose the cases that a draw of a method trains on. Raises LasslError."""
    others = part("cases.unlabeled", config.cases.unlabeled, UNLABELED)
    counts = (method.labeled, method.unlabeled, draw, config.cases.held_out)
    return choose(prepared.split.train, prepared.with_label, *counts, others)


def snapshot_steps(steps: int, count: int) -> set[int]:
    """Steps after which a snapshot is kept: evenly spaced from the middle of training, the last step left out."""
    return {(steps * (count + i)) // (2 * count) for i in range(count)}


def first_state(config: Config, method: Method, where: Placement, seed: int) -> State:
    """Make the algorithm with its initial weights, and its optimizer."""
    torch.manual_seed(stream_seed(seed, "weights"))
    module = where.module(build(method.algorithm, lambda: VNet(config.network), method.options)).train()
    optimizer = sgd(module, config.train.lr, config.train.momentum, method.weight_decay)
    scaler = torch.amp.GradScaler(where.device.type, enabled=where.dtype == torch.float16)
    return State(module, optimizer, scaler)


def explained(error: NotFinite, state: State, batch: Batch, checkpoints: Checkpoints | None) -> LasslError:
    """Keep the state and the batch that gave a loss which is not finite, and say where they are and what to do."""
    advice = "try a lower train.lr or compute.precision=fp32, and look at the curves before this step"
    if not checkpoints:
        return LasslError(f"{error}; {advice}")
    seen = {"image": batch.image, "label": batch.label}
    path = checkpoints.keep(f"not-finite-{state.step:08d}", {**state.content(), "batch": seen})
    return LasslError(f"{error}; the state and the batch that gave it are in {path}; {advice}")


def write_curves(folder: Path, curves: list[dict[str, float]]) -> None:
    """Write a table of step and value for each name in `folder`, as `dvc plots show` draws them."""
    frame = pd.DataFrame(curves).rename_axis("step")
    with whole_folder(folder) as temporary:
        for name, values in frame.items():
            values.dropna().to_csv(temporary / f"{name}.tsv", sep="\t", float_format="%.7g")


@contextmanager
def stop_request() -> Iterator[Callable[[], int]]:
    """Give a function that tells whether SIGTERM or Ctrl-C came (its number, else 0); a second one acts at once."""
    came = 0
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = number
        for each, handler in before.items():
            signal.signal(each, handler)
        note("stopping after this step, to save it; once more to stop at once")

    try:
        for number in before:
            signal.signal(number, remember)
        yield lambda: came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
