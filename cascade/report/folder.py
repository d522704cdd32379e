"""The report's folder: written aside, and renamed into place only when it is whole."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cascade.errors import FormatError

PAGE = "report.html"
PICTURE = ".png"


def check_out(out: Path, *, overwrite: bool) -> None:
    """Refuse a folder that may not be replaced: any without --overwrite, and one that holds other things."""
    parent = next(folder for folder in out.absolute().parents if os.path.lexists(folder))
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise FormatError(f"--out {out} cannot be made: {parent} is no folder that can be written to")
    if not os.path.lexists(out):
        return
    if not overwrite:
        raise FormatError(f"--out {out} is there; --overwrite replaces it")
    if out.is_symlink() or not out.is_dir() or not _is_report(out):
        raise FormatError(f"--out {out} is not a report, so --overwrite does not replace it")


def _is_report(out: Path) -> bool:
    """An empty folder may become one."""
    names = [file.name for file in out.iterdir()]
    return not names or (PAGE in names and all(n == PAGE or n.endswith(PICTURE) for n in names))


def write_folder(out: Path, files: Mapping[str, bytes], *, overwrite: bool) -> None:
    """All files or, after an error, none."""
    out.parent.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=".partial"))
    try:
        aside = home / "new"
        aside.mkdir()
        for name, content in files.items():
            (aside / name).write_bytes(content)
        check_out(out, overwrite=overwrite)
        _put(aside, out, home / "old")
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _put(aside: Path, out: Path, old: Path) -> None:
    if not os.path.lexists(out):
        aside.rename(out)
        return
    out.rename(old)
    try:
        aside.rename(out)
    except BaseException:
        old.rename(out)
        raise
