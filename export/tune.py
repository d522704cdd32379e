"""How the embedded runtime runs members fastest on this machine, by a short benchmark.

Each setting runs batches of every size for a moment: so many at once, each on threads of its own, spinning or
not. That is done in rounds, and the quickest median of a batch counts: what else the machine does makes runs
longer, never shorter. The setting with the most rows per second through all members together is chosen, and a
service curve is a line through its members' seconds of a batch, by size.
"""

import itertools
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from cascade.runtime import Runtime, ServiceCurve
from export.inference import open_session
from export.plan import Plan
from export.rows import Array, Rows
from export.signature import MemberSignature

ROUNDS = 3
MOMENT_S = 0.1
MIN_RUNS = 3
MAX_CANDIDATES = 7
NEARLY = 0.95
"""A smaller batch that reaches this share of the most rows per second answers sooner, and is preferred."""

Feeds = dict[str, Array]
Models = Mapping[str, tuple[Path, MemberSignature]]


@dataclass(frozen=True, kw_only=True)
class Setting:
    num_workers: int
    num_threads: int
    is_spinning: bool


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Seconds of a batch by its size, for each member, `setting.num_workers` being under way at once."""

    setting: Setting
    seconds: Mapping[str, Mapping[int, float]]

    def rows_per_s(self, size: int) -> float:
        """Of rows that all members run."""
        return self.setting.num_workers * size / sum(of_member[size] for of_member in self.seconds.values())

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(next(iter(self.seconds.values())))

    @property
    def best(self) -> float:
        return max(self.rows_per_s(size) for size in self.sizes)


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """What was chosen, the curves (of one worker, all being busy), and all that was measured."""

    runtime: Runtime
    curves: Mapping[str, ServiceCurve]
    measurements: tuple[Measurement, ...]

    def seconds_per_row(self, member: str) -> float:
        """Of the whole machine, in batches of the chosen size: what a row costs when there is much to do."""
        rows = self.runtime.max_batch_rows
        return self.curves[member].seconds(rows) / rows / self.runtime.num_workers


def tune(models: Models, rows: Rows, max_batch_size: int) -> Tuning:
    """Takes some seconds per setting and member."""
    batches = _batches(rows, _sizes(max_batch_size))
    rounds = [[_measure(setting, models, batches) for setting in _settings()] for _ in range(ROUNDS)]
    return choose([_quickest(of_setting) for of_setting in zip(*rounds, strict=True)])


def _quickest(measurements: Sequence[Measurement]) -> Measurement:
    """Of one setting, measured several times."""
    first = measurements[0]
    seconds = {
        name: {size: min(each.seconds[name][size] for each in measurements) for size in first.sizes}
        for name in first.seconds
    }
    return replace(first, seconds=seconds)


def choose(measurements: Sequence[Measurement]) -> Tuning:
    """The setting of the most rows per second, and its smallest batch that nearly reaches them."""
    best = max(measurements, key=lambda measurement: measurement.best)
    size = next(size for size in best.sizes if best.rows_per_s(size) >= NEARLY * best.best)
    setting = best.setting
    return Tuning(
        runtime=Runtime(setting.num_workers, setting.num_threads, setting.is_spinning, size),
        curves={name: fit_curve(seconds) for name, seconds in best.seconds.items()},
        measurements=tuple(measurements),
    )


def fit_curve(seconds: Mapping[int, float]) -> ServiceCurve:
    """Least squares of `a*n + b` with neither below 0, errors counted relative to the batch's time."""
    sizes, taken = np.array(list(seconds), np.float64), np.array(list(seconds.values()))
    lines = np.stack([sizes, np.ones_like(sizes)], axis=1) / taken[:, None]
    (per_row, per_batch), _ = nnls(lines, np.ones_like(taken))
    # A member that takes the same time for any batch still may not cost nothing a row.
    return ServiceCurve(float(per_row) or float(taken[-1] / sizes[-1]) * 1e-3, float(per_batch))


