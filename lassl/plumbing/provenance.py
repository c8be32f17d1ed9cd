"""The code behind a stage: a hash of what the modules do that it imports, directly or through others.

The hash of a module is over its statements without comments, docstrings and messages, with each import of the project's
own modules replaced by the hash of the imported module. So files may be moved or renamed, docstrings and messages
written again without making a result stale, while an edit of what a module does changes the hash of all that import it.

Messages are texts for people: those in `raise`, those given to `note`, `tell` and progress bars, and any other text of
three words or more, unless a method is called on it, as in "x y z".split(). Where text is the result, as in a table,
they count (`prose`).
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
# modules that compute no number of a result, as lassl.plumbing does not: they prepare the process, read settings, whose
# values count by themselves, and name files
NO_NUMBERS = ("lassl", "pipeline", "lassl.paths")
ROOMS_OF_NONE = ("lassl.plumbing", "lassl.settings")  # nor do modules of these rooms
TELLING = ("note", "tell", "bar")  # functions that show a text to the user
SENTENCE = re.compile(r"[^\W\d_]{2,}(?:\W+[^\W\d_]+){2}")  # three words, apart by blanks or marks


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


def code_hash(module: str, root: Path = Path(), hashes: dict[str, str] | None = None, prose: bool = False) -> str:
    """Hash, 16 hexadecimal digits, of what a module does, with all that it imports and that counts.

    The module's own name does not enter it. `hashes` has those of other modules so far; this one's, and those of what
    it imports, are added. `prose`: messages count. Raises ValueError for modules that import each other in a circle.
    """
    hashes = {} if hashes is None else hashes
    if module not in hashes:
        hashes[module] = ""  # while it is being made: an import that comes back here finds this
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
        raise ValueError(f"{module} imports itself, through others: part the two")
    return hashes[module]


def counts(module: str, root: Path) -> bool:
    """Whether a module is one of the project's and may compute a number of a result."""
    exempt = module in NO_NUMBERS or module.startswith(ROOMS_OF_NONE)
    return not exempt and source(module, root) is not None


def packages(module: str, root: Path, prose: bool = False) -> list[str]:
    """Hashes of the statements in the __init__.py of the packages around a module; most have none."""
    names = [".".join(module.split(".")[:i]) for i in range(1, module.count(".") + 1)]
    paths = [source(name, root) for name in names if counts(name, root)]
    texts = [stripped(path.read_text("utf-8"), prose)[0] for path in paths if path]
    return [text_hash(text)[:16] for text in texts if text]


@cache  # by the text: a file is behind many stages
def stripped(text: str, prose: bool = False) -> tuple[str, tuple[tuple[str, str, str], ...]]:
    """The statements of a file without what does not count, and what its imports of the project's modules name.

    The names are as `imported` gives them. Left out are comments, docstrings, those imports, statements under
    `if TYPE_CHECKING` and, without `prose`, messages.
    """
    stripper = _Stripper(prose)
    tree = stripper.visit(ast.parse(text))
    return ast.unparse(ast.fix_missing_locations(tree)), tuple(stripper.names)


class _Stripper(ast.NodeTransformer):
    """Takes out of a tree what does not count, and keeps what imports of the project's modules name."""

    def __init__(self, prose: bool):
        self.prose = prose
        self.showing = False  # within a statement or call whose texts are for the user
        self.names: list[tuple[str, str, str]] = []

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = node.body[ast.get_docstring(node) is not None :]
        result = super().visit(node)
        if getattr(result, "body", None) == [] and not isinstance(result, ast.Module):
            result.body = [ast.Pass()]  # a statement must stand there
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


def fingerprint(*modules: str, root: Path = Path(), prose: bool = False) -> str:
    """One hash, 64 hexadecimal digits and a line's end, of the code behind some modules, whatever their order.

    `prose`: messages count, too.
    """
    hashes: dict[str, str] = {}
    return text_hash("\n".join(sorted(code_hash(module, root, hashes, prose) for module in modules))) + "\n"
