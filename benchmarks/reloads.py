"""Whether requests are lost, or answered by two versions at once, while cascades change and servers stop.

    python -m benchmarks.reloads

**Reloads**: two versions of a cascade take turns in one file, other members in another order, so that their
answers differ in every row. Clients that keep their connections send over HTTP and gRPC by a schedule drawn
first (latency counts from the intended send). Spells without a reload and with one take turns. Every row of
every answer must be as the replay of the version that the answer names, and no client may see an older
version after a newer one.

**Stops**: a server is loaded by such clients, told to stop at a random moment (SIGTERM), and started again.
Every request must be answered, refused in words, or not have been sent (see benchmarks.stops for one more
that gRPC has); the server must leave with 0 within its grace period.

Prints what it finds, writes benchmarks/results/reloads.json; exit code 1 where anything was lost or wrong.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import uvloop
from numpy.typing import NDArray

from benchmarks.keep_alive import CLIENTS, Client, Outcome, Question, Reply
from benchmarks.result_file import write_result
from benchmarks.server_process import measured_server
from benchmarks.stops import measure_stops
from benchmarks.two_versions import TwoVersions, two_versions
from cascade.cascade_file import write_cascade

RESULT = Path(__file__).parent / "results" / "reloads.json"
RELOAD_S = 0.05
CLIENTS_EACH = 4  # of each protocol
RATE = 100.0  # requests a second of each protocol
QUESTIONS = 1000
TAKEN_UP_S = 10.0
WARM_UP_S = 1.0
AMPLE = 3  # times the seconds planned: reloads may take longer on a busy machine
WARMING_UP, CALM, RELOADING = "warming up", "without reloads", "with reloads"


@dataclass(frozen=True)
class Sample:
    protocol: str
    phase: str
    spell: int
    latency_s: float
    reply: Reply
    is_right: bool


@dataclass
class Load:
    """Clients at work, until `is_over`. `phase` and `spell` are written to each sample, `newest` is the
    newest version that anybody saw, `backwards` counts answers by an older one than the client had seen
    before."""

    versions: TwoVersions
    phase: str = WARMING_UP
    spell: int = 0
    samples: list[Sample] = field(default_factory=list)
    newest: int = 0
    backwards: int = 0
    is_over: bool = False
    seen: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def send(self, client: Client, protocol: str, schedule: Sequence[tuple[float, Question]]) -> None:
        """One after the other, each at its time or as soon as the one before is answered."""
        newest = 0
        for intended_s, question in schedule:
            await asyncio.sleep(max(0.0, intended_s - time.monotonic()))
            if self.is_over:
                break
            phase, spell = self.phase, self.spell
            reply = await client.ask(question)
            latency_s = time.monotonic() - intended_s
            is_right = reply.outcome is Outcome.ANSWERED and self.versions.is_right(question, reply)
            self.samples.append(Sample(protocol, phase, spell, latency_s, reply, is_right))
            self.backwards += reply.outcome is Outcome.ANSWERED and reply.version < newest
            newest = max(newest, reply.version)
            if newest > self.newest:
                async with self.seen:
                    self.newest = newest
                    self.seen.notify_all()
        await client.close()

    async def taken_up_s(self, version: int) -> float:
        """Until somebody is answered by it."""
        begin = time.monotonic()
        async with asyncio.timeout(TAKEN_UP_S), self.seen:
            await self.seen.wait_for(lambda: self.newest >= version)
        return time.monotonic() - begin


def draw_schedule(
    start_s: float, seconds: float, questions: Sequence[Question], rng: np.random.Generator
) -> list[tuple[float, Question]]:
    """Poisson arrivals of one client."""
    gaps = rng.exponential(CLIENTS_EACH / RATE, round(2 * seconds * RATE / CLIENTS_EACH) + 20)
    times = start_s + np.cumsum(gaps)
    chosen = rng.integers(0, len(questions), len(times))
    return [
        (float(at_s), questions[n]) for at_s, n in zip(times, chosen, strict=True) if at_s < start_s + seconds
    ]


async def reload_under_load(
    addresses: Mapping[str, str], versions: TwoVersions, reloads: int, spell_s: float
) -> tuple[Load, list[float]]:
    """What became of the requests, and for each reload how soon it was seen in an answer. The server must
    look after its files."""
    rng = np.random.default_rng(0)
    questions = versions.draw_questions(QUESTIONS, rng)
    load = Load(versions)
    taken_up_s: list[float] = []
    start_s, seconds = time.monotonic(), AMPLE * (WARM_UP_S + 2 * reloads * spell_s)
    async with asyncio.TaskGroup() as group:
        for protocol, address in addresses.items():
            for own in rng.spawn(CLIENTS_EACH):
                schedule = draw_schedule(start_s, seconds, questions, own)
                group.create_task(load.send(CLIENTS[protocol](address), protocol, schedule))
        await asyncio.sleep(WARM_UP_S)
        for load.spell in range(reloads):
            load.phase = CALM
            await asyncio.sleep(spell_s)
            load.phase = RELOADING
            taken_up_s.append(await _reload(load, load.spell + 2, spell_s))
        load.is_over = True
    return load, taken_up_s


async def _reload(load: Load, version: int, spell_s: float) -> float:
    begin = time.monotonic()
    await asyncio.to_thread(write_cascade, load.versions.file, load.versions.cascade(version))
    taken_up_s = await load.taken_up_s(version)
    await asyncio.sleep(max(0.0, begin + spell_s - time.monotonic()))
    return taken_up_s


def measure_reloads(versions: TwoVersions, options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """And how many requests were lost or answered wrong."""
    with (
        measured_server(versions.file.parent, "--reload-seconds", str(RELOAD_S)) as server,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        before = server.resources()
        addresses = {"http": server.http, "grpc": server.grpc}
        load, taken_up_s = runner.run(reload_under_load(addresses, versions, options.reloads, options.spell))
        after = server.resources()
    answered = [sample for sample in load.samples if sample.reply.outcome is Outcome.ANSWERED]
    wrong = sum(not sample.is_right for sample in answered)
    measured = {
        "reloads": len(taken_up_s),
        "reload_seconds": RELOAD_S,
        "requests": len(load.samples),
        "outcomes": dict(Counter(sample.reply.outcome.value for sample in load.samples)),
        "versions_seen": len({sample.reply.version for sample in answered}),
        "wrong_or_mixed": wrong,
        "version_went_back": load.backwards,
        "seen_in_an_answer_ms": _times(np.array(taken_up_s)),
        "latency": [
            {"over": over, "phase": phase, **_latencies(answered, over, phase)}
            for over in addresses
            for phase in (CALM, RELOADING)
        ],
        "rss_mib": [round(resources.rss_bytes / 2**20, 1) for resources in (before, after)],
        "threads": [resources.threads for resources in (before, after)],
    }
    print(measured, flush=True)
    return measured, len(load.samples) - len(answered) + wrong + load.backwards


def _latencies(samples: Sequence[Sample], protocol: str, phase: str) -> dict[str, float]:
    """The median of what was worst in each spell tells of reloads where bursts of other work are worst of
    all."""
    chosen = [sample for sample in samples if (sample.protocol, sample.phase) == (protocol, phase)]
    worst: dict[int, float] = {}
    for sample in chosen:
        worst[sample.spell] = max(worst.get(sample.spell, 0.0), sample.latency_s)
    times = _times(np.array([sample.latency_s for sample in chosen]))
    return times | {"worst_of_a_spell": round(float(np.median(list(worst.values()))) * 1e3, 2)}


def _times(seconds: NDArray[np.float64]) -> dict[str, float]:
    p50, p99 = np.percentile(seconds, [50, 99])
    named = {"p50": p50, "p99": p99, "max": seconds.max()}
    return {"count": len(seconds)} | {name: round(float(value) * 1e3, 2) for name, value in named.items()}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reloads", type=int, default=50)
    parser.add_argument("--spell", type=float, default=0.5, help="seconds without a reload, then with one")
    parser.add_argument("--cycles", type=int, default=100, help="of starting and stopping")
    parser.add_argument("--side-by-side", type=int, default=2, help="cycles at once")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        versions = two_versions(Path(folder) / "repository")
        reloads, num_lost = measure_reloads(versions, options)
        stops, num_unclean = measure_stops(versions, options.cycles, options.side_by_side)
    write_result(options.out, reloads=reloads, stops=stops)
    return int(num_lost > 0 or num_unclean > 0)


if __name__ == "__main__":
    sys.exit(main())
