"""Versions of a cascade that were replaced: kept beside its file, so that one can go back.

`NAME.cascade.json` is what is served; `NAME.cascade.vN.json` is what it was as version N.
"""

import re
from dataclasses import replace
from pathlib import Path

from cascade.cascade_file import SUFFIX, Cascade, cascade_from_json, write_cascade
from cascade.errors import FormatError
from cascade.fields import read_json

MOST_KEPT = 20
"""The oldest go first."""


def kept_file(path: Path, version: int) -> Path:
    """Where a version of the cascade whose file is `path` is kept."""
    return path.with_name(f"{path.name.removesuffix(SUFFIX)}.cascade.v{version}.json")


def kept_versions(path: Path) -> list[int]:
    """From the oldest to the newest."""
    form = re.compile(re.escape(path.name.removesuffix(SUFFIX)) + r"\.cascade\.v([1-9][0-9]*)\.json")
    return sorted(int(found[1]) for file in path.parent.iterdir() if (found := form.fullmatch(file.name)))


def keep(path: Path, cascade: Cascade) -> None:
    """Beside `path`, from where it is about to be replaced."""
    write_cascade(kept_file(path, cascade.version), cascade)


def replace_cascade(path: Path, old: Cascade, new: Cascade) -> None:
    """Write a version in place of the one that is there, which is kept."""
    keep(path, old)
    write_cascade(path, new)
    for version in kept_versions(path)[:-MOST_KEPT]:
        kept_file(path, version).unlink(missing_ok=True)


def rolled_back(path: Path, now: Cascade, version: int | None = None) -> Cascade:
    """The next version of a cascade, which is as an earlier one was: by default as the one before this.

    FormatError where that one was not kept, or its file is bad.
    """
    wanted = now.version - 1 if version is None else version
    kept = kept_versions(path)
    if wanted not in kept:
        there = f"kept are {', '.join(map(str, kept))}" if kept else "none is"
        raise FormatError(f"version {wanted} of {now.name!r} was not kept; {there}")
    file = kept_file(path, wanted)
    old = cascade_from_json(read_json(file), file.name)
    if (old.name, old.version) != (now.name, wanted):
        raise FormatError(f"{file.name}: holds version {old.version} of {old.name!r}")
    return replace(old, version=now.version + 1)
