"""A run's folder: where it is made, begun anew or gone on with, and how it takes its place when it is whole.

An unfinished run lies beside its place, in `NAME.partial`. It appears there with its description and splits,
or not at all, so that several processes may set out to make it; it moves to `NAME` with its last member. An
old run is deleted only when the new one is in its place.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from training.config import OutputConfig
from training.errors import ConfigError, OutputError

MANIFEST = "run.json"


def check_place(output: OutputConfig) -> None:
    """ConfigError unless the run may be made as things stand."""
    out, partial = output.out, output.partial
    if out.exists() and not output.overwrite and not (output.joins and (partial.exists() or is_run(out))):
        raise ConfigError(f"out {out} exists already: choose another or add --overwrite")
    # Replacing means deleting, so only what is plainly ours may be replaced.
    for folder in (out, partial):
        if folder.exists() and output.overwrite and not is_run(folder):
            raise ConfigError(f"out {folder} holds no {MANIFEST}, so --overwrite will not replace it")
    if partial.exists() and not output.joins and not output.overwrite:
        raise ConfigError(
            f"{partial} holds an unfinished run: --resume goes on with it, --overwrite begins anew"
        )
    if out.exists() and not output.overwrite and partial.exists():
        raise ConfigError(
            f"out {out} exists already: --resume --overwrite goes on with {partial} and then replaces it"
        )
    if output.resume and not partial.exists() and not is_run(out):
        raise ConfigError(f"there is no unfinished run {partial} to resume")


def is_run(folder: Path) -> bool:
    return (folder / MANIFEST).is_file()


def discard_unfinished(output: OutputConfig) -> None:
    if output.overwrite and not output.resume and output.partial.exists():
        _delete(output.partial)


@contextmanager
def prepared(partial: Path) -> Iterator[Path]:
    """A folder that becomes `partial` on success, unless another process was quicker."""
    partial.parent.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(dir=partial.parent, prefix=f".{partial.name}."))
    new = place / "new"
    try:
        new.mkdir()
        yield new
        # Fails where there is a folder with anything in it already: somebody else's run, which we join.
        with suppress(OSError):
            new.rename(partial)
        if not is_run(partial):
            raise OutputError(f"{partial} could not be made")
    finally:
        shutil.rmtree(place, ignore_errors=True)


def publish(output: OutputConfig) -> None:
    """Puts the whole run in its place. The last of several processes does; the others find it done."""
    out, partial = output.out, output.partial
    if not out.exists():
        with suppress(FileNotFoundError):
            partial.rename(out)
        return
    if not partial.exists():
        return
    if not output.overwrite:
        raise OutputError(f"{out} was taken meanwhile; the new run is kept in {partial}")
    if not is_run(out):
        raise OutputError(f"{out} came to hold no {MANIFEST} meanwhile; the new run is kept in {partial}")
    _swap(partial, out)


def _swap(new: Path, out: Path) -> None:
    place = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.old."))
    old = place / "old"
    try:
        out.rename(old)
        new.rename(out)
    except BaseException:
        if old.exists():
            _put_back(old, out)
        raise
    finally:
        # Not empty where an old run could not be put back: it stays.
        with suppress(OSError):
            place.rmdir()
    shutil.rmtree(place, ignore_errors=True)


def _put_back(old: Path, out: Path) -> None:
    try:
        old.rename(out)
    except OSError as error:
        raise OutputError(f"{out} was taken meanwhile; the run that was there is kept in {old}") from error


def _delete(folder: Path) -> None:
    """Out of the way at once, whatever the deletion then takes or is broken off at."""
    place = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.old."))
    folder.rename(place / "old")
    shutil.rmtree(place, ignore_errors=True)
