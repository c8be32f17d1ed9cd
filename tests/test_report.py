"""The report: meshes, slices, figures and the page, from masks and runs that can be followed by hand."""

import base64
import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
import torch
import yaml
from runs import NAN, PROFILE, PUBLISHED, ROOT, STATISTICS, cases, write_run

from lassl.data.prepared import Prepared, open_prepared
from lassl.images.geometry import Volume
from lassl.images.volumes import write_volume
from lassl.model.record import Trained, read_record, record_text
from lassl.model.trained import TrainedModel, load_model, save_model
from lassl.model.vnet import VNet
from lassl.paths import Run
from lassl.plumbing.errors import LasslError
from lassl.report import figures, origin
from lassl.report.cases import Shown, cropped, extremes, means_of_cases, showable, task_of, views
from lassl.report.report import gather, report
from lassl.report.slices import box_around, chosen_slices, outline, picture
from lassl.report.surface import Mesh, block_means, distances_mm, small, surface
from lassl.results.runs import by_method, read_results
from lassl.results.table import table
from lassl.training.train import write_curves


def ball(size: tuple[int, int, int], center: tuple[float, float, float], radius: float) -> np.ndarray:
    grid = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), -1)
    return np.square(grid - np.array(center)).sum(-1) < radius**2


def volume(mesh: Mesh) -> float:
    """Enclosed volume, positive if the triangles are counterclockwise from outside."""
    a, b, c = (mesh.vertices[mesh.triangles[:, n]] for n in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


# surfaces


def test_the_surface_of_a_single_voxel_is_a_closed_box_around_it():
    mask = np.zeros((4, 3, 5))
    mask[2, 1, 3] = 1
    found = surface(mask)
    assert (len(found.vertices), len(found.triangles)) == (8, 12)
    expected = {(2 + i, 1 + j, 3 + k) for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)}
    shifted = {tuple(np.round((v - (2, 1, 3)) * 6 + (2, 1, 3), 6)) for v in found.vertices}
    assert shifted == expected  # the mean of three crossings, each half a voxel along one axis: a sixth along each


def test_the_surface_of_a_ball_is_closed_and_encloses_its_volume():
    mask = ball((20, 18, 17), (9.3, 9, 8.2), 6)
    found = surface(mask)
    sides = np.concatenate([found.triangles[:, pair] for pair in ([0, 1], [1, 2], [2, 0])])
    edges, times = np.unique(np.sort(sides, 1), axis=0, return_counts=True)
    assert set(times) == {2}
    assert len(found.vertices) - len(edges) + len(found.triangles) == 2
    assert volume(found) == pytest.approx(mask.sum(), rel=0.05)


def test_a_surface_at_the_border_of_the_volume_is_closed_too():
    assert volume(surface(np.ones((12, 10, 11)))) == pytest.approx(1320, rel=0.03)


def test_a_field_is_crossed_where_it_has_the_level():
    field = np.zeros((6, 5, 5))
    field[2:4, :, :] = 0.8
    along_x = surface(field, level=0.2).vertices
    inner = along_x[(abs(along_x[:, 1] - 2) < 1) & (abs(along_x[:, 2] - 2) < 1), 0]
    assert set(np.round(inner, 6)) == {1.25, 3.75}


def test_a_mesh_is_made_coarser_until_it_has_few_vertices_and_stays_in_place():
    mask = ball((40, 37, 35), (20, 17, 18.5), 13)
    found = small(mask, vertices=700)
    assert len(surface(mask).vertices) > 700 >= len(found.vertices) > 100
    np.testing.assert_allclose(found.vertices.mean(0), (20, 17, 18.5), atol=0.3)
    assert volume(found) == pytest.approx(mask.sum(), rel=0.1)  # corners are cut


def test_blocks_at_the_end_count_what_is_missing_as_outside():
    mask = np.zeros((3, 2, 2))
    mask[2] = 1
    mask[0, 0, 0] = 1
    np.testing.assert_allclose(block_means(mask, 2), [[[0.125]], [[0.5]]] / np.float64(0.5))
    mask[1] = 1
    np.testing.assert_allclose(block_means(mask, 2), [[[0.625]], [[0.5]]])


