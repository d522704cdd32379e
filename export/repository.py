"""What a model repository holds already, and what may be added to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cascade.cascade_file import MODEL_FILES, SUFFIX, Cascade, read_cascade
from cascade.inside import inside
from export.errors import RepositoryError
from export.journal import file_digest
from export.signature import MemberSignature
from export.triton.config import check_same_signature

CONFIG = "config.pbtxt"
SCORES_SUFFIX = ".scores.npz"


@dataclass(frozen=True)
class Repository:
    """A folder of model folders and plain files, which need not exist yet."""

    folder: Path

    def cascade(self, name: str) -> Cascade | None:
        """The cascade published under `name`; FormatError where its file is broken."""
        path = self.folder / (name + SUFFIX)
        return read_cascade(path) if path.exists() else None

    def newest_version(self, member: str) -> int:
        """0 where there is none."""
        return max(self.versions(member), default=0)

    def versions(self, member: str) -> tuple[int, ...]:
        names = (path.name for path in (self.folder / member).glob("*") if path.is_dir())
        return tuple(int(name) for name in names if name.isascii() and name.isdecimal())

    def place(self, member: str, digest: str, script: Path | None = None) -> tuple[int, bool]:
        """The version for a file of this sha256 with this script beside it, and whether it is new."""
        newest = self.newest_version(member)
        folder = self.folder / member / str(newest)
        models = [folder / name for name in MODEL_FILES.values() if (folder / name).is_file()]
        if not any(file_digest(path) == digest for path in models):
            return newest + 1, True
        is_same = script is None or _has_same(folder, script)
        return (newest, False) if is_same else (newest + 1, True)

    def check_can_hold(self, name: str, members: Mapping[str, MemberSignature], backend: str) -> None:
        """RepositoryError names what is in the way, FormatError a link that leads out."""
        self._check_folder()
        for entry in (name + SUFFIX, name + SCORES_SUFFIX, *members):
            inside(self.folder, entry)
        for taken in (self.folder / name, *(self.folder / (member + SUFFIX) for member in members)):
            if taken.exists():
                raise RepositoryError(f"{taken} is there: a cascade and a member may not share a name")
        for member, signature in members.items():
            if (self.folder / member).exists():
                check_same_signature(inside(self.folder, f"{member}/{CONFIG}"), signature, backend)

    def _check_folder(self) -> None:
        parent = self.folder.resolve().parent
        if not parent.is_dir():
            raise RepositoryError(f"{self.folder}: {parent} is no folder")
        if not self.folder.exists():
            return
        if not self.folder.is_dir():
            raise RepositoryError(f"{self.folder} is no folder")
        # New files are made beside the repository, since Triton fails on any folder in it that is no
        # model, and moved in by renaming.
        if self.folder.stat().st_dev != parent.stat().st_dev:
            raise RepositoryError(f"{self.folder} is a file system of its own; name a folder inside it")


def _has_same(folder: Path, file: Path) -> bool:
    path = folder / file.name
    return path.is_file() and path.read_bytes() == file.read_bytes()


def cascade_files(folder: Path) -> list[Path]:
    """RepositoryError where there is none."""
    if not folder.is_dir():
        raise RepositoryError(f"{folder}: no such folder")
    files = sorted(folder.glob(f"*{SUFFIX}"))
    if not files:
        raise RepositoryError(f"{folder}: holds no *{SUFFIX}")
    return files
