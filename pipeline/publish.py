"""Stage `publish`: what git keeps of an evaluated run."""

import sys

from lassl import config
from lassl.errors import command
from lassl.publish import publish


def main() -> None:
    """Usage: python -m pipeline.publish METHOD DRAW SEED."""
    method, draw, seed = sys.argv[1:]
    publish(config.load().run(method, int(draw), int(seed)))


if __name__ == "__main__":
    command(main)
