"""`python -m loadtest URL...`: contenders side by side, on one schedule and the same rows."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from loadtest.commands.load import add_blocks, add_load, add_rate, timed_load_of
from loadtest.commands.parser import Parser, add_number, add_whole
from loadtest.commands.session import add_report, session
from loadtest.commands.subject import add_subject, generation_of, subject_of
from loadtest.config import CapacityConfig, Config
from loadtest.errors import ConfigError
from loadtest.figures.assertions import Assertion, Verdict, judged, parse_assertion
from loadtest.figures.results import Results, compute_results
from loadtest.measure.campaign import run_campaign
from loadtest.report.table import print_results, results_console

FAILED_ASSERTION = 3
DEFAULT = CapacityConfig()


def run(arguments: Sequence[str]) -> int:
    options = make_parser().parse_intermixed_args(arguments)
    assertions = tuple(map(parse_assertion, options.asserted))
    config = config_of(options, assertions)
    if config.capacity.seconds == 0 and any(each.figure == "capacity" for each in assertions):
        raise ConfigError("--assert capacity: with --capacity-seconds 0 it is not measured")
    with session(options, arguments) as running:
        campaign = running.measure(lambda progress, raw: run_campaign(config, progress, raw))
        results = compute_results(campaign)
        verdicts = judged(assertions, results)
        # Drawing is imported here, so that bad arguments are refused at once.
        from loadtest.report.write import write_report

        write_report(running.folder, results, verdicts, running.around)
    print_results(results_console(), results, verdicts)
    print(f"report: {options.out / 'report.html'}")
    status = exit_status(results, assertions, verdicts)
    if status:
        why = "an assertion fails" if results.is_valid else "the run is invalid, so that nothing is asserted"
        print(f"exit status {status}: {why}")
    return status


def exit_status(results: Results, assertions: Sequence[Assertion], verdicts: Sequence[Verdict]) -> int:
    """A gate that was set lets nothing through that could not be measured."""
    holds = all(verdict.holds for verdict in verdicts) and (results.is_valid or not assertions)
    return 0 if holds else FAILED_ASSERTION


def config_of(options: argparse.Namespace, assertions: Sequence[Assertion]) -> Config:
    """Raises ConfigError. Asks no server."""
    return Config(
        subject=subject_of(options),
        load=timed_load_of(options),
        capacity=CapacityConfig(
            seconds=options.capacity_seconds,
            in_flight=options.in_flight,
            rows_per_request=options.capacity_rows,
        ),
        generation=generation_of(options),
        baseline=options.baseline,
        objective_ms=options.objective,
        asserted=tuple(assertion.contender for assertion in assertions if assertion.contender is not None),
    )


def make_parser() -> Parser:
    parser = Parser(
        prog="python -m loadtest",
        description="Compare policies of a served cascade (or models, or servers) in quality, latency and "
        "capacity, on the same rows and arrivals. Other commands: search (the highest rate that holds), "
        "sweep (rates and difficulties), plan (replicas); each has --help.",
        allow_abbrev=False,
    )
    add_subject(parser)
    load = parser.add_argument_group("load")
    add_rate(load)
    add_load(load)
    add_blocks(load)
    _add_capacity(parser.add_argument_group("saturation"))
    _add_judging(parser.add_argument_group("judging"))
    add_report(parser.add_argument_group("report"))
    return parser


def _add_capacity(group: argparse._ArgumentGroup) -> None:
    add_number(group, "--capacity-seconds", DEFAULT.seconds, "at saturation, 0 for none")
    add_whole(group, "--in-flight", DEFAULT.in_flight, "requests always in flight then")
    add_whole(group, "--capacity-rows", DEFAULT.rows_per_request, "rows of each of them")


def _add_judging(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--ood", type=Path, metavar="FILE.npz", help="out-of-distribution rows")
    add_number(group, "--objective", None, "milliseconds within which an answer counts as good", "MS")
    group.add_argument(
        "--baseline", metavar="NAME", help="whom the others are compared with (default: full, or the first)"
    )
    group.add_argument(
        "--assert",
        dest="asserted",
        action="append",
        default=[],
        metavar="'p99<50ms'",
        help="a figure that must hold, of all or of one contender ('window:agreement>0.98'); repeat it for "
        f"more; exit status {FAILED_ASSERTION} where one fails",
    )
