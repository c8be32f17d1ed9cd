"""Schedules of the learning rate against the published steps."""

import pytest

from lassl.training.schedules import SCHEDULES, constant, poly, step


@pytest.mark.parametrize("steps", [6000, 600])
def test_the_step_schedule_falls_tenfold_at_2500_and_5000_of_6000(steps):
    scale = 6000 // steps
    marks = [0, 2500 - scale, 2500, 5000 - scale, 5000, 6000 - scale]
    factors = [step(mark // scale, steps) for mark in marks]
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_the_polynomial_schedule_falls_to_a_thousandth_at_the_end():
    factors = [poly(done, 4) for done in range(5)]
    assert factors == pytest.approx([0.001 + 0.999 * t**0.9 for t in (1, 0.75, 0.5, 0.25, 0)])
    assert factors[0] == 1 and factors[-1] == 0.001


def test_the_constant_schedule_stays_at_one():
    assert {constant(done, 7) for done in range(7)} == {1.0}


def test_a_schedule_of_ours_is_the_same_for_every_network():
    assert list(SCHEDULES) == ["step", "poly", "constant"]
    for schedule in SCHEDULES.values():
        assert schedule(11, 12, 1) == schedule(11, 12, 0)
