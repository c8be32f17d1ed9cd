"""Files and folders that are either whole or absent."""

import errno
from pathlib import Path

import pytest

from lassl.plumbing import files
from lassl.plumbing.errors import LasslError
from lassl.plumbing.files import check_free, holds, holds_only, linked_away, read_text, whole, whole_folder, write_text


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
    with whole_folder(path, holds("stale")) as temporary:
        (temporary / "fresh").write_text("new")
        assert names(path) == ["stale"]
    assert names(path) == ["fresh"]
    assert names(tmp_path) == ["fresh", "made", "masks"]


def test_a_failed_folder_leaves_the_old_one_and_nothing_else(tmp_path):
    path = tmp_path / "masks"
    path.mkdir()
    (path / "stale").write_text("old")
    with pytest.raises(KeyboardInterrupt), whole_folder(path, holds("stale")) as temporary:
        (temporary / "fresh").write_text("half")
        raise KeyboardInterrupt
    assert names(tmp_path) == ["masks", "stale"]
    assert (path / "stale").read_text() == "old"


def test_what_a_killed_process_left_does_not_get_into_a_folder(tmp_path):
    with whole_folder(tmp_path / "masks") as temporary:
        name = temporary.name
    (tmp_path / name).mkdir()
    (tmp_path / name / "left over").write_text("half")
    with whole_folder(tmp_path / "masks") as temporary:  # which is empty
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
        pytest.raises(LasslError, match=r"scan\.nrrd: no space left on the disk; free some"),
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


@pytest.mark.parametrize("ours", [holds("manifest.json"), holds_only("*.tsv"), lambda folder: False])
def test_a_folder_of_somebody_else_is_never_replaced(tmp_path, ours):
    path = tmp_path / "scans"
    path.mkdir()
    (path / "notes.txt").write_text("years of work")
    with pytest.raises(LasslError, match="scans: found a folder that lassl did not write"), whole_folder(path, ours):
        pytest.fail("nothing is made that cannot be put in its place")
    assert names(tmp_path) == ["notes.txt", "scans"]


def test_neither_a_link_nor_a_file_is_replaced_by_a_folder(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/manifest.json").write_text("{}")
    (tmp_path / "link").symlink_to("elsewhere")
    (tmp_path / "file").write_text("a")
    for name in ("link", "file"):
        with pytest.raises(LasslError, match=f"{name}: found a {name}"), whole_folder(tmp_path / name, holds("file")):
            pytest.fail("nothing is made that cannot be put in its place")
    assert names(tmp_path) == ["elsewhere", "file", "link", "manifest.json"]


def test_a_folder_is_ours_by_a_file_that_is_always_in_it_or_by_the_kind_of_all_its_files(tmp_path):
    (tmp_path / "loss.tsv").write_text("1")
    assert holds("loss.tsv")(tmp_path) and holds_only("*.tsv")(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    assert holds("loss.tsv")(tmp_path) and not holds("other.tsv")(tmp_path) and not holds_only("*.tsv")(tmp_path)


def test_a_file_that_is_there_stays_unless_it_may_be_overwritten_and_a_folder_always(tmp_path):
    path = tmp_path / "model.pt"
    check_free([path], overwrite=False)
    path.write_text("trained for days")
    with pytest.raises(LasslError, match=r"model\.pt: exists already; .* or use --overwrite to replace it"):
        check_free([tmp_path / "other.pt", path], overwrite=False)
    check_free([path], overwrite=True)
    with pytest.raises(LasslError, match="found a folder, expected a file or nothing"):
        check_free([tmp_path], overwrite=True)


def test_a_link_that_leads_outputs_out_of_the_project_is_told_once_with_the_cure(tmp_path):
    root = tmp_path / "project"
    for folder in (root / "inside", tmp_path / "large"):
        folder.mkdir(parents=True)
    (root / "models").symlink_to(tmp_path / "large")
    (root / "curves").symlink_to("inside")  # which DVC takes
    paths = [Path("models/tiny/a.pt"), Path("models/tiny/b.pt"), Path("curves/tiny/a"), Path("predictions/tiny/a")]
    (line,) = linked_away(paths, root)
    assert line.startswith(f"models: found a link to {tmp_path / 'large'}")
    assert "`dvc cache dir --local FOLDER`" in line and "`dvc config --local cache.type symlink`" in line
