"""How a command ends: on terminals with few characters, where nobody reads on, and with an error."""

import ast
import os
import subprocess
import sys

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


def test_a_closed_output_is_no_error():
    code = f"{START}command(lambda: print('a'))"
    done = subprocess.run(["sh", "-c", 'exec "$0" -c "$1" >&-', sys.executable, code], cwd=ROOT, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def test_every_program_of_ours_ends_in_this_way():
    found = {}
    for path in (path for folder in ("lassl", "pipeline", "benchmarks") for path in ROOT.glob(f"{folder}/**/*.py")):
        last = ast.parse(path.read_text("utf-8")).body[-1]
        if isinstance(last, ast.If) and "__main__" in ast.unparse(last.test):
            found[str(path.relative_to(ROOT))] = ast.unparse(last.body[-1]).startswith("command(")
    assert [name for name, so in found.items() if not so] == ["lassl/cli/main.py"]  # its main() does
    assert len(found) > 12 and "lassl/cli/doctor.py" in found and "pipeline/table.py" in found
