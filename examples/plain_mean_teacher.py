"""The mean teacher (Tarvainen and Valpola 2017) as one plain script, on phantoms.

It has the mathematics of lassl/methods/mean_teacher.py as the row `mt` uses it, and nothing else: no settings, no
checkpoints, no GPU. Read it beside that file. A test holds the losses of the two equal, step by step. Run it by
`python examples/plain_mean_teacher.py`; it takes seconds on two CPU cores.
"""

import copy
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import lassl
from lassl.data.phantom import STRUCTURES, draw_phantom

STEPS, LABELED, UNLABELED = 60, 4, 8  # steps; cases
SIZE = (32, 32, 16)  # of a patch, in voxels of pooled phantoms
WEIGHT, RATE, MOMENTUM, DECAY = 0.1, 0.1, 0.9, 1e-4
NOISE, LIMIT = 0.1, 0.2  # of the teacher's input: standard deviation, and where it is clipped


def supervised_loss(logits: Tensor, label: Tensor) -> Tensor:
    """0.5 (cross-entropy + Dice) of logits (L, 2, X, Y, Z) and labels (L, X, Y, Z), integers 0 and 1."""
    foreground, truth = logits.softmax(1)[:, 1], label.float()
    overlap, size = (foreground * truth).sum(), (foreground**2).sum() + (truth**2).sum()
    dice_loss = 1 - (2 * overlap + 1e-5) / (size + 1e-5)
    return 0.5 * (F.cross_entropy(logits, label.long()) + dice_loss)


def weight_at(step: int, steps: int) -> float:
    """The weight of the consistency: it climbs to WEIGHT along exp(-5 (1 - t)^2), in 40 stairs."""
    t = 40 * step // steps / 40
    return WEIGHT * math.exp(-5 * (1 - t) ** 2)


def losses(
    student: nn.Module, teacher: nn.Module, image: Tensor, label: Tensor, noise: Tensor
) -> tuple[Tensor, Tensor]:
    """The supervised loss and the consistency, without its weight.

    Of the images (N, 1, X, Y, Z) the first L have labels (L, X, Y, Z); the others are unlabeled, and the teacher sees
    them with noise (N - L, 1, X, Y, Z) of standard deviation 1.
    """
    labeled = len(label)
    logits = student(image)
    with torch.no_grad():
        target = teacher(image[labeled:] + (NOISE * noise).clamp(-LIMIT, LIMIT)).softmax(1)
    consistency = F.mse_loss(logits[labeled:].softmax(1), target)
    return supervised_loss(logits[:labeled], label), consistency


def teacher_of(student: nn.Module) -> nn.Module:
    """A copy without gradients, whose batch-norm statistics its own passes leave alone."""
    teacher = copy.deepcopy(student).requires_grad_(False)
    for module in teacher.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.momentum = 0.0
    return teacher


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, step: int) -> None:
    """Move the teacher towards the student: the mean of the first steps, then 0.99 of itself."""
    decay = min(1 - 1 / (step + 1), 0.99)
    for old, new in zip(teacher.state_dict().values(), student.state_dict().values(), strict=True):
        if old.is_floating_point():
            old.mul_(decay).add_(new, alpha=1 - decay)


def case(number: int) -> tuple[Tensor, Tensor]:
    """A phantom at half resolution: normalized image (X, Y, Z) and label (X, Y, Z)."""
    image, chambers = draw_phantom((96, 88, 48), np.random.default_rng(number))
    mask = chambers == STRUCTURES["atrium"]
    scan, label = (torch.from_numpy(array.astype(np.float32)) for array in (image, mask))
    scan, label = (F.avg_pool3d(volume[None], 2)[0] for volume in (scan, label))
    return (scan - scan.mean()) / scan.std(), (label >= 0.5).to(torch.uint8)


def patch(scan: Tensor, label: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """The same random patch of a scan and its label."""
    corner = [int(rng.integers(n - s + 1)) for n, s in zip(scan.shape, SIZE, strict=True)]
    cut = tuple(slice(c, c + s) for c, s in zip(corner, SIZE, strict=True))
    return scan[cut], label[cut]


def main() -> None:
    """Train student and teacher, and print the losses of every tenth step."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    cases = [case(number) for number in range(LABELED + UNLABELED)]
    student = lassl.VNet(width=4, dropout=0.1)
    teacher = teacher_of(student)
    optimizer = torch.optim.SGD(student.parameters(), RATE, MOMENTUM, weight_decay=DECAY)
    for step in range(STEPS):
        chosen = [*rng.choice(LABELED, 2, replace=False), *(LABELED + rng.choice(UNLABELED, 2, replace=False))]
        scans, labels = zip(*(patch(*cases[index], rng) for index in chosen), strict=True)
        image, label = torch.stack(scans).unsqueeze(1), torch.stack(labels[:2])
        supervised, consistency = losses(student, teacher, image, label, torch.randn(2, 1, *SIZE))
        optimizer.zero_grad()
        (supervised + weight_at(step, STEPS) * consistency).backward()
        optimizer.step()
        follow(teacher, student, step)
        if step % 10 == 9:
            print(f"step {step + 1}: supervised {supervised:.3f}, consistency {consistency:.4f}")


if __name__ == "__main__":
    main()
