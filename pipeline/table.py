"""Stage `table`: all runs of the profile beside the published figures."""

from lassl import config
from lassl.errors import command
from lassl.table import write_table


def main() -> None:
    """Write metrics/<profile>/table.json and table.md, and print the latter."""
    settings = config.load()
    print(write_table(settings.name, settings.statistics))


if __name__ == "__main__":
    command(main)
