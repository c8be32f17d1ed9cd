"""Stage `fields`: one trained run on another field of view than the crop around the label."""

import sys
from typing import cast

from lassl import config
from lassl.config import Field
from lassl.evaluation.fields_of_view import evaluate_field
from lassl.plumbing.errors import command


def main() -> None:
    """Usage: python -m pipeline.fields METHOD DRAW SEED FIELD."""
    method, draw, seed, field = sys.argv[1:]
    settings = config.load()
    evaluate_field(settings, settings.run(method, int(draw), int(seed)), cast(Field, field))


if __name__ == "__main__":
    command(main)
