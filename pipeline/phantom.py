"""Stage `phantom`: draws synthetic scans in the layout of the challenge."""

from lassl.data.phantom import phantom
from lassl.data.split_file import read_split
from lassl.plumbing.errors import LasslError, command
from lassl.settings import config


def main() -> None:
    """Write the raw scans of the synthetic cohort. Raises LasslError if the settings name another folder."""
    settings = config.load()
    if problem := settings.drawn_elsewhere:
        raise LasslError(problem)
    split = read_split(settings.data.split)
    drawing = settings.phantom.model_dump(exclude={"cohorts"})
    phantom((*split.train, *split.test), settings.data.folder, **drawing)


if __name__ == "__main__":
    command(main)
