"""`lassl import`: makes a cohort, its split file and its profile of a folder of nnU-Net or of the Decathlon."""

import argparse
import csv
import io
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from lassl.cli import check_data, check_machine, check_project
from lassl.cli.check_machine import Finding
from lassl.cli.import_dataset import Dataset, chosen_channels, read_dataset
from lassl.cli.import_files import READ
from lassl.cli.import_profile import MADE_BY, Fit, fit, profile_text
from lassl.cli.import_scans import measure, write_channel
from lassl.data.label_split import Split
from lassl.paths import raw_folder
from lassl.plumbing.errors import LasslError, note
from lassl.plumbing.files import check_free, foreign, read_text, whole, whole_folder
from lassl.seeds import stream
from lassl.settings.compose import CONF, compose
from lassl.settings.config import load

NAMED = 5  # test cases that are named
RECORD = "import.json"  # in the folder of an imported cohort
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")  # of a profile, as `-S profile=NAME` takes it without quotes


@dataclass(frozen=True)
class Places:
    """What an import makes: the folder of scans, the split file, the profile."""

    raw: Path
    split: Path
    profile: Path


def run(arguments: argparse.Namespace) -> int:
    """Make the three, checked as `lassl doctor` checks them, and say what was made; the exit code is 0.

    Raises LasslError without writing anything.
    """
    name, places = arguments.name, _places(arguments.name, arguments.overwrite)
    dataset = read_dataset(arguments.folder.resolve())
    channels = chosen_channels(dataset, arguments.channel)
    scans, split = measure(dataset, channels.values()), _split(dataset, arguments.test, arguments.seed)
    sizes = fit([scans[case] for case in split.train], [scans[case] for case in split.test])
    labeled, unlabeled = len(split.train) - len(split.withheld), len(split.withheld)
    came_from = dataset.path.parent.name
    text = profile_text(name, came_from, dataset.structures, sizes, labeled, unlabeled, [*channels])
    # the folder is moved first, then the split file, then the profile, by which all is found
    with whole(places.profile) as profile, whole(places.split) as rows, whole_folder(places.raw, _ours) as folder:
        _fill(folder, dataset, channels)
        rows.write_text(_lines(split), "utf-8")
        profile.write_text(text, "utf-8")
        for warning in _checked(name, folder, rows, profile, dataset.path):
            note(f"note: {warning}")
    _tell(places, dataset, channels, split, sizes, arguments)
    return 0


def _places(name: str, overwrite: bool) -> Places:
    """Where the cohort goes. Raises LasslError if something is there that may not be replaced."""
    if not NAME.fullmatch(name):
        raise LasslError(f"--name: found '{name}', expected a letter, then letters, digits, - and _; choose another")
    if not (CONF / "config.yaml").is_file():
        raise LasslError(f"{CONF}/config.yaml: not found; run this in the project's folder")
    places = Places(raw_folder(name), Path(f"splits/{name}.csv"), CONF / f"profile/{name}.yaml")
    if problem := foreign(places.raw, _ours):
        raise LasslError(problem)
    ours = places.profile.is_file() and MADE_BY in read_text(places.profile)
    for path in (places.profile, places.split):
        if path.exists() and not ours:
            raise LasslError(f"{path}: exists, and `lassl import` did not make it; choose another --name, or move it")
    check_free([places.split, places.profile], overwrite)
    if places.raw.exists() and any(places.raw.iterdir()) and not overwrite:
        raise LasslError(f"{places.raw}: exists already; give another --name, or use --overwrite to replace it")
    return places


