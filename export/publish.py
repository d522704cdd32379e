"""Staging beside a repository, and moving in what was staged.

The cascade's file comes last, after all that it names has reached the disk: whoever reads it, at any moment
and after a crash too, finds the old cascade or the new one. An error on the way puts everything back. After a
kill or a crash nobody does: it may leave versions that no cascade names, configurations and a scores file
newer than the cascade, and the staging folder beside the repository.
"""

import fcntl
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
    """On the repository's file system, so that a rename moves in; gone afterwards, after any error."""
    place = repository.resolve()
    staging = Staging(Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}.", suffix=".staging")))
    try:
        staging.new.mkdir()
        staging.old.mkdir()
        yield staging
    finally:
        shutil.rmtree(staging.folder, ignore_errors=True)


@contextmanager
def locked(repository: Path) -> Iterator[None]:
    """Alone among exports; waits for others. The lock's file stays, since others may wait for it."""
    place = repository.resolve()
    with (place.parent / f".{place.name}.lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def publish(staging: Staging, repository: Path) -> None:
    """Models first, the cascade's file last. Call it `locked`."""
    for path in (staging.new, *staging.new.rglob("*")):
        _sync(path)
    with ExitStack() as undo:
        if not repository.exists():
            repository.mkdir()
            undo.callback(repository.rmdir)
            _sync(repository.resolve().parent)
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
    _sync(target.parent)


def _replace(file: Path, target: Path, kept: Path, undo: ExitStack) -> None:
    if target.exists():
        shutil.copy2(target, kept)
        undo.callback(kept.replace, target)
    else:
        undo.callback(target.unlink, missing_ok=True)
    file.replace(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    """A file's content, or a folder's entries, reach the disk before whatever is done next."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
