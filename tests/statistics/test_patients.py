"""Intervals and tests over patients against hand-made numbers, enumerations and scipy."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from helpers.score_tables import NAN, UNEQUAL, one, random_table, shuffled, table
from lassl.statistics.patients import compare, holm, interval, resamples

# resampling


def test_as_many_draws_are_picked_as_there_are_and_for_each_its_number_of_seeds():
    runs, cases = resamples(UNEQUAL, 4, 1000, 0)
    assert runs.shape == (1000, 3)
    assert cases.shape == (1000, 4)
    assert (cases.sum(1) == 4).all()
    assert (runs[:, 0] + runs[:, 1:].sum(1) / 2 == 2).all()


def test_draws_are_picked_before_their_seeds():
    runs, _ = resamples(UNEQUAL, 1, 20000, 0)
    single, pair = runs[:, 0], runs[:, 1:]
    for times, share in enumerate([1 / 4, 1 / 2, 1 / 4]):
        assert (single == times).mean() == pytest.approx(share, abs=0.015)
    picked_once = pair[single == 1, 0]
    for times, share in enumerate([1 / 4, 1 / 2, 1 / 4]):
        assert (picked_once == times).mean() == pytest.approx(share, abs=0.02)


def test_one_run_is_always_picked_once():
    runs, _ = resamples(((4, 7),), 3, 50, 0)
    assert (runs == 1).all()


def test_each_case_is_picked_as_often_as_in_throws_of_a_die():
    _, cases = resamples(UNEQUAL, 3, 20000, 0)
    for times, share in enumerate([8 / 27, 12 / 27, 6 / 27, 1 / 27]):
        assert (cases == times).mean(0) == pytest.approx([share] * 3, abs=0.015)


def test_the_seed_alone_decides_and_the_cases_picked_do_not_depend_on_the_runs():
    first, again, other = (resamples(UNEQUAL, 5, 100, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    assert np.array_equal(first[1], resamples(((0, 0),), 5, 100, 1)[1])


# interval


@pytest.mark.parametrize("level", [0.95, 0.5])
def test_the_interval_of_one_run_is_that_of_scipy(level):
    values = np.random.default_rng(3).gamma(2, 5, 20)
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=50000, confidence_level=level, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    error = values.std() / math.sqrt(20)  # a quantile of 50000 replicates is known to 0.012 of it
    assert interval(one(*values), level=level, count=50000) == pytest.approx(tuple(theirs), abs=0.05 * error)


def test_the_interval_of_two_cases_has_the_three_means_of_two_throws():
    # mean 0 with probability 1/4, 1/2 with 1/2, 1 with 1/4
    assert interval(one(0, 1), level=0.95) == (0, 1)
    assert interval(one(0, 1), level=0.54) == (0, 1)
    assert interval(one(0, 1), level=0.46) == (0.5, 0.5)


def test_equal_scores_have_an_interval_without_width():
    assert interval(table({run: [0.3] * 4 for run in UNEQUAL})) == pytest.approx((0.3, 0.3), abs=1e-12)


def test_more_runs_with_the_same_scores_do_not_narrow_the_interval():
    values = [60.0, 90.0, 85.0, 40.0, 77.0]
    nine = table({run: values for run in itertools.product(range(3), range(3))})
    assert interval(nine) == pytest.approx(interval(one(*values)), abs=1e-9)


def test_the_interval_covers_the_spread_between_draws_and_between_seeds():
    label_splits = table({(0, 0): [0] * 20, (1, 0): [1] * 20})
    seeds = table({(0, 0): [0] * 20, (0, 1): [1] * 20})
    assert interval(label_splits) == interval(seeds) == (0, 1)
    assert interval(label_splits, level=0.46) == interval(seeds, level=0.46) == (0.5, 0.5)


def test_an_undefined_score_is_left_out_of_the_mean():
    # picks of a, b and c: the mean is 0 for those without a, 1 for a alone, between them for the others
    scores = one(1, 0, NAN)
    shares = {}
    for picks in itertools.product([1, 0, NAN], repeat=3):
        mean = np.nanmean(picks) if not np.isnan(picks).all() else NAN
        shares[mean] = shares.get(mean, 0) + 1 / 26
    below = shares[0]  # 7 of the 26 replicates in which a or b is picked
    assert below == pytest.approx(7 / 26)
    assert interval(scores, level=1 - 2 * (below - 0.02))[0] == 0
    assert interval(scores, level=1 - 2 * (below + 0.02))[0] == pytest.approx(1 / 3)


def test_a_run_with_undefined_scores_counts_with_those_it_has():
    scores = table({(0, 0): [2, 2, 2], (0, 1): [NAN, NAN, 8]})
    low, high = interval(scores)
    assert low == 2
    assert high == 8  # the second run picked twice and the third case among the picks


def test_nothing_defined_has_an_undefined_interval():
    assert np.isnan(interval(one(NAN, NAN))).all()
    assert np.isnan(interval(one(1.0, 2.0).iloc[:0])).all()


def test_the_interval_does_not_depend_on_the_order_of_runs_and_cases():
    scores = random_table([(0, 0), (0, 1), (2, 0)])
    assert interval(shuffled(scores), count=100) == interval(scores, count=100)


@pytest.mark.parametrize("scores", [one(1, 2).droplevel("seed"), pd.concat([one(1, 2)] * 2), one(1, 2).iloc[:, [0, 0]]])
def test_a_table_with_another_index_or_a_run_or_case_twice_is_refused(scores):
    with pytest.raises(ValueError, match=r"expected \['label_split', 'seed'\]"):
        interval(scores)


# comparison


def test_five_cases_that_all_gain_have_the_smallest_p_of_five():
    result = compare(one(11, 12, 13, 14, 15), one(10, 10, 10, 10, 10))
    assert result.p_value == pytest.approx(2 / 2**5)
    assert (result.difference, result.cases) == (3, 5)


def signs_at_least_as_extreme(ranks, positive):
    """Two-sided p by enumeration: both sums of ranks of each sign pattern against the observed pair."""
    total = sum(ranks)
    sums = [sum(itertools.compress(ranks, signs)) for signs in itertools.product([0, 1], repeat=len(ranks))]
    observed = min(positive, total - positive)
    return sum(min(s, total - s) <= observed for s in sums) / len(sums)


def test_mixed_signs_have_the_p_of_their_enumeration():
    # by size -1, +2, -3, +4, +5, +6: ranks 1 and 3 are negative, 2 + 4 + 5 + 6 = 17 positive
    result = compare(one(2, -1, 6, -3, 5, 4), one(0, 0, 0, 0, 0, 0))
    # subsets with a sum up to 4: {} 1 2 3 4 12 13, 7 of 64, and their complements
    assert result.p_value == pytest.approx(14 / 64)
    assert result.p_value == pytest.approx(signs_at_least_as_extreme(range(1, 7), 17))


def test_ties_share_their_ranks_even_if_rounding_parts_them():
    # 0.1, -0.1, 0.1 (as 0.3 - 0.2) and 0.5: ranks 2, 2, 2, 4
    result = compare(one(0.1, 0.0, 0.3, 0.5), one(0.0, 0.1, 0.2, 0.0))
    assert result.p_value == pytest.approx(signs_at_least_as_extreme([2, 2, 2, 4], 8))


def test_cases_without_a_difference_say_nothing_to_the_test_and_stay_in_the_mean():
    result = compare(one(1, 2, 3, *[7] * 12), one(0, 0, 0, *[7] * 12))
    assert result.p_value == pytest.approx(2 / 2**3)
    assert (result.difference, result.cases) == (pytest.approx(0.4), 15)


def test_a_row_against_itself_has_p_one_and_an_interval_of_zero():
    scores = random_table(UNEQUAL)
    result = compare(scores, scores)
    assert (result.difference, result.low, result.high, result.p_value, result.cases) == (0, 0, 0, 1, 6)


def test_the_test_takes_the_mean_of_the_runs_of_each_case():
    # runs disagree, means 1, 2, 3 and 4: six values of either sign would not give 2 / 2^4
    ours = table({(0, 0): [-4, 6, -4, 9], (1, 0): [6, -2, 10, -1]})
    result = compare(ours, ours * 0)
    assert result.p_value == pytest.approx(2 / 2**4)
    assert (result.difference, result.cases) == (2.5, 4)


def test_undefined_differences_are_dropped_and_counted_out():
    ours = table({(0, 0): [4, NAN, 5, NAN], (1, 0): [8, NAN, NAN, 1]})
    result = compare(ours, ours * 0)
    assert result.cases == 3
    assert result.p_value == pytest.approx(2 / 2**3)
    assert result.difference == pytest.approx((4 + 8 + 5 + 1) / 4)


def test_rows_never_defined_together_have_an_undefined_comparison():
    result = compare(one(1, NAN), one(NAN, 1))
    assert result.cases == 0
    assert np.isnan([result.difference, result.low, result.high, result.p_value]).all()


def test_pairing_removes_what_the_cases_have_in_common():
    baseline = one(10, 95, 40, 70, 20)
    result = compare(baseline + 1, baseline)
    assert (result.low, result.high) == pytest.approx((1, 1))


def test_the_interval_of_a_comparison_is_over_the_cases_of_these_runs():
    ours, theirs = random_table(UNEQUAL, seed=1), random_table(UNEQUAL, seed=2)
    result = compare(ours, theirs, level=0.8, count=500, seed=7)
    assert (result.low, result.high) == interval(one(*(ours - theirs).mean()), level=0.8, count=500, seed=7)
    assert result == compare(shuffled(ours), theirs, level=0.8, count=500, seed=7)
    moved = theirs + table({run: [shift] * 6 for run, shift in zip(UNEQUAL, (-9, 0, 9), strict=True)}, theirs.columns)
    result = compare(moved, theirs)
    assert (result.low, result.high) == pytest.approx((0, 0), abs=1e-9)  # the runs differ, and are taken as they are


def test_percentile_intervals_of_20_cases_hold_the_mean_in_some_93_percent_of_samples():
    rng = np.random.default_rng(0)
    ends = np.array([interval(one(*rng.normal(size=20)), count=300) for _ in range(800)])
    held = ((ends[:, 0] < 0) & (ends[:, 1] > 0)).mean()
    assert 0.9 < held < 0.949


# Holm


def test_holm_multiplies_the_smallest_by_the_number_of_tests_and_never_descends():
    # sorted 0.005 x 4, 0.01 x 3, 0.03 x 2, 0.04 x 1 raised to 0.06
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_stops_at_one():
    assert holm([0.9, 0.6, 0.5]) == [1, 1, 1]


def test_undefined_p_values_stay_and_do_not_count_in_the_family():
    assert holm([NAN, 0.04, NAN, 0.01]) == pytest.approx([NAN, 0.04, NAN, 0.02], nan_ok=True)
    assert holm([NAN]) == pytest.approx([NAN], nan_ok=True)
    assert holm([]) == []
