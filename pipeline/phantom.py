"""Stage `phantom`: synthetic scans in the layout of the challenge."""

from lassl import config
from lassl.errors import command
from lassl.phantom import write_cohort
from lassl.split import read_split


def main() -> None:
    """Write the raw scans of the synthetic cohort."""
    settings = config.load()
    split = read_split(settings.data.split)
    write_cohort((*split.train, *split.test), settings.data.folder, settings.phantom.size, settings.phantom.seed)


if __name__ == "__main__":
    command(main)
