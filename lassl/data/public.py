"""Public cohorts that lassl downloads: where their files are, and what they must contain."""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lassl.paths import raw_folder
from lassl.plumbing.errors import LasslError, note
from lassl.plumbing.files import whole_folder

Source = tuple[str, str]  # a git repository, and the folder in it


@dataclass(frozen=True)
class Public:
    """A public cohort: its name, where it can be copied from, and under which conditions.

    `published_as` gives the path in a source's folder of a file of ours.
    """

    cohort: str
    layout: str  # its name in lassl/data/raw.py
    sources: tuple[Source, ...]
    terms: str = ""
    published_as: Callable[[str], str] = str

    @property
    def folder(self) -> Path:
        """The folder of its raw scans."""
        return raw_folder(self.cohort)

    @property
    def hashes(self) -> Path:
        """The list of its files with their sha256."""
        return Path("splits") / f"{self.cohort}.sha256"


def _brain(name: str) -> str:
    """The published name of a brain's file: the image without skull, or the label with 139 values."""
    case, file = name.split("/")
    return f"{case}_{'SS' if file == 'image.nii.gz' else 'glm'}.nii.gz"


LA2018 = Public(  # the 100 scans of the challenge in the field's shared h5 layout
    "la2018",
    "h5",
    (
        ("https://github.com/yulequan/UA-MT", "data/2018LA_Seg_Training Set"),  # by the authors of UA-MT
        ("https://github.com/AiEson/CrossMatch", "LA/data/2018LA_Seg_Training Set"),  # the same files again
    ),
)
BRAINS = Public(  # 35 T1 scans of 30 patients with labels of 139 structures (MICCAI 2012 multi-atlas labeling)
    "brains",
    "own",
    (("https://github.com/muschellij2/malf.templates", "inst/extdata"),),
    "license CC BY-NC 3.0: credit the OASIS project and Neuromorphometrics, Inc.; no commercial use",
    _brain,
)
PUBLIC = {public.cohort: public for public in (LA2018, BRAINS)}
NAMED = 5  # how many wrong files of a source an error names


def hashes(path: Path) -> dict[str, str]:
    """Read a list written by `sha256sum`: path -> sha256. Raises LasslError if the file has another format."""
    if not path.is_file():
        raise LasslError(f"{path}: not found; restore it with `git checkout {path}`")
    digests = {}
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        match = re.fullmatch(r"([0-9a-f]{64}) [ *](.+)", line)
        if not match:
            raise LasslError(f"{path}: line {number}: expected sha256 and path; restore it with `git checkout {path}`")
        digests[match[2]] = match[1]
    return digests


def absent(folder: Path, expected: Mapping[str, str]) -> list[str]:
    """Give a line for each expected file that is missing in the folder."""
    return [f"{folder / name}: not found" for name in expected if not (folder / name).is_file()]


def unlike(folder: Path, expected: Mapping[str, str]) -> list[str]:
    """Give a line for each existing file whose sha256 differs from the expected one."""
    digests = {name: sha256(folder / name) for name in expected if (folder / name).is_file()}
    return [
        f"{folder / name}: found sha256 {digest[:12]}..., expected {expected[name][:12]}..."
        for name, digest in digests.items()
        if digest != expected[name]
    ]


def sha256(path: Path) -> str:
    """The sha256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def bring(public: Public, expected: Mapping[str, str], sources: Sequence[Source]) -> None:
    """Copy the expected files from the first source that has all of them; the folder is whole or absent.

    Raises LasslError if the folder exists, or if no source has all files; the error says what is wrong with each.
    """
    folder = public.folder
    if folder.exists() or folder.is_symlink():
        raise LasslError(f"{folder}: exists already; remove it to download the scans again")
    problems: list[str] = []
    for repository, path in sources:
        if problems:
            note(f"note: {problems[-1]}; trying another source")
        note(f"{repository}: downloading '{path}'")
        try:
            take(public, expected, repository, path)
            return
        except LasslError as error:
            problems.append(str(error))
    cure = f"try again later, or use another copy: lassl download {public.cohort} REPOSITORY FOLDER"
    raise LasslError("\n".join([*problems, f"{folder}: download failed, no source has all expected files; {cure}"]))


def take(public: Public, expected: Mapping[str, str], repository: str, path: str) -> None:
    """Copy only the expected files from a folder (`path`) of one git repository.

    Raises LasslError, without writing anything, if the folder cannot be copied or lacks one of them.
    """
    folder, theirs = public.folder, public.published_as
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{public.cohort}-", dir=folder.parent) as temporary:
        copy = Path(temporary) / "copy"
        get(repository, path, copy)
        named = {theirs(name): digest for name, digest in expected.items()}
        wrong = [line.removeprefix(f"{copy}/") for line in absent(copy, named) + unlike(copy, named)]
        if wrong:
            told = "; ".join(wrong[:NAMED]) + "; ..." * (len(wrong) > NAMED)
            raise LasslError(f"{repository}: {len(wrong)} of {len(expected)} files are missing or differ: {told}")
        with whole_folder(folder) as whole:
            for name in expected:
                (whole / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.move(copy / theirs(name), whole / name)


def get(repository: str, path: str, target: Path) -> None:
    """Copy a folder (`path`) of a git repository to `target`, as `dvc get` does. Raises LasslError if it cannot."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from scmrepo.exceptions import SCMError

    try:
        Repo.get(repository, path, out=str(target))
    except FileNotFoundError:
        raise LasslError(f"{repository}: it has no folder '{path}'") from None
    except (DvcException, SCMError, OSError) as error:
        first: BaseException = error
        while first.__cause__:
            first = first.__cause__
        reason = " ".join(str(first).split())[:200]
        raise LasslError(f"{repository}: cannot be copied ({type(first).__name__}: {reason})") from None
