"""What importing the project tells OpenMP: set before torch is there, never over the user's choice, no bit changed."""

import os
import subprocess
import sys

import pytest

OURS = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
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


def told(program: str, **environment: str) -> str:
    """What a fresh Python prints that knows none of our variables but these."""
    clean = {key: value for key, value in os.environ.items() if key not in OURS}
    done = subprocess.run([sys.executable, "-c", program], env=clean | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "module", ["lassl", "pipeline.train", "pipeline.evaluate", "benchmarks.speed", "lassl.cli.main"]
)
def test_waiting_threads_stop_spinning_in_every_process_before_torch_is_loaded(module):
    program = f"""
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            print("torch", os.environ.get("GOMP_SPINCOUNT"))
            sys.meta_path.remove(self)
sys.meta_path.insert(0, Watch())
import {module}
print("after", os.environ["GOMP_SPINCOUNT"])
"""
    lines = told(program).splitlines()
    assert lines[-1] == "after 1000"
    assert set(lines[:-1]) <= {"torch 1000"}


def test_what_the_user_has_set_stays():
    program = "import os, lassl; print(os.environ.get('GOMP_SPINCOUNT'), os.environ.get('OMP_WAIT_POLICY'))"
    assert told(program, GOMP_SPINCOUNT="7") == "7 None"
    assert told(program, OMP_WAIT_POLICY="ACTIVE") == "None ACTIVE"


def test_no_bit_changes():
    assert told(STEP) == told(STEP, GOMP_SPINCOUNT="infinite") == told(STEP, OMP_WAIT_POLICY="PASSIVE")
