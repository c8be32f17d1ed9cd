"""What importing the project tells OpenMP and OpenBLAS: set before torch and numpy are there, never over the user's
choice, and no bit is changed.
"""

import os
import subprocess
import sys

import pytest

OURS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OPENBLAS_NUM_THREADS")
STEP = """
import hashlib, sys
import lassl
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
from lassl.data.phantom import draw_phantom
from lassl.seeds import stream
image, label = draw_phantom((64, 60, 40), stream(0, "phantom", "P000"))
print(hashlib.sha256(image.tobytes() + label.tobytes()).hexdigest())
"""


def told(program: str, **environment: str) -> str:
    """What a fresh Python prints that knows none of our variables but these."""
    clean = {key: value for key, value in os.environ.items() if key not in OURS}
    done = subprocess.run([sys.executable, "-c", program], env=clean | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "module", ["lassl", "pipeline.train", "pipeline.evaluate", "benchmarks.speed", "lassl.cli.main"]
)
def test_threads_are_told_how_to_behave_in_every_process_before_torch_and_numpy_are_loaded(module):
    program = f"""
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name in ("torch", "numpy"):
            print(name, os.environ.get("GOMP_SPINCOUNT"), os.environ.get("OPENBLAS_NUM_THREADS"))
sys.meta_path.insert(0, Watch())
import {module}
print("after", os.environ["GOMP_SPINCOUNT"], os.environ["OPENBLAS_NUM_THREADS"])
"""
    lines = told(program).splitlines()
    assert lines[-1] == "after 1000 1"
    assert set(lines[:-1]) <= {"torch 1000 1", "numpy 1000 1"}


def test_what_the_user_has_set_stays():
    program = "import os, lassl; print(os.environ.get('GOMP_SPINCOUNT'), os.environ.get('OMP_WAIT_POLICY'))"
    assert told(program, GOMP_SPINCOUNT="7") == "7 None"
    assert told(program, OMP_WAIT_POLICY="ACTIVE") == "None ACTIVE"
    assert told("import os, lassl; print(os.environ['OPENBLAS_NUM_THREADS'])", OPENBLAS_NUM_THREADS="3") == "3"


def test_no_bit_changes():
    assert told(STEP) == told(STEP, GOMP_SPINCOUNT="infinite") == told(STEP, OMP_WAIT_POLICY="PASSIVE")
    assert told(PHANTOM) == told(PHANTOM, OPENBLAS_NUM_THREADS="2")
