"""The table and its page of details as Markdown, from runs whose figures can be checked by hand."""

import pandas as pd
import pytest

from helpers.runs import NAN, PROFILE, PUBLISHED, STATISTICS, built, cases, write_run
from lassl.plumbing.errors import LasslError
from lassl.plumbing.tables import number, probability
from lassl.results.details import details
from lassl.results.markdown import table
from lassl.results.table import build
from lassl.settings.statistics import Pairs

pytestmark = pytest.mark.slow

CPS = "CPS & 16L+64UL"
ONE_RUN = "One training per row says nothing about the methods."
WARNINGS = ("have different settings", "have different window strides", "trained on different data", "not one method")


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    """An empty folder to write runs to."""
    monkeypatch.chdir(tmp_path)


def line(title: str) -> str:
    """The one line of the table that starts with a title."""
    (found,) = [text for text in table(built()).splitlines() if text.startswith(f"| **{title}**")]
    return found


def section(heading: str) -> list[str]:
    """The lines of the details under a heading, its Markdown table without the rule under the heads."""
    (found,) = [part for part in details(built()).split("\n## ") if part.startswith(f"{heading}\n")]
    lines = [text for text in found.splitlines() if text.startswith("|")]
    assert len({text.count("|") for text in lines}) == 1
    return [lines[0], *lines[2:]]


def warned() -> list[str]:
    text = table(built())
    return [words for words in WARNINGS if words in text]


# rows


def test_a_row_is_rendered_above_the_published_one():
    write_run("vnet_16", scores=cases((70, 70, 70), (6, 6, 6)))
    write_run("cps", scores=cases((80, 90, 85), (1, 5, 3)), steps=300, seconds=90)
    assert line(CPS) == (
        f"| **{CPS}** | 85.00 ± 5.00 [80.00, 90.00] | +15.00 | 42.50 ± 2.50 [40.00, 45.00] | "
        "3.00 ± 2.00 [1.00, 5.00] | 6.00 ± 4.00 [2.00, 10.00] | 0 | 3 | 16 + 64 | 1 | 300 | 1.5 |"
    )
    lines = table(built()).splitlines()
    assert lines[0] == (
        "| Method | Dice [%] | Dice against V-Net & 16L | Jaccard [%] | ASD [voxel] | 95HD [voxel] "
        "| failed | cases | labeled + unlabeled | runs | steps | min |"
    )
    assert lines[5].startswith("| published, choice unknown | 86.4 |  | 76.6 | 3.42 | 12.1 |  |")
    assert {text.count("|") for text in lines[:6]} == {13}
    assert " | baseline | " in lines[2]


PAIRS = {"vnet_16": [(70, 70, 70)] * 3, "cps": [(71, 72, 75), (72, 72, 74), (70, 73, 74)]}


def write_pairs(*others: str):
    """Three pairs of the baseline and CPS, and of others that score as CPS does."""
    for method in ("vnet_16", "cps", *others):
        for k, dice in enumerate(PAIRS.get(method, PAIRS["cps"]), 1):
            write_run(method, label_split=k, seed=k, scores=cases(dice))


def test_the_two_way_test_comes_first_with_its_family_first():
    write_pairs("mt_un", "vnet_16_matched")
    tests, rows = table(built()).split("\n\n")[:2]
    lines = tests.splitlines()
    assert lines[0] == (
        "| Dice against V-Net & 16L | pairs | difference | 95 % interval | p, Holm | p | logit Dice (secondary) | p |"
    )
    # differences 1, 2, 5; 2, 2, 4; 0, 3, 4: mean squares 0.11, 8.44 and 0.78 of pair, case and rest,
    # so the error is sqrt(7.78 / 9) and p 0.006, times 2 in a family of two
    assert lines[2] == f"| {CPS} | 3 | +2.56 | [+0.73, +4.38] | 0.012 | 0.006 | +0.13 [+0.03, +0.22] | 0.007 |"
    assert [text.split(" | ")[0] for text in lines[2:]] == [f"| {CPS}", "| MT+UN & 16L+64UL", "| V-Net, matched & 16L"]
    assert lines[4].split(" | ")[4] == "-"  # the matched baseline is in no family
    assert "| +2.56 [+0.73, +4.38], p = 0.012 | +0.00 [+0.00, +0.00], p = 1.000 |" in rows
    assert "| +2.56 [+0.73, +4.38], p = 0.006 uncorrected | baseline |" in rows


