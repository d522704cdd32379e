"""The decision log's counters in Prometheus's terms."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from serving.decision_log import DecisionLog


class DecisionLogCollector(Collector):
    def __init__(self, decisions: DecisionLog) -> None:
        self._decisions = decisions

    def collect(self) -> Iterator[Metric]:
        rows = CounterMetricFamily(
            "exitgate_decision_log_rows",
            "Rows of the decision log, by what became of them.",
            labels=["outcome"],
        )
        rows.add_metric(["written"], self._decisions.num_written)
        rows.add_metric(["dropped"], self._decisions.num_dropped)
        yield rows
        yield GaugeMetricFamily(
            "exitgate_decision_log_waiting_bytes",
            "What waits in memory for the decision log's next file.",
            self._decisions.waiting_bytes,
        )
