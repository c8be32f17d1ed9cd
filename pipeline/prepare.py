"""Stage `prepare`: makes one prepared cohort from raw scans of any layout."""

from lassl.data.prepare import prepare
from lassl.plumbing.errors import command
from lassl.settings import config


def main() -> None:
    """Check, normalize and crop every scan of the cohort."""
    prepare(config.load().data)


if __name__ == "__main__":
    command(main)
