"""The same two-stage cascade in Exitgate and in a real Triton 2.51, there by hand as a BLS model.

    python -m benchmarks.triton_bls          # needs .venv-triton, which `make test` installs

Members are the same ONNX files: resnet10t, then resnet26t for a fifth of the rows, 32x32 pixels, random
weights; ONNX Runtime runs them on both sides, in Triton from its Python backend (this Triton has no other,
and its ONNX Runtime is older). Triton is tuned first, one group of settings after the other, every point at
1, 8 and 32 clients over gRPC; then, for each number of clients and protocol, the point that was fastest there
meets Exitgate at its defaults, in blocks that take turns. A request has one row. Every point must predict as
Exitgate does. Prints each measurement as it comes and writes benchmarks/results/triton_bls.json.
"""

import argparse
import itertools
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from benchmarks.closed_loop import drive, exchange_all, grpc_request, http_request
from benchmarks.repositories import REAL_IMAGE, real_repository
from benchmarks.result_file import write_result
from benchmarks.server_process import MeasuredServer, measured_server, session_cpu_s
from benchmarks.side_by_side import Blocks, Contender, alternate, pieces, throughput_ratio
from benchmarks.triton_repository import BLS, Tuning, write_triton_repository
from cascade.cascade_file import Cascade, read_cascade
from cascade.scores import msp, softmax
from loadtest.wire.http_codec import decode_infer
from serving.triton.bundled import QUICK, TritonServer, triton
from serving.triton.installation import PACKAGES

ONE_BY_TWO = ("--workers", "1", "--threads", "2")
"""Exitgate's other setting; by itself it takes two workers of one thread on two cores."""

RESULT = Path(__file__).parent / "results" / "triton_bls.json"
NETWORKS = ("resnet10t", "resnet26t")
FORWARDED = 0.2
CLIENTS = (1, 8, 32)
PROTOCOLS = ("grpc", "http")
OUTPUTS = ("probabilities", "label", "score", "exit_stage")
NUM_IMAGES = 1024
NUM_CHECKED = 256
CHECKED_ROWS = 8
BOUNDARY = 1e-5
TOLERANCE = 1e-4  # of a probability: two versions of ONNX Runtime

GRID: tuple[Mapping[str, Sequence[Any]], ...] = (
    {"variant": ("sync", "async", "async_each"), "bls_instances": (1, 2, 4)},
    {"member_instances": (1, 2), "member_threads": (1, 2)},
    {"bls_delay_us": (0, 1000, 5000), "member_delay_us": (0, 1000, 5000)},
    {"bls_max_batch": (8, 32, 64)},
    {"variant": ("sync", "async", "async_each"), "bls_instances": (1, 2, 4)},
)
"""Groups of settings, searched in turn from the best point so far; the first once more at the end."""


@dataclass(frozen=True)
class Point:
    """A tuning of Triton, and by number of clients its rows a second and p99."""

    tuning: Tuning
    rows_per_s: dict[int, float]
    p99_ms: dict[int, float]

    @property
    def overall(self) -> float:
        """The geometric mean over the numbers of clients."""
        return prod(self.rows_per_s.values()) ** (1 / len(self.rows_per_s))


