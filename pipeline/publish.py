"""Stage `publish`: what git keeps of an evaluated run."""

import sys

from lassl.evaluation.publish import publish
from lassl.plumbing.errors import command
from lassl.settings import config


def main() -> None:
    """Usage: python -m pipeline.publish METHOD DRAW SEED."""
    method, draw, seed = sys.argv[1:]
    publish(config.load().run(method, int(draw), int(seed)))


if __name__ == "__main__":
    command(main)
