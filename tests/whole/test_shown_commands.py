"""The commands that README.md and docs/ show: they are run where that takes seconds, the others are at least read.

A command is a line of a block that is marked `sh`, or code in a sentence that begins with a program's name. A new one
must be put into RUN, or into NOT_RUN under the reason.
"""

import re
import shlex
import shutil
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest
from dvc.cli.parser import get_main_parser
from dvc.utils.hydra import get_hydra_sweeps

from helpers.new_method import new_method
from helpers.project import ROOT, call, clone
from lassl.cli.arguments import parser
from lassl.cli.import_profile import Fit, profile_text
from lassl.settings.compose import compose
from lassl.settings.config import load

pytestmark = pytest.mark.slow

PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
PROGRAMS = ("make", "dvc", "lassl", "python", "git", "source", "pip", "pytest", "ruff", "mypy")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUN = (
    "make help",
    "make params",
    "make pages",
    "make search",
    "make format",
    "source .venv/bin/activate",
    "lassl compose profile=compact",
    "lassl show",
    "lassl show compact",
    "lassl --help",
    "lassl predict --help",
    "lassl doctor",
    "lassl power compact",
    "lassl power repeats",
    "lassl forest compact",
    "lassl compose",
    "lassl compose method=vnet_16 variant=-one labels.few.labeled=1 network.dropout=0 train.schedule=constant "
    "train.steps=300",
    "lassl compose profile=tiny method=vnet_16 variant=-debug train.steps=20",
    "lassl compose profile=tiny method=vnet_16 variant=-debug train.steps=20 train.lr=1e30",
    "dvc metrics show",
    "dvc metrics diff",
    "dvc exp show",
    "dvc exp show --only-changed --drop '^(?!Experiment|train|methods.cps[.]|.*dice)'",
    "dvc dag --collapse-foreach-matrix",
    "python -m benchmarks.plan --minutes 15 profile=paper",
)
NAMED = "names a command, without what it takes"
NOT_RUN = {
    "begin a new method; tests/whole/test_new_method.py follows them": (
        *(line.split("   #")[0] for line in new_method()[0].splitlines() if "git" not in line),
        "git add conf lassl",
    ),
    "trains; tests/whole/test_pipeline.py and test_own_data.py train at a tiny scale": (
        "make repro",
        "dvc repro",
        "dvc queue start",
        "dvc exp run -S method=cps -S methods.cps.options.weight=0.3",
        "dvc exp run -S method=cps_alw",
        "dvc exp run -S profile=compact -S method=mine",
        "dvc exp run -S method=table",
        "dvc exp run -S profile=brains",
        "dvc exp run -S profile=brains_six -S 'method=[vnet_16,vnet_80,mt_un,cps,fixmatch]' -S 'label_splits=[1]' "
        "-S 'seeds=[1]'",
        "dvc exp run -S profile=chambers",
        "dvc exp run -S profile=compact",
        "dvc exp run -S profile=compact -S method=mt_un -S 'seeds=[0,1]'",
        "dvc exp run -S profile=compact -S method=table_8",
        "dvc exp run -S profile=compact -S method=vnet_16",
        "dvc exp run -S profile=compact -S variant=-again",
        "dvc exp run -S profile=compact -S mode=pairs -S method=registered -S 'label_splits=[1]'",
        "dvc exp run -S profile=heart",
        "dvc exp run -S profile=kidney",
        "dvc exp run -S profile=kidney -S train.start=atrium -S train.lr=0.005 -S variant=-tuned",
        "dvc exp run -S running.tensorboard=true",
        "python -m pdb -m pipeline.train vnet_16 0 0",
        "python -m pipeline.train vnet_16 0 0",
        "dvc exp run -S profile=kidney -S method=cps_alw",
        "dvc exp run -S profile=paper",
        "dvc exp run -S profile=paper -S train.schedule=poly",
        "dvc exp run -S profile=repeats -S method=core",
        "dvc exp run -S profile=repeats -S method=cps -S flaw=overlap",
        "dvc exp run -S profile=compact -S method=field",
        "dvc exp run -S profile=compact -S mode=tuning -S method=mine",
        "dvc exp run -S profile=compact -S mode=tuning -S method=mine -S methods.mine.options.weight=0.3",
        "dvc exp run -S method=field",
        "dvc exp run --queue -S mode=tuning -S method=cps,cps_alw -S train.lr=0.01,0.003",
        "dvc exp run --queue -S profile=compact -S mode=tuning -S data.folder=$PWD/data/raw/la2018   -S method=cps "
        "-S methods.cps.options.weight=0.05,0.1,0.2",
    ),
    "options of a training": (
        "-S mode=tuning",
        "-S mode=tuning -S cases.tuning=6 -S labels.few.labeled=4 -S labels.few.unlabeled=10",
        "-S method=cps_alw -S mode=tuning -S cases.tuning=2 -S labels.few.labeled=2 -S labels.few.unlabeled=8",
        "-S compute.deterministic=true",
        "-S compute.precision=fp16",
        "-S data.folder=/path/to/scans -S data.split=my_split.csv",
        "-S \"data.folder='/path/to/[my] scans'\"",
        "-S \"data.folder='/scans/[2018], left'\"",
        "-S 'label_splits=[1,2]'",
        "-S train.schedule=poly",
        "-S snapshots.count=10 -S cases.held_out=4 -S snapshots.use=validated",
    ),
    "needs a model, masks or scans; tests/cli/ and tests/whole/test_own_data.py have them": (
        "lassl predict atrium SCAN... -o masks",
        "lassl predict atrium scan.nrrd -o masks",
        "lassl predict atrium SCANS/ -o masks",
        "lassl predict compact/mt_un-d0-s0 SCAN... -o masks",
        "lassl predict kidney/mt_un-d0-s0 SCAN... -o masks",
        "lassl predict kidney/vnet_80-d0-s0,kidney/vnet_80-d0-s1,kidney/vnet_80-d0-s2 SCAN... -o masks",
        "lassl export compact/mt_un-d0-s0 -o model.pt",
        "lassl export compact/mt_un-d0-s0 -o model.pt --half",
        "lassl export compact/mt_un-d0-s0 -o model.onnx --format onnx",
        "lassl export compact/vnet_80-d0-s0 -o lassl/predict/weights/atrium.pt --half --overwrite",
        "lassl evaluate PREDICTIONS REFERENCES --name theirs",
        "lassl evaluate MASKS LABELS --name theirs --values hippocampus=47,48 --values thalamus=59,60",
        "lassl import-weights CHECKPOINT.pth --name theirs",
        'lassl import-weights iter_6000.pth --name uamt --title "UA-MT (published weights)"',
        "lassl evaluate models/imported/uamt.pt data/prepared/la2018 --overwrite",
        "lassl export imported/uamt -o uamt-model.pt",
        "lassl predict imported/uamt SCAN... -o masks",
        "lassl repro --workers 8",
        "lassl repro RUN... --workers 8",
        "python -m benchmarks.whole_scans atrium",
    ),
    "needs SLURM, a remote or clones; tests/whole/test_cluster.py has them": (
        "cd lassl",
        "cluster/slurm 16",
        "dvc pull --allow-missing",
        "dvc remote add --default lab ssh://host/path",
        "dvc repro prepare",
        "git add dvc.lock metrics",
        "lassl repro $(lassl runs --names | awk 'NR % 3 == 1')",
        "git clone URL lassl",
        'git commit --all --message "nine runs of each row"',
        'git commit --message "a third of the runs"',
        'git commit --message "their results"',
        "git fetch",
        "git push origin HEAD:box-1",
        "lassl collect PATH_OR_BRANCH...",
        "lassl collect origin/box-1 origin/box-2 origin/box-3",
        "lassl runs",
        "lassl compose profile=paper 'label_splits=[0,1,2]' 'seeds=[0,1,2]'",
        "squeue --me",
    ),
    "needs a network file system": ("dvc config core.hardlink_lock true",),
    "needs another disk": ("dvc cache dir --local FOLDER", "dvc config --local cache.type symlink"),
    "needs curves of trainings; tests/whole/test_pipeline.py has them": ("dvc plots show",),
    "needs somebody's scans; test_own_data.py, test_import_folder.py and test_predicted_channels.py have them": (
        "lassl compose KEY=VALUE...",
        "lassl compose profile=kidney",
        "lassl import FOLDER --name NAME",
        "lassl predict RUN t1.nii.gz,flair.nii.gz -o masks",
        "lassl import Task02_Heart --name heart",
    ),
    "tests/whole/test_benchmarks.py runs it in its own process": ("python -m benchmarks.roofline",),
    "takes minutes": (
        "make test",
        "make quick",
        "make check",
        "make unit",
        "make tables",
        "python -m benchmarks.busy --seconds 6",
        "python -m benchmarks.costs",
        "python -m benchmarks.speed",
        "python -m benchmarks.speed --scale compact",
    ),
    "needs a GPU; tests/whole/test_benchmarks.py has what these do without one": (
        "make gpu",
        "python -m benchmarks.gpu",
        "python -m benchmarks.kernels",
        "python -m benchmarks.together",
        "python -m benchmarks.together --device cpu --trainings 2",
    ),
    "needs a class of one's own; tests/whole/test_own_network.py has one": (
        "dvc exp run -S network.name=lassl.model.mynets:SmallUNet -S +network.options.width=6 -S method=vnet_16 "
        "-S variant=-unet",
        "dvc repro -f",
        "git add lassl",
    ),
    "needs a training that failed, or one that is running": (
        "python look.py checkpoints/tiny-debug/vnet_16-d0-s0/not-finite-00000001.pt",
        "tensorboard --logdir build/tensorboard",
    ),
    "installs packages": ("make install", "pip install .", "pip install '.[examples]'", "pip install tensorboard"),
    "goes to the network; tests/data/test_la2018.py and runs/test_published.py have repositories of their own": (
        "make brains",
        "make la2018",
        "make published",
        "lassl published fetch REPOSITORY",
        "lassl download la2018 REPOSITORY FOLDER",
    ),
    "needs Chromium and a report": ("make figures",),
    "installs the site's packages": ("make docs",),
    "needs a remote, a commit or runs; tests/whole/test_pipeline.py has them": (
        "dvc checkout",
        "dvc pull",
        "dvc push",
        "dvc remote add --default NAME URL",
        "dvc status",
        "git add dvc.lock params.yaml metrics",
        "git commit",
        "git pull",
        "git push",
        "git stash apply refs/exps/apply/stash",
    ),
    "deletes from the cache": ("dvc gc -w", "dvc gc -w -a"),
    NAMED: (
        *("dvc exp apply", "dvc exp run", "dvc exp run --queue", "dvc exp run -S ...", "dvc gc", "lassl collect"),
        *("lassl power", "lassl power PROFILE", "lassl predict", "lassl predict --uncertainty", "lassl evaluate"),
        *("lassl export", "lassl export --format onnx", "lassl import"),
    ),
}
UNRUN = [command for commands in NOT_RUN.values() for command in commands]
WHOLE = [command for command in UNRUN if command not in NOT_RUN[NAMED]]


