"""`lassl.fit`: a short training of a method, in memory."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd
import torch
from torch import nn

from lassl.api.defaults import changed, checked, rows, settings_of
from lassl.api.synthetic import Drawn
from lassl.data.label_split import choose_cases
from lassl.data.patches import PatchSource
from lassl.data.prepared import Prepared, open_prepared
from lassl.evaluation import metrics
from lassl.evaluation.inference import Windows, decided, foregrounds
from lassl.images.structures import several
from lassl.learning.base import Algorithm
from lassl.methods import algorithms, class_of, findings
from lassl.model.placement import Placement, place
from lassl.paths import is_folder_name, prepared_folder
from lassl.plumbing.errors import LasslError
from lassl.plumbing.progress import bar
from lassl.settings.config import Config
from lassl.settings.values import CHANNELS
from lassl.training import loop

SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class Fitted:
    """What a training gives: networks by name, the default first, in evaluation mode; and the curves of all steps.

    `curves` has a row for each step and a column for each loss term and logged value: "loss" is the sum of the terms,
    "dice" that of the labeled patches.
    """

    networks: dict[str, nn.Module]
    curves: pd.DataFrame
    _cohort: "Prepared | Drawn" = field(repr=False)
    _config: Config = field(repr=False)
    _placement: Placement = field(repr=False)

    def evaluate(self, network: str | None = None) -> pd.DataFrame:
        """Score a network, by default the first, on the test cases of its cohort: a row each, as `lassl.score`.

        With several structures there is a row for each case and structure. Raises LasslError for a network that is not
        there.
        """
        name = network or next(iter(self.networks))
        if name not in self.networks:
            raise LasslError(f"network: found '{name}', expected one of {', '.join(self.networks)}")
        rows, cases, names = [], self._cohort.split.test, several(self._config.data.structures)
        for case in bar(cases, "evaluate", "case", len(cases)):
            chosen, windows = {name: self.networks[name]}, Windows.of(self._config)
            maps = foregrounds(chosen, self._cohort.read_image(case), windows, self._placement)[name]
            label, spacing_mm = self._cohort.read_label(case), self._cohort.geometry(case).spacing_mm
            if names:
                scores = metrics.score_structures(decided(maps), label, names, spacing_mm)
                rows += [{"case": case, "structure": structure, **asdict(each)} for structure, each in scores.items()]
            else:
                rows.append({"case": case, **asdict(metrics.score(maps[0] > 0.5, label > 0, spacing_mm))})
        return pd.DataFrame(rows).set_index(["case", "structure"] if names else "case")


def fit(
    method: type[Algorithm] | str,
    *,
    cohort: str = SYNTHETIC,
    steps: int = 100,
    seed: int = 0,
    labeled: int = 4,
    unlabeled: int = 8,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    **options: Any,
) -> Fitted:
    """Train a method for some steps, in memory: a bar shows loss and Dice, and no file is written.

    `method` is a class that inherits from lassl.Algorithm, or a name: an algorithm such as "cps"; in a clone of the
    project also a row such as "cps_alw", with its settings. `options` are those of the method's constructor. `cohort`
    is "synthetic", whose phantoms are drawn in memory (12 for the defaults, and 4 to test on), or the name of a
    prepared one in data/prepared, whose structures are learned. Of its training cases the first are `labeled`, the next
    `unlabeled`. Settings are those of profile quick; `settings` changes some, section by section: {"train": {"lr":
    0.01}, "network": {"width": 8}}, and as "method" the row's, {"method": {"schedule": "constant"}}.

    The result depends on the arguments alone. Afterwards torch's threads, random numbers and settings of CUDA are as
    before. Ctrl-C ends it after a step. Raises LasslError.
    """
    name, row = _named(method)
    values, own = settings_of(name, row)
    algorithm = class_of(own.get("algorithm", name)) if isinstance(method, str) else method
    changed(values, own, settings or {})
    own["options"] = own["options"] | options
    if wrong := findings(algorithm, own["options"]):
        raise LasslError("\n".join(f"{algorithm.__name__}: option {line}" for line in wrong))
    own |= {"algorithm": algorithm.__name__, "labeled": labeled, "unlabeled": unlabeled}
    own["batch"] = dict(own["batch"])
    if not own["batch"]["unlabeled"] or not unlabeled:
        own["unlabeled"] = own["batch"]["unlabeled"] = 0
    values["train"]["steps"] = steps
    config = checked(values | {"methods": {name: own}})
    data = _cohort(cohort, config)
    if isinstance(data, Prepared):
        values["data"]["structures"] = _structures(data, config)
        values["data"]["channels"] = _channels(data, config)
        config = checked(values | {"methods": {name: own}})
    if (asked := labeled + own["unlabeled"]) > (found := len(data.split.train)):
        raise LasslError(
            f"labeled, unlabeled: found {asked} cases together, expected at most {found}, those to train on"
        )
    return _trained(config, name, algorithm, data, seed)


def _named(method: object) -> tuple[str, bool]:
    """Give the name of a method, and whether it is a row of conf/method/. Raises LasslError for what is no method."""
    if isinstance(method, str):
        known = rows()
        if method not in known and method not in algorithms():
            raise LasslError(
                f"{method}: no such method; expected one of {', '.join(known or algorithms())}, or a class"
            )
        return method, method in known
    if not isinstance(method, type) or not issubclass(method, Algorithm):
        found = f"the class {method.__name__}" if isinstance(method, type) else f"an object of {type(method).__name__}"
        raise LasslError(
            f"method: found {found}, expected a class that inherits from lassl.Algorithm, or a method's name such as "
            "'cps'"
        )
    if missing := ", ".join(sorted(method.__abstractmethods__)):
        raise LasslError(f"{method.__name__}: does not define {missing}; see help(lassl.Algorithm)")
    return method.__name__, False


def _cohort(name: str, config: Config) -> "Prepared | Drawn":
    """Open a cohort by its name. Raises LasslError where it is not prepared."""
    if name == SYNTHETIC:
        if (named := config.data.structures) and not config.phantom.chambers:
            raise LasslError(
                f"settings: data.structures: found {', '.join(named)}, but phantoms have one structure without "
                'chambers; set {"phantom": {"chambers": True}} too, or name a prepared cohort'
            )
        return Drawn(config.phantom, config.data)
    if not is_folder_name(name):
        raise LasslError(f"cohort: found {name!r}, expected {SYNTHETIC} or the name of a folder in data/prepared")
    return open_prepared(prepared_folder(name))


def _structures(prepared: Prepared, config: Config) -> dict[str, list[int]] | None:
    """The structures of a cohort. Raises LasslError where settings ask for others."""
    found: dict[str, list[int]] | None = prepared.manifest.options.get("structures")
    asked = {name: list(values) for name, values in (config.data.structures or {}).items()}
    if asked and (found is None or list(asked.items()) != list(found.items())):
        raise LasslError(
            f"settings: data.structures: found {asked}, but {prepared.folder} was prepared with {found or 'one'}; "
            "leave them out, or prepare the cohort again"
        )
    return found


def _channels(prepared: Prepared, config: Config) -> tuple[str, ...]:
    """The channels that a cohort was prepared with. Raises LasslError if others are asked for."""
    found = prepared.channels or CHANNELS
    if config.data.channels not in (CHANNELS, found):
        raise LasslError(
            f"settings: data.channels: found {list(config.data.channels)}, but {prepared.folder} was prepared with "
            f"{list(found)}; leave them out, or prepare the cohort again"
        )
    return found


@contextmanager
def _same_process() -> Iterator[None]:
    """Keep what torch sets for a whole process: threads, random numbers, and how CUDA computes."""
    threads, cudnn = torch.get_num_threads(), torch.backends.cudnn
    before = cudnn.allow_tf32, cudnn.benchmark
    deterministic, warn_only = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    try:
        with torch.random.fork_rng(range(torch.cuda.device_count())):
            yield
    finally:
        torch.set_num_threads(threads)
        cudnn.allow_tf32, cudnn.benchmark = before
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)


def _trained(config: Config, name: str, algorithm: type[Algorithm], cohort: "Prepared | Drawn", seed: int) -> Fitted:
    """Train on a cohort with checked settings."""
    method = config.methods[name]
    chosen = choose_cases(cohort.split.train, cohort.with_label, method.labeled, method.unlabeled, label_split=0)
    with _same_process():
        placement = place(config.compute, config.patches.size, config.network.halvings)
        placement.check_patch(config.patches.size, config.network.width, config.network.halvings)
        source = PatchSource(cohort, chosen, config.patches, method.batch, seed)
        source.bring_to(placement.device)
        try:
            state = loop.fit(config, method, source, placement, seed, algorithm=algorithm)
        except LasslError as error:
            refused = "params.yaml: options"  # options that do not go together
            if str(error).startswith(refused):
                raise LasslError(str(error).replace(refused, f"{algorithm.__name__}: options")) from error
            raise
    networks = {key: network.eval() for key, network in state.algorithm.networks.items()}
    return Fitted(networks, pd.DataFrame(state.curves).rename_axis("step"), cohort, config, placement)
