"""The values of steps: at once from a CPU, in blocks from a GPU, which is not waited for."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch

from lassl.data.patches import Batch
from lassl.learning.base import Algorithm, Progress, Step
from lassl.training import step as steps_module
from lassl.training.loop import explained
from lassl.training.step import NotFinite, State, as_floats

GPU, CPU = (
    SimpleNamespace(device=SimpleNamespace(type=name), autocast=nullcontext, tensor=lambda tensor: tensor)
    for name in ("cuda", "cpu")
)
RATE = 0.1
NOTHING = Batch(torch.zeros(0), torch.zeros(0))


class Counted(Algorithm):
    """Its n-th step has the loss n, and no number at step 4; its weight falls by the learning rate at every step."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.moved = 0

    @property
    def networks(self):
        return {"network": self}

    def losses(self, batch, progress):
        loss = float("nan") if progress.step == 4 else progress.step
        return Step({"term": self.weight - self.weight.detach() + loss}, {"weight": 0.5})

    def after_step(self, progress):
        self.moved += 1


class Checkpoints:
    """Keeps what is to be looked at."""

    def __init__(self):
        self.kept = {}

    def keep(self, name, content):
        self.kept[name] = content
        return name


@pytest.fixture
def state(monkeypatch) -> State:
    """The state of such a training; a GPU's values are read three steps at a time."""
    monkeypatch.setattr(steps_module, "READ_EVERY", 3)
    counted = Counted()
    return State(counted, torch.optim.SGD(counted.parameters(), RATE), torch.amp.GradScaler("cpu", enabled=False))


def advance(state: State, placement: SimpleNamespace, steps: int, of: int = 99) -> None:
    for _ in range(steps):
        state.advance(NOTHING, Progress(state.step, of, 0, 0), [RATE], placement)


def losses(state: State) -> list[float]:
    return [values["loss"] for values in state.curves]


def test_a_gpus_values_wait_for_the_block_to_be_full(state):
    advance(state, GPU, 2)
    assert (losses(state), state.step) == ([], 2)
    advance(state, GPU, 1)
    assert losses(state) == [0, 1, 2] and not state.unread
    assert state.curves[1] == {"term": 1.0, "loss": 1.0, "weight": 0.5, "learning_rate": RATE}


def test_a_cpus_values_are_there_after_each_step(state):
    advance(state, CPU, 2)
    assert losses(state) == [0, 1]


def test_the_last_step_is_read_though_the_block_is_not_full(state):
    advance(state, GPU, 4, of=4)
    assert losses(state) == [0, 1, 2, 3]


def test_a_checkpoint_holds_the_values_of_all_steps_before_it(state):
    advance(state, GPU, 2)
    assert [values["loss"] for values in state.state_dict()["curves"]] == [0, 1]
    assert not state.unread


def test_on_a_cpu_a_loss_that_is_not_finite_leaves_the_state_that_gave_it(state):
    told = rf"step 4: the loss is not finite \(term nan, weight 0.5, learning_rate {RATE}\)"
    with pytest.raises(NotFinite, match=told) as caught:
        advance(state, CPU, 6)
    assert (caught.value.step, state.step, losses(state)) == (4, 4, [0, 1, 2, 3])
    assert state.algorithm.weight.item() == pytest.approx(-4 * RATE) and state.algorithm.moved == 4


def test_on_a_gpu_it_is_named_by_its_step_and_the_values_before_it_are_kept(state):
    with pytest.raises(NotFinite, match="step 4: the loss is not finite") as caught:
        advance(state, GPU, 6)
    assert (caught.value.step, state.step, losses(state)) == (4, 5, [0, 1, 2, 3])
    assert state.algorithm.moved == 5
    source = {4: SimpleNamespace(image="the images of step 4", label="its labels")}
    checkpoints = Checkpoints()
    told = str(explained(caught.value, state, source, checkpoints))
    assert "not-finite-00000004, the state after 5 steps; try a lower train.lr" in told
    assert checkpoints.kept["not-finite-00000004"]["batch"]["image"] == "the images of step 4"


def test_numbers_keep_all_their_digits_on_the_way_to_python():
    exact = torch.tensor(0.1234567890123456, dtype=torch.float64)
    values = [{"a": exact, "b": 1 / 3}, {"a": torch.tensor(0.5)}]
    assert as_floats(values) == [{"a": 0.1234567890123456, "b": 1 / 3}, {"a": 0.5}]
    assert as_floats([{"b": 2.0}]) == [{"b": 2.0}]
