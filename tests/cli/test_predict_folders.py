"""`lassl predict` on folders of scans: masks, previews, the list of volumes, and what goes on after an interruption."""

import csv
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from helpers.command import RUN, lassl
from helpers.dicom import write_series
from helpers.scans import numbered
from lassl.cli import predict
from lassl.images.geometry import Geometry, Volume, volume_ml
from lassl.images.volumes import read_volume, write_volume
from lassl.plumbing.errors import LasslError, Stopped

pytestmark = [pytest.mark.usefixtures("in_project"), pytest.mark.slow]

DONE = ("done", "doubtful")
SCAN = Volume(numbered().array, Geometry((2.0, 2.5, 3.0)))


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """A folder with scans of three forms, and a file that is none."""
    folder = tmp_path / "scans"
    for name in ("a.nrrd", "site/a.nii.gz"):
        write_volume(folder / name, SCAN)
    write_series(folder / "series", SCAN)
    (folder / "notes.txt").touch()
    return folder


def rows(folder: Path) -> dict[str, dict[str, str]]:
    """The rows of a folder's list, by their masks."""
    with (folder / "volumes.csv").open(newline="") as file:
        return {row["mask"]: row for row in csv.DictReader(file)}


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_all_scans_of_a_folder_get_a_mask_a_preview_and_a_row_with_their_volume(scans, tmp_path, capsys):
    out = tmp_path / "out"
    assert lassl("predict", RUN, scans, "-o", out, "--preview") == 0
    masks = {"a.nrrd": scans / "a.nrrd", "series.nrrd": scans / "series", "site/a.nii.gz": scans / "site/a.nii.gz"}
    pictures = ["a.png", "series.png", "site/a.png"]
    assert list(content(out)) == sorted([*masks, *pictures, "volumes.csv"])
    printed = capsys.readouterr()
    assert f"note: {scans}: passed over 1 other file (notes.txt), not scans by their names" in printed.err
    found = rows(out)
    for mask, scan in masks.items():
        ml = volume_ml(read_volume(out / mask))
        assert found[mask]["scan"] == str(scan) and found[mask]["volume_ml"] == f"{ml:.3f}"
        assert f"{out / mask}\t{ml:.3g} mL\n" in printed.out
    for name in pictures:
        picture = sitk.GetArrayFromImage(sitk.ReadImage(str(out / name)))
        assert picture.ndim == 3 and picture.shape[1] <= 900


def test_bad_scans_and_doubtful_masks_are_in_the_list_with_what_is_wrong(scans, tmp_path):
    (scans / "bad.nrrd").write_bytes((scans / "a.nrrd").read_bytes()[:-20])
    image = SCAN.array.astype(np.int16)
    image[0] = -32768
    write_volume(scans / "padded.nrrd", Volume(image, SCAN.geometry))
    (tmp_path / "empty").mkdir()
    assert lassl("predict", RUN, scans, tmp_path / "empty", "-o", tmp_path / "out") == 1
    found = rows(tmp_path / "out")
    assert found["bad.nrrd"]["status"] == "failed" and not (tmp_path / "out/bad.nrrd").exists()
    assert "bad.nrrd: cannot be read" in found["bad.nrrd"]["notes"] and found["bad.nrrd"]["volume_ml"] == ""
    assert found["padded.nrrd"]["status"] == "doubtful" and "-32768" in found["padded.nrrd"]["notes"]
    assert len(found) == 5


def test_scans_that_would_have_one_file_are_refused_before_any_is_segmented(scans, tmp_path):
    write_volume(scans / "a.mha", SCAN)
    with pytest.raises(
        LasslError, match=r"out/a\.png: would be written for .*a\.mha and for .*a\.nrrd; give one another"
    ):
        lassl("predict", RUN, scans, "-o", tmp_path / "out", "--preview")
    assert not (tmp_path / "out").exists()
    assert lassl("predict", RUN, scans, "-o", tmp_path / "out") == 0


def interrupted(monkeypatch: pytest.MonkeyPatch, name: str, calls: int, number: int = signal.SIGINT) -> None:
    """Let a signal arrive in a call of a function of the command."""
    real, count = getattr(predict, name), iter(range(1000))

    def act(*words: object) -> object:
        if next(count) == calls:
            raise KeyboardInterrupt(number)
        return real(*words)

    monkeypatch.setattr(predict, name, act)


