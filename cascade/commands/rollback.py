"""`rollback`: a cascade as an earlier version of it was, as its next version."""

import argparse
from pathlib import Path

from cascade.cascade_file import read_cascade
from cascade.commands.files import naming
from cascade.versions import kept_versions, replace_cascade, rolled_back


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser("rollback", help="go back to an earlier version of a cascade")
    parser.set_defaults(command=run)
    parser.add_argument("cascade", type=Path, metavar="NAME.cascade.json")
    parser.add_argument("--version", type=int, metavar="N", help="default: the one before")
    parser.add_argument("--list", action="store_true", help="only say which versions were kept")


def run(options: argparse.Namespace) -> None:
    now = read_cascade(options.cascade)
    if options.list:
        kept = ", ".join(map(str, kept_versions(options.cascade))) or "none"
        print(f"{now.name} is at version {now.version}; kept: {kept}")
        return
    with naming(options.cascade):
        new = rolled_back(options.cascade, now, options.version)
    replace_cascade(options.cascade, now, new)
    wanted = now.version - 1 if options.version is None else options.version
    print(f"{now.name} is at version {new.version}, which is as version {wanted} was")
