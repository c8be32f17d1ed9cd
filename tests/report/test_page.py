"""The page of the report, from masks and runs that can be followed by hand."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from helpers.pages import numbers, page_data, page_view, scored, unpacked, unrolled, write_masks, written_page
from helpers.project import ROOT
from helpers.runs import PROFILE, PUBLISHED, STATISTICS, cases, write_run
from lassl.data.prepared import open_prepared
from lassl.report.forest import HEADINGS
from lassl.report.report import gather, report, shown_first
from lassl.report.volume import box_around
from lassl.results.document import Row, Table
from lassl.results.table import table


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Path:
    """An empty folder to write runs to."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# the table


@pytest.fixture(scope="module")
def page(tmp_path_factory, tiny_data) -> str:
    """The page of two runs with masks and curves and one without, made in a folder of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        return written_page(open_prepared(tiny_data.prepared)).read_text()


def test_the_page_has_all_parts_and_holds_plotly_once(page):
    for part in ("results", "viewer", "by-case", "training", "surfaces", "origin"):
        assert f'<section id="{part}">' in page
    assert unpacked(page, "plotly").count("plotly.js v") == 1 and "plotly.js v" not in page
    assert "Synthetic phantoms, not patients" in page
    assert "the patient's left is on the right and the back at the bottom" in page
    assert "the head is at the top" in " ".join(page.split())
    assert page.index("<svg xmlns") < page.index('id="table"') < page.index('id="viewer"') < page.index('id="training"')
    assert len(page) < 3e6


def row_cells(page: str, title: str) -> list[str]:
    """The cells of the table's row with a title, as HTML."""
    (row,) = re.findall(
        rf"<tr data-row[^>]*>\s*<th scope=\"row\"><strong>{re.escape(title)}</strong>.*?</tr>", page, re.DOTALL
    )
    return re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row)


def test_the_first_columns_are_scores_and_the_difference_and_all_others_wait_for_a_button(page):
    heads = re.findall(r'<th scope="col"[^>]*?(hidden)?><button type="button">(.*?)</button>', page)
    first = [head for more, head in heads if not more]
    scores = ["Dice [%]", "Jaccard [%]", "ASD [voxel]", "95HD [voxel]"]
    assert first == ["Method", *scores, "Dice against V-Net &amp; 16L", "Case", *scores]
    more = [head for hidden, head in heads if hidden]
    assert [head for head in more if head.startswith("published")] == [
        *(f"published {score}" for score in scores), "published weights"
    ]  # fmt: skip
    found = row_cells(page, "CPS &amp; 16L+64UL")
    assert found[0] == "<strong>CPS &amp; 16L+64UL</strong>"
    assert found[1] == "86.50 ± 4.95<br>[83.00, 90.00]"  # 90 and 83
    assert found[5] == "+4.50"  # beside 80 and 84: 10 more and 1 less; of one training each
    assert found[6:12] == ["0", "2", "16 + 64", "1", "240", "1"]
    assert found[12:17] == ["86.4", "76.6", "3.42", "12.1", "choice unknown"]
    assert row_cells(page, "V-Net &amp; 16L")[16] == "choice unknown [1]"
    assert row_cells(page, "V-Net &amp; 16L")[5] == "baseline"
    assert len(found) == len(first) - 5 + len(more)
    assert "Tests that count trainings" not in page


def test_a_page_of_pairs_folds_the_tests_that_count_trainings_under_its_table(workspace):
    for k, (baseline, other) in enumerate([((70, 70), (71, 73)), ((70, 71), (73, 72)), ((72, 70), (73, 74))], 1):
        write_run("vnet_16", label_split=k, seed=k, scores=cases(baseline))
        write_run("cps", label_split=k, seed=k, scores=cases(other))
    table(PROFILE, STATISTICS, ROOT / "metrics/published.yaml")
    page = report(PROFILE, workspace / "nothing").read_text()
    assert re.findall(r'role="region" aria-label="([^"]*)"', page)[:2] == [
        "Results table",
        "Tests that count trainings",
    ]
    content = json.loads((Path("metrics") / PROFILE / "table.json").read_text())
    test = content["rows"]["cps"]["against_baseline"]["dice"]["trainings"]
    between, p = f"[{test['low']:+.2f}, {test['high']:+.2f}]", f"{test['p_value']:.3f}"
    cells = "".join(f"<td>{cell}</td>" for cell in ("3", "+2.17", between, p, p))  # one test: nothing to correct
    assert f'<th scope="row">CPS &amp; 16L+64UL</th>{cells}' in page
    assert row_cells(page, "CPS &amp; 16L+64UL")[5] == f"+2.17<br>{between}, p = {p}"


