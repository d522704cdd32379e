"""Where a run is written before it takes its place."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from training.config import check_out
from training.errors import OutputError


@contextmanager
def staged(out: Path, *, overwrite: bool) -> Iterator[Path]:
    """A folder that becomes `out` on success, and is removed on any failure.

    An old run is deleted only when the new one is in its place; until then a failure puts it back. Raises
    ConfigError where `out` may not be replaced, also when it came to be so in the meantime.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=".partial"))
    new, old = place / "new", place / "old"
    try:
        new.mkdir()
        yield new
        check_out(out, overwrite=overwrite)
        _swap(new, out, old)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        # Not empty where an old run could not be put back: it stays.
        with suppress(OSError):
            place.rmdir()


def _swap(new: Path, out: Path, old: Path) -> None:
    try:
        if out.exists():
            out.rename(old)
        new.rename(out)
    except BaseException:
        if old.exists():
            _put_back(old, out)
        raise


def _put_back(old: Path, out: Path) -> None:
    try:
        old.rename(out)
    except OSError as error:
        raise OutputError(f"{out} was taken meanwhile; the run that was there is kept in {old}") from error
