"""Runs read back from metrics/, their scores as tables, and the summary of each."""

import json

import pandas as pd
import pytest
import yaml

from helpers.runs import NAN, PROFILE, RECORDS, built, cases, write_run
from lassl.evaluation.scores import DISTANCES
from lassl.evaluation.snapshots import COLUMNS
from lassl.evaluation.summary import POLICIES, chosen, counted, summary_text
from lassl.model.record import Reported, read_record
from lassl.paths import Run
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import text_hash, write_text
from lassl.results.runs import by_method, read_results, score_table

ZERO = "lassl.flaws.empty_zero:zero"


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    """An empty folder to write runs to."""
    monkeypatch.chdir(tmp_path)


def variants() -> pd.DataFrame:
    """Two cases of two networks, their masks with all parts and with the largest; Dice tells them apart."""
    names = [(network, parts) for network in ("first", "second") for parts in ("all", "largest")]
    return pd.concat([cases((10 * i, 10 * i + 5), network=n, parts=p) for i, (n, p) in enumerate(names)])


# reading


def test_a_run_is_read_as_it_was_written():
    trajectory = pd.DataFrame([(120, "held_out", "H", 70.5), (240, "test", "A", 60.25)], columns=list(COLUMNS))
    write_run("cps", 1, 2, variants(), evaluation={"network": "second"}, snapshots=trajectory, seconds=90.0)
    (result,) = read_results(PROFILE)
    assert result.run == (1, 2)
    assert result.record.training.seconds == 90.0
    assert result.record.evaluation.network == result.reported.network == "second"
    pd.testing.assert_frame_equal(result.cases, variants().reset_index(drop=True))
    pd.testing.assert_frame_equal(result.snapshots, trajectory)


def test_cases_of_any_name_are_read_back_and_a_score_that_is_not_there_stays_so():
    names = ["NA", "None", "null", "nan", "007", "1e5", "A B", "Müller"]
    scores = cases([80] * 7 + [0], [1] * 7 + [NAN]).assign(case=names)
    trajectory = pd.DataFrame([(240, "test", name, 60.25) for name in names], columns=list(COLUMNS))
    for method in ("vnet_16", "cps"):
        write_run(method, scores=scores, snapshots=trajectory)
    found = read_results(PROFILE)
    pd.testing.assert_frame_equal(found[0].cases, scores)
    pd.testing.assert_frame_equal(found[0].snapshots, trajectory)
    assert (built().rows["cps"].cases, built().rows["cps"].failed) == (8, 1)


def test_a_run_without_snapshots_has_an_empty_table_of_them():
    write_run()
    (result,) = read_results(PROFILE)
    assert (list(result.snapshots), len(result.snapshots)) == (list(COLUMNS), 0)


def test_runs_come_in_the_order_of_methods_and_of_draws_and_seeds_as_numbers():
    for method, label_split, seed in [("mt_un", 0, 0), ("cps", 10, 0), ("cps", 0, 10), ("cps", 2, 1), ("cps", 0, 2)]:
        write_run(method, label_split, seed)
    found = [(r.record.method, *r.run) for r in read_results(PROFILE)]
    assert found == [("cps", 0, 2), ("cps", 0, 10), ("cps", 2, 1), ("cps", 10, 0), ("mt_un", 0, 0)]


def test_the_runs_of_a_variant_are_not_those_of_the_profile():
    write_run("cps")
    write_run("mt_un", variant="-flawed")
    assert [r.record.method for r in read_results(PROFILE)] == ["cps"]
    assert [r.record.method for r in read_results(f"{PROFILE}-flawed")] == ["mt_un"]


def earlier(run: Run, rows: str) -> None:
    """Turn a run into one of earlier code, whose snapshots have a table of their own, and the record its hash."""
    write_text(run.snapshots, ",".join(COLUMNS) + "\n" + rows)
    told = yaml.safe_load(run.record.read_text())
    run.record.write_text(yaml.safe_dump(told | {"snapshots_sha256": text_hash(run.snapshots.read_text())}))


