"""Against a real server on loopback. Bounds are generous: the machine may be busy."""

import asyncio
import socket
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import uvloop

from loadtest.figures.statistics import LoadFigures, load_figures
from loadtest.generator.load_samples import LoadSamples, load_samples
from loadtest.generator.open_loop import run_open_loop
from loadtest.generator.usage import GeneratorUsage
from loadtest.measure.server_usage import ServerUsage
from loadtest.traffic.load import LoadConfig
from loadtest.traffic.rate import constant_rate, parse_rate
from loadtest.traffic.schedule import Schedule, draw_schedule, scheduled
from loadtest.wire.client import Ask, Reply, Request, Status
from loadtest.wire.clients import open_clients
from loadtest.wire.options import WireOptions
from loadtest.wire.served import LEAN_OUTPUTS, served_cascade
from loadtest.wire.targets import parse_target
from loadtest.wire.tensors import NamedTensor
from tests.loadtest.tiny_server import TinyServer, tiny_cascade

ROWS = np.array([[0.9, 1.0], [0.45, 0.0]], np.float32)


async def drive(url: str, load: LoadConfig, schedule: Schedule) -> LoadSamples:
    async with open_clients([parse_target(url)], ["tiny"], WireOptions()) as clients:
        (client,) = clients.values()
        requests = [
            client.encode(
                Ask(inputs=(NamedTensor("x", "FP32", ROWS[rows]),), outputs=LEAN_OUTPUTS, policy="window")
            )
            for rows in schedule
        ]
        run = await run_open_loop(client, requests, schedule, load, lambda _, __: None)
        return load_samples(run, schedule, client, served_cascade(tiny_cascade()))


def figures(samples: LoadSamples, load: LoadConfig) -> LoadFigures:
    return load_figures(samples, load.duration_s, GeneratorUsage(wall_s=1.0), ServerUsage())


def figures_of(url: str, load: LoadConfig) -> tuple[LoadSamples, LoadFigures]:
    samples = asyncio.run(drive(url, load, draw_schedule(load, len(ROWS))))
    return samples, figures(samples, load)


def load(rate: float = 100.0, **changes: object) -> LoadConfig:
    config = {"rate": constant_rate(rate), "duration_s": 1.0, "arrivals": "constant", **changes}
    return LoadConfig(**config)  # type: ignore[arg-type]


def urls(server: TinyServer) -> Sequence[str]:
    return server.http_url, server.grpc_url


def test_a_stall_shows_in_the_tail_over_both_protocols(server: TinyServer) -> None:
    server.stall_s = 0.5
    for url in urls(server):
        server.num_requests, server.stall_at = 0, 30
        _, seen = figures_of(url, load())
        # Some 50 of 100 requests were meant to leave during the stall; the first of them waited it out.
        assert 400 < seen.latency.p99_ms < 1500, url
        assert seen.latency.p50_ms < 400, url
        assert seen.num_errors == 0


def test_waiting_for_a_slot_counts_as_latency_though_service_is_short(server: TinyServer) -> None:
    """One request in flight, as a closed client would: what it holds back must count all the same."""
    server.stall_s, server.stall_at = 0.5, 30
    samples, seen = figures_of(server.http_url, load(max_in_flight=1))
    assert seen.service is not None
    assert seen.service.p90_ms < 200
    assert seen.latency.p90_ms > 300
    # The generator is not to blame: it got round to each request in time.
    assert np.median(samples.requests.lag_ms) < 20
    assert (samples.requests.sent_s - samples.requests.ready_s).max() > 0.3


def test_requests_leave_when_intended(server: TinyServer) -> None:
    samples, _ = figures_of(server.http_url, load(50.0))
    assert (samples.requests.ready_s >= samples.requests.intended_s).all()
    assert np.median(samples.requests.lag_ms) < 10


