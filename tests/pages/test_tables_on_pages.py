"""Tables of results and of trials on the pages: whole, short and side by side."""

import json
from pathlib import Path

import pytest

from helpers.runs import CONFIG, write_run
from lassl.evaluation.summary import POLICIES
from lassl.pages.tables import short, structures, table, trials
from lassl.plumbing.errors import LasslError
from lassl.results import search
from lassl.results.document import Row, Table
from lassl.results.layout import layout
from lassl.results.measures import DICE, LOGIT_DICE, MAIN, MAIN_DISTANCES, OTHERS
from lassl.results.remarks import published_sources
from lassl.settings.statistics import Pairs
from lassl.statistics.variance import Variance


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """Tables of two profiles."""
    monkeypatch.chdir(tmp_path)
    for profile in ("quick", "paper"):
        Path(f"metrics/{profile}").mkdir(parents=True)
        Path(f"metrics/{profile}/table.md").write_text(f"| {profile} \\1 ± |\n")


@pytest.mark.parametrize("words", [("paper",), ("paper", "short"), ("quick", "paper")])
def test_a_table_that_was_never_made_is_named(tables, words):
    Path("metrics/paper/table.md").unlink()
    write_means("quick", cps=80.0)
    with pytest.raises(LasslError, match=r"^metrics/paper/table\.(md|json): not found"):
        table(*words)


def test_a_table_stands_whole_where_a_profile_is_named_alone(tables):
    assert table("quick") == "| quick \\1 ± |\n"


def write_earlier():
    """Three earlier trials of two methods."""
    Path("metrics/mine-tuning").mkdir()
    rows = "method,steps,mean Dice,lowest\nA,600,70.5,0.0\nA,1200,71.0,\nB,600,9.5,1.0\n"
    Path("metrics/mine-tuning/earlier.csv").write_text(rows)


def test_earlier_trials_stand_under_a_sentence_with_the_best_of_each_method_in_bold(tables):
    write_earlier()
    assert trials("mine") == (
        "3 earlier trials without records; only these figures remain.\n\n"
        "| method | steps | mean Dice | lowest |\n| --- | --- | --- | --- |\n"
        "| A | 600 | 70.5 | 0.0 |\n| A | 1200 | **71.0** |  |\n| B | 600 | **9.5** | 1.0 |\n"
    )


def test_trials_with_a_record_stand_below_the_earlier_ones(tables):
    write_earlier()
    run = write_run("cps", variant="-tuning")
    search.gather(run.record.parents[1], [(run.record.read_text(), run.cases.read_text())])
    text = trials(CONFIG.profile)
    path = f"metrics/{CONFIG.profile}-tuning/search.csv"
    assert (
        text.splitlines()[0]
        == f"Trials with a record (`{path}`); min: training time in minutes, with other jobs running:"
    )
    assert "earlier" not in text and search.trials_table(run.record.parents[1]) in text
    Path("metrics/mine-tuning/earlier.csv").rename(run.record.parents[1] / "earlier.csv")
    text = trials(CONFIG.profile)
    assert text.index("3 earlier trials without records") < text.index("Trials with a record")


def test_trials_that_were_never_made_are_named(tables):
    with pytest.raises(LasslError, match=r"^metrics/mine-tuning: found no trials; collect them"):
        trials("mine")


def differences(difference, trainings=None):
    """Differences of a row to a reference, the same by all scores."""
    patients = dict.fromkeys(("low", "high", "p_value", "p_holm"))
    found = {"difference": difference, "cases": 4, "pairs": 1, "trainings": trainings, "patients": patients}
    return {measure.key: found for measure in (*MAIN, LOGIT_DICE)}


def row(title, dice, against=0.0, **more):
    """A row of a table; what a short table does not tell of is not defined."""

    def spread(mean):
        ends = (None, None) if mean is None else (mean - 1, mean + 1)
        return {"mean": mean, "std": None, "low": ends[0], "high": ends[1], "std_runs": None}

    none = {measure.key: None for measure in MAIN}
    told = {
        **{"title": title, "group": "table", "runs": [(0, 0)], "devices": ["cpu: Test"], "training_minutes": 1.0},
        **{"labeled": [16], "unlabeled": [64], "steps": [20], "cases": 4, "failed": 0, "evaluation": [""]},
        **{"stride": [], "shared": [], "method": [{}], "variants": {"network, all": none}},
        "scores": {key: spread(dice if key == "dice" else 7.0) for key in none},
        "variance": dict.fromkeys(none, Variance(None, None, None, None)),
        "more": {measure.key: {"mean": None, "std": None} for measure in OTHERS},
        "failures": {policy: {measure.key: None for measure in MAIN_DISTANCES} for policy in POLICIES},
        "published": {"dice": 80.5, "chosen": "test", "source": "Somebody"},
        "against_baseline": differences(against),
    }
    return Row(**told | more)


