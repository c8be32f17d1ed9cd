"""The figures of the report, from scores and curves that can be followed by hand."""

import json

import numpy as np
import pandas as pd

from helpers.pages import numbers
from helpers.runs import NAN
from lassl.report import figures


def test_a_case_stands_at_the_same_place_of_every_strip_and_its_missing_distance_is_none():
    rows = {"V-Net": pd.Series([1.0, 2.0, 6.0], list("ABC")), "CPS": pd.Series([2.0, NAN, 4.0], list("ABC"))}
    found = figures.strips(rows, "ASD [voxel]")
    points = found["data"][:2]
    assert [t["customdata"] for t in points] == [["A", "B", "C"]] * 2
    assert [t["y"] for t in points] == [[1.0, 2.0, 6.0], [2.0, None, 4.0]]
    assert [round(b - a, 3) for a, b in zip(points[0]["x"], points[1]["x"], strict=True)] == [1, 1, 1]
    assert [t["y"] for t in found["data"][2:4]] == [[3.0, 3.0], [3.0, 3.0]]
    assert found["data"][4]["x"] == []
    assert found["layout"]["xaxis"]["ticktext"] == ["V-Net", "CPS"]


def test_a_row_without_any_distance_has_no_mean():
    found = figures.strips({"V-Net": pd.Series([NAN], ["A"])}, "ASD")
    assert found["data"][1]["y"] == [None, None]
    json.dumps(found, allow_nan=False)


def test_a_line_is_thinned_evenly_with_its_ends():
    steps, values = figures.thinned(pd.Series(np.arange(1000.0) * 2), points=5)
    assert steps.tolist() == [0, 250, 500, 749, 999]
    assert values.tolist() == [0, 500, 1000, 1498, 1998]


def test_a_short_line_is_not_thinned():
    assert figures.thinned(pd.Series([3.0, 4.0], index=[7, 9]))[0].tolist() == [7, 9]


def test_every_quantity_has_a_panel_with_a_raw_and_a_smoothed_line_of_each_run_that_logged_it():
    loss = pd.Series(np.where(np.arange(80) % 2, 3.0, 1.0))
    runs = {"cps-d0-s0": {"loss": loss, "agreement": loss / 4}, "vnet_16-d0-s0": {"loss": loss}}
    found = figures.curves(runs, ["cps", "vnet_16"])
    assert list(found) == ["loss", "agreement"]
    lines = found["loss"]["data"]
    assert [t["legendgroup"] for t in lines] == ["cps-d0-s0", "cps-d0-s0", "vnet_16-d0-s0", "vnet_16-d0-s0"]
    assert [t["legendgroup"] for t in found["agreement"]["data"]] == ["cps-d0-s0"] * 2
    assert set(numbers(lines[0]["y"])) == {1.0, 3.0}
    assert numbers(lines[1]["y"])[1:-1] == [2.0] * 78  # the window is two steps
    assert len(numbers(lines[1]["x"])) == 80


def test_a_quantity_that_nobody_foresaw_has_a_panel_under_its_own_name():
    found = figures.curves({"a": {"cross_first": pd.Series([1.0]), "loss": pd.Series([2.0])}}, ["a"])
    assert list(found) == ["loss", "cross_first"]
    assert found["cross_first"]["layout"]["title"]["text"] == "cross first"


def test_runs_of_a_row_share_its_color_and_differ_by_their_dash():
    looks = figures.styles(["cps", "cps", "mt_un"])
    assert looks[0]["color"] == looks[1]["color"] != looks[2]["color"]
    assert [look["dash"] for look in looks] == ["solid", "dot", "solid"]