def test_the_mean_of_a_named_family_stands_under_it_and_is_called_secondary():
    write_pairs("mt_un", "vnet_80")
    named = STATISTICS.model_copy(update={"family": ("cps", "mt_un")})
    lines = table(built(named)).splitlines()[2:6]
    titles = [CPS, "MT+UN & 16L+64UL", "mean of these 2 (secondary)", "V-Net & 80L"]
    assert [text.split(" | ")[0] for text in lines] == [f"| {title}" for title in titles]
    assert lines[2].split(" | ")[1:6] == ["3", "+2.56", "[+0.73, +4.38]", "-", "0.006"]


def test_a_table_with_a_single_pair_has_no_p_and_says_what_its_differences_share():
    write_run("vnet_16", scores=cases((70, 70, 70)))
    write_run("cps", scores=cases((80, 90, 85)))
    text = table(built())
    assert "p = " not in text and "All differences in a column share one training of the baseline." in text
    assert text.count(ONE_RUN) == 1


def test_a_row_of_one_pair_beside_rows_of_more_is_told():
    write_pairs()
    told = "A difference without an interval is from one training and says nothing about the method."
    assert told not in table(built())
    write_run("mt_un", label_split=1, seed=1, scores=cases((70, 70, 70)))
    assert told in table(built()) and ONE_RUN not in table(built())


def test_of_two_pairs_it_is_said_that_their_test_is_too_bold():
    write_pairs()
    assert "too liberal" not in table(built())
    write_run("mt_un", label_split=1, seed=1, scores=cases((71, 72, 75)))
    write_run("mt_un", label_split=2, seed=2, scores=cases((72, 72, 74)))
    assert "With two pairs the test is too liberal" in table(built())


def test_pairs_of_one_draw_speak_of_that_draw():
    told = "All pairs share one label split, so the result holds for that split alone."
    for seed in (0, 1):
        write_run("vnet_16", seed=seed, scores=cases((70, 70)))
        write_run("cps", seed=seed, scores=cases((71, 73)))
    assert told in table(built())
    write_run("vnet_16", label_split=2, seed=2, scores=cases((70, 70)))
    assert told not in table(built())


def test_a_registered_experiment_says_which_pairs_count_and_which_are_missing():
    pairs = {"rows": ("vnet_16", "cps", "mt_un"), "planned": (1, 2, 3, 4, 5), "least": 3}
    registered = STATISTICS.model_copy(update={"family": ("cps", "mt_un"), "pairs": Pairs(**pairs)})
    write_pairs()
    with pytest.raises(
        LasslError, match="no pair of label split k and seed k has all of vnet_16, cps, mt_un; run the missing"
    ):
        built(registered)
    write_run("mt_un", label_split=1, seed=1, scores=cases((70, 70, 70)))
    write_run("mt_un", label_split=2, seed=2, scores=cases((70, 70, 70)))
    told = (
        "Complete pairs of trainings (label split k, seed k): 1, 2. Interim result: of the 5 "
        "planned pairs, 3, 4, 5 are missing. A result needs at least 3 pairs. Pair 3 is left out because it "
        "lacks mt_un."
    )
    assert f"\n**{told}**\n" in table(built(registered))
    write_run("mt_un", label_split=3, seed=3, scores=cases((70, 70, 70)))
    text = table(built(registered))
    assert "\nComplete pairs of trainings (label split k, seed k): 1, 2, 3. Interim result: of the 5" in text
    assert "at least" not in text and "left out" not in text


def test_few_cases_make_percentile_intervals_too_narrow_and_that_is_said():
    write_run(scores=cases([80 + k / 10 for k in range(20)]))
    told = "With 20 cases such an interval is too narrow: it covers the true mean in about 93 % of samples"
    assert told in table(built())
    write_run(scores=cases([80 + k / 10 for k in range(60)]))
    assert "too narrow" not in table(built())


def test_without_the_baseline_no_column_and_no_remark_is_about_it():
    write_run("cps")
    text = table(built())
    assert "against" not in text and "Differences to" not in text and "baseline" not in text
    assert len({row.count("|") for row in text.splitlines()[:4]}) == 1
    write_run("vnet_16")
    text = table(built())
    assert "\nDice is the primary score. Differences to V-Net & 16L are paired" in text


