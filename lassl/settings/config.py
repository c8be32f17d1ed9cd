"""The configuration: read once from params.yaml, checked, frozen."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self

import pydantic
import yaml
from pydantic import ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from lassl.paths import TUNING, Run, is_folder_name, raw_folder
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import read_text
from lassl.plumbing.yaml_text import checked, no_yaml, parse_yaml
from lassl.settings.cases import Cases, Labels
from lassl.settings.origins import told
from lassl.settings.sections import (
    Compute,
    Data,
    Evaluate,
    Field,
    Method,
    Network,
    Patches,
    Phantom,
    Running,
    Snapshots,
    Train,
)
from lassl.settings.statistics import Statistics
from lassl.settings.values import Count, Section

NAME = "expected a folder name without slash, line break or leading dot"


class Config(Section):
    """All of params.yaml; `variant` is added to the profile's name if runs depart from the profile on purpose."""

    profile: str
    variant: Annotated[str, pydantic.Field(pattern=r"^(-[\w-]+)?$")]
    label_splits: tuple[Count, ...]
    seeds: tuple[Count, ...]
    phantom: Phantom
    data: Data
    network: Network
    patches: Patches
    train: Train
    cases: Cases
    snapshots: Snapshots
    weights: dict[str, Annotated[float, pydantic.Field(ge=0)]]  # only methods' copies are read, see copies.py
    labels: Labels
    evaluate: Evaluate
    fields_of_view: tuple[Field, ...]
    statistics: Statistics
    compute: Compute
    running: Running
    methods: dict[str, Method]

    @field_validator("patches")
    @classmethod
    def _can_be_halved(cls, patches: Patches, info: ValidationInfo) -> Patches:
        network: Network | None = info.data.get("network")  # None: it has a problem of its own
        if network and any(n % m for n, m in zip(patches.size, network.multiple, strict=True)):
            each = {"each": "16, because the V-Net halves every axis four times"}
            if network.halve:
                each = {"each": f"{network.multiple}, because the V-Net halves the axes as in network.halve"}
            problem = PydanticCustomError("multiples", "expected multiples of {each}", each)
            place = InitErrorDetails(type=problem, loc=("size",), input=list(patches.size))
            raise ValidationError.from_exception_data("Patches", [place])
        return patches

    @model_validator(mode="after")
    def _the_network_fits_the_data(self) -> Self:
        update = {}
        for key, asked, by in (
            ("classes", 1 + len(self.data.structures or [None]), "structures asks for {} (the background is one)"),
            ("channels", len(self.data.channels), "channels asks for {}"),
        ):
            if (found := getattr(self.network, key)) != asked:
                if key in self.network.model_fields_set:
                    raise ValueError(f"network.{key} is {found}, but data.{by.format(asked)}; leave network.{key} out")
                update[key] = asked
        return self.model_copy(update={"network": self.network.model_copy(update=update)}) if update else self

    @model_validator(mode="after")
    def _fields_of_view_are_of_scans_as_they_are(self) -> Self:
        key = next((key for key in ("spacing_mm", "orientation") if getattr(self.data, key) is not None), None)
        if key and self.fields_of_view:
            raise ValueError(
                f"fields_of_view show scans on their own grids, which data.{key} changes; set fields_of_view to []"
            )
        return self

    @model_validator(mode="after")
    def _windows_leave_no_gap(self) -> Self:
        if any(stride > size for stride, size in zip(self.evaluate.stride, self.patches.size, strict=True)):
            raise ValueError(f"evaluate.stride {self.evaluate.stride} exceeds patches.size {self.patches.size}")
        return self

    @property
    def name(self) -> str:
        """The profile with its variant: the folder of the runs and the table."""
        return f"{self.profile}{self.variant}"

    @property
    def drawn(self) -> bool:
        """Whether the raw scans are phantoms, which the pipeline draws."""
        return self.data.folder in map(raw_folder, self.phantom.cohorts)

    @property
    def drawn_elsewhere(self) -> str:
        """An error message if phantoms would be drawn in one folder but scans read from another; else empty."""
        if self.drawn or not self.phantom.cohorts:
            return ""
        return (
            f"params.yaml: data.folder: found {self.data.folder}, but phantom.cohorts is {list(self.phantom.cohorts)}, "
            f"whose scans are drawn in {raw_folder(self.phantom.cohorts[0])}; for your own scans use a profile for "
            "real scans, such as compact, or set phantom.cohorts=[]"
        )

    @model_validator(mode="after")
    def _tuning_has_a_folder_of_its_own(self) -> Self:
        if (self.cases.tuning > 0) != self.variant.startswith(TUNING):
            raise ValueError(
                f"cases.tuning is {self.cases.tuning} and variant '{self.variant}', but scores of training cases need "
                "their own folder; set both with mode=tuning (conf/mode/tuning.yaml), or neither"
            )
        if self.cases.tuning and self.fields_of_view:
            raise ValueError("cases.tuning is above 0, but fields_of_view score test cases; set fields_of_view to []")
        return self

    @model_validator(mode="after")
    def _snapshots_have_what_chooses_them(self) -> Self:
        if self.snapshots.use == "validated" and not (self.snapshots.count and self.cases.held_out):
            raise ValueError("snapshots.use is validated, which needs snapshots.count and cases.held_out above 0")
        if self.snapshots.use != "last" and not self.snapshots.count:
            raise ValueError(f"snapshots.use is {self.snapshots.use}, but snapshots.count is 0; keep some")
        if self.snapshots.use != "last" and self.evaluate.network != "default":
            raise ValueError(
                f"snapshots.use is {self.snapshots.use} and evaluate.network {self.evaluate.network}, "
                "but snapshots exist only for the default network; use that one"
            )
        return self

    @model_validator(mode="after")
    def _rows_can_train(self) -> Self:
        for name, method in self.methods.items():
            if self.cases.held_out >= method.labeled:
                raise ValueError(
                    f"cases.held_out is {self.cases.held_out}, but methods.{name} has only {method.labeled} labeled "
                    "cases; leave some to train on"
                )
            if self.patches.size == self.network.multiple and method.batch.labeled + method.batch.unlabeled == 1:
                raise ValueError(
                    f"methods.{name}.batch is one patch of {list(self.patches.size)}, which the V-Net reduces to one "
                    "voxel, but batch norm needs two; use two patches or a larger patches.size"
                )
        return self

    def run(self, method: str, label_split: int, seed: int) -> Run:
        """Return one run of this profile. Raises LasslError if params.yaml does not have the method."""
        if method not in self.methods:
            known = ", ".join(self.methods) or "none"
            raise LasslError(f"params.yaml: methods has no '{method}' (found: {known}); see conf/method/")
        return Run(profile=self.name, method=method, label_split=label_split, seed=seed)

    def settings(self, method: str) -> dict[str, Any]:
        """Everything that shapes the training of a method, as plain values."""
        shared = self.model_dump(mode="json", include={"network", "patches", "train", "compute", "cases"})
        snapshots = {"count": self.snapshots.count}
        return {**shared, "snapshots": snapshots, "method": self.methods[method].model_dump(mode="json")}


def load(path: Path = Path("params.yaml")) -> Config:
    """Read and check params.yaml. Raises LasslError with a line for each wrong, missing or unknown key.

    Each line names the file of conf/ that the key comes from, if it can be found.
    """
    try:
        config = checked(Config, text := read_text(path))
    except FileNotFoundError:
        raise LasslError(f"{path}: not found; run this in the project's folder") from None
    except yaml.YAMLError as error:
        raise LasslError(
            f"{path}: not valid YAML ({no_yaml(error)}); fix it, or write it again with `make params`"
        ) from None
    except ValidationError as error:
        found = told([dict(each) for each in error.errors()], parse_yaml(text), path.parent / "conf")
        raise LasslError("\n".join(f"{path}: {line}" for line in found)) from None
    if wrong := [f"{path}: {key}: found {name!r}, {NAME}" for key, name in _names(config) if not is_folder_name(name)]:
        raise LasslError("\n".join(wrong))
    return config


def _names(config: Config) -> Iterator[tuple[str, str]]:
    """The values that become names of folders and files, with their keys."""
    yield "profile", config.profile
    yield "data.cohort", config.data.cohort
    yield from (("phantom.cohorts", name) for name in config.phantom.cohorts)
    yield from (("methods", name) for name in config.methods)