@dataclass
class Bench:
    """What both sides serve and are sent, and Exitgate running."""

    folder: Path
    repository: Path
    cascade: Cascade
    images: NDArray[np.uint8]
    exitgate: MeasuredServer
    exitgate_1x2: MeasuredServer
    points: dict[Tuning, Point] = field(default_factory=dict)
    checked: dict[str, Any] = field(default_factory=dict)

    @property
    def threshold(self) -> float:
        return self.cascade.policies["window"].thresholds[0]

    @contextmanager
    def triton(self, tuning: Tuning) -> Iterator[TritonServer]:
        with tempfile.TemporaryDirectory(dir=self.folder) as path:
            repository = Path(path) / "triton"
            write_triton_repository(repository, self.repository, self.cascade, self.threshold, tuning)
            with triton(repository, QUICK, log=self.folder / "triton.log") as server:
                self.check_same_predictions(server)
                yield server

    def requests(self, protocol: str, address: str, model: str, rows: int = 1) -> list[bytes]:
        encode = partial(http_request, address) if protocol == "http" else grpc_request
        return [encode(model, self.images[p], outputs=OUTPUTS) for p in pieces(len(self.images), rows)]

    def check_same_predictions(self, server: TritonServer) -> None:
        """Label, exit stage and probabilities of every checked row, but for those whose score lies at the
        threshold."""
        ours, theirs = self.predictions(self.exitgate.http, "real"), self.predictions(server.http, BLS)
        certain = np.abs(self.first_scores() - self.threshold) > BOUNDARY
        for name in ("label", "exit_stage"):
            differ = np.flatnonzero((ours[name] != theirs[name]) & certain)
            assert len(differ) == 0, f"{name} differs in rows {differ[:10]} of {certain.sum()}"
        gap = float(np.abs(ours["probabilities"] - theirs["probabilities"])[certain].max())
        assert gap < TOLERANCE, f"probabilities differ by {gap}"
        self.checked = {
            "rows": int(certain.sum()),
            "at_the_threshold": int((~certain).sum()),
            "labels": np.unique(ours["label"]).tolist(),
            "forwarded": round(float((ours["exit_stage"] == 2).mean()), 3),
            "largest_difference_of_probabilities": max(
                gap, self.checked.get("largest_difference_of_probabilities", 0.0)
            ),
        }

    def predictions(self, address: str, model: str) -> dict[str, NDArray[Any]]:
        requests = self.requests("http", address, model, CHECKED_ROWS)[: NUM_CHECKED // CHECKED_ROWS]
        answers = exchange_all(address, requests)
        decoded = [decode_infer(answer.body, answer.json_bytes).outputs for answer in answers]
        joined = {name: np.concatenate([outputs[name] for outputs in decoded]) for name in OUTPUTS}
        # Triton has a dimension for one value too.
        return {
            name: array.squeeze(axis=1) if array.shape[1:] == (1,) else array
            for name, array in joined.items()
        }

    def first_scores(self) -> NDArray[np.float64]:
        file = self.repository / self.cascade.members[0].file
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
        return msp(softmax(session.run(["logits"], {"image": self.images[:NUM_CHECKED]})[0]))


def tune(bench: Bench, num_groups: int, seconds: float) -> None:
    best = Tuning()
    try_point(bench, best, seconds)
    for group in GRID[:num_groups]:
        tried = [replace(best, **dict(zip(group, values, strict=True))) for values in _choices(group)]
        best = max(tried, key=lambda tuning: try_point(bench, tuning, seconds).overall)


def _choices(group: Mapping[str, Sequence[Any]]) -> Iterator[tuple[Any, ...]]:
    return itertools.product(*group.values())


def try_point(bench: Bench, tuning: Tuning, seconds: float) -> Point:
    if tuning not in bench.points:
        point = Point(tuning, {}, {})
        with bench.triton(tuning) as server:
            requests = bench.requests("grpc", server.grpc, BLS)
            drive("grpc", server.grpc, requests, 1, max(CLIENTS), min(1.0, seconds))
            for clients in CLIENTS:
                measured = drive("grpc", server.grpc, requests, 1, clients, seconds)
                point.rows_per_s[clients] = round(measured.rows_per_s, 1)
                point.p99_ms[clients] = round(measured.percentile_ms(99), 2)
        bench.points[tuning] = point
        print(_point_row(point), flush=True)
    return bench.points[tuning]


def _point_row(point: Point) -> dict[str, Any]:
    return {**asdict(point.tuning), "rows_per_s": point.rows_per_s, "p99_ms": point.p99_ms}


def compare(bench: Bench, blocks: int, seconds: float) -> list[dict[str, Any]]:
    """For each number of clients with the point that was fastest there."""
    fastest = defaultdict(list)
    for clients in CLIENTS:
        best = max(bench.points.values(), key=lambda point: point.rows_per_s[clients])
        fastest[best.tuning].append(clients)
    results = []
    for tuning, numbers in fastest.items():
        with bench.triton(tuning) as server:
            for protocol, clients in itertools.product(PROTOCOLS, numbers):
                measured = meet(bench, server, protocol, clients, blocks, seconds)
                results.append(_row(bench, tuning, protocol, clients, measured))
                print(results[-1], flush=True)
    return results


def meet(
    bench: Bench, server: TritonServer, protocol: str, clients: int, blocks: int, seconds: float
) -> dict[str, Blocks]:
    theirs = getattr(server, protocol)
    contenders = {
        "exitgate": _exitgate(bench, bench.exitgate, protocol),
        "exitgate_1x2": _exitgate(bench, bench.exitgate_1x2, protocol),
        "triton": Contender(
            address=theirs,
            requests=bench.requests(protocol, theirs, BLS),
            cpu_s=partial(session_cpu_s, server.process.pid),
        ),
    }
    return alternate(contenders, protocol, rows=1, clients=clients, blocks=blocks, seconds=seconds)


def _exitgate(bench: Bench, server: MeasuredServer, protocol: str) -> Contender:
    address = getattr(server, protocol)
    requests = bench.requests(protocol, address, "real")
    return Contender(address=address, requests=requests, cpu_s=server.cpu_s)


def _row(
    bench: Bench, tuning: Tuning, protocol: str, clients: int, measured: Mapping[str, Blocks]
) -> dict[str, Any]:
    """Exitgate's better setting against Triton's best one."""
    theirs = measured["triton"]
    name = max(("exitgate", "exitgate_1x2"), key=lambda name: measured[name].summary()["rows_per_s"])
    ours = measured[name]
    return {
        "protocol": protocol,
        "clients": clients,
        "exitgate_setting": name,
        **{name: blocks.summary() for name, blocks in measured.items()},
        "throughput_exitgate_over_triton": throughput_ratio(ours, theirs),
        "p99_exitgate_over_triton": round(ours.percentile_ms(99) / theirs.percentile_ms(99), 3),
        "least_p99_ms_of_any_tuning": min(point.p99_ms[clients] for point in bench.points.values()),
        "triton_tuning": asdict(tuning),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=6.0, help="length of each block")
    parser.add_argument("--blocks", type=int, default=3, help="blocks of each system")
    parser.add_argument("--tune-seconds", type=float, default=2.0, help="length of each run of the tuning")
    parser.add_argument(
        "--groups", type=int, default=len(GRID), help="groups of settings to tune, from the first"
    )
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    images = np.random.default_rng(0).integers(0, 256, (NUM_IMAGES, *REAL_IMAGE), np.uint8)
    with tempfile.TemporaryDirectory() as path:
        repository = Path(path) / "repository"
        real_repository(repository, NETWORKS, images, FORWARDED, is_spread=True)
        cascade = read_cascade(repository / "real.cascade.json")
        # Triton has a session of its own: Linux shares the cores out by session first (autogroups).
        with (
            measured_server(repository, own_session=True) as server,
            measured_server(repository, *ONE_BY_TWO, own_session=True) as other,
        ):
            bench = Bench(Path(path), repository, cascade, images, server, other)
            tune(bench, options.groups, options.tune_seconds)
            compared = compare(bench, options.blocks, options.seconds)
    write_result(
        options.out,
        onnxruntime={"exitgate": onnxruntime.__version__, "triton": _triton_onnxruntime()},
        same_predictions=bench.checked,
        compared=compared,
        tried=[_point_row(point) for point in bench.points.values()],
    )


def _triton_onnxruntime() -> str:
    (folder,) = PACKAGES.glob("onnxruntime-*.dist-info")
    return folder.name.removeprefix("onnxruntime-").removesuffix(".dist-info")


if __name__ == "__main__":
    main()