def test_the_page_has_every_remark_of_the_table(page):
    assert '<p class="remark">[1] As published. ' in page
    assert '<p class="remark">Not run in this profile: vnet_80, cps_32, mt_un_lovasz, cps_alw.</p>' in page
    assert "the column &#34;failed&#34; counts them." in page


def test_a_departure_and_a_warning_stand_on_the_page_and_markup_in_a_title_is_text(workspace):
    row = {**PUBLISHED["rows"]["cps"], "title": "<b> *CPS*"}
    Path("published.yaml").write_text(json.dumps({"rows": {"cps": row}, "field": {}, "notes": {}}))
    write_run("cps", evaluation={"failures": "diagonal"})
    write_run("mt_un", lr=0.003)
    table(PROFILE, STATISTICS, Path("published.yaml"))
    (Path("metrics") / PROFILE / "table.md").unlink()  # the page is made from table.json
    page = report(PROFILE, workspace / "nothing").read_text()
    assert "<strong>&lt;b&gt; *CPS*</strong>, failures: diagonal</th>" in page
    warning = "The rows have different settings (see table.json) and cannot be compared."
    assert f'<p class="notice"><strong>{warning}</strong></p>' in page


def test_the_page_asks_for_nothing_from_elsewhere(page):
    assert "default-src 'none'" in page
    assert not re.search(r"<(script|img|link|iframe)[^>]+(src|href)=[\"'](?!data:)", page)
    assert "@import" not in page and "url(" not in page.split("</style>")[0]


def test_a_run_without_curves_or_masks_is_left_out_of_those_parts_with_a_sentence(page):
    assert "No curves on this machine of mt_un-d0-s0." in page
    assert "Not shown: mt_un-d0-s0 (its masks are not here)." in page
    assert "vnet_16-d0-s0, cps-d0-s0: an earlier version made these predictions" in page
    found = page_data(page)
    assert {t["name"] for t in found["curves"]["loss"]["data"]} == {"vnet_16-d0-s0", "cps-d0-s0"}
    assert list(page_view(page, found["cases"][0]["case"])["masks"]) == ["vnet_16", "cps"]
    assert len(found["strips"]) == 4 and found["strips"][0]["layout"]["xaxis"]["ticktext"][2] == "MT+UN & 16L+64UL"


def test_the_page_shows_each_runs_settings_machine_and_time(page, prepared):
    assert prepared.manifest_hash in page
    assert "cpu: Test" in page and "<td>1.0</td>" in page
    (settings,) = re.findall(r"<summary>cps-d0-s0</summary><pre[^>]*>(.*?)</pre>", page, re.DOTALL)
    assert yaml.safe_load(settings.replace("&#39;", "'"))["settings"]["method"]["algorithm"] == "cps"


def test_curves_are_read_back_as_they_were_logged(page):
    loss = page_data(page)["curves"]["loss"]["data"][0]
    steps, values = numbers(loss["x"]), numbers(loss["y"])
    assert (len(steps), steps[0], steps[-1]) == (300, 0, 499)
    np.testing.assert_allclose(values, [3 / (s + 1) for s in steps], rtol=1e-5)