def test_equal_masks_have_distance_zero_everywhere():
    mask = ball((14, 15, 16), (7, 7, 8), 4)
    assert np.abs(distances_mm(surface(mask), mask, (0.5, 1.0, 2.0))).max() == 0


def test_the_distance_is_in_millimetres_and_negative_inside_the_reference():
    reference = np.zeros((16, 14, 12), bool)
    reference[4:12, 3:11, 3:9] = True
    narrower, wider = reference.copy(), reference.copy()
    narrower[9:] = False
    wider[12:14, 3:11, 3:9] = True
    spacing = (0.5, 1.0, 2.0)
    for mask, expected in ((narrower, -1.5), (wider, 1.0)):  # three and two voxels of half a millimetre
        mesh = surface(mask)
        flat = (abs(mesh.vertices[:, 1] - 6.5) < 2) & (abs(mesh.vertices[:, 2] - 5.5) < 2) & (mesh.vertices[:, 0] > 8)
        assert flat.any()
        np.testing.assert_allclose(distances_mm(mesh, reference, spacing)[flat], expected, atol=0.01)


# slices


def test_a_box_holds_all_masks_with_a_margin_and_stays_in_the_volume():
    first, second = np.zeros((2, 60, 50, 9), bool)
    first[20, 30, 3] = True
    second[25, 45, 8] = True
    assert box_around([first, second]) == (slice(8, 38), slice(18, 50), slice(2, 9))


def test_all_slices_are_shown_or_every_so_many():
    assert chosen_slices(slice(2, 9), 7) == [2, 3, 4, 5, 6, 7, 8]
    assert chosen_slices(slice(2, 9), 6) == [2, 4, 6, 8]


def test_a_picture_has_x_to_the_right_and_y_downwards(tmp_path):
    plane = np.zeros((24, 16))
    plane[16:, :8] = 2.0
    uri = picture(plane, 0, 1)
    kind, content = uri.split(",")
    assert kind == "data:image/jpeg;base64"
    (tmp_path / "a.jpg").write_bytes(base64.b64decode(content))
    found = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "a.jpg")))
    assert found.shape == (16, 24)
    assert found[:8, 16:].min() > 245 and found[8:].max() < 10 and found[:, :16].max() < 10


def test_an_outline_is_the_border_of_the_mask_in_unbroken_runs():
    mask = np.array([[1, 0, 0], [1, 1, 0]], bool)  # [x, y]
    assert outline(mask) == "M0,0h2M0,1h1M1,2h1M0,0v1M1,1v1M2,0v2"
    assert outline(np.zeros((2, 3), bool)) == ""


# figures


def test_a_case_stands_at_the_same_place_of_every_strip_and_its_missing_distance_is_none():
    rows = {"V-Net": pd.Series([1.0, 2.0, 6.0], list("ABC")), "CPS": pd.Series([2.0, NAN, 4.0], list("ABC"))}
    found = figures.strips(rows, "ASD [voxel]")
    points = found["data"][:2]
    assert [t["customdata"] for t in points] == [["A", "B", "C"]] * 2
    assert [t["y"] for t in points] == [[1.0, 2.0, 6.0], [2.0, None, 4.0]]
    assert [round(b - a, 3) for a, b in zip(points[0]["x"], points[1]["x"], strict=True)] == [1, 1, 1]
    assert [t["y"] for t in found["data"][2:4]] == [[3.0, 3.0], [3.0, 3.0]]
    assert found["data"][4]["x"] == []
    assert found["layout"]["xaxis"]["ticktext"] == ["V-Net", "CPS"]


def test_a_row_without_any_distance_has_no_mean():
    found = figures.strips({"V-Net": pd.Series([NAN], ["A"])}, "ASD")
    assert found["data"][1]["y"] == [None, None]
    json.dumps(found, allow_nan=False)


def test_a_line_is_thinned_evenly_with_its_ends():
    steps, values = figures.thinned(pd.Series(np.arange(1000.0) * 2), points=5)
    assert steps.tolist() == [0, 250, 500, 749, 999]
    assert values.tolist() == [0, 500, 1000, 1498, 1998]


