"""The command `lassl`: its subcommands, and how it tells errors."""

import os
import subprocess
import sys
import tomllib

import pytest

from helpers.command import lassl
from helpers.project import ROOT
from lassl.cli import arguments
from lassl.paths import metrics_folder

pytestmark = pytest.mark.usefixtures("in_project")


@pytest.mark.slow
def test_the_command_tells_errors_without_a_traceback(raw, tmp_path):
    words = [sys.executable, "-m", "lassl.cli.main", "predict", "quick/none", str(raw), "-o", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 1 and not done.stdout
    assert done.stderr.startswith("error: models/quick/none.pt: no such model") and done.stderr.count("\n") == 1


def test_all_commands_are_there_and_installed_as_lassl(capsys):
    with pytest.raises(SystemExit, match="0"):
        lassl("--help")
    told = capsys.readouterr().out
    words = ["predict", "evaluate", "export", "import-weights", "doctor", "compose", "repro", "runs", "collect", "show"]
    words += ["power", "search", "tables", "pages", "pictures", "forest", "import", "download", "published"]
    assert [line.split()[0] for line in told.splitlines() if line[:4] == " " * 4 and line[4:5].strip()] == words
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["scripts"] == {"lassl": "lassl.cli.main:main"}
    assert arguments.parser().parse_args(["evaluate", "p", "r"]).output == metrics_folder("external")
    assert project["tool"]["setuptools"]["packages"]["find"]["include"] == ["lassl*"]
