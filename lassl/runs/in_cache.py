"""Finds runs in DVC's cache while the workspace and dvc.lock belong to other settings.

The cache has trainings and evaluations; figures and scores of other fields of view are written again from them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lassl.paths import Run
from lassl.runs.requested import Changes, refused_by_dvc, stages_of, state
from lassl.settings.config import Config

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import Stage


def left_and_kept(config: Config, runs: Mapping[str, Run], changed: Changes) -> tuple[dict[str, str], list[str]]:
    """The state of each unfinished run, and the names of the runs that `dvc repro` restores from its cache.

    If `fields_of_view` is set, the latter count as evaluated, because they still have to be scored on those fields.
    """
    left = {name: how_far for name, run in runs.items() if (how_far := state(config, run, changed)) is not None}
    found = in_cache({name: stages_of(config, runs[name])[:2] for name, how in left.items() if how != "evaluated"})
    if config.fields_of_view:
        return left | dict.fromkeys(sorted(found), "evaluated"), []
    return {name: how_far for name, how_far in left.items() if name not in found}, sorted(found)


def in_cache(runs: Mapping[str, Sequence[str]]) -> set[str]:
    """The names of the runs that `dvc repro` restores from its cache; `runs`: name -> stages.

    The inputs of the stages have to be up to date. Raises LasslError if DVC cannot read dvc.yaml or dvc.lock.
    """
    if not runs:
        return set()
    from dvc.repo import Repo

    with refused_by_dvc(), Repo(_wait_for_lock=True) as repo:
        stages = {stage.addressing: stage for stage in repo.index.stages}
        hashes: dict[str, Any] = {}
        return {name for name, names in runs.items() if _kept(repo, [stages[name] for name in names], hashes)}


def _kept(repo: "Repo", stages: Sequence["Stage"], hashes: dict[str, Any]) -> bool:
    """Whether the run cache has the outputs of all stages for their present inputs; `hashes`: path -> hash."""
    for stage in stages:
        for dep in stage.deps:
            if dep.def_path in hashes:
                dep.hash_info, dep.meta = hashes[dep.def_path]
            elif dep.exists:
                dep.save()
                if not hasattr(dep, "params"):  # parameters differ between stages
                    hashes[dep.def_path] = dep.hash_info, dep.meta
        if (entry := _entry(repo, stage)) is None:
            return False
        cached = repo.stage_cache._create_stage(entry, wdir=stage.wdir)
        if not cached.outs_cached():
            return False
        hashes |= {out.def_path: (out.hash_info, out.meta) for out in cached.outs}
    return True


def _entry(repo: "Repo", stage: "Stage") -> Any:
    """The entry of the run cache for a stage with these inputs, or None; the inputs need not exist in the workspace."""
    from dvc.stage.cache import _get_cache_hash
    from dvc.stage.serialize import to_single_stage_lockfile

    if not all(dep.hash_info for dep in stage.deps):
        return None
    key = _get_cache_hash(to_single_stage_lockfile(stage), key=True)
    folder = Path(repo.stage_cache._get_cache_dir(key))
    newest = max(folder.glob("*"), key=lambda path: path.stat().st_mtime, default=None)
    return newest and repo.stage_cache._load_cache(key, newest.name)
