"""`data.channels`: what it may be, and the number of channels of the network, which follows from it."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from helpers.project import PARAMS_FILE
from lassl.plumbing.errors import LasslError
from lassl.plumbing.yaml_text import yaml_text
from lassl.settings.config import load
from lassl.settings.sections import Data, Network


def composed(folder: Path, **changes: dict) -> Path:
    """The committed params.yaml with changes of sections."""
    values = load(PARAMS_FILE).model_dump(mode="json")
    for section, change in changes.items():
        values[section] |= change
    (folder / "params.yaml").write_text(yaml_text(values))
    return folder / "params.yaml"


def test_the_network_has_a_channel_for_each_name_and_both_are_written_only_if_they_are_set(tmp_path):
    config = load(composed(tmp_path, data={"channels": ["t1", "flair"]}))
    assert config.data.channels == ("t1", "flair") and config.network.channels == 2
    assert config.settings("vnet_16")["network"]["channels"] == 2
    assert load(composed(tmp_path, data={"channels": ["t1", "flair"]}, network={"channels": 2})).network.channels == 2
    usual = load(composed(tmp_path, data={"channels": ["image"]}))
    assert usual == load(PARAMS_FILE) and usual.network.channels == 1
    assert "channels" not in usual.data.model_dump() and "channels" not in usual.settings("vnet_16")["network"]


def test_another_number_of_channels_is_refused_in_one_line(tmp_path):
    with pytest.raises(LasslError) as error:
        load(composed(tmp_path, data={"channels": ["t1", "flair"]}, network={"channels": 3}))
    assert str(error.value).endswith("network.channels is 3, but data.channels asks for 2; leave network.channels out")
    with pytest.raises(LasslError, match=r"network\.channels is 2, but data\.channels asks for 1"):
        load(composed(tmp_path, network={"channels": 2}))


@pytest.mark.parametrize("names", [["t1", "T1"], ["label"], ["t1", "Label"], [], ["a/b"], ["t.nii"], [".t"], ["t,u"]])
def test_names_that_cannot_be_files_of_a_case_are_refused(tmp_path, names):
    with pytest.raises(LasslError) as error:
        load(composed(tmp_path, data={"channels": names}))
    (line,) = str(error.value).splitlines()
    assert "data.channels" in line


def test_older_records_and_hashes_do_not_know_the_keys():
    assert "channels" in Data.later and "channels" in Network.later
    with pytest.raises(ValidationError):
        Network(width=1, residual=False, dropout=0, channels=0)
