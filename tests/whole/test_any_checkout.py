"""The tests say the same in a checkout where somebody works: other settings, edited metrics, a method not yet added."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from helpers.project import ROOT, call
from lassl.settings.compose import compose

pytestmark = pytest.mark.slow

CHECKED = (  # files whose tests read settings, metrics or the list of methods
    *(
        "tests/settings/test_config.py",
        "tests/settings/test_methods_of_conf.py",
        "tests/model/test_record.py",
        "tests/plumbing/test_provenance.py",
    ),
    *("tests/results/test_runs.py", "tests/results/test_table.py", "tests/results/test_terminal.py"),
    *("tests/pages/test_methods.py", "tests/runs/test_runs_to_make.py", "tests/whole/test_docs.py"),
)
# the first two read metrics/ as others do and take ten times as long; the last reads neither settings nor metrics
WITHOUT = "not test_a_committed_table_is and not docs/flaws.md and not modules_behind"


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A commit of the project as it is here, and in its folder the traces of somebody's work."""
    folder = tmp_path / "checkout"
    for name in call(ROOT, "git", "ls-files").splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    call(folder, "git", "init", "--quiet")
    call(folder, "git", "add", "--all")
    call(folder, "git", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "--quiet", "--message", "all")
    monkeypatch.chdir(folder)
    compose(folder / "params.yaml", "profile=repeats", "method=cps_alw")
    (folder / "dvc.lock").write_text("schema: '2.0'\n")
    record = folder / "metrics/compact/records/cps-d0-s0.yaml"
    record.write_text(record.read_text().replace("steps: 2000", "steps: 1"))
    (folder / "metrics/compact/mt-d0-s0.csv").unlink()
    (folder / "metrics/paper/table.md").write_text("edited")
    texts = {
        "lassl/methods/mine.py": ("lassl/methods/supervised.py", "Supervised", "Mine"),
        "conf/method/mine.yaml": ("conf/method/vnet_16.yaml", "vnet_16|supervised", "mine"),
    }
    for name, (like, old, new) in texts.items():
        (folder / name).write_text(re.sub(old, new, (ROOT / like).read_text()))
    return folder


def test_the_tests_pass_where_settings_metrics_and_methods_are_somebodys_own(checkout):
    words = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-k", WITHOUT)
    command = [sys.executable, "-m", "pytest", *words, *CHECKED]
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
