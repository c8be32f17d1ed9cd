"""Stage `train`: trains one run: a row of the table with a label split and a seed."""

import sys

from lassl.plumbing.errors import LasslError, command
from lassl.plumbing.files import linked_away
from lassl.settings import config
from lassl.training.train import train


def main() -> None:
    """Usage: python -m pipeline.train METHOD LABEL_SPLIT SEED."""
    method, label_split, seed = sys.argv[1:]
    settings = config.load()
    run = settings.run(method, int(label_split), int(seed))
    if links := linked_away([run.model.parent, run.curves, run.predictions, *run.published.values()]):
        raise LasslError("\n".join(links))
    train(settings, run)


if __name__ == "__main__":
    command(main)