def test_undefined_figures_are_dashes():
    write_run("cps", seed=1, scores=cases((0, 0), (NAN, NAN)))
    write_run("mt_un", seed=2, scores=cases((0, 90), (NAN, 4)))
    assert "| 0.00 ± 0.00 [0.00, 0.00] | 0.00 ± 0.00 [0.00, 0.00] | - ± - [-, -] | - ± - [-, -] | 2 |" in line(CPS)
    assert "| 4.00 ± - [4.00, 4.00] | 8.00 ± - [8.00, 8.00] | 1 | 2 |" in line("MT+UN & 16L+64UL")


def test_a_row_tells_its_runs_and_all_of_their_steps():
    write_run(label_split=0, steps=300)
    write_run(label_split=1, steps=600)
    assert line(CPS).endswith(" | 0 | 2 | 16 + 64 | 2 | 300, 600 | 1 |")


def test_numbers_and_p_values_are_rounded_as_they_are_reported():
    assert [number(2 / 3), number(2 / 3, "+"), number(-1.5, "+"), number(None)] == ["0.67", "+0.67", "-1.50", "-"]
    found = [probability(p) for p in (None, 0.0, 0.0009, 0.001, 0.0526, 1.0)]
    assert found == ["undefined", "< 0.001", "< 0.001", "= 0.001", "= 0.053", "= 1.000"]


@pytest.mark.parametrize(
    ("evaluation", "told"),
    [
        ({"network": "first"}, ""),
        ({"network": "teacher"}, ", teacher network"),
        ({"network": "ensemble", "largest_component": True}, ", ensemble network, largest component only"),
        ({"failures": "diagonal"}, ", failures: diagonal"),
        ({"snapshot": {"use": "validated", "step": 120}}, ", snapshot: validated"),
    ],
)
def test_a_departure_from_the_default_evaluation_is_named_in_its_row(evaluation, told):
    parts = "largest" if "largest_component" in evaluation else "all"
    write_run(scores=cases(network=evaluation.get("network", "network"), parts=parts), evaluation=evaluation)
    assert line(CPS).startswith(f"| **{CPS}**{told} | 85.00 ± ")


def test_a_method_without_published_figures_has_no_line_of_them():
    for method in ("cps_alw", "cps"):
        write_run(method)
    rows = {k: v for k, v in PUBLISHED["rows"].items() if k != "cps"}
    lines = table(built(published={**PUBLISHED, "rows": rows})).splitlines()
    assert [text[:13] for text in lines[2:6]] == ["| **CPS+ALW &", "| published, ", "| **cps** | 8", ""]


def test_published_figures_tell_how_their_weights_were_chosen_and_who_printed_them():
    for method in ("cps", "mcnet", "dtc", "bcp", "mt"):
        write_run(method)
    text = table(built())
    assert "\n| published, best on test | 90.34 | 82.48 | 1.77 | 6 |" in text
    assert "\n| published, last, largest component | 89.42 | 80.98 | 2.1 | 7.32 |" in text
    assert "\n| published, choice unknown | 90.18 | 82.36 | 1.61 | 6.64 |" in text
    assert text.count("\n| published") == 4  # none of MT
    (sources,) = [
        paragraph
        for paragraph in text.split("\n\n")
        if paragraph.startswith("Published figures are for the real scans")
    ]
    assert (
        "Gupta and Guo (CPS); re-run, printed by CrossMatch, Zhao et al. 2024 (BCP); Luo et al. 2021 (DTC); Wu"
        in sources
    )


def test_the_two_baselines_have_a_column_each_where_both_are_there():
    write_run("vnet_16", scores=cases((70, 70, 70)))
    write_run("cps", scores=cases((80, 90, 85)))
    assert "matched" not in table(built())
    write_run("vnet_16_matched", scores=cases((60, 60, 60)))
    text = table(built())
    heads = text.splitlines()[0]
    assert "| Dice against V-Net & 16L | Dice against V-Net, matched & 16L | Jaccard [%] |" in heads
    assert "| +15.00 | +25.00 |" in line(CPS)
    assert "| baseline | +10.00 |" in line("V-Net & 16L")
    assert "| -10.00 | baseline |" in line("V-Net, matched & 16L")
    assert "Differences to V-Net & 16L and to V-Net, matched & 16L are paired" in text
    alone = built(STATISTICS.model_copy(update={"matched": None}))
    assert "Dice against V-Net, matched" not in table(alone) and "against_matched" not in alone.rows["cps"].compared


