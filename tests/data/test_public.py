"""Public cohorts come whole from one of several repositories, or not at all, and are known by their hashes."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.project import ROOT, default_params
from lassl.cli import check_data
from lassl.data.public import BRAINS, LA2018, PUBLIC, bring, hashes, unlike
from lassl.data.split_file import read_split
from lassl.plumbing.errors import LasslError
from lassl.settings.config import Config

CONTENT = {"A/mri_norm2.h5": b"scan A", "B/mri_norm2.h5": b"scan B"}
FOLDER, HASHES = LA2018.folder, LA2018.hashes
EXPECTED = {name: hashlib.sha256(content).hexdigest() for name, content in CONTENT.items()}
DIGEST = {name: digest[:12] for name, digest in EXPECTED.items()}


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def put(folder: Path, content: dict[str, bytes]) -> Path:
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def repository(name: str, content: dict[str, bytes]) -> tuple[str, str]:
    """A git repository with a folder of scans, and the folder's path in it."""
    put(Path(name) / "data/a set", content)
    for words in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "scans"]):
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@example.org", *words], cwd=name, check=True)
    return str(Path(name).resolve()), "data/a set"


def brought() -> dict[str, bytes]:
    return {p.relative_to(FOLDER).as_posix(): p.read_bytes() for p in FOLDER.rglob("*") if p.is_file()}


def left() -> list[str]:
    """What is beside the folder of the scans: nothing may be left of a copy."""
    return [path.name for path in FOLDER.parent.glob("*")] if FOLDER.parent.is_dir() else []


def test_the_known_files_are_brought_and_no_others(capfd):
    bring(LA2018, EXPECTED, [repository("first", CONTENT | {"train.list": b"A", "A/desktop.ini": b""}), ("none", "x")])
    assert brought() == CONTENT and left() == ["la2018"]
    assert "note" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be copied (NotGitRepository: "),
        ({"elsewhere/x": b""}, "2 of 2 files are missing or differ: A/mri_norm2.h5: not found; B/mri_norm2.h5: not"),
        (
            CONTENT | {"B/mri_norm2.h5": b"scan"},
            "1 of 2 files are missing or differ: B/mri_norm2.h5: found sha256 "
            f"{hashlib.sha256(b'scan').hexdigest()[:12]}..., expected {DIGEST['B/mri_norm2.h5']}...",
        ),
    ],
    ids=["missing", "another folder", "damaged"],
)
def test_where_a_source_is_missing_or_damaged_the_next_one_is_asked(content, told, capfd):
    first = repository("first", content) if content else ("no-repository", "data/a set")
    bring(LA2018, EXPECTED, [first, repository("second", CONTENT)])
    assert brought() == CONTENT and left() == ["la2018"]
    (note,) = (line for line in capfd.readouterr().err.splitlines() if line.startswith("note: "))
    assert note.startswith(f"note: {first[0]}: {told}") and note.endswith("; trying another source")


def test_without_any_source_nothing_is_left_and_each_is_told():
    first, second = repository("first", {"A/mri_norm2.h5": b"scan A"}), ("no-repository", "data/a set")
    with pytest.raises(LasslError) as error:
        bring(LA2018, EXPECTED, [first, (first[0], "no set"), second])
    lines = str(error.value).splitlines()
    assert lines[0].endswith("first: 1 of 2 files are missing or differ: B/mri_norm2.h5: not found")
    assert lines[1].endswith("first: it has no folder 'no set'") and lines[2].startswith("no-repository: cannot be")
    assert lines[3].startswith("data/raw/la2018: download failed") and lines[3].endswith(
        "lassl download la2018 REPOSITORY FOLDER"
    )
    assert left() == []


def test_scans_that_are_there_stay():
    put(FOLDER, {"A/mri_norm2.h5": b"mine"})
    with pytest.raises(LasslError, match="data/raw/la2018: exists already; remove it to download"):
        bring(LA2018, EXPECTED, [("none", "x")])
    assert brought() == {"A/mri_norm2.h5": b"mine"}