def shown(text: str) -> set[str]:
    """The commands that a page shows, without comments."""
    blocks = [body.replace("\\\n", "") for kind, body in BLOCK.findall(text) if kind == "sh"]
    lines = [re.sub(r"(^|\s)#\s.*", "", line) for body in blocks for line in body.splitlines()]
    found = {command.strip() for line in lines for command in line.split(" && ")}
    codes = (" ".join(code.split()) for code in re.findall(r"`([^`]+)`", BLOCK.sub("", text)))
    return (found - {""}) | {code for code in codes if " " in code and code.split()[0] in (*PROGRAMS, "-S")}


def everywhere() -> set[str]:
    """The commands of all pages."""
    return set().union(*(shown(path.read_text()) for path in PAGES))


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A clone whose environment is this one, so that make finds it installed."""
    folder = clone(tmp_path_factory.mktemp("shown") / "project")
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/activate").write_text(f"# {folder}/.venv\n")  # else make would install it anew
    (folder / ".venv/installed").touch()
    return folder


@pytest.fixture
def with_examples(tmp_path, monkeypatch):
    """A folder with conf/, the profiles of docs/own-data.md, and a method as docs/add-a-method.md says."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "conf", "conf")
    (profile,) = re.findall(r"```yaml\n(# @package.*?)```", (ROOT / "docs/own-data.md").read_text(), re.DOTALL)
    Path("conf/profile/kidney.yaml").write_text(profile)
    imported = profile_text("heart", "Task02_Heart", {"left_atrium": (1,)}, Fit(1, (64, 64, 64), (6, 13)), 16, 10)
    Path("conf/profile/heart.yaml").write_text(imported)
    shutil.copytree(ROOT / "lassl/methods", "lassl/methods")
    call(tmp_path, "bash", "-c", "\n".join(line for line in new_method()[0].splitlines() if "git" not in line))
    return tmp_path


