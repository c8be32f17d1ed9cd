"""Many workers: on a real SLURM, side by side in one checkout, and in clones without a disk in common."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from helpers.project import activated, call, clone
from helpers.slurm import slurm

pytestmark = pytest.mark.slow

SMALL = [  # nine cases, three rows, and steps enough to be killed between
    *("profile=tiny", "method=[vnet_16,cps,mt_un]"),
    *("data.split=splits/few.csv", "train.steps=30"),
    *("labels.few.labeled=2", "labels.few.unlabeled=4", "labels.more.labeled=3", "labels.more.unlabeled=3"),
    "running.checkpoint_minutes=0",
]
ROWS = ["vnet_16", "cps", "mt_un"]


@pytest.fixture(autouse=True, scope="module")
def code_of_the_clone():
    """`lassl` is that of the folder in which it is called."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", ".")
        yield


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A clone whose small cohort is prepared and pushed to a folder as the remote; all is committed."""
    folder = clone(tmp_path_factory.mktemp("cluster") / "base")
    cases = [f"P{i:03},{'train' if i < 6 else 'test'}" for i in range(9)]
    (folder / "splits/few.csv").write_text("\n".join(["case,split", *cases]) + "\n")
    commit(folder, *SMALL)
    call(folder, "dvc", "remote", "add", "--quiet", "--default", "folder", str(folder.parent / "remote"))
    call(folder, "dvc", "repro", "prepare")
    call(folder, "dvc", "push")
    commit(folder, *SMALL)
    return folder


def commit(folder: Path, *changes: str) -> None:
    """Compose params.yaml and commit all."""
    call(folder, "lassl", "compose", *changes)
    call(folder, "git", "add", "--all")
    call(folder, "git", "commit", "--quiet", "--message", "all")


def copy_of(base: Path, name: str) -> Path:
    """A clone with the prepared cohort from the remote."""
    folder = base.parent / name
    call(base, "git", "clone", "--quiet", str(base), str(folder))
    call(folder, "git", "config", "user.name", "test")
    call(folder, "git", "config", "user.email", "test@example.org")
    call(folder, "dvc", "pull", "prepare", "code", "phantom")
    return folder


ONE_PROCESS = """
import sys
from pipeline import evaluate, publish, table, train
for row in sys.argv[1:]:
    for stage in (train, evaluate, publish):
        sys.argv[1:] = [row, "0", "0"]
        stage.main()
