"""Files and folders that are either whole or absent."""

import errno

import pytest

from lassl.plumbing import files
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import read_text, whole, whole_folder, write_text


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


@pytest.mark.parametrize("make", [whole, whole_folder])
@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("file write failed: errno = 28, error message = 'No space left on device'"),
    ],
)
def test_a_full_disk_is_told_with_the_name_of_what_was_to_be_written(tmp_path, make, error):
    with (
        pytest.raises(LasslError, match=r"scan\.nrrd: no space left to write it; free some"),
        make(tmp_path / "scan.nrrd"),
    ):
        raise error
    assert names(tmp_path) == []


def test_a_full_disk_is_found_out_where_a_library_does_not_say_so(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_is_full", lambda folder: folder == tmp_path)
    with pytest.raises(LasslError, match="scan: no space left"), whole(tmp_path / "scan"):
        raise RuntimeError("failed to flush pending data")
    monkeypatch.undo()
    with pytest.raises(RuntimeError, match="pending"), whole(tmp_path / "scan"):
        raise RuntimeError("failed to flush pending data")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_text_is_read_with_and_without_a_byte_order_mark(tmp_path, encoding):
    (tmp_path / "text").write_text("Müller\n", encoding)
    assert read_text(tmp_path / "text") == "Müller\n"


@pytest.mark.parametrize(
    ("encoding", "found"), [("utf-16", "byte 0xff at position 0"), ("latin-1", "byte 0xfc at position 1")]
)
def test_a_text_in_another_encoding_is_named(tmp_path, encoding, found):
    (tmp_path / "text").write_text("Müller\n", encoding)
    with pytest.raises(LasslError, match=rf"text: found {found}, expected text in UTF-8; save it"):
        read_text(tmp_path / "text")
