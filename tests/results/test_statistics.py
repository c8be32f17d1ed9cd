"""Intervals, tests, ranks and variances against hand-made numbers, enumerations and scipy."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from lassl.results.statistics import (
    Variance,
    compare,
    holm,
    interval,
    paired,
    probability_of_best,
    resamples,
    variance_split,
)

NAN = math.nan


def table(runs, cases="abcdefghijklmnopqrst"):
    """Scores {(draw, seed): values of the first cases}."""
    index = pd.MultiIndex.from_tuples(list(runs), names=["draw", "seed"])
    values = list(runs.values())
    return pd.DataFrame(values, index=index, columns=list(cases)[: len(values[0])], dtype=float)


def one(*values):
    return table({(0, 0): values})


def random_table(runs, cases=6, seed=0):
    rng = np.random.default_rng(seed)
    return table({run: rng.normal(80, 10, cases) for run in runs})


def shuffled(scores):
    """The same scores with runs and cases in other places."""
    return scores.iloc[::-1, [2, 0, *range(scores.shape[1] - 1, 2, -1), 1]]


UNEQUAL = [(3, 5), (1, 0), (1, 4)]  # draw 3 has one seed, draw 1 has two


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
    runs, _ = resamples([(4, 7)], 3, 50, 0)
    assert (runs == 1).all()


def test_each_case_is_picked_as_often_as_in_throws_of_a_die():
    _, cases = resamples(UNEQUAL, 3, 20000, 0)
    for times, share in enumerate([8 / 27, 12 / 27, 6 / 27, 1 / 27]):
        assert (cases == times).mean(0) == pytest.approx([share] * 3, abs=0.015)


def test_the_seed_alone_decides_and_the_cases_picked_do_not_depend_on_the_runs():
    first, again, other = (resamples(UNEQUAL, 5, 100, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, other, strict=True))
    assert np.array_equal(first[1], resamples([(0, 0)], 5, 100, 1)[1])


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
    draws = table({(0, 0): [0] * 20, (1, 0): [1] * 20})
    seeds = table({(0, 0): [0] * 20, (0, 1): [1] * 20})
    assert interval(draws) == interval(seeds) == (0, 1)
    assert interval(draws, level=0.46) == interval(seeds, level=0.46) == (0.5, 0.5)


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
    with pytest.raises(ValueError, match=r"expected \['draw', 'seed'\]"):
        interval(scores)


# differences


def test_differences_are_taken_over_the_runs_and_cases_of_both():
    ours = table({(1, 0): [10, 20, 30], (0, 0): [1, 2, NAN], (5, 5): [0, 0, 0]}, "abc")
    theirs = table({(0, 0): [7, 5, 3], (1, 0): [1, 2, 3], (1, 1): [9, 9, 9]}, "cbz")
    expected = table({(0, 0): [-3, NAN], (1, 0): [18, 29]}, "bc")
    pd.testing.assert_frame_equal(paired(ours, theirs), expected)


def test_rows_without_a_common_run_differ_in_their_means_over_the_runs():
    ours = table({(0, 0): [1, 5, NAN], (0, 1): [3, NAN, NAN]})
    theirs = table({(1, 0): [10, 1, 1]})
    pd.testing.assert_frame_equal(paired(ours, theirs), table({(-1, -1): [-8, 4, NAN]}))


def test_rows_without_a_common_case_cannot_be_paired():
    with pytest.raises(ValueError, match="share no case"):
        paired(table({(0, 0): [1, 2]}, "ab"), table({(0, 0): [1, 2, 3]}, "xyz"))


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


def test_the_interval_of_a_comparison_is_that_of_the_differences():
    ours, theirs = random_table(UNEQUAL, seed=1), random_table(UNEQUAL, seed=2)
    result = compare(ours, theirs, level=0.8, count=500, seed=7)
    assert (result.low, result.high) == interval(ours - theirs, level=0.8, count=500, seed=7)
    assert result == compare(shuffled(ours), theirs, level=0.8, count=500, seed=7)


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


# probability of best


def test_rows_that_mirror_each_other_are_best_equally_often():
    # picks aa, ab, ba, bb: a wins one, b one, and two are ties
    result = probability_of_best({"x": one(1, 0), "y": one(0, 1)}, True)
    assert result == pytest.approx({"x": 0.5, "y": 0.5}, abs=0.02)
    assert sum(result.values()) == pytest.approx(1)


def test_a_row_that_is_always_beaten_is_never_best():
    scores = random_table(UNEQUAL)
    rows = {"worse": scores - 1, "better": scores}
    assert probability_of_best(rows, True) == {"worse": 0, "better": 1}
    assert probability_of_best(rows, False) == {"worse": 1, "better": 0}


def test_ties_are_split_even_if_rounding_parts_them():
    rows = {"x": one(0.3, 0.3), "y": one(0.1 + 0.2, 0.3), "z": one(0, 0)}
    assert probability_of_best(rows, True) == {"x": 0.5, "y": 0.5, "z": 0}


def test_a_single_case_in_three_decides_as_often_as_it_is_picked():
    # y gains 1 on a and loses 0.1 on b and c: it wins whenever a is picked, 19 times in 27
    result = probability_of_best({"x": one(0, 0.1, 0.1), "y": one(1, 0, 0)}, True)
    assert result == pytest.approx({"x": 8 / 27, "y": 19 / 27}, abs=0.02)


def test_rows_are_ranked_on_the_runs_and_cases_of_all():
    rows = {
        "x": table({(0, 0): [1, 1, 90], (0, 1): [90, 90, 90]}, "abz"),
        "y": table({(0, 0): [2, 2], (3, 3): [0, 0]}, "ba"),
        "w": table({(0, 0): [0, 0]}, "ab"),
    }
    assert probability_of_best(rows, True) == {"x": 0, "y": 1, "w": 0}


def test_rows_without_a_common_run_or_case_cannot_be_ranked():
    with pytest.raises(ValueError, match="share 0 runs and 2 cases"):
        probability_of_best({"x": one(1, 2), "y": table({(0, 1): [1, 2]})}, True)
    with pytest.raises(ValueError, match="share 1 runs and 0 cases"):
        probability_of_best({"x": one(1, 2), "y": table({(0, 0): [1]}, "z")}, True)


def test_a_row_that_is_undefined_is_not_the_best():
    defined, undefined = one(5.0, 6.0), one(NAN, NAN)
    assert probability_of_best({"x": defined, "y": undefined}, False) == {"x": 1, "y": 0}
    # x is defined unless bb is picked, y always: of the rest x is lower, and bb goes to y
    result = probability_of_best({"x": one(1, NAN), "y": one(5, 5)}, False)
    assert result == pytest.approx({"x": 3 / 4, "y": 1 / 4}, abs=0.02)
    both = probability_of_best({"x": undefined, "y": undefined}, True)
    assert both == pytest.approx({"x": NAN, "y": NAN}, nan_ok=True)


def test_the_rank_does_not_depend_on_the_order_of_runs_and_cases():
    x, y = random_table(UNEQUAL, seed=1), random_table(UNEQUAL, seed=2)
    result = probability_of_best({"x": x, "y": y}, True, count=300)
    assert 0 < result["x"] < 1
    assert probability_of_best({"y": shuffled(y), "x": x}, True, count=300) == pytest.approx(result)


# variance


def naive_mean_squares(grid):
    """Mean squares of draw, seed, case and rest of grid[draw][seed][case], by plain loops."""
    d, s, c = len(grid), len(grid[0]), len(grid[0][0])
    cells = {(i, j, k): grid[i][j][k] for i in range(d) for j in range(s) for k in range(c)}

    def mean(keep):
        values = [v for cell, v in cells.items() if keep(cell)]
        return sum(values) / len(values)

    squares = {"draw": 0.0, "seed": 0.0, "case": 0.0, "rest": 0.0}
    for (i, j, k), v in cells.items():
        total, draw = mean(lambda _: True), mean(lambda x, i=i: x[0] == i)
        run, case = mean(lambda x, i=i, j=j: x[:2] == (i, j)), mean(lambda x, k=k: x[2] == k)
        squares["draw"] += (draw - total) ** 2
        squares["seed"] += (run - draw) ** 2
        squares["case"] += (case - total) ** 2
        squares["rest"] += (v - run - case + total) ** 2
    freedom = {"draw": d - 1, "seed": d * (s - 1), "case": c - 1, "rest": (d * s - 1) * (c - 1)}
    return {source: squares[source] / freedom[source] if freedom[source] else None for source in squares}


GRID = [[[0, 4, 11], [3, 8, 16]], [[12, 15, 21], [8, 13, 18]]]  # 2 draws x 2 seeds x 3 cases


def grid_table(grid):
    return table({(i, j): values for i, seeds in enumerate(grid) for j, values in enumerate(seeds)})


def parts(result):
    return [result.draw, result.seed, result.case, result.rest]


def test_the_parts_solve_the_equations_of_the_mean_squares():
    ms = naive_mean_squares(GRID)
    # run means 5, 9, 16, 13, draw means 7, 14.5, case means 5.75, 10, 16.5, mean 10.75
    assert ms["draw"] == pytest.approx(6 * (3.75**2 + 3.75**2))
    assert ms["seed"] == pytest.approx(3 * (2**2 + 2**2 + 1.5**2 + 1.5**2) / 2)
    assert ms["case"] == pytest.approx(4 * (5**2 + 0.75**2 + 5.75**2) / 2)
    result = variance_split(grid_table(GRID))
    assert result.rest**2 == pytest.approx(ms["rest"])
    assert ms["rest"] + 4 * result.case**2 == pytest.approx(ms["case"])
    assert ms["rest"] + 3 * result.seed**2 == pytest.approx(ms["seed"])
    assert ms["rest"] + 3 * result.seed**2 + 6 * result.draw**2 == pytest.approx(ms["draw"])


def test_known_parts_are_found_in_a_large_grid():
    rng = np.random.default_rng(0)
    draws, seeds, cases = 150, 6, 150
    grid = (
        rng.normal(0, 3, (draws, 1, 1))
        + rng.normal(0, 2, (draws, seeds, 1))
        + rng.normal(0, 7, cases)
        + rng.normal(80, 4, (draws, seeds, cases))
    )
    index = pd.MultiIndex.from_product([range(draws), range(seeds)], names=["draw", "seed"])
    result = variance_split(pd.DataFrame(grid.reshape(-1, cases), index=index))
    assert parts(result) == pytest.approx([3, 2, 7, 4], rel=0.15)
    assert result.seed == pytest.approx(2, rel=0.06)
    assert result.rest == pytest.approx(4, rel=0.01)


def test_one_draw_has_no_part_of_the_draw():
    ms = naive_mean_squares(GRID[:1])
    result = variance_split(grid_table(GRID[:1]))
    assert result.draw is None
    assert result.seed == pytest.approx(math.sqrt((ms["seed"] - ms["rest"]) / 3))
    assert result.case == pytest.approx(math.sqrt((ms["case"] - ms["rest"]) / 2))
    assert result.rest == pytest.approx(math.sqrt(ms["rest"]))


def test_one_seed_for_each_draw_is_in_the_part_of_the_draw():
    grid = [[[0, 4, 11]], [[3, 8, 16]], [[12, 15, 21]]]
    ms = naive_mean_squares(grid)
    result = variance_split(grid_table(grid))
    assert result.seed is None
    assert result.draw == pytest.approx(math.sqrt((ms["draw"] - ms["rest"]) / 3))
    assert result.case == pytest.approx(math.sqrt((ms["case"] - ms["rest"]) / 3))
    assert result.rest == pytest.approx(math.sqrt(ms["rest"]))


def test_one_run_has_the_standard_deviation_of_its_cases_alone():
    assert variance_split(one(1, 2, 6, NAN)) == Variance(None, None, pytest.approx(math.sqrt(7)), None)


def test_less_than_two_complete_cases_tell_nothing():
    nothing = Variance(None, None, None, None)
    assert variance_split(table({(0, 0): [1, NAN, 5], (0, 1): [NAN, 2, 7]})) == nothing
    assert variance_split(one(NAN, NAN)) == nothing


def test_negative_estimates_become_zero():
    # the runs have equal means, yet the cases change from run to run
    result = variance_split(grid_table([[[1, 2], [2, 1]], [[2, 1], [1, 2]]]))
    assert parts(result) == pytest.approx([0, 0, 0, math.sqrt(8 * 0.25 / 3)])


def test_a_shift_of_one_draw_is_the_draw_alone():
    # runs x and x + 6 in all cases: draw means differ by 6, a standard deviation of 6 / sqrt 2
    case = [1.0, 5.0, 9.0]
    grid = [[case, case], [[v + 6 for v in case]] * 2]
    assert parts(variance_split(grid_table(grid))) == pytest.approx([6 / math.sqrt(2), 0, 4, 0], abs=1e-9)


def test_cases_with_an_undefined_score_are_left_out():
    scores = grid_table(GRID)
    scores.insert(1, "bad", [99.0, NAN, 0.0, 1.0])
    assert variance_split(scores) == variance_split(grid_table(GRID))


def test_unequal_numbers_of_seeds_leave_those_of_all_draws():
    scores = grid_table(GRID)
    extra = table({(0, 7): [50, NAN, 50], (1, 8): [0, 0, 0], (1, 9): [1, 2, 3]})
    assert variance_split(pd.concat([scores, extra])) == variance_split(scores)


def test_equal_numbers_of_seeds_need_no_common_names():
    scores = grid_table(GRID)
    renamed = scores.set_axis(pd.MultiIndex.from_tuples([(0, 0), (0, 1), (1, 4), (1, 9)], names=["draw", "seed"]))
    assert variance_split(renamed) == variance_split(scores)


def test_draws_with_unequal_and_no_common_seeds_tell_nothing():
    scores = table({(0, 0): [1, 2, 3], (0, 1): [2, 3, 4], (1, 2): [4, 5, 6]})
    assert variance_split(scores) == Variance(None, None, None, None)


def test_the_parts_do_not_depend_on_the_order_of_runs_and_cases():
    scores = random_table([(0, 0), (0, 1), (4, 0), (4, 1)], 5)
    assert variance_split(shuffled(scores)) == variance_split(scores)
