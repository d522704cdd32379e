"""The report's folder: made aside, and renamed into place only when it is whole."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loadtest.errors import ConfigError

SUMMARY = "summary.json"


def check_out(out: Path, *, overwrite: bool) -> None:
    """Refuse a folder that may not be replaced: any without --overwrite, and one that is no report."""
    if not out.exists() and not out.is_symlink():
        return
    if not overwrite:
        raise ConfigError(f"--out {out} exists; --overwrite replaces it")
    if out.is_symlink() or not out.is_dir() or (any(out.iterdir()) and not (out / SUMMARY).is_file()):
        raise ConfigError(f"--out {out} is not a report, so --overwrite does not replace it")


@contextmanager
def published(out: Path) -> Iterator[Path]:
    """Yields a folder beside `out`, which takes its place unless an error gets in between."""
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=".partial"))
    try:
        yield aside
        aside.chmod(0o755)
        _replace(out, aside)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _replace(out: Path, aside: Path) -> None:
    if not out.exists():
        aside.rename(out)
        return
    old = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=".old"))
    out.rename(old / out.name)
    aside.rename(out)
    shutil.rmtree(old)
