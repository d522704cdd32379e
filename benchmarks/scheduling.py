"""Which rule for the next batch is best: the server's own scheduler and backlog, in simulated time.

    python -m benchmarks.scheduling

Arrivals are Poisson, or come from clients that each send a request when the one before is answered; members
take what their service curves say give or take a fifth; rows are forwarded by coin. Prints a line for each
and writes benchmarks/results/scheduling.json.
"""

import argparse
import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.result_file import write_result
from cascade.cascade_file import Cascade, TensorSpec
from cascade.cascade_file import Member as MemberSpec
from cascade.policy import Policy
from cascade.runtime import ServiceCurve
from serving.config import SchedulerConfig
from serving.errors import Overloaded
from serving.jobs import LEFT, Batch, Job, Terms, Work
from serving.members import EMBEDDED
from serving.scheduling.backlog import Backlog
from serving.scheduling.curves import LearntCurve
from serving.scheduling.scheduler import Lane, Queue, Rank, Rule, Scheduler, longest_waiting_first
from serving.served import ServedCascade

RESULT = Path(__file__).parent / "results" / "scheduling.json"
MAX_ROWS = 32
WORKERS = 2
NOISE = 0.2
"""Of the logarithm of what a batch takes."""

PASSED_OVER_S = 0.025
SMALL_ROWS = np.zeros((64, 1), np.uint8)


def later_first(queue: Queue, lane: Lane, now_s: float, config: SchedulerConfig) -> Rank:
    return (-lane.head.stage, *lane.head.job.order)


def most_completions(queue: Queue, lane: Lane, now_s: float, config: SchedulerConfig) -> Rank:
    """Rows that should exit a second of the batch; ties to the later stage."""
    rows = min(queue.num_rows, config.max_batch_rows)
    head = lane.head
    exits = 1 - head.job.flow.share_forwarded(head.stage)
    if head.stage == head.job.served.num_stages - 1:
        exits = 1.0
    return (-exits * rows / queue.member.curve.seconds(rows), -head.stage)


def full_first(queue: Queue, lane: Lane, now_s: float, config: SchedulerConfig) -> Rank:
    if now_s - lane.oldest_s >= PASSED_OVER_S:
        return (0, *lane.head.job.order)
    return (1 if queue.num_rows >= config.max_batch_rows else 2, *lane.head.job.order)


def worthwhile_first(queue: Queue, lane: Lane, now_s: float, config: SchedulerConfig) -> Rank:
    """Batches that are 95% as efficient as full ones, or passed over for long, by their waits; then
    the most efficient."""
    curve = queue.member.curve
    if queue.num_rows >= curve.worthwhile_rows or now_s - lane.oldest_s >= PASSED_OVER_S:
        return (0, lane.oldest_s)
    return (1, -curve.efficiency(queue.num_rows))


def earliest_deadline(queue: Queue, lane: Lane, now_s: float, config: SchedulerConfig) -> Rank:
    return lane.head.job.order


RULES: Mapping[str, Rule] = {
    "longest waiting first": longest_waiting_first,
    "earliest deadline first": earliest_deadline,
    "later stage first": later_first,
    "most completions": most_completions,
    "full batches first": full_first,
    "worthwhile batches first": worthwhile_first,
}
CHOSEN = "longest waiting first"


@dataclass(frozen=True)
class Stage:
    """A member's curve in milliseconds, and the share of its rows that goes on."""

    per_row_ms: float
    per_batch_ms: float
    forwarded: float

    @property
    def curve(self) -> ServiceCurve:
        return ServiceCurve(self.per_row_ms / 1e3, self.per_batch_ms / 1e3)


@dataclass(frozen=True)
class Scenario:
    """`load` is of what full batches at every stage could serve, or there are `clients`; without `deadline_s`
    there is none."""

    title: str
    stages: tuple[Stage, ...]
    load: float = 0.0
    clients: int = 0
    rows: int = 1
    deadline_s: float = math.inf

    @property
    def capacity(self) -> float:
        """Rows a second."""
        reach, work_s = 1.0, 0.0
        for stage in self.stages:
            work_s += reach * stage.curve.seconds(MAX_ROWS) / MAX_ROWS
            reach *= stage.forwarded
        return WORKERS / work_s


