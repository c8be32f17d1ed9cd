"""Trainings on the tiny cohort: configuration, a row ready to train, models, and what such a model asks of a scan."""

import io
from pathlib import Path
from typing import Any

import torch

from helpers.project import PARAMS_FILE, params_of
from lassl.data.patches import PatchSource
from lassl.data.prepared import Prepared
from lassl.model.placement import place
from lassl.model.trained import TrainedModel, load_model
from lassl.predict.settings import NORMALIZATION, PredictSettings
from lassl.settings.config import Config, load
from lassl.settings.sections import Data
from lassl.training.loop import first_state, fit
from lassl.training.step import State
from lassl.training.train import cases_of, train


def settings(tiny_data: Data, params: Path = PARAMS_FILE, **changes: dict[str, Any]) -> Config:
    """The committed configuration, or another one, shrunk to the tiny cohort."""
    values = load(params).model_dump()
    values["data"] = tiny_data.model_dump()
    values["network"]["width"] = 2
    values["patches"] = {"pool": 1, "size": (16, 16, 16)}
    values["evaluate"] |= {"stride": (8, 8, 8)}
    values["train"] |= {"steps": 3}
    values["compute"] |= {"device": "cpu", "precision": "fp32"}
    for method in values["methods"].values():
        method["labeled"], method["unlabeled"] = 3, min(method["unlabeled"], 3)
    for section, change in changes.items():
        values[section] |= change
    return Config.model_validate(values)


def trained(config: Config, method: str = "vnet_16", label_split: int = 0, seed: int = 0) -> TrainedModel:
    """Train a run in the current folder; gives its model."""
    run = config.run(method, label_split, seed)
    train(config, run)
    return load_model(run.model)


def predicting(**changes: Any) -> PredictSettings:
    """What a model asks of a scan: the grid of the challenge, small windows."""
    told = {
        "pool": 1,
        "window": (32, 16, 16),
        "stride": (16, 8, 12),
        "batch": 3,
        "precision": "fp32",
        "channels_last": False,
        "spacing_mm": (0.625, 0.625, 0.625),
        "orientation": "LPS",
        "normalization": NORMALIZATION,
    }
    return PredictSettings.model_validate(told | changes)


class Trial:
    """A row of conf/method/ on the cohort of tiny scans: settings, patches, and the state before the first step.

    `changes` are of sections of params.yaml.
    """

    def __init__(self, row: str, steps: int, tiny_data: Data, prepared: Prepared, **changes: Any):
        shrunk: dict[str, dict[str, Any]] = {
            "train": {"steps": steps, "schedule": "constant"},
            "network": {"width": 4, "dropout": 0.1},
            "running": {"checkpoint_minutes": 0},
        }
        merged = {section: shrunk.get(section, {}) | changes.get(section, {}) for section in {**shrunk, **changes}}
        self.config = settings(tiny_data, params_of(f"method={row}"), **merged)
        self.method = self.config.methods[row]
        self.where = place(self.config.compute)
        self.label_split = cases_of(self.config, self.method, prepared, 0)
        self.source = PatchSource(prepared, self.label_split, self.config.patches, self.method.batch, 0)
        self.source.bring_to(self.where.device)
        self.state = first_state(self.config, self.method, self.where, 0)

    def fit(self, checkpoints: Any = None) -> State:
        """Train from the beginning, or from a checkpoint."""
        return fit(self.config, self.method, self.source, self.where, 0, checkpoints)


class Kept:
    """Checkpoints in memory: begins with one, or keeps that of the step `middle`."""

    def __init__(self, middle: int, content: bytes = b""):
        self.middle, self.content = middle, content

    def load(self) -> Any:
        """Give the state that is kept, None if there is none."""
        return torch.load(io.BytesIO(self.content), weights_only=True) if self.content else None

    def save(self, step: int, content: Any) -> None:
        """Keep the state of the middle."""
        if step == self.middle:
            torch.save(content, buffer := io.BytesIO())
            self.content = buffer.getvalue()
