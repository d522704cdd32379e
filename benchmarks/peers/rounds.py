"""The measurement: in every round each system is started, measured in each case and stopped, one at a time.

What drifts on the machine so meets all of them, and no idle server takes part of the cores.
"""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.offline_ideal import best_cpu_s_per_row
from benchmarks.peers.system import Block, Case, System
from benchmarks.peers.workload import MODEL, POLICY, Workload

Chosen = Mapping[str, Mapping[Case, Any]]
"""The setting of a system, by its name, in each case."""


class Rounds:
    def __init__(self, systems: Sequence[System], workload: Workload, chosen: Chosen) -> None:
        self._systems = systems
        self._workload = workload
        self._chosen = chosen
        self._blocks: dict[tuple[str, Case], list[Block]] = defaultdict(list)
        self._ideal_rows_per_s: list[float] = []

    def measure(self, number: int, seconds: float) -> None:
        """One round, by its number: another system is the first in each."""
        self._ideal_rows_per_s.append(_ideal_rows_per_s(self._workload))
        first = number % len(self._systems)
        for system in (*self._systems[first:], *self._systems[:first]):
            self._measure(system, seconds)
            print(f"round {number + 1}: {system.name}", flush=True)

    def _measure(self, system: System, seconds: float) -> None:
        for setting, cases in _by_setting(self._chosen[system.name]).items():
            for case, block in system.measure(self._workload, setting, cases, seconds).items():
                self._blocks[system.name, case].append(block)

    def ideal(self) -> dict[str, Any]:
        return _median_and_all(self._ideal_rows_per_s)

    def rows(self) -> list[dict[str, Any]]:
        """The median of each figure over the rounds."""
        return [
            {
                "system": name,
                "protocol": case.protocol,
                "clients": case.clients,
                "rows_per_s": _median_and_all([block.measured.rows_per_s for block in blocks]),
                "p50_ms": round(median(block.measured.percentile_ms(50) for block in blocks), 2),
                "p99_ms": round(median(block.measured.percentile_ms(99) for block in blocks), 2),
                "server_cpu_ms_per_row": round(median(block.cpu_ms_per_row for block in blocks), 3),
            }
            for (name, case), blocks in self._blocks.items()
        ]


def _by_setting(chosen: Mapping[Case, Any]) -> dict[Any, list[Case]]:
    """So that a setting that is the fastest in several cases is started once."""
    cases = defaultdict(list)
    for case, setting in chosen.items():
        cases[setting].append(case)
    return cases


def _ideal_rows_per_s(workload: Workload) -> float:
    """With all cores at it, and none left for clients."""
    cores = os.cpu_count() or 1
    return cores / best_cpu_s_per_row(workload.repository, MODEL, POLICY, workload.images, cores)[0]


def _median_and_all(values: Sequence[float]) -> dict[str, Any]:
    return {"median": round(median(values), 1), "of_rounds": [round(value, 1) for value in values]}
