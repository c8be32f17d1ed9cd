"""The table, from runs whose means can be checked by hand, and the committed tables from the committed runs."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from lassl import table
from lassl.config import load
from lassl.errors import LasslError
from lassl.evaluation import write_results
from lassl.metrics import summarize

ROOT = Path(__file__).parents[1]
CONFIG = load(ROOT / "params.yaml")
PUBLISHED = yaml.safe_load((ROOT / "metrics/published.yaml").read_text())
RECORDS = sorted((ROOT / "metrics").glob("*/records/*.yaml"))
PROFILES = sorted({path.parts[-3] for path in RECORDS})


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    """An empty folder to write runs to."""
    monkeypatch.chdir(tmp_path)


def scores(dice=(80.0, 90.0), asd=(1.0, 4.0)) -> pd.DataFrame:
    """Cases A, B, ...; a NaN distance is a failed case."""
    columns = {"case": [chr(65 + i) for i in range(len(dice))], "dice_percent": dice, "jaccard_percent": dice}
    failed = [math.isnan(value) for value in asd]
    return pd.DataFrame({**columns, "asd_voxel": asd, "hd95_voxel": np.multiply(asd, 2), "failed": failed})


def write_run(method="cps", seed=0, cases=None, cohort=("synthetic", "aa"), evaluation=None, seconds=60.0, **train):
    """Write a run as its evaluation does; further arguments replace values of train."""
    run = CONFIG.run(method, 0, seed)
    settings = CONFIG.settings(method)
    settings["train"] |= train
    record = {
        "profile": run.profile, "method": method, "draw": 0, "seed": seed, "settings": settings,
        "cohort": {"name": cohort[0], "hash": cohort[1]}, "training": {"seconds": seconds, "device": "cpu: Test"},
        "evaluation": CONFIG.evaluate.model_dump(mode="json") | (evaluation or {}),
    }  # fmt: skip
    write_results(run, scores() if cases is None else cases, record)
    return run


def built():
    return table.build("quick", PUBLISHED)


def line(title: str) -> str:
    """The one line of the rendered table that starts with a title."""
    (found,) = [text for text in table.markdown(built()).splitlines() if text.startswith(f"| **{title}**")]
    return found


def test_a_row_has_mean_and_sample_standard_deviation_over_cases():
    write_run(cases=scores((80, 90, 85), (1, 4, 1)))
    row = built()["rows"]["cps"]
    assert row["scores"]["dice"] == {"mean": 85.0, "std": 5.0}
    assert row["scores"]["asd"] == {"mean": 2.0, "std": 1.7321}  # sqrt((1 + 4 + 1) / 2)
    assert row["scores"]["hd95"] == {"mean": 4.0, "std": 3.4641}
    assert (row["runs"], row["cases"], row["failed"], row["training_minutes"]) == (1, 3, 0, 1.0)


def test_a_row_is_rendered_above_the_published_one():
    write_run(cases=scores((80, 90, 85), (1, 4, 1)), steps=300)
    assert line("CPS & 16L+64UL") == (
        "| **CPS & 16L+64UL** | 85.00 ± 5.00 | 85.00 ± 5.00 | 2.00 ± 1.73 | 4.00 ± 3.46 | 0 | 3 | 16 + 64 | 300 | 1 |"
    )
    lines = table.markdown(built()).splitlines()
    assert lines[3].startswith("| published | 86.4 | 76.6 | 3.42 | 12.1 |")
    assert len({text.count("|") for text in lines[:4]}) == 1


def test_failed_cases_count_for_the_overlap_and_not_for_the_distances():
    write_run(cases=scores((0, 90, 60), (math.nan, 4, 2)))
    row = built()["rows"]["cps"]
    assert row["failed"] == 1
    assert row["scores"]["dice"]["mean"] == 50.0
    assert row["scores"]["asd"] == {"mean": 3.0, "std": 1.4142}


def test_undefined_figures_are_dashes():
    write_run("cps", cases=scores((0, 0), (math.nan, math.nan)))
    write_run("mt_un", cases=scores((0, 90), (math.nan, 4)))
    assert "| 0.00 ± 0.00 | 0.00 ± 0.00 | - ± - | - ± - | 2 | 2 |" in line("CPS & 16L+64UL")
    assert "| 4.00 ± - | 8.00 ± - | 1 | 2 |" in line("MT+UN & 16L+64UL")
    table.write_table("quick", ROOT / "metrics/published.yaml")
    assert "NaN" not in Path("metrics/quick/table.json").read_text()


def test_rows_come_in_the_published_order_and_the_missing_ones_are_named():
    for method in ("cps_alw", "cps", "vnet_80"):
        write_run(method)
    assert list(built()["rows"]) == ["vnet_80", "cps", "cps_alw"]
    assert "Not run in this profile: vnet_16, cps_32, mt_un, mt_un_lovasz.\n" in table.markdown(built())


def test_a_method_without_published_figures_comes_last_under_its_own_name():
    write_run("cps_alw")
    run = write_run("cps")
    published = {**PUBLISHED, "rows": {k: v for k, v in PUBLISHED["rows"].items() if k != "cps"}}
    found = table.build(run.profile, published)
    assert list(found["rows"]) == ["cps_alw", "cps"]
    assert [text[:13] for text in table.markdown(found).splitlines()[2:5]] == [
        "| **CPS+ALW &", "| published |", "| **cps** | 8"]  # fmt: skip


def test_a_full_table_names_no_missing_row_and_finds_nothing_to_warn_of():
    for method in PUBLISHED["rows"]:
        write_run(method)
    text = table.markdown(built())
    assert built()["missing"] == []
    assert "Not run" not in text and "compared" not in text


def test_the_footnote_stands_under_a_table_with_its_row_only():
    write_run("vnet_80")
    assert "[1]" not in table.markdown(built())
    write_run("vnet_16")
    text = table.markdown(built())
    assert text.count("| published [1] | 78.3 | 69 | 22.5 | 9.88 |") == 1
    assert text.count("\n[1] As published. ") == 1


def test_other_training_settings_make_rows_incomparable():
    write_run("cps")
    write_run("mt_un", lr=0.003)
    text = table.markdown(built())
    assert "different settings" in text and "different data" not in text
    assert [s["train"]["lr"] for s in built()["rows"]["mt_un"]["shared"]] == [0.003]


def test_runs_of_one_row_with_other_settings_are_told_too():
    write_run("cps", steps=300)
    write_run("cps", seed=1, steps=600)
    assert "different settings" in table.markdown(built())
    assert "| 300, 600 |" in line("CPS & 16L+64UL")


def test_runs_of_one_row_with_other_options_are_not_one_method():
    write_run("cps")
    changed = CONFIG.methods["cps"].model_dump(mode="json") | {"weight_decay": 0.1}
    run = write_run("cps", seed=1)
    record = yaml.safe_load(run.record.read_text())
    assert "not one method" not in table.markdown(built())
    record["settings"]["method"] = changed
    run.record.write_text(yaml.safe_dump(record))
    assert "CPS & 16L+64UL: its runs differ in their options" in table.markdown(built())


def test_other_window_strides_make_rows_incomparable():
    write_run("cps")
    write_run("mt_un", evaluation={"stride": [4, 4, 4]})
    assert "different window strides" in table.markdown(built())


def test_other_data_make_rows_incomparable():
    write_run("cps")
    write_run("mt_un", cohort=("synthetic", "bb"))
    text = table.markdown(built())
    assert "trained on different data" in text and "different settings" not in text


def test_several_runs_count_as_cases_of_one_row():
    write_run(seed=0, cases=scores((80, 90), (1, 4)), seconds=60)
    write_run(seed=1, cases=scores((70, 100), (math.nan, 7)), seconds=120)
    row = built()["rows"]["cps"]
    assert (row["runs"], row["cases"], row["failed"], row["training_minutes"]) == (2, 2, 1, 1.5)
    assert row["scores"]["dice"] == {"mean": 85.0, "std": 12.9099}  # sqrt((25 + 25 + 225 + 225) / 3)
    assert row["scores"]["asd"] == {"mean": 4.0, "std": 3.0}
    assert line("CPS & 16L+64UL").startswith("| **CPS & 16L+64UL** (2 runs) | 85.00 ± 12.91 |")


def test_case_scores_edited_after_the_evaluation_are_refused():
    run = write_run()
    run.cases.write_text(run.cases.read_text().replace("80.0", "99.0"))
    with pytest.raises(LasslError, match=rf"{run.cases}: not the scores that {run.record}"):
        built()


def test_a_record_without_its_case_scores_is_refused():
    run = write_run()
    run.cases.unlink()
    with pytest.raises(LasslError, match=rf"{run.cases}: not found, though {run.record} exists"):
        built()


def test_a_profile_without_runs_says_how_to_make_some():
    with pytest.raises(LasslError, match=r"metrics/quick/records: found no run; .*profile=quick"):
        built()


def test_phantoms_are_told_from_real_scans():
    write_run(cohort=("synthetic", "aa"))
    assert "(synthetic phantoms, not patients), volumes pooled by 2" in table.markdown(built())
    write_run(cohort=("la2018", "aa"))
    assert "(real scans), volumes pooled by 2" in table.markdown(built())


def test_a_departure_from_the_default_evaluation_is_named_in_its_row():
    write_run("cps")
    write_run("cps_32", evaluation={"network": "ensemble"})
    write_run("mt_un", evaluation={"network": "teacher", "largest_component": True})
    assert line("CPS & 16L+64UL").startswith("| **CPS & 16L+64UL** | ")
    assert line("CPS & 32L+48UL").startswith("| **CPS & 32L+48UL**, ensemble network | ")
    assert line("MT+UN & 16L+64UL").startswith("| **MT+UN & 16L+64UL**, teacher network, largest component only | ")


def test_the_written_table_is_the_built_one():
    write_run()
    text = table.write_table("quick", ROOT / "metrics/published.yaml")
    assert Path("metrics/quick/table.md").read_text() == text == table.markdown(built())
    assert json.loads(Path("metrics/quick/table.json").read_text()) == built()


def test_the_headline_of_a_run_is_the_mean_over_its_cases():
    run = write_run(cases=scores((80, 90), (math.nan, 4)))
    headline = json.loads(run.metrics.read_text())
    assert headline == {"dice": 85.0, "jaccard": 85.0, "asd": 4.0, "hd95": 8.0, "failed": 1}


@pytest.mark.parametrize("profile", PROFILES)
def test_a_committed_table_is_what_its_committed_runs_give(profile, monkeypatch):
    monkeypatch.chdir(ROOT)
    found = table.build(profile, PUBLISHED)
    assert json.loads(Path(f"metrics/{profile}/table.json").read_text()) == found
    assert Path(f"metrics/{profile}/table.md").read_text() == table.markdown(found)


@pytest.mark.parametrize("record", RECORDS, ids=lambda path: f"{path.parts[-3]}/{path.stem}")
def test_the_committed_headline_of_a_run_is_the_mean_of_its_committed_cases(record):
    path = record.parents[1] / f"{record.stem}.json"
    expected = summarize(pd.read_csv(path.with_suffix(".csv")))
    assert json.loads(path.read_text()) == pytest.approx(expected, abs=1e-4, rel=0)
