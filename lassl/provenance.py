"""The code behind a stage: which modules it loads, and a hash of what they do."""

import ast
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from lassl.config import NAMED
from lassl.files import text_hash

PACKAGES = ("lassl", "pipeline")
# Modules that compute no number of a result: they read settings (whose values count), write files, report.
PLUMBING = (
    *("lassl.config", "lassl.errors", "lassl.files", "lassl.machine", "lassl.progress", "lassl.provenance"),
    "lassl.terminal",
)


def closure(module: str, root: Path = Path()) -> dict[str, Path]:
    """Modules of ours that importing `module` loads, itself and its packages included, with their files."""
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = source(name, root)
        if name in found or path is None:
            continue
        found[name] = path
        waiting += [".".join(name.split(".")[:i]) for i in range(1, name.count(".") + 1)]
        waiting += imports(path)
    return dict(sorted(found.items()))


def source(module: str, root: Path) -> Path | None:
    """File of a module of ours, None if it is not ours or no module."""
    if module.split(".")[0] not in PACKAGES:
        return None
    stem = root.joinpath(*module.split("."))
    return next((p for p in (stem.with_suffix(".py"), stem / "__init__.py") if p.is_file()), None)


def imports(path: Path) -> list[str]:
    """Names that a file imports, absolute; `from a import b` gives a and a.b, since b may be a module."""
    return list(_imports(path.read_text("utf-8")))


@cache  # by the text: a file is behind many stages
def _imports(text: str) -> tuple[str, ...]:
    names = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(names)


def code_hash(path: Path) -> str:
    """Hash of what a file does: comments, docstrings and layout do not count."""
    return _code_hash(path.read_text("utf-8"))


@cache
def _code_hash(text: str) -> str:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if ast.get_docstring(node) is not None:
                node.body = node.body[1:] or [ast.Pass()]
    return text_hash(ast.unparse(tree))[:16]


def named_modules(settings: object) -> list[str]:
    """Modules of ours that hold the functions which settings name, as in lassl.flaws.overlap:overlap."""
    if isinstance(settings, Mapping):
        return sorted({module for value in settings.values() for module in named_modules(value)})
    if not isinstance(settings, str) or not NAMED.fullmatch(settings):
        return []
    module = settings.split(":")[0]
    return [module] if module.split(".")[0] in PACKAGES else []


def fingerprint(*modules: str, root: Path = Path()) -> str:
    """A line for each file behind the modules, PLUMBING left out: hash and path."""
    loaded = {name: path for module in modules for name, path in closure(module, root).items()}
    files = {path for name, path in loaded.items() if name not in PLUMBING}
    return "".join(f"{code_hash(path)}  {path.relative_to(root).as_posix()}\n" for path in sorted(files))
