"""All checks of what `dvc repro` needs; those of the project's folder (params.yaml, git, DVC, models) are here.

The top of the file imports only the standard library, so that the checks can also report a missing package.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from lassl.cli.check_data import data, known_scans, label_counts, prepared, real_scans
from lassl.cli.check_machine import Finding, cpu, device, disk, environment, installed, memory, packages, python
from lassl.plumbing.errors import LasslError, in_words

if TYPE_CHECKING:
    from lassl.settings.config import Config


Check = Callable[[], Iterable[Finding]]


def examine(root: Path) -> list[Finding]:
    """Run all checks in a project's folder; a check that fails to run is a finding, never an error."""
    checks: dict[str, Check] = {
        "Python": python,
        "environment": partial(environment, root),
        "packages": partial(packages, root / "constraints.txt"),
        "params.yaml": partial(settings, root),
        "conf": partial(conf, root / "conf"),
        "git": partial(git, root),
        "DVC": partial(dvc, root),
        "disk": partial(disk, root),
        "CPU": cpu,
    }
    findings = [f for name, check in checks.items() for f in attempt(name, check)]
    if (config := loaded(root)) is None:
        findings.append(Finding("warning", "device, memory, data: cannot be checked without a valid params.yaml"))
        return findings + attempt("real scans", partial(real_scans, root))
    checks = {
        "options": partial(options, config),
        "network": partial(network, config, root),
        "curves": partial(curves, config),
        "tuning": partial(tuning, config),
        "outputs": partial(outputs, config, root),
        "models": partial(models, config, root),
        "device": partial(device, config),
        "memory": partial(memory, config),
        "data": partial(data, config, root),
        "known scans": partial(known_scans, config, root),
        "label counts": partial(label_counts, config, root),
        "prepared": partial(prepared, root / config.data.prepared),
    }
    return findings + [f for name, check in checks.items() for f in attempt(name, check)]


def attempt(name: str, check: Check) -> list[Finding]:
    """The findings of a check up to an error, with the error as the last finding."""
    findings = []
    try:
        for finding in check():
            findings.append(finding)
    except Exception as error:  # one broken check must not hide the other findings
        if isinstance(error, OSError):
            findings.append(Finding("missing", f"{name}: {in_words(error) or error}"))
            return findings
        reason = " ".join(str(error).split())[:200]
        findings.append(Finding("warning", f"{name}: check failed ({type(error).__name__}: {reason})"))
    return findings


def settings(root: Path) -> Iterator[Finding]:
    """Check whether params.yaml is valid."""
    from lassl.settings.config import load

    try:
        config = load(root / "params.yaml")
    except LasslError as error:
        yield from (Finding("missing", line) for line in str(error).splitlines())
    else:
        from lassl.settings.copies import edited

        yield from (Finding("missing", line) for line in edited(config, root / "conf"))
        yield Finding("ok", f"params.yaml: profile {config.name}, {', '.join(config.methods) or 'no method'}")


def conf(folder: Path) -> Iterator[Finding]:
    """Check whether DVC and Hydra can read the files that params.yaml is composed from."""
    from lassl.settings.conf_files import problems

    yield from (Finding("missing", problem) for problem in problems(folder))


def options(config: "Config") -> Iterator[Finding]:
    """Check the options of the methods: report those that an algorithm does not accept."""
    from lassl.methods import check

    try:
        check(config.methods)
    except LasslError as error:
        yield from (Finding("missing", line) for line in str(error).splitlines())


def network(config: "Config", root: Path) -> Iterator[Finding]:
    """Whether the network works, the methods can use it, and the weights that trainings start from fit."""
    from lassl.methods import check_network
    from lassl.model.start import read_start

    if str(root.resolve()) not in sys.path:
        sys.path.append(str(root.resolve()))  # where the stages find it, too, as they run by `python -m`
    try:
        check_network(config.methods, config.network, config.patches.size)
        if config.train.start:
            read_start(config.train.start, config.network)
    except LasslError as error:
        yield from (Finding("missing", line) for line in str(error).splitlines())


