"""The page of runs with several structures: outlines, surfaces, scores and uncertainty of each."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from helpers.pages import page_data, page_view, unrolled
from helpers.project import ROOT
from helpers.runs import STATISTICS
from helpers.structured import LACKING, STRUCTURES, UNSEEN, save_run, structured_data, structured_settings
from lassl.data.prepared import Prepared, open_prepared
from lassl.evaluation.evaluate import evaluate
from lassl.evaluation.publish import publish
from lassl.images.structures import classes_in
from lassl.images.volumes import read_volume
from lassl.report.browser import PATIENCE, chromium, missing, show
from lassl.report.cases import entropy
from lassl.report.colors import DARK
from lassl.report.report import report
from lassl.report.surface import VERTICES
from lassl.results.runs import read_scores
from lassl.results.table import table


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Prepared]:
    """The folder of a page of two runs through all stages after the training, and the prepared cohort."""
    folder = tmp_path_factory.mktemp("page")
    data = structured_data(folder / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        config = structured_settings(data)
        for method, blur in (("vnet_16", 0.0), ("cps", 0.2)):
            run = save_run(config, method, blur)
            evaluate(config, run)
            publish(run)
        table(run.profile, STATISTICS, ROOT / "metrics/published.yaml")
        report(run.profile, data.prepared)
    return folder, open_prepared(data.prepared)


@pytest.fixture
def page(made, monkeypatch) -> str:
    monkeypatch.chdir(made[0])
    return Path("report/quick/index.html").read_text()


def test_each_structure_has_its_color_and_each_row_its_line(page):
    data = page_data(page)
    assert [each["name"] for each in data["structures"]] == list(STRUCTURES)
    colors = [each["color"] for each in data["structures"]]
    assert len(set(colors)) == 3 and all(re.fullmatch(r"var\(--row[0-6]\)", color) for color in colors)
    assert len(set(DARK.rows)) == len(DARK.rows)
    dashes = [look["dash"] for look in data["outlines"].values()]
    assert "solid" not in dashes and len(set(dashes)) == 2  # the reference alone is solid
    for name, color in zip(STRUCTURES, colors, strict=True):
        assert f'<span class="key" style="border-color: {color}">{name}</span>' in page


def test_the_masks_of_a_case_are_those_of_its_structures(page, made):
    prepared = made[1]
    for case in prepared.split.test:
        found = page_view(page, case)
        size, start = found["image"]["size"], found["start"]
        box = tuple(slice(a, a + n) for a, n in zip(start, size, strict=True))
        written = {
            row: classes_in(read_volume(Path(f"predictions/quick/{row}-d0-s0/{case}.nrrd")).array, STRUCTURES)
            for row in ("vnet_16", "cps")
        }
        for n in range(3):
            reference = unrolled(found["reference"][n], size)
            np.testing.assert_array_equal(reference, prepared.read_label(case)[box] == n + 1)
            for row, mask in written.items():
                np.testing.assert_array_equal(unrolled(found["masks"][row][n], size), mask[box] == n + 1)
        scores = read_scores(Path("metrics/quick/cps-d0-s0.csv")).query("case == @case and parts == 'all'")
        assert found["dice"]["cps"] == pytest.approx(scores["dice_percent"].mean())


def test_a_structure_has_a_surface_where_mask_and_reference_have_it(page):
    unseen, lacking = page_view(page, UNSEEN), page_view(page, LACKING)
    assert list(unseen["ghost"]) == list(STRUCTURES) and list(lacking["ghost"]) == ["horns", "core"]
    assert list(unseen["surfaces"]["vnet_16"]) == ["horns", "stem"]
    assert list(lacking["surfaces"]["vnet_16"]) == ["horns", "core"]
    for traces in unseen["surfaces"].values():
        assert all(len(json.dumps(trace)) < 60 * VERTICES for trace in traces.values())


def test_the_scores_of_each_structure_are_drawn_by_case_and_none_where_the_reference_lacks_it(page):
    parts = page_data(page)["parts"]
    assert list(parts) == list(STRUCTURES)
    scores = read_scores(Path("metrics/quick/vnet_16-d0-s0.csv")).query("parts == 'all'")
    for name, strips in parts.items():
        assert len(strips) == 4
        (points,) = (t for t in strips[0]["data"] if t.get("meta") == "vnet_16" and t.get("customdata"))
        own = scores[scores["structure"] == name].set_index("case")["dice_percent"]
        for case, value in zip(points["customdata"], points["y"], strict=True):
            assert value == (None if np.isnan(own[case]) else pytest.approx(own[case], abs=1e-3))
    assert None in next(t for t in parts["stem"][0]["data"] if t.get("customdata"))["y"]


def test_there_is_a_choice_of_structure_and_a_table_of_each(page):
    for choice in ("case-structure", "surface-structure"):
        (options,) = re.findall(rf'<select id="{choice}">(.*?)</select>', page, re.DOTALL)
        assert all(f"<option>{name}</option>" in options for name in STRUCTURES)
    (body,) = re.findall(r'<table id="by-structure">(.*?)</table>', page, re.DOTALL)
    assert body.count("<tr>") == 1 + 2 * 3
    assert "The score of a case is the mean over its structures (horns, core, stem)" in page
    assert "undecided, ln 4" in page and "another structure" in page


def test_the_uncertainty_is_that_of_all_classes(page):
    assert set(page_view(page, "C6")["uncertainty"]) == {"vnet_16", "cps"}
    p = np.array([[0.25, 1.0, 0.0, 0.5], [0.25, 0.0, 0.0, 0.51], [0.25, 0.0, 0.0, 0.0]])
    expected = [np.log(4), 0, 0, -0.5 * np.log(0.5) - 0.51 * np.log(0.51)]
    np.testing.assert_allclose(entropy(p), expected)


def test_a_page_of_one_structure_has_none_of_this(page, tmp_path, monkeypatch):
    data = structured_data(tmp_path / "one", {"stem": (5, 300)})
    monkeypatch.chdir(tmp_path)
    config = structured_settings(data)
    run = save_run(config)
    evaluate(config, run)
    publish(run)
    table(run.profile, STATISTICS, ROOT / "metrics/published.yaml")
    one = report(run.profile, data.prepared).read_text()
    assert not {"structures", "outlines", "parts"} & set(page_data(one))
    for part in ('id="structures"', 'id="case-structure"', 'id="surface-structure"', "another structure", "ln 4"):
        assert part in page and part not in one
    assert "ln 2" in one


@pytest.mark.slow
@pytest.mark.skipif(bool(missing()), reason="no chromium; apt-get install chromium chromium-driver")
def test_in_a_browser_structures_are_chosen_for_outlines_scores_and_surfaces(page):
    with chromium(1280, 900) as driver:
        show(driver, Path("report/quick/index.html"))

        def text(selector: str) -> str:
            return driver.find_element(By.CSS_SELECTOR, selector).text

        def choose(selector: str, name: str) -> None:
            Select(driver.find_element(By.CSS_SELECTOR, selector)).select_by_visible_text(name)

        def picture() -> str:
            return driver.execute_script("return document.querySelector('.plane canvas').toDataURL()")

        before = picture()
        driver.find_element(By.CSS_SELECTOR, "#structures input[value='3']").click()
        WebDriverWait(driver, PATIENCE).until(lambda _: picture() != before)
        mean = text("#cases tr[data-case=C7]")
        choose("#case-structure", "stem")
        assert text("#cases tr[data-case=C7]") == "C7 - - - -" != mean
        choose("#surface-case", f"best: {LACKING}")
        for name, told in (("core", "the colors end at"), ("stem", "the reference lacks it.")):
            choose("#surface-structure", name)
            start = f"C7, V-Net & 16L, {name}: {told}"
            WebDriverWait(driver, PATIENCE).until(lambda _, start=start: text("#surface-note").startswith(start))
        choose("#mode", "uncertainty")
        choose("#mode", "differences")
        assert text("#difference-key") == "too much missed another structure"
        assert not [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"]
