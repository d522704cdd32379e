"""`python -m loadtest plan URL`: replicas per member for a rate and an objective, and how far off that is."""

import argparse
from collections.abc import Sequence
from dataclasses import replace

from loadtest.bounds import MAX_REQUESTS, MAX_ROWS_PER_REQUEST, MAX_SECONDS, expect_whole, expect_within
from loadtest.commands.goal import percentile_of
from loadtest.commands.load import add_load, load_of
from loadtest.commands.parser import Parser, add_number, add_whole
from loadtest.commands.session import add_report, session
from loadtest.commands.subject import add_subject, generation_of, subject_of
from loadtest.config import check_dialled
from loadtest.errors import ConfigError
from loadtest.plan.replicas import Demand, Objective
from loadtest.report.plan_table import print_plan
from loadtest.report.table import results_console
from loadtest.studies.planning import PlanConfig, run_plan
from loadtest.traffic.rate import constant_rate

MOST_REPLICAS = 10_000
PERCENTS = {"p50": 50.0, "p90": 90.0, "p99": 99.0}


def run(arguments: Sequence[str]) -> int:
    options = make_parser().parse_intermixed_args(arguments)
    config = config_of(options)
    with session(options, ["plan", *arguments]) as running:
        planned = running.measure(lambda progress, raw: run_plan(config, progress, raw))
        from loadtest.report.plan_page import write_plan

        write_plan(running.folder, planned, running.around)
    print_plan(results_console(), planned)
    print(f"report: {options.out / 'report.html'}")
    return 0


def config_of(options: argparse.Namespace) -> PlanConfig:
    expect_within("--rate", options.rate, MAX_REQUESTS)
    expect_within("--calm-rate", options.calm_rate, MAX_REQUESTS)
    expect_within("--learning-seconds", options.learning_seconds, MAX_SECONDS)
    expect_within("--check-seconds", options.check_seconds, MAX_SECONDS)
    if options.workers < 0:
        raise ConfigError(f"--workers {options.workers} is negative")
    load = load_of(options, constant_rate(options.calm_rate), options.check_seconds)
    expect_whole("--max-replicas", options.max_replicas, MOST_REPLICAS)
    expect_whole("--max-batch-rows", options.max_batch_rows, MAX_ROWS_PER_REQUEST)
    if load.arrivals != "poisson":
        raise ConfigError(f"--arrivals {load.arrivals}: a plan is for Poisson arrivals")
    if generation_of(options).processes > 1:
        raise ConfigError("--processes: a plan is measured by one process")
    if load.rows_per_request.least != load.rows_per_request.most:
        raise ConfigError("--rows-per-request: a plan is for requests of one size")
    subject = subject_of(options)
    if len(subject.policies) != 1 or len(subject.models) != 1 or len(subject.targets) != 1:
        raise ConfigError("a plan is for one policy of one model at one URL: --policies NAME")
    check_dialled(subject, is_dialled=load.is_dialled)
    percentile, limit_ms = percentile_of(options.objective, PERCENTS)
    rates = _check_rates(options)
    for rate in rates:
        replace(load, rate=constant_rate(rate))
    return PlanConfig(
        subject=subject,
        load=load,
        demand=Demand(rate=options.rate, rows_per_request=load.rows_per_request.least, seed=load.seed),
        objective=Objective(
            limit_s=limit_ms / 1e3, percent=PERCENTS[percentile], max_utilisation=options.max_utilisation
        ),
        workers=options.workers or None,
        learning_s=options.learning_seconds,
        calm_rate=options.calm_rate,
        check_rates=rates,
        max_replicas=options.max_replicas,
        max_batch_rows=options.max_batch_rows,
    )


def _check_rates(options: argparse.Namespace) -> tuple[float, ...]:
    if options.check is None:
        return ()
    try:
        rates = tuple(float(part) for part in options.check.split(",")) if options.check else (options.rate,)
    except ValueError:
        raise ConfigError(f"--check {options.check!r} is no list of rates") from None
    for rate in rates:
        expect_within("--check", rate, MAX_REQUESTS)
    return rates


def make_parser() -> Parser:
    parser = Parser(
        prog="python -m loadtest plan",
        description="How many replicas each member needs for a rate and an objective, from exit shares and "
        "service curves measured at a running server; and with --check how far off such predictions are.",
        allow_abbrev=False,
    )
    add_subject(parser)
    group = parser.add_argument_group("plan")
    group.add_argument(
        "--rate", type=float, required=True, metavar="R", help="requests per second to plan for"
    )
    group.add_argument(
        "--objective",
        default="p99<50ms",
        metavar="'p99<50ms'",
        help="latency that must hold (default %(default)s)",
    )
    add_number(group, "--max-utilisation", 0.8, "of a member's capacity in full batches")
    add_whole(group, "--max-replicas", 64, "of one member")
    _add_measuring(parser.add_argument_group("measuring"))
    add_load(parser.add_argument_group("load"))
    add_report(parser.add_argument_group("report"))
    return parser


def _add_measuring(group: argparse._ArgumentGroup) -> None:
    add_whole(
        group,
        "--workers",
        2,
        "batches that the server measured runs at once; 0 where each member has a replica",
    )
    add_whole(group, "--max-batch-rows", 32, "rows that the server puts into a batch at most")
    add_number(group, "--learning-seconds", 3.0, "at each of four concurrencies, for the service curves")
    add_number(
        group, "--calm-rate", 20.0, "requests per second at which nothing waits, for the router's own time"
    )
    group.add_argument(
        "--check",
        nargs="?",
        const="",
        metavar="R,R,...",
        help="also predict the server as it is at these rates (default: at --rate), measure, tell the error",
    )
    add_number(group, "--check-seconds", 10.0, "of each such measurement, and of the calm one")
