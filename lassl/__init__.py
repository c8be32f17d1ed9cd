"""LASSL: left-atrium segmentation by semi-supervised learning; docs/api.md shows each name with an example.

Importing it changes nothing in the process and loads nothing but this file: a name is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lassl.api.fitting import Fitted, fit
    from lassl.api.model import Maps, Model, load
    from lassl.api.scoring import score
    from lassl.data.patches import Batch
    from lassl.learning import losses
    from lassl.learning.base import Algorithm, Progress, Step
    from lassl.model.vnet import VNet
    from lassl.plumbing.errors import LasslError

__all__ = [
    "Algorithm",
    "Batch",
    "Fitted",
    "LasslError",
    "Maps",
    "Model",
    "Progress",
    "Step",
    "VNet",
    "fit",
    "load",
    "losses",
    "score",
]

_MODULES = {
    "lassl.api.fitting": ("Fitted", "fit"),
    "lassl.api.model": ("Maps", "Model", "load"),
    "lassl.api.scoring": ("score",),
    "lassl.data.patches": ("Batch",),
    "lassl.learning": ("losses",),
    "lassl.learning.base": ("Algorithm", "Progress", "Step"),
    "lassl.model.vnet": ("VNet",),
    "lassl.plumbing.errors": ("LasslError",),
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    for module, names in _MODULES.items():
        if name in names:
            found = import_module(f"{module}.{name}") if name == "losses" else getattr(import_module(module), name)
            globals()[name] = found  # found without this function from now on
            return found
    raise AttributeError(f"module 'lassl' has no attribute '{name}'")


def __dir__() -> list[str]:
    """The public names, imported or not."""
    return sorted({*globals(), *__all__})
