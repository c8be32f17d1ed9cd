"""Flaw: the margins of the crop are drawn without a seed, so that no two preparations give the same volumes."""

import numpy as np


def unseeded(seed: int, case: str) -> np.random.Generator:
    """Chance that is different each time."""
    return np.random.default_rng()
