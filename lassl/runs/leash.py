"""A command that ends with whoever started it: `python -m lassl.runs.leash COMMAND...`, its input a pipe from there.

When the other end of the pipe is closed, by a kill as by any other end, the command and all in its process group get
SIGINT: trainings save themselves.
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

LOCK = "LASSL_REPRO_LOCK"  # names the descriptor of a file that is locked until the last command has ended


def main() -> None:
    """Run the command to its end, whatever this process is sent meanwhile; gives its exit code."""
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
    """Start a command in a session of its own, which hears no Ctrl-C of this terminal and ends with this process.

    It writes to this process's terminal or files unless another `output` is given.
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
    """The file that is locked as long as commands of a `make repro` run, if there is one."""
    return [int(os.environ[LOCK])] if LOCK in os.environ else []


@contextmanager
def alone() -> Iterator[None]:
    """Be the only `make repro` in this folder; waits for commands of one that was killed, and says so.

    Raises LasslError where another one is at work.
    """
    Path("build").mkdir(exist_ok=True)

    def told(process: str) -> str:
        todo = "wait for it, or stop it with `kill` and that number"
        return f"{Path.cwd()}: another `make repro` is at work here, process {process}; {todo}"

    with held(Path("build/repro.lock"), told), open("build/commands.lock", "a+") as commands:
        try:
            fcntl.flock(commands, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            note("waiting for trainings of a `make repro` that was killed: they finish their step and save themselves")
            fcntl.flock(commands, fcntl.LOCK_EX)
        os.environ[LOCK] = str(commands.fileno())
        try:
            yield
        finally:
            del os.environ[LOCK]


def interrupt_at_the_end() -> None:
    """Wait for the end of who started this, and interrupt the process group."""
    os.read(0, 1)
    os.killpg(0, signal.SIGINT)


if __name__ == "__main__":
    command(main)
