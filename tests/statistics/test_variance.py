"""The sources of variance against equations solved by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from helpers.score_tables import NAN, one, random_table, shuffled, table
from lassl.statistics.variance import Variance, variance_split


def naive_mean_squares(grid):
    """Mean squares of label split, seed, case and rest of grid[label split][seed][case], by plain loops."""
    d, s, c = len(grid), len(grid[0]), len(grid[0][0])
    cells = {(i, j, k): grid[i][j][k] for i in range(d) for j in range(s) for k in range(c)}

    def mean(keep):
        values = [v for cell, v in cells.items() if keep(cell)]
        return sum(values) / len(values)

    squares = {"label_split": 0.0, "seed": 0.0, "case": 0.0, "rest": 0.0}
    for (i, j, k), v in cells.items():
        total, label_split = mean(lambda _: True), mean(lambda x, i=i: x[0] == i)
        run, case = mean(lambda x, i=i, j=j: x[:2] == (i, j)), mean(lambda x, k=k: x[2] == k)
        squares["label_split"] += (label_split - total) ** 2
        squares["seed"] += (run - label_split) ** 2
        squares["case"] += (case - total) ** 2
        squares["rest"] += (v - run - case + total) ** 2
    freedom = {"label_split": d - 1, "seed": d * (s - 1), "case": c - 1, "rest": (d * s - 1) * (c - 1)}
    return {source: squares[source] / freedom[source] if freedom[source] else None for source in squares}


GRID = [[[0, 4, 11], [3, 8, 16]], [[12, 15, 21], [8, 13, 18]]]  # 2 label splits x 2 seeds x 3 cases


def grid_table(grid):
    return table({(i, j): values for i, seeds in enumerate(grid) for j, values in enumerate(seeds)})


def parts(result):
    return [result.label_split, result.seed, result.case, result.rest]


def test_the_parts_solve_the_equations_of_the_mean_squares():
    ms = naive_mean_squares(GRID)
    # run means 5, 9, 16, 13, label split means 7, 14.5, case means 5.75, 10, 16.5, mean 10.75
    assert ms["label_split"] == pytest.approx(6 * (3.75**2 + 3.75**2))
    assert ms["seed"] == pytest.approx(3 * (2**2 + 2**2 + 1.5**2 + 1.5**2) / 2)
    assert ms["case"] == pytest.approx(4 * (5**2 + 0.75**2 + 5.75**2) / 2)
    result = variance_split(grid_table(GRID))
    assert result.rest**2 == pytest.approx(ms["rest"])
    assert ms["rest"] + 4 * result.case**2 == pytest.approx(ms["case"])
    assert ms["rest"] + 3 * result.seed**2 == pytest.approx(ms["seed"])
    assert ms["rest"] + 3 * result.seed**2 + 6 * result.label_split**2 == pytest.approx(ms["label_split"])


def test_known_parts_are_found_in_a_large_grid():
    rng = np.random.default_rng(0)
    label_splits, seeds, cases = 150, 6, 150
    grid = (
        rng.normal(0, 3, (label_splits, 1, 1))
        + rng.normal(0, 2, (label_splits, seeds, 1))
        + rng.normal(0, 7, cases)
        + rng.normal(80, 4, (label_splits, seeds, cases))
    )
    index = pd.MultiIndex.from_product([range(label_splits), range(seeds)], names=["label_split", "seed"])
    result = variance_split(pd.DataFrame(grid.reshape(-1, cases), index=index))
    assert parts(result) == pytest.approx([3, 2, 7, 4], rel=0.15)
    assert result.seed == pytest.approx(2, rel=0.06)
    assert result.rest == pytest.approx(4, rel=0.01)


def test_one_draw_has_no_part_of_the_draw():
    ms = naive_mean_squares(GRID[:1])
    result = variance_split(grid_table(GRID[:1]))
    assert result.label_split is None
    assert result.seed == pytest.approx(math.sqrt((ms["seed"] - ms["rest"]) / 3))
    assert result.case == pytest.approx(math.sqrt((ms["case"] - ms["rest"]) / 2))
    assert result.rest == pytest.approx(math.sqrt(ms["rest"]))


def test_one_seed_for_each_draw_is_in_the_part_of_the_draw():
    grid = [[[0, 4, 11]], [[3, 8, 16]], [[12, 15, 21]]]
    ms = naive_mean_squares(grid)
    result = variance_split(grid_table(grid))
    assert result.seed is None
    assert result.label_split == pytest.approx(math.sqrt((ms["label_split"] - ms["rest"]) / 3))
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
    # runs x and x + 6 in all cases: label split means differ by 6, a standard deviation of 6 / sqrt 2
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
    renamed = scores.set_axis(
        pd.MultiIndex.from_tuples([(0, 0), (0, 1), (1, 4), (1, 9)], names=["label_split", "seed"])
    )
    assert variance_split(renamed) == variance_split(scores)


def test_draws_with_unequal_and_no_common_seeds_tell_nothing():
    scores = table({(0, 0): [1, 2, 3], (0, 1): [2, 3, 4], (1, 2): [4, 5, 6]})
    assert variance_split(scores) == Variance(None, None, None, None)


def test_the_parts_do_not_depend_on_the_order_of_runs_and_cases():
    scores = random_table([(0, 0), (0, 1), (4, 0), (4, 1)], 5)
    assert variance_split(shuffled(scores)) == variance_split(scores)
