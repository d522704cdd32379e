"""Arguments of the load that is sent."""

import argparse
from pathlib import Path

from loadtest.bounds import MAX_SECONDS
from loadtest.commands.parser import add_number, add_whole
from loadtest.errors import ConfigError
from loadtest.traffic.arrivals import read_trace
from loadtest.traffic.difficulty import parse_hard_bursts
from loadtest.traffic.load import ARRIVALS, LoadConfig, parse_rows_per_request
from loadtest.traffic.rate import RateProfile, parse_rate

DEFAULT = LoadConfig()


def add_rate(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--rate",
        metavar="R",
        help=f"requests per second: 200, steps 100,400,100, a ramp 100..400 (default {DEFAULT.rate.text})",
    )
    group.add_argument(
        "--trace", type=Path, metavar="FILE.csv", help="times to send at (time_s) in the place of a rate"
    )
    add_number(group, "--duration", None, "seconds for each contender (default 30, or the whole trace)")


def add_load(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--arrivals",
        default=DEFAULT.arrivals,
        metavar="NAME",
        help=f"{' | '.join(ARRIVALS)} (default %(default)s)",
    )
    add_number(
        group,
        "--burstiness",
        DEFAULT.burstiness,
        "of gamma arrivals: the gaps' coefficient of variation; 1 is Poisson",
    )
    group.add_argument(
        "--rows-per-request", default="1", metavar="N|A-B", help="8, or drawn: 1-16 (default 1)"
    )
    add_number(
        group, "--hard-share", None, "of rows among the hardest quarter, 0 to 1 (default: as they come)"
    )
    group.add_argument(
        "--hard-bursts",
        metavar="ON/PERIOD",
        help="seconds in which all rows are hard, of every so many: 2/10",
    )
    add_number(group, "--deadline", None, "told to the server with each request, milliseconds", "MS")
    add_number(group, "--timeout", DEFAULT.timeout_s, "seconds from its intended send to giving a request up")
    add_whole(group, "--max-in-flight", DEFAULT.max_in_flight, "requests in flight; those beyond wait")
    add_whole(group, "--seed", DEFAULT.seed, "of arrivals, rows and the order of contenders")


def add_blocks(group: argparse._ArgumentGroup) -> None:
    add_number(group, "--block-seconds", DEFAULT.block_s, "after which contenders take turns")


def load_of(
    options: argparse.Namespace, rate: RateProfile, duration_s: float, trace: Path | None = None
) -> LoadConfig:
    """Reads no file."""
    bursts = options.hard_bursts
    return LoadConfig(
        rate=rate,
        duration_s=duration_s,
        trace=trace,
        rows_per_request=parse_rows_per_request(options.rows_per_request),
        arrivals=options.arrivals,
        burstiness=options.burstiness,
        hard_share=options.hard_share,
        hard_bursts=None if bursts is None else parse_hard_bursts(bursts),
        block_s=getattr(options, "block_seconds", DEFAULT.block_s),
        seed=options.seed,
        max_in_flight=options.max_in_flight,
        timeout_s=options.timeout,
        deadline_ms=options.deadline,
    )


def timed_load_of(options: argparse.Namespace) -> LoadConfig:
    """With `add_rate`'s arguments. ConfigError also where the trace can't be read."""
    if options.trace is None:
        rate = DEFAULT.rate if options.rate is None else parse_rate(options.rate)
        return load_of(options, rate, DEFAULT.duration_s if options.duration is None else options.duration)
    if options.rate is not None:
        raise ConfigError("--trace and --rate contradict each other")
    # Here alone so that a bad trace is refused before anything is asked of a server.
    length_s = read_trace(options.trace, options.duration)[-1]
    if length_s >= MAX_SECONDS:
        raise ConfigError(
            f"--trace {options.trace} takes {length_s:g} s; at most {MAX_SECONDS:g} are allowed"
        )
    duration_s = MAX_SECONDS if options.duration is None else options.duration
    return load_of(options, DEFAULT.rate, duration_s, options.trace)
