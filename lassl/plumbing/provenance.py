"""The code behind a stage: which modules it loads, and a hash of what they do, wherever they lie.

The hash of a module is of its statements without comments and docstrings, and, in place of imports of ours, of the
hashes of the modules that they lead to. So a file may be moved or renamed, and a docstring written, and nothing becomes
stale; an edit of what a module or anything beneath it does counts for all that import it.
"""

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from lassl.plumbing.files import text_hash
from lassl.plumbing.plugins import NAMED

PACKAGES = ("lassl", "pipeline")
# beside the room lassl.plumbing: settings, whose values count, and names of files
NO_NUMBERS = ("lassl", "lassl.config", "lassl.sections", "lassl.paths")


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
    """Names of ours that a file imports, absolute; `from a import b` gives a and a.b, since b may be a module."""
    _, found = stripped(path.read_text("utf-8"))
    return [name for module, word, _ in found for name in ([module, f"{module}.{word}"] if word else [module])]


def imported(node: ast.AST) -> Iterator[tuple[str, str, str]]:
    """What an import statement names: module, name in it (or nothing), local name."""
    if isinstance(node, ast.Import):
        yield from ((alias.name, "", alias.asname or alias.name) for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield from ((node.module, alias.name, alias.asname or alias.name) for alias in node.names)


def code_hash(module: str, root: Path = Path(), known: dict[str, str] | None = None) -> str:
    """Hash of what a module of ours does, with all that it imports but plumbing; its own name does not count.

    `known` are the hashes of other modules so far, to which this one's are added. Raises ValueError for a circle.
    """
    known = {} if known is None else known
    if module not in known:
        known[module] = ""  # until it is known: who meets this has come round in a circle
        path = source(module, root)
        assert path is not None, module
        statements, names = stripped(path.read_text("utf-8"))
        beneath = set()
        for target, word, local in names:
            if word and source(f"{target}.{word}", root):
                target, word = f"{target}.{word}", ""
            if counts(target, root):
                beneath.add(" ".join([local, word, code_hash(target, root, known), *packages(target, root)]))
        known[module] = text_hash("\n".join([statements, *sorted(beneath)]))[:16]
    if not known[module]:
        raise ValueError(f"{module} imports itself, through others: part the two")
    return known[module]


def counts(module: str, root: Path) -> bool:
    """Whether a module is ours and may compute a number of a result."""
    plumbing = module in NO_NUMBERS or module.startswith("lassl.plumbing")
    return not plumbing and source(module, root) is not None


def packages(module: str, root: Path) -> list[str]:
    """Hashes of the statements that the packages around a module have; most have none."""
    names = [".".join(module.split(".")[:i]) for i in range(1, module.count(".") + 1)]
    paths = [source(name, root) for name in names if counts(name, root)]
    texts = [stripped(path.read_text("utf-8"))[0] for path in paths if path]
    return [text_hash(text)[:16] for text in texts if text]


@cache  # by the text: a file is behind many stages
def stripped(text: str) -> tuple[str, tuple[tuple[str, str, str], ...]]:
    """The statements of a file without comments, docstrings and imports of ours; and what these imports name.

    What is there for type checkers alone is left out.
    """
    names: list[tuple[str, str, str]] = []

    def strip(node: ast.AST) -> None:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = node.body[ast.get_docstring(node) is not None :]
        for block in ("body", "orelse", "finalbody"):
            statements = getattr(node, block, None)
            if isinstance(statements, list):  # a lambda's body is none
                kept = [s for s in statements if not for_types(s) and not ours(s)]
                empty = block == "body" and not kept and not isinstance(node, ast.Module)
                setattr(node, block, [ast.Pass()] if empty else kept)
        for child in ast.iter_child_nodes(node):
            strip(child)

    def ours(statement: ast.stmt) -> bool:
        found = [words for words in imported(statement) if words[0].split(".")[0] in PACKAGES]
        names.extend(found)
        return bool(found)

    tree = ast.parse(text)
    strip(tree)
    return ast.unparse(tree), tuple(names)


def for_types(statement: ast.stmt) -> bool:
    """Whether a statement is there for type checkers alone."""
    return isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING"


def named_modules(settings: object) -> list[str]:
    """Modules of ours that hold the functions which settings name, as in lassl.flaws.overlap:overlap."""
    if isinstance(settings, Mapping):
        return sorted({module for value in settings.values() for module in named_modules(value)})
    if not isinstance(settings, str) or not NAMED.fullmatch(settings):
        return []
    module = settings.split(":")[0]
    return [module] if module.split(".")[0] in PACKAGES else []


def fingerprint(*modules: str, root: Path = Path()) -> str:
    """One hash of the code behind some modules, whatever their order: what a DVC stage depends on."""
    known: dict[str, str] = {}
    return text_hash("\n".join(sorted(code_hash(module, root, known) for module in modules))) + "\n"
