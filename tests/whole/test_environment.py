"""What entry points tell OpenMP and OpenBLAS: set before torch and numpy are there, never over a
user's choice, and no bit changes. Importing lassl tells them nothing.
"""

import os
import subprocess
import sys

import pytest

from helpers.project import ROOT

pytestmark = pytest.mark.slow

OURS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OPENBLAS_NUM_THREADS")
STEP = """
import hashlib, sys
from lassl.plumbing import threads
threads.set_defaults()
import torch
torch.set_num_threads(2)
torch.manual_seed(0)
network = torch.nn.Conv3d(4, 8, 3, padding=1)
image = torch.randn(2, 4, 24, 24, 24)
network(image).square().sum().backward()
print(hashlib.sha256(network.weight.grad.numpy().tobytes()).hexdigest())
"""
PHANTOM = """
import hashlib
from lassl.plumbing import threads
threads.set_defaults()
from lassl.data.phantom import draw_phantom
from lassl.seeds import stream
image, label = draw_phantom((64, 60, 40), stream(0, "phantom", "P000"))
label = label == 1
print(hashlib.sha256(image.tobytes() + label.tobytes()).hexdigest())
"""


def told(program: str, **environment: str) -> str:
    """What a fresh Python prints that knows none of our variables but these."""
    clean = {key: value for key, value in os.environ.items() if key not in OURS}
    done = subprocess.run([sys.executable, "-c", program], env=clean | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


WATCH = """
import os, runpy, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "numpy"):
            print(name, os.environ.get("GOMP_SPINCOUNT"), os.environ.get("OPENBLAS_NUM_THREADS"))
sys.meta_path.insert(0, Watch())
"""


@pytest.mark.parametrize(
    "start",
    [
        "sys.argv = ['lassl', 'show', 'none']; runpy.run_module('lassl.cli.main', run_name='__main__')",
        "sys.argv = ['-m']; import pipeline.train",
        "sys.argv = ['-m']; import pipeline.evaluate",
        "import benchmarks.speed",
    ],
)
def test_entry_points_tell_threads_how_to_behave_before_torch_and_numpy_are_loaded(start):
    after = "print('after', os.environ['GOMP_SPINCOUNT'], os.environ['OPENBLAS_NUM_THREADS'])"
    lines = told(f"{WATCH}\ntry:\n    {start}\nexcept SystemExit:\n    pass\n{after}").splitlines()
    assert lines[-1] == "after 1000 1"
    assert lines[:-1] and set(lines[:-1]) <= {"torch 1000 1", "numpy 1000 1"}


def test_importing_changes_nothing_in_the_process():
    state = "(dict(os.environ), os.getcwd(), [signal.getsignal(n) for n in (1, 2, 15)])"
    program = f"""
import importlib, os, signal, sys
import torch
before, threads, tf32 = {state}, torch.get_num_threads(), torch.backends.cudnn.allow_tf32
for path in sorted({sorted(p.relative_to(ROOT).with_suffix("").as_posix() for p in ROOT.glob("lassl/**/*.py"))!r}):
    importlib.import_module(path.removesuffix("/__init__").replace("/", "."))
print(before == {state}, threads == torch.get_num_threads(), tf32 == torch.backends.cudnn.allow_tf32)
"""
    assert told(program) == "True True True"


def test_what_the_user_has_set_stays():
    program = "import os; from lassl.plumbing import threads; threads.set_defaults(); print(os.environ.get('{}'))"
    assert told(program.format("GOMP_SPINCOUNT"), GOMP_SPINCOUNT="7") == "7"
    assert told(program.format("GOMP_SPINCOUNT"), OMP_WAIT_POLICY="ACTIVE") == "None"
    assert told(program.format("OPENBLAS_NUM_THREADS"), OPENBLAS_NUM_THREADS="3") == "3"


def test_no_bit_changes():
    assert told(STEP) == told(STEP, GOMP_SPINCOUNT="300000") == told(STEP, OMP_WAIT_POLICY="PASSIVE")
    assert told(PHANTOM) == told(PHANTOM, OPENBLAS_NUM_THREADS="2")
