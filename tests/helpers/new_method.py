"""What docs/add-a-method.md says to type."""

import re

from helpers.project import ROOT

COMMAND = re.compile(r"`(dvc exp run [^`]+)`")


def new_method() -> tuple[str, list[str]]:
    """The commands that begin a new method, as a script, and those of its experiments, in the order of the page."""
    text = (ROOT / "docs/add-a-method.md").read_text()
    (script,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return script, COMMAND.findall(text)
