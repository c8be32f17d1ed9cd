"""Hashes the code behind a stage: all modules that it imports, directly or indirectly.

The hash of a module covers its statements without comments, docstrings and messages; each import of the project's own
modules is replaced by the hash of the imported module. You can therefore move or rename files and rewrite docstrings
and messages without making results stale, while changing what a module does changes the hash of all that import it.

Messages are texts for people: those in `raise`, in calls of `note`, `tell` and progress bars, and any other text of
three words or more, unless a method is called on it, as in "x y z".split(). They count (`prose`) if text is the result,
as in a table.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from lassl.plumbing.files import text_hash
from lassl.plumbing.plugins import NAMED

PACKAGES = ("lassl", "pipeline")
# modules that do not compute numbers of results: they prepare the process, name files, or read settings, whose values
# count by themselves
NO_NUMBERS = ("lassl", "pipeline", "lassl.paths")
ROOMS_OF_NONE = ("lassl.plumbing", "lassl.settings")  # the same holds for all modules of these packages
TELLING = ("note", "tell", "bar")  # functions that show a text to the user
SENTENCE = re.compile(r"[^\W\d_]{2,}(?:\W+[^\W\d_]+){2}")  # three words, separated by blanks or punctuation


def source(module: str, root: Path) -> Path | None:
    """The file of a module of the project, such as lassl.data.raw; None for any other name."""
    if module.split(".")[0] not in PACKAGES:
        return None
    stem = root.joinpath(*module.split("."))
    return next((p for p in (stem.with_suffix(".py"), stem / "__init__.py") if p.is_file()), None)


def imported(node: ast.AST) -> Iterator[tuple[str, str, str]]:
    """The names in an import statement: module, name in it (or an empty text), local name."""
    if isinstance(node, ast.Import):
        yield from ((alias.name, "", alias.asname or alias.name) for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        yield from ((node.module, alias.name, alias.asname or alias.name) for alias in node.names)


def code_hash(module: str, root: Path = Path(), hashes: dict[str, str] | None = None, prose: bool = False) -> str:
    """Hash (16 hexadecimal digits) what a module does, including all imports that count.

    The module's own name does not matter. `hashes` has the hashes of other modules so far; those of this module and its
    imports are added. `prose`: messages count. Raises ValueError for circular imports.
    """
    hashes = {} if hashes is None else hashes
    if module not in hashes:
        hashes[module] = ""  # until it is computed: a circular import finds this
        path = source(module, root)
        assert path is not None, module
        statements, names = stripped(path.read_text("utf-8"), prose)
        imports = set()
        for target, word, local in names:
            if word and source(f"{target}.{word}", root):
                target, word = f"{target}.{word}", ""
            if counts(target, root):
                hashed = code_hash(target, root, hashes, prose)
                imports.add(" ".join([local, word, hashed, *packages(target, root, prose)]))
        hashes[module] = text_hash("\n".join([statements, *sorted(imports)]))[:16]
    if not hashes[module]:
        raise ValueError(f"{module} imports itself through other modules; remove the circle")
    return hashes[module]


def counts(module: str, root: Path) -> bool:
    """Whether a module belongs to the project and may compute a number of a result."""
    exempt = module in NO_NUMBERS or module.startswith(ROOMS_OF_NONE)
    return not exempt and source(module, root) is not None


def packages(module: str, root: Path, prose: bool = False) -> list[str]:
    """Hashes of the statements in the __init__.py of the packages around a module; most have none."""
    names = [".".join(module.split(".")[:i]) for i in range(1, module.count(".") + 1)]
    paths = [source(name, root) for name in names if counts(name, root)]
    texts = [stripped(path.read_text("utf-8"), prose)[0] for path in paths if path]
    return [text_hash(text)[:16] for text in texts if text]


@cache  # by text, since a file is behind many stages
def stripped(text: str, prose: bool = False) -> tuple[str, tuple[tuple[str, str, str], ...]]:
    """The statements of a file that count, and the names that it imports from the project's modules.

    The names are as `imported` gives them. Comments, docstrings, these imports, statements under `if TYPE_CHECKING`
    and, without `prose`, messages do not count.
    """
    stripper = _Stripper(prose)
    tree = stripper.visit(ast.parse(text))
    return ast.unparse(ast.fix_missing_locations(tree)), tuple(stripper.names)


class _Stripper(ast.NodeTransformer):
    """Removes from a tree what does not count, and collects the names imported from the project's modules."""

    def __init__(self, prose: bool):
        self.prose = prose
        self.showing = False  # inside a statement or call whose texts are for the user
        self.names: list[tuple[str, str, str]] = []

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = node.body[ast.get_docstring(node) is not None :]
        result = super().visit(node)
        if getattr(result, "body", None) == [] and not isinstance(result, ast.Module):
            result.body = [ast.Pass()]  # a body needs a statement
        return result

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> ast.AST | None:
        project_names = [words for words in imported(node) if words[0].split(".")[0] in PACKAGES]
        self.names.extend(project_names)
        return None if project_names else node

    visit_ImportFrom = visit_Import

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if for_types(node) else self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return self._without_texts(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id in TELLING:
            return self._without_texts(node)
        if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Constant):
            node.args = [self.visit(argument) for argument in node.args]
            return node  # the method of a text, as in "x y z".split()
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant("") if isinstance(node.value, str) and self._is_message(node.value) else node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        words = " ".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
        return ast.Constant("") if self._is_message(words) else self.generic_visit(node)

    def _is_message(self, text: str) -> bool:
        return not self.prose and (self.showing or SENTENCE.search(text) is not None)

    def _without_texts(self, node: ast.AST) -> ast.AST:
        before, self.showing = self.showing, True
        self.generic_visit(node)
        self.showing = before
        return node


def for_types(statement: ast.stmt) -> bool:
    """Whether a statement is only for type checkers: `if TYPE_CHECKING`."""
    return isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING"


def named_modules(settings: object) -> list[str]:
    """The project's modules whose functions settings name at any depth, such as lassl.flaws.overlap:overlap."""
    if isinstance(settings, Mapping):
        return sorted({module for value in settings.values() for module in named_modules(value)})
    if not isinstance(settings, str) or not NAMED.fullmatch(settings):
        return []
    module = settings.split(":")[0]
    return [module] if module.split(".")[0] in PACKAGES else []


def fingerprint(*modules: str, root: Path = Path(), prose: bool = False) -> str:
    """One hash (64 hexadecimal digits and a newline) of the code behind some modules, in any order.

    `prose`: messages count, too.
    """
    hashes: dict[str, str] = {}
    return text_hash("\n".join(sorted(code_hash(module, root, hashes, prose) for module in modules))) + "\n"
