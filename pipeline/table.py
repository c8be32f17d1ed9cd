"""Stage `table`: compares all runs of the profile with the published figures."""

from lassl.plumbing.errors import command
from lassl.results.table import table
from lassl.results.terminal import show
from lassl.settings import config


def main() -> None:
    """Write metrics/<profile>/table.json, table.md and details.md, and show the scores. Raises LasslError."""
    settings = config.load()
    table(settings.name, settings.statistics)
    show(settings.name, absent="comes next: the stage `report` makes it, or DVC's cache has it")


if __name__ == "__main__":
    command(main)
