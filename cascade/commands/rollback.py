"""`rollback`: a cascade as an earlier version of it was, as its next version."""

import argparse
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from cascade.cascade_file import Cascade, read_cascade
from cascade.commands.files import naming
from cascade.errors import FormatError
from cascade.versions import kept_file, kept_versions, read_kept, replace_cascade, rolled_back


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser("rollback", help="go back to an earlier version of a cascade")
    parser.set_defaults(command=run)
    parser.add_argument("cascade", type=Path, metavar="NAME.cascade.json")
    parser.add_argument("--version", type=int, metavar="N", help="default: the one before")
    parser.add_argument("--list", action="store_true", help="only list the versions that were kept")


def run(options: argparse.Namespace) -> None:
    now = _read(options.cascade)
    if options.list:
        for line in _listed(options.cascade, now):
            print(line)
        return
    wanted = now.version - 1 if options.version is None else options.version
    with naming(options.cascade):
        new = rolled_back(options.cascade, now, wanted)
    new = replace_cascade(options.cascade, now, new)
    print(f"{now.name} is at version {new.version}, which is as version {wanted} was")


def _read(path: Path) -> Cascade:
    """A file that is broken cannot be followed by a next version, but there may be one to put back."""
    try:
        return read_cascade(path)
    except FormatError as error:
        kept = kept_versions(path) if path.parent.is_dir() else []
        if not kept:
            raise
        newest = kept_file(path, kept[-1]).name
        raise FormatError(
            f"{error}; {newest}, the newest that was kept, can be copied to its place"
        ) from None


def _listed(path: Path, now: Cascade) -> Iterator[str]:
    """When each was replaced, and what it had."""
    for version in kept_versions(path):
        file = kept_file(path, version)
        replaced = datetime.fromtimestamp(file.stat().st_mtime).astimezone().isoformat(" ", "seconds")
        yield f"version {version}, until {replaced}: {_told(read_kept(path, version))}"
    yield f"version {now.version}, now: {_told(now)}"


def _told(cascade: Cascade) -> str:
    others = (name for name in cascade.policies if name != cascade.default_policy)
    gears = f"; gears {', '.join(cascade.gears)}" if cascade.gears else ""
    return f"policies {', '.join([f'{cascade.default_policy} (default)', *others])}{gears}"
