"""`python -m loadtest search URL...`: the highest rate at which a goal holds, of each contender."""

import argparse
from collections.abc import Sequence
from dataclasses import replace

from loadtest.bounds import MAX_SECONDS, expect_within
from loadtest.commands.goal import add_goal, goal_of
from loadtest.commands.load import add_load, load_of
from loadtest.commands.parser import Parser, add_number, add_whole
from loadtest.commands.session import add_report, session
from loadtest.commands.subject import add_subject, generation_of, subject_of
from loadtest.config import check_dialled
from loadtest.errors import ConfigError
from loadtest.report.search_table import print_search
from loadtest.report.table import results_console
from loadtest.studies.probing import SearchConfig, run_search
from loadtest.studies.rate_search import SearchLimits
from loadtest.traffic.rate import constant_rate

DEFAULT = SearchLimits()
PROBE_S = 5.0
LEAST_REQUESTS = 50


def run(arguments: Sequence[str]) -> int:
    options = make_parser().parse_intermixed_args(arguments)
    config = config_of(options)
    with session(options, ["search", *arguments]) as running:
        found = running.measure(lambda progress, raw: run_search(config, progress, raw))
        from loadtest.report.search_page import write_search

        write_search(running.folder, found, config.goal, running.around)
    print_search(results_console(), found, config.goal)
    print(f"report: {options.out / 'report.html'}")
    return 0


def config_of(options: argparse.Namespace) -> SearchConfig:
    expect_within("--probe-seconds", options.probe_seconds, MAX_SECONDS)
    limits = SearchLimits(
        start=options.start_rate,
        least=_least(options),
        most=options.most_rate,
        precision=options.precision,
        confirmations=options.confirmations,
    )
    if not 0 < limits.least <= limits.start <= limits.most:
        raise ConfigError("--least-rate, --start-rate and --most-rate are not in this order, above 0")
    if not 0.001 <= limits.precision <= 1 or limits.confirmations < 0:
        raise ConfigError("--precision is not within 0.001 to 1, or --confirmations negative")
    load = load_of(options, constant_rate(limits.most), options.probe_seconds)
    # Refused here rather than in the middle of a search.
    replace(load, rate=constant_rate(limits.least))
    subject = subject_of(options)
    check_dialled(subject, is_dialled=load.is_dialled)
    return SearchConfig(
        subject=subject,
        load=load,
        goal=goal_of(options),
        limits=limits,
        generation=generation_of(options),
    )


def _least(options: argparse.Namespace) -> float:
    """A probe of a handful of requests tells no percentile."""
    if options.least_rate is not None:
        rate: float = options.least_rate
        return rate
    return min(float(options.start_rate), LEAST_REQUESTS / float(options.probe_seconds))


def make_parser() -> Parser:
    parser = Parser(
        prog="python -m loadtest search",
        description="The highest rate at which a goal holds: doubling, then bisection, then confirming runs.",
        allow_abbrev=False,
    )
    add_subject(parser)
    group = parser.add_argument_group("search")
    add_goal(group)
    add_number(group, "--start-rate", DEFAULT.start, "requests per second of the first probe")
    add_number(
        group, "--least-rate", None, "requests per second, where the search gives up (default: 50 a probe)"
    )
    add_number(group, "--most-rate", DEFAULT.most, "requests per second, above which it does not go")
    add_number(
        group, "--precision", DEFAULT.precision, "ratio, less 1, of the rates that fail and hold at the end"
    )
    add_whole(group, "--confirmations", DEFAULT.confirmations, "runs in which the rate found must hold again")
    add_number(group, "--probe-seconds", PROBE_S, "seconds of each probe")
    add_load(parser.add_argument_group("load"))
    add_report(parser.add_argument_group("report"))
    return parser