def test_the_snapshots_of_an_earlier_record_are_read_from_their_table():
    earlier(write_run(), "120,test,A,60.25\n240,test,A,61.5\n")
    (result,) = read_results(PROFILE)
    rows = [(120, "test", "A", 60.25), (240, "test", "A", 61.5)]
    assert list(result.snapshots.itertuples(index=False, name=None)) == rows


@pytest.mark.parametrize("there", [True, False])
def test_a_table_of_snapshots_without_a_row_need_not_be_there(there):
    run = write_run()
    earlier(run, "")
    if not there:
        run.snapshots.unlink()
    (result,) = read_results(PROFILE)
    assert (list(result.snapshots), len(result.snapshots)) == (list(COLUMNS), 0)


@pytest.mark.parametrize("which", ["cases", "snapshots"])
def test_scores_edited_after_the_evaluation_are_refused(which):
    run = write_run()
    earlier(run, "120,test,A,60.25\n")
    path = getattr(run, which)
    path.write_text(path.read_text().replace("dice_percent", "dice", 1))
    with pytest.raises(LasslError, match=rf"{path}: its content does not match {run.record}; restore both from git"):
        read_results(PROFILE)


def test_a_record_that_is_none_of_a_run_is_refused():
    run = write_run()
    run.record.write_text("profile: quick\n")
    with pytest.raises(LasslError, match=rf"{run.record}: not a valid record of a run .* restore it from git"):
        read_results(PROFILE)


@pytest.mark.parametrize("which", ["cases", "snapshots"])
def test_a_record_without_its_scores_is_refused(which):
    run = write_run()
    earlier(run, "120,test,A,60.25\n")
    path = getattr(run, which)
    path.unlink()
    with pytest.raises(LasslError, match=rf"{path}: not found, although {run.record} exists; run `dvc repro`"):
        read_results(PROFILE)


def test_a_profile_without_runs_says_how_to_make_some():
    with pytest.raises(LasslError, match=r"metrics/other/records: found no runs; .* -S profile=other"):
        read_results("other")


# tables of runs and cases


def test_methods_are_grouped_in_the_order_asked_for_and_the_others_follow():
    for method, seed in [("vnet_80", 0), ("cps", 0), ("cps", 1), ("mt_un", 0)]:
        write_run(method, seed=seed)
    groups = by_method(read_results(PROFILE), ["mt_un", "never_run", "cps"])
    found = [(method, [r.run for r in group]) for method, group in groups.items()]
    assert found == [("mt_un", [(0, 0)]), ("cps", [(0, 0), (0, 1)]), ("vnet_80", [(0, 0)])]


def test_a_score_is_a_table_of_runs_and_cases():
    frames = {(0, 3): cases((80, 90, 70)), (2, 1): cases((60, 50, 40))}
    index = pd.MultiIndex.from_tuples([(0, 3), (2, 1)], names=["label_split", "seed"])
    expected = pd.DataFrame([[40.0, 45.0, 35.0], [30.0, 25.0, 20.0]], index, pd.Index(["A", "B", "C"], name="case"))
    pd.testing.assert_frame_equal(score_table(frames, "jaccard_percent"), expected)


def test_the_cases_of_two_runs_are_matched_by_name():
    backwards = cases((60, 50, 40)).iloc[::-1]
    found = score_table({(0, 0): cases((80, 90, 70)), (0, 1): backwards}, "dice_percent")
    assert found.loc[(0, 1)].to_dict() == {"A": 60, "B": 50, "C": 40}


def test_a_case_that_a_run_lacks_is_undefined_in_it():
    found = score_table({(0, 0): cases((80, 90, 70)), (0, 1): cases((60, 50, 40)).drop(index=1)}, "dice_percent")
    assert found.isna().to_numpy().tolist() == [[False] * 3, [False, True, False]]


# summaries


