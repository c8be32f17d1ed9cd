"""Runs of other clones: which of them would replace scores that are here, and many of them together."""

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from dvc.dependency import ParamsDependency
from dvc.repo import Repo

from helpers.project import ROOT, composed
from helpers.runs import cases, plain, write_run
from lassl.cli.main import run as run_command
from lassl.paths import Run
from lassl.plumbing.files import write_text
from lassl.plumbing.yaml_text import yaml_text
from lassl.results.runs import read_results
from lassl.runs.collect import Finished, Here, lost
from lassl.runs.lockfile import LOCK, Entries, read_entries
from lassl.runs.requested import asked, stages_of
from lassl.settings.config import Config, load


def test_scores_of_another_make_of_a_run_would_be_lost_and_times_in_its_record_would_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cases, record = Path("metrics/tiny/a.csv"), Path("metrics/tiny/records/a.yaml")
    run = Finished({}, {cases: b"new", record: b"seconds: 3"}, ("weights", {cases: b"new"}))
    assert lost(run) is None
    record.parent.mkdir(parents=True)
    record.write_text("seconds: 2")
    cases.write_text("new")
    assert lost(run) is None
    cases.write_text("earlier")
    assert lost(run) == cases


def made(runs: Iterable[Run], config: Config, here: Here) -> None:
    """Invent these runs in the current folder, with the entries that DVC would write for the stages of `here`."""
    entries = {}
    for run in runs:
        write_run(run.method, run.label_split, run.seed, cases((80 + run.seed, 90 - run.label_split)))
        own = {}
        for name in stages_of(config, run):
            entries[name] = entry(here, here.stages[name], own)
            own |= {out["path"]: out["md5"] for out in entries[name]["outs"]}
    write_text(LOCK, yaml_text({"schema": "2.0", "stages": entries}))


def entry(here: Here, stage: Any, own: Mapping[str, str]) -> Entries:
    """What DVC would write of a stage; `own` are the outputs of the same run so far."""
    params = [dep for dep in stage.deps if isinstance(dep, ParamsDependency)]
    files = [dep for dep in stage.deps if dep not in params]
    return {
        "cmd": stage.cmd,
        "deps": [{"path": dep.def_path, "md5": own.get(dep.def_path) or dep.get_hash().value} for dep in files],
        "params": {dep.def_path: deepcopy(here.settings(dep)) for dep in params},
        "outs": [{"path": out.def_path, "md5": md5_of(Path(out.def_path))} for out in stage.outs],
    }


def md5_of(path: Path) -> str:
    """The hash of a file, of the name of what is only invented."""
    content = path.read_bytes() if path.is_file() else str(path).encode()
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


@pytest.fixture
def project(tmp_path, monkeypatch) -> Iterator[tuple[Path, Config, Here]]:
    """A project of seven rows, two label splits and five seeds, its code and data, and DVC's stages of it."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    composed("label_splits=[0,1]", "seeds=[0,1,2,3,4]", "fields_of_view=[]").rename("params.yaml")
    shutil.copy(ROOT / "dvc.yaml", folder)
    Repo.init(".", no_scm=True).close()
    config = load()
    with Repo() as repo:
        stages = {stage.addressing: stage for stage in repo.index.stages}
        run_stages = [stages[name] for run in asked(config).values() for name in stages_of(config, run)]
        outs = {out.def_path for stage in run_stages for out in stage.outs}
        for path in {dep.def_path for stage in run_stages for dep in stage.deps} - outs - {"params.yaml"}:
            write_text(Path(path), f"what {path} holds\n")
        yield folder, config, Here(stages)


@pytest.mark.slow
def test_sixty_runs_of_two_clones_are_collected_and_stand_in_one_table(project, tmp_path, monkeypatch, capsys):
    folder, config, stages = project
    names, runs = list(asked(config)), list(asked(config).values())
    for box, part in (("one", runs[:35]), ("two", runs[25:62])):  # ten are of both
        shutil.copytree(folder, tmp_path / box)
        monkeypatch.chdir(tmp_path / box)
        made(part, config, stages)
    runs[60].cases.write_text("damaged")
    lock = read_entries(LOCK)
    lock[stages_of(config, runs[61])[0]]["params"]["params.yaml"]["train"]["steps"] = 7
    write_text(LOCK, yaml_text({"schema": "2.0", "stages": lock}))

    monkeypatch.chdir(folder)
    assert run_command(["collect", "../one", "../two"]) == 1
    told = capsys.readouterr()
    taken = [f"{name} of ../one" for name in names[:35]] + [f"{name} of ../two" for name in names[35:60]]
    same = [f"{name} of ../two: identical to ../one" for name in names[25:35]]
    assert told.out.splitlines() == taken + same
    damaged, other = told.err.splitlines()
    assert damaged == f"{names[60]} of ../two: refused because {runs[60].cases} does not match dvc.lock there"
    assert other.startswith(
        f"{names[61]} of ../two: refused because these inputs differ: settings (train.steps 7, here "
    )

    assert read_entries(LOCK).keys() == {name for run in runs[:60] for name in stages_of(config, run)}
    for run in runs[:60]:
        source = tmp_path / ("one" if run in runs[:35] else "two")
        assert {path.read_bytes() == (source / path).read_bytes() for path in run.published.values()} == {True}
    assert len(read_results(config.name)) == 60
    assert sum(len(row["runs"]) for row in plain()["rows"].values()) == 60

    before = LOCK.read_bytes()
    assert run_command(["collect", "../one"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{name} of ../one: identical to here" for name in names[:35]]
    assert LOCK.read_bytes() == before
