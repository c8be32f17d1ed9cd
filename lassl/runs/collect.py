"""Collects runs from other clones: their entries in dvc.lock, stage by stage, and their files in metrics/.

Entries are copied as DVC wrote them, so that `dvc repro` still detects what does not fit.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from lassl.paths import METRICS, Run
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import write_bytes
from lassl.plumbing.git import content, is_commit
from lassl.plumbing.tables import listed
from lassl.plumbing.yaml_text import parse_yaml
from lassl.runs.lockfile import LOCK, Entries, parse_entries, read_entries, stages_file
from lassl.runs.requested import asked, stages_of
from lassl.settings.config import Config

Read = Callable[[Path], bytes | None]  # the content of a file of the project, None if it does not exist


@dataclass(frozen=True)
class Finished:
    """A finished run: its entries in dvc.lock, its files in metrics/, and its bits.

    The bits are the hash of its weights and all files except its record, which contains times. They do not depend on
    where the run was made.
    """

    entries: Entries
    files: dict[Path, bytes]
    bits: tuple[str, dict[Path, bytes]]


@dataclass(frozen=True)
class Here:
    """DVC's stages in this folder by name, and the settings that they depend on, which are read only once.

    DVC parses params.yaml again for each stage, which took most of the time of collecting 60 runs.
    """

    stages: Mapping[str, Any]
    known: dict[tuple[str, ...], Any] = field(default_factory=dict)

    def settings(self, dependency: Any) -> Any:
        """The values here of a dependency on params.yaml, by key."""
        names = (dependency.def_path, *dependency.params)
        if names not in self.known:
            self.known[names] = dependency.read_params()
        return self.known[names]


class Refused(LasslError):
    """A run of a source does not fit this clone; the text says why."""


@dataclass
class Collected:
    """A line for each run and source: taken, equal to one already found, refused (with the reason), or different."""

    taken: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)


def collect(config: Config, sources: Sequence[str], overwrite: bool = False) -> Collected:
    """Take the finished runs of params.yaml from clones' folders or branches; the first source that has a run counts.

    Keeps runs that are finished here, and other scores of a run unless `overwrite` is set. Waits while another DVC
    process holds the lock. Raises LasslError, without taking anything, if a source does not exist or the prepared
    data are missing here.
    """
    from dvc.repo import Repo

    readers = {name: reader(name) for name in sources}
    found = Collected()
    with Repo(_wait_for_lock=True) as repo, repo.lock:
        folder = Here({stage.addressing: stage for stage in repo.index.stages})
        here = runs_of(config, ".", reader("."), folder, refused=[])
        taken: dict[str, tuple[str, Finished]] = {}
        for source, read in readers.items():
            for name, run in runs_of(config, source, read, folder, found.refused).items():
                if name not in here and name not in taken and not overwrite and (kept := lost(run)):
                    found.refused.append(
                        f"{name} of {source}: refused because {kept} has different scores; --overwrite replaces them"
                    )
                    continue
                first, other = ("here", here[name]) if name in here else taken.setdefault(name, (source, run))
                if other is run:
                    found.taken.append(f"{name} of {source}")
                elif other.bits == run.bits:
                    found.same.append(f"{name} of {source}: identical to {first}")
                else:
                    found.different.append(f"{name} of {source}: differs from {first}, which is kept")
        write([run for _, run in taken.values()])
    return found


def lost(run: Finished) -> Path | None:
    """A file here that differs from that of a run, or None; times in records do not count."""
    _, files = run.bits
    return next((path for path, file in files.items() if path.is_file() and path.read_bytes() != file), None)


def write(runs: Sequence[Finished]) -> None:
    """Write files into metrics/, and then entries into dvc.lock."""
    from dvc.utils.serialize import dump_yaml

    for path, file in ((path, file) for run in runs for path, file in run.files.items()):
        write_bytes(path, file)
    entries = read_entries(LOCK)
    for run in runs:
        entries |= run.entries
    if runs:
        dump_yaml(str(LOCK), {"schema": "2.0", "stages": entries})


def reader(name: str) -> Read:
    """A reader of files in a clone's folder or on a branch of this repository. Raises LasslError if it is neither."""
    folder = Path(name)
    if folder.is_dir():
        return lambda path: (folder / path).read_bytes() if (folder / path).is_file() else None
    if is_commit(name):
        return partial(content, name)
    raise LasslError(
        f"{name}: not a folder and not a local branch; give the folder of a clone, or `git fetch` the branch"
    )


