"""Rows beside each other, from runs that can be compared by hand: tests over trainings, and over patients."""

import math

import numpy as np
import pytest

from helpers.runs import NAN, STATISTICS, cases, plain, write_run
from lassl.results.comparisons import logit
from lassl.settings.statistics import Pairs
from lassl.statistics.patients import holm
from lassl.statistics.trainings import two_way

pytestmark = pytest.mark.slow

LOW = (60, 61, 62, 63, 64, 65, 66, 67)
UP = [low + 1 + low / 10 for low in LOW]


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    """An empty folder to write runs to."""
    monkeypatch.chdir(tmp_path)


def against(row: str, key: str = "dice", reference: str = "baseline", statistics=STATISTICS):
    """The comparison of a row in the table of the runs that were written."""
    return plain(statistics)["rows"][row][f"against_{reference}"][key]


def write_pairs(method: str, shifts, base: int = 70, count: int = 3) -> np.ndarray:
    """Runs with label split k and seed k, k from 1, of a base and shifts; gives the shifts, pairs x cases."""
    grid = np.array(shifts[:count], dtype=float)
    for k, row in enumerate(grid, 1):
        write_run(method, label_split=k, seed=k, scores=cases(base + row))
    return grid


FLAT = np.zeros((3, 4))
FIRST = np.array([[1, 2, 3, 6], [2, 2, 5, 7], [0, 3, 4, 5]])
SECOND = np.array([[0, 1, -1, 2], [1, 0, 1, 1], [-1, 2, 0, 1]])


# over trainings and patients


def test_rows_with_pairs_are_tested_with_trainings_and_patients_random():
    write_pairs("vnet_16", FLAT)
    write_pairs("cps", FIRST)
    write_pairs("mt_un", SECOND)
    expected = {"cps": two_way(FIRST), "mt_un": two_way(SECOND)}
    corrected = dict(zip(expected, holm([test.p_value for test in expected.values()]), strict=True))
    for row, test in expected.items():
        found = against(row)
        assert (found["pairs"], found["cases"], found["trainings"]["pairs"]) == (3, 4, 3)
        told = found["trainings"]
        values = [told[name] for name in ("difference", "low", "high", "p_value", "freedom")]
        assert values == pytest.approx([test.difference, test.low, test.high, test.p_value, test.freedom], abs=1e-4)
        assert told["p_holm"] == pytest.approx(corrected[row], abs=1e-4)
    assert against("cps", "jaccard")["trainings"]["p_holm"] is None  # secondary scores are not corrected


def test_one_pair_has_a_difference_and_no_test_of_the_methods():
    write_run("vnet_16", scores=cases(LOW))
    write_run("cps", scores=cases(UP))
    found = against("cps")
    assert (found["difference"], found["pairs"], found["trainings"]) == (7.35, 1, None)


def test_pairs_are_those_of_the_same_draw_and_seed():
    write_pairs("vnet_16", FLAT)
    write_pairs("cps", FIRST)
    write_run("cps", label_split=1, seed=9, scores=cases([0] * 4))
    write_run("vnet_16", label_split=8, seed=8, scores=cases([0] * 4))
    assert against("cps")["trainings"]["difference"] == pytest.approx(FIRST.mean(), abs=1e-4)
    assert against("cps")["pairs"] == 3


def test_the_family_is_all_rows_but_the_two_baselines_unless_the_settings_name_it():
    for method, shifts in (("vnet_16", FLAT), ("vnet_16_matched", SECOND), ("cps", FIRST), ("mt_un", SECOND)):
        write_pairs(method, shifts)
    p = two_way(FIRST).p_value
    rows, of_named = (plain(s)["rows"] for s in (STATISTICS, STATISTICS.model_copy(update={"family": ("cps",)})))

    def p_holm(rows, row: str, reference: str = "baseline"):
        return rows[row][f"against_{reference}"]["dice"]["trainings"]["p_holm"]

    assert p_holm(rows, "cps") == pytest.approx(2 * p, abs=1e-4)
    assert p_holm(rows, "vnet_16_matched") is None
    assert p_holm(rows, "cps", "matched") is not None
    assert p_holm(of_named, "cps") == pytest.approx(p, abs=1e-4)
    assert p_holm(of_named, "mt_un") is None
    assert p_holm(of_named, "cps", "matched") is None


