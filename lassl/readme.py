"""Keeps the tables in README.md equal to the ones in metrics/."""

import json
import re
from pathlib import Path

from lassl.config import metrics_folder
from lassl.errors import LasslError, command
from lassl.markdown import side_by_side

BLOCK = re.compile(r"(<!-- table: ([\w-]+)(?:, ([\w-]+))? -->\n).*?(<!-- end of table -->)", re.DOTALL)


def with_tables(text: str) -> str:
    """Replace what stands between the marks of each table. Raises LasslError.

    One profile between the marks stands for metrics/<profile>/table.md, two for the mean Dice of both.
    """

    def block(match: re.Match[str]) -> str:
        mark, first, second, end = match.groups()
        if second is None:
            return f"{mark}{content(first, 'table.md')}{end}"
        tables = {profile: json.loads(content(profile, "table.json")) for profile in (first, second)}
        return f"{mark}{side_by_side(tables)}\n{end}"

    return BLOCK.sub(block, text)


def content(profile: str, name: str) -> str:
    """Read a file of a profile's table. Raises LasslError."""
    path = metrics_folder(profile) / name
    if not path.is_file():
        raise LasslError(f"README.md: names the table of profile {profile}, but {path} is not there; run it first")
    return path.read_text("utf-8")


def update(path: Path = Path("README.md")) -> None:
    """Write the current tables into the README."""
    path.write_text(with_tables(path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    command(update)
