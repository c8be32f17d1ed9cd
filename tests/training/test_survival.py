"""Training processes that are killed, stopped or starved, and started again: they end as if nothing had happened."""

import multiprocessing
import os
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path
from types import ModuleType

import numpy as np
import psutil
import pytest
import torch

from helpers.project import ROOT
from helpers.training_process import work
from helpers.trainings import settings
from lassl.data.label_split import choose_cases
from lassl.data.patches import Batch, PatchSource
from lassl.learning.base import Progress
from lassl.model.placement import place
from lassl.model.trained import load_model
from lassl.paths import Run
from lassl.plumbing.errors import LasslError
from lassl.settings.config import Config
from lassl.training import checkpoints as checkpoint
from lassl.training.loop import first_state, fit
from lassl.training.step import NotFinite
from lassl.training.train import train

pytestmark = pytest.mark.slow

PROCESSES = multiprocessing.get_context("forkserver")


@pytest.fixture(autouse=True, scope="module")
def server_with_torch(tiny_data):
    """A server that has imported torch once: each training is a process of its own that starts in milliseconds."""
    forkserver._forkserver._stop()  # preparation has started one without torch
    PROCESSES.set_forkserver_preload(["lassl.training.train", "torch._dynamo"])  # torch.optim imports it at first use
    yield
    forkserver._forkserver._stop()  # whoever needs a server next starts another one


@dataclass(frozen=True)
class Result:
    weights: str
    curves: dict[str, bytes]
    resumed: int


@dataclass(frozen=True)
class Trainer:
    """Starts trainings of one run in one folder."""

    config: Config
    run: Run
    folder: Path

    def start(self) -> multiprocessing.Process:
        self.folder.mkdir(exist_ok=True)
        process = PROCESSES.Process(target=work, args=(self.config, self.run, self.folder))
        ours = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")  # else the process would import pytest's
        process.start()
        sys.modules["__main__"] = ours
        return process

    def finish(self) -> Result:
        process = self.start()
        process.join()
        assert process.exitcode == 0, self.told()
        assert not (self.folder / self.run.checkpoints).exists()
        record = load_model(self.folder / self.run.model).record
        curves = {path.name: path.read_bytes() for path in (self.folder / self.run.curves).iterdir()}
        return Result(record.weights_sha256, curves, record.training.resumed)

    def told(self) -> str:
        return (self.folder / "stderr").read_text() if (self.folder / "stderr").exists() else ""

    def wait_until_told(self, text: str, times: int = 1) -> None:
        limit = time.monotonic() + 60
        while self.told().count(text) < times:
            assert time.monotonic() < limit, self.told()
            time.sleep(0.005)

    def checkpoints(self) -> list[Path]:
        return sorted((self.folder / self.run.checkpoints).glob("step-*.pt"))


@pytest.fixture
def trainer(tiny_data, tmp_path):
    """Make a trainer; `minutes` between checkpoints, 0: after every step."""

    def make(method: str, folder: str, minutes: float = 0, **changes) -> Trainer:
        running = {"running": {"workers": 0, "checkpoint_minutes": minutes}, "train": {"steps": 20}}
        config = settings(tiny_data, **(running | changes))
        return Trainer(config, config.run(method, 0, 0), tmp_path / folder)

    return make


KILLS = {"vnet_16": 10, "cps_alw": 5, "mt_un_lovasz": 5}


def test_the_number_of_random_kills_is_the_one_that_the_guarantees_tell():
    page = " ".join((ROOT / "docs/guarantees.md").read_text().split())
    assert f"kill training processes {sum(KILLS.values())} times at random moments" in page


