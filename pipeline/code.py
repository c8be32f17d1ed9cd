"""Stage `code`: writes, for each other stage, a file with a hash of the code behind it.

DVC does not follow imports. A stage that depends on its file here reruns whenever a module that it imports, directly or
indirectly, changes what it does; edits elsewhere, and edits of comments and messages, do not rerun it.
"""

from pathlib import Path

from lassl.methods import module_of
from lassl.plumbing.errors import command
from lassl.plumbing.files import holds, whole_folder
from lassl.plumbing.provenance import fingerprint, named_modules
from lassl.settings import config
from lassl.settings.config import Config

TEXTS = ("table", "report")  # stages that produce text, so that sentences in their code count


def main() -> None:
    """Write build/code/<stage>, and build/code/train/<method> for each method of params.yaml."""
    with whole_folder(Path("build/code"), holds("prepare")) as folder:
        (folder / "train").mkdir()
        for name, modules in behind(config.load()).items():
            (folder / name).write_text(fingerprint(*modules, prose=name in TEXTS), "utf-8")


def behind(settings: Config) -> dict[str, list[str]]:
    """Stage, or train/<method> -> the modules behind it: its own, and those of its plugins in params.yaml."""
    named = {
        "prepare": named_modules(settings.data.model_dump()),
        "evaluate": named_modules(settings.model_dump(include={"evaluate", "snapshots", "network"})),
        "fields_of_view": named_modules(settings.network.model_dump()),
    }
    stages = ("phantom", "prepare", "evaluate", "publish", "fields_of_view", "table", "report")
    training = {
        f"train/{name}": [module_of(method.algorithm), *named_modules(settings.settings(name))]
        for name, method in settings.methods.items()
    }
    return {
        **{stage: [f"pipeline.{stage}", *named.get(stage, [])] for stage in stages},
        **{name: ["pipeline.train", *modules] for name, modules in training.items()},
    }


if __name__ == "__main__":
    command(main)
