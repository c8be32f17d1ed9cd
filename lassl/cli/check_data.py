"""Checks of the data that a run needs: split file, raw scans, labels, prepared cohort.

As in lassl/cli/check_project.py, the top of the file imports only the standard library.
"""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from lassl.cli.check_machine import Finding, Mark
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import unreadable

if TYPE_CHECKING:
    from lassl.data.label_split import Split
    from lassl.data.raw import RawLayout
    from lassl.settings.config import Config

NAMED = 5  # how many files of one kind are named
REAL = ("data/raw/la2018", "splits/la2018.csv")  # the challenge's scans and their split file


def data(config: "Config", root: Path) -> Iterator[Finding]:
    """Check the raw scans that params.yaml needs; if those are phantoms, the real ones too."""
    folder, split = config.data.folder, config.data.split
    if config.drawn_elsewhere:
        yield Finding("missing", config.drawn_elsewhere)
    elif config.drawn:
        yield from split_problems(root / split)
        yield Finding("ok", f"{folder}: phantoms; `dvc repro` draws them")
        yield from real_scans(root)
    else:
        yield from scans(root / folder, root / split, needed=True, channels=config.data.channels)
        yield from changes(config, root / folder)


def changes(config: "Config", folder: Path) -> Iterator[Finding]:
    """Say what preparation does to the scans' grids and intensities, and whether it can."""
    from lassl.data.case import changes_of_h5
    from lassl.data.raw import find_layout

    wanted, clip = config.data, config.data.clip
    try:
        problems = changes_of_h5(wanted, find_layout(folder, wanted.channels))
    except LasslError:
        return  # `scans` reports it
    yield from (Finding("missing", problem) for problem in problems)
    grid = [" x ".join(f"{side:g}" for side in wanted.spacing_mm) + " mm"] if wanted.spacing_mm else []
    grid += [wanted.orientation] if wanted.orientation else []
    if grid and not problems:
        yield Finding("ok", f"scans are brought to {', '.join(grid)}; masks are scored on the scans' own grids")
    if clip and not problems:
        yield Finding("ok", f"intensities are clipped to [{clip[0]:g}, {clip[1]:g}], then normalized scan by scan")


def real_scans(root: Path) -> Iterator[Finding]:
    """Check the challenge's scans for a run that does not need them."""
    yield from scans(root / REAL[0], root / REAL[1], needed=False)


def split_problems(split: Path) -> Iterator[Finding]:
    """A line for each problem of a split file."""
    from lassl.data.split_file import check_split

    yield from (Finding("missing", problem) for problem in check_split(split)[1])


def scans(folder: Path, split: Path, needed: bool, channels: tuple[str, ...] = ("image",)) -> Iterator[Finding]:
    """Check the raw scans of a split's cases in a folder; a missing file is only a warning if it is not needed."""
    from lassl.data.raw import find_layout, linked
    from lassl.data.split_file import check_split

    mark: Mark = "missing" if needed else "warning"
    subsets, problems = check_split(split)
    cases = subsets.train + subsets.test
    problems += linked(folder, cases)
    problems += unreadable([folder, *(folder / case for case in cases)])
    try:
        layout = find_layout(folder, channels)
        files, wrong = files_of(layout, folder, subsets)
        problems += wrong
    except LasslError as error:
        problems.append(str(error))
    yield from (Finding(mark, problem) for problem in problems)
    if problems:
        return
    images = {case: [files[case, key] for key in channels] for case in cases}
    needs = [*chain(*images.values()), *(files[case, "label"] for case in subsets.test)]
    absent = [str(path) for path in dict.fromkeys(needs) if not path.is_file()]
    present = sum(all(path.is_file() for path in paths) for paths in images.values())
    count = f"{folder}: {present} of {len(cases)} cases of {split} ({layout.name})"
    if absent:
        yield Finding(mark, f"{count}, {len(absent)} files are missing, such as {absent[0]}", "add them")
    else:
        yield Finding("ok", count)


def files_of(layout: "RawLayout", folder: Path, split: "Split") -> tuple[dict[tuple[str, str], Path], list[str]]:
    """The paths of the images, of each channel, and of the labels that are not withheld; and a list of problems.

    Paths are by case and key.
    """
    files, problems = {}, []
    for case in split.train + split.test:
        for key in (*layout.channels, "label"):
            if key == "label" and case in split.withheld:
                continue
            try:
                files[case, key] = layout.file(folder / case, key)
            except LasslError as error:
                problems.append(str(error))
    return files, list(dict.fromkeys(problems))  # an h5 file has both image and label


def known_scans(config: "Config", root: Path) -> Iterator[Finding]:
    """Check whether the scans of a public cohort are those behind the committed results; skips other cohorts."""
    from lassl.data.public import PUBLIC, hashes, unlike
    from lassl.data.raw import find_layout

    folder = root / config.data.folder
    try:
        public = PUBLIC.get(config.data.cohort)
        if public is None or find_layout(folder).name != public.layout:
            return
    except LasslError:
        return  # `data` reports it
    wrong = unlike(folder, hashes(root / public.hashes))
    todo = f"figures may differ; remove these files and run `make {public.cohort}`"
    yield from (Finding("warning", line, todo) for line in wrong[:NAMED])
    if len(wrong) > NAMED:
        yield Finding("warning", f"{folder}: {len(wrong)} files in total differ from {public.hashes}", todo)
    if not wrong:
        yield Finding("ok", f"{folder}: every file present matches {public.hashes}")


def label_counts(config: "Config", root: Path) -> Iterator[Finding]:
    """Check whether there are enough scans and labels for the rows; `data` reports what is wrong with the scans."""
    from lassl.runs.label_counts import to_learn_from, too_few

    try:
        train, with_label = to_learn_from(config, root)
        problems = too_few(config, root)
    except LasslError:
        return
    yield from (Finding("missing", problem) for problem in problems)
    if not problems:
        count = f"{config.data.split}: {len(with_label)} of {len(train)} training cases have a label to learn from"
        yield Finding("ok", f"{count}, enough for every row")


def prepared(folder: Path) -> Iterator[Finding]:
    """Check the prepared cohort, which the pipeline makes if it is missing."""
    from lassl.data.prepared import open_prepared

    if not folder.is_dir():
        yield Finding("warning", f"{folder}: does not exist yet", "`dvc repro` creates it")
        return
    try:
        cases = list(open_prepared(folder).cases)
    except LasslError as error:
        yield Finding("warning", str(error))
        return
    present = sum((folder / f"{case}.h5").is_file() for case in cases)
    count = f"{folder}: {present} of {len(cases)} prepared cases"
    yield Finding("ok", count) if present == len(cases) else Finding("warning", count, "`dvc repro` creates them again")