def test_a_short_line_is_not_thinned():
    assert figures.thinned(pd.Series([3.0, 4.0], index=[7, 9]))[0].tolist() == [7, 9]


def numbers(packed: dict[str, str]) -> list[float]:
    """Values that plotly packed."""
    return np.frombuffer(base64.b64decode(packed["bdata"]), packed["dtype"]).tolist()


def test_every_quantity_has_a_panel_with_a_raw_and_a_smoothed_line_of_each_run_that_logged_it():
    loss = pd.Series(np.where(np.arange(80) % 2, 3.0, 1.0))
    runs = {"cps-d0-s0": {"loss": loss, "agreement": loss / 4}, "vnet_16-d0-s0": {"loss": loss}}
    found = figures.curves(runs, ["cps", "vnet_16"])
    assert list(found) == ["loss", "agreement"]
    lines = found["loss"]["data"]
    assert [t["legendgroup"] for t in lines] == ["cps-d0-s0", "cps-d0-s0", "vnet_16-d0-s0", "vnet_16-d0-s0"]
    assert [t["legendgroup"] for t in found["agreement"]["data"]] == ["cps-d0-s0"] * 2
    assert set(numbers(lines[0]["y"])) == {1.0, 3.0}
    assert numbers(lines[1]["y"])[1:-1] == [2.0] * 78  # the window is two steps
    assert len(numbers(lines[1]["x"])) == 80


def test_a_quantity_that_nobody_foresaw_has_a_panel_under_its_own_name():
    found = figures.curves({"a": {"cross_first": pd.Series([1.0]), "loss": pd.Series([2.0])}}, ["a"])
    assert list(found) == ["loss", "cross_first"]
    assert found["cross_first"]["layout"]["title"]["text"] == "cross first"


def test_runs_of_a_row_share_its_color_and_differ_by_their_dash():
    looks = figures.styles(["cps", "cps", "mt_un"])
    assert looks[0]["color"] == looks[1]["color"] != looks[2]["color"]
    assert [look["dash"] for look in looks] == ["solid", "dot", "solid"]


# which cases


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Path:
    """An empty folder to write runs to."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_best_median_and_worst_cases_are_chosen_by_the_mean_over_the_rows(workspace):
    write_run("vnet_16", scores=cases((90, 10, 50, 70, 60)))
    write_run("cps", 0, 0, cases((40, 30, 95, 60, 60)))
    write_run("cps", 0, 1, cases((50, 30, 95, 60, 60)))  # means: 67.5, 20, 72.5, 65, 60
    groups = by_method(read_results(PROFILE), [])
    assert extremes(groups) == {"best": "C", "median": "D", "worst": "B"}
    assert means_of_cases(groups["cps"], "dice_percent").tolist() == [45, 30, 95, 60, 60]


def test_two_cases_are_best_and_worst_and_a_single_one_is_best(workspace):
    write_run(scores=cases((40, 60)))
    assert extremes(by_method(read_results(PROFILE), [])) == {"best": "B", "worst": "A"}
    write_run(scores=cases((40,)))
    assert extremes(by_method(read_results(PROFILE), [])) == {"best": "A"}


# the page


CURVES = [{"loss": 3.0 / (n + 1), "dice": n / 500, "mask_share": 0.5} for n in range(500)]


def scored(prepared: Prepared, *dice: float) -> pd.DataFrame:
    """Scores of the test cases of the tiny cohort."""
    return cases(dice).assign(case=list(prepared.split.test))


def write_masks(run: Run, prepared: Prepared, shift: int) -> None:
    """Predictions: the reference, moved along x."""
    for case in prepared.split.test:
        mask = np.roll(prepared.read_label(case), shift, axis=0)
        write_volume(run.predictions / f"{case}.nrrd", prepared.paste(case, mask))


def written_page(prepared: Prepared) -> Path:
    """The page of two runs with masks and curves and one without, in the working directory."""
    cohort = ("synthetic", prepared.manifest_hash)
    for shift, method in enumerate(("vnet_16", "cps"), 1):
        run = write_run(method, scores=scored(prepared, 70 + 10 * shift, 85 - shift), cohort=cohort)
        write_masks(run, prepared, shift)
        write_curves(run.curves, CURVES)
    write_run("mt_un", scores=scored(prepared, 60, 50), cohort=cohort)
    table(PROFILE, STATISTICS, ROOT / "metrics/published.yaml")
    return report(PROFILE, prepared.folder)


def page_data(page: str) -> dict:
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    return json.loads(found)


@pytest.fixture(scope="module")
def page(tmp_path_factory, tiny_data) -> str:
    """The page of two runs with masks and curves and one without, made in a folder of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        return written_page(open_prepared(tiny_data.prepared)).read_text()


