"""Staging beside a repository, and moving in what was staged: all of it, or nothing."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from filecmp import cmp
from pathlib import Path

from cascade.cascade_file import SUFFIX


@dataclass(frozen=True)
class Staging:
    """`new` mirrors what the repository is to get; `old` keeps what is being replaced."""

    folder: Path

    @property
    def new(self) -> Path:
        return self.folder / "new"

    @property
    def old(self) -> Path:
        return self.folder / "old"


@contextmanager
def staging_beside(repository: Path) -> Iterator[Staging]:
    """On the repository's file system, so that a rename moves in; gone afterwards, whatever happened."""
    place = repository.resolve()
    staging = Staging(Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}.", suffix=".staging")))
    try:
        staging.new.mkdir()
        staging.old.mkdir()
        yield staging
    finally:
        shutil.rmtree(staging.folder, ignore_errors=True)


def publish(staging: Staging, repository: Path) -> None:
    """Models first, the cascade's file last: a reader of the old cascade or the new one finds its members."""
    _sync(staging.new)
    with ExitStack() as undo:
        if not repository.exists():
            repository.mkdir()
            undo.callback(repository.rmdir)
        for model in sorted(path for path in staging.new.iterdir() if path.is_dir()):
            _move_model(model, repository / model.name, staging.old, undo)
        for file in sorted(staging.new.iterdir(), key=_is_cascade):
            _replace(file, repository / file.name, staging.old / file.name, undo)
        undo.pop_all()


def _is_cascade(file: Path) -> bool:
    return file.name.endswith(SUFFIX)


def _move_model(model: Path, target: Path, old: Path, undo: ExitStack) -> None:
    """A new model as a whole; of a known one the new version, and the configuration where it changed."""
    if not target.exists():
        _move(model, target, undo)
        return
    for path in sorted(model.iterdir()):
        if path.is_dir():
            _move(path, target / path.name, undo)
        elif not cmp(path, target / path.name, shallow=False):
            _replace(path, target / path.name, old / f"{model.name}.{path.name}", undo)
    shutil.rmtree(model)


def _move(folder: Path, target: Path, undo: ExitStack) -> None:
    folder.rename(target)
    undo.callback(shutil.rmtree, target)


def _replace(file: Path, target: Path, kept: Path, undo: ExitStack) -> None:
    if target.exists():
        shutil.copy2(target, kept)
        undo.callback(kept.replace, target)
    else:
        undo.callback(target.unlink, missing_ok=True)
    file.replace(target)


def _sync(folder: Path) -> None:
    """A rename must not reach the disk before what it renames."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
