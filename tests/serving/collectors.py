"""A collector for tests: takes OTLP over HTTP, and keeps what it is told."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Message
from opentelemetry.proto.trace.v1.trace_pb2 import Status

SERVER, INTERNAL = Message.SPAN_KIND_SERVER, Message.SPAN_KIND_INTERNAL


@dataclass(frozen=True)
class Received:
    """A span as it was sent. Ids are in hex, as in a `traceparent`."""

    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    is_error: bool
    text: str
    attributes: Mapping[str, Any]

    @property
    def is_request(self) -> bool:
        return self.kind == SERVER


@dataclass
class Collector:
    """`url` has no path. It answers with `status`, and keeps spans where that is 200."""

    url: str = ""
    status: int = 200
    paths: list[str] = field(default_factory=list)
    spans: list[Received] = field(default_factory=list)

    def until(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        end_s = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end_s, f"only these came: {[span.name for span in self.spans]}"
            time.sleep(0.01)

    def requests(self) -> list[Received]:
        return [span for span in self.spans if span.is_request]

    def request(self, request_id: str) -> Received:
        """Its span, once it has come; those below it were sent before it."""

        def found() -> list[Received]:
            return [one for one in self.requests() if one.attributes.get("exitgate.request_id") == request_id]

        self.until(lambda: bool(found()))
        (span,) = found()
        return span

    def below(self, span: Received) -> list[Received]:
        return [one for one in self.spans if one.parent_id == span.span_id]


@contextmanager
def collector() -> Iterator[Collector]:
    """On a free port of loopback."""
    told = Collector()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(told))
    told.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(told: Collector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status = told.status
            if status == 200:
                told.spans += _received(ExportTraceServiceRequest.FromString(body))
            told.paths.append(self.path)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(status)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *arguments: object) -> None:
            pass

    return Handler


def _received(message: Any) -> Iterator[Received]:
    for of_resource in message.resource_spans:
        service = _values(of_resource.resource.attributes)["service.name"]
        for of_scope in of_resource.scope_spans:
            assert of_scope.scope.name == "exitgate"
            for span in of_scope.spans:
                yield Received(
                    service=service,
                    name=span.name,
                    kind=span.kind,
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    start_ns=span.start_time_unix_nano,
                    end_ns=span.end_time_unix_nano,
                    is_error=span.status.code == Status.STATUS_CODE_ERROR,
                    text=span.status.message,
                    attributes=_values(span.attributes),
                )


def _values(attributes: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return (
        [_value(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, kind)
    )
