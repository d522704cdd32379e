"""`gears`: the policies that a server shifts through, dearest first, when it cannot keep up."""

import argparse
from collections.abc import Iterator
from pathlib import Path

from cascade.cascade_file import Cascade, read_cascade
from cascade.commands.files import naming
from cascade.errors import FormatError
from cascade.versions import replace_cascade


def add(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = subparsers.add_parser("gears", help="order a cascade's policies as gears, or show them")
    parser.set_defaults(command=run)
    parser.add_argument("cascade", type=Path, metavar="NAME.cascade.json")
    parser.add_argument(
        "policies", nargs="*", metavar="POLICY", help="the default policy first, the cheapest last"
    )
    parser.add_argument("--none", action="store_true", help="take the gears away")


def run(options: argparse.Namespace) -> None:
    if options.none and options.policies:
        raise FormatError("--none takes no policies")
    cascade = read_cascade(options.cascade)
    if options.policies or options.none:
        before = cascade
        with naming(options.cascade):
            cascade = before.with_gears(options.policies)
        replace_cascade(options.cascade, before, cascade)
    for line in told(cascade):
        print(line)


def told(cascade: Cascade) -> Iterator[str]:
    if not cascade.gears:
        yield f"{cascade.name} has no gears: it is served with {cascade.default_policy!r} whatever the load"
    for number, name in enumerate(cascade.gears):
        cost = cascade.policies[name].known_cost
        yield f"gear {number}: {name}" + ("" if cost is None else f", {cost:.3g}x stage 1")