def test_scores_of_training_cases_are_called_so_and_nothing_published_stands_beside_them():
    for method in ("cps", "mcnet"):
        few = {"unlabeled": 48}
        write_run(method, tuning=3, scores=cases((80, 90, 85)), options=few, variant="-tuning")
    content = build(f"{PROFILE}-tuning", STATISTICS, PUBLISHED)
    assert (content.scored, content.scored_cases, content.missing, content.notes) == ("tuning", 3, (), ())
    assert [row.title for row in content.rows.values()] == ["CPS & 16L+48UL", "MC-Net & 16L+48UL"]
    warning = "**Scores of 3 training cases held back to choose settings, not of test cases.**"
    for text in (table(content), details(content)):
        assert warning in text and "ublished" not in text and "over test cases" not in text
        assert "over training cases held back to choose settings" in text
    write_run("cps")
    assert (built().scored, built().scored_cases) == ("test", 2)
    assert "training cases" not in table(built())


# remarks


def test_a_full_table_names_no_missing_row_and_finds_nothing_to_warn_of():
    for method in PUBLISHED["rows"]:
        write_run(method)
    assert "Not run" not in table(built())
    assert warned() == []


def test_the_missing_rows_are_named():
    for method in ("cps_alw", "cps", "vnet_80"):
        write_run(method)
    assert "\nNot run in this profile: vnet_16, cps_32, mt_un, mt_un_lovasz.\n" in table(built())


def test_the_footnote_stands_under_a_table_with_its_row_only():
    write_run("vnet_80")
    assert "[1]" not in table(built())
    write_run("vnet_16")
    text = table(built())
    assert text.count("| published, choice unknown [1] | 78.3 |  | 69 | 22.5 | 9.88 |") == 1
    assert text.count("[1] As published. ") == 1


def test_only_a_table_of_single_runs_says_that_they_are():
    write_run("cps")
    write_run("mt_un")
    assert ONE_RUN in table(built())
    write_run("mt_un", seed=1)
    assert ONE_RUN not in table(built())


@pytest.mark.parametrize(
    ("words", "other"),
    [
        ("have different settings", {"lr": 0.003}),
        ("have different window strides", {"evaluation": {"stride": [4, 4, 4]}}),
        ("trained on different data", {"cohort": ("synthetic", "bb")}),
    ],
)
def test_what_makes_rows_incomparable_is_told_between_rows_and_within_one(words, other):
    write_run("cps")
    write_run("mt_un")
    assert warned() == []
    write_run("mt_un", **other)
    assert warned() == [words]
    write_run("mt_un")
    write_run("cps", seed=1, **other)
    assert warned() == [words]


@pytest.mark.parametrize("other", [{"options": {"weight_decay": 0.1}}, {"evaluation": {"failures": "diagonal"}}])
def test_runs_of_one_row_with_other_options_are_not_one_method(other):
    write_run("cps")
    write_run("mt_un", **other)
    assert warned() == []
    write_run("cps", seed=1, **other)
    assert f"**{CPS}: its runs have different options (see table.json) and are not one method.**" in table(built())
    assert warned() == ["not one method"]


def test_rows_that_were_trained_in_different_places_are_named_with_them():
    write_run("vnet_16", device="cpu: A")
    write_run("cps", device="cuda: B")
    write_run("mt_un", device="cpu: A")
    assert "trained on cpu: A (V-Net & 16L, MT+UN & 16L+64UL) and cuda: B (CPS & 16L+64UL)." in table(built())


@pytest.mark.parametrize(
    ("scans", "words"), [("synthetic", "synthetic phantoms, not patients"), ("real", "real scans")]
)
def test_phantoms_are_told_from_real_scans(scans, words):
    write_run(cohort=("mine", "aa"))
    content = built(STATISTICS.model_copy(update={"scans": scans}))
    assert f"cohort mine ({words}), volumes pooled by 2, trained on cpu: Test." in table(content)
    assert f"cohort mine ({words}), full resolution, trained" in table(content.model_copy(update={"pool": 1}))


# details


OVER_TRAININGS = "For new trainings and new patients: against V-Net & 16L"
OVER_PATIENTS = "For new patients, with these trainings: against V-Net & 16L"


