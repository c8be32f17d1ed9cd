"""The record of masks or weights that come from elsewhere, scored here: metrics/external/records/<name>.yaml."""

from pathlib import Path
from typing import Literal

import yaml
from pydantic import ValidationError

from lassl.model.record import Cohort, Computation, Entry, Reported
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import read_text
from lassl.plumbing.yaml_text import checked, yaml_text
from lassl.settings.sections import Size

REPORTED = Reported(network="external", largest_component=False, failures="excluded")  # there is one mask of each case


class Imported(Entry):
    """Where a model's weights come from that were trained elsewhere: the file that was read, and its hash.

    name and title are those of its row; left_aside names what the file holds beside the network.
    """

    trained: Literal["elsewhere"]
    name: str
    title: str
    checkpoint: str
    checkpoint_sha256: str
    left_aside: tuple[str, ...]
    lassl: str


class Segmented(Computation):
    """How masks were made here by imported weights: on which prepared cohort, with which window and stride (voxels)."""

    weights: Imported
    cohort: Cohort
    window: Size
    stride: Size


class ExternalRecord(Entry):
    """What was scored: the title of its row, hashes of the masks, and the version of lassl that scored them.

    `segmented` where the masks were made here, by weights from elsewhere.
    """

    title: str
    predictions_sha256: str
    references_sha256: str
    lassl: str
    evaluation: Reported
    cases_sha256: str
    segmented: Segmented | None = None


def read_external_record(path: Path) -> ExternalRecord:
    """Read what `lassl evaluate` wrote. Raises LasslError."""
    try:
        return checked(ExternalRecord, read_text(path))
    except (yaml.YAMLError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise LasslError(f"{path}: no record of `lassl evaluate` ({reason}); run it again or delete the file") from None


def external_record_text(record: ExternalRecord) -> str:
    """The record as YAML."""
    return yaml_text(record.plain())
