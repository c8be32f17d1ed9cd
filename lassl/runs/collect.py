"""Brings runs of other clones together: their entries of dvc.lock, stage by stage, and their files in metrics/.

Entries are taken as DVC wrote them there, so that `dvc repro` still finds out what does not fit.
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

Read = Callable[[Path], bytes | None]  # the content of a file of the project, None if it is not there


@dataclass(frozen=True)
class Finished:
    """A run that was made: its entries of dvc.lock, its files in metrics/, and its bits.

    Those are the hash of its weights and all files but its record, which has times: the same wherever it was made.
    """

    entries: Entries
    files: dict[Path, bytes]
    bits: tuple[str, dict[Path, bytes]]


@dataclass(frozen=True)
class Here:
    """DVC's stages of this folder by their names, and the settings that they depend on, each read one time.

    DVC itself parses params.yaml again for each stage, which was nine tenths of the time that sixty runs took.
    """

    stages: Mapping[str, Any]
    known: dict[tuple[str, ...], Any] = field(default_factory=dict)

    def settings(self, dependency: Any) -> Any:
        """What a dependency on params.yaml has here, by the names of its keys."""
        names = (dependency.def_path, *dependency.params)
        if names not in self.known:
            self.known[names] = dependency.read_params()
        return self.known[names]


class Refused(LasslError):
    """A run of a source does not belong here; the text says why."""


@dataclass
class Collected:
    """What was found, in a line for each run and source: taken, the same bits again, refused and why, other bits."""

    taken: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)


def collect(config: Config, sources: Sequence[str], overwrite: bool = False) -> Collected:
    """Take the finished runs of params.yaml from clones' folders or branches; the first source that has a run counts.

    A run that is here already, made from what is here, stays; so do other scores of a run, whatever they were made
    from, unless they are to be replaced (`overwrite`). Waits while another DVC process has the lock. Raises
    LasslError for a source that is none, or where the prepared data are not here; then nothing was taken.
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
                    found.refused.append(f"{name} of {source}: refused, {kept} has other scores; see --overwrite")
                    continue
                first, other = ("here", here[name]) if name in here else taken.setdefault(name, (source, run))
                if other is run:
                    found.taken.append(f"{name} of {source}")
                elif other.bits == run.bits:
                    found.same.append(f"{name} of {source}: the same bits as {first}")
                else:
                    found.different.append(f"{name} of {source}: other bits than {first}, which counts")
        write([run for _, run in taken.values()])
    return found


def lost(run: Finished) -> Path | None:
    """A file here with other bits than those of a run, None if there is none; times in records do not count."""
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
    """How the files of a clone's folder, or of a branch of this repository, are read. Raises LasslError for neither."""
    folder = Path(name)
    if folder.is_dir():
        return lambda path: (folder / path).read_bytes() if (folder / path).is_file() else None
    if is_commit(name):
        return partial(content, name)
    raise LasslError(f"{name}: neither a folder nor a branch here; give a clone's folder, or `git fetch` the branch")


def entries_of(read: Read, source: str, config: Config) -> Entries:
    """The entries that a source has of the runs of a profile, those beside dvc.lock among them. Raises LasslError."""
    entries: Entries = {}
    for path in (stages_file(config.name), LOCK):
        entries |= parse_entries(read(path) or b"", f"{path} of {source}")
    return entries


def runs_of(config: Config, source: str, read: Read, here: Here, refused: list[str]) -> dict[str, Finished]:
    """The finished runs of params.yaml that a source has; `refused` gets a line for each that does not belong here."""
    entries, runs = entries_of(read, source, config), {}
    for name, run in asked(config).items():
        names = stages_of(config, run)
        if set(names) <= entries.keys():
            try:
                runs[name] = finished({stage: entries[stage] for stage in names}, read, run, here)
            except Refused as reason:
                refused.append(f"{name} of {source}: refused, {reason}")
    return runs


def finished(entries: Entries, read: Read, run: Run, here: Here) -> Finished:
    """A run as a source has it. Raises Refused where it was made from something else than what is here."""
    outs = {out["path"]: out["md5"] for entry in entries.values() for out in entry["outs"]}
    if reasons := [reason for name, entry in entries.items() for reason in misfits(here, name, entry, outs)]:
        raise Refused(f"made from other {listed(dict.fromkeys(reasons))}")
    files: dict[Path, bytes] = {}
    for path in (Path(path) for path in outs if path.startswith(f"{METRICS}/")):
        file = read(path)
        if file is None or hashlib.md5(file, usedforsecurity=False).hexdigest() != outs[path.as_posix()]:
            raise Refused(f"{path} is {'not there' if file is None else 'not what dvc.lock says there'}")
        files[path] = file
    weights = parse_yaml(files[run.record]).get("weights_sha256", "")  # early records have none
    return Finished(entries, files, (weights, {path: file for path, file in files.items() if path != run.record}))


def misfits(here: Here, name: str, entry: Mapping[str, Any], outs: Mapping[str, str]) -> Iterator[str]:
    """What an entry was made from that is not so here, in words; `outs`: hashes of what its own run made, by path.

    Raises LasslError where data or code are not here.
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
            raise LasslError(f"{path}: not here, so nothing can be compared with it; `dvc repro prepare` makes it")
        elif theirs.get(path) != (outs.get(path) or dep.get_hash().value):
            yield f"code ({path})" if path.startswith("build/code/") else f"data ({path})"


def differences(theirs: Any, here: Any, key: str = "") -> list[str]:
    """The settings that differ, such as `train.steps 3, here 30`."""
    if isinstance(theirs, dict) and isinstance(here, dict):
        pairs = {name: (theirs.get(name), here.get(name)) for name in {**theirs, **here}}
        return [text for name, (a, b) in pairs.items() for text in differences(a, b, f"{key}.{name}".lstrip("."))]
    return [] if theirs == here else [f"{key} {theirs}, here {here}"]