NO_FAILURES = {"failed": 0, "absent": 0}
DESIGN = {"training": None, "rows": 0, "noise": None, "compared": 0, "pairs": 0, "family": 0, "power": None}


def of_rows(scored="test", design=DESIGN, **rows):
    """A table of these rows, beside the baselines `first` and `matched` where they are among them."""
    words = {"family": None, "pairs": None, "resamples": 10, "seed": 0, "scans": "real", "published": True}
    return Table(
        **{"profile": "mine", "cohort": "la2018", "cohort_hash": ["a"], "pool": 2, "devices": ["cpu: Test"]},
        **{"scored": scored, "scored_cases": 4, "design": design, "rows": rows, "family": None},
        **{"statistics": {"baseline": "first", "matched": "matched", **words}},
        **{"lacking": {}, "missing": [], "notes": []},
    )


def write_means(profile, **means):
    """Write a table.json of rows with these mean Dice."""
    document = of_rows(**{name: row(f"the {name}", mean) for name, mean in means.items()})
    Path(f"metrics/{profile}/table.json").write_text(json.dumps(document.plain()))


def test_two_profiles_stand_side_by_side_in_the_rows_that_both_have(tables):
    write_means("quick", cps=80.0, mt_un=None, alone=1.0)
    write_means("paper", mt_un=70.0, cps=78.756)
    assert table("quick", "paper") == (
        "| Mean Dice [%] | quick | paper | difference |\n| --- | --- | --- | --- |\n"
        "| the cps | 80.00 | 78.76 | -1.24 |\n| the mt_un | - | 70.00 | - |"
    )


def test_each_of_several_structures_has_a_column(tables):
    def found(dice):
        return {"scores": {m.key: {"mean": dice if m is DICE else 3.0, "std": 1.0} for m in MAIN}, **NO_FAILURES}

    two = [{"left_lung": found(90.126), "right_lung": found(None)}, {"left_lung": found(8.0), "right_lung": found(7.5)}]
    rows = {name: row(name.upper(), 80.0, structures=each) for name, each in zip("ab", two, strict=True)}
    Path("metrics/quick/table.json").write_text(json.dumps(of_rows(**rows).plain()))
    assert structures("quick") == (
        "| Dice [%] | left lung | right lung |\n| --- | --- | --- |\n| A | 90.13 | - |\n| B | 8.00 | 7.50 |"
    )


def test_a_profile_with_one_structure_has_no_table_of_structures(tables):
    write_means("quick", cps=80.0)
    with pytest.raises(LasslError, match=r"^metrics/quick/table\.json: found one structure; name a profile with sev"):
        structures("quick")


def test_a_short_table_has_labels_the_dice_with_its_interval_95hd_the_published_dice_and_the_difference():
    lines = short(of_rows(first=row("A", 80.0), second=row("B", 82.5, 2.5, labeled=[32]))).splitlines()
    assert lines[:4] == [
        "| Method | labels | Dice [%] | 95HD [voxel] | published Dice | Dice against A |",
        "| --- | --- | --- | --- | --- | --- |",
        "| **A** | 16 | 80.00 [79.00, 81.00] | 7.00 | 80.5 (best on test) | baseline |",
        "| **B** | 32 | 82.50 [81.50, 83.50] | 7.00 | 80.5 (best on test) | +2.50 |",
    ]


def test_a_short_table_has_the_published_rows_and_that_of_a_registered_experiment_all_rows():
    document = of_rows(first=row("A", 80.0), further=row("B", 82.5).model_copy(update={"group": "field"}))
    registered = {"rows": ["first", "further"], "planned": [1], "least": 1}
    words = document.statistics.model_copy(update={"pairs": Pairs.model_validate(registered)})
    both = document.model_copy(update={"statistics": words})
    assert [f"**{title}**" in short(document) for title in "AB"] == [True, False]
    assert [f"**{title}**" in short(both) for title in "AB"] == [True, True]


