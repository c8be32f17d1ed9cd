"""The record of masks that were made elsewhere and scored here: metrics/external/records/<name>.yaml."""

from pathlib import Path

import yaml
from pydantic import ValidationError

from lassl.model.record import Entry, Reported
from lassl.plumbing.errors import LasslError

REPORTED = Reported(network="external", largest_component=False, failures="excluded")  # there is one mask of each case


class ExternalRecord(Entry):
    """What was scored: the title of its row, hashes of the masks, and the version of lassl that scored them."""

    title: str
    predictions_sha256: str
    references_sha256: str
    lassl: str
    evaluation: Reported
    cases_sha256: str


def read_external_record(path: Path) -> ExternalRecord:
    """Read what `lassl evaluate` wrote. Raises LasslError."""
    try:
        return ExternalRecord.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except (yaml.YAMLError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise LasslError(f"{path}: no record of `lassl evaluate` ({reason}); run it again or delete the file") from None


def external_record_text(record: ExternalRecord) -> str:
    """The record as YAML."""
    return yaml.safe_dump(record.plain(), sort_keys=False)