def test_the_mean_of_a_named_family_has_one_test_by_dice_and_one_by_its_logit():
    write_pairs("vnet_16", FLAT)
    write_pairs("cps", FIRST)
    assert plain()["family"] is None
    named = STATISTICS.model_copy(update={"family": ("cps", "mt_un")})
    assert plain(named)["family"] is None  # a row is missing
    write_pairs("mt_un", SECOND)
    found = plain(named)["family"]
    assert found["rows"] == ["cps", "mt_un"]
    expected = two_way((FIRST + SECOND) / 2)
    assert found["dice"]["difference"] == pytest.approx(expected.difference, abs=1e-4)
    assert found["dice"]["p_value"] == pytest.approx(expected.p_value, abs=1e-4)
    logits = [np.log((70 + d) / (30 - d)) - np.log(7 / 3) for d in (FIRST, SECOND)]
    assert found["logit_dice"]["p_value"] == pytest.approx(two_way((logits[0] + logits[1]) / 2).p_value, abs=1e-4)


def test_the_logit_of_dice_is_clipped_where_it_has_no_bound():
    write_run(scores=cases((0, 50, 100)))
    frame = logit(built_dice := cases((0, 0.5, 50, 99.5, 100)).set_index("case")[["dice_percent"]])
    edge = math.log(0.99 / 0.01)
    assert frame["dice_percent"].tolist() == pytest.approx([-edge, -edge, 0, edge, edge])
    assert built_dice["dice_percent"].max() == 100


def test_cases_without_a_distance_in_some_pair_are_left_out_of_its_test():
    for k, asd in enumerate(((1, 2, 3, 4), (2, 2, NAN, 5)), 1):
        write_run("vnet_16", label_split=k, seed=k, scores=cases([80] * 4, [1] * 4))
        write_run("cps", label_split=k, seed=k, scores=cases([80] * 4, asd))
    found = against("cps", "asd")
    assert found["trainings"]["cases"] == 3 and found["cases"] == 4
    assert found["trainings"]["difference"] == pytest.approx((0 + 1 + 3 + 1 + 1 + 4) / 6, abs=1e-4)


# over patients alone


def test_the_test_over_patients_is_paired_and_holm_is_over_the_rows_for_each_score_by_itself():
    write_run("vnet_16", scores=cases([70] * 6, [10] * 6))
    write_run("cps", scores=cases((71, 72, 73, 74, 75, 76), [10] * 6))
    write_run("mt_un", scores=cases([70] * 6, (11, 8, 7, 6, 5, 4)))
    rows = plain()["rows"]
    dice, asd = rows["cps"]["against_baseline"]["dice"], rows["mt_un"]["against_baseline"]["asd"]
    assert (dice["difference"], asd["difference"]) == (3.5, -3.1667)
    assert 1 < dice["patients"]["low"] < 3.5 < dice["patients"]["high"] < 6
    # all six up: 2 / 64; ranks 1 up, 2 to 6 down: 4 / 64; no difference: 1
    expected = {"cps": [0.0312, 0.0312, 1, 1, 0.0312], "mt_un": [1, 1, 0.0625, 0.0625, 1]}
    found = {m: [t["patients"] for t in rows[m]["against_baseline"].values()] for m in expected}
    assert {m: [t["p_value"] for t in tests] for m, tests in found.items()} == expected
    # two rows: the smaller p of a score times 2
    adjusted = {"cps": [0.0625, 0.0625, 1, 1, 0.0625], "mt_un": [1, 1, 0.125, 0.125, 1]}
    assert {m: [t["p_holm"] for t in tests] for m, tests in found.items()} == adjusted
    assert {t["cases"] for m in adjusted for t in rows[m]["against_baseline"].values()} == {6}
    assert "against_baseline" not in rows["vnet_16"]


def test_a_secondary_score_takes_nothing_from_the_test_of_dice():
    write_run("vnet_16", scores=cases(LOW, LOW))
    write_run("cps", scores=cases(UP, LOW))
    alone = against("cps")
    assert alone["patients"]["p_holm"] == alone["patients"]["p_value"] == 0.0078  # one row: nothing to correct
    write_run("cps", scores=cases(UP, UP))
    assert against("cps") == alone


def test_a_few_cases_can_move_the_interval_where_the_ranks_show_nothing():
    write_run("vnet_16", scores=cases([50] * 20))
    moved = [-0.1 * i for i in range(1, 10)] + [0.05, 0.15, 0.25, 0.35] + [10, 20, 30, 35, 40, 45, 50]
    write_run("cps", scores=cases([50 + d for d in moved]))
    found = against("cps")["patients"]
    assert found["low"] > 3 and found["p_holm"] > 0.05


