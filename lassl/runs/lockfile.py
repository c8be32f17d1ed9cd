"""Leaves in dvc.lock only the entries of the profile of params.yaml; those of others are in metrics/.../stages.yaml.

DVC reads all of dvc.lock at every command, and reads and writes it after every stage; with hundreds of runs this takes
seconds. Entries are moved unchanged, so nothing is lost. While they are in dvc.lock, `dvc pull` and `dvc checkout`
know the files of their profile.
"""

import re
from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from lassl.paths import metrics_folder
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import write_text
from lassl.plumbing.yaml_text import parse_yaml, yaml_text
from lassl.settings.config import Config

LOCK = Path("dvc.lock")
OUTPUT = re.compile(r"(?:models|predictions|metrics|report)/([^/]+)(?:/.*-d(\d+)-s(\d+)\b)?")
Entries = dict[str, Any]  # stage -> what DVC writes about it


def sync_lock(config: Config, root: Path = Path()) -> None:
    """Move entries of other profiles, splits and seeds than those of `config` out of dvc.lock, and its own back in.

    Entries of other methods stay, because it is usual to run one method and then all. Waits while another DVC process
    holds dvc.lock. Raises LasslError, without moving anything, if a file is not valid YAML.
    """
    from dvc.lock import make_lock
    from dvc.utils.serialize import dump_yaml

    (root / ".dvc/tmp").mkdir(parents=True, exist_ok=True)
    with make_lock(str(root / ".dvc/tmp/lock"), tmp_dir=str(root / ".dvc/tmp"), wait=True):
        before = read_entries(root / LOCK)
        current, others = divide(before, config)
        for profile, entries in others.items():
            add_entries(root / stages_file(profile), entries)
        kept = divide(read_entries(root / stages_file(config.name)), config)[0]
        after = {**{name: entry for name, entry in kept.items() if name not in current}, **current}
        if after.keys() != before.keys():
            dump_yaml(str(root / LOCK), {"schema": "2.0", "stages": after})


def stages_file(profile: str) -> Path:
    """The file of a profile's entries that are not in dvc.lock."""
    return metrics_folder(profile) / "stages.yaml"


def divide(entries: Entries, config: Config) -> tuple[Entries, dict[str, Entries]]:
    """The entries of `config` (of any method) and those without a profile; and the others, by profile."""
    current: Entries = {}
    others: dict[str, Entries] = defaultdict(dict)
    for name, entry in entries.items():
        profile, run = profile_and_run(entry)
        named = profile == config.name and (run is None or (run[0] in config.label_splits and run[1] in config.seeds))
        if profile is None or named:
            current[name] = entry
        else:
            others[profile][name] = entry
    return current, others


def profile_and_run(entry: Entries) -> tuple[str | None, tuple[int, int] | None]:
    """The profile of an entry's outputs, if any; and label split and seed, if they belong to one run."""
    for out in entry.get("outs", []):
        if match := OUTPUT.match(out["path"]):
            profile, label_split, seed = match.groups()
            return profile, None if label_split is None else (int(label_split), int(seed))
    return None, None


def read_entries(path: Path) -> Entries:
    """Read a file in the format of dvc.lock; empty if it does not exist. Raises LasslError if it is not valid YAML."""
    return parse_entries(path.read_bytes(), str(path)) if path.is_file() else {}


def parse_entries(content: bytes, name: str) -> Entries:
    """Parse the content of such a file; errors call it `name`. Raises LasslError if it is not valid YAML."""
    try:
        stages = (parse_yaml(content) or {}).get("stages")
    except yaml.YAMLError as error:
        raise LasslError(f"{name}: not valid YAML ({error}); restore it with `git checkout {name}`") from None
    return dict(stages or {})


def add_entries(path: Path, entries: Entries) -> None:
    """Add entries to a file in the format of dvc.lock, or replace those of the same name. Raises LasslError."""
    before = read_entries(path)
    if (after := before | entries) != before:
        write_text(path, yaml_text({"schema": "2.0", "stages": after}, width=1000))


def unnamed_models(config: Config, cache: Path, root: Path = Path()) -> list[str]:
    """Paths of models in DVC's cache outside `config`, which `dvc gc -w` would delete. Raises LasslError."""
    if not cache.is_dir():
        return []
    named = {config.run(*run).model.as_posix() for run in product(config.methods, config.label_splits, config.seeds)}
    files = [root / LOCK, *sorted(root.glob(str(stages_file("*"))))]
    models = {}
    for entry in (entry for path in files for entry in read_entries(path).values()):
        models.update({out["path"]: out["md5"] for out in entry.get("outs", []) if out["path"].startswith("models/")})
    return sorted(
        path
        for path, md5 in models.items()
        if path not in named and (cache / "files/md5" / md5[:2] / md5[2:]).is_file()
    )
