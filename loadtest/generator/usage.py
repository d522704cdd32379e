"""What the generator spent while something ran."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class GeneratorUsage:
    """Of one process."""

    wall_s: float = 0.0
    cpu_s: float = 0.0

    @property
    def cpu_share(self) -> float:
        """Of one core."""
        return self.cpu_s / self.wall_s if self.wall_s else 0.0


@contextmanager
def measured_usage() -> Iterator[GeneratorUsage]:
    """Filled in when the block is left."""
    usage = GeneratorUsage()
    wall, cpu = time.perf_counter(), time.process_time()
    yield usage
    usage.wall_s, usage.cpu_s = time.perf_counter() - wall, time.process_time() - cpu


def busiest(parts: Sequence[GeneratorUsage]) -> GeneratorUsage:
    """Of processes side by side, the one nearest to a whole core: it is the one that lags."""
    return max(parts, key=lambda usage: usage.cpu_share)


def summed(parts: Sequence[GeneratorUsage]) -> GeneratorUsage:
    """Of blocks one after the other."""
    return GeneratorUsage(sum(part.wall_s for part in parts), sum(part.cpu_s for part in parts))
