"""Pairs of plain and ours: two ways to do one thing, ready to be called on the same input."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks import plain
from lassl.data.label_split import LabelSplit
from lassl.data.patches import Batch, PatchSource, loader
from lassl.data.phantom import phantom
from lassl.data.pooling import pooled_image, pooled_label
from lassl.data.prepare import prepare
from lassl.data.prepared import MANIFEST, Prepared, open_prepared
from lassl.evaluation import metrics
from lassl.evaluation.inference import Windows, foregrounds
from lassl.learning import ramps
from lassl.learning.base import Progress
from lassl.model.placement import place
from lassl.model.vnet import VNet
from lassl.settings.compose import compose
from lassl.settings.config import Config, load
from lassl.settings.sections import BatchSize, Data, Method
from lassl.training.loop import first_state

Act = Callable[[], object]
REAL = Path("data/prepared/la2018")
SIZE = (160, 144, 88)  # of a synthetic case: about the mean of the real ones
STEPS = {"supervised": "vnet_16", "cps": "cps", "mean_teacher": "mt_un"}  # row -> method
TITLES = {"supervised": "supervised step", "cps": "CPS step", "mean_teacher": "MT+UN step"}


@dataclass(frozen=True)
class Setting:
    """The configuration of a scale, scans to measure on, and a folder for the plain side's files."""

    config: Config
    prepared: Prepared
    folder: Path


@dataclass(frozen=True)
class Pair:
    """Two ways to do one thing, and the number format of ours where it is a network's work."""

    what: str
    plain: Act
    ours: Act
    dtype: torch.dtype | None = None


def composed(
    profile: str,
    precision: str | None = None,
    method: str = "table",
    device: str = "cpu",
    threads: int | None = None,
) -> Config:
    """Compose a profile and some rows for a device, with the network behind the published figures.

    `threads` and `precision` are those of the profile if not given. Raises LasslError.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        network = ("network.residual=false", "network.dropout=0.5")
        asked = [f"compute.precision={precision}"] * bool(precision) + [f"compute.threads={threads}"] * bool(threads)
        compose(path, f"profile={profile}", f"method={method}", *network, f"compute.device={device}", *asked)
        return load(path)


def scans(folder: Path, tiny: bool) -> Prepared:
    """Open the real scans where they are prepared, else make phantoms in `folder`. Raises LasslError."""
    if not tiny and (REAL / MANIFEST).is_file():
        return open_prepared(REAL)
    size = (40, 36, 24) if tiny else SIZE
    cases = [f"P{i}" for i in range(5)]
    phantom(cases, folder / "raw", size, seed=0)
    split = folder / "split.csv"
    split.write_text("case,split\n" + "".join(f"{case},train\n" for case in cases[1:]) + f"{cases[0]},test\n")
    data = Data(
        cohort=str(folder / "prepared"), folder=folder / "raw", split=split,
        crop="none", crop_z=False, margin=(0, 0), margins="seeded", min_size=size, seed=0,
    )  # fmt: skip
    prepare(data)
    return open_prepared(data.prepared)


def step_pair(row: str, setting: Setting) -> Pair:
    """Pair one training step of a method, on the same batch of noise. Raises LasslError."""
    placement = place(setting.config.compute, setting.config.patches.size)
    return Pair(TITLES[row], plain_step(row, setting.config), our_step(row, setting.config), placement.dtype)


def our_step(row: str, config: Config) -> Act:
    """Make a training step of a row of STEPS. Raises LasslError."""
    return method_step(config.methods[STEPS[row]], config)


def method_step(method: Method, config: Config) -> Act:
    """Make a training step as lassl.training.loop does it, in the middle of the training. Raises LasslError."""
    placement = place(config.compute, config.patches.size)
    state = first_state(config, method, placement, seed=0)
    batch, progress = random_batch(config.patches.size, method.batch), halfway(config)
    rates = [config.train.lr] * len(state.optimizer.param_groups)
    return lambda: state.advance(batch, progress, rates, placement)


def plain_step(row: str, config: Config) -> Act:
    """Make a plain training step with the same settings, in fp32, on the device of the settings. Raises LasslError."""
    method, progress, device = config.methods[STEPS[row]], halfway(config), place(config.compute).device
    batch = random_batch(config.patches.size, method.batch)
    image, label = batch.image.to(device), batch.label.long().to(device)
    torch.manual_seed(0)
    a, b = VNet(config.network).train().to(device), VNet(config.network).train().to(device)
    first, second = (
        torch.optim.SGD(n.parameters(), config.train.lr, config.train.momentum, weight_decay=method.weight_decay)
        for n in (a, b)
    )
    weight = method.options.get("weight", 0) * ramps.sigmoid_ramp(ramps.staircase(progress.step, progress.steps))
    if row == "supervised":
        return lambda: plain.supervised_step(a, first, image, label)
    if row == "cps":
        return lambda: plain.cps_step(a, b, (first, second), image, label, weight)
    b.load_state_dict(a.state_dict())
    threshold, passes = ramps.uncertainty_threshold(progress.fraction), method.options["passes"]
    return lambda: plain.mean_teacher_step(a, b, first, image, label, weight, threshold, progress.step, passes)


def halfway(config: Config) -> Progress:
    """The middle of the training, where every term has weight."""
    return Progress(config.train.steps // 2, config.train.steps, epoch=0, seed=0)


def random_batch(size: tuple[int, int, int], count: BatchSize) -> Batch:
    """Noise for images (N, 1, *size), ellipsoids for labels (L, *size); the same whenever it is asked for."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(count.labeled + count.unlabeled, 1, *size, generator=generator)
    centers = 0.4 * torch.rand(count.labeled, 3, 1, 1, 1, generator=generator) - 0.2  # the patch is -1..1
    grid = torch.stack(torch.meshgrid(*(torch.linspace(-1, 1, n) for n in size), indexing="ij"))  # (3, X, Y, Z)
    return Batch(image, ((grid - centers).square().sum(1) < 0.25).to(torch.uint8))


