"""Stage `lock`: keeps dvc.lock short, so that every command pays only for what params.yaml names."""

from pathlib import Path

from lassl import config
from lassl.errors import command
from lassl.files import write_text
from lassl.lockfile import settle


def main() -> None:
    """Move entries between dvc.lock and metrics/<profile>/stages.yaml; write build/lock, which says it was done."""
    settle(config.load())
    write_text(Path("build/lock"), "dvc.lock holds what params.yaml names\n")


if __name__ == "__main__":
    command(main)
