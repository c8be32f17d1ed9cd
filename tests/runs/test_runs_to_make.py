"""The runs that params.yaml asks for: their stages are those of dvc.yaml; how far each is, how long the rest takes."""

import fnmatch
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.project import PARAMS_FILE, ROOT
from helpers.runs import CONFIG, write_run
from lassl.model.record import read_record
from lassl.plumbing.errors import LasslError
from lassl.runs import in_cache
from lassl.runs.requested import alike, asked, find, minutes, not_prepared, stages_of, state

PLAIN = CONFIG.model_copy(update={"fields_of_view": ()})
RUN = next(iter(asked(PLAIN).values()))
TRAIN, EVALUATE, PUBLISH = stages_of(PLAIN, RUN)


def test_the_stages_of_all_runs_are_those_of_dvc_yaml(tmp_path, monkeypatch):
    from dvc.repo import Repo

    monkeypatch.chdir(tmp_path)  # DVC names stages as seen from here
    shutil.copy(PARAMS_FILE, tmp_path)
    shutil.copy(ROOT / "dvc.yaml", tmp_path)

    named = [name for run in asked(CONFIG).values() for name in stages_of(CONFIG, run)]
    Repo.init(str(tmp_path), no_scm=True).close()
    with Repo(str(tmp_path)) as repo:
        known = {stage.addressing for stage in repo.index.stages}
    assert set(named) == {name for name in known if name.startswith(("train", "evaluate", "publish", "fields"))}
    assert len(named) == len(set(named))


def test_a_run_on_other_fields_of_view_has_a_stage_for_each_after_the_others():
    config = CONFIG.model_copy(update={"fields_of_view": ("whole", "center")})
    fields = [f"fields_of_view@{CONFIG.name}-{RUN.method}-0-0-{field}" for field in ("whole", "center")]
    assert stages_of(config, RUN) == [TRAIN, EVALUATE, PUBLISH, *fields]


def test_a_run_that_is_not_asked_for_is_refused_by_name():
    assert find(CONFIG, f"{RUN.profile}/{RUN.name}") == RUN
    with pytest.raises(LasslError, match=r"paper/cps-d0-s0: not a run of params\.yaml, which has quick/"):
        find(CONFIG, "paper/cps-d0-s0")


def outs(**paths: str) -> list[dict]:
    return [{"changed outs": paths}]


@pytest.mark.parametrize(
    "changed, expected",
    [
        ({}, None),
        ({"train@quick-mine-0-0": ["changed command"], "table@quick": ["changed command"]}, None),
        ({TRAIN: [{"changed deps": {"build/code": "modified"}}], PUBLISH: outs(csv="deleted")}, "missing"),
        ({TRAIN: [{"changed deps": {"params.yaml": {"train": "modified"}}}]}, "missing"),
        ({TRAIN: ["changed command"]}, "missing"),
        ({TRAIN: outs(model="not in cache")}, "missing"),
        ({TRAIN: outs(model="deleted"), EVALUATE: [{"changed deps": {"model": "deleted"}}]}, None),
        ({EVALUATE: [{"changed deps": {"build/code": "modified"}}], PUBLISH: outs(csv="deleted")}, "trained"),
        ({PUBLISH: outs(csv="deleted")}, "evaluated"),
        ({PUBLISH: [{"changed deps": {"predictions": "deleted"}}]}, None),
    ],
)
def test_how_far_a_run_is_goes_by_its_first_stage_that_has_to_run(changed, expected):
    assert state(PLAIN, RUN, changed) == expected


@pytest.mark.parametrize(
    "fields, left, kept",
    [((), {"cps": "missing"}, ["vnet_80"]), (("whole",), {"vnet_80": "evaluated", "cps": "missing"}, [])],
)
def test_a_run_in_the_cache_is_not_left_but_for_its_other_fields_of_view(monkeypatch, fields, left, kept):
    """The training of one run differs from what is in place, as after an experiment, and lies in the cache."""
    config = CONFIG.model_copy(update={"fields_of_view": fields})
    runs = {name: config.run(name, 0, 0) for name in ("vnet_16", "vnet_80", "cps")}
    changed = {stages_of(config, runs[name])[0]: outs(model="modified") for name in ("vnet_80", "cps")}
    asked_for = {}
    monkeypatch.setattr(in_cache, "in_cache", lambda stages: asked_for.update(stages) or {"vnet_80"})
    assert in_cache.left_and_kept(config, runs, changed) == (left, kept)
    assert asked_for == {name: stages_of(config, runs[name])[:2] for name in ("vnet_80", "cps")}


