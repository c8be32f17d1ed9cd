"""Fills the marked places of README.md and docs/ from metrics/, the code and conf/; the rest is written by hand.

A place begins with the line `<!-- KIND -->`, or `<!-- KIND: WORD, WORD -->`, and ends with `<!-- end of KIND -->`.
The function that KINDS names writes what is between them; it takes the words.
"""

import inspect
import re
from collections.abc import Callable
from pathlib import Path

from lassl.pages import flaws, methods, tables
from lassl.paths import DOCS
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import write_text
from lassl.plumbing.tables import listed

KINDS: dict[str, Callable[..., str]] = {
    "table": tables.table,
    "structures": tables.structures,
    "trials": tables.trials,
    "flaw": flaws.trained,
    "selection": flaws.selection,
    "empties": flaws.empties,
    "fields": flaws.fields,
    "contents": methods.contents,
    "costs": methods.costs,
    "method": methods.method,
}
PLACE = re.compile(
    r"^(?P<mark><!-- (?!end of )(?P<kind>[\w-]+)(?:: (?P<words>[^\n]+))? -->)\n"
    r"(?:(?!<!--)[^\n]*\n)*?"
    r"(?P<end><!-- end of (?P=kind) -->)$",
    re.MULTILINE,
)
MARK = re.compile(r"^[ \t]*(<!--.*)$", re.MULTILINE)


def filled(text: str, path: Path) -> str:
    """Fill every marked place of a page. Raises LasslError, which names the file and line."""
    inside = [place.span() for place in PLACE.finditer(text)]
    for mark in MARK.finditer(text):
        if not any(start <= mark.start() < end for start, end in inside):
            raise LasslError(
                f"{path}:{line(text, mark)}: found '{mark[1]}', which does not begin or end a place; expected "
                "'<!-- KIND: WORDS -->' and, below it, '<!-- end of KIND -->', each on its own line"
            )
    return PLACE.sub(lambda place: f"{place['mark']}\n{content(place, path)}\n{place['end']}", text)


def content(place: re.Match[str], path: Path) -> str:
    """Make the content of a place. Raises LasslError, which names the file and line."""
    where = f"{path}:{line(place.string, place)}: {place['mark']}"
    words = place["words"].split(", ") if place["words"] else []
    if place["kind"] not in KINDS:
        raise LasslError(f"{where}: unknown kind '{place['kind']}'; expected one of {listed(KINDS)}")
    make = KINDS[place["kind"]]
    try:
        inspect.signature(make).bind(*words)
    except TypeError:
        expected = listed(f"{p.name}".upper() for p in inspect.signature(make).parameters.values()) or "none"
        raise LasslError(f"{where}: found {len(words)} words after the kind; expected {expected}") from None
    try:
        return make(*words).rstrip("\n")
    except LasslError as error:
        raise LasslError(f"{where}: {error}") from None


def line(text: str, match: re.Match[str]) -> int:
    """The number of the line on which a match begins."""
    return text.count("\n", 0, match.start()) + 1


def pages() -> list[Path]:
    """The files that may contain marked places: README.md and the pages in docs/."""
    return [Path("README.md"), *sorted(DOCS.glob("*.md"))]


def write() -> None:
    """Fill the places of all pages, or of none if one is wrong. Raises LasslError."""
    before = {path: path.read_text("utf-8") for path in pages()}
    after = {path: filled(text, path) for path, text in before.items()}
    for path, text in after.items():
        if text != before[path]:
            write_text(path, text)
