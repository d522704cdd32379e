"""The command line: arguments to a Config, errors to one line."""

import argparse
import asyncio
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import uvloop

from loadtest.config import ARRIVALS, CapacityConfig, Config, LoadConfig
from loadtest.errors import ConfigError, LoadTestError
from loadtest.figures.results import Results, compute_results
from loadtest.folder import published
from loadtest.measure.campaign import Campaign, run_campaign
from loadtest.progress import Progress
from loadtest.raw import RawFiles
from loadtest.report.circumstances import Circumstances, this_machine
from loadtest.report.notes import Note, notes
from loadtest.report.summary import write_summary
from loadtest.report.table import print_results, results_console
from loadtest.wire.targets import parse_target

INTERRUPTED = 130
# The pacer's thread must get its turn well within the lag that a run may have.
SWITCH_INTERVAL_S = 0.0002


class Parser(argparse.ArgumentParser):
    """Raises instead of printing its usage and leaving."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(message)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else list(argv)
    try:
        config = parse(arguments)
        with published(config.out, overwrite=config.overwrite) as folder:
            report = _run(config, folder, shlex.join(["python", "-m", "loadtest", *arguments]))
    except LoadTestError as error:
        return _failed(error, str(error), error.exit_status)
    except OSError as error:
        return _failed(error, f"the report can't be written ({error})", 1)
    except KeyboardInterrupt as error:
        return _failed(error, "interrupted", INTERRUPTED)
    print_results(results_console(), *report)
    print(f"report: {config.out / 'report.html'}")
    return 0


def _failed(error: BaseException, text: str, exit_status: int) -> int:
    """One line, with what the error's notes add: where measurements were kept."""
    print(f"error: {'; '.join([text, *getattr(error, '__notes__', ())])}", file=sys.stderr)
    return exit_status


def _run(config: Config, folder: Path, command: str) -> tuple[Results, list[Note]]:
    around = Circumstances(
        command=command,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=this_machine(),
    )
    results = compute_results(_measure(config, RawFiles(folder)))
    remarks = notes(results)
    _write(folder, results, remarks, around)
    return results, remarks


def _measure(config: Config, raw: RawFiles) -> Campaign:
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(run_campaign(config, Progress(), raw))
    finally:
        sys.setswitchinterval(before)


def _write(folder: Path, results: Results, remarks: list[Note], around: Circumstances) -> None:
    """Drawing is imported here, so that bad arguments are refused at once."""
    from loadtest.report.page import write_page

    write_summary(folder, results, remarks, around)
    write_page(folder, results, remarks, around)


def parse(arguments: Sequence[str]) -> Config:
    """Raises ConfigError. Asks no server and reads no file."""
    options = _make_parser().parse_intermixed_args(arguments)
    return Config(
        targets=tuple(parse_target(url, allow_remote=options.allow_remote) for url in options.urls),
        model=options.model,
        policies=tuple(name.strip() for name in options.policies.split(",")) if options.policies else (),
        samples=options.samples,
        ood=options.ood,
        load=LoadConfig(
            rate=options.rate,
            duration_s=options.duration,
            rows_per_request=options.rows_per_request,
            arrivals=options.arrivals,
            seed=options.seed,
            max_in_flight=options.max_in_flight,
            timeout_s=options.timeout,
        ),
        capacity=CapacityConfig(seconds=options.capacity_seconds),
        out=options.out,
        overwrite=options.overwrite,
    )


def _make_parser() -> Parser:
    parser = Parser(
        prog="python -m loadtest",
        description="Measure quality, latency and capacity of a served cascade, policy by policy.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "urls", nargs="+", metavar="URL", help="http://HOST:PORT or grpc://HOST:PORT, one for each protocol"
    )
    _add_subject(parser.add_argument_group("what is tested"))
    _add_load(parser.add_argument_group("load"))
    _add_report(parser.add_argument_group("report"))
    return parser


def _add_subject(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--model", required=True, metavar="NAME", help="the cascade's name")
    group.add_argument("--policies", metavar="A,B,...", help="default: all that the cascade has")
    group.add_argument(
        "--samples", required=True, type=Path, metavar="FILE.npz", help="inputs by wire name, and labels"
    )
    group.add_argument("--ood", type=Path, metavar="FILE.npz", help="out-of-distribution rows")
    group.add_argument("--allow-remote", action="store_true", help="allow hosts other than loopback")


def _add_load(group: argparse._ArgumentGroup) -> None:
    load, capacity = LoadConfig(), CapacityConfig()
    _add_number(group, "--rate", load.rate, "requests per second")
    _add_number(group, "--duration", load.duration_s, "seconds for each policy and protocol")
    _add_whole(group, "--rows-per-request", load.rows_per_request, "rows of a request")
    group.add_argument(
        "--arrivals",
        default=load.arrivals,
        metavar="NAME",
        help=f"{' | '.join(ARRIVALS)} (default %(default)s)",
    )
    _add_whole(group, "--seed", load.seed, "of arrivals and rows")
    _add_whole(group, "--max-in-flight", load.max_in_flight, "requests in flight; those beyond wait")
    _add_number(group, "--timeout", load.timeout_s, "seconds from its intended send to giving a request up")
    _add_number(group, "--capacity-seconds", capacity.seconds, "seconds at saturation, 0 for none")


def _add_number(group: argparse._ArgumentGroup, name: str, default: float, what: str) -> None:
    group.add_argument(name, type=float, default=default, metavar="X", help=f"{what} (default %(default)g)")


def _add_whole(group: argparse._ArgumentGroup, name: str, default: int, what: str) -> None:
    group.add_argument(name, type=int, default=default, metavar="N", help=f"{what} (default %(default)s)")


def _add_report(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="the report's folder")
    group.add_argument("--overwrite", action="store_true", help="replace the report that is there")
