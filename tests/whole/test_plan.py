"""The plan of the runs that fit into the minutes of a card: whole ones, by what was measured."""

from pathlib import Path

import pytest

from benchmarks import plan
from helpers.project import ROOT, committed
from lassl.model.record import read_record
from lassl.plumbing.errors import LasslError


def test_trainings_side_by_side_share_a_card_as_the_two_recorded_ones_did(monkeypatch):
    """Seven were made together; V-Net & 16L and 80L came to their end (metrics/paper), so all seven ran until then."""
    monkeypatch.chdir(committed())
    config, seen = plan.composed(["profile=paper"])
    works = {row: plan.step_ms(config, seen, row)[0] * config.train.steps / 1e3 for row in config.methods}
    reckoned = plan.times(works, together=7, seen=seen)
    seconds = [read_record(config.run(row, 0, 0).record).training.seconds for row in ("vnet_16", "vnet_80")]
    assert [reckoned[row][1] for row in ("vnet_16", "vnet_80")] == pytest.approx(seconds, rel=plan.SPARE)
    told = f"take {reckoned['vnet_16'][1]} s; they took {seconds[0]:.0f} and {seconds[1]:.0f} s"
    assert told in " ".join(Path("docs/performance.md").read_text().split())


def test_runs_share_a_card_in_equal_parts_once_they_are_compiled():
    seen = plan.Seen("a card", {}, compiling=10, trainings=3, gain=1.5)
    assert [seen.gain_of(count) for count in (1, 2, 3, 9)] == [1, 1.25, 1.5, 1.5]
    assert plan.times({"a": 100}, 3, seen) == {"a": (0, 110)}
    assert plan.times({"a": 100, "b": 100}, 1, seen) == {"a": (0, 110), "b": (110, 220)}
    assert plan.times({"a": 100, "b": 100}, 2, seen) == {"a": (0, 170), "b": (0, 170)}  # 200 seconds at 1.25, and 10


def test_only_whole_runs_and_whole_pairs_are_planned_and_a_cheaper_one_takes_the_place_of_one_that_does_not_fit():
    seen = plan.Seen("a card", {}, compiling=0, trainings=2, gain=1.0)
    groups = [{"a": 50.0}, {"b": 60.0}, {"c": 40.0}]
    assert list(plan.fitting(groups, 100, 2, seen)) == ["a", "c"]
    assert list(plan.fitting([{"a": 50.0, "b": 40.0}, {"c": 5.0, "d": 30.0}], 100, 2, seen)) == ["a", "b"]
    assert plan.fitting(groups, 30, 2, seen) == {}


def test_the_plan_has_the_missing_rows_in_the_order_asked_for_and_says_what_it_takes_from_where(monkeypatch, capsys):
    monkeypatch.chdir(committed())
    plan.main(["--minutes", "15", "--rows", "vnet_16,mt_un,cps_alw,cps"])
    told = capsys.readouterr().out
    lines = [line.strip("| ").split(" | ") for line in told.splitlines() if line.startswith("| paper/")]
    expected = {"mt_un": "35.5 ms", "cps_alw": "40.8 ms", "cps": "39.3 ms"}
    missing = [row for row in expected if not Path(f"metrics/paper/records/{row}-d0-s0.yaml").is_file()]
    assert [line[0] for line in lines] == [f"paper/{row}-d0-s0" for row in missing]
    assert [line[4] for line in lines] == [f"{expected[row]}, seen on the card" for row in missing]
    assert "measured on a CPU" in told and "NVIDIA H200" in told
    with pytest.raises(LasslError, match="no step of profile quick was timed on a card"):
        plan.main(["profile=quick"])
    with pytest.raises(LasslError, match="methods has no 'x'"):
        plan.main(["--rows", "x"])


def test_registered_pairs_are_planned_whole_and_with_the_commands_that_make_them(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    words = ["profile=compact", "mode=pairs", "method=registered"]
    config, seen = plan.composed(words)
    monkeypatch.setattr(plan, "evaluation_seconds", lambda: 13.0)
    monkeypatch.chdir(tmp_path)  # no record
    groups = plan.missing(config, [])
    assert [len(group) for group in groups] == 9 * [6]
    for k, group in enumerate(groups, 1):
        assert {(run.label_split, run.seed) for run in group.values()} == {(k, k)}
    monkeypatch.setattr(plan, "step_ms", lambda config, seen, row: (20.0, "here"))
    found = plan.planned(config, seen, [], minutes=3.5, together=8)
    assert len(found.times) == 12 and "12 of 54 missing runs, 8 side by side" in found.text(8)
    command = found.commands(words, True, 8).splitlines()[0]
    assert command == "lassl compose profile=compact mode=pairs method=registered 'label_splits=[1,2]'"
