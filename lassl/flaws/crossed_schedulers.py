"""Flaw: the second network's scheduler was given the optimizer of the first."""

from lassl.training.schedules import poly


def crossed(done: int, steps: int, network: int = 0) -> float:
    """Factor on the learning rate: the first network's is lowered twice per step, the second's never.

    This models schedulers that multiply the current rate, such as torch's ExponentialLR, StepLR and PolynomialLR.
    """
    return poly(done, steps) ** 2 if network == 0 else 1.0