@pytest.mark.parametrize(("method", "kills"), KILLS.items())
def test_killed_at_random_moments_a_training_ends_with_the_same_weights_and_curves(trainer, method, kills):
    few = {"train": {"steps": 10}}  # a checkpoint after each: the moments count, not the steps
    expected = trainer(method, "whole", **few).finish()
    began = time.monotonic()
    assert trainer(method, "twice", **few).finish() == expected
    takes = time.monotonic() - began
    killed = resumed = 0
    while killed < kills or not resumed:
        again = trainer(method, f"after {killed} kills", **few)
        while killed < kills or not resumed:
            process = again.start()
            process.join(np.random.default_rng().uniform(0, takes))
            if process.exitcode is not None:
                break
            process.kill()
            process.join()
            killed += 1
            resumed += bool(again.checkpoints())
        assert process.exitcode in (0, -signal.SIGKILL), again.told()
        found = again.finish()
        assert (found.weights, found.curves) == (expected.weights, expected.curves)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_asked_to_stop_a_training_saves_first_and_goes_on_later(trainer, number):
    expected = trainer("mt_un", "whole", minutes=60).finish()
    again = trainer("mt_un", "stopped", minutes=60)
    process = again.start()
    again.wait_until_told("train:")
    os.kill(process.pid, number)
    process.join()
    assert process.exitcode == 128 + number
    (saved,) = again.checkpoints()
    step = int(saved.stem.removeprefix("step-"))
    assert f"stopped by {number.name} after step {step} of 20; it is saved" in again.told()
    found = again.finish()
    assert f"resuming from step {step} of 20" in again.told()
    assert (found.weights, found.curves, found.resumed) == (expected.weights, expected.curves, 1)


def loading_processes(training: multiprocessing.Process) -> list[psutil.Process]:
    """The two loading processes of a training, once both are at work."""
    limit = time.monotonic() + 8
    while (
        len(found := [p for p in psutil.Process(training.pid).children(recursive=True) if ignores(p, signal.SIGTERM)])
        < 2
    ):
        assert time.monotonic() < limit
        time.sleep(0.01)
    return found


