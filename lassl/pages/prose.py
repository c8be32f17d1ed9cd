"""Docstrings and comments as Markdown."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

WIDTH = 120  # characters of a line of text


def wrapped(text: str) -> str:
    """Wrap a paragraph to lines of at most WIDTH characters."""
    return textwrap.fill(text, WIDTH)


def docstring(member: type) -> str:
    """The docstring of a class's file as Markdown; indented text becomes a code block, unchanged."""
    text = ast.get_docstring(ast.parse(Path(inspect.getfile(member)).read_text("utf-8"))) or ""
    return "\n".join(blocks(text.splitlines()))


def blocks(lines: Sequence[str]) -> Iterator[str]:
    """Lines of prose unchanged; lines indented by four, and the empty ones between them, in a fence."""
    inside = [line.startswith("    ") for line in lines]
    for i, line in enumerate(lines):  # an empty line belongs to a block if the block goes on after it
        if not line and i and inside[i - 1]:
            following = next((j for j in range(i, len(lines)) if lines[j]), None)
            inside[i] = following is not None and lines[following].startswith("    ")
    for fenced, group in groupby(zip(inside, lines, strict=True), lambda pair: pair[0]):
        body = [line[4:] if fenced else line for _, line in group]
        yield from ["```text", *body, "```"] if fenced else body
    yield ""


def comments(path: Path) -> dict[str, str]:
    """Key -> the comment at the end of its line in a YAML file, escaped for a cell."""
    found = re.findall(r"^ *(\w+):.*?\s# ?(.*)$", path.read_text("utf-8"), re.MULTILINE)
    return {key: comment.replace("|", r"\|") for key, comment in found}


def heading(path: Path) -> str:
    """The lines of comment at the head of a YAML file, without Hydra's `@package` line."""
    lines = path.read_text("utf-8").splitlines()
    head = lines[: next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))]
    return "\n".join(line.removeprefix("# ") for line in head if not line.startswith("# @package"))
