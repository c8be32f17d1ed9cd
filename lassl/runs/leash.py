"""Runs a command that ends with its parent: `python -m lassl.runs.leash COMMAND...`, with a pipe as its input.

When the parent's end of the pipe closes, even by a kill, the command and its process group get SIGINT, so that
trainings save themselves.
"""

import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from lassl.plumbing.errors import command, note
from lassl.plumbing.files import held

LOCK = "LASSL_REPRO_LOCK"  # the descriptor of a file that stays locked until the last command has ended


def main() -> None:
    """Run the command to its end, whatever signals arrive, and exit with its code."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda *_: None)  # not SIG_IGN, which the command would inherit
    process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, pass_fds=inherited())
    threading.Thread(target=interrupt_at_the_end, daemon=True).start()
    code = process.wait()
    sys.exit(code if code >= 0 else 128 - code)


def start(
    words: Sequence[str | Path], environment: Mapping[str, str], output: int | None = None
) -> subprocess.Popen[bytes]:
    """Start a command in its own session; it does not receive Ctrl-C from this terminal and ends with this process.

    It writes to the terminal or files of this process unless `output` is given.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "lassl.runs.leash", *words],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        pass_fds=inherited(),
        start_new_session=True,
    )


def inherited() -> list[int]:
    """The file that stays locked while commands of a `make repro` run, if there is one."""
    return [int(os.environ[LOCK])] if LOCK in os.environ else []


@contextmanager
def alone() -> Iterator[None]:
    """Be the only `make repro` in this folder; waits for the commands of a killed one, and says so.

    Raises LasslError if another one is running.
    """
    Path("build").mkdir(exist_ok=True)

    def busy(process: str) -> str:
        todo = f"wait for it, or stop it with `kill {process}`"
        return f"{Path.cwd()}: another `make repro` is running here (process {process}); {todo}"

    with held(Path("build/repro.lock"), busy), open("build/commands.lock", "a+") as commands:
        try:
            fcntl.flock(commands, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note("waiting for the trainings of a killed `make repro`, which finish their step and save")
            fcntl.flock(commands, fcntl.LOCK_EX)
        os.environ[LOCK] = str(commands.fileno())
        try:
            yield
        finally:
            del os.environ[LOCK]


def interrupt_at_the_end() -> None:
    """Wait for the end of the parent, and interrupt the process group."""
    os.read(0, 1)
    os.killpg(0, signal.SIGINT)


if __name__ == "__main__":
    command(main)