@pytest.mark.slow
def test_what_dvc_made_before_lies_in_its_cache_though_other_settings_are_in_place(tmp_path, monkeypatch):
    """A model by a first setting, then by a second one, then the first again: it is not to be made."""
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text(
        "stages:\n"
        "  train: {cmd: cp params.yaml model, params: [rate], deps: [code], outs: [model]}\n"
        "  evaluate: {cmd: cp model masks, deps: [model], outs: [masks]}\n"
    )
    Path("code").touch()
    dvc = [Path(sys.executable).parent / "dvc"]
    subprocess.run([*dvc, "init", "--quiet", "--no-scm"], check=True)
    for rate in (1, 2):
        Path("params.yaml").write_text(f"rate: {rate}\n")
        subprocess.run([*dvc, "repro", "--quiet"], check=True)
    both = {"run": ["train", "evaluate"]}
    assert in_cache.in_cache(both) == {"run"}
    Path("params.yaml").write_text("rate: 1\n")
    Path("model").unlink()
    assert in_cache.in_cache(both) == {"run"} and not Path("model").exists()
    Path("params.yaml").write_text("rate: 3\n")
    assert in_cache.in_cache(both) == set()
    Path("params.yaml").write_text("rate: 1\n")
    shutil.rmtree(".dvc/cache/files")
    assert in_cache.in_cache(both) == set() and in_cache.in_cache({}) == set()


def test_what_all_runs_depend_on_is_told_apart_from_runs():
    assert not_prepared({"prepare@la2018": [], TRAIN: [], "code": [], "table@quick": []}) == ["prepare@la2018", "code"]


def test_minutes_are_those_of_the_median_step_and_evaluation_of_like_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    steps = CONFIG.train.steps
    runs = [write_run("cps", seed=i, seconds=60.0 * (i + 1), evaluation={"seconds": 30.0}) for i in range(3)]
    runs.append(write_run("cps", seed=3, seconds=60.0 * 20, steps=10 * steps, evaluation={"seconds": 30.0}))
    other = write_run("vnet_16", seconds=60_000.0)
    records = [read_record(run.record) for run in (*runs, other)]
    like = alike(CONFIG, CONFIG.run("cps", 0, 0), records)
    assert like == records[:4]  # another batch, another cost
    assert minutes(CONFIG, "missing", like) == pytest.approx(2.0 + 0.5)  # of 1, 2, 3 and 2 minutes for as many steps
    assert minutes(CONFIG, "trained", like) == pytest.approx(0.5)
    assert minutes(CONFIG, "evaluated", like) == 0
    assert minutes(CONFIG, "missing", []) is None


@pytest.mark.parametrize("fields, patterns", [((), 1), (("whole", "center"), 2)])
def test_cluster_run_asks_dvc_for_the_stages_of_its_run_and_no_other_in_as_few_patterns_as_go(
    tmp_path, monkeypatch, fields, patterns
):
    config = CONFIG.model_copy(update={"fields_of_view": fields, "label_splits": (0, 1), "seeds": tuple(range(12))})
    run = find(config, f"{CONFIG.name}/cps-d0-s1")
    for name, words in {"lassl": " ".join(stages_of(config, run)), "dvc": '"$@"'}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\nprintf '%s\\n' {words}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "cluster").mkdir()
    script = shutil.copy(ROOT / "cluster/run", tmp_path / "cluster")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    subprocess.run([script, f"{run.profile}/{run.name}"], check=True)
    asked_of_dvc = (tmp_path / "logs" / run.profile / f"{run.name}.log").read_text().split()
    assert asked_of_dvc[:4] == ["--wait-for-lock", "repro", "--single-item", "--glob"]
    assert len(targets := asked_of_dvc[4:]) == patterns
    known = [name for other in asked(config).values() for name in stages_of(config, other)]
    assert [name for pattern in targets for name in fnmatch.filter(known, pattern)] == stages_of(config, run)
