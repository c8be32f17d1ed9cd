"""Work that processes share: where they start, and how they end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers.project import ROOT
from lassl.plumbing.errors import in_words
from lassl.plumbing.pool import process_pool

pytestmark = pytest.mark.slow

DATA = "lassl.seeds"  # a module that loads fast


def square(n: int) -> int:
    return n * n


def fate(how: str) -> str:
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "fails":
        raise OSError(28, "No space left on device", "there.h5")
    return how


def threads_at_start(_: int) -> int:
    return len(os.listdir(f"/proc/{os.getppid()}/task"))


def test_results_come_in_order():
    with process_pool(DATA) as pool:
        assert list(pool.map(square, range(5))) == [0, 1, 4, 9, 16]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_processes_start_from_one_that_has_no_threads():
    with process_pool(DATA) as pool:
        assert list(pool.map(threads_at_start, range(2))) == [1, 1]


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("killed", "a worker process was killed, probably by the system because memory ran out; "),
        ("fails", "there.h5: no space left on device; free some space"),
    ],
)
def test_a_process_that_is_killed_or_fails_is_told_in_one_line(how, told):
    with pytest.raises((OSError, RuntimeError)) as error, process_pool(DATA) as pool:
        list(pool.map(fate, ["well", how, *["well"] * 20]))
    assert str(in_words(error.value)).startswith(told)


PROGRAM = """
import os, time
from pathlib import Path
from lassl.plumbing.errors import command
from lassl.plumbing.pool import process_pool

def work(n):
    Path(f"{os.getpid()}.worker").touch()
    time.sleep(60 if n else 0)

def main():
    with process_pool("lassl.seeds") as pool:
        list(pool.map(work, range(10)))

if __name__ == "__main__":
    command(main)
"""


def alive(process: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_processes_end_with_one_that_is_killed(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = subprocess.Popen([sys.executable, "program.py"], cwd=tmp_path, env=environment)
    limit = time.monotonic() + 30
    while not (workers := [int(path.stem) for path in tmp_path.glob("*.worker")]):
        assert time.monotonic() < limit and running.poll() is None
        time.sleep(0.05)
    running.kill()
    running.wait()
    while any(map(alive, workers)):
        assert time.monotonic() < limit
        time.sleep(0.05)
