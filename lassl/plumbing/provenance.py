"""The code behind a stage: a hash of what the modules do that it imports, directly or through others.

The hash of a module is over its statements without comments and docstrings, with each import of the project's own
modules replaced by the hash of the imported module. So files may be moved or renamed and docstrings written without
making a result stale, while an edit of what a module does changes the hash of all modules that import it.
"""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from lassl.plumbing.files import text_hash
from lassl.plumbing.plugins import NAMED

PACKAGES = ("lassl", "pipeline")
# modules that compute no number of a result, as lassl.plumbing does not: they prepare the process, read settings, whose
# values count by themselves, and name files
NO_NUMBERS = ("lassl", "pipeline", "lassl.config", "lassl.sections", "lassl.paths")


def source(module: str, root: Path) -> Path | None:
    """File of one of the project's modules, such as lassl.data.raw; None for any other name."""
    if module.split(".")[0] not in PACKAGES:
        return None
    stem = root.joinpath(*module.split("."))
    return next((p for p in (stem.with_suffix(".py"), stem / "__init__.py") if p.is_file()), None)


def imported(node: ast.AST) -> Iterator[tuple[str, str, str]]:
    """What an import statement names: module, name in it (or an empty text), local name."""
    if isinstance(node, ast.Import):
        yield from ((alias.name, "", alias.asname or alias.name) for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield from ((node.module, alias.name, alias.asname or alias.name) for alias in node.names)


def code_hash(module: str, root: Path = Path(), hashes: dict[str, str] | None = None) -> str:
    """Hash, 16 hexadecimal digits, of what a module does, with all that it imports and that counts.

    The module's own name does not enter it. `hashes` has those of other modules so far; this one's, and those of what
    it imports, are added. Raises ValueError for modules that import each other in a circle.
    """
    hashes = {} if hashes is None else hashes
    if module not in hashes:
        hashes[module] = ""  # while it is being made: an import that comes back here finds this
        path = source(module, root)
        assert path is not None, module
        statements, names = stripped(path.read_text("utf-8"))
        imports = set()
        for target, word, local in names:
            if word and source(f"{target}.{word}", root):
                target, word = f"{target}.{word}", ""
            if counts(target, root):
                imports.add(" ".join([local, word, code_hash(target, root, hashes), *packages(target, root)]))
        hashes[module] = text_hash("\n".join([statements, *sorted(imports)]))[:16]
    if not hashes[module]:
        raise ValueError(f"{module} imports itself, through others: part the two")
    return hashes[module]


def counts(module: str, root: Path) -> bool:
    """Whether a module is one of the project's and may compute a number of a result."""
    exempt = module in NO_NUMBERS or module.startswith("lassl.plumbing")
    return not exempt and source(module, root) is not None


def packages(module: str, root: Path) -> list[str]:
    """Hashes of the statements in the __init__.py of the packages around a module; most have none."""
    names = [".".join(module.split(".")[:i]) for i in range(1, module.count(".") + 1)]
    paths = [source(name, root) for name in names if counts(name, root)]
    texts = [stripped(path.read_text("utf-8"))[0] for path in paths if path]
    return [text_hash(text)[:16] for text in texts if text]


@cache  # by the text: a file is behind many stages
def stripped(text: str) -> tuple[str, tuple[tuple[str, str, str], ...]]:
    """The statements of a file without comments, docstrings and imports of the project's modules, and what these name.

    The names are as `imported` gives them. Statements under `if TYPE_CHECKING` are left out.
    """
    names: list[tuple[str, str, str]] = []

    def strip(node: ast.AST) -> None:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = node.body[ast.get_docstring(node) is not None :]
        for block in ("body", "orelse", "finalbody"):
            statements = getattr(node, block, None)
            if isinstance(statements, list):  # a lambda's body is none
                kept = [s for s in statements if not for_types(s) and not imports_project(s)]
                empty = block == "body" and not kept and not isinstance(node, ast.Module)
                setattr(node, block, [ast.Pass()] if empty else kept)
        for child in ast.iter_child_nodes(node):
            strip(child)

    def imports_project(statement: ast.stmt) -> bool:
        project_names = [words for words in imported(statement) if words[0].split(".")[0] in PACKAGES]
        names.extend(project_names)
        return bool(project_names)

    tree = ast.parse(text)
    strip(tree)
    return ast.unparse(tree), tuple(names)


def for_types(statement: ast.stmt) -> bool:
    """Whether a statement is for type checkers alone: `if TYPE_CHECKING`."""
    return isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING"


def named_modules(settings: object) -> list[str]:
    """The project's modules whose functions are named in settings, at any depth, as in lassl.flaws.overlap:overlap."""
    if isinstance(settings, Mapping):
        return sorted({module for value in settings.values() for module in named_modules(value)})
    if not isinstance(settings, str) or not NAMED.fullmatch(settings):
        return []
    module = settings.split(":")[0]
    return [module] if module.split(".")[0] in PACKAGES else []


def fingerprint(*modules: str, root: Path = Path()) -> str:
    """One hash, 64 hexadecimal digits and a line's end, of the code behind some modules, whatever their order."""
    hashes: dict[str, str] = {}
    return text_hash("\n".join(sorted(code_hash(module, root, hashes) for module in modules))) + "\n"
