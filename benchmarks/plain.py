"""The plain script of each method: eager fp32, contiguous memory, one forward pass at a time.

The same mathematics as in lassl/, written straightforwardly; inference, scoring and loading of patches too.
"""

import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
import torch.nn.functional as F
from medpy.metric import binary
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from lassl.images.geometry import Array

NOISE = 0.1  # standard deviation of the teacher's input noise
NOISE_LIMIT = 0.2


def dice_loss(logits: Tensor, label: Tensor) -> Tensor:
    """1 - soft Dice of the foreground over the whole batch, from logits (N, 2, X, Y, Z) and labels (N, X, Y, Z)."""
    foreground = torch.softmax(logits, dim=1)[:, 1]
    truth = label.float()
    overlap = torch.sum(foreground * truth)
    size = torch.sum(foreground * foreground) + torch.sum(truth * truth)
    return 1 - (2 * overlap + 1e-5) / (size + 1e-5)


def supervised_loss(logits: Tensor, label: Tensor) -> Tensor:
    """0.5 (cross-entropy + Dice), from logits (N, 2, X, Y, Z) and long labels (N, X, Y, Z)."""
    return 0.5 * (F.cross_entropy(logits, label) + dice_loss(logits, label))


def supervised_step(network: nn.Module, optimizer: Optimizer, image: Tensor, label: Tensor) -> float:
    """Train one step on images (N, 1, X, Y, Z) and long labels (N, X, Y, Z); gives the loss."""
    loss = supervised_loss(network(image), label)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.item()


def cross_entropies(a: Tensor, b: Tensor) -> Tensor:
    """Cross-entropy of each network's logits (N, 2, X, Y, Z) against the other's arg-max, summed."""
    label_a = torch.argmax(torch.softmax(a.detach(), dim=1), dim=1)
    label_b = torch.argmax(torch.softmax(b.detach(), dim=1), dim=1)
    return F.cross_entropy(a, label_b) + F.cross_entropy(b, label_a)


def cps_step(
    a: nn.Module, b: nn.Module, optimizers: Sequence[Optimizer], image: Tensor, label: Tensor, weight: float
) -> float:
    """Train two networks one step by Cross Pseudo Supervision (Chen et al. 2021); gives the loss.

    Images (N, 1, X, Y, Z), of which the first L have long labels (L, X, Y, Z).
    """
    labeled = len(label)
    logits_a, logits_b = a(image), b(image)
    supervised = F.cross_entropy(logits_a[:labeled], label) + F.cross_entropy(logits_b[:labeled], label)
    cross_labeled = cross_entropies(logits_a[:labeled], logits_b[:labeled])
    cross_unlabeled = cross_entropies(logits_a[labeled:], logits_b[labeled:])
    loss = supervised + weight * cross_labeled + weight * cross_unlabeled
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    for optimizer in optimizers:
        optimizer.step()
    return loss.item()


def mean_teacher_step(
    student: nn.Module,
    teacher: nn.Module,
    optimizer: Optimizer,
    image: Tensor,
    label: Tensor,
    weight: float,
    threshold: float,
    step: int,
    passes: int = 8,
) -> tuple[float, float]:
    """Train a student one step and move its teacher (Yu et al. 2019); gives supervised and weighted consistency loss.

    Images (N, 1, X, Y, Z), of which the first L have long labels (L, X, Y, Z); threshold in nats.
    The teacher is in train mode: dropout and batch statistics on.
    """
    unlabeled = image[len(label) :]
    logits = student(image)
    with torch.no_grad():
        target = torch.softmax(teacher(noisy(unlabeled)), dim=1)
    mask = (uncertainty(teacher, unlabeled, passes) < threshold).float()  # (U, 1, X, Y, Z)
    supervised = supervised_loss(logits[: len(label)], label)
    distance = (torch.softmax(logits[len(label) :], dim=1) - target) ** 2
    consistency = weight * torch.sum(mask * distance) / (2 * torch.sum(mask) + 1e-16)
    loss = supervised + consistency
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    move_teacher(student, teacher, step)
    return supervised.item(), consistency.item()


