"""The whole pipeline through DVC, in a clone in an empty folder: raw NRRD files to the table, then experiments."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import SimpleITK as sitk
import yaml

from helpers.project import ROWS, activated, call, clone, words_of
from lassl.model.record import Trained
from lassl.model.trained import load_model

pytestmark = pytest.mark.slow


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def restore(project: Path) -> None:
    """Make the project again as it was committed."""
    call(project, "git", "checkout", "--quiet", ".")
    call(project, "dvc", "checkout", "--force")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A clone in which the tiny profile's seven rows have run."""
    folder = clone(tmp_path_factory.mktemp("clone") / "project")
    call(folder, "dvc", "exp", "run", "-S", "profile=tiny")
    call(folder, "git", "add", "dvc.lock", "params.yaml", "metrics")
    call(folder, "git", "commit", "--quiet", "--message", "tiny")
    return folder


def test_raw_nrrd_scans_become_the_seven_row_table(project):
    raw = sorted((project / "data/raw/synthetic").iterdir())
    assert len(raw) == 100
    image = sitk.ReadImage(str(raw[0] / "lgemri.nrrd"))
    assert image.GetSize() == (40, 36, 24) and image.GetPixelIDTypeAsString() == "8-bit unsigned integer"
    assert image.GetSpacing() == (0.625, 0.625, 0.625)
    table = json.loads((project / "metrics/tiny/table.json").read_text())
    assert list(table["rows"]) == ROWS
    assert all(row["cases"] == 20 for row in table["rows"].values())
    for row in ROWS:
        metrics = json.loads((project / f"metrics/tiny/{row}-d0-s0.json").read_text())
        assert set(metrics) == {"dice", "jaccard", "asd", "hd95", "failed"}
        assert len(list((project / f"predictions/tiny/{row}-d0-s0").glob("*.nrrd"))) == 20
    assert "published" not in (project / "metrics/tiny/table.md").read_text()  # phantoms stand beside no patients


def test_a_second_repro_has_nothing_to_do(project):
    assert "Running stage" not in call(project, "dvc", "repro")
    assert call(project, "git", "status", "--porcelain") == ""


def test_metrics_and_curves_can_be_shown(project):
    shown = call(project, "dvc", "metrics", "show")
    assert all(f"metrics/tiny/{row}-d0-s0.json" in shown for row in ROWS)
    call(project, "dvc", "plots", "show", "--out", "plots")
    page = (project / "plots/index.html").read_text()
    assert all(name in page for name in ("cross_unlabeled", "mask_share", "weight_unlabeled", "learning_rate"))
    subprocess.run(["rm", "-r", project / "plots"], check=True)


def test_an_edit_makes_again_only_what_it_can_change(project):
    def stale(module: str) -> set[str]:
        path = project / module
        before = path.read_text()
        path.write_text(before + "\nADDED = 1\n")
        call(project, "dvc", "repro", "code")
        status = json.loads(call(project, "dvc", "status", "--json"))
        path.write_text(before)
        return {name for name in status if name != "code"}

    trained = stale("lassl/methods/mean_teacher.py")
    assert {name for name in trained if name.startswith("train")} == {
        "train@tiny-mt_un-0-0",
        "train@tiny-mt_un_lovasz-0-0",
    }
    assert stale("lassl/results/table.py") == {"table@tiny"}
    assert stale("lassl/pages/places.py") == set()
    call(project, "dvc", "repro", "code")
    assert json.loads(call(project, "dvc", "status", "--json")) == {}


def test_a_run_of_one_method_touches_its_row_alone_and_is_diffed_against_the_commit(project):
    before = files(project / "metrics")
    call(project, "dvc", "exp", "run", "-S", "profile=tiny", "-S", "method=cps_alw", "-S", "train.lr=0.02")
    after = files(project / "metrics")
    assert before.keys() == after.keys()
    changed = {name for name in before if before[name] != after[name]}
    own = {f"tiny/cps_alw-d0-s0.{end}" for end in ("json", "csv")}
    others = {"tiny/records/cps_alw-d0-s0.yaml", "tiny/table.json", "tiny/table.md", "tiny/details.md"}
    assert changed <= own | others
    record = yaml.safe_load((project / "metrics/tiny/records/cps_alw-d0-s0.yaml").read_text())
    assert record["settings"]["train"]["lr"] == 0.02
    assert "cannot be compared" in (project / "metrics/tiny/table.md").read_text()
    difference = json.loads(call(project, "dvc", "metrics", "diff", "--json"))
    assert set(difference) <= {"metrics/tiny/cps_alw-d0-s0.json"}
    call(project, "git", "checkout", "--quiet", ".")
    assert call(project, "lassl", "runs") == "all 7 runs are finished\n"  # the row's first model lies in DVC's cache
    restore(project)


def ran(output: str) -> set[str]:
    """Stages that a command ran, those restored from the cache left out."""
    return set(re.findall(r"Running stage '([^'@]+)", output))


def test_one_method_and_then_all_of_them_brings_the_others_back_and_trains_nothing(project):
    before = files(project / "metrics"), files(project / "models"), files(project / "predictions")
    call(project, "lassl", "compose", "profile=tiny", "method=cps_alw")
    assert ran(call(project, "dvc", "repro", "table@tiny")) <= {"ready", "code"}
    assert files(project / "metrics") == before[0]
    done = ran(call(project, "dvc", "exp", "run", "-S", "profile=tiny", "-S", "method=table"))
    assert done <= {"ready", "code", "report"}
    assert (files(project / "metrics"), files(project / "models"), files(project / "predictions")) == before
    restore(project)


def test_a_model_that_is_missing_is_restored_instead_of_trained(project):
    path = project / "models/tiny/cps-d0-s0.pt"
    before = path.read_bytes()
    path.unlink()
    assert ran(call(project, "dvc", "repro")) == set()
    assert path.read_bytes() == before


