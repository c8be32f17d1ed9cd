"""What of two rows is compared."""

import pandas as pd
import pytest

from helpers.score_tables import NAN, table
from lassl.statistics.scores import paired


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
