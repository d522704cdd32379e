"""Requests with a deadline, open-loop over HTTP in phases, and what came of them.

loadtest draws the schedule and keeps to it.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import orjson
import uvloop
from numpy.typing import NDArray

from benchmarks.server_process import MeasuredServer
from loadtest.generator.open_loop import OpenLoopRun, run_open_loop
from loadtest.traffic.load import LoadConfig
from loadtest.traffic.rate import constant_rate
from loadtest.traffic.schedule import Schedule, draw_schedule
from loadtest.wire.client import Reply, Request, Status
from loadtest.wire.http import HttpClient
from loadtest.wire.options import WireOptions
from loadtest.wire.targets import parse_target

NUMBER = re.compile(r"\d+\.\d+")
OUTCOMES = ("good", "late", "degraded", "shed", "timed_out", "refused", "given_up", "broken")
"""`late`: answered after the deadline; `shed`: 503 that says when to come again; `timed_out`: any other 503;
`refused`: another status; `given_up`: no answer within the time that the run allows; `broken`: the connection
failed."""


@dataclass(frozen=True)
class Phase:
    """So many requests a second for so long."""

    rate: float
    seconds: float


@dataclass(frozen=True)
class Samples:
    """Per request of a phase: which of the requests it was, when it was meant to leave (from the start of the
    phase), what came of it and when; seconds from the intended send, and for `answer_s` from the real one."""

    request: NDArray[np.int64]
    replies: list[Reply]
    intended_s: NDArray[np.float64]
    outcome: NDArray[np.str_]
    latency_s: NDArray[np.float64]
    answer_s: NDArray[np.float64]
    lag_s: NDArray[np.float64]

    def of(self, outcome: str) -> NDArray[np.bool_]:
        return np.asarray(self.outcome == outcome)

    def good_latency_s(self) -> NDArray[np.float64]:
        """Infinite where the answer was not good."""
        return np.where(self.of("good"), self.latency_s, np.inf)


@dataclass(frozen=True)
class Played:
    """The phases of one run, with what it cost and what the server said when it refused."""

    phases: list[Samples]
    texts: Counter[str]
    generator_cores: float
    server_cores: float


def play(
    server: MeasuredServer,
    requests: Sequence[Request],
    phases: Sequence[Phase],
    *,
    deadline_s: float,
    connections: int,
    give_up_s: float,
    seed: int,
) -> Played:
    """The phases without a pause between them; `requests` are whole HTTP messages, drawn from in turn."""
    parts = [_draw(phase, len(requests), seed + number) for number, phase in enumerate(phases)]
    starts = np.cumsum([0.0, *(phase.seconds for phase in phases)])
    intended_s = np.concatenate([part.intended_s + start for part, start in zip(parts, starts, strict=False)])
    rows = np.concatenate([part.rows for part in parts])
    schedule = Schedule(intended_s, rows, np.arange(len(rows) + 1))
    load = LoadConfig(max_in_flight=connections, timeout_s=give_up_s)
    cpu, begin, own = server.cpu_s(), time.perf_counter(), time.process_time()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        run = runner.run(_run(server, requests, schedule, load))
    wall = time.perf_counter() - begin
    spent = time.process_time() - own
    outcomes = np.array(
        [_outcome(*pair, deadline_s) for pair in zip(run.replies, _latency_s(run), strict=True)]
    )
    ends = np.cumsum([len(part) for part in parts])
    samples = [
        _samples(run, part, outcomes, slice(end - len(part), end), start)
        for part, end, start in zip(parts, ends, starts, strict=False)
    ]
    refused = (reply.detail for reply in run.replies if reply.status is not Status.OK)
    texts = Counter(NUMBER.sub("N", text) for text in refused)
    return Played(samples, texts, spent / wall, (server.cpu_s() - cpu) / wall)


def _draw(phase: Phase, num_rows: int, seed: int) -> Schedule:
    load = LoadConfig(rate=constant_rate(phase.rate), duration_s=phase.seconds, seed=seed)
    return draw_schedule(load, num_rows)


async def _run(
    server: MeasuredServer, requests: Sequence[Request], schedule: Schedule, load: LoadConfig
) -> OpenLoopRun:
    client = HttpClient(parse_target(f"http://{server.http}"), "", WireOptions())
    drawn = [requests[row] for row in schedule.rows.tolist()]
    try:
        return await run_open_loop(client, drawn, schedule, load, lambda _, __: None)
    finally:
        await client.close()


def _latency_s(run: OpenLoopRun) -> NDArray[np.float64]:
    return run.done_s - run.intended_s


def _outcome(reply: Reply, latency_s: float, deadline_s: float) -> str:
    if reply.status is not Status.OK:
        return _failure(reply)
    if _is_degraded(reply):
        return "degraded"
    return "good" if latency_s <= deadline_s else "late"


def _is_degraded(reply: Reply) -> bool:
    head = orjson.loads(reply.body[: reply.json_bytes])
    return bool(head.get("parameters", {}).get("degraded", False))


def _failure(reply: Reply) -> str:
    if reply.status is Status.SHED:
        return "shed" if "(retry after" in reply.detail else "timed_out"
    return {Status.REFUSED: "refused", Status.TIMEOUT: "given_up"}.get(reply.status, "broken")


def _samples(
    run: OpenLoopRun, schedule: Schedule, outcomes: NDArray[np.str_], part: slice, start: float
) -> Samples:
    return Samples(
        request=schedule.rows,
        replies=list(run.replies[part]),
        intended_s=run.intended_s[part] - start,
        outcome=outcomes[part],
        latency_s=_latency_s(run)[part],
        answer_s=(run.done_s - run.sent_s)[part],
        lag_s=(run.ready_s - run.intended_s)[part],
    )
