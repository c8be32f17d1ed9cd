"""The shape of the project: the order of its rooms, and how large a room, a file and a function may be."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = next(folder for folder in Path(__file__).parents if (folder / "pyproject.toml").is_file())
FLOORS = (  # from the ground up; the files beside the rooms are floors of their own
    *("plumbing", "seeds", "paths", "settings", "images", "data", "model", "learning", "methods", "training"),
    *("evaluation", "flaws", "predict", "statistics", "results", "pages", "report", "runs", "api", "cli", "pipeline"),
)
GROWING = ("methods", "cli")  # rooms with a file for each method, for each subcommand
BESIDE_ROOMS, IN_A_ROOM = 4, 12  # files at most, __init__.py not counted
FILE_LINES, FUNCTION_LINES = 220, 45  # at most
HOUSE = sorted([*ROOT.glob("lassl/*/*.py"), *ROOT.glob("lassl/*.py"), *ROOT.glob("pipeline/*.py")])
FILES = [*HOUSE, *sorted(ROOT.glob("benchmarks/*.py"))]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def floor(module: str) -> int | None:
    """The floor of a module, None for the outermost package, which shows names of others and is imported by none."""
    names = module.split(".")
    name = "pipeline" if names[0] == "pipeline" else ".".join(names[1:2])
    return FLOORS.index(name) if name else None


def imports(path: Path) -> Iterator[str]:
    """The project's modules that a file imports, wherever in it; `from lassl import a` names lassl.a."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" if node.module == "lassl" else node.module for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in ("lassl", "pipeline"))


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Place and name of each function of a file, and its lines from def to end without the docstring."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = node.end_lineno - node.lineno + 1
            if ast.get_docstring(node) is not None:
                lines -= node.body[0].end_lineno - node.body[0].lineno + 1
            yield f"{name_of(path)}:{node.lineno} {node.name}", lines


@pytest.mark.parametrize("path", HOUSE, ids=name_of)
def test_every_import_points_to_the_same_room_or_down(path):
    if path == ROOT / "lassl/__init__.py":
        return  # its names, found when they are used, come from everywhere
    names = path.relative_to(ROOT).with_suffix("").parts
    here = floor(".".join(name for name in names if name != "__init__"))
    for module in imports(path):
        other = floor(module)
        assert other is not None and other <= here, f"{name_of(path)} imports {module}, which lies above it"


def test_every_room_is_a_floor():
    rooms = {path.parent.name for path in ROOT.glob("lassl/*/__init__.py")}
    files = {path.stem for path in ROOT.glob("lassl/*.py")} - {"__init__"}
    assert rooms | files | {"pipeline"} == set(FLOORS)


def test_a_room_can_be_looked_over():
    rooms = {path.parent for path in ROOT.glob("lassl/*/*.py")}
    sizes = {room.name: len([path for path in room.glob("*.py") if path.stem != "__init__"]) for room in rooms}
    assert {room: size for room, size in sizes.items() if size > IN_A_ROOM and room not in GROWING} == {}
    assert len([path for path in ROOT.glob("lassl/*.py") if path.stem != "__init__"]) <= BESIDE_ROOMS


def test_a_file_can_be_read_at_once():
    lines = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in FILES}
    assert {name: count for name, count in lines.items() if count > FILE_LINES} == {}


def test_a_function_can_be_seen_at_once():
    assert {name: lines for path in FILES for name, lines in functions(path) if lines > FUNCTION_LINES} == {}
