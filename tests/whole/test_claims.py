"""Figures that README.md and docs/ give in sentences, derived again from the committed runs."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from helpers.project import committed as as_committed
from lassl.results.power import trained_again
from lassl.results.runs import by_method, read_results, scores
from lassl.results.search import read_trials
from lassl.statistics.scores import paired
from lassl.statistics.trainings import complete, mean_squares, two_way

pytestmark = pytest.mark.slow
SEMI_SUPERVISED = ["cps", "cps_alw", "cutmix_mt", "fixmatch", "mcnet_plus", "mt", "mt_un"]  # of repeats


@pytest.fixture(autouse=True)
def committed(monkeypatch):
    """Where pages and metrics belong together."""
    monkeypatch.chdir(as_committed())


def dice(profile: str) -> dict[str, pd.DataFrame]:
    """Dice of the rows of a profile: (label split, seed) x cases."""
    return {row: scores(group, "dice_percent") for row, group in by_method(read_results(profile), []).items()}


def means(profile: str) -> dict[str, float]:
    return {row: float(table.to_numpy().mean()) for row, table in dice(profile).items()}


def said(page: str, *words: str) -> None:
    """Hold that a page says each of these, wherever its lines end."""
    with open(page, encoding="utf-8") as file:
        text = " ".join(file.read().split())
    for sentence in words:
        assert sentence in text, sentence


def group(baseline: str):
    """The two-way test of the mean of the seven semi-supervised rows of repeats against a baseline."""
    rows = dice("repeats")
    return two_way(np.mean([complete(paired(rows[row], rows[baseline])) for row in SEMI_SUPERVISED], axis=0))


def test_seven_semi_supervised_rows_as_a_group_are_below_the_v_net():
    found = group("vnet_16")
    told = (f"{found.difference:.1f}", f"[{found.low:.1f}, {found.high:.1f}]", f"{found.p_value:.3f}")
    assert told == ("-3.0", "[-5.0, -1.0]", "0.023")
    said("docs/results.md", "3.0 points below V-Net & 16L** [-5.0, -1.0], p = 0.023")
    other = group("vnet_16_matched")
    assert f"{other.difference:+.1f} [{other.low:.1f}, {other.high:+.1f}], p = {other.p_value:.2f}" in (
        "+0.5 [-3.3, +4.3], p = 0.64"
    )
    said("docs/results.md", "(78.7; +0.5 [-3.3, +4.3], p = 0.64)")


def test_no_row_of_repeats_by_itself_differs_from_the_v_net():
    with open("metrics/repeats/table.json", encoding="utf-8") as file:
        rows = json.load(file)["rows"]
    tests = {row: content["against_baseline"]["dice"]["trainings"] for row, content in rows.items() if row != "vnet_16"}
    corrected = {row: test["p_holm"] for row, test in tests.items() if test["p_holm"] is not None}
    assert len(corrected) == 8 and min(corrected.values()) > 0.05
    assert (f"{corrected['mt']:.3f}", f"{corrected['mt_un']:.3f}") == ("0.058", "0.077")
    differences = sorted(tests[row]["difference"] for row in SEMI_SUPERVISED)
    assert (f"{differences[0]:.1f}", f"{differences[-1]:.1f}") == ("-4.7", "-1.5")
    said("docs/results.md", "no p is below 0.05 (the smallest: MT 0.058, MT+UN 0.077)", "1.5 to 4.7 points below it")


def test_what_the_registered_pairs_show():
    with open("metrics/compact-pairs/table.json", encoding="utf-8") as file:
        table = json.load(file)
    family = table["family"]["rows"]
    tests = {row: table["rows"][row]["against_baseline"]["dice"]["trainings"] for row in (*family, "vnet_32")}
    assert {row: (tests[row]["pairs"], tests[row]["p_holm"] < 0.05) for row in family} == {
        "mt_un": (6, False),
        "cps_alw": (6, False),
        "cutmix_mt": (6, False),
        "mcnet_plus": (6, False),
    }
    told = {row: f"[{test['low']:+.1f}, {test['high']:+.1f}]" for row, test in tests.items()}
    best = tests["mcnet_plus"]
    found = f"({best['difference']:+.1f} points {told['mcnet_plus']}, p = {best['p_holm']:.3f})"
    labels = f"16 more labels (V-Net & 32L) add {tests['vnet_32']['difference']:.1f} points {told['vnet_32']}."
    mean = table["family"]["dice"]
    for page in ("README.md", "docs/results.md"):
        said(page, "Six of the nine", found, labels)
        said(page, "No method is shown to differ from the V-Net with the same 16 labels")
    said(
        "docs/results.md",
        f"differs from the V-Net by {mean['difference']:+.1f} points [{mean['low']:+.1f}, {mean['high']:+.1f}]",
    )


def test_what_single_trainings_on_six_structures_show():
    with open("metrics/brains_six/table.json", encoding="utf-8") as file:
        rows = json.load(file)["rows"]
    assert all(row["runs"] == [[1, 1]] for row in rows.values())
    dice = {name: row["scores"]["dice"]["mean"] for name, row in rows.items()}
    few, unsure, strong, cps = (f"{dice[name]:.1f}" for name in ("vnet_16", "mt_un", "fixmatch", "cps"))
    told = (
        f"V-Net & 4L {few} %, MT+UN {unsure}, FixMatch {strong}, V-Net & 25L {dice['vnet_80']:.1f}; CPS, whose labeled"
    )
    said("README.md", f"{told} loss is cross-entropy alone, {cps}.")
    said("docs/results.md", f"All 25 labels add {dice['vnet_80'] - dice['vnet_16']:.1f} points to V-Net & 4L.")
    found = {name for name, of in rows["cps"]["structures"].items() if of["scores"]["dice"]["mean"] > 0}
    assert found == {"thalamus", "brain_stem"} and len(rows["cps"]["structures"]) == 6
    trials = [each for each in read_trials(Path("metrics/brains_six-tuning")) if each.prefix.startswith("cps")]
    assert len(trials) == 3 and all(each.scores["failed"] >= 20 for each in trials)


def test_what_the_pairs_on_brains_show():
    with open("metrics/brains/table.json", encoding="utf-8") as file:
        rows = json.load(file)["rows"]
    tests = {row: rows[row]["against_baseline"]["dice"]["trainings"] for row in rows if row != "vnet_16"}
    assert {test["pairs"] for test in tests.values()} == {6}
    told = {row: f"{t['difference']:+.1f} points [{t['low']:+.1f}, {t['high']:+.1f}]" for row, t in tests.items()}
    semi = sorted(("cps", "cps_alw", "mt_un", "mt_un_lovasz"), key=lambda row: tests[row]["difference"])
    assert (semi[0], semi[-1]) == ("cps_alw", "mt_un") and all(tests[row]["p_holm"] > 0.05 for row in semi)
    said("docs/results.md", f"from {told['cps_alw']} for CPS+ALW to {told['mt_un']} for MT+UN")
    said("README.md", *(f"{row}, {told[name]}" for row, name in (("from CPS+ALW", "cps_alw"), ("to MT+UN", "mt_un"))))
    everything = told["vnet_80"].replace("+", "", 1)
    labels = f"{tests['vnet_80']['p_holm']:.3f}"
    said("docs/results.md", f"All 25 labels add {everything}, p = {labels}.")
    said("README.md", f"all 25 labels add {everything.replace(' points', '')}, p = {labels}.")
    missed = re.search(r"or ([0-9.]+) in a family of 6 tests", Path("metrics/brains/table.md").read_text("utf-8"))[1]
    said("docs/results.md", f"differences below {missed} points would often be missed")
    both = rows["cps_32"]["variants"]
    first, second = both["first, all"]["dice"], both["second, all"]["dice"]
    said("docs/results.md", f"has {first:.1f} %, the second {second:.1f} %")


def test_rows_trained_once_differ_as_much_as_a_row_that_is_trained_twice():
    with open("metrics/compact/table.json", encoding="utf-8") as file:
        rows = json.load(file)["rows"]
    semi = [row for row, r in rows.items() if (r["labeled"], r["unlabeled"]) == ([16], [64]) and row != "vnet_bn"]
    first, again = means("compact"), means("compact-again")
    between = np.std([first[row] for row in semi], ddof=1)
    twice = [first[row] - again[row] for row in again if rows[row]["labeled"] == [16]]
    assert (len(semi), f"{between:.2f}", len(twice)) == (23, "0.98", 5)
    assert f"{math.sqrt(np.mean(np.square(twice)) / 2):.2f}" == "1.18"
    squares = [mean_squares(grid) for grid in trained_again([r.record for r in read_results("compact")])]
    freedom = sum(found.runs - 1 for found in squares)
    pooled = math.sqrt(sum(found.run_variance * (found.runs - 1) for found in squares) / freedom)
    assert (f"{pooled:.1f}", freedom) == ("1.5", 13)
    said(
        "README.md",
        "The 23 semi-supervised rows, trained once each, differ by 1.0 Dice points (SD); a second training moves a row "
        "by 1.5.",
    )
    said(
        "docs/results.md",
        "an SD of 0.98 points between them",
        "that were trained twice moved by 1.18",
        "by 1.5 points (SD; 13 degrees",
    )
    said("docs/compact.md", "differ by less (SD 0.98) than five rows with 16 labels that were trained twice (1.18)")


def test_mcnet_plus_is_above_the_v_net_with_one_seed_and_below_it_with_another():
    first, seeds = dice("compact"), dice("compact-seeds")
    assert f"{first['mcnet_plus'].to_numpy().mean():.1f} {seeds['mcnet_plus'].to_numpy().mean():.1f}" == "86.9 81.2"
    above = paired(first["mcnet_plus"], first["vnet_16"]).to_numpy().mean()
    below = paired(seeds["mcnet_plus"], seeds["vnet_16"]).to_numpy().mean()
    assert f"{above:+.1f} {below:+.1f}" == "+2.8 -3.6"
    with open("metrics/compact/table.json", encoding="utf-8") as file:
        over_patients = json.load(file)["rows"]["mcnet_plus"]["against_baseline"]["dice"]["patients"]
    with open("metrics/compact-seeds/table.json", encoding="utf-8") as file:
        with_seed = json.load(file)["rows"]["mcnet_plus"]["against_baseline"]["dice"]["patients"]
    assert f"{over_patients['p_holm']:.3f} {with_seed['p_value']:.3f}" == "0.036 0.006"
    said("docs/results.md", "(p = 0.036 with Holm's correction and 0.006)", "it is 2.8 above it in the table above")


def test_the_order_on_training_cases_and_that_on_test_cases_have_a_correlation_of_wide_interval():
    options = {result.record.method: set(result.record.settings.method.options) for result in read_results("compact")}
    best: dict[str, float] = {}
    for trial in read_trials(Path("metrics/compact-tuning")):
        score, method = trial.scores["dice"], trial.record.method
        if set(trial.record.settings.method.options) == options[method]:  # not of an earlier version
            best[method] = max(score, best.get(method, score))
    del best["vnet_16"]
    tested = means("compact")
    correlation = scipy.stats.spearmanr(list(best.values()), [tested[row] for row in best]).statistic
    assert (len(best), f"{correlation:.2f}") == (18, "0.01")
    half = 1.96 * math.sqrt(1.06 / (len(best) - 3))  # of Fisher's transform, for ranks (Fieller et al. 1957)
    low, high = (math.tanh(math.atanh(correlation) + end) for end in (-half, half))
    assert f"{low:.2f} to {high:+.2f}" == "-0.47 to +0.48"
    said("docs/compact.md", "0.01 with a 95 % interval of -0.47 to +0.48, from 18 rows", "neither order is reliable")


def test_what_bf16_costs_has_an_interval_over_trainings():
    ours = pd.concat([dice("compact")["vnet_16"], dice("compact-seeds")["vnet_16"]]).mean(axis=1)
    fp32 = dice("compact-fp32")["vnet_16"].mean(axis=1)
    welch = scipy.stats.ttest_ind(ours, fp32, equal_var=False).confidence_interval()
    told = f"{ours.mean() - fp32.mean():+.1f} points [{welch.low:.1f}, {welch.high:+.1f}]"
    assert told == "+0.9 points [-1.8, +3.5]"
    said("docs/performance.md", f"{told} (Welch's t over three trainings each)")


def test_half_of_the_cases_at_full_scale_are_above_90():
    cases = dice("paper")["vnet_16"].iloc[0]
    assert (f"{cases.median():.1f}", ((cases > 79) & (cases < 95)).sum()) == ("90.0", 18)
    said("docs/results.md", "the median is 90.0; 18 of the 20 lie between 79 and 95")
    said("README.md", "the V-Net has 83.3 % with 16 labels, 91.8 % with 80")
    assert {row: f"{mean:.1f}" for row, mean in means("paper").items()} == {"vnet_16": "83.3", "vnet_80": "91.8"}


def test_fewer_exposures_cost_what_three_pairs_do_not_show():
    rows = dice("repeats")
    found = two_way(complete(paired(rows["vnet_16_matched"], rows["vnet_16"])))
    told = f"[{found.low:.1f}, {found.high:+.1f}], p = {found.p_value:.3f}"
    assert (f"{found.difference:.1f}", told) == ("-3.5", "[-8.5, +1.6], p = 0.098")
    said("docs/compact.md", f"3.5 points less over three label splits at the smaller scale of `repeats` ({told}")


def test_what_the_control_and_mcnet_plus_have_over_three_draws_stands_with_its_interval():
    rows = dice("repeats")
    pairs = {("vnet_bn", "vnet_16_matched"): "[-12.5, +10.4]", ("mcnet_plus", "vnet_16"): "[-3.8, +0.9]"}
    for (row, baseline), told in pairs.items():
        found = two_way(complete(paired(rows[row], rows[baseline])))
        assert f"[{found.low:.1f}, {found.high:+.1f}]" == told
        said("docs/results.md", told)
        said("docs/compact.md", told)
