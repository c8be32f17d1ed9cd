"""What README.md tells to type, as it stands there."""

import re

from helpers.project import ROOT

COMMAND = re.compile(r"`(dvc exp run [^`]+)`")


def new_method() -> tuple[str, list[str]]:
    """The commands that begin a new method, as a script, and those of its experiments, in the order of README.md."""
    text = (ROOT / "README.md").read_text().split("## A new method\n")[1].split("\n## ")[0]
    (script,) = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return script, COMMAND.findall(text)