def test_commands_are_found_in_blocks_and_in_sentences_without_comments():
    sentence = "Say `dvc\nrepro` or `-S a=1`, `lassl` or `lassl/x y`.\n"
    block = "```sh\n# first\na b # c\nd \\\n  e && f '#1'\n```\n"
    assert shown(f"{sentence}{block}```\ng h\n```\n") == {"dvc repro", "-S a=1", "a b", "d   e", "f '#1'"}


def test_every_shown_command_is_run_or_there_is_a_reason_why_not():
    assert everywhere() - set(RUN) - set(UNRUN) == set()


def test_no_command_is_listed_that_is_not_shown_or_listed_twice():
    assert set(RUN) | set(UNRUN) <= everywhere()
    assert len({*RUN, *UNRUN}) == len(RUN) + len(UNRUN)


def test_a_block_of_commands_is_marked_as_one():
    for path in PAGES:
        for kind, body in BLOCK.findall(path.read_text()):
            begins = {line.split()[0] for line in body.splitlines() if line.split()}
            assert kind == "sh" or not begins & set(PROGRAMS), f"{path.name}: {body}"


@pytest.mark.parametrize("command", RUN)
def test_a_shown_command_runs(project, command):
    call(project, "git", "checkout", "--quiet", ".")
    call(project, "bash", "-c", command)


