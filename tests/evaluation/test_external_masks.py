"""Other people's masks scored: how they are matched, what is refused, and what is left for the table."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import SimpleITK as sitk
import yaml

from helpers.runs import PROFILE, cases, write_run
from lassl.cli import main as cli
from lassl.evaluation import metrics
from lassl.evaluation.external_masks import score_folders
from lassl.images.geometry import Array, Geometry, Volume
from lassl.images.volumes import write_volume
from lassl.plumbing.errors import LasslError
from lassl.results.runs import read_external, read_results

SIZE = (7, 6, 5)
PLACE = Geometry((1.0, 2.0, 1.25), (-10.5, 20.25, 3.0), (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0))


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)


def block(x: int = 2, y: int = 2, z: int = 2, size: tuple[int, int, int] = SIZE) -> Array:
    """A mask whose first x, y, z voxels are set."""
    mask = np.zeros(size, np.uint8)
    mask[:x, :y, :z] = 1
    return mask


def put(path: str, mask: Array | None = None, geometry: Geometry = PLACE) -> None:
    write_volume(Path(path), Volume(block() if mask is None else mask, geometry))


def scores(only: tuple[str, ...] | None = None) -> pd.DataFrame:
    """The scores of the folder p against r, by case."""
    return score_folders(Path("p"), Path("r"), only).cases.set_index("case")


def problems() -> list[str]:
    with pytest.raises(LasslError) as error:
        scores()
    return str(error.value).splitlines()


def call(*words: str) -> int:
    """Call the command as the command line does."""
    return cli.run(["evaluate", *words])


# matching and scoring


def test_masks_are_matched_by_name_in_every_format():
    for case, theirs, ours in [
        ("A", "nrrd", "nii.gz"),
        ("B.1", "mha", "nii"),
        ("C", "nii", "NRRD"),
        ("D", "mhd", "mhd"),
    ]:
        put(f"r/{case}.{theirs}")
        put(f"p/{case}.{ours}", block(z=1))
    Path("p/notes.txt").write_text("no mask")
    Path("p/.hidden.nrrd").write_text("no mask")
    found = scores()
    assert list(found.index) == ["A", "B.1", "C", "D"]
    assert found["dice_percent"].tolist() == pytest.approx([200 * 4 / (4 + 8)] * 4)


def test_distances_are_in_voxels_and_in_the_millimetres_of_the_reference():
    reference, prediction = block(1, 1, 1), block(0)
    prediction[0, 0, 2] = 1
    put("r/A.nrrd", reference)
    put("p/A.nrrd", prediction)
    row = scores().loc["A"]
    assert (row["asd_voxel"], row["hd95_voxel"], row["asd_mm"], row["hd95_mm"]) == (2, 2, 2.5, 2.5)
    assert row["volume_error_percent"] == 0


def test_the_scores_are_those_of_the_benchmark():
    put("r/A.nrrd", block(5, 4, 3))
    put("p/A.nrrd", block(4, 5, 2))
    row = scores().loc["A"].drop(["network", "parts"]).to_dict()
    assert row == asdict(metrics.score(block(4, 5, 2) > 0, block(5, 4, 3) > 0, PLACE.spacing_mm))


@pytest.mark.parametrize("mask", [255 * block(), block().astype("float32"), block().astype("int16")])
def test_a_mask_of_255_or_of_another_type_is_the_same_mask(mask):
    put("r/A.nrrd", mask)
    put("p/A.nrrd", block(z=1))
    put("r/B.nrrd", block(z=1))
    put("p/B.nrrd", mask)
    assert scores()["dice_percent"].tolist() == pytest.approx([200 * 4 / 12] * 2)


def test_an_empty_prediction_is_a_failure_without_distances():
    put("r/A.nrrd")
    put("p/A.nrrd", block(0))
    row = scores().loc["A"]
    assert (row["failed"], row["dice_percent"]) == (True, 0)
    assert row[list(metrics.DISTANCES)].isna().all()


def test_references_can_be_the_challenges_raw_scans():
    put("r/A/laendo.nrrd", 255 * block())
    put("r/A/lgemri.nrrd", np.arange(210).reshape(SIZE).astype("uint8"))
    put("p/A.nrrd", block(z=1))
    assert scores()["dice_percent"].to_dict() == pytest.approx({"A": 200 * 4 / 12})


def test_references_can_be_the_fields_h5_which_have_no_place():
    reference, prediction = block(1, 1, 1), block(0)
    prediction[0, 0, 2] = 1
    Path("r/A").mkdir(parents=True)
    with h5py.File("r/A/mri_norm2.h5", "w") as file:
        file["label"] = reference
    put("p/A.nii", prediction)
    found = score_folders(Path("p"), Path("r"))
    assert found.cases.loc[0, ["asd_voxel", "asd_mm"]].tolist() == [2, 1.25]
    assert found.notes == ("r: h5 has no spacing and place; 0.625 mm is taken, and only sizes were compared",)


def test_an_h5_without_label_or_of_another_size_is_a_problem():
    Path("r/A").mkdir(parents=True)
    Path("r/B").mkdir()
    with h5py.File("r/A/mri_norm2.h5", "w") as file:
        file["image"] = block().astype("float32")
    with h5py.File("r/B/mri_norm2.h5", "w") as file:
        file["label"] = block(size=(7, 6, 4))
    put("p/A.nrrd")
    put("p/B.nrrd")
    assert problems() == [
        "r/A/mri_norm2.h5: label not found; add it or leave the case out",
        "p/B.nrrd: found size (7, 6, 5), but its reference has (7, 6, 4); write it on the reference's grid",
    ]


def test_only_the_cases_asked_for_are_scored_and_other_predictions_are_noted():
    for case in "ABC":
        put(f"r/{case}.nrrd")
    for case in "BCD":
        put(f"p/{case}.nrrd")
    found = score_folders(Path("p"), Path("r"), ("C", "B"))
    assert found.cases["case"].tolist() == ["B", "C"]
    assert found.notes == ("p: 1 predictions without a reference were not scored (D)",)
    with pytest.raises(LasslError, match=r"^r: no reference for case E; add it"):
        scores(("B", "E"))
    with pytest.raises(LasslError, match=r"^r: found no cases to score"):
        scores(())


# problems


def test_all_problems_of_all_cases_are_told_together_a_line_each():
    turned = Geometry(PLACE.spacing_mm, (-10.5, 20.25, 3.1), PLACE.direction)
    good = "absent size place values text flat twice".split()
    for case in [*good, "gone"]:
        put(f"r/{case}.nrrd")
    put("r/empty.nrrd", block(0))
    put("r/full.nrrd", block(*SIZE))
    put("p/full.nrrd")
    put("r/labels.nrrd", 2 * block())
    for case in ("empty", "labels", "twice", "sound"):
        put(f"p/{case}.nrrd")
    put("r/sound.nrrd")
    put("p/size.nrrd", block(size=(7, 6, 6)))
    put("p/place.nrrd", geometry=turned)
    put("p/values.nrrd", block() + 1)
    put("p/twice.nii.gz")
    Path("p/text.nrrd").write_text("version https://git-lfs.github.com/spec/v1\n")
    sitk.WriteImage(sitk.Image([7, 6], sitk.sitkUInt8), "p/flat.nrrd")
    expected = [
        "p/twice.nrrd: twice.nii.gz belongs to the same case; keep only one of the two",
        "p: no prediction for r/absent.nrrd; add it (if the method found nothing, all 0)",
        "p: no prediction for r/gone.nrrd; add it (if the method found nothing, all 0)",
        "r/empty.nrrd: the reference is empty, every voxel is 0; draw it or leave the case out",
        "p/flat.nrrd: found a 2-D image with 1 channel(s), expected 3-D with one channel; export it as one volume",
        "r/full.nrrd: the reference fills the image; draw it or leave the case out",
        "r/labels.nrrd: found values [0, 2], expected 0 and 1, or 0 and 255; name those of each structure with "
        "--values, or write one structure's mask",
        "p/place.nrrd: found origin_mm (-10.5, 20.25, 3.1), but its reference has (-10.5, 20.25, 3.0); "
        "write it on the reference's grid",
        "p/size.nrrd: found size (7, 6, 6), but its reference has (7, 6, 5); write it on the reference's grid",
        "p/text.nrrd: cannot be read",
        "p/values.nrrd: found values [1, 2], expected 0 and 1, or 0 and 255; name those of each structure with "
        "--values, or write one structure's mask",
    ]
    found = problems()
    assert [line[: len(start)] for line, start in zip(found, expected, strict=True)] == expected
    with pytest.raises(LasslError):
        call("p", "r", "-o", "out")
    assert not Path("out").exists()


@pytest.mark.parametrize("name", ["spacing_mm", "direction"])
def test_spacing_and_direction_must_be_the_references(name):
    other = {"spacing_mm": (1.0, 2.0, 1.3), "direction": Geometry().direction}[name]
    put("r/A.nrrd")
    put("p/A.nrrd", geometry=Geometry(**{**vars(PLACE), name: other}))
    (found,) = problems()
    assert found.startswith(f"p/A.nrrd: found {name} (")


def test_the_rounding_of_a_text_header_is_no_difference():
    put("r/A.nrrd")
    put("p/A.nrrd", geometry=Geometry((1.0, 2.0, 1.2504), (-10.5004, 20.25, 3.0), PLACE.direction))
    assert scores().loc["A", ["dice_percent", "diagonal_mm"]].tolist() == pytest.approx(
        [100, np.linalg.norm([7, 12, 6.25])]
    )


def test_a_folder_without_masks_or_with_two_forms_of_them_is_refused():
    with pytest.raises(LasslError, match=r"^p: folder not found"):
        scores()
    Path("p").mkdir()
    with pytest.raises(LasslError, match=r"^p: found no masks; expected a file per case, <CASE>\.nrrd or \.nii"):
        scores()
    put("p/A.nrrd")
    Path("r").mkdir()
    with pytest.raises(LasslError, match=r"^r: found no masks, expected <CASE>\.nrrd"):
        scores()
    put("r/A.nrrd")
    put("r/B/laendo.nrrd")
    with pytest.raises(LasslError, match=r"^r: found masks in several layouts"):
        scores()


def test_cases_of_any_name_are_matched():
    for case in ("NA", "None", "nan", "A b", "Müller"):
        put(f"r/{case}.nrrd")
        put(f"p/{case}.nrrd")
    assert scores().index.tolist() == ["A b", "Müller", "NA", "None", "nan"]


def test_names_that_are_not_in_utf8_are_told_with_all_other_problems():
    for folder in "rp":
        put(f"{folder}/A.nrrd")
        put(f"{folder}/B.nrrd")
        Path(folder, "B.nrrd").rename(Path(folder, os.fsdecode(b"\xff.nrrd")))
    put("r/C.nrrd")
    with pytest.raises(LasslError) as error:
        scores()
    lines = str(error.value).splitlines()
    assert len(lines) == 3 and sum("is not valid UTF-8; rename" in line for line in lines) == 2


@pytest.mark.parametrize("suffix", ["nii", "nii.gz", "mha", "nrrd"])
def test_a_cut_prediction_or_reference_is_not_scored(suffix):
    for name in ("p/A", "r/A"):
        put(f"p/A.{suffix}", block(4, 4, 4))
        put(f"r/A.{suffix}", block(4, 4, 4))
        path = Path(f"{name}.{suffix}")
        path.write_bytes(path.read_bytes()[: int(0.9 * path.stat().st_size)])
        (found,) = problems()
        assert found.startswith(f"{path}: cannot be read (") and found.endswith("copy it again")


# the command and what it leaves


def test_the_command_writes_what_a_run_of_ours_has_and_prints_it(capsys):
    put("r/A.nrrd")
    put("r/B.nrrd")
    put("p/A.nrrd", block(z=1))
    put("p/B.nrrd", block(0))
    assert call("p", "r", "--name", "net-1", "--title", "A net & 16L") == 0
    shown = capsys.readouterr().out.splitlines()
    # of 12 voxels that are in a surface, the prediction's 4 touch the reference and 4 of the reference's 8 are 1 away
    assert shown[0] == "A net & 16L: Dice 33.33 %, Jaccard 25.00 %, ASD 0.00 voxel, 95HD 1.00 voxel, 1 of 2 failed"
    assert shown[4] == "| Dice [%] | 33.33 | 47.14 | 0.00 | 66.67 |"
    assert len(shown) == 2 + 2 + 12
    run = write_run("cps")
    ours, theirs = pd.read_csv(run.cases), pd.read_csv("metrics/external/net-1.csv")
    assert list(theirs) == list(ours)
    assert theirs[["case", "network", "parts", "failed"]].to_numpy().tolist() == [
        ["A", "external", "all", False],
        ["B", "external", "all", True],
    ]
    figures = json.loads(Path("metrics/external/net-1.json").read_text())
    assert figures == {"dice": 33.3333, "jaccard": 25, "asd": 0, "hd95": 1, "failed": 1}
    assert set(figures) == set(json.loads(run.metrics.read_text()))


def test_a_result_is_read_back_for_a_run_of_ours_with_the_same_cases():
    for case in "AB":
        put(f"r/{case}.nrrd")
        put(f"p/{case}.nrrd", block(z=1))
    call("p", "r")
    write_run("cps", evaluation={"failures": "diagonal"})
    (ours,) = read_results(PROFILE)
    found = read_external(ours)
    assert list(found) == ["p"]
    assert (found["p"].run, found["p"].title) == ((-1, -1), "p")
    assert found["p"].reported.failures == "diagonal"
    assert found["p"].reported_cases()["dice_percent"].tolist() == pytest.approx([66.666667] * 2)
    write_run("cps", scores=cases((80, 90, 70)))
    assert read_external(read_results(PROFILE)[0]) == {}


def test_a_result_that_was_edited_or_lost_is_refused():
    put("r/A.nrrd")
    put("p/A.nrrd")
    call("p", "r")
    write_run("cps", scores=cases((80,)))
    (ours,) = read_results(PROFILE)
    path = Path("metrics/external/p.csv")
    path.write_text(path.read_text().replace("100.0", "101.0"))
    with pytest.raises(
        LasslError, match=r"external/p\.csv: its content does not match metrics/external/records/p\.yaml"
    ):
        read_external(ours)
    path.unlink()
    with pytest.raises(LasslError, match=r"external/p\.csv: not found, .* run `lassl evaluate` or delete the record"):
        read_external(ours)
    Path("metrics/external/records/p.yaml").write_text("title: no more\n")
    with pytest.raises(LasslError, match=r"records/p\.yaml: not a valid record of `lassl evaluate`"):
        read_external(ours)


def test_the_record_has_the_title_the_version_and_hashes_of_content():
    def record() -> dict[str, str]:
        call("p", "r", "-o", "out", "--overwrite")
        kept: dict[str, str] = yaml.safe_load(Path("out/records/p.yaml").read_text())
        assert (kept["title"], kept["lassl"].count(".")) == ("p", 2)
        return kept

    put("r/A.nrrd")
    put("p/A.nrrd", block(z=1))
    first = record()
    assert set(first) == {"title", "predictions_sha256", "references_sha256", "lassl", "evaluation", "cases_sha256"}
    assert record() == first
    Path("p/A.nrrd").unlink()
    put("p/A.mha", 255 * block(z=1))  # the same mask in another file
    assert record() == first
    put("p/A.mha", block() - block(z=1))  # the other half of the reference, which scores the same
    second = record()
    assert {key for key in first if first[key] != second[key]} == {"predictions_sha256"}


def test_scores_of_another_folder_of_the_same_name_stay_unless_they_may_be_overwritten():
    put("r/A.nrrd")
    put("mine/masks/A.nrrd")
    put("theirs/masks/A.nrrd", block(z=1))
    assert call("mine/masks", "r") == 0
    files = sorted(path for path in Path("metrics/external").rglob("*") if path.is_file())
    before = [path.read_bytes() for path in files]
    for left in range(3):  # any one of the three files is reason enough
        for number, (path, content) in enumerate(zip(files, before, strict=True)):
            path.write_bytes(content) if number == left else path.unlink(missing_ok=True)
        with pytest.raises(LasslError, match=f"{files[left]}: exists already; .* or use --overwrite to replace it"):
            call("theirs/masks", "r")
        assert files[left].read_bytes() == before[left]
    assert call("theirs/masks", "r", "--name", "theirs") == 0
    assert call("theirs/masks", "r", "--overwrite") == 0
    assert pd.read_csv("metrics/external/masks.csv")["dice_percent"].item() < 70


def test_a_split_names_the_cases_to_score():
    for case in "ABC":
        put(f"r/{case}.nrrd")
        put(f"p/{case}.nrrd")
    Path("p/A.nrrd").unlink()
    Path("split.csv").write_text("case,split\nA,train\nC,test\nB,test\n")
    assert call("p", "r", "--split", "split.csv") == 0
    assert pd.read_csv("metrics/external/p.csv")["case"].tolist() == ["B", "C"]


@pytest.mark.parametrize("words", [["--name", "a/b"], ["--name", ".a"], ["--title", "a|b"], ["--title", "a\nb"]])
def test_a_name_or_title_that_would_break_files_or_table_is_refused(words):
    put("r/A.nrrd")
    put("p/A.nrrd")
    with pytest.raises(LasslError, match=f"^{words[0]}: found "):
        call("p", "r", *words)
    assert not Path("metrics").exists()


def test_masks_of_several_structures_are_scored_by_the_values_of_one_of_them():
    other = np.zeros(SIZE, np.uint8)
    other[4:] = 9
    put("r/A.nrrd", block() * 47 + other)
    put("r/B.nrrd", block() * 48 + other)
    put("p/A.nrrd", block(x=1) * 48 + other)
    put("p/B.nrrd", other)  # without the structure: an empty prediction
    assert call("p", "r", "--name", "theirs", "--values", "47,48") == 0
    found = pd.read_csv("metrics/external/theirs.csv").set_index("case")
    assert found.loc["A", "dice_percent"] == pytest.approx(100 * 2 * 4 / (4 + 8)) and found.loc["B", "failed"] == 1


@pytest.mark.parametrize("text", ["", "1,", "0", "a", "1.5"])
def test_values_that_are_no_whole_numbers_are_refused(text, capsys):
    with pytest.raises(SystemExit):
        call("p", "r", "--values", text)
    assert f"found '{text}', expected whole numbers as in 47,48 or NAME=47,48" in capsys.readouterr().err
