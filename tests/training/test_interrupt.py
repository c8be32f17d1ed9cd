"""Requests to stop: which signals are one, and what becomes of a terminal that is gone."""

import os
import pty
import signal
import subprocess
import sys

import pytest

from helpers.project import ROOT
from lassl.training.interrupt import stop_request

LOOP = """
import signal, sys, time
from lassl.training.interrupt import stop_request
with stop_request() as asked:
    print("up", flush=True)
    while not asked():
        time.sleep(0.01)
print("below", file=sys.stderr, flush=True)
open("saved", "w").write(signal.Signals(asked()).name)
"""


@pytest.fixture
def ignored():
    """SIGHUP is ignored, as under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGHUP, before)


def test_under_nohup_a_closed_terminal_stops_nothing(ignored):
    with stop_request() as asked:
        os.kill(os.getpid(), signal.SIGHUP)
        assert not asked()
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_a_second_hangup_which_the_shell_sends_too_ends_nothing_and_a_second_sigterm_acts_at_once():
    with stop_request() as asked:
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGHUP)
        assert asked() == signal.SIGHUP and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL


def test_what_is_written_to_a_terminal_that_is_gone_does_not_keep_a_training_from_saving(tmp_path):
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", LOOP], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=slave, stderr=slave, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    shown = b""
    while b"\n" not in shown:  # a terminal that goes between "up" and the end of its line would end the script there
        shown += os.read(master, 100)
    os.close(master)  # from now on every write to the terminal fails
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=30) == 0
    assert (tmp_path / "saved").read_text() == "SIGHUP"
