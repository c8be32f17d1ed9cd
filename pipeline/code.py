"""Stage `code`: a file for each other stage with the hashes of the code behind it, so that only that code counts.

DVC does not follow imports. A stage that depends on its file here runs again when a module that it imports, however
indirectly, changes what it does; an edit elsewhere, or of a comment, leaves it alone.
"""

from pathlib import Path

from lassl import config
from lassl.errors import command
from lassl.files import whole_folder
from lassl.methods import module_of
from lassl.provenance import fingerprint


def main() -> None:
    """Write build/code/<stage>, and build/code/train/<method> for each method."""
    methods = config.load().methods
    with whole_folder(Path("build/code")) as folder:
        for stage in ("phantom", "prepare", "evaluate", "table"):
            (folder / stage).write_text(fingerprint(f"pipeline.{stage}"))
        (folder / "train").mkdir()
        for name, method in methods.items():
            (folder / "train" / name).write_text(fingerprint("pipeline.train", module_of(method.algorithm)))


if __name__ == "__main__":
    command(main)
