"""The order of the rooms: what a module imports lies in its own room or on a lower floor."""

import pytest

from helpers.project import ROOT
from lassl.plumbing.provenance import imports, source

FLOORS = (  # from the ground up; the files beside the rooms are floors of their own
    *(
        "plumbing",
        "seeds",
        "paths",
        "sections",
        "config",
        "images",
        "data",
        "model",
        "learning",
        "methods",
        "training",
        "evaluation",
        "flaws",
    ),
    *("predict", "results", "report", "pipeline", "cli"),
)
FILES = sorted([*ROOT.glob("lassl/*/*.py"), *ROOT.glob("lassl/*.py"), *ROOT.glob("pipeline/*.py")])


def floor(module: str) -> int | None:
    """The floor of a module of ours, None for the project's outermost package, which imports nothing."""
    names = module.split(".")
    name = "pipeline" if names[0] == "pipeline" else ".".join(names[1:2])
    return FLOORS.index(name) if name else None


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_import_points_to_the_same_room_or_down(path):
    names = path.relative_to(ROOT).with_suffix("").parts
    own = floor(".".join(name for name in names if name != "__init__"))
    for module in imports(path):
        if source(module, ROOT) and (other := floor(module)) is not None:
            assert own is not None and other <= own, f"{'.'.join(names)} imports {module}, which lies above it"


def test_every_room_is_a_floor():
    rooms = {path.parent.name for path in ROOT.glob("lassl/*/__init__.py")}
    files = {path.stem for path in ROOT.glob("lassl/*.py")} - {"__init__"}
    assert rooms | files | {"pipeline"} == set(FLOORS)


def test_a_room_can_be_looked_over():
    for room in {path.parent for path in FILES} - {ROOT / "pipeline"}:
        assert len([path for path in room.glob("*.py") if path.name != "__init__.py"]) <= 11, room
    assert len(list(ROOT.glob("lassl/*.py"))) <= 5