def entries_of(read: Read, source: str, config: Config) -> Entries:
    """The entries of a source in dvc.lock and in the profile's stages.yaml. Raises LasslError."""
    entries: Entries = {}
    for path in (stages_file(config.name), LOCK):
        entries |= parse_entries(read(path) or b"", f"{path} of {source}")
    return entries


def runs_of(config: Config, source: str, read: Read, here: Here, refused: list[str]) -> dict[str, Finished]:
    """The finished runs of params.yaml in a source; adds a line to `refused` for each that does not fit this clone."""
    entries, runs = entries_of(read, source, config), {}
    for name, run in asked(config).items():
        names = stages_of(config, run)
        if set(names) <= entries.keys():
            try:
                runs[name] = finished({stage: entries[stage] for stage in names}, read, run, here)
            except Refused as reason:
                refused.append(f"{name} of {source}: refused because {reason}")
    return runs


def finished(entries: Entries, read: Read, run: Run, here: Here) -> Finished:
    """A run as in a source. Raises Refused if its inputs differ from those here."""
    outs = {out["path"]: out["md5"] for entry in entries.values() for out in entry["outs"]}
    if reasons := [reason for name, entry in entries.items() for reason in misfits(here, name, entry, outs)]:
        raise Refused(f"these inputs differ: {listed(dict.fromkeys(reasons))}")
    files: dict[Path, bytes] = {}
    for path in (Path(path) for path in outs if path.startswith(f"{METRICS}/")):
        file = read(path)
        if file is None or hashlib.md5(file, usedforsecurity=False).hexdigest() != outs[path.as_posix()]:
            raise Refused(f"{path} {'is missing' if file is None else 'does not match dvc.lock'} there")
        files[path] = file
    weights = parse_yaml(files[run.record]).get("weights_sha256", "")  # early records have none
    return Finished(entries, files, (weights, {path: file for path, file in files.items() if path != run.record}))


def misfits(here: Here, name: str, entry: Mapping[str, Any], outs: Mapping[str, str]) -> Iterator[str]:
    """Describe each input of an entry that differs here; `outs`: path -> hash, for the outputs of its own run.

    Raises LasslError if data or code are missing here.
    """
    from dvc.dependency import ParamsDependency

    stage = here.stages[name]
    if entry["cmd"] != stage.cmd:
        yield f"command ({entry['cmd']})"
    if {out["path"] for out in entry["outs"]} != {out.def_path for out in stage.outs}:
        yield "outputs"
    theirs = {dep["path"]: dep["md5"] for dep in entry.get("deps", [])}
    for dep in stage.deps:
        path = dep.def_path
        if isinstance(dep, ParamsDependency):
            changed = differences(entry.get("params", {}).get(path, {}), here.settings(dep))
            yield from (f"settings ({change})" for change in changed)
        elif path not in outs and not dep.exists:
            raise LasslError(f"{path}: not found here, so it cannot be compared; create it with `dvc repro prepare`")
        elif theirs.get(path) != (outs.get(path) or dep.get_hash().value):
            yield f"code ({path})" if path.startswith("build/code/") else f"data ({path})"


def differences(theirs: Any, here: Any, key: str = "") -> list[str]:
    """The settings that differ, such as `train.steps 3, here 30`."""
    if isinstance(theirs, dict) and isinstance(here, dict):
        pairs = {name: (theirs.get(name), here.get(name)) for name in {**theirs, **here}}
        return [text for name, (a, b) in pairs.items() for text in differences(a, b, f"{key}.{name}".lstrip("."))]
    return [] if theirs == here else [f"{key} {theirs}, here {here}"]
