"""Stage `code`: a file for each other stage with the hashes of the code behind it, so that only that code counts.

DVC does not follow imports. A stage that depends on its file here runs again when a module that it imports, however
indirectly, changes what it does; an edit elsewhere, or of a comment, leaves it alone.
"""

from pathlib import Path

from lassl import config
from lassl.errors import command
from lassl.files import whole_folder
from lassl.methods import module_of
from lassl.provenance import fingerprint, named_modules


def main() -> None:
    """Write build/code/<stage>, and build/code/train/<method> for each method."""
    settings = config.load()
    named = {
        "phantom": [],
        "prepare": named_modules(settings.data.model_dump()),
        "evaluate": named_modules(settings.model_dump(include={"evaluate", "snapshots"})),
        "publish": [],
        "fields": [],
        "table": [],
        "report": [],
    }
    with whole_folder(Path("build/code")) as folder:
        for stage, modules in named.items():
            (folder / stage).write_text(fingerprint(f"pipeline.{stage}", *modules), "utf-8")
        (folder / "train").mkdir()
        for name, method in settings.methods.items():
            modules = [module_of(method.algorithm), *named_modules(settings.settings(name))]
            (folder / "train" / name).write_text(fingerprint("pipeline.train", *modules), "utf-8")


if __name__ == "__main__":
    command(main)
