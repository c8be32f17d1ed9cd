"""Runs side by side: how many, what their logs tell, what is shown, and how they are stopped."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from helpers.command import lassl
from helpers.project import ROOT
from helpers.runs import CONFIG
from lassl.plumbing.errors import LasslError, Stopped, interrupted_by_signals
from lassl.plumbing.progress import FOLLOWED, bar
from lassl.runs import leash, repro, workers
from lassl.runs.following import Display, Making, clock

pytestmark = pytest.mark.slow

TRAINING = b"Running stage 'train@quick-cps-0-0':\n> python -m pipeline.train cps 0 0\n"
BAR = '{"done": 108, "total": 240, "seconds_left": 13.4, "scores": "loss 0.412, Dice 0.531"}'


def making(
    log: bytes = b"", progress: Path = Path("none"), name: str = "quick/cps-d0-s0", words: tuple[str, ...] = ("true",)
) -> Making:
    process = subprocess.Popen([sys.executable, "-c", *words], start_new_session=True, stdout=subprocess.PIPE)
    file = io.BytesIO(log)
    file.name = f"logs/{name}.log"
    return Making(name, {}, process, file, progress)


def with_compute(**changes):
    return CONFIG.model_copy(update={"compute": CONFIG.compute.model_copy(update=changes)})


@pytest.mark.parametrize(
    "cores, threads, memory, expected", [(8, 2, 64, 4), (8, 1, 9, 4), (1, 2, 64, 1), (64, 2, 1, 1)]
)
def test_there_is_a_worker_for_every_few_cores_as_far_as_memory_goes(monkeypatch, cores, threads, memory, expected):
    monkeypatch.setattr(workers, "cores", lambda: cores)
    monkeypatch.setattr(workers, "memory_gib", lambda: memory)
    config = with_compute(device="cpu", threads=threads)
    assert workers.training_gib(config) == 2
    assert workers.workers(config) == [{}] * expected
    assert workers.workers(config, 3) == [{}] * 3


def test_there_is_a_worker_for_each_card_and_more_share_them(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv(workers.CARDS, raising=False)
    assert [place[workers.CARDS] for place in workers.workers(with_compute(device="auto"))] == ["0", "1"]
    assert [place[workers.CARDS] for place in workers.workers(with_compute(device="auto"), 3)] == ["0", "1", "0"]
    monkeypatch.setenv(workers.CARDS, "3,5")
    assert [place[workers.CARDS] for place in workers.workers(with_compute(device="cuda"))] == ["3", "5"]
    assert workers.CARDS not in workers.workers(with_compute(device="cpu"), 1)[0]


def test_log_and_bar_tell_stage_share_scores_and_time_left(tmp_path):
    (tmp_path / "bar").write_text(BAR)
    run = making(TRAINING, tmp_path / "bar")
    assert (run.stage, run.share) == ("waiting", 0)
    run.follow()
    assert (run.stage, run.percent, run.told) == ("train", 45, "loss 0.412, Dice 0.531, 0:13 left")
    assert run.share == pytest.approx(0.45 * 0.8)
    (tmp_path / "bar").unlink()
    run.follow()
    assert run.percent == 45  # the bar of the training ended, and the next stage did not begin
    run.log = io.BytesIO(b"\nRunning stage 'fields_of_view@quick-cps-0-0-whole':\n\xff\n")
    run.follow()
    assert (run.stage, run.told, run.share) == ("fields of view", "", 0.8)


def test_the_bar_of_a_training_is_followed_until_it_ends(monkeypatch, tmp_path):
    monkeypatch.setenv(FOLLOWED, str(tmp_path / "bar"))
    run, told = making(TRAINING, tmp_path / "bar"), []
    for step in (steps := bar(range(4), "train", "step", 8, done=4)):
        steps.set_postfix_str(f"loss 0.{step}, Dice 0.5")
        run.follow()
        told.append((run.percent, run.told.split(", ")[:2]))
    assert told[0] == (50, ["loss 0.0", "Dice 0.5"]) and told[-1][1] == ["loss 0.3", "Dice 0.5"]
    assert list(tmp_path.iterdir()) == []


def test_a_bar_whose_file_cannot_be_written_goes_on(monkeypatch, tmp_path):
    monkeypatch.setenv(FOLLOWED, str(tmp_path / "nowhere/bar"))
    assert list(bar("abc", "cases", "case", 3)) == ["a", "b", "c"]


def test_what_is_shown_is_how_much_is_made_and_left(capsys, tmp_path):
    (tmp_path / "bar").write_text(BAR)
    with Display({"quick/cps-d0-s0": 3.0, "quick/vnet_16-d0-s0": 1.0}, count=7) as display:
        run = making(TRAINING, tmp_path / "bar")
        run.follow()
        display.started -= 60
        assert display.summary([run]) == "5 of 7 runs finished, 1:00 passed, about 2:42 left"
        display.written -= 60
        display.show([run])
        display.end(run, made=False)
        display.end(making(name="quick/vnet_16-d0-s0"), made=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("left: quick/cps-d0-s0 train 45 %")
    assert lines[1] == "quick/cps-d0-s0: failed, see logs/quick/cps-d0-s0.log; 5 of 7 runs are finished"
    assert lines[2] == "quick/vnet_16-d0-s0: finished in 0:00; 6 of 7 runs are finished"


def test_a_clock_has_no_sixtieth_second():
    assert [clock(seconds) for seconds in (0, 59.4, 59.6, 125)] == ["0:00", "0:59", "1:00", "2:05"]


def test_runs_are_made_a_few_at_a_time_and_those_that_fail_are_given(monkeypatch, capsys):
    most, busy = [], []

    def start(name, place):
        busy[:] = [run for run in busy if run.process.poll() is None]
        busy.append(making(name=name, words=(f"import time; time.sleep(0.3); raise SystemExit({name == 'b'})",)))
        most.append(len(busy))
        return busy[-1]

    monkeypatch.setattr(repro, "start", start)
    assert repro.make(dict.fromkeys("abcde", 1.0), [{}, {}], 5) == ["b"]
    assert len(most) == 5 and max(most) == 2
    assert "b: failed, see logs/b.log" in capsys.readouterr().err


@pytest.fixture
def hears_ctrl_c() -> Iterator[None]:
    """Python raises KeyboardInterrupt at SIGINT, also where the tests were started by `&` in a script, deaf to it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_sigterm_and_sighup_reach_every_run_and_wait_for_its_end(monkeypatch, hears_ctrl_c, number):
    code = (
        "import signal, time\n"
        "def end(*_):\n    time.sleep(0.5); raise SystemExit(3)\n"
        "signal.signal(signal.SIGINT, end); print('up', flush=True); time.sleep(60)"
    )
    runs = []

    def start(name, place):
        runs.append(making(name=name, words=(code,)))
        runs[-1].process.stdout.readline()
        return runs[-1]

    monkeypatch.setattr(repro, "start", start)
    ticking = threading.Timer(1, os.kill, (os.getpid(), number))
    ticking.start()
    before = time.monotonic()
    with pytest.raises(Stopped, match="the same command continues") as caught, interrupted_by_signals():
        repro.make(dict.fromkeys("abc", 1.0), [{}, {}], 3)
    assert time.monotonic() - before < 30 and caught.value.exit_code == 128 + number
    assert [run.process.returncode for run in runs] == [3, 3]