def test_answers_tell_the_deepest_exit_stage(server: TinyServer) -> None:
    config = load(20.0)
    schedule = scheduled(np.array([0.0, 0.01, 0.02]), [np.array([0, 0]), np.array([0, 1]), np.array([1, 1])])
    samples = asyncio.run(drive(server.grpc_url, config, schedule))
    assert samples.requests.exit_stage.tolist() == [1, 2, 2]
    assert samples.requests.status.tolist() == [Status.OK] * 3
    assert samples.rows.exit_stage.tolist() == [1, 1, 1, 2, 2, 2]
    assert samples.rows.label.tolist() == [1, 1, 1, 0, 0, 0]
    assert samples.rows.request.tolist() == [0, 0, 1, 1, 2, 2]


def test_refusals_are_samples(server: TinyServer) -> None:
    server.refuse_every = 4
    for url in urls(server):
        server.num_requests = 0
        samples, seen = figures_of(url, load(duration_s=0.4))
        assert seen.statuses == {"ok": 30, "refused": 0, "timeout": 0, "broken": 0, "shed": 10}, url
        assert seen.latency.num_samples == 40
        assert not np.isnan(samples.requests.done_s).any()
        assert samples.first_failure.endswith("too busy")
        assert (samples.rows.label[samples.requests.status != Status.OK] == -1).all()


def test_timeouts_are_samples_and_end_the_run(server: TinyServer) -> None:
    """Given up counting from the intended send, however late a request was sent."""
    server.stall_s, server.stall_at = 2.0, 10
    samples, seen = figures_of(server.http_url, load(duration_s=0.5, timeout_s=0.2, max_in_flight=2))
    late = samples.requests.status == Status.TIMEOUT
    assert seen.statuses["timeout"] == late.sum() > 30
    taken_s = samples.requests.done_s - samples.requests.intended_s
    assert taken_s[late].min() > 0.199
    assert taken_s.max() < 1.5
    assert (samples.requests.exit_stage[late] == 0).all()


def test_a_request_may_be_given_up_before_it_was_sent(server: TinyServer) -> None:
    server.stall_s, server.stall_at = 1.5, 1
    schedule = scheduled(np.zeros(10), [np.zeros(1, np.int64)] * 10)
    samples = asyncio.run(drive(server.http_url, load(timeout_s=0.2, max_in_flight=2), schedule))
    assert (samples.requests.status == Status.TIMEOUT).all()
    assert np.isnan(samples.requests.sent_s).sum() == 8
    seen = figures(samples, load())
    assert seen.latency.num_samples == 10
    assert seen.service is not None and seen.service.num_samples == 2


class SlowSender:
    """Answers each request 8 ms after it was sent."""

    async def send(self, request: Request) -> Reply:
        await asyncio.sleep(0.008)
        return Reply(Status.OK)


def test_a_request_given_up_before_it_began_leaves_its_slot() -> None:
    """First three times as many come as four slots can send, so that the next in line is always at its
    deadline; then few, which find the slots free."""
    config = load(duration_s=3.0, timeout_s=0.05, max_in_flight=4)
    schedule = draw_schedule(replace(config, rate=parse_rate("1500,1500,50")), 1)
    requests = [Request(b"")] * len(schedule)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        run = runner.run(run_open_loop(SlowSender(), requests, schedule, config, lambda _, __: None))
    answered = np.array([reply.status is Status.OK for reply in run.replies])
    assert (~answered[run.intended_s < 2.0]).sum() > 1000
    assert answered[run.intended_s > 2.2].mean() > 0.5


def test_a_dead_server_gives_broken_samples() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    for protocol in ("http", "grpc"):
        _, seen = figures_of(f"{protocol}://127.0.0.1:{port}", load(duration_s=0.1))
        assert seen.statuses == {"ok": 0, "refused": 0, "timeout": 0, "broken": 10, "shed": 0}, protocol


def test_a_cancelled_run_ends_at_once(server: TinyServer) -> None:
    async def cancelled() -> None:
        config = load(duration_s=60.0)
        run = asyncio.create_task(drive(server.http_url, config, draw_schedule(config, len(ROWS))))
        await asyncio.sleep(0.2)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)

    began = time.monotonic()
    asyncio.run(cancelled())
    assert time.monotonic() - began < 5