def ignores(process: psutil.Process, number: int) -> bool:
    """Whether a process ignores a signal."""
    (line,) = (x for x in Path(f"/proc/{process.pid}/status").read_text().splitlines() if x.startswith("SigIgn:"))
    return bool(int(line.split()[1], 16) >> (number - 1) & 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_whole_group_leaves_the_loading_processes_until_the_training_has_saved(trainer, number):
    running = {"running": {"workers": 2, "checkpoint_minutes": 60}, "train": {"steps": 100}}
    again = trainer("mt_un", "stopped", **running)
    process = again.start()
    again.wait_until_told("train:")
    loading = loading_processes(process)
    for each in loading:  # they hear it first
        each.send_signal(number)
    time.sleep(0.5)
    assert process.exitcode is None and all(each.is_running() for each in loading), again.told()
    os.kill(process.pid, number)
    process.join()
    assert process.exitcode == 128 + number
    assert len(again.checkpoints()) == 1 and again.told().count("stopping: the training finishes this step") == 1
    assert not psutil.wait_procs(loading, timeout=30)[1]


def test_loading_processes_end_with_a_training_that_is_killed(trainer):
    again = trainer("mt_un", "killed", running={"workers": 2, "checkpoint_minutes": 60}, train={"steps": 1000})
    process = again.start()
    again.wait_until_told("train:")
    loading = loading_processes(process)
    process.kill()
    process.join()
    assert not psutil.wait_procs(loading, timeout=30)[1]


def killed_late(trainer: Trainer, after: int = 2) -> None:
    """Train and kill once there is a checkpoint of that step or a later one, and the one before it."""
    process = trainer.start()
    while len(found := trainer.checkpoints()) < 2 or int(found[-1].stem.removeprefix("step-")) < after:
        assert process.exitcode is None, trainer.told()
        time.sleep(0.001)
    process.kill()
    process.join()


def test_a_damaged_checkpoint_is_reported_and_the_one_before_it_leads_to_the_same_end(trainer):
    expected = trainer("vnet_16", "whole").finish()
    again = trainer("vnet_16", "damaged")
    killed_late(again)
    before, newest = again.checkpoints()
    os.truncate(newest, np.random.default_rng().integers(newest.stat().st_size))
    found = again.finish()
    assert f"{newest.name}: damaged checkpoint" in again.told()
    assert f"resuming from step {int(before.stem.removeprefix('step-'))} of" in again.told()
    assert (found.weights, found.curves) == (expected.weights, expected.curves)


def test_a_killed_training_ends_with_the_same_snapshots_those_from_before_included(trainer):
    keep = {"snapshots": {"count": 5}}  # after 10, 12, 14, 16 and 18 of 20 steps
    whole, again = trainer("cps", "whole", **keep), trainer("cps", "killed", **keep)
    expected = whole.finish()
    killed_late(again, after=13)
    found = again.finish()
    assert (found.weights, found.resumed) == (expected.weights, 1)
    first, second = (load_model(each.folder / each.run.model).snapshots for each in (whole, again))
    assert list(first) == list(second) == [10, 12, 14, 16, 18]
    for step, weights in first.items():
        assert weights.keys() == second[step].keys()
        assert all(torch.equal(value, second[step][name]) for name, value in weights.items())


def test_a_changed_setting_never_resumes_from_the_old_training(trainer):
    expected = trainer("vnet_16", "whole", train={"steps": 20, "lr": 0.02}).finish()
    killed_late(trainer("vnet_16", "changed"))
    changed = trainer("vnet_16", "changed", train={"steps": 20, "lr": 0.02})
    found = changed.finish()
    assert "another training (different settings)" in changed.told()
    assert (found.weights, found.resumed) == (expected.weights, 0)


def test_a_second_process_is_refused_while_one_trains_a_run(trainer):
    first = trainer("vnet_16", "same", minutes=60, train={"steps": 400})
    process = first.start()
    first.wait_until_told("train:")
    second = first.start()
    second.join()
    assert second.exitcode == 1
    assert f"process {process.pid} is training this run" in first.told()
    process.kill()
    process.join()


def test_a_loss_that_is_not_finite_leaves_the_batch_and_the_state_that_gave_it(tiny_data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = settings(tiny_data, train={"lr": 1e30, "steps": 10})
    run = config.run("vnet_16", 0, 0)
    with pytest.raises(
        LasslError, match=r"step \d+: the loss is not finite .* are saved in (?P<path>\S+); try a lower"
    ) as told:
        train(config, run)
    (path,) = run.checkpoints.glob("not-finite-*.pt")
    assert str(path) in str(told.value)
    content = checkpoint.read(path)["state"]
    where = place(config.compute)
    state = first_state(config, config.methods["vnet_16"], where, run.seed)
    state.load_state_dict(content)
    assert len(state.curves) == state.step > 0
    batch = Batch(**content["batch"])
    with pytest.raises(NotFinite):
        state.advance(batch, Progress(state.step, 10, 0, run.seed), [1.0], where)


def test_an_unreadable_case_is_named_and_what_was_saved_stays_good(trainer, tiny_data, tmp_path):
    copy = tmp_path / "prepared"
    shutil.copytree(tiny_data.prepared, copy)
    expected = trainer("cps", "whole").finish()
    again = trainer("cps", "broken", data={"cohort": str(copy)})
    killed_late(again)
    case = copy / "C4.h5"
    content = case.read_bytes()
    os.truncate(case, len(content) // 2)
    process = again.start()
    process.join()
    assert process.exitcode == 1
    assert f"{case}: cannot read the image" in again.told()
    case.write_bytes(content)
    found = again.finish()
    assert found.weights == expected.weights and found.resumed > 0


@pytest.mark.parametrize("workers", [1, 3])
def test_the_number_of_loading_processes_changes_nothing(trainer, workers):
    expected = trainer("mt_un", "alone").finish()
    running = {"workers": workers, "checkpoint_minutes": 60}
    found = trainer("mt_un", "helped", running=running).finish()
    assert (found.weights, found.curves) == (expected.weights, expected.curves)


def test_chance_used_elsewhere_moves_nothing(tiny_data, prepared):
    config = settings(tiny_data)
    method = config.methods["mt_un"]
    where = place(config.compute)
    label_split = choose_cases(prepared.split.train, prepared.with_label, 3, 3, 0)

    class Wasteful(PatchSource):
        def __getitem__(self, step):
            np.random.random(step + 1)  # noqa: NPY002
            torch.rand(step + 1)
            return super().__getitem__(step)

    ends = []
    for kind in (PatchSource, Wasteful):
        source = kind(prepared, label_split, config.patches, method.batch, 0)
        ends.append(fit(config, method, source, where, 0).algorithm.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(*(end.values() for end in ends), strict=True))