def test_a_row_is_compared_with_the_baseline_over_the_runs_of_both():
    write_run("vnet_16", seed=0, scores=cases((70, 70)))
    write_run("vnet_16", seed=1, scores=cases((10, 20)))
    write_run("cps", seed=0, scores=cases((75, 79)))
    write_run("cps", seed=2, scores=cases((0, 0)))
    assert against("cps")["difference"] == 7


def test_without_the_baseline_no_row_is_compared():
    write_run("cps")
    write_run("mt_un")
    assert all("against_baseline" not in row for row in plain()["rows"].values())
    rows = plain(STATISTICS.model_copy(update={"baseline": "mt_un"}))["rows"]
    assert "against_baseline" in rows["cps"]


def test_the_two_baselines_are_families_of_their_own():
    write_run("vnet_16", scores=cases(LOW))
    write_run("vnet_16_matched", scores=cases(LOW))
    write_run("cps", scores=cases(UP))
    rows = plain()["rows"]
    assert ("against_baseline" in rows["vnet_16"], "against_matched" in rows["vnet_16_matched"]) == (False, False)
    for key in ("against_baseline", "against_matched"):
        found = rows["cps"][key]["dice"]["patients"]
        assert (found["p_value"], found["p_holm"]) == (0.0078, 0.0156)  # 2 / 256, two rows in each family
    assert rows["vnet_16"]["against_matched"]["dice"]["patients"]["p_holm"] == 1
    write_run("cps_alw", scores=cases(UP))
    assert against("cps", reference="matched")["patients"]["p_holm"] == 0.0234  # three rows in each


def test_the_matched_baseline_is_compared_with_where_it_is_there_alone():
    write_run("vnet_16_matched")
    write_run("cps")
    rows = plain()["rows"]
    assert "against_matched" in rows["cps"] and "against_baseline" not in rows["cps"]


# pairs of a registered experiment

REGISTERED = STATISTICS.model_copy(
    update={
        "matched": None,
        "family": ("cps", "mt_un"),
        "pairs": Pairs(rows=("vnet_16", "cps", "mt_un", "vnet_32"), planned=(1, 2, 3, 4), least=3),
    }
)


def test_a_pair_counts_once_all_registered_rows_have_it():
    for method, shifts in (("vnet_16", FLAT), ("cps", FIRST), ("mt_un", SECOND), ("vnet_32", FIRST)):
        write_pairs(method, shifts, count=2 if method == "mt_un" else 3)
        write_run(method, label_split=0, seed=0, scores=cases([0] * 4))  # not planned
    write_run("vnet_bn", label_split=3, seed=3, scores=cases([0] * 4))
    write_run("vnet_bn", label_split=2, seed=2, scores=cases([70] * 4))
    table = plain(REGISTERED)
    assert table["lacking"] == {"3": ["mt_un"]}
    assert [table["rows"][row]["runs"] for row in ("vnet_16", "vnet_bn")] == [[[1, 1], [2, 2]], [[2, 2]]]
    found = {row: table["rows"][row]["against_baseline"]["dice"] for row in ("cps", "vnet_32")}
    assert found["cps"]["difference"] == FIRST[:2].mean()
    assert found["vnet_32"]["trainings"]["p_holm"] is None
    assert found["cps"]["trainings"]["p_holm"] is not None


@pytest.mark.parametrize("count", [1, 2, 9, *(pytest.param(n, marks=pytest.mark.slow) for n in range(3, 9))])
def test_any_number_of_whole_pairs_makes_a_table(count):
    rng = np.random.default_rng(count)
    nine = REGISTERED.model_copy(
        update={"pairs": REGISTERED.pairs.model_copy(update={"planned": tuple(range(1, 10))}), "resamples": 20}
    )
    for method in nine.pairs.rows:
        write_pairs(method, rng.normal(size=(9, 4)), count=count)
    table = plain(nine)
    tests = [table["rows"][row]["against_baseline"]["dice"]["trainings"] for row in ("cps", "mt_un")]
    assert [test and test["pairs"] for test in tests] == [count if count > 1 else None] * 2
    assert (table["family"]["dice"] is None) == (count == 1)
    assert table["design"]["pairs"] == count and table["design"]["family"] == 2
