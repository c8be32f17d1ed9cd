"""The figures of the report, from scores and curves that can be followed by hand."""

import json

import numpy as np
import pandas as pd
import pytest

from helpers.pages import numbers
from helpers.runs import NAN
from lassl.report import figures
from lassl.report.surface import Mesh

STYLES = {"vnet": figures.style(0), "cps": figures.style(1)}


def test_a_case_stands_at_the_same_place_of_every_strip_and_its_missing_distance_is_none():
    rows = {"vnet": pd.Series([1.0, 2.0, 6.0], list("ABC")), "cps": pd.Series([2.0, NAN, 4.0], list("ABC"))}
    found = figures.strips(rows, {"vnet": "V-Net", "cps": "CPS"}, STYLES, "ASD [voxel]")
    points = found["data"][:2]
    assert [t["customdata"] for t in points] == [["A", "B", "C"]] * 2
    assert [t["y"] for t in points] == [[1.0, 2.0, 6.0], [2.0, None, 4.0]]
    assert [round(b - a, 3) for a, b in zip(points[0]["x"], points[1]["x"], strict=True)] == [1, 1, 1]
    assert [t["y"] for t in found["data"][2:4]] == [[3.0, 3.0], [3.0, 3.0]]
    assert found["data"][4]["x"] == [] and "meta" not in found["data"][4]
    assert [t["meta"] for t in found["data"][:4]] == ["vnet", "cps"] * 2
    assert found["layout"]["xaxis"]["ticktext"] == ["V-Net", "CPS"]


def test_a_row_without_any_distance_has_no_mean():
    found = figures.strips({"vnet": pd.Series([NAN], ["A"])}, {"vnet": "V-Net"}, STYLES, "ASD")
    assert found["data"][1]["y"] == [None, None]
    json.dumps(found, allow_nan=False)


def test_a_line_is_thinned_evenly_with_its_ends():
    steps, values = figures.thinned(pd.Series(np.arange(1000.0) * 2), points=5)
    assert steps.tolist() == [0, 250, 500, 749, 999]
    assert values.tolist() == [0, 500, 1000, 1498, 1998]


def test_a_short_line_is_not_thinned():
    assert figures.thinned(pd.Series([3.0, 4.0], index=[7, 9]), points=5)[0].tolist() == [7, 9]


@pytest.mark.parametrize(
    "count, expected", [(1, 300), (166, 300), (167, 299), pytest.param(1000, 50, marks=pytest.mark.slow)]
)
def test_the_lines_of_a_panel_have_300_points_each_and_100_000_together_at_most(count, expected):
    runs = {f"cps-d0-s{seed}": {"loss": pd.Series(np.arange(400.0))} for seed in range(count)}
    lines = figures.curves(runs, ["cps"] * count, STYLES)["loss"]["data"]
    assert len(lines) == 2 * count
    assert {len(numbers(line["y"])) for line in lines[:4]} == {expected}


def test_every_quantity_has_a_panel_with_a_raw_and_a_smoothed_line_of_each_run_that_logged_it():
    loss = pd.Series(np.where(np.arange(80) % 2, 3.0, 1.0))
    runs = {"cps-d0-s0": {"loss": loss, "agreement": loss / 4}, "vnet_16-d0-s0": {"loss": loss}}
    found = figures.curves(runs, ["cps", "vnet"], STYLES)
    assert list(found) == ["loss", "agreement"]
    lines = found["loss"]["data"]
    assert [t["name"] for t in lines] == ["cps-d0-s0", "cps-d0-s0", "vnet_16-d0-s0", "vnet_16-d0-s0"]
    assert [t["meta"] for t in lines] == ["cps", "cps", "vnet", "vnet"]
    assert [t["meta"] for t in found["agreement"]["data"]] == ["cps"] * 2
    assert set(numbers(lines[0]["y"])) == {1.0, 3.0}
    assert numbers(lines[1]["y"])[1:-1] == [2.0] * 78  # the window is two steps
    assert len(numbers(lines[1]["x"])) == 80


def test_a_quantity_that_nobody_foresaw_has_a_panel_under_its_own_name():
    found = figures.curves({"a": {"cross_first": pd.Series([1.0]), "loss": pd.Series([2.0])}}, ["vnet"], STYLES)
    assert list(found) == ["loss", "cross_first"]
    assert found["cross_first"]["layout"]["title"]["text"] == "cross first"


def test_lines_have_the_look_of_their_row_raw_values_a_solid_one():
    names = ("cps-d0-s0", "cps-d0-s1", "mt-d0-s0")
    runs = {name: {"loss": pd.Series([1.0, 2.0 + n])} for n, name in enumerate(names)}
    styles = {"cps": figures.style(0), "mt": figures.style(8)}
    lines = [t["line"] for t in figures.curves(runs, ["cps", "cps", "mt"], styles)["loss"]["data"]]
    assert lines[:2] == lines[2:4]
    assert [line["color"] for line in lines[4:]] == [figures.COLORS[1]] * 2
    assert [line["dash"] for line in lines[4:]] == ["solid", "dash"]


def test_no_two_of_42_rows_look_alike_and_the_first_seven_differ_by_color():
    looks = [figures.style(n) for n in range(42)]
    assert len({(look["color"], look["dash"]) for look in looks}) == 42
    assert len({(look["color"], look["symbol"]) for look in looks}) == 42
    assert len({look["color"] for look in looks[:7]}) == 7


def test_lines_that_lie_on_each_other_are_told_and_the_first_is_thick_enough_to_show_behind_the_others():
    ramp, other = pd.Series([0.0, 0.5, 1.0]), pd.Series([0.0, 0.4, 1.0])
    runs = {"a": {"weight": ramp}, "b": {"weight": other}, "c": {"weight": ramp.copy()}}
    styles = {name: figures.style(n) for n, name in enumerate("abc")}
    panel = figures.curves(runs, list("abc"), styles)["weight"]
    assert panel["layout"]["meta"] == [["a", "c"]]
    assert [trace["line"]["width"] for trace in panel["data"][1::2]] == [4, 2, 2]


def test_lengths_are_kept_to_a_32nd_of_a_millimeter():
    mesh = Mesh(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 1.0]]), np.array([[0, 1, 2]]))
    found = figures.colored_surface(mesh, (0.62, 0.62, 0.62), np.array([0.01, 0.02, -0.51]))
    assert numbers(found["x"]) == [0, 0.625, 0] and numbers(found["intensity"]) == [0, 0.03125, -0.5]
