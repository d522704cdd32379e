"""What a server has counted of a model, as the protocol's statistics tell it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Batches:
    """Executions of one batch size: how many, and the seconds that all of them computed."""

    count: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class ModelStatistics:
    """`rows` were executed, of which `queue_s` seconds were waited in all requests together; `batches` by
    their number of rows, empty where the server does not tell."""

    rows: int = 0
    queue_s: float = 0.0
    batches: Mapping[int, Batches] = field(default_factory=dict)

    @property
    def compute_s(self) -> float:
        """Seconds of executions: a batch counts once, however many requests are in it."""
        return sum(batch.seconds for batch in self.batches.values())

    def since(self, before: "ModelStatistics") -> "ModelStatistics":
        return ModelStatistics(
            rows=self.rows - before.rows,
            queue_s=self.queue_s - before.queue_s,
            batches=_added(self.batches, before.batches, sign=-1),
        )

    def plus(self, other: "ModelStatistics") -> "ModelStatistics":
        return ModelStatistics(
            rows=self.rows + other.rows,
            queue_s=self.queue_s + other.queue_s,
            batches=_added(self.batches, other.batches, sign=1),
        )


Statistics = Mapping[str, ModelStatistics]


def between(before: Statistics, after: Statistics) -> dict[str, ModelStatistics]:
    nothing = ModelStatistics()
    return {name: now.since(before.get(name, nothing)) for name, now in after.items()}


def total(parts: Sequence[Statistics]) -> dict[str, ModelStatistics]:
    sums: dict[str, ModelStatistics] = {}
    for part in parts:
        for name, statistics in part.items():
            sums[name] = sums.get(name, ModelStatistics()).plus(statistics)
    return sums


def statistics_from_json(reply: Mapping[str, Any]) -> dict[str, ModelStatistics]:
    """The protocol's `model_stats`; whatever its keys and values may raise is for the caller. Versions of
    one name are added up."""
    return total([{str(model["name"]): _of(model)} for model in reply["model_stats"]])


def _of(model: Mapping[str, Any]) -> ModelStatistics:
    queue = (model.get("inference_stats") or {}).get("queue") or {}
    return ModelStatistics(
        rows=int(model.get("inference_count", 0)),
        queue_s=int(queue.get("ns", 0)) / 1e9,
        batches={int(batch["batch_size"]): _batches(batch) for batch in model.get("batch_stats") or ()},
    )


def _batches(batch: Mapping[str, Any]) -> Batches:
    parts = [batch.get(name) or {} for name in ("compute_input", "compute_infer", "compute_output")]
    return Batches(
        count=int(parts[1].get("count", 0)), seconds=sum(int(part.get("ns", 0)) for part in parts) / 1e9
    )


def _added(one: Mapping[int, Batches], other: Mapping[int, Batches], *, sign: int) -> dict[int, Batches]:
    nothing = Batches(count=0, seconds=0.0)
    sums = {}
    for size in sorted({*one, *other}):
        a, b = one.get(size, nothing), other.get(size, nothing)
        sums[size] = Batches(count=a.count + sign * b.count, seconds=a.seconds + sign * b.seconds)
    return {size: batches for size, batches in sums.items() if batches.count}