@pytest.mark.parametrize(
    ("public", "files"), [(LA2018, ["mri_norm2.h5"]), (BRAINS, ["image.nii.gz", "label.nii.gz"])], ids=PUBLIC
)
def test_the_list_has_every_case_of_the_split_and_is_what_make_takes(public, files):
    split = read_split(ROOT / "splits" / f"{public.cohort}.csv")
    cases = (*split.train, *split.test)
    assert set(hashes(ROOT / public.hashes)) == {f"{case}/{file}" for case in cases for file in files}
    assert f"\t$(RUN) lassl download {public.cohort}\n" in (ROOT / "Makefile").read_text()


def test_two_scans_of_one_brain_are_on_one_side():
    split = read_split(ROOT / "splits/brains.csv")
    for pair in (("1003", "1023"), ("1004", "1024"), ("1005", "1025"), ("1018", "1038"), ("1019", "1039")):
        assert set(pair) <= set(split.train) and split.patients[pair[0]] == split.patients[pair[1]]
    assert len(set(split.patients.values())) == 30
    assert (len(split.train), len(split.test)) == (25, 10)


def test_files_get_our_names():
    theirs = {"1000_SS.nii.gz": b"image", "1000_glm.nii.gz": b"label", "1000.nii.gz": b"with skull"}
    ours = {"1000/image.nii.gz": b"image", "1000/label.nii.gz": b"label"}
    bring(BRAINS, {name: hashlib.sha256(data).hexdigest() for name, data in ours.items()}, [repository("git", theirs)])
    found = {p.relative_to(BRAINS.folder).as_posix(): p.read_bytes() for p in BRAINS.folder.rglob("*.nii.gz")}
    assert found == ours


def test_a_damaged_list_is_told_with_its_line():
    put(Path(), {"list": f"{'0' * 64}  A/x.h5\n0000 B\n".encode()})
    with pytest.raises(LasslError, match="list: line 2: expected sha256 and path; restore it with `git checkout list`"):
        hashes(Path("list"))
    with pytest.raises(LasslError, match="none: not found; restore it"):
        hashes(Path("none"))


def test_as_a_program_it_takes_another_copy():
    HASHES.parent.mkdir()
    HASHES.write_text("".join(f"{digest}  {name}\n" for name, digest in EXPECTED.items()))
    words = [sys.executable, "-m", "lassl.cli.main", "download", *repository("mine", CONTENT)]
    done = subprocess.run(words, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0 and brought() == CONTENT
    assert done.stderr.endswith("data/raw/la2018: 2 files, each with the expected sha256\n")


# what doctor says


def told(cohort: str = LA2018.cohort) -> list[str]:
    params = default_params()
    params["data"] |= {"cohort": cohort, "folder": str(FOLDER), "split": "splits/la2018.csv"}
    config = Config.model_validate(params | {"phantom": params["phantom"] | {"cohorts": []}})
    return [str(finding) for finding in check_data.known_scans(config, Path())]


def test_doctor_knows_the_scans_behind_the_committed_results_and_names_others():
    put(HASHES.parent, {HASHES.name: "".join(f"{digest}  {name}\n" for name, digest in EXPECTED.items()).encode()})
    assert told() == []  # that nothing is there is told by the check of the data
    put(FOLDER, CONTENT)
    assert told() == [f"ok       {FOLDER}: every file present matches {HASHES}"]
    put(FOLDER, {"A/mri_norm2.h5": b"mine"})
    found = hashlib.sha256(b"mine").hexdigest()[:12]
    assert told() == [
        f"warning  {FOLDER}/A/mri_norm2.h5: found sha256 {found}..., expected {DIGEST['A/mri_norm2.h5']}...; "
        "figures may differ; remove these files and run `make la2018`"
    ]
    assert told("kidney") == []


def test_doctor_names_five_wrong_files_and_counts_the_others():
    many = {f"{n}/mri_norm2.h5": b"" for n in range(7)}
    put(HASHES.parent, {HASHES.name: "".join(f"{'0' * 64}  {name}\n" for name in many).encode()})
    put(FOLDER, many)
    assert len(unlike(FOLDER, hashes(HASHES))) == 7
    assert len(told()) == 6 and f"{FOLDER}: 7 files in total differ from {HASHES}; figures may" in told()[-1]


def test_doctor_does_not_ask_for_hashes_of_scans_in_another_form():
    put(FOLDER, {"A/lgemri.nrrd": b"", "A/laendo.nrrd": b""})
    assert told() == []
