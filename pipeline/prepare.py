"""Stage `prepare`: raw scans, whichever way they come, into one prepared cohort."""

from lassl import config
from lassl.errors import command
from lassl.preprocess import prepare


def main() -> None:
    """Check, normalize and crop every scan of the cohort."""
    prepare(config.load().data)


if __name__ == "__main__":
    command(main)
