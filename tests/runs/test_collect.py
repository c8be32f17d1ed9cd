"""Runs of other clones: which of them would replace scores that are here."""

from pathlib import Path

from lassl.runs.collect import Finished, lost


def test_scores_of_another_make_of_a_run_would_be_lost_and_times_in_its_record_would_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cases, record = Path("metrics/tiny/a.csv"), Path("metrics/tiny/records/a.yaml")
    run = Finished({}, {cases: b"new", record: b"seconds: 3"}, ("weights", {cases: b"new"}))
    assert lost(run) is None
    record.parent.mkdir(parents=True)
    record.write_text("seconds: 2")
    cases.write_text("new")
    assert lost(run) is None
    cases.write_text("earlier")
    assert lost(run) == cases
