"""Stage `evaluate`: the masks and scores of one trained run."""

import sys

from lassl import config
from lassl.evaluation.evaluate import evaluate
from lassl.plumbing.errors import command


def main() -> None:
    """Usage: python -m pipeline.evaluate METHOD DRAW SEED."""
    method, draw, seed = sys.argv[1:]
    settings = config.load()
    evaluate(settings, settings.run(method, int(draw), int(seed)))


if __name__ == "__main__":
    command(main)
