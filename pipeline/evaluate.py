"""Stage `evaluate`: makes the masks and scores of one trained run."""

import sys

from lassl.evaluation.evaluate import evaluate
from lassl.plumbing.errors import command
from lassl.settings import config


def main() -> None:
    """Usage: python -m pipeline.evaluate METHOD LABEL_SPLIT SEED."""
    method, label_split, seed = sys.argv[1:]
    settings = config.load()
    evaluate(settings, settings.run(method, int(label_split), int(seed)))


if __name__ == "__main__":
    command(main)
