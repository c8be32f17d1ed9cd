"""Rows beside each other, from runs that can be compared by hand: differences, the best row, letters."""

import pytest

from helpers.runs import STATISTICS, built, cases, write_run
from lassl.results.comparisons import letter

LOW = (60, 61, 62, 63, 64, 65, 66, 67)


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    """An empty folder to write runs to."""
    monkeypatch.chdir(tmp_path)


def test_the_difference_to_the_baseline_is_paired_and_holm_is_over_the_rows_for_each_score_by_itself():
    write_run("vnet_16", scores=cases([70] * 6, [10] * 6))
    write_run("cps", scores=cases((71, 72, 73, 74, 75, 76), [10] * 6))
    write_run("mt_un", scores=cases([70] * 6, (11, 8, 7, 6, 5, 4)))
    rows = built()["rows"]
    dice, asd = rows["cps"]["against_baseline"]["dice"], rows["mt_un"]["against_baseline"]["asd"]
    assert (dice["difference"], asd["difference"]) == (3.5, -3.1667)
    assert 1 < dice["low"] < 3.5 < dice["high"] < 6
    # all six up: 2 / 64; ranks 1 up, 2 to 6 down: 4 / 64; no difference: 1
    expected = {"cps": [0.0312, 0.0312, 1, 1], "mt_un": [1, 1, 0.0625, 0.0625]}
    assert {m: [t["p_value"] for t in rows[m]["against_baseline"].values()] for m in expected} == expected
    # two rows: the smaller p of a score times 2
    adjusted = {"cps": [0.0625, 0.0625, 1, 1], "mt_un": [1, 1, 0.125, 0.125]}
    assert {m: [t["p_holm"] for t in rows[m]["against_baseline"].values()] for m in adjusted} == adjusted
    assert {t["cases"] for m in adjusted for t in rows[m]["against_baseline"].values()} == {6}
    assert "against_baseline" not in rows["vnet_16"]


def test_a_secondary_score_takes_nothing_from_the_test_of_dice():
    up = [low + 1 + low / 10 for low in LOW]
    write_run("vnet_16", scores=cases(LOW, LOW))
    write_run("cps", scores=cases(up, LOW))
    alone = built()["rows"]["cps"]["against_baseline"]["dice"]
    assert alone["p_holm"] == alone["p_value"] == 0.0078  # one row: nothing to correct
    write_run("cps", scores=cases(up, up))
    assert built()["rows"]["cps"]["against_baseline"]["dice"] == alone


def test_all_pairs_are_a_larger_family_so_that_a_row_can_differ_from_the_baseline_and_share_its_letter():
    up = [low + 1 + low / 10 for low in LOW]
    write_run("vnet_16", scores=cases(LOW))
    for method in ("vnet_80", "cps", "mt_un"):
        write_run(method, scores=cases(up))
    rows = built()["rows"]
    others = [row["against_baseline"]["dice"]["p_holm"] for m, row in rows.items() if m != "vnet_16"]
    assert others == [0.0234] * 3  # 3 x 2 / 256
    assert {row["alike"] for row in rows.values()} == {"a", "b"}  # 6 x 2 / 256 = 0.047
    write_run("cps_alw", scores=cases(up))
    rows = built()["rows"]
    assert rows["cps"]["against_baseline"]["dice"]["p_holm"] == 0.0312  # 4 x 2 / 256
    assert {row["alike"] for row in rows.values()} == {"a"}  # 10 x 2 / 256 = 0.078


def test_a_few_cases_can_move_the_interval_where_the_ranks_show_nothing():
    write_run("vnet_16", scores=cases([50] * 20))
    moved = [-0.1 * i for i in range(1, 10)] + [0.05, 0.15, 0.25, 0.35] + [10, 20, 30, 35, 40, 45, 50]
    write_run("cps", scores=cases([50 + d for d in moved]))
    found = built()["rows"]["cps"]["against_baseline"]["dice"]
    assert found["low"] > 3 and found["p_holm"] > 0.05


def test_a_row_is_compared_with_the_baseline_over_the_runs_of_both():
    write_run("vnet_16", seed=0, scores=cases((70, 70)))
    write_run("vnet_16", seed=1, scores=cases((10, 20)))
    write_run("cps", seed=0, scores=cases((75, 79)))
    write_run("cps", seed=2, scores=cases((0, 0)))
    assert built()["rows"]["cps"]["against_baseline"]["dice"]["difference"] == 7