def _ours(folder: Path) -> bool:
    """Whether a folder has only what an import made: links, its record, and the files that the record names."""
    try:
        copied = json.loads((folder / RECORD).read_text("utf-8"))["copied"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {path.relative_to(folder).as_posix() for path in files} <= {RECORD, *copied}


def _split(dataset: Dataset, share: float, seed: int) -> Split:
    """Choose the test cases, a share of the labeled ones. Raises LasslError if too few are left to train on."""
    labeled, unlabeled = sorted(dataset.labeled), sorted(dataset.unlabeled)
    count = max(round(share * len(labeled)), 1)
    if count == len(labeled) or len(labeled) + len(unlabeled) - count < 2:
        raise LasslError(
            f"{dataset.path}: found {len(labeled)} labeled and {len(unlabeled)} unlabeled cases, {count} of them to "
            "test on, expected two or more to train on, one of them with a label; add cases, or choose a smaller --test"
        )
    chosen = stream(seed, "test cases").permutation(len(labeled))[:count].tolist()
    test = tuple(labeled[i] for i in sorted(chosen))
    return Split((*(case for case in labeled if case not in test), *unlabeled), test, frozenset(unlabeled))


def _lines(split: Split) -> str:
    """The split file: labeled training cases first, as label split 0 takes its labels from the top."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("case", "split", "label"))
    rows.writerows((case, "train", "none" if case in split.withheld else "") for case in split.train)
    rows.writerows((case, "test", "") for case in split.test)
    return text.getvalue()


def _fill(folder: Path, dataset: Dataset, channels: Mapping[str, int]) -> None:
    """Make the folder of each case with links to its files; channels of a file with several are written instead."""
    copied = []
    for case, files in (dataset.labeled | dataset.unlabeled).items():
        (folder / case).mkdir()
        links = {key: dataset.image(files, channel) for key, channel in channels.items()}
        if dataset.together(files):
            links = {}
            for key, channel in channels.items():
                copied.append(f"{case}/{key}.nii.gz")
                write_channel(files.images[0], channel, folder / copied[-1])
        for key, path in [*links.items(), *([("label", files.label)] if files.label else [])]:
            suffix = next(suffix for suffix in READ if path.name.lower().endswith(suffix))
            (folder / case / f"{key}{suffix}").symlink_to(path)
    names = {key: dataset.channels[channel] for key, channel in channels.items()}
    about = {"channels": names} if len(names) > 1 else {"channel": names["image"]}
    record = {**about, "copied": copied}  # no path: equal scans have equal hashes
    (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", "utf-8")


def _checked(name: str, folder: Path, rows: Path, profile: Path, described: Path) -> list[str]:
    """Compose the profile in a copy of the project, and check scans and settings there; gives warnings.

    Raises LasslError with a line for each finding that would stop a run.
    """
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        shutil.copytree(CONF, root / CONF, ignore=shutil.ignore_patterns(".*"))
        shutil.copy(profile, root / CONF / f"profile/{name}.yaml")
        (root / "splits").mkdir()
        shutil.copy(rows, root / f"splits/{name}.csv")
        (root / raw_folder(name)).parent.mkdir(parents=True)
        (root / raw_folder(name)).symlink_to(folder.absolute())
        try:
            compose(root / "params.yaml", f"profile={name}", conf=root / CONF)
            config = load(root / "params.yaml")
            findings = [
                *(*check_project.settings(root), *check_project.conf(root / CONF)),
                *(*check_project.options(config), *check_project.network(config, Path())),
                *(*check_data.data(config, root), *check_data.label_counts(config, root)),
            ]
            wrong = [told(finding) for finding in findings if finding.mark == "missing"]
        except LasslError as error:
            wrong = str(error).splitlines()
        if wrong:
            lines = [f"{described}: would become a cohort that cannot be trained on: {line}" for line in wrong]
            raise LasslError("\n".join(lines).replace(f"{root}/", ""))
        here = (*check_machine.device(config), *check_machine.memory(config))
        return [told(finding) for finding in here if finding.mark != "ok"]


def told(finding: Finding) -> str:
    """A finding without its mark."""
    return "; ".join(filter(None, (finding.found, finding.todo)))


def _tell(
    places: Places,
    dataset: Dataset,
    channels: Mapping[str, int],
    split: Split,
    sizes: Fit,
    arguments: argparse.Namespace,
) -> None:
    """Say what was made, which cases are for tests, and what to run next."""
    if (dataset.path.parent / "labelsTs").is_dir():
        note(f"note: {dataset.path.parent / 'labelsTs'}: not read; the scans of imagesTs are unlabeled training cases")
    if split.withheld:
        note(f"note: {len(split.withheld)} scan(s) of imagesTs are used whole, as no label says where to crop them")
    unlabeled, size = len(split.withheld), " x ".join(map(str, sizes.size))
    test = ", ".join(split.test[:NAMED]) + ", ..." * (len(split.test) > NAMED)
    print(
        f"{places.raw}: {len(split.train) + len(split.test)} cases; their files are links to {dataset.path.parent}, "
        "which must stay"
    )
    print(
        f"{places.split}: {len(split.train) - unlabeled} labeled and {unlabeled} unlabeled training cases; "
        f"{len(split.test)} of {len(dataset.labeled)} labeled ones to test on, drawn with seed {arguments.seed}: {test}"
    )
    seen = f"channels {', '.join(channels)}; " if len(channels) > 1 else ""
    found = ", ".join(dataset.structures)
    print(f"{places.profile}: {found}; {seen}patches of {size} voxels, pooled by {sizes.pool}")
    print(f"next: dvc exp run -S profile={arguments.name}")