ALIKE = (Stage(1.0, 1.0, 0.2), Stage(1.0, 1.0, 0.0))
HEAVIER = (Stage(0.3, 0.5, 0.3), Stage(1.5, 1.5, 0.0))
THREE = (Stage(0.5, 1.0, 0.4), Stage(0.5, 1.0, 0.5), Stage(1.0, 2.0, 0.0))
COSTLY_START = (Stage(0.2, 2.0, 0.2), Stage(0.2, 2.0, 0.0))
SLOW = (Stage(20.0, 2.0, 0.2), Stage(20.0, 2.0, 0.0))
CASCADES = {
    "alike": ALIKE,
    "heavier second": HEAVIER,
    "three stages": THREE,
    "costly start": COSTLY_START,
    "slow members": SLOW,
}
LOADS = (0.5, 0.8, 0.95)
CLIENTS = (8, 32, 128)
OVERLOADS = (3.0, 10.0)


def scenarios() -> list[Scenario]:
    normal = [Scenario(name, stages, load) for name, stages in CASCADES.items() for load in LOADS]
    overloaded = [
        Scenario(name, stages, load, deadline_s=0.5 if name == "slow members" else 0.1)
        for name, stages in CASCADES.items()
        for load in OVERLOADS
    ]
    closed = [Scenario(name, stages, clients=n) for name, stages in CASCADES.items() for n in CLIENTS]
    return normal + closed + overloaded


class SimulatedMember:
    pool = EMBEDDED
    output_datatype = "FP32"

    def __init__(self, name: str, curve: ServiceCurve) -> None:
        self.key = name
        self.truth = curve
        self.curve = LearntCurve(curve, MAX_ROWS)

    def run(
        self, inputs: Mapping[str, NDArray[np.generic]], deadline_s: float = math.inf
    ) -> NDArray[np.floating]:
        raise AssertionError("nothing is run in simulated time")


class Settled:
    """A future's `done`, as far as the scheduler asks."""

    def __init__(self) -> None:
        self.is_done = False

    def done(self) -> bool:
        return self.is_done


@dataclass
class Tally:
    latency_s: list[float] = field(default_factory=list)
    good: int = 0
    degraded: int = 0
    late: int = 0
    shed: int = 0
    batches: list[int] = field(default_factory=list)


class Simulation:
    """`run` plays arrivals until `seconds` and then until all is answered."""

    def __init__(self, scenario: Scenario, rule: Rule, seed: int, *, admits_all: bool = False) -> None:
        config = SchedulerConfig(num_workers=WORKERS, max_batch_rows=MAX_ROWS)
        self._scenario = scenario
        self._rng = np.random.default_rng(seed)
        self._served = _cascade(scenario.stages)
        self._scheduler = Scheduler(config, rule)
        self._backlog = Backlog(config)
        self._admits_all = admits_all
        self._events: list[tuple[float, int, Any]] = []
        self._number = 0
        self._took_s: dict[int, float] = {}
        self.tally = Tally()

    def run(self, seconds: float) -> Tally:
        self._until_s = seconds
        for at in self._first_arrivals(seconds):
            self._at(float(at), None)
        while self._events:
            now_s, _, event = heapq.heappop(self._events)
            if event is None:
                self._arrive(now_s)
            elif isinstance(event, Batch):
                self._finish(event, now_s)
            else:
                self._expire(event)
            self._dispatch(now_s)
        return self.tally

    def _first_arrivals(self, seconds: float) -> NDArray[np.float64]:
        if self._scenario.clients:
            return np.zeros(self._scenario.clients)
        rate = self._scenario.load * self._scenario.capacity / self._scenario.rows
        times = np.cumsum(self._rng.exponential(1 / rate, int(rate * seconds * 1.5) + 10))
        return times[times < seconds]

    def _at(self, time_s: float, event: Any) -> None:
        heapq.heappush(self._events, (time_s, self._number, event))
        self._number += 1

    def _arrive(self, now_s: float) -> None:
        deadline_s = now_s + self._scenario.deadline_s
        terms = Terms(arrived_s=now_s, number=self._number, deadline_s=deadline_s)
        inputs = {"x": SMALL_ROWS[: self._scenario.rows]}
        job = Job(self._served, "full", self._served.cascade.policies["full"], None, inputs, terms)
        job.done = Settled()  # type: ignore[assignment]
        if not self._is_taken(job, now_s):
            self.tally.shed += 1
            return
        if deadline_s < math.inf:
            self._at(deadline_s, job)
        self._arrived = now_s
        self._scheduler.submit(job, now_s)

    def _is_taken(self, job: Job, now_s: float) -> bool:
        try:
            self._backlog.take(job, now_s)
        except Overloaded:
            return self._admits_all
        return True

    def _dispatch(self, now_s: float) -> None:
        while (batch := self._scheduler.next_batch(now_s)) is not None:
            self._backlog.started(batch, now_s)
            self.tally.batches.append(batch.num_rows)
            member = batch.member
            assert isinstance(member, SimulatedMember)
            noise = float(self._rng.lognormal(0, NOISE))
            took_s = member.truth.seconds(batch.num_rows) * noise
            self._at(now_s + took_s, batch)
            self._took_s[id(batch)] = took_s

    def _finish(self, batch: Batch, now_s: float) -> None:
        self._scheduler.finish(batch)
        batch.member.curve.observe(batch.num_rows, self._took_s.pop(id(batch)))
        on = []
        for work in batch.works:
            if not work.job.is_settled:
                on += self._gate(work, now_s)
        self._scheduler.forward(on, now_s)
        self._backlog.finished(batch)

    def _gate(self, work: Work, now_s: float) -> list[Work]:
        job, share = work.job, self._scenario.stages[work.stage].forwarded
        goes_on = self._rng.random(len(work.rows)) < share
        left, kept = work.rows[~goes_on], work.rows[goes_on]
        job.flow.decided(work.stage, len(work.rows), len(kept))
        self._backlog.exited(job, work.stage, len(left))
        forwarded = Work(job, kept, work.stage, work.slot, now_s)
        if len(kept):
            self._backlog.forwarded(forwarded)
        if job.depth is not None:
            job.depth[left], job.depth[kept] = LEFT, work.stage + 1
        job.remaining -= len(left)
        if job.remaining == 0:
            self._settle(job)
            arrived_s = job.order[1] - (1.0 if math.isinf(job.last_call_s) else self._scenario.deadline_s)
            self.tally.latency_s.append(now_s - arrived_s)
            self.tally.good += 1
            if self._scenario.clients and now_s < self._until_s:
                self._at(now_s, None)
        return [forwarded] if len(kept) else []

    def _expire(self, job: Job) -> None:
        if job.is_settled or job.depth is None:
            return
        self._settle(job)
        if (job.depth == 0).any():
            self.tally.late += 1
        else:
            self.tally.degraded += 1

    def _settle(self, job: Job) -> None:
        cast(Any, job.done).is_done = True
        if job.remaining:
            self._scheduler.discard(job)
        self._backlog.drop(job)