def test_masks_surfaces_and_dice_of_every_case_are_those_of_its_predictions(page, prepared):
    listed = page_data(page)["cases"]
    assert [each["case"] for each in listed] == sorted(prepared.split.test)
    assert {each["rank"] for each in listed} == {"best", "worst"}
    case = prepared.split.test[0]
    found, reference = page_view(page, case), prepared.read_label(case) > 0
    box = box_around([reference, *(np.roll(reference, shift, axis=0) for shift in (1, 2))])
    size = found["image"]["size"]
    np.testing.assert_array_equal(unrolled(found["reference"], size), reference[box])
    for shift, row in enumerate(("vnet_16", "cps"), 1):
        assert found["dice"][row] == 70 + 10 * shift
        np.testing.assert_array_equal(unrolled(found["masks"][row], size), np.roll(reference, shift, axis=0)[box])
        assert max(map(abs, numbers(found["surfaces"][row]["intensity"]))) == pytest.approx(0.625 * shift, abs=0.4)
    assert (found["uncertainty"], found["limit"], found["start"]) == ({}, 2, [side.start for side in box])


def test_metrics_alone_give_a_page_that_says_what_is_missing(workspace, prepared):
    write_run("cps", scores=scored(prepared, 80, 90), cohort=("la2018", "aa"))
    table(PROFILE, STATISTICS.model_copy(update={"scans": "real"}), ROOT / "metrics/published.yaml")
    page = report(PROFILE, workspace / "nothing").read_text()
    assert "No curves on this machine of cps-d0-s0." in page
    assert "Not shown: cps-d0-s0 (the prepared scans are not here)." in page
    assert "No masks to show." in page and "phantoms" not in page
    assert page_data(page)["cases"] == []


def test_masks_of_other_data_than_the_prepared_scans_are_not_shown(workspace, prepared):
    run = write_run("cps", scores=scored(prepared, 80, 90), cohort=("synthetic", "other"))
    write_masks(run, prepared, 1)
    table(PROFILE, STATISTICS, ROOT / "metrics/published.yaml")
    found = gather(PROFILE, prepared.folder)
    assert found["without_masks"] == ["cps-d0-s0 (run on other data than the prepared scans)"]
    assert found["data"]["cases"] == []


def test_of_the_field_the_five_best_and_the_matched_baseline_are_shown_first():
    field = ["f1", "f2", "vnet_16_matched", "f3", "f4", "f5", "f6", "f7"]
    groups = {"cps": "table", **dict.fromkeys(field, "field"), "mine": "own", "external/net": "external"}
    rows = {name: Row.model_construct(group=group) for name, group in groups.items()}
    first = shown_first(Table.model_construct(rows=rows, statistics=STATISTICS))
    assert first == [name for name in rows if name not in ("f6", "f7")]
    assert "vnet_16_matched" in first


def test_rows_stand_in_their_groups_with_those_shown_first_chosen(workspace):
    for method in ("cps", "mine", *list(PUBLISHED["field"])[:7]):
        write_run(method)
    table(PROFILE, STATISTICS, ROOT / "metrics/published.yaml")
    page = report(PROFILE, workspace / "nothing").read_text()
    headings = re.findall(r'<tr class="group" data-group="(\w+)"><th[^>]*>(.*?)</th>', page)
    assert headings == list({name: HEADINGS[name] for name in ("table", "field", "own")}.items())
    boxes = re.findall(r'<input type="checkbox" data-row="(\w+)"( data-first checked)?', page)
    assert [row for row, _ in boxes] == re.findall(r'<tr data-row="(\w+)"', page)
    assert len([row for row, checked in boxes if checked]) == 8 and len(boxes) == 9


def test_the_page_of_training_cases_says_so_and_shows_those_cases(workspace, tiny_data):
    cohort = open_prepared(tiny_data.prepared, tuning=2)
    hash_of = ("synthetic", cohort.manifest_hash)
    run = write_run("cps", scores=scored(cohort, 80, 90), cohort=hash_of, variant="-tuning", tuning=2)
    write_masks(run, cohort, 1)
    profile = f"{PROFILE}-tuning"
    table(profile, STATISTICS, ROOT / "metrics/published.yaml")
    page = report(profile, tiny_data.prepared, tuning=2).read_text()
    assert "<strong>Scores of 2 training cases held back to choose settings, not of test cases.</strong>" in page
    assert "Points are training cases held back to choose settings" in page and "published Dice" not in page
    assert {case["case"] for case in page_data(page)["cases"]} == {"C4", "C5"}
