"""The test that counts trainings: by hand, at its limits, and by simulation; and what a number of pairs can show."""

import math

import numpy as np
import pytest
from scipy import stats

from helpers.score_tables import NAN, table
from lassl.statistics.trainings import Noise, complete, deviation, mean_squares, two_way

PAIRS, CASES = 6, 20
BETWEEN_PAIRS, BETWEEN_CASES, REST = 1.5, 1.5, 6.0  # standard deviations of simulated differences
PAIR = math.hypot(BETWEEN_PAIRS, REST / math.sqrt(CASES))  # of a pair's mean


def simulated(count: int, pairs: int = PAIRS, seed: int = 0) -> np.ndarray:
    """Tables of differences without a true one: (count, pairs, cases)."""
    rng = np.random.default_rng(seed)
    runs = BETWEEN_PAIRS * rng.normal(size=(count, pairs, 1))
    return runs + BETWEEN_CASES * rng.normal(size=(count, 1, CASES)) + REST * rng.normal(size=(count, pairs, CASES))


def rejected(tables: np.ndarray) -> float:
    """Share of tables that the test at 5 % rejects."""
    return float(np.mean([two_way(grid).p_value < 0.05 for grid in tables]))


# the test


def test_a_grid_of_two_pairs_and_three_cases_has_the_figures_of_a_calculation_by_hand():
    found = two_way(np.array([[1.0, 2, 6], [3, 6, 6]]))
    # means 3 and 5 of the pairs, 2, 4 and 6 of the cases: mean squares 6, 8 and 2, total 6 + (8 - 2)
    assert (found.difference, found.freedom, found.pairs, found.cases) == (4, pytest.approx(12**2 / 6**2), 2, 3)
    # error sqrt(12 / 6); with 4 degrees of freedom P(|t| < x) = sin(1 + cos^2 / 2) at the angle whose tangent is x / 2
    angle = math.atan(4 / math.sqrt(2) / 2)
    assert found.p_value == pytest.approx(1 - math.sin(angle) * (1 + math.cos(angle) ** 2 / 2))
    half = 2.7764451 * math.sqrt(2)
    assert (found.low, found.high) == pytest.approx((4 - half, 4 + half))


@pytest.mark.parametrize("pairs", [3, PAIRS])
def test_without_a_difference_five_percent_of_tables_are_rejected(pairs):
    assert rejected(simulated(4000, pairs)) == pytest.approx(0.05, abs=0.015)


def test_two_pairs_reject_too_many_tables_as_the_page_says():
    assert 0.06 < rejected(simulated(4000, 2)) < 0.1


@pytest.mark.parametrize("pairs", [3, PAIRS])
def test_the_smallest_difference_is_found_in_80_percent_of_tables(pairs):
    smallest = Noise(PAIR, BETWEEN_CASES, CASES).power(pairs, 1).smallest
    assert rejected(simulated(4000, pairs, seed=1) + smallest) == pytest.approx(0.8, abs=0.03)


def test_the_interval_holds_the_true_difference_in_95_percent_of_tables():
    found = [two_way(grid + 3) for grid in simulated(4000, seed=2)]
    assert np.mean([test.low < 3 < test.high for test in found]) == pytest.approx(0.95, abs=0.015)


def test_the_other_way_round_signs_change_and_p_does_not():
    (grid,) = simulated(1)
    found, other = two_way(grid), two_way(-grid)
    assert (other.difference, other.low, other.high) == pytest.approx((-found.difference, -found.high, -found.low))
    assert other.p_value == pytest.approx(found.p_value) and other.freedom == found.freedom


def test_where_cases_do_not_differ_it_is_the_t_test_over_pairs():
    runs = np.random.default_rng(3).normal(1, 1, 5)
    found = two_way(np.repeat(runs[:, None], CASES, axis=1))
    theirs = stats.ttest_1samp(runs, 0)
    assert (found.p_value, found.freedom) == pytest.approx((theirs.pvalue, 4))
    assert (found.low, found.high) == pytest.approx(tuple(theirs.confidence_interval()))


