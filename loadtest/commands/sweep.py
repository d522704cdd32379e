"""`python -m loadtest sweep URL...`: every contender at every rate and difficulty."""

import argparse
from collections.abc import Sequence
from dataclasses import replace

from loadtest.bounds import MAX_REQUESTS, MAX_SECONDS, expect_within
from loadtest.commands.goal import add_goal, goal_of
from loadtest.commands.load import add_load, load_of
from loadtest.commands.parser import Parser, add_number
from loadtest.commands.session import add_report, session
from loadtest.commands.subject import add_subject, generation_of, subject_of
from loadtest.config import check_dialled
from loadtest.errors import ConfigError
from loadtest.report.sweep_table import print_sweep
from loadtest.report.table import results_console
from loadtest.studies.probing import SweepConfig, run_sweep
from loadtest.traffic.rate import constant_rate

PROBE_S = 5.0


def run(arguments: Sequence[str]) -> int:
    options = make_parser().parse_intermixed_args(arguments)
    config = config_of(options)
    with session(options, ["sweep", *arguments]) as running:
        surface = running.measure(lambda progress, raw: run_sweep(config, progress, raw))
        from loadtest.report.sweep_page import write_sweep

        write_sweep(running.folder, surface, config.goal, running.around)
    print_sweep(results_console(), surface, config.goal)
    print(f"report: {options.out / 'report.html'}")
    return 0


def config_of(options: argparse.Namespace) -> SweepConfig:
    rates = _numbers("--rates", options.rates, MAX_REQUESTS, above=0.0)
    shares = (None,) if options.hard_shares is None else _numbers("--hard-shares", options.hard_shares, 1.0)
    expect_within("--probe-seconds", options.probe_seconds, MAX_SECONDS)
    if options.hard_share is not None:
        raise ConfigError("--hard-share: a sweep is told --hard-shares")
    load = load_of(options, constant_rate(max(rates)), options.probe_seconds)
    # Refused here rather than in the middle of a sweep.
    replace(load, rate=constant_rate(min(rates)))
    subject = subject_of(options)
    check_dialled(subject, is_dialled=load.is_dialled or options.hard_shares is not None)
    return SweepConfig(
        subject=subject,
        load=load,
        goal=goal_of(options),
        rates=rates,
        hard_shares=shares,
        generation=generation_of(options),
    )


def _numbers(name: str, text: str, most: float, above: float = -1e-9) -> tuple[float, ...]:
    """In order, each once."""
    try:
        numbers = sorted({float(part) for part in text.split(",")})
    except ValueError:
        numbers = []
    if not numbers or not (above < numbers[0] and numbers[-1] <= most):
        raise ConfigError(f"{name} {text!r} is no list of numbers up to {most:g}")
    return tuple(numbers)


def make_parser() -> Parser:
    parser = Parser(
        prog="python -m loadtest sweep",
        description="Every contender at every rate and difficulty: surfaces, and how quality gives way as "
        "the load grows.",
        allow_abbrev=False,
    )
    add_subject(parser)
    group = parser.add_argument_group("sweep")
    group.add_argument("--rates", required=True, metavar="R,R,...", help="requests per second")
    group.add_argument("--hard-shares", metavar="S,S,...", help="shares of hard rows (default: as they come)")
    add_goal(group)
    add_number(group, "--probe-seconds", PROBE_S, "seconds of each probe")
    add_load(parser.add_argument_group("load"))
    add_report(parser.add_argument_group("report"))
    return parser
