"""The training loop: the only one, for every algorithm."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import torch
from dvclive import Live
from torch import Tensor
from tqdm import tqdm

from lassl import precision, ramps
from lassl.cohort import choose, open_prepared
from lassl.config import Config, Method, Run
from lassl.errors import LasslError
from lassl.machine import machine
from lassl.methods import build
from lassl.methods.base import Algorithm, Batch, Progress
from lassl.model import Model, save
from lassl.patches import PatchSource
from lassl.precision import Precision
from lassl.streams import stream_seed
from lassl.vnet import VNet


def train(config: Config, run: Run) -> None:
    """Train one run on the prepared cohort; writes its model and its curves. Raises LasslError."""
    method = config.methods[run.method]
    prepared = open_prepared(config.data.prepared)
    draw = choose(prepared.split.train, prepared.with_label, method.labeled, method.unlabeled, run.draw)
    source = PatchSource(prepared, draw, config.patches, method.batch, run.seed)
    where = precision.choose(config.compute)
    where.check_patch(config.patches.size)
    started = time.perf_counter()
    with curves(run.curves) as live:
        algorithm = fit(config, method, source, where, run.seed, live)
    record = {
        "profile": run.profile,
        "method": run.method,
        "draw": run.draw,
        "seed": run.seed,
        "settings": config.settings(run.method),
        "cohort": {"name": config.data.cohort, "hash": prepared.manifest_hash},
        "training": {"seconds": round(time.perf_counter() - started, 1), **machine(where.device)},
    }
    save(run.model, Model(config.network, algorithm.networks, record))


def fit(
    config: Config, method: Method, source: PatchSource, where: Precision, seed: int, live: Live | None = None
) -> Algorithm:
    """Train an algorithm for config.train.steps on a source of patches and give it back. Raises LasslError."""
    steps = config.train.steps
    torch.manual_seed(stream_seed(seed, "weights"))
    module = where.module(build(method.algorithm, lambda: VNet(config.network), method.options)).train()
    algorithm = cast(Algorithm, module)
    optimizer = torch.optim.SGD(
        [p for p in module.parameters() if p.requires_grad],  # per weight: one optimizer equals one for each network
        lr=config.train.lr,
        momentum=config.train.momentum,
        weight_decay=method.weight_decay,
        fused=True,
    )
    scaler = torch.amp.GradScaler(where.device.type, enabled=where.dtype == torch.float16)
    for step in tqdm(range(steps), desc="train", unit="step", mininterval=1.0):
        progress = Progress(step, steps, source.epoch(step), seed)
        rate = config.train.lr * ramps.learning_rate(method.schedule, step, steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        logs = one_step(algorithm, source.batch(step), progress, where, optimizer, scaler)
        if live:
            for name, value in (logs | {"learning_rate": rate}).items():
                live.log_metric(name, value)
            live.next_step()
    return algorithm


def one_step(
    algorithm: Algorithm,
    batch: Batch,
    progress: Progress,
    where: Precision,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
) -> dict[str, float]:
    """Forward, backward, update; gives the terms, their sum and the logged values. Raises LasslError if not finite."""
    torch.manual_seed(stream_seed(progress.seed, "dropout", progress.step))
    with where.autocast():
        step = algorithm.losses(Batch(where.tensor(batch.image), where.tensor(batch.label)), progress)
    loss = torch.stack(list(step.terms.values())).sum()
    values = as_floats({**step.terms, "loss": loss, **step.logs})
    if not torch.isfinite(loss):
        terms = ", ".join(f"{name} {values[name]:g}" for name in step.terms)
        raise LasslError(
            f"step {progress.step}: the loss is not finite ({terms}); "
            "try a lower train.lr or compute.precision=fp32, and look at the curves before this step"
        )
    optimizer.zero_grad()
    scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
    scaler.step(optimizer)
    scaler.update()
    algorithm.after_step(progress)
    return values


def as_floats(values: dict[str, Tensor | float]) -> dict[str, float]:
    """Bring scalars to Python, those on a device in one transfer."""
    tensors = {name: v.detach().float() for name, v in values.items() if isinstance(v, Tensor)}
    numbers = torch.stack(list(tensors.values())).tolist()
    return {**values, **dict(zip(tensors, numbers, strict=True))}


@contextmanager
def curves(folder: Path) -> Iterator[Live]:
    """Log every step's values in `folder`, a table for each name, as `dvc plots show` draws them."""
    live = Live(str(folder), save_dvc_exp=False, dvcyaml=None, report=None)
    yield live
    Path(live.metrics_file).unlink(missing_ok=True)  # the last step's values: the tables have them
