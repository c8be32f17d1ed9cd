"""Checks whether a cohort has enough training cases and labels for the rows of params.yaml."""

from pathlib import Path

from lassl.data.label_split import Split, choose_cases, set_aside
from lassl.data.raw import find_layout
from lassl.data.split_file import read_split
from lassl.plumbing.errors import LasslError
from lassl.settings.config import Config
from lassl.settings.origins import files_of, value


def too_few(config: Config, root: Path = Path()) -> list[str]:
    """Give a line for each row that cannot be trained on the cohort.

    Raises LasslError if the split file or the folder of scans cannot be read.
    """
    split, with_label = _all(config, root)
    scored, train = set_aside(split.train, with_label, split.patients, config.cases.tuning)
    if len(scored) < config.cases.tuning or not train:
        return [
            f"{config.data.split}: found {len(split.train)} training cases, {len(with_label)} with a label, but "
            f"cases.tuning is {config.cases.tuning}; leave some to train on"
        ]
    problems = []
    for name, method in config.methods.items():
        try:
            for label_split in config.label_splits:
                counts = (method.labeled, method.unlabeled, label_split, config.cases.held_out)
                choose_cases(train, with_label & set(train), *counts, patients=split.patients)
        except LasslError as error:
            problems.append(f"{name}: {error}; {_remedy(name, config.cases.tuning)}")
    return problems


def _remedy(name: str, tuning: int) -> str:
    """Say where to change the counts of a row."""
    row = Path(f"conf/method/{name}.yaml")
    counts = [value(file, [key]) for file in files_of(name, Path("conf")) for key in ("labeled", "unlabeled")]
    if not any(isinstance(count, int) and count for count in counts):  # only ${labels...}
        return "the numbers come from `labels` of the profile"
    if not tuning:
        return f"the numbers are in {row}"
    return (
        f"in {row} use ${{labels.few.labeled}} and ${{labels.few.unlabeled}}, because the tuning mode lowers only these"
    )


def to_learn_from(config: Config, root: Path = Path()) -> tuple[tuple[str, ...], set[str]]:
    """The training cases without those that tuning sets aside, and which of them have a label. Raises LasslError."""
    split, with_label = _all(config, root)
    _, train = set_aside(split.train, with_label, split.patients, config.cases.tuning)
    return train, with_label & set(train)


def _all(config: Config, root: Path) -> tuple[Split, set[str]]:
    """The split, and its training cases with a label that is not withheld."""
    folder, split = root / config.data.folder, read_split(root / config.data.split)
    with_label = set(split.train) - split.withheld
    if not config.drawn:
        layout = find_layout(folder, config.data.channels)
        with_label = {case for case in with_label if layout.file(folder / case, "label").is_file()}
    return split, with_label
