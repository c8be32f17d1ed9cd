"""The settings of `lassl.fit`: those of conf/ in a clone of the project, and elsewhere the same ones, kept here."""

import tempfile
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from lassl.plumbing.errors import LasslError
from lassl.settings.config import Config

PROFILE = "quick"
# what conf/ gives for PROFILE, of which an installed package has no copy; tests/api holds the two equal
QUICK: dict[str, Any] = {
    "profile": PROFILE,
    "variant": "",
    "label_splits": [0],
    "seeds": [0],
    "phantom": {"cohorts": ["synthetic"], "size": [96, 88, 48], "seed": 0},
    "data": {
        "cohort": "synthetic",
        "folder": "data/raw/synthetic",
        "split": "splits/synthetic.csv",
        "crop": "label",
        "crop_z": False,
        "margin": [4, 8],
        "margins": "seeded",
        "min_size": [64, 64, 32],
        "seed": 0,
    },
    "network": {"width": 4, "residual": True, "dropout": 0.1},
    "patches": {"pool": 2, "size": [32, 32, 16]},
    "train": {"steps": 240, "lr": 0.1, "momentum": 0.9, "schedule": None},
    "cases": {"unlabeled": "rest", "held_out": 0, "tuning": 0},
    "snapshots": {"count": 0, "use": "last"},
    "weights": {},  # of rows of conf/method/
    "labels": {
        "few": {"labeled": 16, "unlabeled": 64},
        "more": {"labeled": 32, "unlabeled": 48},
        "fewest": {"labeled": 8, "unlabeled": 72},
        "all": 80,
    },
    "evaluate": {
        "stride": [16, 16, 8],
        "batch": 8,
        "network": "default",
        "largest_component": False,
        "failures": "excluded",
    },
    "fields_of_view": ["center", "whole"],
    "statistics": {
        "baseline": "vnet_16",
        "matched": "vnet_16_matched",
        "family": None,
        "pairs": None,
        "resamples": 10000,
        "seed": 0,
        "scans": "synthetic",
        "published": False,
    },
    "compute": {
        "device": "auto",
        "precision": "fp32",
        "channels_last": True,
        "compile": False,
        "threads": 1,
        "deterministic": False,
    },
    "running": {"workers": 0, "checkpoint_minutes": 3},
}
# of a method that is no row of conf/method/
ROW: dict[str, Any] = {"batch": {"labeled": 2, "unlabeled": 2}, "weight_decay": 1e-4, "schedule": "poly", "options": {}}


def settings_of(name: str, row: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give the settings of PROFILE and those of a method, by its name; a `row` is one of conf/method/.

    In a clone of the project they are composed from conf/. Raises LasslError.
    """
    if not rows():
        return deepcopy(QUICK), deepcopy(ROW)
    from lassl.settings.compose import compose  # takes seconds: DVC and Hydra

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "params.yaml"
        compose(path, f"profile={PROFILE}", f"method={name if row else 'vnet_16'}")
        values: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    methods = values.pop("methods")
    if row and name not in methods:
        raise LasslError(f"{name}: several rows ({', '.join(methods)}), expected one; name one of them")
    return values, methods[name] if row else deepcopy(ROW)


def rows() -> list[str]:
    """Names of the files in conf/method/ of this folder; none outside of a clone of the project."""
    clone = Path("conf/config.yaml").is_file()
    return sorted(path.stem for path in Path("conf/method").glob("*.yaml")) if clone else []


def changed(values: dict[str, Any], row: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Make changes in sections of the settings; the section `method` is the method's own. Raises LasslError."""
    for section, change in changes.items():
        if not isinstance(change, Mapping):
            raise LasslError(f"settings: {section}: found {change!r}, expected a section such as {{'lr': 0.01}}")
        known = row if section == "method" else values.get(section)
        if not isinstance(known, dict):
            sections = ", ".join(["method", *(key for key, value in values.items() if isinstance(value, dict))])
            raise LasslError(f"settings: no section '{section}'; expected one of {sections}")
        known.update(change)


def checked(values: dict[str, Any]) -> Config:
    """Check settings. Raises LasslError with a line for each wrong value."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        lines = [
            f"settings: {'.'.join(map(str, each['loc']))}: {each['msg'].removeprefix('Value error, ')}"
            for each in error.errors()
        ]
        raise LasslError("\n".join(lines)) from None
