"""Random patches of a label split's cases, held in memory; each batch is a pure function of seed and step."""

import math
import shutil
import signal
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lassl.data.label_split import LabelSplit
from lassl.data.pooling import pooled_image, pooled_label
from lassl.images.geometry import Array
from lassl.plumbing.errors import note
from lassl.seeds import stream
from lassl.settings.sections import BatchSize, Patches

SHARED = Path("/dev/shm")  # loading processes pass batches through it


@dataclass(frozen=True)
class Batch:
    """Patches of one step. Only the first L have a label, so the label of an unlabeled case can never be used."""

    image: Tensor  # (N, C, X, Y, Z) float32, of C channels
    label: Tensor  # (L, X, Y, Z) uint8, classes from 0, L <= N

    @property
    def labeled(self) -> int:
        """The number L of patches with a label."""
        return len(self.label)

    @property
    def labeled_image(self) -> Tensor:
        """The patches with a label: (L, C, X, Y, Z)."""
        return self.image[: self.labeled]

    @property
    def unlabeled_image(self) -> Tensor:
        """The patches without a label: (N - L, C, X, Y, Z)."""
        return self.image[self.labeled :]

    def pin_memory(self) -> "Batch":
        """Return a copy in pinned memory, from which a GPU can copy while it computes; called by torch's loader."""
        return Batch(self.image.pin_memory(), self.label.pin_memory())


class Cases(Protocol):
    """Where volumes come from: images normalized, float32 (X, Y, Z), and labels, uint8 (X, Y, Z) of classes from 0.

    Images of several channels are (C, X, Y, Z).
    """

    def read_image(self, case: str) -> Array:
        """Give the image of a case."""

    def read_label(self, case: str) -> Array:
        """Give the label of a case that has one."""


class PatchSource(Dataset[Batch]):
    """The pooled cases of a label split in memory; only the labels of labeled cases are read.

    The n-th labeled patch of a seed depends on n alone, so methods with different batches see the same sequence.
    Memory: 4 bytes per pooled voxel of the images, 1 byte per voxel of the labels.
    """

    def __init__(self, prepared: Cases, label_split: LabelSplit, patches: Patches, batch: BatchSize, seed: int):
        def image(case: str) -> Tensor:
            return torch.from_numpy(pooled_image(prepared.read_image(case), patches.pool))

        self.size = patches.size
        self.batch_size = batch
        self.seed = seed
        self.labeled = [image(c) for c in label_split.labeled]
        self.labels = [
            torch.from_numpy(pooled_label(prepared.read_label(c), patches.pool)) for c in label_split.labeled
        ]
        self.unlabeled = [image(c) for c in label_split.unlabeled] if batch.unlabeled else []

    @property
    def device(self) -> torch.device:
        """The device that holds the cases and makes the batches."""
        return self.labeled[0].device

    def bring_to(self, device: torch.device) -> None:
        """Move the cases to a GPU if they fill at most half of its free memory; the batches stay the same."""
        needed = sum(volume.nbytes for volume in chain(self.labeled, self.labels, self.unlabeled))
        if device.type == "cuda" and 2 * needed > torch.cuda.mem_get_info(device)[0]:
            return
        for volumes in (self.labeled, self.labels, self.unlabeled):
            volumes[:] = [volume.to(device) for volume in volumes]

    @property
    def batch_bytes(self) -> int:
        """Memory of a batch: 4 bytes per voxel for images, 1 for labels."""
        labeled, unlabeled = self.batch_size.labeled, self.batch_size.unlabeled
        return math.prod(self.size) * (4 * self.channels * (labeled + unlabeled) + labeled)

    @property
    def channels(self) -> int:
        """The number C of channels of an image."""
        return math.prod(self.labeled[0].shape[:-3])

    def epoch(self, step: int) -> int:
        """Number of completed passes over the labeled cases before a step."""
        return step * self.batch_size.labeled // len(self.labeled)

    def __getitem__(self, step: int) -> Batch:
        """Make the batch of a step, counted from 0: labeled patches first."""
        images: list[Tensor] = []
        labels: list[Tensor] = []
        for n in range(step * self.batch_size.labeled, (step + 1) * self.batch_size.labeled):
            case = pick(n, len(self.labeled), self.seed, "labeled")
            image, label = random_patch(
                [self.labeled[case], self.labels[case]], self.size, stream(self.seed, "labeled patch", n)
            )
            images.append(image)
            labels.append(label)
        for n in range(step * self.batch_size.unlabeled, (step + 1) * self.batch_size.unlabeled):
            case = pick(n, len(self.unlabeled), self.seed, "unlabeled")
            images += random_patch([self.unlabeled[case]], self.size, stream(self.seed, "unlabeled patch", n))
        image = torch.stack(images)
        return Batch(image.unsqueeze(1) if image.ndim == 4 else image, torch.stack(labels))  # (N, C, X, Y, Z)