def test_no_workers_are_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        lassl("repro", "--workers", "0")
    assert "--workers: found '0', expected a whole number of 1 or more" in capsys.readouterr().err


WORK = """
import signal, sys, time
def end(*_):
    time.sleep(1); open("saved", "a").write("saved"); raise SystemExit(3)
signal.signal(signal.SIGINT, end)
open("up", "w").close()
time.sleep(60)
"""
REPRO = f"""
import os, sys
from lassl.runs import leash
with leash.alone():
    leash.start([sys.executable, "-c", {WORK!r}], os.environ).wait()
"""


def wait_for(*names: str) -> None:
    limit = time.monotonic() + 60
    while not all(os.path.exists(name) for name in names):
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_what_a_killed_make_repro_left_saves_itself_and_the_next_one_says_so_and_waits(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    process = subprocess.Popen([sys.executable, "-c", REPRO])
    wait_for("up")
    with pytest.raises(LasslError, match=f"another `make repro` is running here \\(process {process.pid}\\); wait"):
        with leash.alone():
            pytest.fail("two at once")
    process.kill()
    process.wait()
    with leash.alone():
        assert (tmp_path / "saved").read_text() == "saved"
    assert "waiting for the trainings of a killed `make repro`" in capsys.readouterr().err
    with leash.alone():
        assert capsys.readouterr().err == ""


def test_dvc_under_make_repro_is_stopped_with_it_and_its_exit_code_is_taken_over(tmp_path, monkeypatch, hears_ctrl_c):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(repro, "SCRIPTS", tmp_path)
    (tmp_path / "dvc").write_text(f"#!{sys.executable}\n{WORK}")
    (tmp_path / "dvc").chmod(0o755)

    def terminate() -> None:
        wait_for("up")
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=terminate).start()
    with pytest.raises(Stopped, match="the same command continues"), interrupted_by_signals():
        repro.dvc("repro")
    assert (tmp_path / "saved").read_text() == "saved"
    (tmp_path / "dvc").write_text("#!/bin/sh\nexit 7\n")
    with pytest.raises(SystemExit) as end:
        repro.dvc("repro")
    assert end.value.code == 7