def test_the_page_has_all_parts_and_holds_plotly_once(page):
    for part in ("table", "by-case", "training", "slices", "surfaces", "origin"):
        assert f'<section id="{part}">' in page
    assert page.count("plotly.js v") == 1
    assert "Synthetic phantoms, not patients" in page
    assert "the patient's left is on the right and the back at the bottom" in page
    assert "Published figures stand under ours." in page
    assert len(page) < 6e6


def row_cells(page: str, title: str) -> list[str]:
    """The cells of the table's row with a title, as HTML."""
    (row,) = re.findall(rf"<tr>\s*<th scope=\"row\"><strong>{re.escape(title)}</strong>.*?</tr>", page, re.DOTALL)
    return re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row)


def test_a_cell_has_its_interval_on_a_line_of_its_own_and_the_published_figure_under_it(page):
    found = row_cells(page, "CPS &amp; 16L+64UL")
    assert found[0] == "<strong>CPS &amp; 16L+64UL</strong><small>published</small>"
    assert found[1] == "86.50 ± 4.95<br>[83.00, 90.00]<small>86.4</small>"  # 90 and 83
    assert found[6] == "+4.50<br>[-1.00, +10.00], p = 1.000"  # beside 80 and 84: 10 more and 1 less
    assert found[5] == "a" and found[8:] == ["0", "2", "16 + 64", "1", "240", "1"]
    assert row_cells(page, "V-Net &amp; 16L")[0].endswith("<small>published [1]</small>")
    assert row_cells(page, "V-Net &amp; 16L")[6] == "baseline"


def test_the_page_has_every_remark_of_the_table(page):
    assert '<p class="remark">[1] As published. ' in page
    assert '<p class="remark">Not run in this profile: vnet_80, cps_32, mt_un_lovasz, cps_alw.</p>' in page
    assert "whose number stands under &#34;failed&#34;." in page


def test_a_departure_and_a_warning_stand_on_the_page_and_markup_in_a_title_is_text(workspace):
    row = {**PUBLISHED["rows"]["cps"], "title": "<b> *CPS*"}
    Path("published.yaml").write_text(json.dumps({"rows": {"cps": row}, "titles": {}, "notes": {}}))
    write_run("cps", evaluation={"failures": "diagonal"})
    write_run("mt_un", lr=0.003)
    table(PROFILE, STATISTICS, Path("published.yaml"))
    (Path("metrics") / PROFILE / "table.md").unlink()  # the page is made from table.json
    page = report(PROFILE, workspace / "nothing").read_text()
    assert "<strong>&lt;b&gt; *CPS*</strong>, failures: diagonal<small>published</small>" in page
    warning = "The rows have different settings (see table.json) and cannot be compared."
    assert f'<p class="remark"><strong>{warning}</strong></p>' in page


def test_the_page_asks_for_nothing_from_elsewhere(page):
    assert "default-src 'none'" in page
    assert not re.search(r"<(script|img|link|iframe)[^>]+(src|href)=[\"'](?!data:)", page)
    assert "@import" not in page and "url(" not in page.split("</style>")[0]


def test_a_run_without_curves_or_masks_is_left_out_of_those_parts_with_a_sentence(page):
    assert "No curves on this machine of mt_un-d0-s0." in page
    assert "Not shown: mt_un-d0-s0 (its masks are not here)." in page
    found = page_data(page)
    assert {t["legendgroup"] for t in found["curves"]["loss"]["data"]} == {"vnet_16-d0-s0", "cps-d0-s0"}
    assert [row["title"] for row in found["cases"][0]["rows"]] == ["V-Net & 16L", "CPS & 16L+64UL"]
    assert len(found["strips"]) == 4 and found["strips"][0]["layout"]["xaxis"]["ticktext"][2] == "MT+UN & 16L+64UL"


