"""The folders that the pipeline writes and replaces; finds what prevents this before anything runs."""

from collections.abc import Callable
from pathlib import Path

from lassl.data.prepared import MANIFEST
from lassl.data.raw import only_phantoms
from lassl.paths import RECORD, metrics_folder, raw_folder, report_page
from lassl.plumbing.files import foreign, holds, holds_only, linked_away
from lassl.runs.requested import asked
from lassl.settings.config import Config


def in_the_way(config: Config, root: Path = Path()) -> list[str]:
    """Give a line for each link that leads outputs out of the project in `root`, else for each foreign folder.

    DVC removes the outputs of a stage before the stage runs, even if they were written by others.
    """
    folders = replaced(config)
    files = [run.model.parent for run in asked(config).values()]
    if links := linked_away([*folders, *files, metrics_folder(config.name), Path("build/code")], root):
        return links
    return [problem for path, ours in folders.items() if (problem := foreign(root / path, ours))]


def replaced(config: Config) -> dict[Path, Callable[[Path], bool]]:
    """The folders that are replaced as a whole, each with a test whether the project wrote it."""
    runs = asked(config).values()
    return {
        **{raw_folder(cohort): only_phantoms for cohort in config.phantom.cohorts},
        config.data.prepared: holds(MANIFEST),
        **{run.curves: holds_only("*.tsv") for run in runs},
        **{run.predictions: holds(RECORD) for run in runs},
        report_page(config.name).parent: holds(report_page(config.name).name),
    }
