"""Every system's settings tried at every case; each case is then served by the one that was fastest there."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import prod
from typing import Any

from benchmarks.peers.system import Case, System
from benchmarks.peers.workload import Workload


@dataclass(frozen=True)
class Point:
    """A setting of a system, and what it reached in each case."""

    system: str
    setting: Any
    rows_per_s: Mapping[Case, float]
    p99_ms: Mapping[Case, float]

    @property
    def overall(self) -> float:
        """The geometric mean over the cases."""
        return prod(self.rows_per_s.values()) ** (1 / len(self.rows_per_s))

    def row(self) -> dict[str, Any]:
        measured = {
            f"{case.protocol} {case.clients}": {"rows_per_s": rows, "p99_ms": self.p99_ms[case]}
            for case, rows in self.rows_per_s.items()
        }
        return {"system": self.system, "setting": asdict(self.setting), "measured": measured}


class Tuning:
    """Of one system."""

    def __init__(self, system: System, workload: Workload, cases: Sequence[Case], seconds: float) -> None:
        self._system = system
        self._workload = workload
        self._cases = cases
        self._seconds = seconds
        self.points: dict[Any, Point] = {}

    def search(self, num_groups: int) -> None:
        """Group after group, each from the best setting so far."""
        best = self._point(self._system.default).setting
        for group in self._system.grid[:num_groups]:
            choices = itertools.product(*group.values())
            tried = [replace(best, **dict(zip(group, choice, strict=True))) for choice in choices]
            best = max(tried, key=lambda setting: self._point(setting).overall)

    def fastest(self, case: Case) -> Point:
        return max(self.points.values(), key=lambda point: point.rows_per_s[case])

    def _point(self, setting: Any) -> Point:
        if setting not in self.points:
            blocks = self._system.measure(self._workload, setting, self._cases, self._seconds)
            rows_per_s = {case: round(block.measured.rows_per_s, 1) for case, block in blocks.items()}
            p99_ms = {case: round(block.measured.percentile_ms(99), 2) for case, block in blocks.items()}
            self.points[setting] = Point(self._system.name, setting, rows_per_s, p99_ms)
            print(self.points[setting].row(), flush=True)
        return self.points[setting]
