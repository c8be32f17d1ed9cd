"""dvc.lock holds the runs that params.yaml names; what is known of others waits in metrics/<profile>/stages.yaml.

DVC reads all of dvc.lock at every command and reads and writes it after every stage, which takes seconds for some
hundred runs. Entries are moved as they are, so either file restores a run: with them in dvc.lock, `dvc pull` and
`dvc checkout` know the files of a profile.
"""

import re
from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from lassl.config import Config
from lassl.paths import metrics_folder
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import write_text

LOCK = Path("dvc.lock")
OUTPUT = re.compile(r"(?:models|predictions|metrics|report)/([^/]+)(?:/.*-d(\d+)-s(\d+)\b)?")
Entries = dict[str, Any]  # of stages, by name, as DVC writes them


def settle(config: Config, root: Path = Path()) -> None:
    """Put away the entries of other profiles, draws and seeds than those of `config`, and bring back those of its own.

    Rows of other methods stay: to run one method and then all of them is the usual way to work. Waits while another
    DVC process has dvc.lock. Raises LasslError for a file that is no YAML; then nothing was moved.
    """
    from dvc.lock import make_lock
    from dvc.utils.serialize import dump_yaml

    (root / ".dvc/tmp").mkdir(parents=True, exist_ok=True)
    with make_lock(str(root / ".dvc/tmp/lock"), tmp_dir=str(root / ".dvc/tmp"), wait=True):
        before = read(root / LOCK)
        stay, away = divided(before, config)
        for profile, entries in away.items():
            add(root / put_away(profile), entries)
        known = divided(read(root / put_away(config.name)), config)[0]
        after = {**{name: entry for name, entry in known.items() if name not in stay}, **stay}
        if after.keys() != before.keys():
            dump_yaml(str(root / LOCK), {"schema": "2.0", "stages": after})


def put_away(profile: str) -> Path:
    """The file of a profile's entries that are not in dvc.lock."""
    return metrics_folder(profile) / "stages.yaml"


def divided(entries: Entries, config: Config) -> tuple[Entries, dict[str, Entries]]:
    """The entries that `config` names, whatever the method, or that are of no profile; and the others, by profile."""
    stay: Entries = {}
    away: dict[str, Entries] = defaultdict(dict)
    for name, entry in entries.items():
        profile, run = home(entry)
        named = profile == config.name and (run is None or (run[0] in config.draws and run[1] in config.seeds))
        if profile is None or named:
            stay[name] = entry
        else:
            away[profile][name] = entry
    return stay, away


def home(entry: Entries) -> tuple[str | None, tuple[int, int] | None]:
    """The profile that an entry's outputs are of, and draw and seed where they are of one run."""
    for out in entry.get("outs", []):
        if match := OUTPUT.match(out["path"]):
            profile, draw, seed = match.groups()
            return profile, None if draw is None else (int(draw), int(seed))
    return None, None


def read(path: Path) -> Entries:
    """The entries of a file in the form of dvc.lock, none if it is not there. Raises LasslError."""
    if not path.is_file():
        return {}
    try:
        content = yaml.load(path.read_text("utf-8"), yaml.CSafeLoader) or {}
    except yaml.YAMLError as error:
        raise LasslError(f"{path}: no YAML ({error}); restore it with `git checkout {path}`") from None
    return dict(content.get("stages") or {})


def add(path: Path, entries: Entries) -> None:
    """Add entries to a file in the form of dvc.lock, or replace those of the same name."""
    before = read(path)
    if (after := before | entries) != before:
        text = yaml.dump({"schema": "2.0", "stages": after}, Dumper=yaml.CSafeDumper, sort_keys=False, width=1000)
        write_text(path, text)


def unnamed_models(config: Config, cache: Path, root: Path = Path()) -> list[str]:
    """Models in DVC's cache that `config` does not name, as paths: `dvc gc -w` would delete them. Raises LasslError."""
    named = {config.run(*run).model.as_posix() for run in product(config.methods, config.draws, config.seeds)}
    files = [root / LOCK, *sorted(root.glob(str(put_away("*"))))]
    models = {}
    for entry in (entry for path in files for entry in read(path).values()):
        models.update({out["path"]: out["md5"] for out in entry.get("outs", []) if out["path"].startswith("models/")})
    return sorted(
        path
        for path, md5 in models.items()
        if path not in named and (cache / "files/md5" / md5[:2] / md5[2:]).is_file()
    )
