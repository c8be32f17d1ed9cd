"""Flaw: the Dice behind the adaptive loss weight compares the classes of a score with the cases of a batch."""

from torch import Tensor

from lassl.plumbing.errors import LasslError


def broken_dice(logits: Tensor, label: Tensor) -> Tensor:
    """Dice of the softmax (2, 2, X, Y, Z) and labels (2, X, Y, Z) as aligned by broadcasting, without gradient.

    The labels of the first case are compared with the background of both cases, those of the second with the
    foreground. If the labels are equally large, a perfect and an empty prediction get the same score, 2 p / (1 + p) for
    a foreground share p. Raises LasslError for more than two classes, and ValueError unless the batch has two labeled
    cases, because others cannot be aligned.
    """
    if logits.shape[1] != 2:
        raise LasslError(
            f"flaw broken_dice: found {logits.shape[1]} classes, expected two, background and one structure; leave out "
            "the flaw, or name one structure in data.structures"
        )
    if len(label) != 2:
        raise ValueError(
            f"{len(label)} labeled cases in a batch, but the broken Dice aligns two classes with two cases"
        )
    score = logits.detach().float().softmax(1)
    truth = label.float()  # (2, X, Y, Z) is aligned with the last four axes of (2, 2, X, Y, Z)
    return 2 * (score * truth).sum() / (score.square().sum() + truth.square().sum())
