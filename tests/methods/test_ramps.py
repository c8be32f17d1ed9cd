"""Schedules against the published steps."""

import math

import pytest

from lassl.learning.ramps import (
    SCHEDULES,
    constant,
    ema_decay,
    poly,
    sigmoid_ramp,
    staircase,
    step,
    uncertainty_threshold,
)


def test_the_ramp_climbs_from_exp_minus_five_to_one():
    assert sigmoid_ramp(0) == pytest.approx(0.006737947)
    assert sigmoid_ramp(0.5) == pytest.approx(0.2865048)
    assert sigmoid_ramp(1) == 1


def test_the_ramp_is_flat_outside_training():
    assert sigmoid_ramp(-0.5) == sigmoid_ramp(0)
    assert sigmoid_ramp(1.5) == 1


def test_the_stairs_equal_the_published_ones_at_every_one_of_6000_steps():
    assert [staircase(step, 6000) for step in range(6001)] == [(step // 150) / 40 for step in range(6001)]


def test_a_shorter_training_has_the_same_forty_stairs():
    assert [staircase(step, 80) for step in (0, 1, 2, 3, 79, 80)] == [0, 0, 1 / 40, 1 / 40, 39 / 40, 1]
    assert len({staircase(step, 1000) for step in range(1000)}) == 40


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


def test_the_teacher_takes_all_of_the_first_student_then_a_hundredth():
    assert [ema_decay(step) for step in (0, 1, 3)] == [0, 0.5, 0.75]
    assert ema_decay(98) == pytest.approx(98 / 99)
    assert [ema_decay(step) for step in (99, 100, 5000)] == [0.99, 0.99, 0.99]
    assert ema_decay(5000, limit=0.9) == 0.9


def test_the_threshold_ends_where_every_voxel_of_two_classes_is_certain():
    assert uncertainty_threshold(0) == pytest.approx((0.75 + 0.25 * math.exp(-5)) * 0.6931472)
    assert uncertainty_threshold(1) == math.log(2)
