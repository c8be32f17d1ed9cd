"""Stage `train`: one run: a row of the table with a draw of labels and a seed."""

import sys

from lassl import config
from lassl.plumbing.errors import command
from lassl.training.train import train


def main() -> None:
    """Usage: python -m pipeline.train METHOD DRAW SEED."""
    method, draw, seed = sys.argv[1:]
    settings = config.load()
    train(settings, settings.run(method, int(draw), int(seed)))


if __name__ == "__main__":
    command(main)
