"""Trainings on the tiny cohort: their configuration, their models, and what such a model asks of a scan."""

from pathlib import Path
from typing import Any

from helpers.project import ROOT
from lassl.config import Config, load
from lassl.model.trained import TrainedModel, load_model
from lassl.predict.settings import NORMALIZATION, PredictSettings
from lassl.sections import Data
from lassl.training.train import train


def settings(tiny_data: Data, params: Path = ROOT / "params.yaml", **changes: dict[str, Any]) -> Config:
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


def trained(config: Config, method: str = "vnet_16", draw: int = 0, seed: int = 0) -> TrainedModel:
    """Train a run in the current folder; gives its model."""
    run = config.run(method, draw, seed)
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
