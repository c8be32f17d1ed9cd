"""dvc.lock holds the runs that params.yaml names; entries of others are kept in metrics/<profile>/stages.yaml.

DVC reads all of dvc.lock at every command and reads and writes it after every stage, which takes seconds for some
hundred runs. Entries are moved as they are, so that nothing is lost; while they are in dvc.lock, `dvc pull` and
`dvc checkout` know the files of their profile.
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
Entries = dict[str, Any]  # what DVC writes of each stage, by the stage's name


def sync_lock(config: Config, root: Path = Path()) -> None:
    """Move entries of other profiles, splits and seeds than those of `config` out of dvc.lock, and its own ones back.

    Those of other methods stay: to run one method and then all of them is the usual way to work. Waits while another
    DVC process has dvc.lock. Raises LasslError for a file that is no YAML; then nothing was moved.
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
    """The entries that `config` names, whatever the method, or that are of no profile; and the others, by profile."""
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
    """The profile of an entry's outputs, None if they have none; and label split and seed where they are of one run."""
    for out in entry.get("outs", []):
        if match := OUTPUT.match(out["path"]):
            profile, label_split, seed = match.groups()
            return profile, None if label_split is None else (int(label_split), int(seed))
    return None, None


def read_entries(path: Path) -> Entries:
    """Read the entries of a file in the format of dvc.lock, none if it is not there. Raises LasslError for no YAML."""
    return parse_entries(path.read_bytes(), str(path)) if path.is_file() else {}


def parse_entries(content: bytes, name: str) -> Entries:
    """The entries of the content of such a file; `name` is what an error calls it. Raises LasslError for no YAML."""
    try:
        stages = (parse_yaml(content) or {}).get("stages")
    except yaml.YAMLError as error:
        raise LasslError(f"{name}: no YAML ({error}); restore it with `git checkout {name}`") from None
    return dict(stages or {})


def add_entries(path: Path, entries: Entries) -> None:
    """Add entries to a file in the format of dvc.lock, or replace those of the same name. Raises LasslError."""
    before = read_entries(path)
    if (after := before | entries) != before:
        write_text(path, yaml_text({"schema": "2.0", "stages": after}, width=1000))


def unnamed_models(config: Config, cache: Path, root: Path = Path()) -> list[str]:
    """Paths of models in DVC's cache that `config` does not name: `dvc gc -w` would delete them. Raises LasslError."""
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
