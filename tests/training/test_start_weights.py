"""Trainings that start from the weights of a model: what they take, what their record says, and what is refused."""

import hashlib
from pathlib import Path

import pytest
import torch

from helpers.project import ROOT
from helpers.trainings import Kept, Trial, settings, trained
from lassl.model.network import build_network
from lassl.model.placement import place
from lassl.model.start import SHIPPED, find_model, read_start
from lassl.plumbing.errors import LasslError
from lassl.predict.model_file import read_exported
from lassl.settings.sections import Network, Train
from lassl.training.loop import first_state

pytestmark = pytest.mark.slow

START = "mine/vnet_16-d0-s0"


@pytest.fixture
def model(tiny_data, tmp_path, monkeypatch):
    """A trained model, in the current folder's models/."""
    monkeypatch.chdir(tmp_path)
    config = settings(tiny_data, network={"width": 4, "dropout": 0.1}).model_copy(update={"profile": "mine"})
    return trained(config)


def equal(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return list(ours) == list(theirs) and all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize("row", ["vnet_16", "cps", "mt_un", "dtc", "mcnet_plus", "urpc"])
def test_every_network_of_a_method_starts_from_the_weights_of_the_models_default_network(
    model, row, tiny_data, prepared
):
    file = Path(f"models/{START}.pt").resolve()
    trial = Trial(row, 2, tiny_data, prepared, train={"start": str(file)})
    networks = trial.state.algorithm.networks.values()
    assert networks and all(equal(network, model.networks[model.default]) for network in networks)


def test_the_record_has_the_name_and_the_hash_of_the_file_and_a_plain_one_is_as_before(model, tiny_data):
    begun = settings(tiny_data, network={"width": 4, "dropout": 0.1}, train={"start": START, "steps": 4})
    record = trained(begun).record
    assert record.training.start_sha256 == hashlib.sha256(Path(f"models/{START}.pt").read_bytes()).hexdigest()
    assert record.settings.train.start == START and record.plain()["settings"]["train"]["start"] == START
    other = settings(tiny_data, network={"width": 4, "dropout": 0.1}, train={"steps": 4})
    plain = trained(other).record
    assert plain.training.start_sha256 is None and "start" not in plain.plain()["settings"]["train"]
    assert plain.weights_sha256 != record.weights_sha256


def test_a_resumed_training_goes_on_from_its_own_weights(model, tiny_data, prepared):
    file = Path(f"models/{START}.pt").resolve()
    trial, again = (Trial("cps", 4, tiny_data, prepared, train={"start": str(file)}) for _ in range(2))
    whole = trial.fit(kept := Kept(2))
    assert equal(again.fit(Kept(2, kept.content)).algorithm, whole.algorithm)


def test_dropout_may_differ_and_the_model_that_comes_with_lassl_is_found_by_its_name():
    network = Network(width=8, residual=False, dropout=0.5)
    start = read_start("atrium", network)
    weights = read_exported(SHIPPED / "atrium.pt").model.networks["network"].state_dict()
    assert start.path == find_model("atrium") and all(torch.equal(start.weights[key], weights[key]) for key in weights)
    assert all(tensor.dtype != torch.float16 for tensor in start.weights.values())


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nowhere/cps-d0-s0", r"^train\.start: models/nowhere/cps-d0-s0\.pt: no such model; expected"),
        (
            "text.pt",
            r"^train\.start: text\.pt: not a model|^text\.pt: not a readable model .*; name a model of a training",
        ),
        ("list.pt", r"^train\.start: list\.pt: not a model of a training or of `lassl export`, or damaged;"),
        ("edited.pt", r"^train\.start: edited\.pt: not a model of .*, or damaged; export or copy it again$"),
        ("atrium", r"found a network with .*'width': 8.*, expected .*'width': 2.* as in params\.yaml; set network\.\*"),
    ],
)
def test_what_cannot_be_started_from_is_told_in_one_line(name, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("text.pt").write_text("no model")
    torch.save([1, 2], "list.pt")
    edited = torch.load(SHIPPED / "atrium.pt", weights_only=True)
    next(iter(edited["weights"]["network"].values())).zero_()
    torch.save(edited, "edited.pt")
    with pytest.raises(LasslError, match=told) as error:
        read_start(name, Network(width=2, residual=False, dropout=0.5))
    assert "\n" not in str(error.value)


def test_settings_without_a_start_are_written_as_in_older_records():
    values = {"steps": 3, "lr": 0.1, "momentum": 0.9, "schedule": None}
    assert Train.model_validate(values).model_dump() == values
    assert Train.model_validate(values | {"start": "atrium"}).model_dump() == values | {"start": "atrium"}


def test_a_model_of_one_structure_starts_one_of_several_but_for_the_head_which_is_told(capsys):
    torch.manual_seed(0)
    network = build_network(Network(width=8, residual=False, dropout=0.5, classes=4))
    own = {key: value.clone() for key, value in network.state_dict().items()}
    start = read_start("atrium", Network(width=8, residual=False, dropout=0.5, classes=4))
    start.into([network])
    found = network.state_dict()
    head = ["head.1.weight", "head.1.bias"]
    assert all(torch.equal(found[key], own[key]) for key in head)
    assert all(torch.equal(found[key], start.weights[key]) for key in found if key not in head)
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        f"note: train.start: {SHIPPED / 'atrium.pt'}: 2 classes, expected 4; took all layers but head.1, which begins "
        "with weights of its own"
    )


def test_a_method_that_trains_several_networks_tells_of_their_heads_once(model, tiny_data, monkeypatch, capsys):
    file = Path(f"models/{START}.pt").resolve()
    monkeypatch.chdir(ROOT)
    config = settings(tiny_data, network={"width": 4, "dropout": 0.1}, train={"start": str(file)})
    wider = config.model_copy(update={"network": config.network.model_copy(update={"classes": 3})})
    capsys.readouterr()
    networks = first_state(wider, config.methods["cps"], place(config.compute), 0).algorithm.networks.values()
    assert len(networks) == 2 and capsys.readouterr().err.count("took all layers but head.1") == 1
    one, other = (network.state_dict() for network in networks)
    assert one["head.1.weight"].shape[0] == 3 and not torch.equal(one["head.1.weight"], other["head.1.weight"])
    assert torch.equal(one["bottom.0.norms.0.weight"], other["bottom.0.norms.0.weight"])


def test_the_head_of_a_model_of_as_many_structures_is_taken_and_nothing_is_told(capsys):
    network = build_network(Network(width=8, residual=False, dropout=0.5))
    start = read_start("atrium", Network(width=8, residual=False, dropout=0.5))
    start.into([network])
    assert all(torch.equal(value, start.weights[key]) for key, value in network.state_dict().items())
    assert start.classes is None and not capsys.readouterr().err