def test_without_the_baseline_no_row_is_compared():
    write_run("cps")
    write_run("mt_un")
    assert all("against_baseline" not in row for row in built()["rows"].values())
    rows = built(STATISTICS.model_copy(update={"baseline": "mt_un"}))["rows"]
    assert "against_baseline" in rows["cps"]


def test_the_two_baselines_are_families_of_their_own():
    up = [low + 1 + low / 10 for low in LOW]
    write_run("vnet_16", scores=cases(LOW))
    write_run("vnet_16_matched", scores=cases(LOW))
    write_run("cps", scores=cases(up))
    rows = built()["rows"]
    assert ("against_baseline" in rows["vnet_16"], "against_matched" in rows["vnet_16_matched"]) == (False, False)
    for key in ("against_baseline", "against_matched"):
        found = rows["cps"][key]["dice"]
        assert (found["p_value"], found["p_holm"]) == (0.0078, 0.0156)  # 2 / 256, two rows in each family
    assert rows["vnet_16"]["against_matched"]["dice"]["p_holm"] == 1
    write_run("cps_alw", scores=cases(up))
    assert built()["rows"]["cps"]["against_matched"]["dice"]["p_holm"] == 0.0234  # three rows in each


def test_the_matched_baseline_is_compared_with_where_it_is_there_alone():
    write_run("vnet_16_matched")
    write_run("cps")
    rows = built()["rows"]
    assert "against_matched" in rows["cps"] and "against_baseline" not in rows["cps"]


def test_the_best_row_is_sought_over_the_runs_that_all_rows_have():
    write_run("cps", scores=cases((80, 90), (5, 6)))
    write_run("cps", seed=1, scores=cases((0, 0), (90, 90)))
    write_run("mt_un", scores=cases((70, 60), (1, 2)))
    write_run("cps_alw", scores=cases((50, 60), (1, 2)))
    rows = built()["rows"]
    assert rows["cps"]["probability_of_best"] == {"dice": 1, "jaccard": 1, "asd": 0, "hd95": 0}
    assert rows["mt_un"]["probability_of_best"] == {"dice": 0, "jaccard": 0, "asd": 0.5, "hd95": 0.5}


def test_rows_without_a_run_in_common_have_no_best():
    write_run("cps", draw=0, seed=1)
    write_run("mt_un", draw=1, seed=1)
    assert all("probability_of_best" not in row for row in built()["rows"].values())


def test_rows_that_share_a_letter_cannot_be_told_apart():
    # between the others in half of the cases, with eight different distances to either
    between = [low + d for low, d in zip(LOW, (-1, 2, -3, 4, -5, 6, -7, 8), strict=True)]
    above = [low + d for low, d in zip(LOW, (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2), strict=True)]
    for method, dice in (("vnet_80", LOW), ("cps", between), ("mt_un", above)):
        write_run(method, scores=cases(dice))
    # LOW and above: 2 / 256, times 3 tests
    assert {m: r["alike"] for m, r in built()["rows"].items()} == {"vnet_80": "a", "cps": "ab", "mt_un": "b"}


def test_rows_that_can_all_be_told_apart_have_a_letter_each():
    for shift, method in enumerate(("vnet_16", "cps", "mt_un")):
        write_run(method, scores=cases([low + shift * (10 + low / 10) for low in LOW]))
    assert {m: r["alike"] for m, r in built()["rows"].items()} == {"vnet_16": "a", "cps": "b", "mt_un": "c"}


def test_no_two_groups_have_the_same_letter_even_if_they_are_more_than_the_alphabet_has():
    assert [letter(n) for n in (0, 1, 25, 26, 51, 52)] == ["a", "b", "z", "a1", "z1", "a2"]
    assert len({letter(n) for n in range(100)}) == 100


def test_letters_allow_for_the_number_of_pairs():
    up = [low + 1 + low / 10 for low in LOW[:7]]
    for method, dice in (("cps", LOW[:7]), ("mt_un", up)):
        write_run(method, scores=cases(dice))
    assert [r["alike"] for r in built()["rows"].values()] == ["a", "b"]  # 2 / 128
    for method in ("vnet_16", "vnet_80"):
        write_run(method, scores=cases(LOW[:7]))
    assert {r["alike"] for r in built()["rows"].values()} == {"a"}  # times 6


def test_identical_rows_share_a_letter_and_the_chance_to_be_the_best():
    write_run("cps")
    assert built()["rows"]["cps"]["alike"] == "a"
    write_run("mt_un")
    rows = built()["rows"]
    assert [r["alike"] for r in rows.values()] == ["a", "a"]
    assert [r["probability_of_best"]["dice"] for r in rows.values()] == [0.5, 0.5]
