"""Ramps, thresholds and decays against the published steps."""

import math

import pytest

from lassl.learning.ramps import (
    ClimbingWeight,
    ambiguity_threshold,
    climb,
    ema_decay,
    falling_exponent,
    sigmoid_ramp,
    staircase,
    uncertainty_threshold,
)


def test_the_ramp_climbs_from_exp_minus_five_to_one():
    assert sigmoid_ramp(0) == pytest.approx(0.006737947)
    assert sigmoid_ramp(0.5) == pytest.approx(0.2865048)
    assert sigmoid_ramp(1) == 1


def test_a_weight_is_full_from_its_end_on_and_from_the_first_step_where_that_is_0():
    assert [climb(t, 0.5) for t in (0, 0.25, 0.5, 0.9)] == [sigmoid_ramp(0), sigmoid_ramp(0.5), 1, 1]
    assert [climb(t, 0) for t in (0, 0.5)] == [1, 1]


def test_a_climbing_weight_is_its_full_value_times_the_ramp_to_the_bit():
    weight = ClimbingWeight(0.1, 0.4)
    assert [weight.at(t) for t in (0, 0.1, 0.4, 0.9)] == [0.1 * climb(t, 0.4) for t in (0, 0.1, 0.4, 0.9)]
    assert weight.at(0.4) == ClimbingWeight(0.1, 0).at(0) == 0.1


def test_the_ramp_is_flat_outside_training():
    assert sigmoid_ramp(-0.5) == sigmoid_ramp(0)
    assert sigmoid_ramp(1.5) == 1


def test_the_stairs_equal_the_published_ones_at_every_one_of_6000_steps():
    assert [staircase(step, 6000) for step in range(6001)] == [(step // 150) / 40 for step in range(6001)]


def test_a_shorter_training_has_the_same_forty_stairs():
    assert [staircase(step, 80) for step in (0, 1, 2, 3, 79, 80)] == [0, 0, 1 / 40, 1 / 40, 39 / 40, 1]
    assert len({staircase(step, 1000) for step in range(1000)}) == 40


def test_the_teacher_takes_all_of_the_first_student_then_a_hundredth():
    assert [ema_decay(step) for step in (0, 1, 3)] == [0, 0.5, 0.75]
    assert ema_decay(98) == pytest.approx(98 / 99)
    assert [ema_decay(step) for step in (99, 100, 5000)] == [0.99, 0.99, 0.99]
    assert ema_decay(5000, limit=0.9) == 0.9


def test_the_threshold_ends_where_every_voxel_of_two_classes_is_certain():
    assert uncertainty_threshold(0) == pytest.approx((0.75 + 0.25 * math.exp(-5)) * 0.6931472)
    assert uncertainty_threshold(1) == math.log(2)


def test_the_threshold_of_ambiguity_stays_below_the_largest_entropy():
    assert ambiguity_threshold(0) == pytest.approx((0.75 + 0.2 * math.exp(-5)) * 0.6931472)
    assert ambiguity_threshold(1) == pytest.approx(0.95 * 0.6931472)


def test_the_exponent_falls_tenfold_by_equal_factors():
    assert [falling_exponent(t) for t in (0, 0.5, 1, 2)] == pytest.approx([5, 5 * 0.1**0.5, 0.5, 0.5])
