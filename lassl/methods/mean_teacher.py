"""Mean teacher (Tarvainen and Valpola 2017) with an uncertainty mask (Yu et al. 2019), and Lovasz-Softmax."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from lassl.data.patches import Batch
from lassl.learning import losses, ramps
from lassl.learning.base import Algorithm, MakeNetwork, Progress, Step, supervised_terms

NOISE = 0.1  # standard deviation of the teacher's input noise, in units of the image's
NOISE_LIMIT = 0.2


class MeanTeacher(Algorithm):
    """A student, and a teacher whose weights are the running average of the student's.

    On unlabeled cases the student follows one noisy pass of the teacher (`consistency`: mse or kl) where the entropy
    of the mean of `passes` further ones, dropout on, is under a rising threshold. `weight` is the final weight of that
    term, `lovasz` the constant weight of Lovasz-Softmax on the labeled cases.
    """

    def __init__(
        self,
        make_network: MakeNetwork,
        *,
        weight: float,
        passes: int,
        consistency: Literal["mse", "kl"],
        lovasz: float,
    ):
        super().__init__()
        if consistency not in ("mse", "kl"):
            raise ValueError(f"consistency is '{consistency}'; expected mse or kl")
        self.student = make_network()
        self.teacher = make_network()
        self.teacher.load_state_dict(self.student.state_dict())
        self.teacher.requires_grad_(False)
        for module in self.teacher.modules():
            if isinstance(module, nn.BatchNorm3d):
                module.momentum = 0.0  # its running statistics average the student's; its own passes leave them alone
        self.weight, self.passes, self.consistency, self.lovasz = weight, passes, consistency, lovasz

    @property
    def networks(self) -> dict[str, nn.Module]:
        """Student and teacher; the student is evaluated by default."""
        return {"student": self.student, "teacher": self.teacher}

    def losses(self, batch: Batch, progress: Progress) -> Step:
        """Compute the supervised terms and the masked consistency on the unlabeled cases."""
        labeled = len(batch.label)
        logits = self.student(batch.image)  # (N, 2, X, Y, Z)
        terms = supervised_terms(logits[:labeled], batch.label)
        if self.lovasz:
            terms["lovasz"] = self.lovasz * losses.lovasz_softmax(logits[:labeled], batch.label)
        logs: dict[str, Tensor | float] = {"dice": losses.hard_dice(logits[:labeled], batch.label)}
        if len(batch.image) > labeled:
            weight = self.weight * ramps.sigmoid_ramp(ramps.staircase(progress.step, progress.steps))
            target, uncertainty = self.teach(batch.image[labeled:], progress)
            mask = uncertainty < ramps.uncertainty_threshold(progress.fraction)
            measured = losses.consistency(logits[labeled:], target, mask, self.consistency)
            terms["consistency"] = weight * measured
            logs |= {"weight": weight, "mask_share": mask.float().mean()}
        return Step(terms, logs)

    @torch.no_grad()
    def teach(self, image: Tensor, progress: Progress) -> tuple[Tensor, Tensor]:
        """Logits (U, 2, X, Y, Z) of one noisy pass over images (U, 1, X, Y, Z), and the entropy (U, X, Y, Z) of others.

        All passes go through the network as one batch, so batch norm sees them together.
        """
        many = image.repeat(self.passes + 1, 1, 1, 1, 1)  # (U (T + 1), 1, X, Y, Z), pass by pass
        generator = progress.generator("noise", image.device)
        noise = torch.randn(many.shape, generator=generator, device=image.device)
        noisy = many + (NOISE * noise).clamp_(-NOISE_LIMIT, NOISE_LIMIT)
        logits = self.teacher(noisy.contiguous(memory_format=layout(image))).float()
        target, others = logits[: len(image)], logits[len(image) :]
        mean = others.softmax(1).unflatten(0, (self.passes, len(image))).mean(0)  # (U, 2, X, Y, Z)
        return target, losses.entropy(mean)

    @torch.no_grad()
    def after_step(self, progress: Progress) -> None:
        """Move the teacher, batch-norm statistics included, towards the student."""
        pairs = zip(self.teacher.state_dict().values(), self.student.state_dict().values(), strict=True)
        teacher, student = zip(*((t, s) for t, s in pairs if t.is_floating_point()), strict=True)
        move = get_ema_multi_avg_fn(ramps.ema_decay(progress.step))  # type: ignore[no-untyped-call]
        move(teacher, student, None)


def layout(x: Tensor) -> torch.memory_format:
    """The memory format that a 5-D tensor already has."""
    plain = x.is_contiguous() and not x.is_contiguous(memory_format=torch.channels_last_3d)
    return torch.contiguous_format if plain else torch.channels_last_3d
