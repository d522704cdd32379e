"""Spans as a collector gets them from a real server, and collectors that are away."""

import logging
import queue
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton_grpc
import tritonclient.http as triton_http
from numpy.typing import NDArray
from tritonclient.utils import InferenceServerException

from serving import otlp
from serving.errors import StartupError
from serving.otlp import OtlpExport
from serving.tracing import Fault, Span
from tests.repositories import Repository
from tests.servers import Server, serving
from tests.serving.collectors import INTERNAL, SERVER, Collector, Received, collector

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{CALLER}-01", f"00-{TRACE}-{CALLER}-00"
MAX_BATCH_ROWS = 8
PROTOCOLS = ["http", "grpc", "stream"]


@dataclass(frozen=True)
class Client:
    """Asks for rows of the test images over one of the protocols."""

    protocol: str
    server: Server
    image: NDArray[np.uint8]

    def ask(self, rows: int, name: str, traceparent: str = "", **more: Any) -> Any:
        module = triton_http if self.protocol == "http" else triton_grpc
        image = triton_http.InferInput if self.protocol == "http" else triton_grpc.InferInput
        tensor = image("image", [rows, 8, 8, 1], "UINT8")
        tensor.set_data_from_numpy(self.image[:rows])
        headers = {"traceparent": traceparent} if traceparent else None
        address = self.server.http if self.protocol == "http" else self.server.grpc
        with module.InferenceServerClient(address) as client:
            if self.protocol == "stream":
                return _streamed(client, tensor, name, headers, more)
            return client.infer("digits", [tensor], request_id=name, headers=headers, **more)


def _streamed(client: Any, tensor: Any, name: str, headers: Any, more: Any) -> Any:
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    client.start_stream(lambda result, error: answers.put((result, error)), headers=headers)
    client.async_stream_infer("digits", [tensor], request_id=name, **more)
    result, error = answers.get(timeout=20)
    client.stop_stream()
    if error is not None:
        raise error
    return result


@pytest.fixture(scope="module")
def told() -> Iterator[Collector]:
    with collector() as running:
        yield running


@pytest.fixture(scope="module")
def traced(repository: Repository, told: Collector) -> Iterator[Server]:
    """A server that traces half of the requests whose callers do not say."""
    flags = ["--trace-share", "0.5", "--max-batch-rows", str(MAX_BATCH_ROWS)]
    with serving(repository.path, "--otlp-endpoint", told.url, *flags) as running:
        yield running


@pytest.fixture(params=PROTOCOLS)
def client(request: pytest.FixtureRequest, traced: Server, repository: Repository) -> Client:
    return Client(request.param, traced, repository.test.image)


def whole_of(spans: list[Received], name: str) -> int:
    return sum(span.attributes[f"exitgate.{name}"] for span in spans)


def test_a_trace_tells_what_the_answer_tells(client: Client, told: Collector) -> None:
    name, before_ns = f"whole-{client.protocol}", time.time_ns()
    answer = client.ask(20, name, SAMPLED)
    after_ns, second_ns = time.time_ns(), 10**9
    span = told.request(name)
    assert (span.service, span.name, span.kind) == ("exitgate", "infer digits", SERVER)
    assert (span.trace_id, span.parent_id, span.is_error, span.text) == (TRACE, CALLER, False, "")
    exits = np.bincount(answer.as_numpy("exit_stage"), minlength=4)[1:].tolist()
    assert span.attributes == {
        "exitgate.model": "digits",
        "exitgate.cascade_version": "1",
        "exitgate.policy": "window",
        "exitgate.rows": 20,
        "exitgate.degraded": False,
        "exitgate.request_id": name,
        "exitgate.exits": exits,
    }
    # Two machines' clocks would differ more.
    assert before_ns - second_ns <= span.start_ns <= span.end_ns <= after_ns + second_ns
    reached = 20
    for stage in (1, 2, 3):
        parts = [one for one in told.below(span) if one.name == f"stage {stage} digits-{stage - 1}"]
        assert whole_of(parts, "rows") == reached
        assert whole_of(parts, "exited_rows") == exits[stage - 1]
        reached -= exits[stage - 1]
        assert whole_of(parts, "forwarded_rows") == reached
        for one in parts:
            assert (one.kind, one.trace_id, one.is_error) == (INTERNAL, TRACE, False)
            assert one.attributes["exitgate.stage"] == stage
            assert one.attributes["exitgate.member"] == f"digits-{stage - 1}/1"
            assert one.attributes["exitgate.rows"] <= one.attributes["exitgate.batch_rows"] <= MAX_BATCH_ROWS
            assert span.start_ns <= one.start_ns < one.end_ns <= span.end_ns
            waited_s = one.attributes["exitgate.queue_s"]
            assert 0 <= waited_s <= (one.start_ns - span.start_ns) / 1e9 + 1e-6
    assert len(told.below(span)) >= 3  # 20 rows do not go into two batches


