"""The table, from runs whose figures can be checked by hand, and the committed tables from the committed runs."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from helpers.project import ROOT, committed, tracked
from helpers.runs import CONFIG, NAN, PROFILE, PUBLISHED, RECORDS, STATISTICS, built, cases, plain, write_run
from lassl.evaluation import external_record
from lassl.model.record import Evaluated, read_record
from lassl.plumbing.errors import LasslError
from lassl.results import markdown, table
from lassl.results.details import details
from lassl.results.document import read_table
from lassl.results.measures import MAIN
from lassl.results.remarks import CHOSEN

NOT_FIGURES = ("chosen", "parts", "source", "note")  # beside published figures
PROFILES = sorted({path.parts[-3] for path in RECORDS})


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    """An empty folder to write runs to."""
    monkeypatch.chdir(tmp_path)


# a row by itself


def test_a_row_has_mean_and_sample_standard_deviation_over_cases():
    write_run(scores=cases((80, 90, 85), (1, 4, 1)), seconds=90, steps=300)
    row = plain()["rows"]["cps"]
    found = {name: (s["mean"], s["std"]) for name, s in row["scores"].items()}
    # 1.7321 is sqrt((1 + 4 + 1) / 2)
    assert found == {"dice": (85, 5), "jaccard": (42.5, 2.5), "asd": (2, 1.7321), "hd95": (4, 3.4641)}
    assert (row["runs"], row["cases"], row["failed"], row["training_minutes"]) == ([[0, 0]], 3, 0, 1.5)
    assert (row["labeled"], row["unlabeled"], row["steps"]) == ([16], [64], [300])
    assert row["scores"]["dice"]["std_runs"] is None


def test_the_interval_of_the_mean_is_that_of_resampled_cases():
    write_run(scores=cases((80, 90, 85), (1, 4, NAN)))
    scores = plain()["rows"]["cps"]["scores"]
    # one case alone makes a replicate of three with probability 1/27, which is above 2.5 %
    assert (scores["dice"]["low"], scores["dice"]["high"]) == (80, 90)
    assert (scores["asd"]["low"], scores["asd"]["high"]) == (1, 4)


def test_failed_cases_count_for_the_overlap_and_not_for_the_distances():
    write_run(scores=cases((0, 90, 60), (NAN, 4, 2)))
    row = plain()["rows"]["cps"]
    assert row["failed"] == 1
    assert row["scores"]["dice"]["mean"] == 50
    assert (row["scores"]["asd"]["mean"], row["scores"]["asd"]["std"]) == (3, 1.4142)


def test_a_row_where_every_case_failed_has_no_distances():
    write_run(scores=cases((0, 0), (NAN, NAN)))
    row = plain()["rows"]["cps"]
    assert set(row["scores"]["hd95"].values()) == {None}
    assert row["more"]["assd_mm"] == {"mean": None, "std": None}
    assert row["failures"]["excluded"] == {"asd": None, "hd95": None}
    assert set(row["variance"]["asd"].values()) == {None}


def test_the_distances_of_failed_cases_are_given_under_three_policies():
    write_run(scores=cases((0, 90, 60), (NAN, 4, 2)))
    write_run(seed=1, scores=cases((80, 90, 0), (1, 3, NAN)))
    found = plain()["rows"]["cps"]["failures"]
    assert found["excluded"] == {"asd": 2.5, "hd95": 5}  # (4 + 2 + 1 + 3) / 4
    assert found["diagonal"] == {"asd": 38.3333, "hd95": 40}  # A's volume has 100 voxels of diagonal, C's 120
    assert found["zero"] == {"asd": 1.6667, "hd95": 3.3333}


def test_the_scores_of_a_row_follow_the_policy_of_its_evaluation():
    write_run(scores=cases((0, 90), (NAN, 4)), evaluation={"failures": "diagonal"})
    row = plain()["rows"]["cps"]
    assert (row["scores"]["asd"]["mean"], row["failed"]) == (52, 1)


def test_a_row_has_all_other_measures_of_its_cases():
    write_run(scores=cases((80, 90), (1, 4)))
    assert plain()["rows"]["cps"]["more"] == {
        "assd_voxel": {"mean": 7.5, "std": 6.364},
        "hd95_max_voxel": {"mean": 10, "std": 8.4853},
        "asd_mm": {"mean": 25, "std": 21.2132},
        "hd95_mm": {"mean": 50, "std": 42.4264},
        "assd_mm": {"mean": 75, "std": 63.6396},
        "hd95_max_mm": {"mean": 100, "std": 84.8528},
        "surface_dice_1mm_percent": {"mean": 8.5, "std": 0.7071},
        "volume_error_percent": {"mean": -17, "std": 1.4142},
    }


def test_every_network_with_all_parts_and_the_largest_is_a_variant_of_the_row():
    scores = cases((80, 90), (1, 4), "first"), cases((70, 60), (2, NAN), "first", "largest"), cases((50, 40))
    write_run(scores=pd.concat(scores), evaluation={"network": "first"})
    scores = cases((60, 70), (2, 5), "first"), cases((90, 40), (8, 2), "first", "largest"), cases((20, 10))
    write_run(seed=1, scores=pd.concat(scores), evaluation={"network": "first"})
    row = plain()["rows"]["cps"]
    assert row["variants"] == {
        "first, all": {"dice": 75, "jaccard": 37.5, "asd": 3, "hd95": 6},
        "first, largest": {"dice": 65, "jaccard": 32.5, "asd": 4, "hd95": 8},
        "network, all": {"dice": 30, "jaccard": 15, "asd": 1, "hd95": 2},
    }
    assert row["scores"]["dice"]["mean"] == 75


# several runs


def test_the_cases_of_several_runs_count_once_each_and_the_runs_have_a_spread_of_their_own():
    write_run(seed=0, scores=cases((80, 90), (1, 4)), seconds=60)
    write_run(seed=1, scores=cases((60, 100), (NAN, 7)), seconds=120)
    row = plain()["rows"]["cps"]
    dice, asd = row["scores"]["dice"], row["scores"]["asd"]
    assert (row["runs"], row["cases"], row["failed"], row["training_minutes"]) == ([[0, 0], [0, 1]], 2, 1, 1.5)
    assert (dice["mean"], dice["std"], dice["std_runs"]) == (82.5, 17.6777, 3.5355)  # 70 and 95; 85 and 80
    assert (asd["mean"], asd["std"], asd["std_runs"]) == (4, 3.182, 3.182)  # 1 and 5.5; 2.5 and 7


def test_the_interval_of_several_runs_covers_the_spread_between_them():
    write_run(seed=0, scores=cases((70, 70, 70)))
    write_run(seed=1, scores=cases((90, 90, 90)))
    dice = plain()["rows"]["cps"]["scores"]["dice"]
    # both picks of two are the same seed with probability 1/4
    assert dice == {"mean": 80, "std": 0, "low": 70, "high": 90, "std_runs": 14.1421}


def test_the_variance_is_split_between_draws_seeds_and_cases():
    for label_split, seed in [(0, 0), (0, 1), (3, 0), (3, 1)]:
        mean = 80 + 10 * (label_split == 0) - 10 * (label_split == 3) + 1 - 2 * seed
        write_run(label_split=label_split, seed=seed, scores=cases((mean - 5, mean + 5)))
    row = plain()["rows"]["cps"]
    # mean squares 800, 4 and 200; variances (800 - 4) / 4, 4 / 2 and 200 / 4
    assert row["variance"]["dice"] == {"label_split": 14.1067, "seed": 1.4142, "case": 7.0711, "rest": 0}
    assert row["scores"]["dice"]["std_runs"] == 11.6046  # sqrt((121 + 81 + 81 + 121) / 3)


# which rows


def test_rows_come_in_the_published_order_and_the_missing_ones_are_named():
    for method in ("cps_alw", "cps", "vnet_80"):
        write_run(method)
    assert list(plain()["rows"]) == ["vnet_80", "cps", "cps_alw"]
    assert plain()["missing"] == ["vnet_16", "cps_32", "mt_un", "mt_un_lovasz"]


def test_a_table_beside_another_baseline_than_the_published_one_misses_no_published_row():
    for method in ("vnet_8", "cps_8", "vnet_80"):
        write_run(method)
    found = plain(STATISTICS.model_copy(update={"baseline": "vnet_8", "matched": "vnet_8_matched"}))
    assert (next(iter(found["rows"])), found["missing"]) == ("vnet_80", [])


def test_the_published_table_comes_first_then_the_field_by_its_dice_then_own_rows_and_external_ones():
    dice = {"cps_alw": 70, "mcnet": 80, "vnet_16_matched": 60, "cps_8": 95, "dtc": 90, "mine": 99, "vnet_16": 50}
    for method, mean in dice.items():
        write_run(method, scores=cases((mean, mean)))
    write_external("net", cases((100, 100)))
    rows = plain()["rows"]
    order = ["vnet_16", "cps_alw", "cps_8", "dtc", "mcnet", "vnet_16_matched", "mine", "external/net"]
    assert list(rows) == order
    groups = ["table", "table", "field", "field", "field", "field", "own", "external"]
    assert [row["group"] for row in rows.values()] == groups


def test_every_row_of_conf_has_a_title_and_published_figures_say_where_they_are_from():
    rows = {path.stem: yaml.safe_load(path.read_text()) for path in tracked("conf/method/*.yaml")}
    titles = [*PUBLISHED["rows"], *PUBLISHED["field"]]
    assert len(titles) == len(set(titles))
    eight = {str(each).split("@methods.")[-1] for each in rows["table_8"]["defaults"]} - {"_self_"}
    lists = {"core", "field", "registered", "table", "table_8"}
    assert (rows.keys() - lists) | eight == set(titles)
    for row in [*PUBLISHED["rows"].values(), *PUBLISHED["field"].values()]:
        figures = set(row) - {"title"}
        assert not figures or {"dice", "chosen", "source"} <= figures <= {m.key for m in MAIN} | {*NOT_FIGURES}
        assert row.get("chosen", "last") in ("last", "test", "unknown") and set(CHOSEN) == {"last", "test", "unknown"}


def test_a_method_without_published_figures_comes_last_under_its_own_name():
    for method in ("cps_alw", "cps"):
        write_run(method)
    found = plain(published={**PUBLISHED, "rows": {k: v for k, v in PUBLISHED["rows"].items() if k != "cps"}})
    assert [(m, r["title"]) for m, r in found["rows"].items()] == [("cps_alw", "CPS+ALW & 16L+64UL"), ("cps", "cps")]
    assert found["rows"]["cps"]["published"] == {}


@pytest.mark.parametrize(
    ("figures", "reason"),
    [
        ({"dice": 86.4, "source": "Ours"}, "chosen: Field required"),
        ({"dice": 86.4, "chosen": "first", "source": "Ours"}, "chosen: Input should be 'last', 'test' or 'unknown'"),
        ({"dice": "high", "chosen": "last", "source": "Ours"}, "dice: Input should be a valid number"),
        ({"dise": 86.4, "dice": 86.4, "chosen": "last", "source": "Ours"}, "dise: Extra inputs are not permitted"),
    ],
)
def test_published_figures_that_no_table_can_show_are_told_with_their_row(figures, reason):
    write_run("cps")
    with pytest.raises(LasslError, match=rf"^metrics/published\.yaml: cps: {reason}.*; fix it there$"):
        built(published={"rows": {"cps": figures}, "field": {}, "notes": {}})


def test_a_row_that_has_only_a_title_follows_the_published_ones_and_is_not_missed():
    titles = {"mt_un": {"title": "Ours"}, "cps_32": {"title": "Never run"}}
    published = {"rows": {"cps": PUBLISHED["rows"]["cps"]}, "field": titles}
    for method in ("cps_alw", "mt_un", "cps"):
        write_run(method)
    found = plain(published={**published, "notes": {}})
    assert [r["title"] for r in found["rows"].values()] == ["CPS & 16L+64UL", "Ours", "cps_alw"]
    assert (found["rows"]["mt_un"]["published"], found["missing"]) == ({}, [])


def test_on_a_cohort_that_no_paper_knows_nothing_is_published_or_missing_and_titles_tell_the_runs_own_counts():
    kidney = ("kidney", "aa")
    write_run("vnet_16", cohort=kidney, options={"labeled": 2})
    write_run("cps", cohort=kidney, options={"labeled": 2, "unlabeled": 10})
    write_run("cps_32", cohort=kidney, options={"labeled": 4, "unlabeled": 8})
    write_run("cps_32", seed=1, cohort=kidney, options={"labeled": 6, "unlabeled": 8})
    statistics = STATISTICS.model_copy(update={"scans": "real", "published": False})
    few = {**PUBLISHED, "rows": {k: v for k, v in PUBLISHED["rows"].items() if k != "cps"}}
    found = plain(statistics, few)
    assert [r["title"] for r in found["rows"].values()] == ["V-Net & 2L", "CPS & 4/6L+8UL", "cps & 2L+10UL"]
    assert all(r["published"] == {} for r in found["rows"].values())
    assert (found["missing"], found["notes"]) == ([], [])
    text = markdown.table(built(statistics, few))
    assert "Dice against V-Net & 2L" in text and "cohort kidney (real scans), volumes pooled" in text
    assert not any(word in text for word in ("published", "Not run", "[1]", "phantoms"))


def test_the_table_says_what_it_was_made_from():
    write_run("cps", cohort=("synthetic", "bb"))
    write_run("mt_un", cohort=("synthetic", "aa"))
    found = plain()
    kept = {k: found[k] for k in ("profile", "cohort", "cohort_hash", "pool", "devices", "statistics")}
    assert kept == {
        **{"profile": PROFILE, "cohort": "synthetic", "cohort_hash": ["aa", "bb"], "pool": CONFIG.patches.pool},
        **{"devices": ["cpu: Test"], "statistics": STATISTICS.model_dump()},
    }


# files


def refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def test_the_written_table_is_the_built_one():
    write_run("vnet_16", scores=cases((0, 0), (NAN, NAN)))
    write_run("cps", scores=cases((0, 90), (NAN, 4)))
    text = table.table(PROFILE, STATISTICS, ROOT / "metrics/published.yaml")
    folder = Path("metrics") / PROFILE
    assert (folder / "table.md").read_text() == text == markdown.table(built())
    assert (folder / "details.md").read_text() == details(built())
    assert json.loads((folder / "table.json").read_text(), parse_constant=refuse) == plain()


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
def test_a_committed_table_is_what_its_committed_runs_give(profile, monkeypatch):
    monkeypatch.chdir(committed())
    folder = Path("metrics") / profile
    found = table.build(profile, read_table(profile).statistics, PUBLISHED)
    assert found == read_table(profile)
    assert (folder / "table.json").read_text() == json.dumps(found.plain(), indent=1, allow_nan=False) + "\n"
    assert (folder / "table.md").read_text() == markdown.table(found)
    assert (folder / "details.md").read_text() == details(found)


# masks that were made elsewhere


def write_external(name: str, scores: pd.DataFrame) -> None:
    """Write an external result whose title is its name in capitals."""
    scored = external_record.ScoredFolder(scores.assign(network="external"), "aa", "bb")
    external_record.write_external(Path("metrics/external"), name, name.upper(), scored)


def test_external_results_of_the_same_cases_are_the_last_rows():
    write_run("vnet_16")
    write_run("cps")
    write_external("zeta", cases((60, 80), (NAN, 4)))
    write_external("alpha", cases((50, 60)))
    write_external("other", cases((50, 60, 70)))
    rows = plain()["rows"]
    assert list(rows) == ["vnet_16", "cps", "external/alpha", "external/zeta"]
    row = rows["external/zeta"]
    assert (row["title"], row["runs"], row["cases"], row["failed"]) == ("ZETA", [], 2, 1)
    dice, asd = row["scores"]["dice"], row["scores"]["asd"]
    assert (dice["mean"], dice["low"], dice["high"], asd["mean"]) == (70, 60, 80, 4)
    assert set(row) >= set(rows["cps"])


def test_an_external_row_is_compared_with_the_mean_over_the_runs_of_another():
    low = range(60, 70)
    write_run("vnet_16", seed=0, scores=cases([value - 5 for value in low]))
    write_run("vnet_16", seed=1, scores=cases([value + 5 for value in low]))
    write_external("net", cases([value + 1 + value / 100 for value in low]))
    rows = plain()["rows"]
    found = rows["external/net"]["against_baseline"]["dice"]
    assert (found["difference"], found["cases"]) == (1.645, 10)
    assert found["patients"]["p_value"] == 0.002  # 2 / 2^10
    assert (found["pairs"], found["trainings"]) == (0, None)


def test_the_failures_of_an_external_row_count_as_those_of_our_runs():
    write_run("cps", scores=cases((80, 0), (1, NAN)), evaluation={"failures": "diagonal"})
    write_external("net", cases((0, 90), (NAN, 4)))
    row = plain()["rows"]["external/net"]
    assert (row["scores"]["asd"]["mean"], row["evaluation"]) == (52, ["failures: diagonal"])


def test_an_external_row_is_told_from_ours_in_the_table_and_its_details():
    write_run("vnet_16", scores=cases((70, 80)))
    assert "external" not in markdown.table(built())
    write_external("net", cases((75, 85)))
    text, second = markdown.table(built()), details(built())
    line, ours = (next(row for row in text.splitlines() if title in row) for title in ("**NET**", "**V-Net & 16L**"))
    assert line.startswith("| **NET** | 80.00 ± 7.07 [75.00, 85.00] | +5.00 | ")
    assert line.endswith(" | 0 | 2 | - | external | - | - |")
    assert line.count("|") == ours.count("|")
    assert "\nExternal: the masks come from other software" in text and "One training per row" in text
    assert "| NET | external, all | 80.00 | 40.00 | 1.00 | 2.00 |" in second
    assert "| NET | external | - | - | 7.07 | - | - |" in second


def test_published_figures_stand_under_an_external_row_of_that_name_where_a_table_shows_any():
    write_run("vnet_16")
    write_external("uamt", cases((85, 87)))
    write_external("net", cases((85, 87)))
    rows = plain()["rows"]
    assert (rows["external/uamt"]["published"]["dice"], rows["external/net"]["published"]) == (88.88, {})
    text = markdown.table(built())
    assert "| published, last | 88.88 |  | 80.21 | 2.26 | 7.32 |" in text and "Yu et al. 2019 (UAMT)" in text
    hidden = plain(STATISTICS.model_copy(update={"published": False}))
    assert hidden["rows"]["external/uamt"]["published"] == {}


def test_of_several_masks_of_a_case_the_reported_ones_are_in_the_table_and_the_others_in_its_details():
    write_run("vnet_16")
    other = cases((60, 70), network="external, stride 64 64 48")
    scored = external_record.ScoredFolder(pd.concat([cases((80, 90), network="external"), other]), "aa", "bb")
    external_record.write_external(Path("metrics/external"), "net", "NET", scored)
    assert plain()["rows"]["external/net"]["scores"]["dice"]["mean"] == 85
    assert "| NET | external, stride 64 64 48, all | 65.00 |" in details(built())


def test_what_counts_of_precision_auto_is_the_format_that_was_taken():
    def with_precision(asked: str, taken: str | None) -> Evaluated:
        compute = record.settings.compute.model_copy(update={"precision": asked})
        settings = record.settings.model_copy(update={"compute": compute})
        training = record.training.model_copy(update={"precision": taken})
        return record.model_copy(update={"settings": settings, "training": training})

    record = read_record(write_run().record)
    assert table.shared(with_precision("auto", "bf16")) == table.shared(with_precision("bf16", None))
    assert table.shared(with_precision("auto", "bf16")) != table.shared(with_precision("auto", "fp32"))
