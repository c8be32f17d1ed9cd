"""The list of measures: it has all scores of a case, each once, under names with units that cannot be confused."""

from dataclasses import fields

import pytest

from helpers.runs import cases
from lassl.evaluation.scores import Scores, summarize
from lassl.results.measures import MAIN, MAIN_DISTANCES, OTHERS

NO_MEASURES = {"diagonal_voxel", "diagonal_mm", "failed"}


def test_every_score_of_a_case_but_its_diagonals_and_its_failure_is_a_measure_once():
    columns = [measure.column for measure in (*MAIN, *OTHERS)]
    assert len(set(columns)) == len(columns)
    assert set(columns) == {field.name for field in fields(Scores)} - NO_MEASURES


def test_the_summary_of_a_run_has_the_main_measures_in_their_order_as_means_of_their_columns():
    scores = cases((80, 90), (1, 4))
    assert summarize(scores) == {m.key: scores[m.column].mean() for m in MAIN} | {"failed": 0}
    assert [m.key for m in MAIN] == list(summarize(scores))[:4]


def test_the_distances_of_the_summary_are_in_voxels():
    assert [(m.name, m.unit) for m in MAIN_DISTANCES] == [("ASD", "voxel"), ("95HD", "voxel")]


@pytest.mark.parametrize("measure", (*MAIN, *OTHERS), ids=lambda measure: measure.column)
def test_a_heading_has_the_unit_of_its_column_and_no_other_has_the_same(measure):
    unit = {"percent": "%"}.get(suffix := measure.column.rsplit("_", 1)[1], suffix)
    assert measure.heading == f"{measure.name} [{unit}]"
    assert [m.heading for m in (*MAIN, *OTHERS)].count(measure.heading) == 1