def test_a_flaw_is_a_profile_of_its_own_and_coming_back_trains_nothing(project):
    before = files(project / "metrics"), files(project / "models")
    changes = ("profile=tiny", "method=cps", "flaw=overlap", "fields_of_view=[whole,center]", "snapshots.count=1")
    call(project, "dvc", "exp", "run", *words_of(*changes))
    scored = scores_of_the_flaw(project, before[0])
    names = set(yaml.safe_load((project / "dvc.lock").read_text())["stages"])
    made = {f"{stage}@tiny-overlap-cps-0-0" for stage in ("train", "evaluate", "publish")}
    fields = {f"fields_of_view@tiny-overlap-cps-0-0-{field}" for field in ("whole", "center")}
    assert {name for name in names if "cps" in name} == made | fields
    assert not {name for name in names if name.startswith(("train@tiny-vnet", "table@tiny-0", "train@quick"))}
    waiting = yaml.safe_load((project / "metrics/tiny/stages.yaml").read_text())["stages"]
    assert {f"train@tiny-{row}-0-0" for row in ROWS} <= set(waiting)

    shutil.rmtree(project / "models/tiny", ignore_errors=True)
    call(project, "lassl", "compose", "profile=tiny")
    call(project, "dvc", "checkout")  # composing brought the entries of its files back
    assert len(list((project / "models/tiny").glob("*.pt"))) == len(ROWS)
    done = ran(call(project, "dvc", "exp", "run", "-S", "profile=tiny"))
    assert not done & {"train", "evaluate", "prepare", "phantom"}
    after = files(project / "metrics"), files(project / "models")
    kept = scored | {name: content for name, content in before[0].items() if name != "tiny/stages.yaml"}
    assert all(after[0][name] == content for name, content in kept.items())
    assert {name: content for name, content in after[1].items() if name in before[1]} == before[1]
    restore(project)


def scores_of_the_flaw(project: Path, before: dict[str, bytes]) -> dict[str, bytes]:
    """What a run with a flaw, fields of view and a snapshot added to metrics/, and that it changed nothing there."""
    after = files(project / "metrics")
    assert all(after[name] == before[name] for name in before if not name.endswith("stages.yaml"))
    new = {name: content for name, content in after.items() if name not in before}
    assert {name for name in new if "/fields/" in name} == {
        "tiny-overlap/fields/cps-d0-s0-center.csv",
        "tiny-overlap/fields/cps-d0-s0-whole.csv",
    }
    assert {"tiny-overlap/cps-d0-s0.json", "tiny-overlap/table.md"} <= set(new)
    record = yaml.safe_load(new["tiny-overlap/records/cps-d0-s0.yaml"])
    assert [snapshot["step"] for snapshot in record["snapshot_dice"]] == [1, 3]
    call(project, "lassl", "pages")
    assert call(project, "git", "diff", "--name-only", "README.md", "docs") == ""  # tiny runs do not count
    return {name: content for name, content in new.items() if not name.endswith("stages.yaml")}


def test_an_experiment_in_a_copy_says_that_data_outside_of_git_are_not_there(project):
    changes = (
        "profile=tiny",
        "method=vnet_16",
        "phantom.cohorts=[]",
        "data.folder=data/raw/mine",
        "data.split=mine.csv",
    )
    command = ["dvc", "exp", "run", "--temp", *words_of(*changes, "data.split=mine.csv")]
    done = subprocess.run(command, cwd=project, env=activated(), capture_output=True, text=True)
    assert done.returncode != 0
    told = done.stdout + done.stderr
    assert "mine.csv: not found in this copy of the project" in told
    assert "data/raw/mine: not found in this copy" in told and "absolute path" in told


def test_a_killed_training_goes_on_by_the_same_command_to_the_same_weights(project):
    call(project, "lassl", "compose", "profile=tiny", "method=cps", "train.steps=30", "running.checkpoint_minutes=0")
    command = ("dvc", "repro", "--force", "--single-item", "train@tiny-cps-0-0")
    call(project, "dvc", "repro", "train@tiny-cps-0-0")
    expected, curves = record_of_cps(project).weights_sha256, files(project / "curves/tiny/cps-d0-s0")
    silent = subprocess.DEVNULL
    running = subprocess.Popen(command, cwd=project, env=activated(), start_new_session=True, stdout=silent)
    while not (project / "checkpoints/tiny/cps-d0-s0/step-00000010.pt").exists():
        assert running.poll() is None
        time.sleep(0.001)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    call(project, *command)
    record = record_of_cps(project)
    assert (record.weights_sha256, files(project / "curves/tiny/cps-d0-s0")) == (expected, curves)
    assert record.training.resumed == 1
    restore(project)


def record_of_cps(project: Path) -> Trained:
    return load_model(project / "models/tiny/cps-d0-s0.pt").record


def test_another_draw_and_seed_become_runs_of_their_own(project):
    before = files(project / "metrics")
    changes = ("profile=tiny", "method=vnet_16", "seeds=[1]", "label_splits=[1]")
    call(project, "dvc", "exp", "run", *words_of(*changes))
    after = files(project / "metrics")
    assert {name for name in after if name not in before and name.endswith("json")} == {"tiny/vnet_16-d1-s1.json"}
    moved = ("table.json", "table.md", "details.md", "stages.yaml")
    assert all(after[name] == before[name] for name in before if not name.endswith(moved))
    assert json.loads(after["tiny/table.json"])["rows"]["vnet_16"]["runs"] == [[0, 0], [1, 1]]
    call(project, "lassl", "compose", "profile=tiny", "method=vnet_16")
    assert "train" not in ran(call(project, "dvc", "repro", "table@tiny"))