@pytest.mark.parametrize(
    ("name", "calls", "done"), [("maps_of", 0, 0), ("maps_of", 2, 2), ("write_output", 3, 1), ("write_picture", 1, 1)]
)
def test_after_an_interruption_the_same_command_continues_to_the_same_end(scans, tmp_path, capsys, name, calls, done):
    words = ("predict", RUN, scans, "--preview", "--probability", "-o")
    assert lassl(*words, tmp_path / "straight") == 0
    out = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        interrupted(patch, name, calls, signal.SIGTERM)
        with pytest.raises(
            Stopped, match=rf"SIGTERM: {done} scans? (is|are) done, {3 - done} left; .* to continue"
        ) as e:
            lassl(*words, out)
    assert e.value.exit_code == 143
    assert not [path for path in out.rglob(".*")]
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.n*")} if done else {}
    whole = [out / mask for mask, row in rows(out).items() if row["status"] in DONE] if done else []
    capsys.readouterr()
    assert lassl(*words, out) == 0
    told = capsys.readouterr().err
    assert (f"{done} scan" in told and "done already" in told) or not done
    assert len(whole) == done and all(path.stat().st_mtime_ns == before[path] for path in whole)
    assert content(out) == content(tmp_path / "straight")


def test_what_another_model_or_option_made_is_not_taken_for_done(scans, tmp_path, capsys):
    out = tmp_path / "out"
    assert lassl("predict", RUN, scans, "-o", out) == 0
    before = content(out)
    for words in (["--largest-component"], ["--network", "second"], ["--stride", "8,8,4"], ["--normalized"]):
        capsys.readouterr()
        assert lassl("predict", RUN, scans, "-o", out, *words) == 1
        assert capsys.readouterr().err.count("exists already; give another folder or name, or use --overwrite") == 3
        assert content(out) == before
    assert lassl("predict", RUN, scans, "-o", out, "--memory", 3) == 0  # which changes no mask here
    assert content(out) == before


def test_a_scan_that_changed_after_its_mask_and_a_mask_that_is_gone_are_not_done(scans, tmp_path, capsys):
    out = tmp_path / "out"
    assert lassl("predict", RUN, scans, "-o", out) == 0
    late = (out / "series.nrrd").stat().st_mtime + 10
    os.utime(min((scans / "series").iterdir()), (late, late))
    (out / "a.nrrd").unlink()
    capsys.readouterr()
    assert lassl("predict", RUN, scans, "-o", out) == 1
    told = capsys.readouterr().err
    assert f"{out / 'series.nrrd'}: exists already" in told and "1 scan is done already" in told
    assert (out / "a.nrrd").is_file()
    assert lassl("predict", RUN, scans, "-o", out, "--overwrite") == 0


def test_a_scan_of_the_same_name_in_another_folder_is_not_taken_for_done(tmp_path, monkeypatch):
    for folder in ("a", "b"):
        write_volume(tmp_path / folder / "scan.nrrd", SCAN)
    lassl("export", RUN, "-o", tmp_path / "model.pt")
    codes = []
    for folder in ("a", "b"):
        monkeypatch.chdir(tmp_path / folder)
        codes.append(lassl("predict", "../model.pt", "scan.nrrd", "-o", "../out"))
    assert codes == [0, 1]


def test_commands_add_to_the_list_of_a_folder(scans, tmp_path):
    for scan in ("a.nrrd", "series"):
        assert lassl("predict", RUN, scans / scan, "-o", tmp_path / "out") == 0
    assert list(rows(tmp_path / "out")) == ["a.nrrd", "series.nrrd"]
    assert lassl("predict", RUN, scans / "a.nrrd", "-o", tmp_path / "out", "--overwrite") == 0
    assert list(rows(tmp_path / "out")) == ["a.nrrd", "series.nrrd"]


@pytest.mark.parametrize("text", ["patient,volume\nA,50\n", "scan,mask,volume_ml,status,notes,settings\nA,50\n", "\n"])
def test_a_list_that_somebody_else_wrote_is_refused_and_stays(scans, tmp_path, text):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/volumes.csv").write_text(text)
    with pytest.raises(LasslError, match=r"volumes\.csv: found a file that lassl did not write, .* move it, or give"):
        lassl("predict", RUN, scans, "-o", tmp_path / "out")
    assert content(tmp_path / "out") == {"volumes.csv": text.encode()}


def test_how_long_an_uncertainty_takes_is_told_once_for_several_scans(scans, tmp_path, capsys):
    assert lassl("predict", RUN, scans, "-o", tmp_path / "out", "--uncertainty", "--passes", 2) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "uncertainty:" in line]
    assert len(lines) == 1 and "note: uncertainty: 2 passes, about 0 s a scan" in lines[0]
