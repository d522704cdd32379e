"""The server's counters in Prometheus's terms, read when they are asked for."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from serving.engine import Engine
from serving.scheduling.breaker import State
from serving.statistics import Duration, MemberStatistics

BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def metrics_registry(engine: Engine) -> CollectorRegistry:
    """The engine's counters beside the process's own (CPU seconds, memory, descriptors)."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    registry.register(EngineCollector(engine))
    return registry


class EngineCollector(Collector):
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "exitgate_queued_rows", "Rows waiting for a member.", self._engine.queued_rows
        )
        yield GaugeMetricFamily(
            "exitgate_active_requests", "Requests under way.", self._engine.active_requests
        )
        yield from self._cascades()
        yield from self._members()
        yield from self._breakers()
        yield self._gears()

    def _cascades(self) -> Iterator[Metric]:
        requests = _counter("requests", "Requests ended, by outcome.", "model", "outcome")
        seconds = _counter("request_seconds", "Time from arrival to answer, summed.", "model", "outcome")
        degraded = _counter("degraded", "Requests answered before the cascade was done with them.", "model")
        rows = _counter("rows", "Rows answered.", "model")
        exits = _counter(
            "exits", "Rows that left, by policy, stage and reason.", "model", "policy", "stage", "reason"
        )
        accepted = _counter(
            "accepted_rows", "Rows accepted by the policy's final threshold.", "model", "policy"
        )
        shifts = _counter(
            "gear_shifts", "Shifts to a cheaper gear (down) or a dearer one (up).", "model", "to"
        )
        for name, counters in self._engine.statistics.cascades.items():
            for outcome, duration in (("success", counters.success), *counters.without_answer.items()):
                requests.add_metric([name, outcome], duration.count)
                seconds.add_metric([name, outcome], duration.ns / 1e9)
            rows.add_metric([name], counters.rows)
            degraded.add_metric([name], counters.degraded)
            for (policy, stage, reason), count in counters.exits.items():
                exits.add_metric([name, policy, str(stage), reason], count)
            for policy, count in counters.accepted.items():
                accepted.add_metric([name, policy], count)
            for direction, count in counters.shifts.items():
                shifts.add_metric([name, direction], count)
        yield from (requests, seconds, degraded, rows, exits, accepted, shifts)

    def _gears(self) -> Metric:
        gears = GaugeMetricFamily(
            "exitgate_gear", "The gear engaged; 0 is the dearest policy.", labels=["model"]
        )
        for name, served in self._engine.registry.cascades.items():
            if served.gear is not None:
                gears.add_metric([name], served.gear)
        return gears

    def _members(self) -> Iterator[Metric]:
        rows = _counter("member_rows", "Rows that a member executed.", "member")
        compute = _counter("member_compute_seconds", "Time spent in a member's batches.", "member")
        queue = _counter("member_queue_seconds", "Time that work waited for a member, summed.", "member")
        failures = _counter("member_failures", "Requests whose rows a member failed on.", "member")
        sizes = HistogramMetricFamily("exitgate_batch_rows", "Rows in a member's batches.", labels=["member"])
        for key, counters in self._engine.statistics.members.items():
            rows.add_metric([key], counters.rows)
            compute.add_metric([key], counters.compute.ns / 1e9)
            queue.add_metric([key], counters.spent.queue_s)
            failures.add_metric([key], counters.failed.count)
            sizes.add_metric([key], _buckets(counters), counters.rows)
        yield from (rows, compute, queue, failures, sizes)

    def _breakers(self) -> Iterator[Metric]:
        """One state of each member is 1, the others 0."""
        states = GaugeMetricFamily(
            "exitgate_breaker_state",
            "Whether a member takes part: closed, or left out (open), or on trial (half_open).",
            labels=["member", "state"],
        )
        opened = _counter("breaker_opened", "How often a member was left out.", "member")
        for key, breaker in self._engine.breakers.states().items():
            for state in State:
                states.add_metric([key, state.value], float(breaker.state is state))
            opened.add_metric([key], breaker.num_opened)
        yield from (states, opened)


def _counter(name: str, text: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"exitgate_{name}", text, labels=labels)


def _buckets(counters: MemberStatistics) -> list[tuple[str, float]]:
    sizes: dict[int, Duration] = counters.by_batch_size
    bounds = [
        (str(bound), float(sum(duration.count for size, duration in sizes.items() if size <= bound)))
        for bound in BATCH_BUCKETS
    ]
    return [*bounds, ("+Inf", float(counters.compute.count))]
