"""A real Triton behind the router that is killed, stopped, restarted and slow, under load.

    make triton && python -m benchmarks.faults

A cascade of two linear members on noisy digits: the first in the server's own process (`--embed-stages 1`),
the second in a Triton that the server started, where each call takes 40 ms. Requests of one row with a
deadline arrive open-loop (Poisson, drawn first) over HTTP. For each fault: some calm, then the fault, then
its end. Every answer is compared with the replay: with both members, or with the first alone where it says
so; a request without an answer, or a wrong answer, ends this with exit code 1. `/metrics` is asked for the
breaker's state all the while. Prints each fault as it comes and writes benchmarks/results/faults.json.
"""

import argparse
import json
import os
import re
import signal
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from benchmarks.closed_loop import http_message
from benchmarks.open_loop import Phase, Samples, play
from benchmarks.result_file import write_result
from benchmarks.server_process import MeasuredServer, measured_server
from benchmarks.triton_repository import MEMBER_SCRIPT, write_member
from cascade.replay import Replay, replay
from loadtest.wire.client import Request
from tests.repositories import Repository, make_repository
from tests.triton.processes import child

RESULT = Path(__file__).parent / "results" / "faults.json"
NAME = "digits"
REMOTE = "digits-1"
POLICY = "window"
CALL_S = 0.04
SLOWER = 10
INSTANCES = 4
CALM_S, FAULT_S, AFTER_S = 4.0, 5.0, 12.0
LOOK_S = 0.02
MARGIN_S = 0.05
CONNECTIONS = 500
GIVE_UP_S = 15.0
STATE = re.compile(rf'^exitgate_breaker_state\{{member="{REMOTE}/1",state="(\w+)"\}} 1\.0$', re.MULTILINE)
SLOW_SCRIPT = """

import time

_Exported = TritonPythonModel


class TritonPythonModel(_Exported):
    \"\"\"Takes as long as a file says.\"\"\"

    def initialize(self, args):
        super().initialize(args)
        self.delay = Path(json.loads(args["model_config"])["parameters"]["delay_file"]["string_value"])

    def execute(self, requests):
        time.sleep(float(self.delay.read_text()))
        return super().execute(requests)
"""


@dataclass(frozen=True)
class Bench:
    server: MeasuredServer
    repository: Repository
    delay: Path
    whole: Replay
    first_alone: Replay


def build(folder: Path) -> tuple[Repository, Path]:
    repository = make_repository(folder / "repository", stages=((0,), (1,)))
    delay = folder / "delay"
    script = MEMBER_SCRIPT.read_text(encoding="utf-8") + SLOW_SCRIPT
    for member in (f"{NAME}-0", REMOTE):
        parameters = {"delay_file": str(delay)}
        write_member(repository.path, member, (8, 8, 1), parameters, script, INSTANCES)
    set_delay(delay, 1)
    return repository, delay


def set_delay(file: Path, factor: float) -> None:
    """By renaming, since somebody reads it all the while."""
    aside = file.with_suffix(".new")
    aside.write_text(str(CALL_S * factor))
    aside.replace(file)


def triton_of(server: MeasuredServer) -> int:
    """The process that the server has started."""
    return child(server.pid, "bin/tritonserver")


def kill(bench: Bench) -> Callable[[], None]:
    os.kill(triton_of(bench.server), signal.SIGKILL)
    return lambda: None  # it is started again by the server


def restart(bench: Bench) -> Callable[[], None]:
    os.kill(triton_of(bench.server), signal.SIGTERM)
    return lambda: None


def stop(bench: Bench) -> Callable[[], None]:
    process = triton_of(bench.server)
    os.kill(process, signal.SIGSTOP)
    return lambda: os.kill(process, signal.SIGCONT)


def slow(bench: Bench) -> Callable[[], None]:
    set_delay(bench.delay, SLOWER)
    return lambda: set_delay(bench.delay, 1)


FAULTS: dict[str, Callable[[Bench], Callable[[], None]]] = {
    "SIGKILL": kill,
    "SIGTERM (restarted)": restart,
    "SIGSTOP": stop,
    f"{SLOWER} times slower": slow,
}


@contextmanager
def watched(server: MeasuredServer) -> Iterator[list[tuple[float, str]]]:
    """When the breaker was first seen in each of its states, one after the other."""
    seen: list[tuple[float, str]] = []
    is_over = threading.Event()

    def look() -> None:
        while not is_over.wait(LOOK_S):
            with urllib.request.urlopen(f"http://{server.http}/metrics", timeout=10) as response:
                found = STATE.search(response.read().decode())
            if found and (not seen or seen[-1][1] != found[1]):
                seen.append((time.monotonic(), found[1]))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        is_over.set()
        thread.join()


