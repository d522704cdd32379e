"""Staging beside a repository, and moving in what was staged.

The cascade's file comes last, after all that it names has reached the disk: whoever reads it, at any moment
and after a crash too, finds the old cascade or the new one. An error on the way puts everything back; what a
kill or a crash leaves is put back by the next export, from the journal in the staging folder.
"""

import fcntl
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from filecmp import cmp
from pathlib import Path

from cascade.cascade_file import SUFFIX
from cascade.inside import inside
from cascade.versions import sole_writer
from export.journal import Journal, has_journal, roll_back, sync

STAGING = ".staging"
HELD = "held"
"""A file in the staging folder that its export keeps locked: whoever can lock it knows the export is dead."""


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
    """On the repository's file system, so that a rename moves in; gone afterwards, after any error.

    Where not even putting back was possible it stays, for the next export to do it.
    """
    place = repository.resolve()
    # Under the lock, so that nobody takes it for a dead one's before it is held.
    with _lock(place):
        made = tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}.", suffix=STAGING)
        staging = Staging(Path(made))
        held = (staging.folder / HELD).open("ab")
        fcntl.flock(held, fcntl.LOCK_EX)
    with held:
        try:
            staging.new.mkdir()
            staging.old.mkdir()
            yield staging
        finally:
            if not has_journal(staging.folder):
                shutil.rmtree(staging.folder, ignore_errors=True)


@contextmanager
def locked(repository: Path) -> Iterator[None]:
    """Alone among those who change what is there; waits for others, and puts back what exports that are no
    more have left."""
    place = repository.resolve()
    with _lock(place), sole_writer(place) if place.is_dir() else nullcontext():
        for left in _left_behind(repository):
            _recover(left, repository)
        yield


@contextmanager
def _lock(place: Path) -> Iterator[None]:
    """The lock's file stays, since others may wait for it."""
    with (place.parent / f".{place.name}.lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def interrupted(repository: Path) -> list[Path]:
    """Staging folders of exports that were cut off while they published."""
    return [folder for folder in _left_behind(repository) if has_journal(folder)]


def recover_interrupted(repository: Path) -> None:
    """Before anything is planned on what the repository holds."""
    if interrupted(repository):
        with locked(repository):
            return


def _left_behind(repository: Path) -> list[Path]:
    place = repository.resolve()
    # As tempfile names them: `models.v2` has staging folders of its own beside those of `models`.
    name = re.compile(re.escape(f".{place.name}.") + "[a-z0-9_]{8}" + re.escape(STAGING))
    found = place.parent.iterdir() if place.parent.is_dir() else ()
    return [folder for folder in sorted(found) if name.fullmatch(folder.name) and _is_dead(folder)]


def _is_dead(folder: Path) -> bool:
    with suppress(FileNotFoundError), (folder / HELD).open("rb") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _recover(folder: Path, repository: Path) -> None:
    """Put back what an interrupted publication had changed; one that was complete stays."""
    # The cascade's file is moved in last: where it is no longer here, all was done.
    if any(Staging(folder).new.glob(f"*{SUFFIX}")):
        roll_back(folder, repository)
    shutil.rmtree(folder, ignore_errors=True)


def publish(staging: Staging, repository: Path) -> None:
    """Models first, the cascade's file last. Call it `locked`."""
    for path in (staging.new, *staging.new.rglob("*")):
        sync(path)
    journal = Journal(staging.folder, repository)
    try:
        if not repository.exists():
            journal.will_make(repository)
            repository.mkdir()
            sync(repository.resolve().parent)
        _check_targets(staging, repository)
        for model in sorted(path for path in staging.new.iterdir() if path.is_dir()):
            _move_model(model, repository / model.name, staging, journal)
        for file in sorted(staging.new.iterdir(), key=_is_cascade):
            _replace(file, repository / file.name, staging, journal)
        journal.close()
    except BaseException:
        roll_back(staging.folder, repository)
        raise


def _check_targets(staging: Staging, repository: Path) -> None:
    """FormatError where a link would have us write elsewhere."""
    for path in staging.new.rglob("*"):
        inside(repository, str(path.relative_to(staging.new).parent))


def _is_cascade(file: Path) -> bool:
    return file.name.endswith(SUFFIX)


def _move_model(model: Path, target: Path, staging: Staging, journal: Journal) -> None:
    """A new model as a whole; of a known one the new version, and of other files those that changed."""
    if not target.exists():
        _move(model, target, journal)
        return
    for path in sorted(model.iterdir()):
        if path.name.isdecimal():
            _move(path, target / path.name, journal)
        elif path.is_dir():
            _move_model(path, target / path.name, staging, journal)
        else:
            _replace(path, target / path.name, staging, journal)
    model.rmdir()


def _move(folder: Path, target: Path, journal: Journal) -> None:
    if target.exists():
        raise FileExistsError(f"{target} is there already")
    journal.will_make(target)
    folder.rename(target)
    sync(target.parent)


def _replace(file: Path, target: Path, staging: Staging, journal: Journal) -> None:
    if target.exists() and cmp(file, target, shallow=False) and not _is_cascade(file):
        file.unlink()
        return
    if target.exists():
        journal.will_replace(target, new=file, keep=staging.old)
    else:
        journal.will_make(target)
    file.replace(target)
    sync(target.parent)