def test_the_details_have_a_line_for_each_row_in_every_section():
    for method in ("vnet_16", "cps"):
        write_run(method)
    text = details(built())
    assert text.startswith(f"# Details of the table of profile `quick`\n\n## {OVER_PATIENTS}\n\n")
    first, *headings = [heading.split("\n")[0] for heading in text.split("\n## ")[1:]]
    assert [row.split(" | ")[0] for row in section(first)] == ["| Method", f"| {CPS}"]
    assert len(headings) == 4
    for heading in headings:
        assert [row.split(" | ")[0] for row in section(heading)] == ["| Method", "| V-Net & 16L", f"| {CPS}"]


def test_the_details_have_the_two_way_tests_by_every_score_uncorrected():
    write_pairs("mt_un")
    heads, first, _ = section(OVER_TRAININGS)
    assert heads.endswith("| pairs | Dice [%] | Jaccard [%] | ASD [voxel] | 95HD [voxel] | logit Dice [logit] |")
    dice, jaccard = "+2.56 [+0.73, +4.38], p = 0.006", "+1.28 [+0.37, +2.19], p = 0.006"
    none = "+0.00 [+0.00, +0.00], p = 1.000"
    assert first == f"| {CPS} | 3 | {dice} | {jaccard} | {none} | {none} | +0.13 [+0.03, +0.22], p = 0.007 |"


def test_the_details_have_the_signed_rank_test_and_say_what_it_is_of():
    low = range(60, 68)
    write_run("vnet_16", scores=cases(low))
    write_run("mt_un", scores=cases(low))
    write_run("cps", scores=cases([value + 1 + value / 10 for value in low]))
    assert "They take the trainings as fixed and say nothing about the methods" in details(built())
    heads, first, second = section(OVER_PATIENTS)
    assert "| Dice, difference | 95 % interval | p | p, Holm: Dice |" in heads
    assert (
        first.startswith(f"| {CPS} | +7.35 | [") and "] | 0.008 | 0.016 | 0.016 | 1.000 |" in first
    )  # 2 / 2^8, times 2
    assert second.split(" | ")[:4] == ["| MT+UN & 16L+64UL", "+0.00", "[+0.00, +0.00]", "1.000"]


def test_the_details_give_every_other_measure_with_its_unit():
    write_run(scores=cases((80, 90), (1, NAN)))
    heads, row = section("More measures")
    found = dict(zip(heads.split(" | "), row.split(" | "), strict=True))
    assert found["ASSD [voxel]"] == "3.00 ± -"
    assert found["95HD [mm]"] == "20.00 ± -"
    assert found["surface Dice at 1 mm [%]"] == "8.50 ± 0.71"
    assert found["volume error [%] |"] == "-17.00 ± 1.41 |"


def test_the_details_give_the_distances_of_failures_under_three_policies():
    write_run(scores=cases((0, 90), (NAN, 4)))
    heads, row = section("Failures under three policies")
    policies = ("left out", "volume's diagonal", "0, as older code does")
    assert heads.split(" | ")[2:] == [
        *(f"ASD: {p}" for p in policies),
        *(f"95HD: {p}" for p in policies[:2]),
        "95HD: 0, as older code does |",
    ]
    assert row == f"| {CPS} | 1 | 4.00 | 52.00 | 2.00 | 8.00 | 54.00 | 4.00 |"


def test_the_details_give_the_scores_of_every_variant():
    write_run(scores=pd.concat([cases((80, 90), (1, 4)), cases((70, 60), (NAN, NAN), parts="largest")]))
    assert section("Networks, ensembles and the largest component")[1:] == [
        f"| {CPS} | network, all | 85.00 | 42.50 | 2.50 | 5.00 |",
        f"| {CPS} | network, largest | 65.00 | 32.50 | - | - |",
    ]


def test_the_details_split_the_variance_of_dice_as_far_as_the_runs_can_tell():
    write_run(seed=0, scores=cases((70, 90)))
    assert section("Sources of variance")[1] == f"| {CPS} | 1 | - | - | 14.14 | - | - |"
    write_run(seed=1, scores=cases((80, 100)))
    # mean squares: seed 100, case 400; 14.14 is sqrt(400 / 2), 7.07 is sqrt(100 / 2)
    assert section("Sources of variance")[1] == f"| {CPS} | 2 | - | 7.07 | 14.14 | 0.00 | 7.07 |"
