"""What the doctor says of machines and folders, in good order and in bad."""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from helpers.project import PARAMS_FILE, ROOT
from helpers.runs import CONFIG
from helpers.scans import locked_folder, write_case
from lassl.cli import check_data, check_machine, check_project, doctor
from lassl.cli import main as cli
from lassl.cli.check_machine import Finding
from lassl.plumbing import processor

GIB = 2**30


def marks(findings) -> list[str]:
    return [finding.mark for finding in findings]


def only(findings) -> Finding:
    (found,) = findings
    return found


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *words], cwd=folder, check=True)


@pytest.fixture(autouse=True)
def activated(monkeypatch):
    """This Python is the first in PATH, as in an activated .venv."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def clone(tmp_path):
    """A folder with what a clone of the project has that matters here."""
    shutil.copy(PARAMS_FILE, tmp_path)
    for name in ("constraints.txt", "dvc.yaml", ".dvc/config", "splits/synthetic.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "first")
    return tmp_path


# the whole


def test_in_an_empty_folder_it_names_what_is_missing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert doctor.run(argparse.Namespace()) == 1
    text = capsys.readouterr().out
    missing = [line for line in text.splitlines() if line.startswith("missing  ")]
    assert [line.split("; ")[0].removeprefix("missing  ") for line in missing] == [
        "params.yaml: not found",
        f"{tmp_path}: not a git repository",
        f"{tmp_path}: .dvc or dvc.yaml not found",
    ]
    assert "cannot be checked without a valid params.yaml" in text
    assert "warning  data/raw/la2018: found no scans" in text
    assert list(tmp_path.iterdir()) == []


def test_in_a_clone_nothing_is_missing_that_the_phantoms_need(clone, monkeypatch, capsys):
    monkeypatch.chdir(clone)
    assert cli.run(["doctor"]) == 0
    text = capsys.readouterr().out
    for start in (
        "ok       params.yaml: profile quick, vnet_16, ",
        "ok       git: at commit ",
        "ok       DVC: repository",
        "warning  DVC: no remote, so results cannot be shared; run `dvc remote add --default NAME URL`",
        "ok       data/raw/synthetic: phantoms; `dvc repro` draws them",
        "warning  data/raw/la2018: found no scans",
        "warning  data/prepared/synthetic: does not exist yet; `dvc repro` creates it",
    ):
        assert any(line.startswith(start) for line in text.splitlines()), start
    assert all(line[:9].strip() in ("ok", "warning") for line in text.splitlines())


def test_real_scans_that_params_yaml_asks_for_are_missing(clone, monkeypatch):
    monkeypatch.chdir(clone)
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["data"] |= {"cohort": "la2018", "folder": "data/raw/la2018", "split": "splits/la2018.csv"}
    Path("params.yaml").write_text(yaml.safe_dump(params | {"phantom": params["phantom"] | {"cohorts": []}}))
    assert doctor.run(argparse.Namespace()) == 1
    missing = [finding.found for finding in check_project.examine(Path()) if finding.mark == "missing"]
    assert [text.split(":")[0] for text in missing] == ["splits/la2018.csv", "data/raw/la2018"]


def test_without_any_package_it_still_tells_that_they_are_missing(clone):
    command = [sys.executable, "-S", "-m", "lassl.cli.doctor"]  # -S: Python's own library alone
    done = subprocess.run(
        command, cwd=clone, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert any(line.startswith("missing  ") and line.endswith(": not installed; run `make install`") for line in lines)
    assert any(line.startswith("warning  params.yaml: check failed (ModuleNotFoundError") for line in lines)
    assert any(line.startswith("ok       git: at commit ") for line in lines)


def test_a_check_that_cannot_be_made_says_so_and_keeps_what_it_found():
    def broken():
        yield Finding("ok", "the first half")
        raise RuntimeError("no\nsuch thing")

    assert check_project.attempt("the moon", broken) == [
        Finding("ok", "the first half"),
        Finding("warning", "the moon: check failed (RuntimeError: no such thing)"),
    ]


# the machine


@pytest.mark.parametrize(
    ("version", "mark"), [((3, 10), "missing"), ((3, 11), "ok"), ((3, 13), "ok"), ((3, 14), "missing")]
)
def test_python_is_one_that_it_was_tested_with(version, mark):
    found = only(check_machine.python(version))
    assert found.mark == mark
    assert found.found.startswith(f"Python 3.{version[1]}")


def other_python(folder: Path, answer: str) -> None:
    """A `python` that gives another answer to what it is asked."""
    folder.mkdir()
    (folder / "python").write_text(f"#!/bin/sh\nprintf '{answer}'\n")
    (folder / "python").chmod(0o755)


def test_the_python_of_the_stages_is_this_one(tmp_path, monkeypatch):
    assert list(check_machine.environment(tmp_path)) == []
    other_python(tmp_path / "bin", r"/usr\nFalse\n")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    found = only(check_machine.environment(tmp_path))
    assert found.mark == "missing"
    assert found.found.startswith(f"{tmp_path}/bin/python: DVC runs each stage with it, but this Python is")
    assert found.todo == "run `source .venv/bin/activate` first, or use `make repro`"
    other_python(tmp_path / "conda", r"/opt/conda\nTrue\n")  # with packages of its own
    monkeypatch.setenv("PATH", str(tmp_path / "conda"))
    assert only(check_machine.environment(tmp_path)).mark == "warning"
    monkeypatch.setenv("PATH", "")
    assert only(check_machine.environment(tmp_path)).found.startswith("no `python` in PATH")


def test_a_venv_that_was_moved_is_told(tmp_path):
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/activate").write_text(f"VIRTUAL_ENV='{tmp_path}/.venv'\n")
    assert list(check_machine.environment(tmp_path)) == []
    (tmp_path / ".venv/bin/activate").write_text("VIRTUAL_ENV='/elsewhere/lassl/.venv'\n")
    assert only(check_machine.environment(tmp_path)) == Finding(
        "missing", f"{tmp_path}/.venv: was created for another folder and moved", "run `make install`"
    )


def test_no_package_is_asked_for_that_an_installation_does_not_bring():
    told = map(str, check_machine.packages(ROOT / "constraints.txt"))
    assert [line for line in told if "not installed" in line] == []


def test_packages_are_compared_with_the_constraints(tmp_path):
    pinned = check_machine.installed("numpy")
    text = f"# exact\nnumpy=={pinned}\nPyYAML==0.1\nno-such-package==1.0\n"
    (tmp_path / "constraints.txt").write_text(text)
    needed = ["numpy>=2", "nowhere-to-be-found<4,>=3", 'absent-too>=1; extra == "dev"']
    found = list(check_machine.packages(tmp_path / "constraints.txt", needed))
    assert marks(found) == ["missing", "warning", "warning", "ok"]
    assert found[0].found == "nowhere-to-be-found: not installed"
    assert found[1].found == f"PyYAML {check_machine.installed('pyyaml')}, expected 0.1: figures may differ"
    assert found[2].found == "not installed from constraints.txt (1): no-such-package"
    assert found[3].found == "1 of 3 packages have the version in constraints.txt"


def test_a_version_that_is_pinned_for_another_python_is_not_asked_for(tmp_path):
    (tmp_path / "c.txt").write_text('absent-too==1.0 ; python_version < "3"\nabsent==2.0; python_version >= "3"\n')
    told = [finding.found for finding in check_machine.packages(tmp_path / "c.txt", [])]
    assert told[0] == "not installed from c.txt (1): absent" and told[1].startswith("0 of 1 ")


def test_a_build_of_the_same_version_is_no_difference(tmp_path):
    (tmp_path / "c.txt").write_text(f"torch=={check_machine.installed('torch').split('+')[0]}\n")
    assert only(check_machine.packages(tmp_path / "c.txt", ["torch>=2"])).mark == "ok"


def test_without_constraints_versions_are_not_compared(tmp_path):
    assert only(check_machine.packages(tmp_path / "constraints.txt", ["numpy"])).mark == "warning"


@pytest.mark.parametrize(("gib", "mark"), [(0.9, "missing"), (4.9, "warning"), (5, "ok")])
def test_a_full_disk_is_told(gib, mark):
    found = only(check_machine.disk(Path(), gib * GIB))
    assert (found.mark, found.found) == (mark, f"disk: {gib:.1f} GiB free")


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        (
            "flags\t\t: fpu avx512_bf16 sse\nbugs\t: spectre_bf16\nflags\t\t: fpu avx512_bf16 amx_bf16",
            ["amx_bf16", "avx512_bf16"],
        ),
        ("Features\t: fp asimd bf16 i8mm", ["bf16"]),
        ("flags\t\t: fpu avx2", []),
    ],
)
def test_bf16_is_read_from_the_processors_abilities(tmp_path, text, flags):
    (tmp_path / "cpuinfo").write_text(text)
    assert processor.bf16_units(tmp_path / "cpuinfo") == flags
    found = list(check_machine.cpu(tmp_path / "cpuinfo"))
    assert marks(found) == ["ok", "ok"]
    assert ("fp32" in found[1].found) == (not flags)


def test_a_processor_that_tells_nothing_is_not_judged(tmp_path):
    found = list(check_machine.cpu(tmp_path / "cpuinfo"))
    assert marks(found) == ["ok", "warning"]
    assert "support is unknown" in found[1].found


@pytest.mark.parametrize(("mib", "mark"), [(8192, "warning"), (11019, "ok"), (24576, "ok")])
def test_a_gpu_is_measured_by_the_paper_profile(mib, mark):
    found = check_machine.gpu("Card", mib * 2**20)
    assert (found.mark, found.found.split(",")[0]) == (mark, "GPU: Card")


@pytest.mark.parametrize(
    ("width", "size", "gib", "mark"),
    [
        (4, (32, 32, 16), 1.5, "warning"),
        (4, (32, 32, 16), 2, "ok"),
        (16, (112, 112, 80), 7.9, "warning"),
        (16, (112, 112, 80), 8, "ok"),
        (8, (112, 112, 80), 4, "ok"),
        (16, (112, 112, 160), 8, "warning"),
    ],
)
def test_memory_is_measured_by_width_and_patch_of_the_networks(width, size, gib, mark):
    changes = {
        "network": CONFIG.network.model_copy(update={"width": width}),
        "patches": CONFIG.patches.model_copy(update={"size": size}),
    }
    assert only(check_machine.memory(CONFIG.model_copy(update=changes), gib * GIB)).mark == mark


def test_the_device_that_params_yaml_asks_for_must_be_there_and_right():
    def told(size: tuple[int, int, int] = (48, 48, 48), **compute: str) -> Finding:
        config = CONFIG.model_copy(
            update={
                "compute": CONFIG.compute.model_copy(update=compute),
                "patches": CONFIG.patches.model_copy(update={"size": size}),
            }
        )
        return list(check_machine.device(config))[-1]

    assert told(device="cpu", precision="fp32").mark == "ok"
    assert told(device="cpu", precision="fp16").mark == "missing"
    wrong = told((32, 32, 16), device="cpu", precision="bf16")
    assert (wrong.mark, "bf16 gradients are wrong" in wrong.found) == ("missing", True)


# the project


def test_params_yaml_that_is_wrong_is_missing_line_by_line(tmp_path):
    text = PARAMS_FILE.read_text()
    (tmp_path / "params.yaml").write_text(text.replace("  lr: 0.1", "  lr: -1").replace("label_splits:", "drawn:"))
    found = list(check_project.settings(tmp_path))
    assert check_project.loaded(tmp_path) is None and marks(found) == ["missing"] * 3
    assert all("params.yaml: " in finding.found for finding in found)


def test_a_git_repository_without_a_commit_cannot_run_experiments(tmp_path):
    assert only(check_project.git(tmp_path)).mark == "missing"
    git(tmp_path, "init", "--quiet")
    assert only(check_project.git(tmp_path)).mark == "warning"
    git(tmp_path, "commit", "--quiet", "--allow-empty", "--message", "first")
    assert only(check_project.git(tmp_path)).mark == "ok"


def test_a_checkout_of_another_user_is_told_with_what_git_asks_for(tmp_path, monkeypatch):
    git(tmp_path, "init", "--quiet")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    found = only(check_project.git(tmp_path))
    assert (found.mark, "belongs to another user" in found.found) == ("missing", True)
    assert f"`git config --global --add safe.directory {tmp_path}`" in found.todo


def test_a_file_of_conf_that_dvc_could_not_compose_is_told(tmp_path):
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    assert list(check_project.conf(tmp_path / "conf")) == []
    with (tmp_path / "conf/profile/tiny.yaml").open("a") as file:
        file.write("label_splits: [0]\nlabel_splits: [1]\n")
    (tmp_path / "conf/profile/paper.yaml").write_text("# schön", "latin-1")
    found = list(check_project.conf(tmp_path / "conf"))
    assert marks(found) == ["missing", "missing"]
    assert "paper.yaml: found byte 0xf6" in found[0].found and "the key label_splits occurs twice" in found[1].found


def test_what_may_not_be_read_is_missing(tmp_path, monkeypatch):
    def locked():
        yield Finding("ok", "the first half")
        raise PermissionError(13, "Permission denied", "split.csv")

    assert check_project.attempt("data", locked)[1].mark == "missing"
    assert "data: split.csv: permission denied; check its owner" in str(check_project.attempt("data", locked)[1])
    locked_folder(monkeypatch, tmp_path / "raw/A")
    write_case(tmp_path / "raw", "A", (6, 5, 4))
    write_case(tmp_path / "raw", "B", (6, 5, 4))
    (tmp_path / "split.csv").write_text("case,split\nA,train\nB,test\n")
    found = only(check_data.scans(tmp_path / "raw", tmp_path / "split.csv", True))
    assert str(found).startswith(f"missing  {tmp_path}/raw/A: permission denied; check its owner")


def test_the_cache_and_the_remotes_of_dvc_are_found_where_its_configuration_says(clone):
    assert marks(check_project.dvc(clone)) == ["ok", "warning", "warning"]
    (clone / "kept").mkdir()
    (clone / ".dvc/config.local").write_text("[cache]\n    dir = ../kept\n['remote \"share\"']\n    url = /mnt/share\n")
    found = list(check_project.dvc(clone))
    assert marks(found) == ["ok", "ok", "ok"]
    assert [finding.found for finding in found[1:]] == [f"DVC: cache {clone / 'kept'}", "DVC: remote share"]
    (clone / "dvc.yaml").unlink()
    assert only(check_project.dvc(clone)).mark == "missing"


def test_scans_are_counted_against_the_split(tmp_path):
    for case in ("A", "B", "C"):
        write_case(tmp_path / "raw", case, (6, 5, 4))
    split = tmp_path / "split.csv"
    split.write_text("case,split\nA,train\nB,train\nC,test\n")
    found = only(check_data.scans(tmp_path / "raw", split, True))
    assert (found.mark, found.found) == ("ok", f"{tmp_path / 'raw'}: 3 of 3 cases of {split} (challenge)")
    (tmp_path / "raw/A/laendo.nrrd").unlink()  # a training case may do without
    assert only(check_data.scans(tmp_path / "raw", split, True)).mark == "ok"
    (tmp_path / "raw/C/laendo.nrrd").unlink()
    (tmp_path / "raw/B/lgemri.nrrd").unlink()
    found = only(check_data.scans(tmp_path / "raw", split, True))
    told = f"2 of 3 cases of {split} (challenge), 2 files are missing, such as {tmp_path / 'raw/B/lgemri.nrrd'}"
    assert (found.mark, found.found) == ("missing", f"{tmp_path / 'raw'}: {told}")
    assert only(check_data.scans(tmp_path / "raw", split, False)).mark == "warning"
    found = list(check_data.scans(tmp_path / "nowhere", tmp_path / "no.csv", True))
    assert marks(found) == ["missing", "missing"]


def test_what_preparation_changes_of_the_scans_is_told_and_refused_for_h5_files(tmp_path):
    def told(**changes):
        wanted = CONFIG.data.model_validate({**CONFIG.data.model_dump(), "folder": tmp_path / "raw", **changes})
        return list(check_data.changes(CONFIG.model_copy(update={"data": wanted}), tmp_path / "raw"))

    assert told(spacing_mm=(1, 1, 2.5)) == []  # without scans: that is told elsewhere
    (tmp_path / "raw/A").mkdir(parents=True)
    (tmp_path / "raw/A/image.nrrd").write_bytes(b"")
    assert told() == []
    grid, intensities = told(spacing_mm=(1, 1, 2.5), orientation="LPS", normalize={"clip": (-100, 300)})
    assert grid == Finding("ok", "scans are brought to 1 x 1 x 2.5 mm, LPS; masks are scored on the scans' own grids")
    assert intensities == Finding("ok", "intensities are clipped to [-100, 300], then normalized scan by scan")
    (tmp_path / "raw/A/image.nrrd").rename(tmp_path / "raw/A/mri_norm2.h5")
    assert told() == []
    (found,) = told(orientation="LPS", normalize={"clip": (-100, 300)})
    assert found.mark == "missing"
    assert "so data.orientation and data.normalize cannot change them; use scans as NRRD or NIfTI" in found.found


def labels(tmp_path: Path, tuning: int, labeled: int, unlabeled: int) -> Finding:
    """What is said of labels: six training cases, of which the third has none, and one row."""
    none = ["", "", "none", "", "", ""]
    (tmp_path / "split.csv").write_text(
        "case,split,label\n" + "".join(f"C{i},train,{label}\n" for i, label in enumerate(none)) + "T,test,\n"
    )
    row = CONFIG.methods["cps"].model_copy(update={"labeled": labeled, "unlabeled": unlabeled})
    changes = {
        "data": CONFIG.data.model_copy(update={"split": Path("split.csv")}),
        "cases": CONFIG.cases.model_copy(update={"tuning": tuning}),
        "methods": {"cps": row},
    }
    return only(check_data.label_counts(CONFIG.model_copy(update=changes), tmp_path))


def test_labels_are_counted_without_the_cases_that_the_tuning_mode_scores(tmp_path):
    assert labels(tmp_path, 0, 2, 4).found.endswith("split.csv: 5 of 6 training cases have a label to learn from, "
                                                    "enough for every row")  # fmt: skip
    assert labels(tmp_path, 2, 2, 2).found.endswith("3 of 4 training cases have a label to learn from, "
                                                    "enough for every row")  # fmt: skip
    found = labels(tmp_path, 2, 2, 4)
    assert found.mark == "missing" and "expected 2 labeled + 4 unlabeled cases, found 4 training cases" in found.found
    assert "found 6 training cases, 5 with a label, but cases.tuning is 6; leave" in labels(tmp_path, 6, 1, 1).found


def test_it_is_said_where_sweeps_belong():
    found = only(check_project.tuning(CONFIG))
    assert (found.mark, "`-S mode=tuning`" in found.todo) == ("ok", True)
    cases = CONFIG.cases.model_copy(update={"tuning": 16})
    found = only(check_project.tuning(CONFIG.model_copy(update={"cases": cases, "variant": "-tuning"})))
    assert str(found) == (
        "ok       tuning: runs score the last 16 labeled training cases; searches go to metrics/quick-tuning"
    )


def test_a_prepared_cohort_is_counted_and_a_damaged_one_is_made_again(tiny_data, tmp_path):
    folder = tmp_path / "prepared"
    assert only(check_data.prepared(folder)).mark == "warning"
    shutil.copytree(tiny_data.prepared, folder)
    assert only(check_data.prepared(folder)) == Finding("ok", f"{folder}: 8 of 8 prepared cases")
    (folder / "C3.h5").unlink()
    found = only(check_data.prepared(folder))
    assert (found.mark, found.found) == ("warning", f"{folder}: 7 of 8 prepared cases")
    (folder / "manifest.json").write_text("{")
    assert "damaged" in only(check_data.prepared(folder)).found


def test_curves_that_are_asked_for_need_their_package(monkeypatch):
    asked = CONFIG.model_copy(update={"running": CONFIG.running.model_copy(update={"tensorboard": True})})
    monkeypatch.setattr(check_project, "installed", lambda name: None)
    assert only(check_project.curves(asked)).mark == "missing"
    assert list(check_project.curves(CONFIG)) == []
    monkeypatch.setattr(check_project, "installed", lambda name: "2.21")
    assert list(check_project.curves(asked)) == []