def curves(config: "Config") -> Iterator[Finding]:
    """What writes curves while a training goes on, where it is asked for."""
    if config.running.tensorboard and installed("tensorboard") is None:
        yield Finding("missing", "running.tensorboard: tensorboard is not installed", "`pip install tensorboard`")


def tuning(config: "Config") -> Iterator[Finding]:
    """Say which cases the runs of params.yaml are scored on: a hyper-parameter search belongs in the tuning mode."""
    from lassl.paths import metrics_folder

    if count := config.cases.tuning:
        folder = metrics_folder(config.name)
        yield Finding("ok", f"tuning: runs score the last {count} labeled training cases; searches go to {folder}")
    else:
        yield Finding(
            "ok", "tuning: runs score test cases", "for a search use `-S mode=tuning`, which scores training cases"
        )


def loaded(root: Path) -> "Config | None":
    """The settings in params.yaml, or None if they cannot be read; `settings` reports why."""
    try:
        from lassl.settings.config import load

        return load(root / "params.yaml")
    except Exception:  # as in `attempt`
        return None


def git(root: Path) -> Iterator[Finding]:
    """Check the git repository and its commit."""
    if shutil.which("git") is None:
        yield Finding("missing", "git: not installed", "install it")
    elif "dubious ownership" in (answer := _git(root, "rev-parse", "--git-dir")[1]):
        owner = f"{root.resolve()}: git refuses to work here because the folder belongs to another user"
        yield Finding("missing", owner, f"make your own clone, or run `{answer.split('call:')[-1].strip()}`")
    elif not _git(root, "rev-parse", "--git-dir")[0]:
        yield Finding("missing", f"{root.resolve()}: not a git repository", "run this in a clone of the project")
    elif not (commit := _git(root, "rev-parse", "--verify", "--short", "HEAD")[0]):
        yield Finding("warning", "git: no commit, but `dvc exp run` needs one", "commit the project")
    else:
        yield Finding("ok", f"git: at commit {commit}")


def _git(root: Path, *words: str) -> tuple[str, str]:
    """The output of git (empty if it fails), and its error messages in English."""
    english = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, errors="replace", env=english)
    return done.stdout.strip() if done.returncode == 0 else "", done.stderr


def dvc(root: Path) -> Iterator[Finding]:
    """Check the DVC repository, its cache, and whether results can be shared."""
    from dvc.config import Config

    if not (root / ".dvc").is_dir() or not (root / "dvc.yaml").is_file():
        yield Finding("missing", f"{root.resolve()}: .dvc or dvc.yaml not found", "run this in a clone of the project")
        return
    yield Finding("ok", "DVC: repository")
    remotes = Config(str(root / ".dvc"))["remote"]
    cache = cache_of(root)
    if cache.is_dir():
        yield Finding("ok", f"DVC: cache {cache}")
    else:
        yield Finding("warning", f"DVC: the cache {cache} does not exist yet", "`dvc repro` creates it")
    if remotes:
        yield Finding("ok", f"DVC: remote {', '.join(remotes)}")
    else:
        yield Finding(
            "warning", "DVC: no remote, so results cannot be shared", "run `dvc remote add --default NAME URL`"
        )


def cache_of(root: Path) -> Path:
    """The folder of DVC's cache."""
    from dvc.config import Config

    return Path(Config(str(root / ".dvc"))["cache"].get("dir") or root / ".dvc/cache")


def outputs(config: "Config", root: Path) -> Iterator[Finding]:
    """Report links and folders that block the pipeline's outputs."""
    from lassl.runs.outputs import in_the_way

    yield from (Finding("missing", problem) for problem in in_the_way(config, root))


def models(config: "Config", root: Path) -> Iterator[Finding]:
    """Report models in DVC's cache that params.yaml does not name."""
    from lassl.runs.lockfile import unnamed_models

    if paths := unnamed_models(config, cache_of(root), root):
        yield Finding(
            "warning",
            f"DVC: the cache has {len(paths)} models that params.yaml does not name, such as {paths[0]}",
            "`dvc gc -w` would delete them, and `dvc push` skips them; see docs/dvc.md",
        )
