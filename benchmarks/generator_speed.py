"""How fast one process of loadtest is, on one core, against a server that does nothing on another.

    python -m benchmarks.generator_speed

The server answers every request the same; a request carries a row of 12 KB. A rate of the open loop is held
if every request was answered and p99 of the generator's lag stays under a millisecond.

Whatever else runs on the two cores disturbs it: each measurement says for what share of its time the
generator was ready to run and waited for its core. Of the rounds, all of which the result holds, the table
shows the fastest of the closed loop, and of the open loop the one that waited least.
"""

import argparse
import asyncio
import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from benchmarks.constant_server import constant_server
from benchmarks.result_file import write_result
from loadtest.config import CapacityConfig
from loadtest.generator.closed_loop import run_closed_loop
from loadtest.generator.open_loop import run_open_loop
from loadtest.generator.process import SWITCH_INTERVAL_S
from loadtest.generator.usage import GeneratorUsage, measured_usage
from loadtest.traffic.load import LoadConfig
from loadtest.traffic.rate import constant_rate
from loadtest.traffic.schedule import draw_schedule
from loadtest.wire.client import Ask, Client, Request, Status
from loadtest.wire.http import HttpClient
from loadtest.wire.options import WireOptions
from loadtest.wire.served import LEAN_OUTPUTS
from loadtest.wire.targets import Target
from loadtest.wire.tensors import NamedTensor

GENERATOR_CORE, SERVER_CORE = 0, 1
SHAPE = (1, 3, 64, 64)
NUM_BODIES = 64
IN_FLIGHT = 16
RATES = (1000, 2000, 3000, 4000, 5000, 6000, 8000)
ARRIVALS = ("constant", "poisson")
MAX_LAG_MS = 1.0
RESULT = Path(__file__).parent / "results" / "generator_speed.json"
SCHEDULING = Path("/proc/thread-self/schedstat")


@dataclass
class Spent:
    """By the generator. `waiting_s`: its loop was ready to run and somebody else had the core."""

    usage: GeneratorUsage
    waiting_s: float = 0.0
    num_requests: int = 0

    @property
    def waiting_share(self) -> float:
        return self.waiting_s / self.usage.wall_s

    @property
    def cpu_us(self) -> float:
        """Of a request."""
        return self.usage.cpu_s / self.num_requests * 1e6

    def __str__(self) -> str:
        return (
            f"{self.usage.cpu_share:.2f} cores, {self.cpu_us:.0f} µs each, "
            f"waited for the core {self.waiting_share:.0%}"
        )


@contextmanager
def measured() -> Iterator[Spent]:
    before = waiting_s()
    with measured_usage() as usage:
        spent = Spent(usage)
        yield spent
    spent.waiting_s = waiting_s() - before


def waiting_s() -> float:
    return int(SCHEDULING.read_text().split()[1]) / 1e9


@dataclass(frozen=True, kw_only=True)
class Rung:
    """An open loop of one rate; latency counts from the intended send."""

    rate: float
    arrivals: str
    num_failed: int
    lag_p50_ms: float
    lag_p99_ms: float
    lag_max_ms: float
    latency_p50_ms: float
    latency_p99_ms: float
    spent: Spent

    @property
    def is_held(self) -> bool:
        return self.num_failed == 0 and self.lag_p99_ms < MAX_LAG_MS


@dataclass(frozen=True, kw_only=True)
class Closed:
    in_flight: int
    requests_per_s: float
    num_failed: int
    spent: Spent


def as_json(measurement: Closed | Rung) -> dict[str, Any]:
    spent = measurement.spent
    return asdict(measurement) | {
        "spent": {
            "cores": spent.usage.cpu_share,
            "cpu_us_per_request": spent.cpu_us,
            "waiting_share": spent.waiting_share,
        }
    }


def bodies(client: Client) -> list[Request]:
    generator = np.random.default_rng(0)
    rows = generator.integers(0, 256, (NUM_BODIES, *SHAPE), dtype=np.uint8)
    asks = [Ask(inputs=[NamedTensor("image", "UINT8", row)], outputs=LEAN_OUTPUTS) for row in rows]
    return [client.encode(ask) for ask in asks]


