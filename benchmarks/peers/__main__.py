"""The same cascade in Exitgate, Triton, Ray Serve and FastAPI, on this machine, one after the other.

    make triton peers && python -m benchmarks.peers     # as root: it leaves the machine's network

Members are the same ONNX files, resnet10t and then resnet26t for a fifth of the rows, 32x32 pixels, random
weights. A request has one row; the clients, each with one request under way, are the same for all. Every
system is tuned first, then measured with the setting that was fastest for the number of clients and the
protocol. A server that does not predict as the members do by hand ends the run. Prints each point of the
tuning as it comes and one table, and writes benchmarks/results/peers.json.
"""

import argparse
import itertools
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.peers import environments
from benchmarks.peers.exitgate import EXITGATE
from benchmarks.peers.fastapi_app.system import FASTAPI_APP
from benchmarks.peers.loopback import keep_to_loopback
from benchmarks.peers.ray_serve.system import RAY_SERVE, RAY_SERVE_ONE
from benchmarks.peers.rounds import Rounds
from benchmarks.peers.system import Case, System
from benchmarks.peers.table import table
from benchmarks.peers.triton.systems import TRITON_BLS, TRITON_ENSEMBLE
from benchmarks.peers.tuning import Tuning
from benchmarks.peers.workload import Workload, workload
from benchmarks.result_file import write_result
from serving.triton import installation

RESULT = Path(__file__).resolve().parent.parent / "results" / "peers.json"
SYSTEMS = {
    "exitgate": EXITGATE,
    "triton_bls": TRITON_BLS,
    "triton_ensemble": TRITON_ENSEMBLE,
    "ray_serve": RAY_SERVE,
    "ray_serve_one": RAY_SERVE_ONE,
    "fastapi": FASTAPI_APP,
}
CLIENTS = (1, 8, 32)


def main() -> None:
    options = _parser().parse_args()
    if reason := _missing():
        sys.exit(reason)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # servers are stopped on the way out
    keep_to_loopback()
    systems = [SYSTEMS[name] for name in options.systems]
    with workload() as work:
        tunings = {
            system.name: _tuned(system, work, options.groups, options.tune_seconds) for system in systems
        }
        chosen = {
            system.name: {case: tunings[system.name].fastest(case).setting for case in _cases(system)}
            for system in systems
        }
        rounds = Rounds(systems, work, chosen)
        for number in range(options.rounds):
            rounds.measure(number, options.seconds)
            _write(
                options.out, systems, work, rounds, chosen, tunings
            )  # so that a later failure loses little
    print(table(rounds.rows(), rounds.ideal()["median"]))


def _missing() -> str | None:
    if reason := installation.missing():
        return reason
    wanted = (environments.RAY, environments.FASTAPI)
    lacking = [environment.folder.name for environment in wanted if not environment.is_ready()]
    return f"`make peers` makes {' and '.join(lacking)}" if lacking else None


def _tuned(system: System, work: Workload, groups: int, seconds: float) -> Tuning:
    tuning = Tuning(system, work, _cases(system), seconds)
    tuning.search(groups)
    return tuning


def _cases(system: System) -> list[Case]:
    return [Case(*pair) for pair in itertools.product(system.wire.protocols, CLIENTS)]


def _write(
    out: Path,
    systems: Sequence[System],
    work: Workload,
    rounds: Rounds,
    chosen: dict[str, dict[Case, Any]],
    tunings: dict[str, Tuning],
) -> None:
    write_result(
        out,
        versions={system.name: dict(system.versions()) for system in systems},
        same_predictions=work.facts(),
        offline_ideal_rows_per_s=rounds.ideal(),
        measured=[
            {**row, "setting": asdict(chosen[row["system"]][Case(row["protocol"], row["clients"])])}
            for row in rounds.rows()
        ],
        grid={system.name: list(system.grid) for system in systems},
        tried=[point.row() for tuning in tunings.values() for point in tuning.points.values()],
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), default=list(SYSTEMS))
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each block")
    parser.add_argument("--rounds", type=int, default=5, help="blocks of each system and case")
    parser.add_argument("--tune-seconds", type=float, default=1.5, help="length of each run of the tuning")
    parser.add_argument("--groups", type=int, default=4, help="groups of settings to tune, from the first")
    parser.add_argument("--out", type=Path, default=RESULT)
    return parser


if __name__ == "__main__":
    main()
