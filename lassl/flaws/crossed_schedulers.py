"""Flaw: the scheduler of the second network's optimizer was given the first one's."""

from lassl.training.schedules import poly


def crossed(done: int, steps: int, network: int = 0) -> float:
    """Factor on the learning rate: the first network's is lowered twice at every step, the second's never.

    As with schedulers that multiply the rate that they find, such as torch's ExponentialLR, StepLR and PolynomialLR.
    """
    return poly(done, steps) ** 2 if network == 0 else 1.0