@pytest.mark.parametrize("command", [command for command in WHOLE if command.startswith("make ")])
def test_make_knows_a_shown_target(project, command):
    call(project, "bash", "-c", command.replace("make", "make --dry-run", 1))


@pytest.mark.parametrize("command", [command for command in WHOLE if "-S " in command])
def test_the_settings_of_a_shown_experiment_are_valid(with_examples, command):
    words = shlex.split(command.replace("$PWD", str(with_examples)))
    settings = [value for option, value in pairwise(words) if option == "-S"]
    each = get_hydra_sweeps({"params.yaml": settings}) if "--queue" in words else [{"params.yaml": settings}]
    assert len(each) > 1 or "--queue" not in words
    for one in each:
        compose(Path("params.yaml"), *one["params.yaml"])
        load(Path("params.yaml"))


@pytest.mark.parametrize("command", [command for command in WHOLE if command.startswith(("lassl ", "dvc "))])
def test_the_words_of_a_shown_command_are_known(command):
    program, *words = shlex.split(re.sub(r"\$\(.*?\)", "RUN", command))
    (parser() if program == "lassl" else get_main_parser()).parse_args(words)


@pytest.mark.parametrize("command", [command for command in (*RUN, *WHOLE) if command.startswith("python -m ")])
def test_a_shown_module_is_there(command):
    assert find_spec(re.fullmatch(r"python -m (\S+).*", command)[1])