def with_tuning(plan: Plan, tuning: Tuning | None) -> Plan:
    """Triton gets what was measured, where the user has said nothing else."""
    if tuning is None:
        return plan
    triton, runtime = plan.settings.triton, tuning.runtime
    changes: dict[str, Any] = {
        "preferred_batch_sizes": tuple(sorted({runtime.max_batch_rows, triton.max_batch_size})),
        "instances": runtime.num_workers,
        "intra_op_threads": runtime.num_threads,
    }
    kept = {name: value for name, value in changes.items() if not getattr(triton, name)}
    return replace(plan, settings=replace(plan.settings, triton=replace(triton, **kept)))


def _sizes(largest: int) -> tuple[int, ...]:
    """Powers of two, the largest last, no more than MAX_CANDIDATES."""
    powers = [2**power for power in range(largest.bit_length()) if 2**power < largest]
    step = max(1, -(-len(powers) // (MAX_CANDIDATES - 1)))
    return (*powers[::step], largest)


def _settings() -> list[Setting]:
    """One thread a batch and as many batches as cores; all cores for one batch; and both, spinning or not."""
    cores = len(os.sched_getaffinity(0))
    found = []
    for workers, threads, spins in itertools.product({1, cores}, {1, cores}, (False, True)):
        # A single thread has nobody to wait for.
        if workers * threads >= cores and not (spins and threads == 1):
            found.append(Setting(num_workers=workers, num_threads=threads, is_spinning=spins))
    return sorted(found, key=lambda s: (s.num_threads, s.num_workers, s.is_spinning))


def _batches(rows: Rows, sizes: Sequence[int]) -> dict[int, Feeds]:
    """Real rows of the shape nearest to the mean row's size, repeated where there are too few."""
    groups = list(rows.batches(max(sizes)))
    elements = [sum(array[0].size for array in rows.take(index[:1]).values()) for index in groups]
    mean = np.average(elements, weights=[len(index) for index in groups])
    index = groups[int(np.argmin(np.abs(np.array(elements) - mean)))]
    return {size: dict(rows.take(np.resize(index, size))) for size in sizes}


def _measure(setting: Setting, models: Models, batches: Mapping[int, Feeds]) -> Measurement:
    """All members are open and run in turn, as in a server: threads that still spin hinder other members."""
    members = [
        _Member(
            name=name,
            session=open_session(file, num_threads=setting.num_threads, is_spinning=setting.is_spinning),
            feeds={size: _own(batch, signature) for size, batch in batches.items()},
            output=signature.output,
        )
        for name, (file, signature) in models.items()
    ]
    by_size = {size: _seconds(members, size, setting.num_workers) for size in batches}
    return Measurement(
        setting=setting,
        seconds={
            member.name: {size: seconds[member.name] for size, seconds in by_size.items()}
            for member in members
        },
    )


def _own(batch: Feeds, signature: MemberSignature) -> Feeds:
    return {signature.names[name]: array for name, array in batch.items()}


@dataclass(frozen=True, kw_only=True)
class _Member:
    name: str
    session: Any
    feeds: Mapping[int, Feeds]
    output: str

    def run(self, size: int) -> float:
        begin = time.perf_counter()
        self.session.run([self.output], self.feeds[size])
        return time.perf_counter() - begin


def _seconds(members: Sequence[_Member], size: int, num_workers: int) -> dict[str, float]:
    """Medians over the runs of all workers, each of which runs the members in turn."""
    taken: dict[str, list[float]] = {member.name: [] for member in members}
    for member in members:
        member.run(size)
    until = time.perf_counter() + MOMENT_S * len(members)

    def work() -> None:
        runs = 0
        while runs < MIN_RUNS or time.perf_counter() < until:
            for member in members:
                taken[member.name].append(member.run(size))
            runs += 1

    threads = [threading.Thread(target=work) for _ in range(num_workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {name: float(np.median(seconds)) for name, seconds in taken.items()}
