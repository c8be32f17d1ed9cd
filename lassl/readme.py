"""Keeps the tables in README.md equal to the ones in metrics/."""

import re
from pathlib import Path

from lassl.config import metrics_folder
from lassl.errors import LasslError, command

BLOCK = re.compile(r"(<!-- table: ([\w-]+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def with_tables(text: str) -> str:
    """Replace what stands between the marks of each table by metrics/<profile>/table.md. Raises LasslError."""

    def block(match: re.Match[str]) -> str:
        path = metrics_folder(match[2]) / "table.md"
        if not path.is_file():
            raise LasslError(f"README.md: names the table of profile {match[2]}, but {path} is not there; run it first")
        return f"{match[1]}{path.read_text('utf-8')}{match[3]}"

    return BLOCK.sub(block, text)


def update(path: Path = Path("README.md")) -> None:
    """Write the current tables into the README."""
    path.write_text(with_tables(path.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    command(update)
