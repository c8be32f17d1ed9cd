"""What a report says it was made from."""

import re
import subprocess
from pathlib import Path

from lassl.report import origin


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def test_the_commit_is_told_and_whether_files_differ_from_it_but_for_what_runs_write(tmp_path):
    assert origin.commit(tmp_path) == "unknown: no git repository here"
    git(tmp_path, "init")
    (tmp_path / "code.py").write_text("a = 1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--message", "first")
    clean = origin.commit(tmp_path)
    assert re.fullmatch("[0-9a-f]{40}", clean)
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/a.json").write_text("{}")
    assert origin.commit(tmp_path) == clean
    (tmp_path / "code.py").write_text("a = 2\n")
    assert origin.commit(tmp_path) == f"{clean} (dirty)"
