"""Ramps of weights, thresholds and decays: plain functions of the step or of the completed fraction of training."""

import math
from dataclasses import dataclass


def sigmoid_ramp(t: float) -> float:
    """exp(-5 (1 - t)^2) for a fraction t of training, clipped to [0, 1]: from 0.0067 up to 1 (Laine and Aila 2017)."""
    return math.exp(-5 * (1 - min(max(t, 0.0), 1.0)) ** 2)


def climb(t: float, end: float) -> float:
    """Relative value of a weight at fraction t of training: `sigmoid_ramp`, full from `end` on.

    `end` is the option `ramp` of a method; with 0 the weight is full from the first step.
    """
    return sigmoid_ramp(t / end) if end else 1.0


@dataclass(frozen=True)
class ClimbingWeight:
    """A weight of the loss that climbs to `full` at the fraction `end` of training: the options `weight` and `ramp`."""

    full: float
    end: float

    def at(self, t: float) -> float:
        """The weight at fraction t of training."""
        return self.full * climb(t, self.end)


def staircase(step: int, steps: int) -> float:
    """Fraction of training in 40 equal stairs, as in the ramps of UA-MT: (step // 150) / 40 for 6000 steps."""
    return (40 * step // steps) / 40


def ema_decay(step: int, limit: float = 0.99) -> float:
    """Share of its weights that a teacher keeps: a plain mean over the first steps, then `limit` (Tarvainen 2017)."""
    return min(1 - 1 / (step + 1), limit)


def uncertainty_threshold(t: float, classes: int = 2) -> float:
    """Entropy in nats below which a voxel is certain at fraction t of training: from 0.75 ln K to ln K (UA-MT)."""
    return (0.75 + 0.25 * sigmoid_ramp(t)) * math.log(classes)


def ambiguity_threshold(t: float, classes: int = 2) -> float:
    """Entropy in nats above which a voxel is ambiguous: from 0.75 ln K to 0.95 ln K (AC-MT, Xu et al. 2023)."""
    return (0.75 + 0.2 * sigmoid_ramp(t)) * math.log(classes)


def falling_exponent(t: float) -> float:
    """The beta of UnCL at fraction t of training: from 5 down to 0.5, exponentially (Assefa et al. 2025)."""
    return 5 * math.pow(0.1, min(max(t, 0.0), 1.0))