def test_the_page_shows_each_runs_settings_machine_and_time(page, prepared):
    assert prepared.manifest_hash in page
    assert "cpu: Test" in page and "<td>1.0</td>" in page
    (settings,) = re.findall(r"<summary>cps-d0-s0</summary><pre[^>]*>(.*?)</pre>", page, re.DOTALL)
    assert yaml.safe_load(settings.replace("&#39;", "'"))["settings"]["method"]["algorithm"] == "cross_pseudo"


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


def write_weights(run: Run) -> None:
    """A network with weights of chance, and its hash in the run's record, as if the masks were made with it."""
    record = read_record(run.record)
    torch.manual_seed(0)
    network = record.settings.network
    trained = Trained.model_validate(record.model_dump(include=set(Trained.model_fields)))
    save_model(run.model, TrainedModel(network, {"network": VNet(network)}, trained))
    weights = load_model(run.model).record.weights_sha256
    run.record.write_text(record_text(record.model_copy(update={"weights_sha256": weights})))


def test_the_uncertainty_of_the_weights_behind_a_mask_is_shown_beside_it(workspace, prepared):
    run = write_run(scores=scored(prepared, 80, 90), cohort=("synthetic", prepared.manifest_hash))
    write_masks(run, prepared, 1)
    write_weights(run)
    (row,) = showable({}, {"cps": read_results(PROFILE)}, prepared)
    (found,) = views([row], {"best": prepared.split.test[1]}, prepared)
    maps = found["rows"][0]["uncertainty"]
    assert len(maps) == len(found["numbers"]) and maps[0].startswith("data:image/jpeg")
    assert maps == views([row], {"best": prepared.split.test[1]}, prepared)[0]["rows"][0]["uncertainty"]


def test_weights_other_than_those_behind_the_masks_are_not_asked(workspace, prepared):
    run = write_run(scores=scored(prepared, 80, 90), cohort=("synthetic", prepared.manifest_hash))
    write_weights(run)
    told = yaml.safe_load(run.record.read_text())
    run.record.write_text(yaml.safe_dump(told | {"weights_sha256": "other"}))
    (result,) = read_results(PROFILE)
    assert task_of(result) is None
    run.record.write_text(yaml.safe_dump(told))
    (result,) = read_results(PROFILE)
    assert list(task_of(result).networks) == ["network"]


def test_an_empty_prediction_has_no_surface(workspace, prepared):
    run = write_run(scores=scored(prepared, 0, 0), cohort=("synthetic", prepared.manifest_hash))
    for case in prepared.split.test:
        write_volume(run.predictions / f"{case}.nrrd", prepared.paste(case, 0 * prepared.read_label(case)))
    (result,) = read_results(PROFILE)
    (found,) = views([Shown("CPS", result)], {"best": prepared.split.test[0]}, prepared)
    assert found["rows"][0]["surface"] is None and set(found["rows"][0]["outlines"]) == {""}


def test_masks_of_another_size_are_refused(workspace, prepared):
    run = write_run(scores=scored(prepared, 0, 0))
    case = prepared.split.test[0]
    write_volume(run.predictions / f"{case}.nrrd", Volume(np.zeros((3, 4, 5), np.uint8)))
    (result,) = read_results(PROFILE)
    with pytest.raises(LasslError, match=rf"{case}.nrrd: found \(3, 4, 5\) voxels, expected .*: run `dvc repro`"):
        cropped(result, case, prepared)


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


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def test_the_commit_is_told_and_whether_files_differ_from_it_but_for_what_runs_write(tmp_path):
    assert origin.commit(tmp_path) == "unknown: no git repository here"
    git(tmp_path, "init")
    (tmp_path / "code.py").write_text("a = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--message", "first")
    clean = origin.commit(tmp_path)
    assert re.fullmatch("[0-9a-f]{40}", clean)
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/a.json").write_text("{}")
    assert origin.commit(tmp_path) == clean
    (tmp_path / "code.py").write_text("a = 2\n")
    assert origin.commit(tmp_path) == f"{clean} (dirty)"
