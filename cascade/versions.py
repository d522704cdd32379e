"""Versions of a cascade that were replaced: kept beside its file, so that one can go back.

`NAME.cascade.json` is what is served; `NAME.cascade.vN.json` is what it was as version N.
"""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from cascade.cascade_file import SUFFIX, Cascade, cascade_from_json, read_cascade, write_cascade
from cascade.errors import FormatError
from cascade.fields import read_json

MOST_KEPT = 20
"""The oldest go first."""


class NotKept(FormatError):
    """No such version lies beside the cascade's file."""


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


@contextmanager
def sole_writer(repository: Path) -> Iterator[None]:
    """Alone among those who replace cascades in this folder; waits for others."""
    descriptor = os.open(repository, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def as_next(path: Path, new: Cascade) -> Cascade:
    """With a number above all that were given out; a file that was put back by hand may have a lower one."""
    return replace(new, version=max([new.version, *(version + 1 for version in kept_versions(path))]))


def replace_cascade(path: Path, old: Cascade, new: Cascade) -> Cascade:
    """Write `new`, numbered `as_next`, in place of `old`, which is kept; give what was written. FormatError
    where something else is there by now."""
    with sole_writer(path.parent):
        if read_cascade(path) != old:
            raise FormatError(f"{path} was changed by others meanwhile: ask again")
        keep(path, old)
        new = as_next(path, new)
        write_cascade(path, new)
        prune(path)
    return new


def prune(path: Path) -> None:
    """Let go of the oldest versions."""
    for version in kept_versions(path)[:-MOST_KEPT]:
        with suppress(OSError):  # it is not in the way
            kept_file(path, version).unlink(missing_ok=True)


def rolled_back(path: Path, now: Cascade, version: int) -> Cascade:
    """The next version of a cascade, which is as an earlier one was. NotKept where that is not there,
    FormatError where its file is bad."""
    kept = kept_versions(path)
    if version not in kept:
        there = f"kept are {', '.join(map(str, kept))}" if kept else "none is"
        raise NotKept(f"version {version} of {now.name!r} was not kept; {there}")
    return replace(read_kept(path, version), version=now.version + 1)


def read_kept(path: Path, version: int) -> Cascade:
    """FormatError where the file is bad, or holds something else."""
    file, name = kept_file(path, version), path.name.removesuffix(SUFFIX)
    old = cascade_from_json(read_json(file), file.name)
    if (old.name, old.version) != (name, version):
        raise FormatError(f"{file.name}: holds version {old.version} of {old.name!r}")
    return old
