"""Learning-rate schedules: plain functions from the number of completed steps to a factor."""

import math
from collections.abc import Callable


def step(done: int, steps: int, network: int = 0) -> float:
    """Factor on the learning rate: a tenth at 5/12 of training and again at 10/12 (every 2500 of 6000)."""
    return 0.1 ** (12 * done // (5 * steps))


def poly(done: int, steps: int, network: int = 0) -> float:
    """Factor on the learning rate: from 1 down to 1/1000 at the end, along (1 - t)^0.9 (Chen et al. 2021)."""
    return 0.001 + 0.999 * math.pow(1 - done / steps, 0.9)


def constant(done: int, steps: int, network: int = 0) -> float:
    """Factor 1 on the learning rate."""
    return 1.0


# (steps done, of how many, of which of the algorithm's networks) -> factor
Schedule = Callable[[int, int, int], float]
SCHEDULES: dict[str, Schedule] = {"step": step, "poly": poly, "constant": constant}