async def closed_loop(client: Client, requests: Sequence[Request], seconds: float) -> Closed:
    capacity = CapacityConfig(seconds=seconds, in_flight=IN_FLIGHT, rows_per_request=1)
    with measured() as spent:
        run = await run_closed_loop(client, requests, capacity, lambda _: None)
    spent.num_requests = run.num_rows_in_all
    return Closed(
        in_flight=IN_FLIGHT,
        requests_per_s=run.rows_per_s,
        num_failed=run.num_errors,
        spent=spent,
    )


async def open_loop(
    client: Client, requests: Sequence[Request], rate: float, arrivals: str, seconds: float
) -> Rung:
    load = LoadConfig(rate=constant_rate(rate), duration_s=seconds, arrivals=arrivals)
    schedule = draw_schedule(load, len(requests))
    drawn = [requests[int(rows[0])] for rows in schedule]
    with measured() as spent:
        run = await run_open_loop(client, drawn, schedule, load, lambda _, __: None)
    spent.num_requests = len(drawn)
    lag_ms = (run.ready_s - run.intended_s) * 1e3
    latency_ms = (run.done_s - run.intended_s) * 1e3
    return Rung(
        rate=rate,
        arrivals=arrivals,
        num_failed=sum(reply.status is not Status.OK for reply in run.replies),
        lag_p50_ms=float(np.percentile(lag_ms, 50)),
        lag_p99_ms=float(np.percentile(lag_ms, 99)),
        lag_max_ms=float(lag_ms.max()),
        latency_p50_ms=float(np.percentile(latency_ms, 50)),
        latency_p99_ms=float(np.percentile(latency_ms, 99)),
        spent=spent,
    )


async def measure(port: int, seconds: float, rounds: int) -> tuple[list[Closed], list[list[Rung]]]:
    """A list for each rung of the ladder, with a measurement for each round."""
    client = HttpClient(Target(protocol="http", host="127.0.0.1", port=port), "constant", WireOptions())
    try:
        requests = bodies(client)
        gc.collect()
        gc.freeze()
        closed = [await closed_loop(client, requests, seconds) for _ in range(rounds)]
        ladder = [
            [await open_loop(client, requests, rate, arrivals, seconds) for _ in range(rounds)]
            for arrivals in ARRIVALS
            for rate in RATES
        ]
    finally:
        await client.close()
    return closed, ladder


def show(closed: Closed, rungs: Sequence[Rung]) -> None:
    print(
        f"closed loop, {closed.in_flight} in flight: {closed.requests_per_s:,.0f} requests/s; {closed.spent}"
    )
    print("arrivals  rate/s  failed  lag p50    p99    max ms  latency p50  p99 ms  held")
    for rung in rungs:
        print(
            f"{rung.arrivals:8}{rung.rate:8,.0f}{rung.num_failed:8}{rung.lag_p50_ms:9.2f}{rung.lag_p99_ms:7.2f}"
            f"{rung.lag_max_ms:10.2f}{rung.latency_p50_ms:13.2f}{rung.latency_p99_ms:8.2f}"
            f"  {'yes ' if rung.is_held else 'no  '}  {rung.spent}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is made")
    parser.add_argument("--out", type=Path, default=RESULT)
    asked = parser.parse_args()
    with constant_server(SERVER_CORE) as port, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        os.sched_setaffinity(0, {GENERATOR_CORE})
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        closed, ladder = runner.run(measure(port, asked.seconds, asked.rounds))
    fastest = max(closed, key=lambda measurement: measurement.requests_per_s)
    show(fastest, [min(rounds, key=lambda rung: rung.spent.waiting_share) for rounds in ladder])
    write_result(
        asked.out,
        body_bytes=int(np.prod(SHAPE)),
        load_average=os.getloadavg()[0],
        closed_loop=[as_json(each) for each in closed],
        open_loop=[[as_json(each) | {"is_held": each.is_held} for each in rounds] for rounds in ladder],
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