def loader(source: PatchSource, steps: range, workers: int, device: torch.device) -> Iterable[Batch]:
    """Give the batches of the steps for a network on a device, pinned for a GPU.

    If the cases are on a GPU, batches are made one by one. Otherwise `workers` processes make them ahead, or this
    process does if there is too little shared memory.
    """
    if source.device.type == "cuda":
        return map(source.__getitem__, steps)
    needed = (2 * workers + 1) * source.batch_bytes  # two batches per process, and the one in use
    if workers and (free := free_shared_memory()) < needed:
        note(
            f"note: {SHARED}: {free / 2**20:.1f} MiB of shared memory are free, but {workers} loading processes need "
            f"{needed / 2**20:.1f}; training continues without them. Enlarge it (docker: --shm-size) or set "
            "running.workers=0"
        )
        workers = 0
    return DataLoader(
        source,
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        worker_init_fn=outlive_signals,
        pin_memory=device.type == "cuda",
        generator=torch.Generator(),  # the loader draws from it, although nothing here uses the numbers
    )


def free_shared_memory() -> float:
    """Free bytes of shared memory; infinite if the system does not show it as a folder."""
    return shutil.disk_usage(SHARED).free if SHARED.is_dir() else math.inf


def outlive_signals(worker: int) -> None:
    """Ignore signals in a loading process, since those to a process group reach it as well as the training.

    The training finishes its step and saves, and may need a batch for that. It then ends its loading processes; they
    also end by themselves when it is gone.
    """
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def pick(n: int, cases: int, seed: int, purpose: str) -> int:
    """Index, below `cases`, of the n-th case in an endless sequence of shuffled passes over the cases.

    Sequences of different seeds or purposes are independent.
    """
    order = stream(seed, purpose, "order", n // cases).permutation(cases)
    return int(order[n % cases])


def random_patch(volumes: Sequence[Tensor], size: Sequence[int], rng: np.random.Generator) -> list[Tensor]:
    """Cut the same random patch of `size` from volumes (..., X, Y, Z) of one size; rotate it in plane and flip it.

    All eight poses are equally likely; a patch that is not square in plane is rotated by 180 degrees or not at all.
    If a volume is smaller than the patch, zeros are added on both sides.
    """
    padded = [pad(v, size) for v in volumes]
    corner = [int(rng.integers(n - s + 1)) for n, s in zip(padded[0].shape[-3:], size, strict=True)]
    turns = int(rng.integers(4)) if size[0] == size[1] else 2 * int(rng.integers(2))
    flip = bool(rng.integers(2))
    cut: tuple[Any, ...] = (..., *(slice(c, c + s) for c, s in zip(corner, size, strict=True)))
    return [posed(v[cut], turns, flip) for v in padded]


def posed(patch: Tensor, turns: int, flip: bool) -> Tensor:
    """Rotate a patch (..., X, Y, Z) by quarter turns from x to y, then flip it along x."""
    swapped = patch.transpose(-3, -2) if turns % 2 else patch  # a quarter turn is this and one flip
    along_x, along_y = (turns in (1, 2)) != flip, turns in (2, 3)
    axes = [axis for axis, wanted in ((-3, along_x), (-2, along_y)) if wanted]
    return swapped.flip(axes) if axes else swapped


def pad(volume: Tensor, size: Sequence[int]) -> Tensor:
    """Add zeros on both sides of the axes of a volume (..., X, Y, Z) that are shorter than `size`."""
    missing = [max(s - n, 0) for n, s in zip(volume.shape[-3:], size, strict=True)]
    sides = [n for m in reversed(missing) for n in (m // 2, m - m // 2)]  # F.pad lists the last axis first
    return F.pad(volume, sides) if any(missing) else volume
