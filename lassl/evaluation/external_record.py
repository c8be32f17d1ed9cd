"""The record of scored external masks or imported weights: metrics/external/records/<name>.yaml."""

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import pandas as pd
import yaml
from pydantic import ValidationError

from lassl.evaluation.summary import summary_text
from lassl.model.record import Cohort, Computation, Entry, Reported
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import read_text, text_hash, write_text
from lassl.plumbing.yaml_text import checked, yaml_text
from lassl.settings.values import Size

REPORTED = Reported(network="external", largest_component=False, failures="excluded")  # there is one mask per case


class Imported(Entry):
    """The origin of imported weights: the file, and its hash.

    name and title are those of its row; left_aside lists the entries of the file that are not part of the network.
    """

    trained: Literal["elsewhere"]
    name: str
    title: str
    checkpoint: str
    checkpoint_sha256: str
    left_aside: tuple[str, ...]
    lassl: str


class Segmented(Computation):
    """How imported weights made masks here: on which prepared cohort, with which window and stride (voxels)."""

    weights: Imported
    cohort: Cohort
    window: Size
    stride: Size


class ExternalRecord(Entry):
    """What was scored: the title of its row, hashes of the masks, and the version of lassl that scored them.

    `segmented` is set if the masks were made here, with imported weights.
    """

    title: str
    predictions_sha256: str
    references_sha256: str
    lassl: str
    evaluation: Reported
    cases_sha256: str
    segmented: Segmented | None = None


@dataclass(frozen=True)
class ScoredFolder:
    """The scores of each case, hashes of all compared masks, and notes for the user.

    `segmented` says how the masks were made, if they were made here.
    """

    cases: pd.DataFrame
    predictions_sha256: str
    references_sha256: str
    notes: tuple[str, ...] = ()
    segmented: Segmented | None = None


def read_external_record(path: Path) -> ExternalRecord:
    """Read a record of `lassl evaluate`. Raises LasslError."""
    try:
        return checked(ExternalRecord, read_text(path))
    except (yaml.YAMLError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise LasslError(
            f"{path}: not a valid record of `lassl evaluate` ({reason}); run it again or delete the file"
        ) from None


def external_record_text(record: ExternalRecord) -> str:
    """The record as YAML."""
    return yaml_text(record.plain())


def external_files(folder: Path, name: str) -> tuple[Path, Path, Path]:
    """The files that write_external writes: summary, scores of cases, record."""
    return folder / f"{name}.json", folder / f"{name}.csv", folder / "records" / f"{name}.yaml"


def write_external(folder: Path, name: str, title: str, scored: ScoredFolder) -> None:
    """Write summary, scores of cases and record in the format of our own runs, each completely or not at all."""
    table = scored.cases.to_csv(index=False, float_format="%.6f")
    record = ExternalRecord(
        title=title,
        predictions_sha256=scored.predictions_sha256,
        references_sha256=scored.references_sha256,
        lassl=version("lassl"),
        evaluation=REPORTED,
        cases_sha256=text_hash(table),
        **({"segmented": scored.segmented} if scored.segmented else {}),
    )
    texts = summary_text(scored.cases, REPORTED), table, external_record_text(record)
    for path, text in zip(external_files(folder, name), texts, strict=True):
        write_text(path, text)
