"""Stage `publish`: copies the files of an evaluated run that git keeps."""

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
