"""The plain script of the mean teacher computes what its method does."""

import importlib.util

import pytest
import torch

from helpers.project import ROOT
from lassl.data.patches import Batch
from lassl.learning.base import Progress
from lassl.methods.mean_teacher import MeanTeacher
from lassl.model.vnet import VNet

spec = importlib.util.spec_from_file_location("plain_mean_teacher", ROOT / "examples/plain_mean_teacher.py")
plain = importlib.util.module_from_spec(spec)
spec.loader.exec_module(plain)

STEPS = 8


def test_its_losses_and_its_teacher_are_those_of_the_method_in_each_step():
    torch.manual_seed(0)
    method = MeanTeacher(
        lambda: VNet(width=2, dropout=0.0), weight=plain.WEIGHT, passes=0, consistency="mse", lovasz=0.0, mask="all"
    )
    student = VNet(width=2, dropout=0.0)
    student.load_state_dict(method.student.state_dict())
    teacher = plain.teacher_of(student)
    options = {"lr": 0.05, "momentum": plain.MOMENTUM, "weight_decay": plain.DECAY}
    optimizers = [torch.optim.SGD(network.parameters(), **options) for network in (method.student, student)]
    for step in range(3, 6):  # where the weight has begun to climb
        progress = Progress(step, STEPS, 0, seed=1)
        image = torch.randn(4, 1, 32, 16, 16)
        batch = Batch(image, (image[:2, 0] > 0.3).to(torch.uint8))
        terms = method.losses(batch, progress).terms
        noise = torch.randn(2, 1, 32, 16, 16, generator=progress.generator("noise", image.device))
        supervised, consistency = plain.losses(student, teacher, image, batch.label, noise)
        weighted = plain.weight_at(step, STEPS) * consistency
        torch.testing.assert_close(supervised, terms["cross_entropy"] + terms["dice_loss"], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(weighted, terms["consistency"], rtol=1e-3, atol=1e-7)
        for optimizer, loss in zip(optimizers, (sum(terms.values()), supervised + weighted), strict=True):
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        method.after_step(progress)
        plain.follow(teacher, student, step)
        for key, value in method.teacher.state_dict().items():
            torch.testing.assert_close(teacher.state_dict()[key], value, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_it_runs_from_end_to_end(capsys, monkeypatch):
    monkeypatch.setattr(plain, "STEPS", 10)
    plain.main()
    assert "step 10: supervised " in capsys.readouterr().out
