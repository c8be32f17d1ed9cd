"""How a command ends: on terminals with few characters, where nobody reads on, and with an error."""

import ast
import os
import signal
import subprocess
import sys
import time

import pytest

from helpers.project import ROOT

START = "import sys; from lassl.plumbing.errors import LasslError, Stopped, command; "


def run(code: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run a command's main function, given as an expression, in a process of its own."""
    words = [sys.executable, "-c", f"{START}command(lambda: {code})"]
    return subprocess.run(words, env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, capture_output=True)


def unread(code: str, lines: int) -> tuple[int, bytes]:
    """Run a command of which so many lines are read, and no more; gives its exit code and stderr."""
    words = [sys.executable, "-c", f"{START}command(lambda: {code})"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        for _ in range(lines):
            process.stdout.readline()
        process.stdout.close()
        return process.wait(), process.stderr.read()


@pytest.mark.parametrize(
    "environment", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": ""}]
)
def test_characters_that_a_terminal_lacks_are_written_as_escapes(environment):
    done = run(r"print('84 \u00b1 8', '\udcff')", **environment)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"84 \\xb1 8 \\udcff\n", b"")
    done = run(r"(_ for _ in ()).throw(LasslError('M\u00fcller: wrong'))", **environment)
    assert (done.returncode, done.stderr) == (1, b"error: M\\xfcller: wrong\n")


def test_a_terminal_with_all_characters_shows_them():
    assert run(r"print('84 \u00b1 8')", PYTHONUTF8="1").stdout == "84 ± 8\n".encode()


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("[print(n) for n in range(100_000)]", 1),  # as `| head -1`
        ("print(sys.stdin.read())", 0),  # a single line, which is still to be written at the end
        ("sys.exit(print(sys.stdin.read()))", 0),  # so in the commands of `lassl`
    ],
)
def test_a_command_whose_output_nobody_reads_ends_without_a_word(code, lines):
    assert unread(code.replace("sys.stdin.read()", "__import__('time').sleep(0.3)"), lines) == (141, b"")


def test_exit_codes_are_those_of_the_command_or_of_its_error():
    assert run("sys.exit(3)").returncode == 3
    assert run("sys.exit(0)").returncode == run("None").returncode == 0
    done = run(r"(_ for _ in ()).throw(Stopped('one\ntwo', 15))")
    assert (done.returncode, done.stderr) == (143, b"errors:\none\ntwo\n")


@pytest.mark.parametrize(
    ("closed", "left"), [(">&-", (b"", b"b")), ("2>&-", (b"a", b"")), (">&- 2>&- <&-", (b"", b""))]
)
def test_closed_streams_are_no_error_and_no_file_takes_their_place(tmp_path, closed, left):
    path = tmp_path / "file"
    work = (
        f"print('a'); note('b'); file = open({str(path)!r}, 'wb'); os.write(2, b''); file.write(bytes([file.fileno()]))"
    )
    code = f"import os; from lassl.plumbing.errors import note\n{START}\ndef main():\n    {work}\ncommand(main)"
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, code], cwd=ROOT, capture_output=True
    )
    assert (done.returncode, done.stdout.strip(), done.stderr.strip()) == (0, *left)
    assert path.read_bytes()[0] > 2


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        ("OSError(28, 'No space left on device')", "no space left on device; free some space on that disk; "),
        ("OSError(122, 'x', 'a/b.h5')", "a/b.h5: disk quota exceeded; free some space on that disk; "),
        ("OSError(30, 'x', 'a')", "a: read-only file system; the disk is read-only; "),
        ("PermissionError(13, 'x', b'split.csv')", "split.csv: permission denied; check its owner"),
        ("OSError(24, 'x', 'a')", "a: too many open files; too many files are open; raise `ulimit -n`"),
        ("OSError('Unable to write (file write failed: errno = 28, error message = x)')", "no space left on device; "),
        ("RuntimeError('cannot close: errno = 5, error message')", "input/output error; the disk reports a fault"),
        ("FileNotFoundError(2, 'x', 'there')", "there: no such file or directory; fix this, "),
        ("OSError('of no number')", "of no number; fix this, "),
        ("MemoryError('cannot take 9 GiB')", "not enough memory (cannot take 9 GiB); "),
        ("RuntimeError('DefaultCPUAllocator: can\\'t allocate memory')", "not enough memory (Default"),
        ("RuntimeError('DataLoader worker (pid 7) is killed by signal: Killed.')", "a worker process was killed, "),
    ],
)
def test_errors_of_the_system_are_told_in_one_line(raised, told):
    done = run(f"(_ for _ in ()).throw({raised})")
    assert done.returncode == 1
    assert done.stderr.decode().startswith(f"error: {told}") and done.stderr.count(b"\n") == 1


def test_their_place_in_the_code_is_shown_where_it_is_asked_for():
    done = run("open('/nowhere')", LASSL_TRACEBACK="1")
    assert b"Traceback" in done.stderr and done.stderr.splitlines()[-1].startswith(b"error: /nowhere: no such file")


def test_an_error_of_the_code_keeps_its_traceback():
    done = run("1 / 0")
    assert done.returncode == 1 and b"Traceback" in done.stderr and b"ZeroDivisionError" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_command_in_order_and_with_its_exit_code(tmp_path, number):
    code = (
        f"{START}import pathlib, signal, time; from lassl.plumbing.files import whole\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # tests in the background are deaf to it
        "def main():\n    with whole(pathlib.Path('file')) as half:\n        half.touch()\n        time.sleep(60)\n"
        "command(main)"
    )
    words = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(words, env=environment, cwd=tmp_path, stderr=subprocess.PIPE) as process:
        while not list(tmp_path.iterdir()):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        told = process.stderr.read()
    assert (process.returncode, told) == (
        128 + number,
        f"error: stopped by {number.name}; files written before are complete\n".encode(),
    )
    assert list(tmp_path.iterdir()) == []


def test_a_signal_that_is_ignored_stays_so():
    code = f"{START}import os, signal\ncommand(lambda: os.kill(os.getpid(), signal.SIGHUP) or print('a'))"
    words = ["sh", "-c", 'trap \'\' HUP; exec "$0" -c "$1"', sys.executable, code]  # as nohup does
    done = subprocess.run(words, cwd=ROOT, capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"a\n")


def test_every_program_of_ours_ends_in_this_way():
    found = {}
    for path in (path for folder in ("lassl", "pipeline", "benchmarks") for path in ROOT.glob(f"{folder}/**/*.py")):
        last = ast.parse(path.read_text("utf-8")).body[-1]
        if isinstance(last, ast.If) and "__main__" in ast.unparse(last.test):
            found[str(path.relative_to(ROOT))] = ast.unparse(last.body[-1]).startswith("command(")
    assert [name for name, so in found.items() if not so] == ["lassl/cli/main.py"]  # its main() does
    assert len(found) > 12 and "lassl/cli/doctor.py" in found and "pipeline/table.py" in found
