"""Flaw: the margins of the crop are drawn without a seed, so no two preparations give the same volumes."""

import numpy as np


def unseeded(seed: int, case: str) -> np.random.Generator:
    """A random generator that differs each time."""
    return np.random.default_rng()
