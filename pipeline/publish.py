"""Stage `publish`: what git keeps of an evaluated run."""

import sys

from lassl.evaluation.publish import publish
from lassl.plumbing.errors import command
from lassl.settings import config


def main() -> None:
    """Usage: python -m pipeline.publish METHOD LABEL_SPLIT SEED."""
    method, label_split, seed = sys.argv[1:]
    publish(config.load().run(method, int(label_split), int(seed)))


if __name__ == "__main__":
    command(main)