def test_a_request_that_fails_says_why(client: Client, told: Collector) -> None:
    name = f"fails-{client.protocol}"
    with pytest.raises(InferenceServerException):
        client.ask(2, name, SAMPLED, parameters={"max_stages": 0})
    span = told.request(name)
    assert (span.is_error, span.attributes["error.type"]) == (True, "InvalidRequest")
    assert span.text == "request parameter 'max_stages' must be a whole number from 1, got 0"
    assert told.below(span) == []


def test_callers_decide_whether_they_are_traced(client: Client, told: Collector) -> None:
    for number in range(8):
        client.ask(1, f"unsampled-{client.protocol}-{number}", UNSAMPLED)
    client.ask(1, f"sampled-{client.protocol}", SAMPLED)
    told.request(f"sampled-{client.protocol}")
    names = {span.attributes.get("exitgate.request_id", "") for span in told.requests()}
    assert [name for name in names if name.startswith(f"unsampled-{client.protocol}")] == []


def test_of_the_others_a_share_is_traced(client: Client, told: Collector) -> None:
    """All of 30 or none have a chance of one in 2^29."""
    for number in range(30):
        client.ask(1, f"drawn-{client.protocol}-{number}")
    client.ask(1, f"last-{client.protocol}", SAMPLED)
    told.request(f"last-{client.protocol}")
    drawn = [
        span
        for span in told.requests()
        if span.attributes.get("exitgate.request_id", "").startswith(f"drawn-{client.protocol}-")
    ]
    assert 0 < len(drawn) < 30
    assert {span.parent_id for span in drawn} == {""}
    traces = Counter(span.trace_id for span in drawn)
    assert set(traces.values()) == {1}
    for span in drawn:
        assert {one.trace_id for one in told.below(span)} == {span.trace_id}


def test_spans_go_to_otlps_path_or_the_one_that_is_given(repository: Repository, told: Collector) -> None:
    assert set(told.paths) == {"/v1/traces"}
    with collector() as other, serving(repository.path, "--otlp-endpoint", f"{other.url}/own") as server:
        Client("http", server, repository.test.image).ask(1, "r")
        # What waits is delivered by a stop.
        assert server.terminate() == 0
        assert other.request("r").name == "infer digits"
        assert set(other.paths) == {"/own"}


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_a_collector_that_is_away_harms_nobody(repository: Repository) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    with serving(repository.path, "--otlp-endpoint", away) as server:
        client = Client("http", server, repository.test.image)
        end_s = time.monotonic() + 30
        while not any("traces:" in line for line in server.output):
            began_s = time.monotonic()
            assert len(client.ask(3, "r").as_numpy("label")) == 3
            assert time.monotonic() - began_s < 1.0
            assert time.monotonic() < end_s
        began_s = time.monotonic()
        assert server.terminate() == 0
        assert time.monotonic() - began_s < 10
    lines = [line for line in server.output if "traces:" in line or "opentelemetry" in line.lower()]
    assert "the collector takes no spans" in lines[0]
    assert "spans were dropped" in lines[-1]
    assert len(lines) == 2