table.main()
"""


@pytest.fixture(scope="module")
def sequential(base):
    """What the rows score, made one after the other by one process, without DVC."""
    folder = copy_of(base, "sequential")
    call(folder, sys.executable, "-c", ONE_PROCESS, *ROWS)
    return results(folder)


def record(folder: Path, row: str) -> dict:
    return yaml.safe_load((folder / f"metrics/tiny/records/{row}-d0-s0.yaml").read_text())


def results(folder: Path) -> dict:
    """Hashes of weights, scores of cases, and the table without the time that trainings took."""
    table = json.loads((folder / "metrics/tiny/table.json").read_text())
    for row in table["rows"].values():
        del row["training_minutes"]
    found = {row: (record(folder, row)["weights_sha256"], record(folder, row)["cases_sha256"]) for row in table["rows"]}
    return {"table": table, "runs": found}


def ran(output: str) -> set[str]:
    """Stages that a command ran."""
    return set(re.findall(r"Running stage '([^'@]+)", output))


def failing(folder: Path, *words: str) -> str:
    """What a command prints that ends with exit code 1."""
    environment = activated()
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_three_workers_in_one_checkout_make_the_table_of_one(base, sequential):
    folder = copy_of(base, "three workers")
    told = call(folder, "sh", "-c", f"{sys.executable} -m lassl.cli.main repro --workers 3 2>&1")
    assert told.count(": finished in") == 3 and "3 of 3 runs are finished" in told
    assert list(sequential["runs"]) == ROWS
    assert results(folder) == sequential
    assert not ran(call(folder, "dvc", "repro")) & {"phantom", "prepare", "train", "evaluate", "publish"}
    assert json.loads(call(folder, "dvc", "status", "--json")) == {}


def test_an_array_on_slurm_makes_the_same_table_though_a_task_is_stopped_in_training_and_queued_again(base, sequential):
    with slurm(base.parent / "slurm"):
        folder = copy_of(base, "array")
        told = call(folder, "cluster/slurm", "2").splitlines()[-1]
        array, table = re.fullmatch(r"array (\d+) of 3 runs, then table (\d+): logs/table-\2.log", told).groups()
        while not (started := list(folder.glob("checkpoints/tiny/*/step-*.pt"))):
            assert call(folder, "squeue", "--noheader")
        row = started[0].parent.name.removesuffix("-d0-s0")
        task = call(folder, "squeue", "--noheader", "--jobs", f"{array}_{ROWS.index(row) + 1}", "--format=%A").strip()
        log = folder / f"logs/tiny/{row}-d0-s0.log"
        with subprocess.Popen(["scancel", "--batch", "--signal=TERM", task]) as warning:  # as before the time limit
            while "stopped by SIGTERM" not in (text := log.read_text()):
                assert "Running stage 'evaluate" not in text
            warning.kill()  # where the signal is that of --signal, it never believes that it came, and sends it again
        while call(folder, "squeue", "--noheader"):
            time.sleep(0.2)
        assert "all 3 runs are finished" in (folder / f"logs/table-{table}.log").read_text()
    assert record(folder, row)["training"]["resumed"] == 1
    assert results(folder) == sequential
    assert not ran(call(folder, "dvc", "repro")) & {"phantom", "prepare", "train", "evaluate", "publish"}


def test_runs_of_three_clones_are_gathered_and_nothing_is_trained_again(base, sequential):
    two = [*SMALL, "~methods.mt_un"]
    commit(base, *two)
    for name, row in (("one", "vnet_16"), ("two", "cps"), ("three", "vnet_16")):
        box = copy_of(base, name)
        call(box, "cluster/run", f"tiny/{row}-d0-s0")
        call(box, "dvc", "push")
    call(box, "git", "add", "dvc.lock", "metrics/tiny")
    call(box, "git", "commit", "--quiet", "--message", "three")
    call(box, "git", "push", "--quiet", "origin", "HEAD:three")

    head = copy_of(base, "head")
    earlier = head / "metrics/tiny/vnet_16-d0-s0.csv"
    earlier.parent.mkdir(exist_ok=True)
    earlier.write_text("scores of an earlier code")
    told = "tiny/vnet_16-d0-s0 of ../one: refused because metrics/tiny/vnet_16-d0-s0.csv has different scores; --over"
    assert told in failing(head, "lassl", "collect", "../one")
    assert earlier.read_text() == "scores of an earlier code"
    assert call(head, "lassl", "collect", "--overwrite", "../one") == "tiny/vnet_16-d0-s0 of ../one\n"
    call(head, "dvc", "pull", "--allow-missing")
    assert re.search(r"tiny/cps-d0-s0 \| missing.*\n\n1 of 2 runs are unfinished", failing(head, "cluster/table"))
    assert list(json.loads((head / "metrics/tiny/table.json").read_text())["rows"]) == ["vnet_16"]

    told = call(head, "lassl", "collect", "../two", "origin/three").splitlines()
    assert told == ["tiny/cps-d0-s0 of ../two", "tiny/vnet_16-d0-s0 of origin/three: identical to here"]
    call(head, "dvc", "pull", "--allow-missing")
    assert ran(call(head, "dvc", "repro")) <= {"ready", "code", "table", "report"}
    assert results(head)["runs"] == {row: sequential["runs"][row] for row in ("vnet_16", "cps")}
    assert_others_are_refused(head)


def assert_others_are_refused(head: Path) -> None:
    """Other bits of a run are named; what was made from other settings, code and data is refused, and says so."""
    cases, lock = head / "../two/metrics/tiny/cps-d0-s0.csv", head / "dvc.lock"
    before = lock.read_bytes()
    cases.write_text("other")
    assert "metrics/tiny/cps-d0-s0.csv does not match dvc.lock there" in failing(head, "lassl", "collect", "../two")
    box = cases.parents[2]
    call(box, "dvc", "commit", "--force", "publish@tiny-cps-0-0")
    assert "tiny/cps-d0-s0 of ../two: differs from here, which is kept" in failing(head, "lassl", "collect", "../two")
    params = head / "params.yaml"
    params.write_text(params.read_text().replace("steps: 30", "steps: 31"))
    (head / "build/code/evaluate").write_text("other")
    (head / "data/prepared/synthetic/other").write_text("other")
    told = failing(head, "lassl", "collect", "origin/three")
    assert "tiny/vnet_16-d0-s0 of origin/three: refused because these inputs differ: " in told
    for reason in (
        *("data (data/prepared/synthetic)", "settings (train.steps 30, here 31)", "code (build/code/evaluate)"),
    ):
        assert reason in told
    assert "not a folder and not a local branch" in failing(head, "lassl", "collect", "origin/four")
    assert lock.read_bytes() == before
