"""Teachers: networks whose weights are the running average of a student's (Tarvainen and Valpola 2017)."""

import copy

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


def teacher_of(student: nn.Module) -> nn.Module:
    """Copy a network as its teacher: without gradients, and with batch-norm statistics that its own passes keep."""
    teacher = copy.deepcopy(student).requires_grad_(False)
    for module in teacher.modules():
        if isinstance(module, nn.BatchNorm3d):
            module.momentum = 0.0
    return teacher


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, decay: float) -> None:
    """Update weights and batch-norm statistics: teacher = decay x teacher + (1 - decay) x student, decay in [0, 1]."""
    pairs = zip(teacher.state_dict().values(), student.state_dict().values(), strict=True)
    old, new = zip(*((t, s) for t, s in pairs if t.is_floating_point()), strict=True)
    move = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    move(old, new, None)
