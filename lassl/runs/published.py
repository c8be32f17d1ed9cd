"""Downloads, imports and scores the checkpoints that the authors of UA-MT published, as `make published` does."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lassl.data.prepared import open_prepared
from lassl.data.public import LA2018, get, sha256
from lassl.evaluation.external_record import Imported, read_external_record, write_external
from lassl.paths import EXTERNAL, IMPORTED, metrics_folder
from lassl.plumbing.errors import LasslError, note
from lassl.predict.import_weights import import_weights, read_imported, score_imported
from lassl.results.table import table
from lassl.results.terminal import show
from lassl.settings.config import Config

REPOSITORY = LA2018.sources[0][0]  # it has the scans, too


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint in the repository, and the name and title of its row."""

    path: str
    name: str
    title: str

    @property
    def file(self) -> Path:
        """Where it is saved."""
        return IMPORTED / f"{self.name}.pth"

    @property
    def model(self) -> Path:
        """The model converted from it."""
        return IMPORTED / f"{self.name}.pt"


CHECKPOINTS = (
    Checkpoint("model/UAMT/iter_6000.pth", "uamt", "UA-MT (published weights)"),
    Checkpoint("model/UAMT_unlabel/iter_6000.pth", "uamt_unlabel", "UA-MT, unlabel (published weights)"),
    Checkpoint("model/vnet_supervisedonly_dp/iter_6000.pth", "uamt_vnet", "V-Net of UA-MT (published weights)"),
)


def fetch(settings: Config, repository: str = REPOSITORY) -> None:
    """Copy the missing checkpoints from a git repository, and convert all to models. Raises LasslError.

    Raises it before copying anything if the test cases of `settings` are synthetic.
    """
    if settings.statistics.scans == "synthetic":
        raise LasslError(
            f"params.yaml: found profile {settings.name}, whose scans are synthetic; expected a profile of real scans: "
            "first run `lassl compose profile=compact`, or another profile"
        )
    for checkpoint in CHECKPOINTS:
        if not checkpoint.file.is_file():
            note(f"{repository}: downloading '{checkpoint.path}'")
            take(repository, checkpoint)
        refuse_others(checkpoint)
        import_weights(checkpoint.file, checkpoint.name, checkpoint.title, checkpoint.model)
        print(checkpoint.model)


def refuse_others(checkpoint: Checkpoint) -> None:
    """Raise LasslError if a model or scores with a checkpoint's name exist for other weights."""
    found: dict[Path, Imported | None] = {}
    if checkpoint.model.exists():
        found[checkpoint.model] = read_imported(checkpoint.model)[0].record
    if (path := EXTERNAL / "records" / f"{checkpoint.name}.yaml").exists():
        segmented = read_external_record(path).segmented
        found[path] = segmented.weights if segmented else None
    for path, weights in found.items():
        if weights is None or weights.checkpoint_sha256 != sha256(checkpoint.file):
            raise LasslError(
                f"{path}: belongs to other weights than {checkpoint.file} and would be replaced; rename it"
            )


def take(repository: str, checkpoint: Checkpoint) -> None:
    """Copy a checkpoint from a git repository; the file is whole or absent. Raises LasslError."""
    IMPORTED.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".published-", dir=IMPORTED) as temporary:
        copy = Path(temporary) / checkpoint.file.name
        try:
            get(repository, checkpoint.path, copy)
        except LasslError as error:
            raise LasslError(
                f"{error}; try again later, save the file yourself as {checkpoint.file}, or name a copy of the "
                "repository: lassl published fetch REPOSITORY"
            ) from None
        shutil.move(copy, checkpoint.file)


def score(settings: Config) -> None:
    """Score the models on the profile's test cases, and update its table if it has runs. Raises LasslError."""
    prepared = open_prepared(settings.data.prepared)
    for checkpoint in CHECKPOINTS:
        scored = score_imported(*read_imported(checkpoint.model), prepared, settings)
        write_external(EXTERNAL, checkpoint.name, checkpoint.title, scored)
    if any((metrics_folder(settings.name) / "records").glob("*.yaml")):
        table(settings.name, settings.statistics)
        show(settings.name)
    else:
        note(f"{EXTERNAL}: has the scores, but profile {settings.name} has no runs yet to show them with")
