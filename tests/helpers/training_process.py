"""What the processes of training/test_survival.py run; it imports little, so that they start in no time."""

import multiprocessing
import os
import sys
from pathlib import Path

import torch

from lassl.paths import Run
from lassl.plumbing.errors import command
from lassl.settings.config import Config
from lassl.training.train import train


def work(config: Config, run: Run, folder: Path) -> None:
    """Train a run in a folder, on one thread, telling what there is to tell in the file `stderr`."""
    os.chdir(folder)
    multiprocessing.set_start_method("fork", force=True)  # of loading processes, as where a training runs by itself
    sys.stderr = (folder / "stderr").open("a", buffering=1)
    torch.set_num_threads(1)
    command(lambda: train(config, run))
