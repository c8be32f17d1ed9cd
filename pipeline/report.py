"""Stage `report`: shows the profile's table, cases, curves and masks on one page."""

from lassl.plumbing.errors import command
from lassl.report.report import report
from lassl.settings import config


def main() -> None:
    """Write report/<profile>/index.html, and print where it is."""
    settings = config.load()
    print(report(settings.name, settings.data.prepared, settings.cases.tuning))


if __name__ == "__main__":
    command(main)
