"""The record of scored external masks or imported weights: metrics/external/records/<name>.yaml."""

from pathlib import Path
from typing import Literal

import yaml
from pydantic import ValidationError

from lassl.model.record import Cohort, Computation, Entry, Reported
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import read_text
from lassl.plumbing.yaml_text import checked, yaml_text
from lassl.settings.sections import Size

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
