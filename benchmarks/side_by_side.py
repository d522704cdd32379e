"""Servers, or policies of one, measured in blocks that take turns: what drifts on the machine cancels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from benchmarks.closed_loop import Measured, drive

WARM_UP_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Contender:
    """Where it listens and what is sent there; `cpu_s` is the CPU time that its server has used so far."""

    address: str
    requests: list[bytes]
    cpu_s: Callable[[], float]


@dataclass
class Blocks:
    """The blocks of one contender."""

    measured: list[Measured] = field(default_factory=list)
    cpu_s: float = 0.0

    @property
    def rows_per_s(self) -> list[float]:
        return [block.rows_per_s for block in self.measured]

    @property
    def num_rows(self) -> int:
        return sum(block.rows * len(block.latency_s) for block in self.measured)

    def percentile_ms(self, percent: float) -> float:
        latency_s = np.concatenate([block.latency_s for block in self.measured])
        return float(np.percentile(latency_s, percent) * 1e3)

    def summary(self) -> dict[str, Any]:
        return {
            "rows_per_s": round(self.num_rows / sum(block.seconds for block in self.measured), 1),
            "rows_per_s_of_blocks": [round(rate, 1) for rate in self.rows_per_s],
            "p50_ms": round(self.percentile_ms(50), 2),
            "p99_ms": round(self.percentile_ms(99), 2),
            "server_cpu_ms_per_row": round(self.cpu_s / self.num_rows * 1e3, 3),
        }


def alternate(
    contenders: Mapping[str, Contender],
    protocol: str,
    *,
    rows: int,
    clients: int,
    blocks: int,
    seconds: float,
) -> dict[str, Blocks]:
    """A B A B ...: `blocks` of `seconds` each for every contender; one is idle while another is measured."""
    results = {name: Blocks() for name in contenders}
    for contender in contenders.values():
        drive(protocol, contender.address, contender.requests, rows, clients, min(WARM_UP_S, seconds))
    for _ in range(blocks):
        for name, contender in contenders.items():
            before = contender.cpu_s()
            measured = drive(protocol, contender.address, contender.requests, rows, clients, seconds)
            results[name].measured.append(measured)
            results[name].cpu_s += contender.cpu_s() - before
    return results


def throughput_ratio(over: Blocks, under: Blocks) -> dict[str, float]:
    """Of blocks that followed one another: their median, least and largest."""
    ratios = [a / b for a, b in zip(over.rows_per_s, under.rows_per_s, strict=True)]
    return {"median": round(median(ratios), 3), "least": round(min(ratios), 3), "most": round(max(ratios), 3)}


def pieces(count: int, rows: int) -> Sequence[slice]:
    """Whole requests of `rows` rows each."""
    return [slice(start, start + rows) for start in range(0, count - rows + 1, rows)]