@pytest.mark.parametrize(
    ("network", "largest", "dice"),
    [("first", False, 0), ("first", True, 10), ("second", False, 20), ("second", True, 30)],
)
def test_the_summary_is_of_the_variant_that_the_evaluation_reports(network, largest, dice):
    evaluation = {"network": network, "largest_component": largest, "failures": "excluded"}
    assert chosen(variants(), Reported(**evaluation))["dice_percent"].tolist() == [dice, dice + 5]
    run = write_run(scores=variants(), evaluation=evaluation)
    assert json.loads(run.metrics.read_text())["dice"] == dice + 2.5


def test_the_summary_of_a_run_is_the_mean_over_its_cases():
    run = write_run(scores=cases((0, 100, 50.0004), (NAN, 4, 2)))
    found = json.loads(run.metrics.read_text())
    assert found == {"dice": 50.0001, "jaccard": 25.0001, "asd": 3.0, "hd95": 6.0, "failed": 1}


def test_a_run_that_failed_everywhere_has_no_distances():
    run = write_run(scores=cases((0, 0), (NAN, NAN)))
    assert json.loads(run.metrics.read_text()) == {"dice": 0, "jaccard": 0, "asd": None, "hd95": None, "failed": 2}


@pytest.mark.parametrize(
    ("policy", "asd", "hd95"), [("excluded", 3.0, 6.0), ("diagonal", 38.6667, 40.6667), (ZERO, 2.0, 4.0)]
)
def test_a_failed_case_counts_in_the_summary_as_the_policy_says(policy, asd, hd95):
    run = write_run(scores=cases((60, 0, 90), (4, NAN, 2)), evaluation={"failures": policy})
    found = json.loads(run.metrics.read_text())  # the diagonal is 110 voxels
    assert found == {"dice": 50, "jaccard": 25, "asd": asd, "hd95": hd95, "failed": 1}


@pytest.mark.parametrize(("policy", "b"), [("excluded", NAN), ("diagonal", 110), (ZERO, 0)])
def test_all_distances_of_a_failed_case_and_no_others_follow_the_policy(policy, b):
    before = cases((60, 0, 90), (4, NAN, 2))
    found = counted(before, policy)
    for name in DISTANCES:
        expected = before[name].tolist()
        expected[1] = b * (10 if name.endswith("mm") else 1)
        assert found[name].tolist() == pytest.approx(expected, nan_ok=True)
    others = [name for name in before if name not in DISTANCES]
    pd.testing.assert_frame_equal(found[others], before[others])


def test_a_policy_that_nobody_knows_is_refused():
    with pytest.raises(LasslError, match=r"evaluate\.failures: cannot find 'ignored' .*; write excluded, diagonal, or"):
        counted(cases(), "ignored")


def test_failures_count_as_the_run_was_evaluated_unless_another_policy_is_asked_for():
    write_run(scores=cases((60, 0), (4, NAN)), evaluation={"failures": "diagonal"})
    (result,) = read_results(PROFILE)
    assert result.reported_cases()["asd_voxel"].tolist() == [4, 110]
    assert result.reported_cases(POLICIES["zero"])["asd_voxel"].tolist() == [4, 0]
    assert result.reported_cases(POLICIES["excluded"])["asd_voxel"].tolist() == pytest.approx([4, NAN], nan_ok=True)


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: f"{path.parts[-3]}/{path.stem}")
def test_the_committed_summary_of_a_run_is_the_mean_of_its_committed_cases(record):
    path = record.parents[1] / f"{record.stem}.json"
    expected = summary_text(pd.read_csv(path.with_suffix(".csv")), read_record(record).evaluation)
    found, expected = map(leaves, (path.read_text(), expected))
    # the cases are written with six decimals, and the last of four may turn
    assert found == pytest.approx(expected, abs=1.5e-4, rel=0, nan_ok=True)


def leaves(text: str) -> dict[str, float]:
    """The numbers of a summary by structure and score; what is undefined is NaN."""
    told = json.loads(text)
    parts = {"": told, **told.pop("structures", {})}
    return {f"{n} {key}": NAN if v is None else v for n, means in parts.items() for key, v in means.items()}