def _cascade(stages: Sequence[Stage]) -> ServedCascade:
    names = [f"member-{number}" for number in range(len(stages))]
    members = tuple(MemberSpec(name=n, version=1, sha256="", macs=1, inputs={"x": "x"}) for n in names)
    cascade = Cascade(
        name="simulated",
        version=1,
        inputs=(TensorSpec(name="x", datatype="UINT8", shape=(-1, 1)),),
        classes=("a", "b"),
        members=members,
        stages=tuple((name,) for name in names),
        policies={"full": Policy(kind="full", num_stages=len(stages))},
        default_policy="full",
    )
    slots = [SimulatedMember(name, stage.curve) for name, stage in zip(names, stages, strict=True)]
    return ServedCascade(cascade, tuple(slots))


def measure(scenario: Scenario, rule: str, seconds: float, seeds: int, **options: bool) -> dict[str, Any]:
    tallies = [Simulation(scenario, RULES[rule], seed, **options).run(seconds) for seed in range(seeds)]
    latency_ms = np.array([each for tally in tallies for each in tally.latency_s]) * 1e3
    good = sum(tally.good for tally in tallies)
    offered = good + sum(tally.late + tally.shed + tally.degraded for tally in tallies)
    return {
        "cascade": scenario.title,
        "load": scenario.load,
        "clients": scenario.clients,
        "rule": rule + (", all admitted" if options else ""),
        "goodput_of_capacity": round(good * scenario.rows / (seconds * seeds * scenario.capacity), 3),
        "p50_ms": round(float(np.percentile(latency_ms, 50)), 2) if good else None,
        "p99_ms": round(float(np.percentile(latency_ms, 99)), 2) if good else None,
        "shed": round(sum(tally.shed for tally in tallies) / offered, 3),
        "late": round(sum(tally.late for tally in tallies) / offered, 3),
        "degraded": round(sum(tally.degraded for tally in tallies) / offered, 3),
        "mean_batch": round(float(np.mean([rows for tally in tallies for rows in tally.batches])), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="of simulated arrivals")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", help="a cascade's title")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    results = []
    for scenario in scenarios():
        if options.only not in (None, scenario.title):
            continue
        for rule in RULES:
            results.append(measure(scenario, rule, options.seconds, options.seeds))
            print(results[-1], flush=True)
        if scenario.deadline_s < math.inf:
            results.append(measure(scenario, CHOSEN, options.seconds, options.seeds, admits_all=True))
            print(results[-1], flush=True)
    write_result(options.out, simulated=results)


if __name__ == "__main__":
    main()