def measure_fault(bench: Bench, name: str, options: argparse.Namespace) -> dict[str, Any]:
    images = bench.repository.test.image
    parameters = {"policy": POLICY, "timeout": round(options.deadline_ms * 1000)}
    requests = [Request(_message(bench.server.http, image, parameters)) for image in images]
    times: dict[str, float] = {}

    def fault() -> None:
        time.sleep(CALM_S)
        times["begin"] = time.monotonic()
        end = FAULTS[name](bench)
        time.sleep(FAULT_S)
        end()
        times["end"] = time.monotonic()

    thread = threading.Thread(target=fault)
    with watched(bench.server) as seen:
        thread.start()
        played = play(
            bench.server,
            requests,
            [Phase(options.rate, CALM_S), Phase(options.rate, FAULT_S), Phase(options.rate, AFTER_S)],
            deadline_s=options.deadline_ms / 1000,
            connections=CONNECTIONS,
            give_up_s=GIVE_UP_S,
            seed=len(name),
        )
        thread.join()
    phases = zip(("before", "during", "after"), played.phases, strict=True)
    return {
        "fault": name,
        "phases": {phase: _told(bench, samples, options) for phase, samples in phases},
        "breaker_opened_after_s": _after(seen, "open", times["begin"]),
        "breaker_closed_after_s": _last_closed(seen, times["end"]),
        "breaker_states": [(round(at - times["begin"], 2), state) for at, state in seen],
        "refusals": dict(played.texts),
    }


def _message(address: str, image: Any, parameters: dict[str, Any]) -> bytes:
    tensor = {"name": "image", "datatype": "UINT8", "shape": [1, 8, 8, 1], "data": image.ravel().tolist()}
    outputs = [{"name": name} for name in ("label", "exit_stage", "exit_reason")]
    body = {"inputs": [tensor], "outputs": outputs, "parameters": parameters}
    return http_message(address, NAME, json.dumps(body).encode())


def _told(bench: Bench, samples: Samples, options: argparse.Namespace) -> dict[str, Any]:
    answered = samples.of("good") | samples.of("late") | samples.of("degraded")
    reasons = Counter(_judged(bench, samples, number) for number in np.flatnonzero(answered).tolist())
    p99_s = float(np.percentile(samples.latency_s[answered], 99, method="higher"))
    return {
        "requests": len(answered),
        "without_answer": int((~answered).sum()),
        "wrong": reasons.pop("wrong", 0),
        "degraded": int(samples.of("degraded").sum()),
        "by_reason": dict(reasons.most_common()),
        "p50_ms": round(float(np.percentile(samples.latency_s[answered], 50)) * 1e3, 1),
        "p99_ms": round(p99_s * 1e3, 1),
        "p99_within_deadline_and_50_ms": p99_s <= options.deadline_ms / 1000 + MARGIN_S,
    }


def _judged(bench: Bench, samples: Samples, number: int) -> str:
    """Why the row left, or `wrong` where its answer is not the replay's."""
    outputs = orjson.loads(samples.replies[number].body)["outputs"]
    label, stage, reason = (output["data"][0] for output in outputs)
    row = int(samples.request[number])
    is_cut = reason in ("member_failed", "deadline")
    played = bench.first_alone if is_cut else bench.whole
    is_right = (label, stage) == (played.label[row], played.exit_stage[row])
    return str(reason) if is_right else "wrong"


def _after(seen: list[tuple[float, str]], state: str, begin_s: float) -> float | None:
    return next((round(at - begin_s, 3) for at, found in seen if at >= begin_s and found == state), None)


def _last_closed(seen: list[tuple[float, str]], end_s: float) -> float | None:
    """From the end of the fault until the breaker was closed for good; None where it is not."""
    at, state = seen[-1]
    return round(at - end_s, 3) if state == "closed" else None


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    repository, delay = build(folder)
    policy, stages = repository.cascade.policies[POLICY], repository.cascade.stages
    whole = replay(policy, stages, repository.scores)
    alone = replay(policy, stages, repository.scores, failed=(REMOTE,))
    flags = ("--backend", "triton", "--start-triton", "--embed-stages", "1", "--triton-log")
    with measured_server(repository.path, *flags, str(folder / "triton.log")) as server:
        bench = Bench(server, repository, delay, whole, alone)
        measured = []
        for name in FAULTS:
            measured.append(measure_fault(bench, name, options))
            print(measured[-1], flush=True)
    return {
        "rate_per_s": options.rate,
        "deadline_ms": options.deadline_ms,
        "call_ms": CALL_S * 1e3,
        "forwarded": round(float((whole.exit_stage > 1).mean()), 3),
        "faults": measured,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=float, default=60.0, help="requests a second")
    parser.add_argument("--deadline-ms", type=float, default=300.0)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(options, Path(folder))
    write_result(options.out, **measured)
    phases = [phase for fault in measured["faults"] for phase in fault["phases"].values()]
    sys.exit(any(phase["wrong"] or phase["without_answer"] for phase in phases))


if __name__ == "__main__":
    main()
