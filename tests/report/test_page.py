"""The page of the report, from masks and runs that can be followed by hand."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from helpers.pages import numbers, page_data, scored, unpacked, write_masks, written_page
from helpers.project import ROOT
from helpers.runs import PROFILE, PUBLISHED, STATISTICS, cases, write_run
from lassl.data.prepared import open_prepared
from lassl.report.report import HEADINGS, gather, report, shown_first
from lassl.report.slices import box_around, outline
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
    for part in ("table", "by-case", "training", "slices", "surfaces", "origin"):
        assert f'<section id="{part}">' in page
    assert unpacked(page, "plotly").count("plotly.js v") == 1 and "plotly.js v" not in page
    assert "Synthetic phantoms, not patients" in page
    assert "the patient's left is on the right and the back at the bottom" in page
    assert "Published figures stand under ours." in page
    assert len(page) < 3e6


def row_cells(page: str, title: str) -> list[str]:
    """The cells of the table's row with a title, as HTML."""
    (row,) = re.findall(
        rf"<tr data-row[^>]*>\s*<th scope=\"row\"><strong>{re.escape(title)}</strong>.*?</tr>", page, re.DOTALL
    )
    return re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row)


def test_a_cell_has_its_interval_on_a_line_of_its_own_and_the_published_figure_under_it(page):
    found = row_cells(page, "CPS &amp; 16L+64UL")
    assert found[0] == "<strong>CPS &amp; 16L+64UL</strong><small>published, choice unknown</small>"
    assert found[1] == "86.50 ± 4.95<br>[83.00, 90.00]<small>86.4</small>"  # 90 and 83
    assert found[2] == "+4.50"  # beside 80 and 84: 10 more and 1 less; of one training each
    assert found[3].endswith("<small>76.6</small>") and found[6:] == ["0", "2", "16 + 64", "1", "240", "1"]
    assert row_cells(page, "V-Net &amp; 16L")[0].endswith("<small>published, choice unknown [1]</small>")
    assert row_cells(page, "V-Net &amp; 16L")[2] == "baseline"
    assert "Tests that count trainings" not in page


def test_a_page_of_pairs_begins_with_the_tests_that_count_trainings(workspace):
    for k, (baseline, other) in enumerate([((70, 70), (71, 73)), ((70, 71), (73, 72)), ((72, 70), (73, 74))], 1):
        write_run("vnet_16", label_split=k, seed=k, scores=cases(baseline))
        write_run("cps", label_split=k, seed=k, scores=cases(other))
    table(PROFILE, STATISTICS, ROOT / "metrics/published.yaml")
    page = report(PROFILE, workspace / "nothing").read_text()
    assert re.findall(r'role="region" aria-label="([^"]*)"', page)[:2] == [
        "Tests that count trainings",
        "Results table",
    ]
    content = json.loads((Path("metrics") / PROFILE / "table.json").read_text())
    test = content["rows"]["cps"]["against_baseline"]["dice"]["trainings"]
    between, p = f"[{test['low']:+.2f}, {test['high']:+.2f}]", f"{test['p_value']:.3f}"
    cells = "".join(f"<td>{cell}</td>" for cell in ("3", "+2.17", between, p, p))  # one test: nothing to correct
    assert f'<th scope="row">CPS &amp; 16L+64UL</th>{cells}' in page
    assert row_cells(page, "CPS &amp; 16L+64UL")[2] == f"+2.17<br>{between}, p = {p}"


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
    assert "<strong>&lt;b&gt; *CPS*</strong>, failures: diagonal<small>published, choice unknown</small>" in page
    warning = "The rows have different settings (see table.json) and cannot be compared."
    assert f'<p class="remark"><strong>{warning}</strong></p>' in page


def test_the_page_asks_for_nothing_from_elsewhere(page):
    assert "default-src 'none'" in page
    assert not re.search(r"<(script|img|link|iframe)[^>]+(src|href)=[\"'](?!data:)", page)
    assert "@import" not in page and "url(" not in page.split("</style>")[0]


def test_a_run_without_curves_or_masks_is_left_out_of_those_parts_with_a_sentence(page):
    assert "No curves on this machine of mt_un-d0-s0." in page
    assert "Not shown: mt_un-d0-s0 (its masks are not here)." in page
    assert "No uncertainty of vnet_16-d0-s0, cps-d0-s0: an earlier version made these predictions" in page
    found = page_data(page)
    assert {t["name"] for t in found["curves"]["loss"]["data"]} == {"vnet_16-d0-s0", "cps-d0-s0"}
    assert [row["title"] for row in found["cases"][0]["rows"]] == ["V-Net & 16L", "CPS & 16L+64UL"]
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


def test_outlines_surfaces_and_dice_of_a_case_are_those_of_its_masks(page, prepared):
    first = page_data(page)["cases"][0]
    assert (first["rank"], first["case"]) == ("best", prepared.split.test[0])
    assert len(first["pictures"]) == len(first["numbers"]) == len(first["reference"])
    reference = prepared.read_label(first["case"]) > 0
    for shift, row in enumerate(first["rows"], 1):
        assert row["dice"] == 70 + 10 * shift
        moved = np.roll(reference, shift, axis=0)
        box = box_around([reference, *(np.roll(reference, s, axis=0) for s in (1, 2))])
        assert row["outlines"] == [outline(moved[(*box[:2], z)]) for z in first["numbers"]]
        assert max(map(abs, numbers(row["surface"]["intensity"]))) == pytest.approx(0.625 * shift, abs=0.4)
        assert row["uncertainty"] is None
    assert first["limit"] == 2


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
    assert "Points are training cases held back to choose settings" in page and "Published figures" not in page
    assert {case["case"] for case in page_data(page)["cases"]} == {"C4", "C5"}