def test_where_pairs_do_not_differ_the_cases_alone_count():
    cases = np.random.default_rng(4).normal(1, 1, CASES)
    found = two_way(np.tile(cases, (5, 1)))
    error = cases.std(ddof=1) / math.sqrt(CASES)
    assert found.p_value == pytest.approx(2 * stats.norm.sf(abs(cases.mean()) / error))
    assert found.low == pytest.approx(cases.mean() - stats.norm.ppf(0.975) * error)


def test_equal_differences_everywhere_are_certain():
    found = two_way(np.full((3, 4), 2.0))
    assert (found.low, found.high, found.p_value) == (2, 2, 0)
    assert two_way(np.zeros((3, 4))).p_value == 1


def test_one_pair_or_one_case_has_no_test():
    assert two_way(np.ones((1, CASES))) is None
    assert two_way(np.ones((5, 1))) is None
    assert mean_squares(np.ones((0, CASES))) is None


def test_more_pairs_of_the_same_kind_narrow_the_interval():
    widths = [np.mean([t.high - t.low for t in map(two_way, simulated(200, pairs))]) for pairs in (3, 5, 9)]
    assert widths == sorted(widths, reverse=True)


def test_cases_without_a_score_in_some_pair_are_left_out():
    scores = table({(1, 1): [1, NAN, 3, 4], (2, 2): [5, 6, 7, NAN]})
    assert complete(scores).tolist() == [[1, 3], [5, 7]]
    assert two_way(complete(scores)).cases == 2


# what a number of pairs shows


def test_the_half_width_is_that_of_the_t_interval_where_patients_add_nothing():
    found = Noise(2.0, 0.0, CASES).power(9, 4)
    error = 2 / math.sqrt(9)
    assert found.half_width == pytest.approx(stats.t.ppf(0.975, 8) * error)
    limit = stats.t.ppf(1 - 0.05 / 4 / 2, 8)
    assert stats.nct.sf(limit, 8, found.smallest_in_family / error) == pytest.approx(0.8, abs=1e-5)


def test_what_nine_pairs_of_the_registered_experiment_were_expected_to_show():
    for pair, half in ((1.65, 1.4), (2.4, 1.9)):
        assert Noise(pair, 1.5, CASES).power(9, 4).half_width == pytest.approx(half, abs=0.05)


def test_more_pairs_show_smaller_differences_and_a_family_larger_ones():
    noise = Noise(1.65, 1.5, CASES)
    found = [noise.power(pairs, 4) for pairs in (2, 3, 5, 9, 20, 1000)]
    assert [power.smallest for power in found] == sorted((power.smallest for power in found), reverse=True)
    assert all(power.half_width < power.smallest < power.smallest_in_family for power in found)
    assert found[-1].half_width == pytest.approx(stats.norm.ppf(0.975) * 1.5 / math.sqrt(CASES), abs=0.02)


def test_one_pair_shows_something_only_where_other_trainings_tell_its_noise():
    assert Noise(1.65, 1.5, CASES).power(1, 4) is None
    assert Noise(2.0, 0.0, CASES, freedom=13).power(1, 1).half_width == pytest.approx(2 * stats.t.ppf(0.975, 13))
    assert Noise(2.0, 0.0, CASES, freedom=13).power(2, 1).half_width > 17  # two pairs are tested by themselves


def test_without_noise_every_difference_is_seen():
    assert Noise(0.0, 0.0, CASES).power(2, 1).smallest == 0


def test_a_standard_deviation_has_the_interval_of_the_chi_squared_distribution():
    found = deviation(13 * 1.48**2, 13)
    ends = [1.48 * math.sqrt(13 / stats.chi2.ppf(tail, 13)) for tail in (0.975, 0.025)]
    assert (found.value, found.low, found.high) == pytest.approx((1.48, *ends))
