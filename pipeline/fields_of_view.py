"""Stage `fields_of_view`: scores one trained run on a field of view other than the crop around the label."""

import sys
from typing import cast

from lassl.evaluation.fields_of_view import fields_of_view
from lassl.plumbing.errors import command
from lassl.settings import config
from lassl.settings.sections import Field


def main() -> None:
    """Usage: python -m pipeline.fields_of_view METHOD LABEL_SPLIT SEED FIELD."""
    method, label_split, seed, field = sys.argv[1:]
    settings = config.load()
    fields_of_view(settings, settings.run(method, int(label_split), int(seed)), cast(Field, field))


if __name__ == "__main__":
    command(main)
