"""What `dvc repro` needs, and whether it is there: on this machine and in the project's folder.

Only the standard library is imported at the top, so that the checks can also say that a package is missing.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lassl.cli.check_machine import Finding, Mark, cpu, device, disk, memory, packages, python
from lassl.plumbing.errors import LasslError

if TYPE_CHECKING:
    from lassl.config import Config

TOLD = 5  # files of one kind that are named
REAL = ("data/raw/la2018", "splits/la2018.csv")
Check = Callable[[], Iterable[Finding]]


def examine(root: Path) -> list[Finding]:
    """Make all checks in a project's folder; what cannot be checked is a finding, never an error."""
    config: list[Config] = []
    checks: dict[str, Check] = {
        "Python": python,
        "packages": partial(packages, root / "constraints.txt"),
        "params.yaml": partial(settings, root, config),
        "git": partial(git, root),
        "DVC": partial(dvc, root),
        "disk": partial(disk, root),
        "CPU": cpu,
    }
    findings = [f for name, check in checks.items() for f in attempt(name, check)]
    if not config:
        findings.append(Finding("warning", "device, memory, data: cannot be checked without a valid params.yaml"))
        return findings + attempt("real scans", partial(scans, root / REAL[0], root / REAL[1], False))
    checks = {
        "models": partial(models, config[0], root),
        "device": partial(device, config[0]),
        "memory": partial(memory, config[0]),
        "data": partial(data, config[0], root),
        "known scans": partial(known_scans, config[0], root),
        "label counts": partial(label_counts, config[0], root),
        "prepared": partial(prepared, root / config[0].data.prepared),
    }
    return findings + [f for name, check in checks.items() for f in attempt(name, check)]


def attempt(name: str, check: Check) -> list[Finding]:
    """The findings of a check, as far as it can be made."""
    found = []
    try:
        for finding in check():
            found.append(finding)
    except Exception as error:  # whatever is broken on this machine must not hide the other findings
        reason = " ".join(str(error).split())[:200]
        found.append(Finding("warning", f"{name}: cannot be checked ({type(error).__name__}: {reason})"))
    return found


def settings(root: Path, kept: "list[Config]") -> Iterator[Finding]:
    """params.yaml; what it says is added to `kept`."""
    from lassl.config import load

    try:
        config = load(root / "params.yaml")
    except LasslError as error:
        yield from (Finding("missing", line) for line in str(error).splitlines())
        return
    kept.append(config)
    yield Finding("ok", f"params.yaml: profile {config.name}, {', '.join(config.methods) or 'no method'}")


def git(root: Path) -> Iterator[Finding]:
    """The git repository and its commit."""
    if shutil.which("git") is None:
        yield Finding("missing", "git: not installed", "install it")
    elif not _git(root, "rev-parse", "--git-dir"):
        yield Finding("missing", f"{root.resolve()}: no git repository", "run in a clone of the project")
    elif not (commit := _git(root, "rev-parse", "--verify", "--short", "HEAD")):
        yield Finding("warning", "git: no commit, which `dvc exp run` needs", "commit the project")
    else:
        yield Finding("ok", f"git: at commit {commit}")


def _git(root: Path, *words: str) -> str:
    """What git prints, nothing if it fails."""
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, errors="replace")
    return done.stdout.strip() if done.returncode == 0 else ""


def dvc(root: Path) -> Iterator[Finding]:
    """The DVC repository, its cache and whether results can be shared."""
    from dvc.config import Config

    if not (root / ".dvc").is_dir() or not (root / "dvc.yaml").is_file():
        yield Finding("missing", f"{root.resolve()}: no .dvc with dvc.yaml", "run in a clone of the project")
        return
    yield Finding("ok", "DVC: repository")
    found = Config(str(root / ".dvc"))
    cache = cache_of(root)
    if cache.is_dir():
        yield Finding("ok", f"DVC: cache {cache}")
    else:
        yield Finding("warning", f"DVC: no cache {cache} yet", "`dvc repro` makes it")
    if found["remote"]:
        yield Finding("ok", f"DVC: remote {', '.join(found['remote'])}")
    else:
        yield Finding("warning", "DVC: no remote: results cannot be shared", "`dvc remote add --default NAME URL`")


def cache_of(root: Path) -> Path:
    """The folder of DVC's cache."""
    from dvc.config import Config

    return Path(Config(str(root / ".dvc"))["cache"].get("dir") or root / ".dvc/cache")


def models(config: "Config", root: Path) -> Iterator[Finding]:
    """Models that only the cache still has, since params.yaml names other runs."""
    from pipeline.lockfile import unnamed_models

    if found := unnamed_models(config, cache_of(root), root):
        told = f"DVC: the cache has {len(found)} models that params.yaml does not name, as {found[0]}"
        yield Finding("warning", told, "`dvc gc -w` would delete them and `dvc push` leaves them out: see docs/dvc.md")