@pytest.mark.parametrize("flags", [(), ("--otlp-endpoint", "http://127.0.0.1:1")])
def test_opentelemetry_is_loaded_only_where_there_are_traces(
    flags: tuple[str, ...], repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    with serving(repository.path, *flags) as server:
        Client("http", server, repository.test.image).ask(1, "r", UNSAMPLED)
    loaded = {line.rpartition("|")[2].strip() for line in server.output if line.startswith("import time:")}
    assert "serving.otlp" in loaded
    named = ("opentelemetry.sdk", "opentelemetry.exporter", "opentelemetry.proto", "requests")
    assert bool({name for name in loaded if name.startswith(named)}) == bool(flags)


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace.export", None)
    with pytest.raises(StartupError) as caught:
        OtlpExport("http://127.0.0.1:1/v1/traces")
    assert str(caught.value) == "--otlp-endpoint needs OpenTelemetry: pip install '.[traces]'"


def span(number: int, text: str | None = None) -> Span:
    return Span(
        name=f"infer {number}",
        trace_id=1,
        span_id=1 + number,
        parent_id=None,
        is_request=True,
        started_s=1.0,
        ended_s=2.0,
        attributes={"exitgate.request_id": str(number)},
        fault=None if text is None else Fault("InvalidRequest", text),
    )


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "SEND_EVERY_S", 0.02)
    monkeypatch.setattr(otlp, "SEND_WITHIN_S", 0.3)


def test_text_that_cannot_be_encoded_costs_no_span(often: None) -> None:
    with collector() as told:
        export = OtlpExport(f"{told.url}/v1/traces")
        export.emit(span(0, "no \ud800 text"))
        export.emit(span(1))
        export.close()
        assert sorted((one.name, one.text) for one in told.spans) == [
            ("infer 0", "no ? text"),
            ("infer 1", ""),
        ]


def test_trouble_and_its_end_are_told_once(often: None, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with collector() as told:
        told.status = 400
        export = OtlpExport(f"{told.url}/v1/traces")
        for number in range(3):
            export.emit(span(number))
            told.until(lambda number=number: len(told.paths) > number)
        told.until(lambda: bool(caplog.messages))
        told.status = 200
        for number in range(3, 6):
            export.emit(span(number))
            told.until(lambda number=number: len(told.spans) > number - 3)
        export.close()
    assert caplog.messages == [
        "traces: the collector takes no spans; 1 were dropped so far",
        "traces: the collector takes spans again; 3 were dropped so far",
        "traces: 3 spans were dropped",
    ]


def test_nothing_waits_for_a_collector_that_hangs(
    often: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Beyond what may wait spans are dropped, and one attempt in closing is enough."""
    monkeypatch.setattr(otlp, "MAX_WAITING_SPANS", 100)
    monkeypatch.setattr(otlp, "BATCH_SPANS", 10)
    with socket.create_server(("127.0.0.1", 0)) as hangs:
        export = OtlpExport(f"http://127.0.0.1:{hangs.getsockname()[1]}/v1/traces")
        began_s = time.monotonic()
        for number in range(1000):
            export.emit(span(number))
        assert time.monotonic() - began_s < 1.0
        began_s = time.monotonic()
        export.close()
        assert time.monotonic() - began_s < 2.0
    first, last = caplog.messages
    dropped = int(first.removeprefix("traces: the collector takes no spans; ").split()[0])
    assert 700 <= dropped <= 910
    assert last == "traces: 1000 spans were dropped"


def test_a_stop_is_not_held_up(often: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "SEND_WITHIN_S", 3.0)
    monkeypatch.setattr(otlp, "STOP_WITHIN_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as hangs:
        export = OtlpExport(f"http://127.0.0.1:{hangs.getsockname()[1]}/v1/traces")
        export.emit(span(0))
        began_s = time.monotonic()
        export.close()
        assert time.monotonic() - began_s < 2.0
    # It would tell the log of its end in the midst of another test.
    for thread in threading.enumerate():
        if thread.name == "traces-close":
            thread.join(10.0)
            assert not thread.is_alive()
