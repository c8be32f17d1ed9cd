"""The list of what `lassl predict` made in a folder: volumes.csv, a row for each scan."""

import csv
import fcntl
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import read_text, write_text
from lassl.predict.scan_files import files_of

NAME = "volumes.csv"
DONE, DOUBTFUL, FAILED, UNFINISHED = "done", "doubtful", "failed", "unfinished"  # status of a scan
COLUMNS = ("scan", "mask", "volume_ml", "status", "notes", "settings")
VOLUME = "volume_ml"  # after it, for several structures, a column for each: volume_ml_hippocampus
Row = dict[str, str]


@dataclass(frozen=True)
class Record:
    """The list in a folder of masks. `settings` names the model and the options that masks are made with now."""

    folder: Path
    settings: str

    @property
    def path(self) -> Path:
        """The file of the list."""
        return self.folder / NAME

    def rows(self) -> list[Row]:
        """Read all rows; none where there is no file. Raises LasslError for a file that lassl did not write."""
        if not self.path.exists():
            return []
        found = csv.DictReader(io.StringIO(read_text(self.path), newline=""))
        rows, names = list(found), tuple(found.fieldnames or ())
        usual = tuple(name for name in names if not name.startswith(f"{VOLUME}_")) == COLUMNS
        if not usual or any(None in row or None in row.values() for row in rows):
            raise LasslError(
                f"{self.path}: found a file that lassl did not write, expected columns {','.join(COLUMNS)}; move it, "
                "or give another folder with -o"
            )
        return rows

    def add(
        self,
        scan: Path,
        mask: Path,
        status: str,
        volumes_ml: Mapping[str, float] | None = None,
        notes: Iterable[str] = (),
    ) -> None:
        """Write the row of a scan in place of an earlier one of the scan or its mask. Raises LasslError.

        `volumes_ml` are that of the mask, under "", and those of several structures by their names. The file is whole
        at any time, and several commands may write to it.
        """
        name = mask.relative_to(self.folder).as_posix()
        row = {
            "scan": text_of(scan),
            "mask": name,
            VOLUME: "",
            **{f"{VOLUME}_{name}" if name else VOLUME: f"{ml:.3f}" for name, ml in (volumes_ml or {}).items()},
            "status": status,
            "notes": "; ".join(" ".join(note.split()) for note in notes),
            "settings": self.settings,
        }
        with _alone(self.folder):
            rows = self.rows()
            same = [n for n, other in enumerate(rows) if other["scan"] == row["scan"] or other["mask"] == name]
            place = same[0] if same else len(rows)
            kept = [other for n, other in enumerate(rows) if n not in same]
            kept.insert(place, row)
            text = io.StringIO()
            table = csv.DictWriter(text, columns_of(kept), restval="", lineterminator="\n")
            table.writeheader()
            table.writerows(kept)
            write_text(self.path, text.getvalue())

    def status(self, rows: Iterable[Row], scan: Path, mask: Path, files: Iterable[Path]) -> str:
        """What an earlier command with the same settings left of a scan, by the list's rows: a status, or nothing.

        A mask is DONE or DOUBTFUL while all `files` are there and none is older than the scan.
        """
        name = mask.relative_to(self.folder).as_posix()
        for row in rows:
            if (row["scan"], row["mask"], row["settings"]) == (text_of(scan), name, self.settings):
                fresh = all(path.is_file() and path.stat().st_mtime >= _changed(scan) for path in files)
                return row["status"] if fresh or row["status"] == UNFINISHED else ""
        return ""


def columns_of(rows: Iterable[Row]) -> list[str]:
    """The columns of a list with these rows: COLUMNS, and those of the structures of any row after VOLUME."""
    named = dict.fromkeys(name for row in rows for name in row if name.startswith(f"{VOLUME}_"))
    place = COLUMNS.index(VOLUME) + 1
    return [*COLUMNS[:place], *named, *COLUMNS[place:]]


def text_of(scan: Path) -> str:
    """The full path of a scan, as the list has it; of several channels those of their files."""
    return ",".join(map(os.path.abspath, files_of(scan))).encode("utf-8", "backslashreplace").decode()


def _changed(scan: Path) -> float:
    """When a scan was changed last, in seconds: the latest of its files, those of a folder too."""
    paths = [
        path for part in files_of(scan) for path in (filter(Path.is_file, part.iterdir()) if part.is_dir() else [part])
    ]
    return max((path.stat().st_mtime for path in paths), default=0.0)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let other commands wait that write a row into the same list."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems lock no folders
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