def data(config: "Config", root: Path) -> Iterator[Finding]:
    """The raw scans that params.yaml asks for; where those are phantoms, the real ones too."""
    folder, split = config.data.folder, config.data.split
    if phantoms(config):
        yield from split_problems(root / split)
        yield Finding("ok", f"{folder}: phantoms, which `dvc repro` draws")
        yield from scans(root / REAL[0], root / REAL[1], False)
    else:
        yield from scans(root / folder, root / split, True)


def phantoms(config: "Config") -> bool:
    """Whether the raw scans are phantoms, which `dvc repro` draws, each with a label."""
    return config.data.folder in [Path("data/raw") / cohort for cohort in config.phantom.cohorts]


def split_problems(split: Path) -> Iterator[Finding]:
    """What is wrong with a split file."""
    from lassl.data.split_file import check_labels, check_split

    yield from (Finding("missing", problem) for problem in check_split(split)[1] + check_labels(split)[1])


def scans(folder: Path, split: Path, needed: bool) -> Iterator[Finding]:
    """Raw scans against the cases of a split; what is missing is so only if it is needed."""
    from lassl.data.raw import find_layout, linked
    from lassl.data.split_file import check_labels, check_split

    lacking: Mark = "missing" if needed else "warning"
    parts, problems = check_split(split)
    problems += check_labels(split)[1]
    cases = parts.train + parts.test
    problems += linked(folder, cases)
    try:
        layout = find_layout(folder)
        images = [layout.file(folder / case, "image") for case in cases]
        labels = [layout.file(folder / case, "label") for case in parts.test]
    except LasslError as error:
        problems.append(str(error))
    yield from (Finding(lacking, problem) for problem in problems)
    if problems:
        return
    absent = [str(path) for path in dict.fromkeys(images + labels) if not path.is_file()]
    there = sum(path.is_file() for path in images)
    told = f"{folder}: {there} of {len(cases)} cases of {split} ({layout.name})"
    if absent:
        yield Finding(lacking, f"{told}, {len(absent)} files are not there, as {absent[0]}", "bring them")
    else:
        yield Finding("ok", told)


def known_scans(config: "Config", root: Path) -> Iterator[Finding]:
    """Whether the field's h5 of the real scans are those behind the committed results; another cohort is not known."""
    from lassl.data.la2018 import COHORT, HASHES, hashes, unlike
    from lassl.data.raw import find_layout

    folder = root / config.data.folder
    try:
        known = config.data.cohort == COHORT and find_layout(folder).name == "h5"
    except LasslError:
        return  # told already
    if known:
        wrong = unlike(folder, hashes(root / HASHES))
        cure = "figures may differ; remove them, `make la2018`"
        yield from (Finding("warning", line, cure) for line in wrong[:TOLD])
        if len(wrong) > TOLD:
            yield Finding("warning", f"{folder}: {len(wrong)} files in all are not as in {HASHES}", cure)
        if not wrong:
            yield Finding("ok", f"{folder}: each file that is there is as in {HASHES}")


def label_counts(config: "Config", root: Path) -> Iterator[Finding]:
    """Whether scans and labels are as many as the rows ask for; what is wrong with the scans is not told again."""
    from lassl.data.prepared import draw_cases
    from lassl.data.raw import find_layout
    from lassl.data.split_file import check_labels, read_split

    folder, split = root / config.data.folder, root / config.data.split
    try:
        train = read_split(split).train
        with_label = set(train) - check_labels(split)[0]
        if not phantoms(config):
            layout = find_layout(folder)
            with_label = {case for case in with_label if layout.file(folder / case, "label").is_file()}
    except LasslError:
        return
    lacking = []
    for name, method in config.methods.items():
        try:
            for draw in config.draws:
                draw_cases(train, with_label, method.labeled, method.unlabeled, draw, config.cases.held_out)
        except LasslError as error:
            lacking.append(Finding("missing", f"{name}: {error}", "`counts` in the profile sets them for the table"))
    told = f"{split}: {len(with_label)} of {len(train)} training cases have a label to learn from"
    yield from lacking or [Finding("ok", f"{told}, enough for each row")]


def prepared(folder: Path) -> Iterator[Finding]:
    """The prepared cohort, which the pipeline makes when it is not there."""
    from lassl.data.prepared import open_prepared

    if not folder.is_dir():
        yield Finding("warning", f"{folder}: not there yet", "`dvc repro` makes it")
        return
    try:
        cases = list(open_prepared(folder).cases)
    except LasslError as error:
        yield Finding("warning", str(error))
        return
    there = sum((folder / f"{case}.h5").is_file() for case in cases)
    told = f"{folder}: {there} of {len(cases)} prepared cases"
    yield Finding("ok", told) if there == len(cases) else Finding("warning", told, "`dvc repro` makes them again")
