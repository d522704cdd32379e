"""The report's folder: made aside before any load, and renamed into place only when it is whole."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loadtest.errors import ConfigError

SUMMARY = "summary.json"
Identity = tuple[int, int] | None


@contextmanager
def published(out: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yields a folder beside `out`, which takes its place unless an error gets in between.

    ConfigError at once where `out` may not be replaced or can't be written. After an error, files that the
    folder already holds are kept beside `out`, and a note on the error says where.
    """
    check_out(out, overwrite=overwrite)
    before = _identity(out)
    aside = _made_aside(out)
    try:
        yield aside
        aside.chmod(0o755)
        _replace(out, aside, before)
    except BaseException as error:
        _keep(out, aside, error)
        raise


def check_out(out: Path, *, overwrite: bool) -> None:
    """Refuse a folder that may not be replaced: any without --overwrite, and one that is no report."""
    if not os.path.lexists(out):
        return
    if not overwrite:
        raise ConfigError(f"--out {out} exists; --overwrite replaces it")
    if out.is_symlink() or not out.is_dir() or (any(out.iterdir()) and not (out / SUMMARY).is_file()):
        raise ConfigError(f"--out {out} is not a report, so --overwrite does not replace it")


def _made_aside(out: Path) -> Path:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=".partial"))
    except OSError as error:
        raise ConfigError(f"--out {out} can't be written ({error})") from None


def _identity(out: Path) -> Identity:
    """What is at `out` now; None where nothing is."""
    if not os.path.lexists(out):
        return None
    status = out.lstat()
    return status.st_dev, status.st_ino


def _replace(out: Path, aside: Path, before: Identity) -> None:
    if _identity(out) != before:
        raise ConfigError(f"--out {out} was made or replaced by another while the load test ran")
    if before is None:
        aside.rename(out)
        return
    home = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=".old"))
    old = home / out.name
    out.rename(old)
    try:
        aside.rename(out)
    except BaseException as error:
        _put_back(old, out, error)
        raise
    shutil.rmtree(home, ignore_errors=True)


def _put_back(old: Path, out: Path, error: BaseException) -> None:
    try:
        old.rename(out)
        old.parent.rmdir()
    except OSError:
        error.add_note(f"the report that was to be replaced is in {old}")


def _keep(out: Path, aside: Path, error: BaseException) -> None:
    if not any(aside.iterdir()):
        aside.rmdir()
        return
    kept = next(path for path in _names_to_keep(out) if not os.path.lexists(path))
    try:
        aside.rename(kept)
        kept.chmod(0o755)
    except OSError:
        kept = aside
    error.add_note(f"what was measured so far is in {kept}")


def _names_to_keep(out: Path) -> Iterator[Path]:
    yield out.parent / f"{out.name}.unfinished"
    number = 2
    while True:
        yield out.parent / f"{out.name}.unfinished-{number}"
        number += 1
