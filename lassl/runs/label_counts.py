"""Checks whether a cohort has enough training cases and labels for the rows of params.yaml."""

from pathlib import Path

from lassl.data.label_split import choose_cases
from lassl.data.raw import find_layout
from lassl.data.split_file import read_split
from lassl.plumbing.errors import LasslError
from lassl.settings.config import Config
from lassl.settings.origins import files_of, value


def too_few(config: Config, root: Path = Path()) -> list[str]:
    """Give a line for each row that cannot be trained on the cohort.

    Raises LasslError if the split file or the folder of scans cannot be read.
    """
    train, with_label = to_learn_from(config, root)
    if config.cases.tuning and not _scored(config, root):
        return [
            f"{config.data.split}: found {len(train)} training cases, {len(with_label)} with a label, but cases.tuning "
            f"is {config.cases.tuning}; leave some to train on"
        ]
    problems = []
    for name, method in config.methods.items():
        try:
            for label_split in config.label_splits:
                choose_cases(train, with_label, method.labeled, method.unlabeled, label_split, config.cases.held_out)
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
    """The training cases, and those of them with a label to learn from, both without the cases scored in tuning.

    Raises LasslError.
    """
    train, with_label = _all(config, root)
    scored = _scored(config, root)
    return tuple(case for case in train if case not in scored), with_label - set(scored)


def _scored(config: Config, root: Path) -> list[str]:
    """The cases that are scored in tuning; empty if too few have labels or none would be left."""
    train, with_label = _all(config, root)
    tuned = config.cases.tuning
    scored = [case for case in train if case in with_label][-tuned:] if tuned else []
    return scored if len(scored) == tuned < len(train) else []


def _all(config: Config, root: Path) -> tuple[tuple[str, ...], set[str]]:
    """All training cases of the split file, and those of them with a label that is not withheld."""
    folder, split = root / config.data.folder, root / config.data.split
    cases = read_split(split)
    train, with_label = cases.train, set(cases.train) - cases.withheld
    if not config.drawn:
        layout = find_layout(folder, config.data.channels)
        with_label = {case for case in with_label if layout.file(folder / case, "label").is_file()}
    return train, with_label
