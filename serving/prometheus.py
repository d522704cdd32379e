"""The server's counters in Prometheus's terms, read when they are asked for."""

from collections import Counter
from collections.abc import ItemsView, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from serving.decision_log import DecisionLog
from serving.decision_log_metrics import DecisionLogCollector
from serving.drift import ScoreDrift
from serving.engine import Engine
from serving.scheduling.breaker import State
from serving.statistics import LATENCY_BOUNDS_S, CascadeStatistics, Duration, Latency, MemberStatistics

BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def metrics_registry(engine: Engine, decisions: DecisionLog | None = None) -> CollectorRegistry:
    """The engine's counters beside the process's own (CPU seconds, memory, descriptors)."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    registry.register(EngineCollector(engine))
    if decisions is not None:
        registry.register(DecisionLogCollector(decisions))
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
        yield from self._requests()
        yield from self._rows()
        yield from self._costs()
        yield from self._members()
        yield from self._breakers()
        yield from self._gears()
        yield self._audits()
        yield from self._drift()

    def _requests(self) -> Iterator[Metric]:
        requests = _counter("requests", "Requests ended, by outcome.", "model", "outcome")
        seconds = _counter("request_seconds", "Time from arrival to answer, summed.", "model", "outcome")
        degraded = _counter("degraded", "Requests answered before the cascade was done with them.", "model")
        rows = _counter("rows", "Rows answered.", "model")
        latency = HistogramMetricFamily(
            "exitgate_latency_seconds",
            "Time from arrival to answer, by the stage of the row that went furthest.",
            labels=["model", "stage"],
        )
        for name, counters in self._cascades():
            for stage, took in sorted(counters.latency.items()):
                latency.add_metric([name, str(stage)], _latencies(took), took.seconds)
            for outcome, duration in (("success", counters.success), *counters.without_answer.items()):
                requests.add_metric([name, outcome], duration.count)
                seconds.add_metric([name, outcome], duration.ns / 1e9)
            rows.add_metric([name], counters.rows)
            degraded.add_metric([name], counters.degraded)
        yield from (requests, seconds, degraded, rows, latency)

    def _cascades(self) -> ItemsView[str, CascadeStatistics]:
        return self._engine.statistics.cascades.items()

    def _rows(self) -> Iterator[Metric]:
        exits = _counter(
            "exits", "Rows that left, by policy, stage and reason.", "model", "policy", "stage", "reason"
        )
        forwarded = _counter(
            "forwarded_rows", "Rows whose answer rests on a later stage too.", "model", "policy", "stage"
        )
        accepted = _counter(
            "accepted_rows", "Rows accepted by the policy's final threshold.", "model", "policy"
        )
        for name, counters in self._cascades():
            beyond: Counter[tuple[str, int]] = Counter()
            for (policy, stage, reason), count in counters.exits.items():
                exits.add_metric([name, policy, str(stage), reason], count)
                beyond.update({(policy, before): count for before in range(1, stage)})
            for (policy, stage), count in beyond.items():
                forwarded.add_metric([name, policy, str(stage)], count)
            for policy, count in counters.accepted.items():
                accepted.add_metric([name, policy], count)
        yield from (exits, forwarded, accepted)

    def _costs(self) -> Iterator[Metric]:
        macs = _counter("macs", "Multiply-adds of the stages that answers rest on.", "model")
        full = _counter("full_macs", "Multiply-adds that all stages would have taken.", "model")
        for name, counters in self._cascades():
            macs.add_metric([name], counters.macs)
            full.add_metric([name], counters.full_macs)
        yield from (macs, full)

    def _gears(self) -> Iterator[Metric]:
        gears = _gauge("gear", "The gear engaged; 0 is the dearest policy.", "model")
        for name, served in self._engine.registry.cascades.items():
            if served.gear is not None:
                gears.add_metric([name], served.gear)
        shifts = _counter(
            "gear_shifts", "Shifts to a cheaper gear (down) or a dearer one (up).", "model", "to"
        )
        for name, counters in self._cascades():
            for direction, count in counters.shifts.items():
                shifts.add_metric([name, direction], count)
        yield from (gears, shifts)

    def _audits(self) -> Metric:
        audits = _counter(
            "audited_rows", "Rows drawn for an audit, by what came of it.", "model", "policy", "result"
        )
        for name, counters in self._cascades():
            for (policy, result), count in counters.audits.items():
                audits.add_metric([name, policy, result], count)
        return audits

    def _drift(self) -> Iterator[Metric]:
        """Scores, and what a policy's evidence had; of shares forwarded counters tell the live ones."""
        scores = HistogramMetricFamily(
            "exitgate_score", "Scores of the first stage.", labels=["model", "policy"]
        )
        index = _gauge(
            "score_drift", "Population stability index of recent first-stage scores.", "model", "policy"
        )
        forwarded = _gauge(
            "expected_forwarded_share",
            "Of all rows, those that a policy forwarded on its evidence.",
            *("model", "policy", "stage"),
        )
        for name, served in self._engine.registry.cascades.items():
            for policy, drift in served.drift.items():
                scores.add_metric([name, policy], _cumulative(drift), None)
                if drift.index is not None:
                    index.add_metric([name, policy], drift.index)
            for policy, known in served.cascade.policies.items():
                for stage, share in enumerate(known.known_forwarded or (), start=1):
                    forwarded.add_metric([name, policy, str(stage)], share)
        yield from (scores, index, forwarded)

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
            sizes.add_metric([key], _buckets(counters), counters.batch_rows)
        yield from (rows, compute, queue, failures, sizes)

    def _breakers(self) -> Iterator[Metric]:
        """One state of each member is 1, the others 0."""
        states = _gauge(
            "breaker_state",
            "Whether a member takes part: closed, or left out (open), or on trial (half_open).",
            *("member", "state"),
        )
        opened = _counter("breaker_opened", "How often a member was left out.", "member")
        for key, breaker in self._engine.breakers.states().items():
            for state in State:
                states.add_metric([key, state.value], float(breaker.state is state))
            opened.add_metric([key], breaker.num_opened)
        yield from (states, opened)


def _counter(name: str, text: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"exitgate_{name}", text, labels=labels)


def _gauge(name: str, text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"exitgate_{name}", text, labels=labels)


def _latencies(latency: Latency) -> list[tuple[str, float]]:
    bounds = [*(f"{bound:.4g}" for bound in LATENCY_BOUNDS_S), "+Inf"]
    return list(zip(bounds, map(float, accumulate(latency.counts)), strict=True))


def _cumulative(drift: ScoreDrift) -> list[tuple[str, float]]:
    bounds = [*(repr(float(edge)) for edge in drift.edges), "+Inf"]
    return list(zip(bounds, drift.counts.cumsum().astype(float).tolist(), strict=True))


def _buckets(counters: MemberStatistics) -> list[tuple[str, float]]:
    sizes: dict[int, Duration] = counters.by_batch_size
    bounds = [
        (str(bound), float(sum(duration.count for size, duration in sizes.items() if size <= bound)))
        for bound in BATCH_BUCKETS
    ]
    return [*bounds, ("+Inf", float(counters.compute.count))]
