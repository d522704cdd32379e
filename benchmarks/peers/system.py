"""A server that takes part: how it is started, what is sent to it, and what there is to tune."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple

from benchmarks.closed_loop import HttpAnswer, Measured, drive, exchange_all
from benchmarks.peers.wire import Wire
from benchmarks.peers.workload import NUM_CHECKED, Workload
from benchmarks.server_process import session_cpu_s

WARM_UP_S = 0.5
TRIES = 5
PAUSE_S = 1.0


class Case(NamedTuple):
    """Over what, and how many clients with one request each."""

    protocol: str
    clients: int


@dataclass(frozen=True)
class Running:
    """`addresses` by protocol; `leader` is the process whose session holds all of the server."""

    leader: int
    addresses: Mapping[str, str]


@dataclass(frozen=True)
class Block:
    measured: Measured
    cpu_s: float

    @property
    def cpu_ms_per_row(self) -> float:
        return self.cpu_s / (self.measured.rows * len(self.measured.latency_s)) * 1e3


@dataclass(frozen=True, kw_only=True)
class System:
    """`grid` has groups of settings, by field of `default`, searched in turn from the best one so far."""

    name: str
    wire: Wire
    default: Any
    grid: Sequence[Mapping[str, Sequence[Any]]]
    start: Callable[[Workload, Any], AbstractContextManager[Running]]
    versions: Callable[[], Mapping[str, str]]

    def measure(
        self, workload: Workload, setting: Any, cases: Sequence[Case], seconds: float
    ) -> dict[Case, Block]:
        """One block for each case, by a server of its own that has shown that it predicts as it should."""
        with self.start(workload, setting) as running:
            self._check(workload, running)
            return {case: self._block(workload, running, case, seconds) for case in cases}

    def _check(self, workload: Workload, running: Running) -> None:
        requests = self._requests(workload, running, "http")[:NUM_CHECKED]
        answers = _answers(running.addresses["http"], requests)
        refused = [answer for answer in answers if answer.status != 200]
        assert not refused, f"{self.name}: {refused[0].status} {refused[0].body[:300]!r}"
        workload.check(self.wire.predictions(answers), self.name)

    def _block(self, workload: Workload, running: Running, case: Case, seconds: float) -> Block:
        address = running.addresses[case.protocol]
        requests = self._requests(workload, running, case.protocol)
        drive(case.protocol, address, requests, 1, case.clients, min(WARM_UP_S, seconds))
        before = session_cpu_s(running.leader)
        measured = drive(case.protocol, address, requests, 1, case.clients, seconds)
        return Block(measured, session_cpu_s(running.leader) - before)

    def _requests(self, workload: Workload, running: Running, protocol: str) -> list[bytes]:
        address = running.addresses[protocol]
        return [self.wire.request(protocol, address, image) for image in workload.images]


def _answers(address: str, requests: list[bytes]) -> list[HttpAnswer]:
    """Ray's HAProxy is loaded anew once more after Ray calls itself ready, and then drops its connections."""
    for _ in range(TRIES - 1):
        try:
            return exchange_all(address, requests)
        except ConnectionError:
            time.sleep(PAUSE_S)
    return exchange_all(address, requests)
