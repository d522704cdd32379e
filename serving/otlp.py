"""Spans to a collector, by OpenTelemetry's exporter: OTLP over HTTP.

Nothing waits for it. Spans go into a queue, from which a thread of OpenTelemetry's takes them; what is too
much, or cannot be delivered, is dropped, and the log says so now and then.
"""

import logging
import math
import threading
import time
from collections.abc import Sequence
from typing import Any

from serving.errors import StartupError
from serving.tracing import Span

log = logging.getLogger("exitgate")
MAX_WAITING_SPANS = 8192
BATCH_SPANS = 512
SEND_EVERY_S = 1.0
SEND_WITHIN_S = 3.0
STOP_WITHIN_S = 5.0
TELL_EVERY_S = 60.0
MISSING = "--otlp-endpoint needs OpenTelemetry: pip install '.[traces]'"


class OtlpExport:
    """Phases: any number of `emit`, on one thread, then `close`."""

    def __init__(self, url: str) -> None:
        """StartupError where OpenTelemetry is missing. `url` has the path that spans are posted to."""
        self._otel = _OpenTelemetry()
        # It would tell of every attempt.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)
        self._delivery = Delivery(self._otel.exporter(endpoint=url, timeout=SEND_WITHIN_S), self._otel)
        self._processor = self._otel.processor(
            self._delivery,
            max_queue_size=MAX_WAITING_SPANS,
            schedule_delay_millis=SEND_EVERY_S * 1000,
            max_export_batch_size=BATCH_SPANS,
        )
        self._wall_s = time.time() - time.monotonic()
        self._num_queued = 0

    def emit(self, span: Span) -> None:
        """Never waits, and never raises."""
        if self._num_queued - self._delivery.num_taken >= MAX_WAITING_SPANS:
            self._delivery.num_refused += 1
            return
        self._num_queued += 1
        self._processor.on_end(self._otel.span(span, self._wall_s))

    def close(self) -> None:
        """Deliver what waits, within STOP_WITHIN_S, and not to a collector that is away."""
        self._delivery.is_closing = True
        closing = threading.Thread(target=self._processor.shutdown, name="traces-close", daemon=True)
        closing.start()
        closing.join(STOP_WITHIN_S)
        num_lost = self._num_queued - self._delivery.num_delivered + self._delivery.num_refused
        if num_lost:
            log.warning("traces: %d spans were dropped", num_lost)


class Delivery:
    """A span exporter that tells of failures once in a while, and gives up at the first one in closing.

    Counters are bumped by one thread each: `num_refused` by who emits, the others by who delivers.
    """

    def __init__(self, exporter: Any, otel: "_OpenTelemetry") -> None:
        self._exporter = exporter
        self._otel = otel
        self._told_s = -math.inf
        self._is_told = False
        self._has_given_up = False
        self.is_closing = False
        self.num_refused = 0
        self.num_taken = 0
        self.num_delivered = 0

    @property
    def num_dropped(self) -> int:
        return self.num_refused + self.num_taken - self.num_delivered

    def export(self, spans: Sequence[Any]) -> Any:
        self.num_taken += len(spans)
        if self._has_given_up:
            return self._otel.failure
        try:
            result = self._exporter.export(spans)
        except Exception as error:  # a bug, there or here, and later spans are to be delivered all the same
            log.error("traces: %s while spans were sent", type(error).__name__)
            result = self._otel.failure
        if result is self._otel.failure:
            self._failed()
        else:
            self._delivered(len(spans))
        return result

    def _failed(self) -> None:
        self._has_given_up = self.is_closing
        now_s = time.monotonic()
        if now_s - self._told_s >= TELL_EVERY_S:
            self._told_s, self._is_told = now_s, True
            log.warning("traces: the collector takes no spans; %d were dropped so far", self.num_dropped)

    def _delivered(self, num_spans: int) -> None:
        self.num_delivered += num_spans
        if self._is_told:
            log.info("traces: the collector takes spans again; %d were dropped so far", self.num_dropped)
        self._is_told = False

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return True


class _OpenTelemetry:
    """What is used of it, loaded only where there are to be traces."""

    def __init__(self) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
            from opentelemetry.sdk.trace import ReadableSpan
            from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExportResult
            from opentelemetry.sdk.util.instrumentation import InstrumentationScope
            from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
        except ImportError:
            raise StartupError(MISSING) from None
        self.exporter: Any = OTLPSpanExporter
        self.processor: Any = BatchSpanProcessor
        self.failure = SpanExportResult.FAILURE
        self._readable, self._context = ReadableSpan, SpanContext
        self._kinds = {True: SpanKind.SERVER, False: SpanKind.INTERNAL}
        self._error, self._unset = StatusCode.ERROR, Status()
        self._status = Status
        self._flags = TraceFlags(TraceFlags.SAMPLED)
        self._scope = InstrumentationScope("exitgate")
        # What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say goes before it.
        self._resource = Resource({SERVICE_NAME: "exitgate"}).merge(OTELResourceDetector().detect())

    def span(self, span: Span, wall_s: float) -> Any:
        """`wall_s` is what the monotonic clock lacks to the time of day."""
        parent = None
        if span.parent_id is not None:
            parent = self._context(span.trace_id, span.parent_id, span.is_request, self._flags)
        attributes: dict[str, Any] = dict(span.attributes)
        status = self._unset
        if span.fault is not None:
            attributes["error.type"] = span.fault.kind
            # A client's text that cannot be encoded must not cost its neighbours in the batch.
            status = self._status(self._error, span.fault.text.encode(errors="replace").decode())
        return self._readable(
            name=span.name,
            context=self._context(span.trace_id, span.span_id, False, self._flags),
            parent=parent,
            resource=self._resource,
            attributes=attributes,
            kind=self._kinds[span.is_request],
            status=status,
            start_time=int((wall_s + span.started_s) * 1e9),
            end_time=int((wall_s + span.ended_s) * 1e9),
            instrumentation_scope=self._scope,
        )