def noisy(image: Tensor) -> Tensor:
    """An image of any shape with fresh Gaussian noise, clipped to +-NOISE_LIMIT."""
    return image + torch.clamp(torch.randn_like(image) * NOISE, -NOISE_LIMIT, NOISE_LIMIT)


def uncertainty(teacher: nn.Module, image: Tensor, passes: int) -> Tensor:
    """Entropy (U, 1, X, Y, Z) in nats of the mean softmax over noisy passes on images (U, 1, X, Y, Z), one by one."""
    predictions = []
    with torch.no_grad():
        for _ in range(passes):
            predictions.append(torch.softmax(teacher(noisy(image)), dim=1))
    mean = torch.mean(torch.stack(predictions), dim=0)
    return -torch.sum(mean * torch.log(mean + 1e-6), dim=1, keepdim=True)


def move_teacher(student: nn.Module, teacher: nn.Module, step: int) -> None:
    """Move each weight of the teacher towards the student's; batch-norm statistics follow the teacher's own passes."""
    share = min(1 - 1 / (step + 1), 0.99)
    for ours, theirs in zip(teacher.parameters(), student.parameters(), strict=True):
        ours.data.mul_(share).add_(theirs.data, alpha=1 - share)


def sliding_window(network: nn.Module, image: Array, window: Sequence[int], stride: Sequence[int]) -> NDArray[np.bool_]:
    """Segment an image (X, Y, Z), one window per forward pass: mean softmax of the foreground above one half.

    Window and stride in voxels along x, y, z. An image smaller than the window is padded with zeros on both sides; the
    last window is moved back to the border.
    """
    padded = pad(image, window)
    scores = np.zeros((2, *padded.shape), np.float32)
    counts = np.zeros(padded.shape, np.float32)
    starts = []
    for n, w, s in zip(padded.shape, window, stride, strict=True):
        starts.append([min(i * s, n - w) for i in range(math.ceil((n - w) / s) + 1)])
    for corner in product(*starts):
        place = tuple(slice(c, c + w) for c, w in zip(corner, window, strict=True))
        with torch.no_grad():
            logits = network(torch.from_numpy(padded[place].astype(np.float32))[None, None])
            probability = torch.softmax(logits, dim=1)[0].numpy()  # (2, *window)
        scores[:, *place] += probability
        counts[place] += 1
    before = [(p - n) // 2 for p, n in zip(padded.shape, image.shape, strict=True)]
    inside = tuple(slice(b, b + n) for b, n in zip(before, image.shape, strict=True))
    mask: NDArray[np.bool_] = (scores / counts)[1][inside] > 0.5
    return mask


def pad(volume: NDArray[Any], size: Sequence[int]) -> NDArray[Any]:
    """Add zeros on both sides of a volume (X, Y, Z) where it is smaller than `size`."""
    missing = [max(s - n, 0) for s, n in zip(size, volume.shape, strict=True)]
    return np.pad(volume, [(m // 2, m - m // 2) for m in missing]) if any(missing) else volume


def score(prediction: NDArray[np.bool_], reference: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    """Dice and Jaccard in percent, ASD and 95HD in voxels, of two masks (X, Y, Z), each on the full volume."""
    return (
        100 * float(binary.dc(prediction, reference)),
        100 * float(binary.jc(prediction, reference)),
        float(binary.asd(prediction, reference)),
        float(binary.hd95(prediction, reference)),
    )


def load_patch(path: Path, size: Sequence[int], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Read a whole prepared case and cut a random patch, turned and flipped: image (1, X, Y, Z), long label (X, Y, Z).

    Data loaders of the field do so for every sample of every step.
    """
    with h5py.File(path) as file:
        arrays = [pad(file["image"][:], size), pad(file["label"][:], size)]
    corner = [int(rng.integers(n - s + 1)) for n, s in zip(arrays[0].shape, size, strict=True)]
    arrays = [a[tuple(slice(c, c + s) for c, s in zip(corner, size, strict=True))] for a in arrays]
    turns, axis = int(rng.integers(4)), int(rng.integers(2))
    image, label = (np.flip(np.rot90(a, turns), axis).copy() for a in arrays)
    return torch.from_numpy(image.astype(np.float32))[None], torch.from_numpy(label.astype(np.int64))