def inference_pair(setting: Setting) -> Pair:
    """Pair the segmentation of the first test case, by an untrained network. Raises LasslError."""
    config, image = setting.config, setting.prepared.read_image(setting.prepared.split.test[0])
    placement = place(config.compute, config.patches.size)
    torch.manual_seed(0)
    network = VNet(config.network).eval()
    ours = placement.module(copy.deepcopy(network))
    return Pair(
        "inference of a case",
        lambda: plain.sliding_window(network, image, config.patches.size, config.evaluate.stride),
        lambda: foregrounds({"network": ours}, image, Windows.of(config), placement)["network"][0] > 0.5,
        placement.dtype,
    )


def scoring_pair(setting: Setting) -> Pair:
    """Pair the scoring of the first test case's label, distorted, against itself. Raises LasslError."""
    case = setting.prepared.split.test[0]
    reference = setting.prepared.read_label(case) > 0
    prediction = distorted(reference)
    return Pair(
        "scoring of a case",
        lambda: plain.score(prediction, reference),
        lambda: metrics.score(prediction, reference, setting.prepared.geometry(case).spacing_mm),
    )


def distorted(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Shift a mask (X, Y, Z) by some voxels and thicken it, as a fair prediction differs."""
    shifted = ndimage.shift(mask.astype(np.uint8), (3, -2, 1), order=0)
    thick: NDArray[np.bool_] = ndimage.binary_dilation(shifted, iterations=2)
    return thick


def loading_pair(setting: Setting) -> Pair:
    """Pair how a supervised batch comes to be: read from disk for every patch, or cut from what is in memory."""
    config, prepared = setting.config, setting.prepared
    method = config.methods[STEPS["supervised"]]
    labeled = prepared.split.train[: method.labeled]
    source = PatchSource(prepared, LabelSplit(labeled, ()), config.patches, method.batch, 0)
    batches = iter(loader(source, range(10**9), config.running.workers, torch.device("cpu")))
    files = pooled_files(prepared, labeled, config.patches.pool, setting.folder)
    rng = np.random.default_rng(0)

    def read() -> Batch:
        chosen = (files[rng.integers(len(files))] for _ in range(method.batch.labeled))
        images, labels = zip(*(plain.load_patch(path, config.patches.size, rng) for path in chosen), strict=True)
        return Batch(torch.stack(images), torch.stack(labels))

    return Pair("loading of a batch", read, lambda: next(batches))


def pooled_files(prepared: Prepared, cases: tuple[str, ...], pool: int, folder: Path) -> list[Path]:
    """The cases' prepared files, or pooled copies of them: what somebody would prepare to train at that scale."""
    if pool == 1:
        return [prepared.folder / f"{case}.h5" for case in cases]
    paths = [folder / f"{case}-{pool}.h5" for case in cases]
    for path, case in zip(paths, cases, strict=True):
        with h5py.File(path, "w") as file:
            file.create_dataset("image", data=pooled_image(prepared.read_image(case), pool), compression="lzf")
            file.create_dataset("label", data=pooled_label(prepared.read_label(case), pool), compression="lzf")
    return paths
