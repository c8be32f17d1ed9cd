"""A new method, made as docs/add-a-method.md says, word for word; its experiments are made at the tiny scale."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.new_method import new_method
from helpers.project import call, clone

pytestmark = pytest.mark.slow

SCRIPT, (TUNED, SCORED) = new_method()


def tiny(command: str) -> list[str]:
    """A command of the page at the tiny scale."""
    words = command.replace(" -S profile=compact", "").split()
    return [*words, "-S", "profile=tiny"]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which a new method was begun."""
    folder = clone(tmp_path_factory.mktemp("new") / "project")
    call(folder, "bash", "-c", SCRIPT)
    return folder


def refused(project: Path, command: str) -> str:
    """What the first stage says of an experiment that it refuses."""
    python = "from pathlib import Path; from lassl.settings.compose import compose; compose(Path('params.yaml'), *ARGS)"
    settings = [word for word in tiny(command)[3:] if word != "-S"]
    call(project, sys.executable, "-c", python.replace("ARGS", repr(settings)))
    done = subprocess.run([sys.executable, "-m", "pipeline.ready"], cwd=project, capture_output=True, text=True)
    call(project, "git", "checkout", "--quiet", "params.yaml", "dvc.lock")
    return done.stderr if done.returncode else ""


def test_its_settings_are_accepted_by_the_first_stage(project):
    assert refused(project, TUNED) == refused(project, SCORED) == ""


def test_numbers_in_place_of_counts_are_refused_at_once_where_the_tuning_mode_leaves_fewer_cases(project):
    row = project / "conf/method/mine.yaml"
    before = row.read_text()
    row.write_text(before.replace("${labels.few.labeled}", "16").replace("${labels.few.unlabeled}", "64"))
    told, fine = refused(project, TUNED), refused(project, SCORED)
    row.write_text(before)
    assert "mine: expected 16 labeled + 64 unlabeled cases, found 64 training cases" in told
    assert "in conf/method/mine.yaml use ${labels.few.labeled} and ${labels.few.unlabeled}" in told and fine == ""


def test_a_setting_that_is_missing_names_the_file_that_was_written_for_it(project):
    row = project / "conf/method/mine.yaml"
    before = row.read_text()
    row.write_text(re.sub("schedule: .*\n", "", before))
    told = refused(project, SCORED)
    row.write_text(before)
    assert "params.yaml: methods.mine.schedule: Field required; add it to conf/method/mine.yaml" in told


def test_it_passes_the_tests_that_each_algorithm_has_to_pass(project):
    """Pytest fails where it finds none of that name."""
    words = ("-q", "-p", "no:cacheprovider", "tests/methods/test_every_algorithm.py", "-k", "mine")
    call(project, sys.executable, "-m", "pytest", *words)


def test_it_is_shown_on_the_page_of_the_methods_where_that_has_a_place_for_it(project):
    page = project / "docs/methods.md"
    before = page.read_text()
    page.write_text(f"{before}\n## Own\n\n<!-- method: mine -->\n<!-- end of method -->\n")
    call(project, sys.executable, "-m", "lassl.cli.main", "pages")  # the code of this clone
    text = page.read_text()
    page.write_text(before)
    assert "- Own\n    - [Mine](#mine): mine\n" in text and "\n### Mine\n\n`lassl/methods/mine.py`\n" in text


def test_its_experiments_run_and_carry_its_files_and_their_scores(project):
    call(project, "git", "reset", "--quiet")  # as one who forgot `git add`
    told = call(project, "bash", "-c", " ".join([*tiny(TUNED), "2>&1"]))
    assert "note: conf/method/mine.yaml, lassl/methods/mine.py: not tracked by git" in told
    call(project, "git", "add", "conf", "lassl")
    told = call(project, "bash", "-c", " ".join([*tiny(SCORED), "2>&1"]))
    assert "not tracked by git" not in told
    table = json.loads((project / "metrics/tiny/table.json").read_text())
    assert list(table["rows"]) == ["mine"]
    newest = call(project, "git", "for-each-ref", "--format=%(objectname)", "--sort=-committerdate", "refs/exps/*/*/*")
    commits = newest.split()
    kept = call(project, "git", "ls-tree", "-r", "--name-only", commits[0]).splitlines()
    assert {"conf/method/mine.yaml", "lassl/methods/mine.py"} <= set(kept)
    assert "metrics/tiny/mine-d0-s0.csv" in kept
    assert "metrics/tiny-tuning/search.csv: 1 trials" in call(project, "lassl", "search")
