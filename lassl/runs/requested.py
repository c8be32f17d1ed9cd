"""The runs of params.yaml: the stages of each, its state, and how long the rest will take."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from statistics import median
from typing import Any

from lassl.model.record import Evaluated, Settings
from lassl.paths import Run
from lassl.plumbing.errors import LasslError
from lassl.settings.config import Config

Changes = Mapping[str, list[Any]]  # DVC's status of each stage that is not up to date


def asked(config: Config) -> dict[str, Run]:
    """Name (profile/method-d0-s0) -> run, for the runs of params.yaml in the order of dvc.yaml."""
    runs = [config.run(*run) for run in product(config.methods, config.label_splits, config.seeds)]
    return {f"{run.profile}/{run.name}": run for run in runs}


def find(config: Config, name: str) -> Run:
    """The run with this name. Raises LasslError if params.yaml does not contain it."""
    runs = asked(config)
    if name not in runs:
        known = f"{next(iter(runs), 'none')} and {len(runs) - 1} others" if len(runs) > 1 else ", ".join(runs) or "none"
        raise LasslError(
            f"{name}: not a run of params.yaml, which has {known}; `lassl runs --names` lists the unfinished ones"
        )
    return runs[name]


def stages_of(config: Config, run: Run) -> list[str]:
    """The names of a run's stages in dvc.yaml, in the order in which they run."""
    key = f"{run.profile}-{run.method}-{run.label_split}-{run.seed}"
    fields = [f"fields_of_view@{key}-{field}" for field in config.fields_of_view]
    return [f"train@{key}", f"evaluate@{key}", f"publish@{key}", *fields]


def changes() -> Changes:
    """DVC's status of each stage that is not up to date; waits while another DVC process holds the lock.

    Raises LasslError if DVC cannot read dvc.yaml or dvc.lock.
    """
    from dvc.repo import Repo

    with refused_by_dvc(), Repo(_wait_for_lock=True) as repo:
        found: Changes = repo.status()
    return found


@contextmanager
def refused_by_dvc() -> Iterator[None]:
    """Raise LasslError if DVC cannot read dvc.yaml or dvc.lock."""
    from dvc.exceptions import DvcException

    try:
        yield
    except DvcException as error:
        raise LasslError(f"dvc.yaml or dvc.lock: {error}; run `dvc status` to see more") from None


def state(config: Config, run: Run, changed: Changes) -> str | None:
    """The state of a run: missing, trained or evaluated, or None if it is finished.

    Models and masks that are missing but in DVC's cache count as finished, because DVC restores them.
    """
    train, evaluate, *others = stages_of(config, run)
    if differs(changed.get(train, []), cached=True):
        return "missing"
    if differs(changed.get(evaluate, []), cached=True):
        return "trained"
    return "evaluated" if any(differs(changed.get(name, []), cached=False) for name in others) else None


def differs(found: Iterable[Any], cached: bool) -> bool:
    """Whether a stage has to run, by DVC's status; `cached`: its outputs are in DVC's cache."""
    for finding in found:
        if isinstance(finding, str):  # such as: changed command
            return True
        for kind, paths in finding.items():
            restored = {"deleted"} if cached or kind == "changed deps" else set()
            if any(isinstance(how, dict) or how not in restored for how in paths.values()):
                return True
    return False


def not_prepared(changed: Changes) -> list[str]:
    """The stages before all runs (up to prepare) that are not up to date."""
    return [name for name in changed if name.split("@")[0] in ("ready", "code", "phantom", "prepare")]


def alike(config: Config, run: Run, records: Iterable[Evaluated]) -> list[Evaluated]:
    """Records of runs whose steps cost as much as those of `run`: same network, patches, algorithm and batch."""

    def cost(settings: Settings) -> tuple[object, ...]:
        return settings.network, settings.patches, settings.method.algorithm, settings.method.batch

    expected = cost(Settings.of(config, run.method))
    return [record for record in records if cost(record.settings) == expected]


def minutes(config: Config, how_far: str, like: Iterable[Evaluated]) -> float | None:
    """Expected minutes for the rest of a run, from the median of similar runs on any machine; None without any."""
    records = list(like)
    if not records:
        return None
    step = median(record.training.seconds / record.settings.train.steps for record in records)
    evaluation = median(record.evaluation.seconds for record in records)
    seconds = {"missing": step * config.train.steps + evaluation, "trained": evaluation, "evaluated": 0.0}
    return seconds[how_far] / 60
