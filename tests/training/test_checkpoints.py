"""Checkpoints: whole, verified, bound to their training."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from lassl.plumbing.errors import LasslError
from lassl.training.checkpoints import Checkpoints, read

TRAINING = {"settings": "lr 0.1", "cohort": "c0ffee", "code": "f00d"}


def state(step: int) -> dict:
    return {"step": step, "weights": {"a": torch.full((5, 4, 3), float(step))}}


@pytest.fixture
def checkpoints(tmp_path):
    return Checkpoints(tmp_path / "run", TRAINING)


def names(checkpoints) -> list[str]:
    return sorted(path.name for path in checkpoints.folder.iterdir())


def test_the_newest_is_given_back_and_the_one_before_it_is_kept(checkpoints):
    assert checkpoints.load() is None
    for step in (1, 2, 10):
        checkpoints.save(step, state(step))
    assert names(checkpoints) == ["step-00000002.pt", "step-00000010.pt"]
    found = Checkpoints(checkpoints.folder, TRAINING).load()
    assert found["step"] == 10
    assert torch.equal(found["weights"]["a"], state(10)["weights"]["a"])


def test_after_a_resume_the_checkpoint_resumed_from_is_the_one_kept(checkpoints):
    for step in (1, 2, 3):
        checkpoints.save(step, state(step))
    again = Checkpoints(checkpoints.folder, TRAINING)
    again.load()
    again.save(5, state(5))
    assert names(checkpoints) == ["step-00000003.pt", "step-00000005.pt"]


def test_cut_off_at_any_byte_it_is_reported_and_the_one_before_it_is_used(checkpoints, capsys):
    checkpoints.save(1, state(1))
    checkpoints.save(2, state(2))
    newest = checkpoints.folder / "step-00000002.pt"
    whole = newest.read_bytes()
    for length in (0, 1, 64, 65, len(whole) - 1, *np.random.default_rng().integers(len(whole), size=20)):
        newest.write_bytes(whole[:length])
        assert checkpoints.load()["step"] == 1, length
        told = capsys.readouterr().err
        assert str(newest) in told and "damaged" in told and f"{length} bytes" in told


def test_one_wrong_bit_anywhere_is_noticed(checkpoints, capsys):
    checkpoints.save(1, state(1))
    path = checkpoints.folder / "step-00000001.pt"
    whole = path.read_bytes()
    for place in np.random.default_rng().integers(len(whole), size=20):
        changed = bytearray(whole)
        changed[place] ^= 1 << int(np.random.default_rng().integers(8))
        path.write_bytes(changed)
        assert checkpoints.load() is None, place
        assert "damaged" in capsys.readouterr().err


@pytest.mark.parametrize("part", TRAINING)
def test_a_changed_training_does_not_resume_and_is_told_what_differs(checkpoints, capsys, part):
    checkpoints.save(7, state(7))
    changed = Checkpoints(checkpoints.folder, TRAINING | {part: "other"})
    assert changed.load() is None
    assert f"another training (different {part})" in capsys.readouterr().err
    changed.save(1, state(1))
    assert names(checkpoints) == ["step-00000001.pt"]


def test_a_full_disk_is_named_and_what_was_saved_stays(checkpoints, monkeypatch):
    checkpoints.save(1, state(1))

    def full(path, content):
        with path.open("wb") as file:
            file.write(content[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(LasslError, match=r"step-00000002.pt: no space left .*free some"):
        checkpoints.save(2, state(2))
    assert names(checkpoints) == ["step-00000001.pt"]
    assert checkpoints.load()["step"] == 1


def test_what_is_kept_to_be_looked_at_is_not_resumed_from(checkpoints):
    path = checkpoints.keep("not-finite-00000003", state(3))
    assert read(path)["state"]["step"] == 3
    assert checkpoints.load() is None


def test_reading_runs_nothing_that_a_file_may_hold(checkpoints, tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    path = checkpoints.keep("evil", {"payload": Evil()})
    with pytest.raises(Exception, match=r"(?i)weights.only"):
        read(path)
    assert not (tmp_path / "ran").exists()


def test_half_written_files_of_a_killed_process_are_cleared_away(checkpoints):
    checkpoints.save(1, state(1))
    (checkpoints.folder / ".123-step-00000002.pt").write_bytes(b"half")
    with checkpoints.held():
        assert names(checkpoints) == ["lock", "step-00000001.pt"]


def test_two_processes_cannot_train_the_same_run(checkpoints):
    with checkpoints.held():
        with pytest.raises(LasslError, match=rf"process {os.getpid()} is training this run"):
            with Checkpoints(checkpoints.folder, TRAINING).held():
                pass
    with checkpoints.held():
        checkpoints.remove()
    assert not checkpoints.folder.exists()


def test_only_what_checkpoints_wrote_is_removed_with_them(checkpoints):
    for name in ("notes.txt", ".hidden"):
        checkpoints.folder.mkdir(exist_ok=True)
        (checkpoints.folder / name).write_text("mine")
    with checkpoints.held():
        checkpoints.save(1, state(1))
        checkpoints.keep("not-finite-00000003", state(3))
        checkpoints.remove()
    assert names(checkpoints) == [".hidden", "notes.txt"]
