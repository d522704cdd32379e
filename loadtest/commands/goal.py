"""Arguments of the goal that a rate must reach."""

import argparse
import re
from collections.abc import Collection

from loadtest.commands.parser import add_number
from loadtest.errors import ConfigError
from loadtest.figures.probe import Goal

DEFAULT = Goal()
PERCENTILES = ("p50", "p90", "p99", "max")
OBJECTIVE = re.compile(r"(\w+)<([0-9]+(?:\.[0-9]+)?)(ms|s)")
MILLISECONDS = {"ms": 1.0, "s": 1e3}


def add_goal(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--objective",
        default=f"{DEFAULT.percentile}<{DEFAULT.latency_ms:g}ms",
        metavar="'p99<50ms'",
        help="latency that must hold (default %(default)s)",
    )
    add_number(
        group,
        "--goodput",
        DEFAULT.share,
        "share of the rows right without load that must be right, in time and not degraded under it",
    )


def goal_of(options: argparse.Namespace) -> Goal:
    percentile, latency_ms = percentile_of(options.objective)
    if not 0 < options.goodput <= 1:
        raise ConfigError(f"--goodput {options.goodput:g} is not above 0 and at most 1")
    return Goal(percentile=percentile, latency_ms=latency_ms, share=options.goodput)


def percentile_of(text: str, known: Collection[str] = PERCENTILES) -> tuple[str, float]:
    """`p99<50ms` as a name and milliseconds."""
    found = OBJECTIVE.fullmatch(text.strip())
    if found is None or found[1] not in known or float(found[2]) == 0:
        raise ConfigError(f"--objective {text!r} is not like p99<50ms; there are: {', '.join(known)}")
    return found[1], float(found[2]) * MILLISECONDS[found[3]]