def test_a_short_table_tells_scale_runs_cases_and_empty_predictions_in_short_lines():
    text = short(of_rows(first=row("A", 80.0, failed=2), second=row("B", 82.5)))
    told = " ".join(text.split())
    assert "(real scans), volumes pooled by 2, 20 steps, on cpu: Test." in told
    assert "Means over 4 test cases" in told and "Empty predictions: 2. Distances leave them out" in told
    assert (
        "One training per row says nothing about the methods." in told
        and "Published figures (Somebody) are for the real scans at full resolution. In brackets: how their weights"
        in told
    )
    assert all(len(line) <= 120 for line in text.splitlines() if line[:1] != "|")


def test_a_short_table_is_silent_about_a_choice_that_is_not_known():
    text = short(of_rows(first=row("A", 80.0, published={"dice": 80.5, "chosen": "unknown", "source": "Somebody"})))
    assert "| 80.5 |" in text and "In brackets" not in text


def test_published_figures_of_largest_components_say_so_in_both_tables():
    figures = {"dice": 80.5, "chosen": "last", "parts": "largest", "source": "Somebody"}
    table = of_rows(first=row("A", 80.0, published=figures), second=row("B", 82.5))
    assert "| 80.5 (last, largest component) |" in short(table) and "| 80.5 (best on test) |" in short(table)
    called = [line.published[0] for line in layout(table).lines]
    assert called == ["published, last, largest component", "published, best on test"]
    (told,) = published_sources(table)
    assert "Largest component: everything else was removed from their masks." in told


def test_a_short_table_without_baseline_or_published_figures_has_no_columns_for_them():
    text = short(of_rows(second=row("B", 82.5, published=None), third=row("C", 80.0, published=None)))
    assert text.startswith("| Method | labels | Dice [%] | 95HD [voxel] |\n")
    assert "differences" not in text and "ublished" not in text


def test_a_short_table_has_masks_from_elsewhere_and_says_how_their_failures_count():
    theirs = row("B", 82.5, runs=[], labeled=[], steps=[], published=None, evaluation=["failures: diagonal"])
    text = short(of_rows(first=row("A", 80.0), second=theirs))
    assert "| **B**, failures: diagonal | - | 82.50 [81.50, 83.50] | 7.00 |  | +0.00 |" in text


def test_a_short_table_warns_of_rows_that_cannot_be_compared():
    rows = {"first": row("A", 80.0, shared=[{"lr": 1}]), "second": row("B", 82.5, shared=[{"lr": 2}])}
    assert "**The rows have different settings (see table.json) and cannot be compared.**" in short(of_rows(**rows))


def test_a_short_table_has_the_published_rows_with_their_differences_to_the_first_baseline_alone():
    other = {"against_matched": differences(4.0)}
    further = {"group": "field", "published": {"dice": 90.0, "chosen": "test", "source": "Another"}}
    rows = {"first": row("A", 80.0, **other), "second": row("B", 82.5, 2.5, **other)}
    text = short(of_rows(**rows, matched=row("M", 78.0, -2.0, **further)))
    heads, _, first, second, after = text.splitlines()[:5]
    assert heads.endswith("| published Dice | Dice against A |") and heads.count("|") == 7
    assert first.endswith("| baseline |") and second.endswith("| +2.50 |") and after == ""
    assert "Published figures (Somebody) are" in " ".join(text.split())


def test_a_short_table_with_pairs_has_intervals_and_p_over_trainings_and_what_they_can_show():
    test = {"low": 1.0, "high": 4.0, "p_value": 0.01, "p_holm": 0.02}
    compared = differences(2.5, {"difference": 2.5, "freedom": 3.0, "pairs": 2, "cases": 4, **test})
    runs = [[1, 1], [2, 2]]
    rows = {"first": row("A", 80.0, runs=runs), "second": row("B", 82.5, against_baseline=compared, runs=runs)}
    power = {"half_width": 2.0, "smallest": 3.04, "smallest_in_family": 3.04}
    noise = {"pair": 1.5, "patient": 0.0, "cases": 4, "freedom": None}
    design = DESIGN | {"compared": 1, "noise": noise, "pairs": 2, "family": 1, "power": power}
    text = short(of_rows(design=design, **rows))
    told = " ".join(text.split())
    assert "| +2.50 [+1.00, +4.00], p = 0.020 |" in text and "means over a row's trainings" in told
    assert "In intervals and p-values of differences, trainings and patients are random; p is Holm-corrected." in told
    assert "2 pairs can detect a difference of 3.0 points with 80 % power." in told and "One training" not in told


def test_a_short_table_of_training_cases_says_so():
    told = " ".join(short(of_rows(scored="tuning", second=row("B", 82.5, published=None))).split())
    assert "Means over 4 training cases held back to choose settings [95 %" in told
    assert "**Scores of 4 training cases held back to choose settings, not of test cases.**" in told
