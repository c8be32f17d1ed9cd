"""Files and folders that are either whole or absent."""

import pytest

from lassl.plumbing.files import whole, whole_folder, write_text


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_a_file_takes_its_name_when_the_block_ends(tmp_path):
    path = tmp_path / "made" / "model.pt"
    with whole(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
        assert temporary.suffix == ".pt"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["made", "model.pt"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "model.pt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), whole(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert names(tmp_path) == ["model.pt"]


def test_a_failed_first_write_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), whole(tmp_path / "model.pt") as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert names(tmp_path) == []


def test_a_failure_before_anything_is_written_is_told_as_it_is(tmp_path):
    with pytest.raises(ZeroDivisionError), whole(tmp_path / "model.pt"):
        raise ZeroDivisionError


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "made" / "masks"
    path.mkdir(parents=True)
    (path / "stale").write_text("old")
    with whole_folder(path) as temporary:
        (temporary / "fresh").write_text("new")
        assert names(path) == ["stale"]
    assert names(path) == ["fresh"]
    assert names(tmp_path) == ["fresh", "made", "masks"]


def test_a_failed_folder_leaves_the_old_one_and_nothing_else(tmp_path):
    path = tmp_path / "masks"
    path.mkdir()
    (path / "stale").write_text("old")
    with pytest.raises(KeyboardInterrupt), whole_folder(path) as temporary:
        (temporary / "fresh").write_text("half")
        raise KeyboardInterrupt
    assert names(tmp_path) == ["masks", "stale"]
    assert (path / "stale").read_text() == "old"


def test_what_a_killed_process_left_does_not_get_into_a_folder(tmp_path):
    with whole_folder(tmp_path / "masks") as temporary:
        name = temporary.name
    (tmp_path / name).mkdir()
    (tmp_path / name / "left over").write_text("half")
    with whole_folder(tmp_path / "masks") as temporary:
        (temporary / "fresh").write_text("new")
    assert names(tmp_path) == ["fresh", "masks"]


def test_a_text_is_written_over_the_old_one(tmp_path):
    path = tmp_path / "made" / "table.md"
    write_text(path, "old")
    write_text(path, "± new\n")
    assert path.read_text() == "± new\n"
    assert names(tmp_path) == ["made", "table.md"]
