"""What clients see of a server that is told to stop while they send: half of benchmarks.reloads.

gRPC cancels calls that reach a server which closes its connections and that nobody has taken up
(https://github.com/grpc/grpc/issues/41785). So who sends for the first time half a second after SIGTERM may
find its call cancelled, where it should be unavailable; these are counted apart, and nothing was lost. A call
that is cancelled sooner counts as lost.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np
import uvloop

from benchmarks.keep_alive import CLIENTS, Client, Outcome, Question, Reply
from benchmarks.two_versions import TwoVersions
from tests.servers import Server, serving

CLIENTS_EACH = 4  # of each protocol
QUESTIONS = 200
RUN_S = (0.1, 1.0)  # until SIGTERM
GRACE_S = 10.0
GIVE_UP_S = 30.0
SHORT_PAUSE_S = 0.004  # the most that a client waits between an answer and its next request
LONG_PAUSE_S = 0.8
LONG_PAUSES = 0.1  # the share of pauses that are long
REFUSING_S = 0.25  # so long after SIGTERM nothing is accepted any more
CANCELLED = "cancelled by gRPC while the server refused"
NEVER = (Outcome.UNANSWERED, Outcome.CUT, Outcome.FAILED)


@dataclass
class Told:
    """What clients of one protocol were told. `details` are of all that was no answer."""

    outcomes: Counter[str] = field(default_factory=Counter)
    details: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    refusing_from_s: float = math.inf

    @property
    def amiss(self) -> int:
        return self.wrong + sum(self.outcomes[outcome] for outcome in NEVER)

    def add(self, reply: Reply, sent_s: float, *, is_right: bool) -> None:
        outcome = str(reply.outcome)
        if reply.detail.startswith("CANCELLED") and sent_s > self.refusing_from_s:
            outcome = CANCELLED
        self.outcomes[outcome] += 1
        if reply.outcome is Outcome.ANSWERED:
            self.wrong += not is_right
        else:
            self.details[f"{outcome}: {reply.detail}"] += 1


@dataclass(frozen=True)
class Stop:
    """One server's end: what its clients were told by protocol, and how it left."""

    told: dict[str, Told]
    exit_code: int
    seconds: float
    log: str

    @property
    def is_clean(self) -> bool:
        is_well = self.exit_code == 0 and self.seconds < GRACE_S and "Traceback" not in self.log
        return is_well and not any(told.amiss for told in self.told.values())


def stop_under_load(versions: TwoVersions, seed: int) -> Stop:
    """Start a server, load it over both protocols, tell it to stop at a random moment."""
    with (
        serving(versions.file.parent, "--grace", str(GRACE_S)) as server,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        return runner.run(_stop(server, versions, np.random.default_rng(seed)))


async def _stop(server: Server, versions: TwoVersions, rng: np.random.Generator) -> Stop:
    questions = versions.draw_questions(QUESTIONS, rng)
    run_s = float(rng.uniform(*RUN_S))
    told = {"http": Told(), "grpc": Told()}
    async with asyncio.timeout(GIVE_UP_S), asyncio.TaskGroup() as group:
        for protocol, address in (("http", server.http), ("grpc", server.grpc)):
            for own in rng.spawn(CLIENTS_EACH):
                client = CLIENTS[protocol](address)
                group.create_task(_ask(client, protocol, questions, own, versions, told[protocol]))
        await asyncio.sleep(run_s)
        begin = time.monotonic()
        for each in told.values():
            each.refusing_from_s = begin + REFUSING_S
        exit_code = await asyncio.to_thread(server.terminate)
        seconds = time.monotonic() - begin
    return Stop(told, exit_code, round(seconds, 3), "".join(server.output))


async def _ask(
    client: Client,
    protocol: str,
    questions: Sequence[Question],
    rng: np.random.Generator,
    versions: TwoVersions,
    told: Told,
) -> None:
    """Until nobody listens any more; over gRPC a refusal is enough: who goes on is cancelled in the end."""
    last = (Outcome.NOT_SENT,) if protocol == "http" else tuple(set(Outcome) - {Outcome.ANSWERED})
    outcome = Outcome.ANSWERED
    while outcome not in last:
        question = questions[int(rng.integers(len(questions)))]
        sent_s = time.monotonic()
        reply = await client.ask(question)
        outcome = reply.outcome
        is_right = outcome is Outcome.ANSWERED and versions.is_right(question, reply)
        told.add(reply, sent_s, is_right=is_right)
        longest_s = LONG_PAUSE_S if rng.random() < LONG_PAUSES else SHORT_PAUSE_S
        await asyncio.sleep(float(rng.uniform(0, longest_s)))
    await client.close()


def measure_stops(versions: TwoVersions, cycles: int, side_by_side: int) -> tuple[dict[str, Any], int]:
    """And how many of the cycles were not clean."""
    with ProcessPoolExecutor(side_by_side, mp_context=get_context("spawn")) as pool:
        stops = []
        for stop in pool.map(partial(stop_under_load, versions), range(cycles)):
            stops.append(stop)
            if not stop.is_clean:
                print(stop, flush=True)
    seconds = np.array([stop.seconds for stop in stops])
    num_unclean = sum(not stop.is_clean for stop in stops)
    measured = {
        "cycles": cycles,
        "not_clean": num_unclean,
        "exit_codes": dict(Counter(str(stop.exit_code) for stop in stops)),
        "grace_s": GRACE_S,
        "seconds_to_exit": {"median": float(np.median(seconds)), "max": float(seconds.max())},
        **{protocol: _summary([stop.told[protocol] for stop in stops]) for protocol in ("http", "grpc")},
    }
    print(measured, flush=True)
    return measured, num_unclean


def _summary(told: Sequence[Told]) -> dict[str, Any]:
    outcomes = sum((each.outcomes for each in told), Counter[str]())
    return {
        "outcomes": {outcome: outcomes[outcome] for outcome in (*map(str, Outcome), CANCELLED)},
        "wrong": sum(each.wrong for each in told),
    }
