"""What stops a run is found before anything is made: rows that ask for too much, files not in git, another Python."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.project import ROOT, composed
from helpers.runs import CONFIG
from lassl.cli import check_project
from lassl.plumbing.errors import LasslError
from lassl.runs.label_counts import to_learn_from, too_few
from lassl.settings.config import load
from pipeline import ready
from pipeline.code import behind
from pipeline.ready import missing, unknown_to_git


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Settings of the tiny profile with changes, in a folder with its split file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "splits").mkdir()
    (tmp_path / "splits/synthetic.csv").write_bytes((ROOT / "splits/synthetic.csv").read_bytes())
    return lambda *changes: load(composed("profile=tiny", *changes))


def test_rows_that_fit_the_cohort_are_ready(asked):
    assert too_few(asked()) == too_few(asked("mode=tuning")) == []
    assert [len(cases) for cases in to_learn_from(asked())] == [80, 80]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (["method=cps", "labels.few.unlabeled=65"], "cps: expected 16 labeled + 65 unlabeled cases, found 80"),
        (["method=vnet_80", "mode=tuning", "labels.all=80"], "vnet_80: expected 80 labeled"),
        (["method=vnet_16", "mode=tuning", "cases.tuning=80"], "splits/synthetic.csv: found 80 training cases, 80"),
    ],
)
def test_counts_that_a_cohort_cannot_give_are_told_row_by_row(asked, changes, told):
    problems = too_few(asked(*changes))
    assert len(problems) == 1 and problems[0].startswith(told)


def test_the_stage_tells_them_before_anything_is_made(asked, tmp_path, monkeypatch):
    composed("profile=tiny", "labels.few.unlabeled=65").rename("params.yaml")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(LasslError, match="65 unlabeled cases") as error:
        ready.main()
    assert len(str(error.value).splitlines()) > 1
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ([], "the numbers are in conf/method/cps.yaml"),
        (["mode=tuning"], "in conf/method/cps.yaml use ${labels.few.labeled} and ${labels.few.unlabeled}, because"),
    ],
)
def test_a_row_with_numbers_of_its_own_is_sent_to_its_file(asked, changes, remedy):
    config = asked("method=cps", *changes)
    row = config.methods["cps"].model_copy(update={"labeled": 16, "unlabeled": 70})
    Path("conf/method").mkdir(parents=True)
    Path("conf/method/cps.yaml").write_text("labeled: 16\nunlabeled: 70\n")
    (line,) = too_few(config.model_copy(update={"methods": {"cps": row}}))
    assert line.startswith("cps: expected 16 labeled + 70 unlabeled cases, found ") and f"; {remedy}" in line


def test_a_row_with_the_counts_of_its_profile_is_sent_to_the_profile(asked):
    (line,) = too_few(asked("method=cps", "labels.few.unlabeled=65"))
    assert line.endswith("; the numbers come from `labels` of the profile")


def with_counts(labeled: int, unlabeled: int):
    """The configuration with a row of these counts."""
    row = CONFIG.methods["cps"].model_copy(update={"labeled": labeled, "unlabeled": unlabeled})
    return CONFIG.model_copy(update={"methods": {"mine": row}})


def test_a_method_that_git_does_not_know_is_missed_in_the_copy_of_an_experiment(tmp_path, monkeypatch):
    copy = tmp_path / ".dvc/tmp/exps/tmp1"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    CONFIG.data.split.parent.mkdir(parents=True)
    CONFIG.data.split.touch()
    (line,) = missing(with_counts(16, 16))
    assert line.startswith("lassl/methods/cps.py: not found in this copy of the project") and "git add" in line
    Path("lassl/methods").mkdir(parents=True)
    Path("lassl/methods/cps.py").touch()
    assert missing(with_counts(16, 16)) == []


def test_new_files_are_named_while_an_experiment_is_made_and_only_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("conf/method/mine.yaml", "lassl/methods/mine.py", "data/raw/scan"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    monkeypatch.setenv("DVC_EXP_NAME", "some-name")
    assert unknown_to_git() == []  # no repository
    subprocess.run(["git", "init", "--quiet"], check=True)
    assert unknown_to_git() == ["conf/method/mine.yaml", "lassl/methods/mine.py"]
    subprocess.run(["git", "add", "conf", "lassl"], check=True)
    assert unknown_to_git() == []
    subprocess.run(["git", "reset", "--quiet"], check=False)
    monkeypatch.delenv("DVC_EXP_NAME")
    assert unknown_to_git() == []


def test_a_stage_under_a_python_without_the_packages_says_so_in_a_line():
    for module in ("ready", "train", "repro"):
        command = [sys.executable, "-S", "-m", f"pipeline.{module}"]  # -S: Python's own library alone
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=without_packages())
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert done.stderr.startswith(f"error: {sys.executable}: found a Python without the project's packages; ")


def without_packages() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"HOME": str(Path("/nowhere"))}


UNET = "network.name=helpers.small_unet:SmallUNet"
WRONG_NETWORKS = {
    ("network.name=nowhere:Net",): "network nowhere:Net: cannot find 'nowhere:Net' (No module named 'nowhere'); ",
    (UNET.replace("SmallUNet", "OneLogit"),): "network helpers.small_unet:OneLogit: on two patches of ",
    (UNET, "method=dtc"): "methods.dtc: algorithm dtc uses the network's encode, decode, head, and network helpers.",
}


@pytest.mark.parametrize("changes", WRONG_NETWORKS, ids=str)
def test_ready_and_doctor_tell_what_is_wrong_with_a_network_of_ones_own(tmp_path, monkeypatch, changes):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    composed("profile=tiny", *changes).rename("params.yaml")
    with pytest.raises(LasslError) as told:
        ready.main()
    assert str(told.value).startswith(f"params.yaml: {WRONG_NETWORKS[changes]}") and "\n" not in str(told.value)
    assert [finding.found for finding in check_project.network(load(), tmp_path)] == [str(told.value)]


def test_a_network_beside_the_project_is_found_by_the_doctor_as_by_the_stages(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "beside_it.py").write_text("from helpers.small_unet import SmallUNet\n")
    config = load(composed("profile=tiny", "network.name=beside_it:SmallUNet", "+network.options.width=3"))
    assert list(check_project.network(config, tmp_path)) == []


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("vnet", ""),
        ("lassl.model.vnet:VNet", ""),
        ("mynets:UNet", "mynets:UNet is not in lassl/, so DVC does not"),
    ],
)
def test_a_network_whose_edits_dvc_does_not_notice_is_told(asked, monkeypatch, capsys, name, told):
    composed("profile=tiny", f"network.name={name}").rename("params.yaml")
    monkeypatch.setattr(ready, "check_network", lambda *_: None)
    monkeypatch.setattr(ready, "sync_lock", lambda _: None)
    ready.main()
    assert told in (found := capsys.readouterr().err) and bool(told) == ("not in lassl/" in found)


def test_the_code_of_a_network_in_lassl_is_behind_training_evaluation_and_fields_of_view(asked):
    modules = behind(asked("network.name=lassl.seeds:UNet"))
    stages = {stage for stage, found in modules.items() if "lassl.seeds" in found}
    assert stages == {"evaluate", "fields_of_view", *(name for name in modules if name.startswith("train/"))}
