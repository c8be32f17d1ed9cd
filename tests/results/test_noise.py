"""What is known of the noise of trainings, from runs that can be followed by hand, and of the committed ones."""

import math

import numpy as np
import pytest

from helpers.project import ROOT
from helpers.runs import PROFILE, STATISTICS, built, cases, write_run
from lassl.results.power import design, in_words
from lassl.results.runs import by_method, read_results
from lassl.statistics.trainings import mean_squares

DICE = {0: (80, 90, 70), 1: (82, 91, 73), 2: (78, 95, 76)}  # of three seeds


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """An empty folder to write runs to."""
    monkeypatch.chdir(tmp_path)


def designed(profile: str = PROFILE):
    return design(by_method(read_results(profile), []), STATISTICS)


def test_trainings_of_one_row_and_draw_count_wherever_their_records_are(workspace):
    write_run("cps", scores=cases(DICE[0]))
    assert designed().training is None and designed().noise is None
    write_run("cps", seed=1, scores=cases(DICE[1]), variant="-seeds")
    write_run("cps", scores=cases(DICE[2]), variant="-again")
    found = designed().training
    assert (found.value, found.freedom) == (pytest.approx(np.std([80, 82, 83], ddof=1)), 2)
    assert designed().rows == 1


@pytest.mark.parametrize(
    "other",
    [
        {"label_split": 1},
        {"lr": 0.003},
        {"steps": 7},
        {"cohort": ("synthetic", "bb")},
        {"options": {"weight_decay": 0.1}},
        {"evaluation": {"stride": [4, 4, 4]}},
        {"tuning": 2},
    ],
)
def test_other_labels_settings_or_data_are_no_training_made_again(workspace, other):
    write_run("cps", scores=cases(DICE[0]))
    write_run("cps", seed=1, scores=cases(DICE[1]), variant="-other", **other)
    assert designed().training is None


def test_a_method_has_the_schedule_of_all_rows_where_there_is_one(workspace):
    for variant, schedule in (("", "poly"), ("-other", "step")):
        write_run("cps", variant=variant, scores=cases(DICE[0]), schedule="constant", options={"schedule": schedule})
    assert designed().training.freedom == 1


def test_rows_are_pooled_by_their_degrees_of_freedom(workspace):
    for seed, dice in DICE.items():
        write_run("cps", seed=seed, scores=cases(dice))
    for seed in (0, 1):
        write_run("mt_un", seed=seed, scores=cases([80 + 2 * seed] * 3))
    found = designed().training
    assert found.value**2 * 3 == pytest.approx(2 * np.var([80, 82, 83], ddof=1) + np.var([80, 82], ddof=1))


def test_weights_that_are_equal_are_one_training(workspace):
    for variant in ("", "-copy"):
        run = write_run("cps", scores=cases(DICE[0]), variant=variant)
        run.record.write_text(run.record.read_text() + "weights_sha256: abc\n")
    assert designed().training is None


def parts(squares) -> tuple[float, float]:
    return squares.run_variance, squares.case_variance


def test_with_pairs_the_noise_is_that_of_their_differences(workspace):
    rng = np.random.default_rng(0)
    grids = {"cps": rng.normal(size=(3, 5)), "mt_un": rng.normal(size=(2, 5))}
    for k in range(3):
        write_run("vnet_16", label_split=k, scores=cases([80] * 5))
    for row, grid in grids.items():
        for k, shifts in enumerate(grid):
            write_run(row, label_split=k, scores=cases(80 + shifts))
    found, (first, second) = designed(), [mean_squares(grid) for grid in grids.values()]
    runs, patients = (
        (2 * first.run_variance + second.run_variance) / 3,
        (2 * first.case_variance + second.case_variance) / 3,
    )
    assert (found.noise.pair**2, found.noise.patient**2) == pytest.approx((runs, patients), rel=1e-4)
    assert (found.compared, found.pairs, found.family, found.noise.cases) == (2, 3, 2, 5)


def test_with_one_pair_its_noise_is_that_of_two_trainings_made_again(workspace):
    write_run("vnet_16", scores=cases((80, 80, 80)))
    write_run("cps", scores=cases(DICE[0]))
    write_run("cps", seed=1, scores=cases(DICE[1]), variant="-seeds")
    found = designed()
    assert (found.noise.pair, found.noise.freedom) == (pytest.approx(math.sqrt(2) * found.training.value), 1)
    assert (found.pairs, found.compared, found.family) == (1, 0, 1)


def test_a_pair_takes_the_minutes_of_training_and_scoring_all_rows(workspace):
    write_run("vnet_16", seconds=60, evaluation={"seconds": 30})
    write_run("cps", seconds=100, evaluation={"seconds": 20})
    write_run("cps", label_split=1, seconds=200, evaluation={"seconds": 40})
    assert designed().minutes == pytest.approx((90 + 180) / 60)


def test_the_table_says_what_its_trainings_can_show(workspace):
    write_run("vnet_16", scores=cases((80, 80, 80)))
    write_run("cps", scores=cases(DICE[0]))
    one = "One training per row says nothing about the methods."
    unknown = "How much retraining changes a row is unknown at this scale, because no row was trained twice."
    assert in_words(built().design, True) == f"{one} {unknown}"
    write_run("cps", seed=1, scores=cases(DICE[1]), variant="-seeds")
    text = in_words(built().design, True)
    assert text.startswith(
        f"{one} Retraining a row changes its mean Dice by 1.41 points (SD; 95 % interval 0.63 to 45.13; from 1 "
    )
    assert "One pair can detect a difference of " in text and "family" not in text
    for k in (1, 2):
        write_run("vnet_16", label_split=k, scores=cases((80, 80, 80)))
        write_run("cps", label_split=k, scores=cases(DICE[k]))
    text = in_words(built().design, False)
    assert "The difference of a pair varies by 1.53 points (SD; from 1 row). 3 pairs can detect" in text


def test_the_committed_trainings_of_compact_move_by_a_point_and_a_half(monkeypatch):
    monkeypatch.chdir(ROOT)
    found = designed("compact")
    assert (round(found.training.value, 2), found.training.freedom, found.rows) == (1.48, 13, 8)
    assert (round(found.training.low, 2), round(found.training.high, 2)) == (1.07, 2.38)


def test_the_committed_repeats_can_show_five_points(monkeypatch):
    monkeypatch.chdir(ROOT)
    found = design(by_method(read_results("repeats"), []), STATISTICS)
    power = found.noise.power(found.pairs, found.family)
    assert (found.pairs, found.compared, found.family) == (3, 9, 8)
    assert (round(power.half_width, 1), round(power.smallest, 1)) == (3.9, 5.2)
