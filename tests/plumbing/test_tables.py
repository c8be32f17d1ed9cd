"""Tables as Markdown, and numbers as they stand in them."""

import math

import pytest

from lassl.plumbing.tables import grid, interval, listed, number, significant


def test_a_grid_has_a_rule_under_its_heads_and_a_line_for_each_row():
    assert grid(["a", "b"], [["1", "2"], ["3", ""]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |\n| 3 |  |"


@pytest.mark.parametrize("value", [None, math.nan])
def test_what_is_undefined_is_a_dash(value):
    assert number(value) == "-" and interval(value, value) == "[-, -]"


def test_a_value_that_rounds_to_zero_has_no_minus():
    assert [number(-0.004), number(-0.004, "+"), number(-0.04, decimals=1)] == ["0.00", "+0.00", "0.0"]


def test_an_interval_has_signs_and_decimals_as_its_mean():
    assert interval(-1.25, 2, "+", decimals=1) == "[-1.2, +2.0]"


@pytest.mark.parametrize(
    ("value", "text"), [(0.0012345, "0.00123"), (1.2345, "1.23"), (99.94, "99.9"), (100.4, "100"), (1410.2, "1410")]
)
def test_a_measurement_has_three_digits_or_all_before_the_point(value, text):
    assert significant(value) == text


def test_values_are_joined_by_commas():
    assert listed([16, 32]) == "16, 32" and listed([]) == ""
